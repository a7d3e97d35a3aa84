"""Rounds, agreement, second looks, conflicts and histories as a team runs them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from volume_files import gallery_file

from slabkit.arrays.tiling import GalleryLayout
from slabkit.formats.tables.native import (
    PickList,
    read_labels,
    read_minislabs,
    read_native_picks,
    write_minislabs,
    write_picks,
)
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.minislabs.galleries import gallery_set_id, geometry_table, minislab_table
from slabkit.tables import PICKS, TOMOGRAMS, make_table

LAYOUT = GalleryLayout(20, 2, 3)
COUNT = 6
IDS = [f"p{i}" for i in range(COUNT)]


@pytest.fixture
def project(tmp_path):
    """Six picks in picks.star, in a tomogram of 60 x 50 x 40 voxels, and their minislabs."""
    random = np.random.default_rng(0)
    volume = random.normal(size=(40, 50, 60)).astype(np.float32)
    write_mrc(tmp_path / "00255.mrc", volume, 10.0, label="test")
    picks = make_table(
        PICKS,
        {
            "slabkitPickId": IDS,
            "slabkitTomogram": "00255",
            "slabkitX": 50.0 + np.arange(COUNT) * 90.0,
            "slabkitY": 250.0,
            "slabkitZ": 200.0,
            "slabkitScore": np.arange(COUNT) + 1.0,
            "slabkitScoreKind": "blob",
            "slabkitSource": "blob",
            "slabkitDiameter": 100.0,
        },
    )
    tomograms = make_table(
        TOMOGRAMS,
        {
            "slabkitTomogram": ["00255"],
            "slabkitTomogramFile": "00255.mrc",
            "slabkitTomogramSizeX": 60,
            "slabkitTomogramSizeY": 50,
            "slabkitTomogramSizeZ": 40,
            "slabkitVoxelSize": 10.0,
        },
    )
    write_picks(tmp_path / "picks.star", PickList(picks, tomograms))
    tilts = np.zeros(COUNT)
    name = gallery_set_id(LAYOUT, 10, IDS, tilts)
    minislabs = minislab_table(
        LAYOUT,
        galleries=["minislabs_000.mrc"],
        pick_ids=IDS,
        tomograms=["00255"] * COUNT,
        tilts=tilts,
        inside_fraction=np.ones(COUNT),
        set_id=name,
    )
    geometry = geometry_table(
        LAYOUT, tiles=COUNT, pixel_size=10, box=200, depth=300, contrast="dark", set_id=name
    )
    write_minislabs(tmp_path / "minislabs.star", minislabs, geometry)
    return tmp_path


def label(slabkit, project, name, words, *options, table="minislabs.star"):
    """Write a CSV of y and n by pick number and make labels of it."""
    rows = "".join(f"p{i},{'yes' if w == 'y' else 'no'}\n" for i, w in words.items())
    (project / f"{name}.csv").write_text(f"pick_id,decision\n{rows}")
    return slabkit("label", f"{name}.csv", "--minislabs", table, "-o", f"{name}.star", *options)


def rounds(slabkit, project):
    kim = ("--round", "class2d", "--author", "kim")
    label(slabkit, project, "kim", dict(enumerate("yyynny")), *kim)
    label(slabkit, project, "lee", dict(enumerate("yynyny")), "--author", "lee")
    label(slabkit, project, "abinitio", {0: "y", 1: "n", 2: "n"}, "--round", "abinitio")


def test_rounds_confidence_second_look_and_history(project, slabkit):
    rounds(slabkit, project)
    voted = ("curate", "picks.star", "kim.star", "abinitio.star", "-o", "voted.star")
    report = json.loads(
        slabkit(*voted, "--confidence", "class2d,abinitio", "--keep", "all", "--json").stdout
    )
    assert {"step": "kept with confidence 0.5", "picks": 3} in report["funnel"]
    done = slabkit("rescue", "voted.star", "-o", "look.star", "--which", "rejected", "--json")
    assert json.loads(done.stdout)["rejected"] == 2
    assert read_native_picks(project / "look.star").picks["slabkitPickId"].tolist() == ["p3", "p4"]
    slabkit("minislab", "look.star", "-o", "look", "--box", "200", "--depth", "100")
    label(slabkit, project, "second", {3: "y", 4: "n"}, "--round", "rescue", "--author", "ann",
          table="look/minislabs.star")  # fmt: skip
    slabkit(
        "curate", "voted.star", "second.star", "-o", "final.star", "--min-confidence", "0.5",
        "--rejected", "rest.star",
    )  # fmt: skip
    kept = read_native_picks(project / "final.star").picks
    assert kept["slabkitPickId"].tolist() == ["p0", "p1", "p2", "p3", "p5"]
    assert kept["slabkitConfidence"].tolist() == [1, 0.5, 0.5, 0, 0.5]

    told = slabkit("history", "p3", "final.star", "--minislabs", "minislabs.star").stdout
    lines = [" ".join(line.split()) for line in told.splitlines()]
    assert lines[0] == "p3"
    assert lines[1] == "1 voxel tomogram=00255 index=32,25,20 voxel_size=10"
    assert "3 tile from minislabs_000.mrc row=1 column=0" in lines
    assert any(
        line.endswith(
            "label rejected round class2d by kim from kim.csv tile=r1c0@minislabs_000.mrc"
        )
        for line in lines
    )
    assert any("accepted round rescue by ann from second.csv" in line for line in lines)
    assert lines[-1].split()[1:3] == ["now", "accepted"]
    events = json.loads(slabkit("history", "p4", "rest.star", "--json").stdout)["events"]
    assert [event["step"] for event in events].count("label") == 2
    # A filter by the decisions there are needs no labels.
    slabkit("curate", "voted.star", "-o", "sure.star", "--min-confidence", "1")
    assert read_native_picks(project / "sure.star").picks["slabkitPickId"].tolist() == ["p0"]
    # The ledger passes through convert.
    slabkit("convert", "final.star", "copy.star")
    assert "slabkitLedger" in (project / "copy.star").read_text()
    copied = slabkit("history", "p3", "copy.star").stdout.splitlines()
    assert [line[5:] for line in copied[-2:]] == [line[5:] for line in told.splitlines()[-2:]]


def test_species_spelt_in_two_ways_are_warned_of(project, slabkit):
    said = "pick_id,decision,species\np0,accepted,apo-ferritin\np1,accepted,Apo_ferritin\n"
    (project / "said.csv").write_text(said)
    warning = "'Apo_ferritin', 'apo-ferritin' count as different species; is one meant?"
    done = slabkit("label", "said.csv", "--minislabs", "minislabs.star", "-o", "said.star")
    assert f"said.csv: {warning}" in done.stderr.replace("\n", " ")
    done = slabkit("curate", "picks.star", "said.star", "-o", "x.star")
    assert f"x.star: {warning}" in done.stderr.replace("\n", " ")


def test_agreement_and_contradictions(project, slabkit):
    rounds(slabkit, project)
    report = json.loads(slabkit("agree", "kim.star", "lee.star", "-o", "bad.star", "--json").stdout)
    # Four of six agree; both accept four of six: (4/6 - 5/9) / (1 - 5/9).
    assert report["cohen_kappa"] == pytest.approx(0.25)
    assert report["contradictions"] == 2
    text = (project / "bad.star").read_text()
    assert "p2\t1\t1\tkim.star=accepted,lee.star=rejected\tr0c2@minislabs_000.mrc" in text
    slabkit("agree", "kim.star", "lee.star", "-o", "rows.star", "--minislabs", "minislabs.star")
    table, _ = read_minislabs(project / "rows.star")
    assert table["slabkitPickId"].tolist() == ["p2", "p3"]
    # What was curated holds its raters.
    slabkit("curate", "picks.star", "kim.star", "lee.star", "-o", "all.star", "--keep", "all")
    again = json.loads(slabkit("agree", "all.star", "--by", "author", "--json").stdout)
    assert again["cohen_kappa"] == pytest.approx(0.25)
    slabkit("rescue", "all.star", "-o", "disputed.star", "--which", "contradictory")
    disputed = read_native_picks(project / "disputed.star").picks
    assert disputed["slabkitPickId"].tolist() == ["p2", "p3"]
    weighted = ("--policy", "weighted", "--weights", "kim=2,lee=0.5")
    slabkit("curate", "picks.star", "lee.star", "kim.star", "-o", "w.star", *weighted)
    kept = read_native_picks(project / "w.star").picks["slabkitPickId"].tolist()
    assert kept == ["p0", "p1", "p2", "p5"]
    assert read_labels(project / "kim.star")["slabkitAuthor"].unique().tolist() == ["kim"]


def species_lists(project):
    whole = read_native_picks(project / "picks.star")
    ribosomes = whole.picks.assign(slabkitSpecies="ribosome")
    others = whole.picks.iloc[[1, 4]].assign(
        slabkitPickId=["t1", "t4"], slabkitSpecies="thyroglobulin"
    )
    others["slabkitY"] += 20.0
    write_picks(project / "ribosomes.star", PickList(ribosomes, whole.tomograms))
    write_picks(project / "others.star", PickList(others, whole.tomograms))


def test_conflicts_are_shown_decided_and_settled(project, slabkit):
    species_lists(project)
    slabkit(
        "merge", "ribosomes.star", "others.star", "--preset", "czii", "--distance", "ribosome=50",
        "-o", "merged.star",
    )  # fmt: skip
    done = slabkit("conflicts", "merged.star", "-o", "c", "--box", "200", "--depth", "100",
                   "--png", "--json")  # fmt: skip
    report = json.loads(done.stdout)
    assert (report["conflicts"], report["claims"], report["minislabs"]) == (2, 4, 2)
    table, _ = read_minislabs(project / "c" / "minislabs.star")
    assert table["slabkitCentreX"].tolist() == [140.0, 410.0]
    assert table["slabkitCentreY"].tolist() == [260.0, 260.0]
    assert gallery_file(project / "c", 0, ".png").exists()
    refused = slabkit("convert", "c/conflicts.star", "x.csv", code=2).stderr
    assert "has no block data_picks (it has conflicts)" in refused
    form = (project / "c" / "decide.csv").read_text().splitlines()
    assert form[0] == "pick_id,decision,species,comment"
    assert form[1].endswith(",undecided,,ribosome or thyroglobulin")
    first = form[1].split(",")[0]
    (project / "d.csv").write_text(f"{form[0]}\n{first},accepted,thyroglobulin,\n{form[2]}\n")
    slabkit("label", "d.csv", "--minislabs", "c/minislabs.star", "-o", "d.star", "--author", "ann")
    slabkit(
        "curate", "merged.star", "d.star", "--conflicts", "c/conflicts.star", "--keep", "all",
        "-o", "settled.star",
    )  # fmt: skip
    settled = read_native_picks(project / "settled.star").picks.set_index("slabkitPickId")
    changed = settled["slabkitDecision"][settled["slabkitDecision"] != "undecided"]
    assert changed.to_dict() == {"p1": "rejected", "t1": "accepted"}
    left = json.loads(slabkit("conflicts", "settled.star", "-o", "c2", "--json").stdout)
    assert left["conflicts"] == 1
    assert "skipped" in slabkit(
        "conflicts", "merged.star", "-o", "c", "--box", "200", "--depth", "100", "--png"
    ).stderr.replace("\n", " ")


def test_no_conflict_is_a_result(project, slabkit):
    species_lists(project)
    done = slabkit("conflicts", "ribosomes.star", "-o", "c", "--json")
    assert json.loads(done.stdout)["conflicts"] == 0
    assert (project / "c" / "decide.csv").read_text().splitlines() == [
        "pick_id,decision,species,comment"
    ]


def test_merge_options(project, slabkit):
    species_lists(project)
    moved = read_native_picks(project / "picks.star")
    table = moved.picks.assign(slabkitPickId=[f"q{i}" for i in range(COUNT)], slabkitSource="hand")
    table["slabkitX"] += 30.0
    write_picks(project / "hand.star", PickList(table, moved.tomograms))
    slabkit(
        "merge", "picks.star", "hand.star", "--distance", "40", "-o", "m.star",
        "--position", "source", "--weights", "hand=2", "--between", "one-to-one",
    )  # fmt: skip
    merged = read_native_picks(project / "m.star").picks
    assert merged["slabkitX"].tolist() == [70.0 + 90 * i for i in range(COUNT)]
    told = slabkit("history", "q0", "m.star").stdout
    assert "merge" in told
    assert "merged into p0" in told
    assert "list=hand.star" in told


def test_refusals_write_nothing(project, slabkit):
    rounds(slabkit, project)
    species_lists(project)
    (project / "foreign.star").write_text(
        (project / "kim.star").read_text().replace("\np", "\nother")
    )
    before = sorted(project.iterdir())
    curate = ("curate", "picks.star", "kim.star", "-o", "x.star")
    for arguments, message in (
        ((*curate, "--weights", "kim=2"), "weights are for the policy weighted"),
        ((*curate, "--policy", "weighted", "--weights", "kim"), "--weights takes NAME=NUMBER"),
        ((*curate, "--confidence", "2d"), "no label is of that round; there are class2d"),
        ((*curate, "--min-confidence", "2"), "must be from 0 to 1"),
        ((*curate, "--conflicts", "kim.star"), "no block data_conflicts"),
        (("curate", "picks.star", "-o", "x.star"), "no label table is given"),
        (("curate", "picks.star", "foreign.star", "-o", "x.star"), "none of the 6 labels is of"),
        (("agree", "kim.star"), "needs two raters"),
        (("agree", "kim.csv", "lee.csv"), "A labels table is needed; `slabkit label` writes one"),
        (("agree", "kim.star", "./kim.star"), "given twice"),
        (("agree", "kim.star", "minislabs.star"), "no block data_labels"),
        (("agree", "kim.star", "lee.star", "--minislabs", "minislabs.star"), "is for -o"),
        (("rescue", "picks.star", "-o", "x.star", "--which", "lost"), "which must be of rejected"),
        (("rescue", "picks.star", "-o", "x.star", "--which", "contradictory"), "no recorded"),
        (("rescue", "kim.star", "-o", "x.star"), "no block data_picks"),
        (("merge", "picks.star", "-o", "x.star"), "give --distance"),
        (("merge", "picks.star", "-o", "x.star", "--preset", "mine"), "--preset must be czii"),
        (("conflicts", "others.star", "-o", "x", "--distance", "-5"), "must be positive"),
        (("conflicts", "others.star", "-o", "x", "--tiles", "3"), "--tiles takes ROWSxCOLUMNS"),
        (("conflicts", "-", "-o", "x"), "from files, not from standard input"),
        (("history", "p99", "picks.star"), "there is no pick p99 in the list"),
    ):
        done = slabkit(*arguments, code=2)
        assert message in done.stderr.replace("\n", " "), done.stderr
        assert sorted(project.iterdir()) == before


def test_merge_says_that_picks_without_a_species_stay_apart(project, slabkit):
    species_lists(project)
    given = read_native_picks(project / "picks.star")
    table = given.picks.assign(slabkitPickId=[f"q{i}" for i in range(COUNT)])
    table["slabkitSpecies"] = ["ribosome"] * (COUNT - 2) + [""] * 2
    write_picks(project / "named.star", PickList(table, given.tomograms))
    done = slabkit("merge", "named.star", "--distance", "40", "-o", "m.star")
    assert "2 picks have no species, and are merged with each other only" in done.stderr
    table["slabkitSpecies"] = ""
    write_picks(project / "nameless.star", PickList(table, given.tomograms))
    done = slabkit("merge", "nameless.star", "--distance", "40", "-o", "n.star")
    assert "no species" not in done.stderr
