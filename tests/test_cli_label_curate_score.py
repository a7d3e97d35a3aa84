"""label, curate and score as a user runs them, pipes, JSON, refusals and exit codes included."""

from __future__ import annotations

import json

import numpy as np
import pytest

from slabkit.arrays.tiling import GalleryLayout
from slabkit.formats.tables.native import (
    PickList,
    read_labels,
    read_native_picks,
    write_minislabs,
    write_picks,
)
from slabkit.minislabs.galleries import gallery_set_id, geometry_table, minislab_table
from slabkit.tables import PICKS, TOMOGRAMS, make_table

LAYOUT = GalleryLayout(20, 2, 3)
SPECIES = ["ribosome", "ribosome", "thyroglobulin", "thyroglobulin"]


@pytest.fixture
def project(tmp_path):
    """Eight picks in picks.star, their minislabs in minislabs.star, the truth of four of them."""
    ids = [f"p{i}" for i in range(8)]
    picks = make_table(
        PICKS,
        {
            "slabkitPickId": ids,
            "slabkitTomogram": "00255",
            "slabkitX": np.arange(8) * 500.0,
            "slabkitY": 70.0,
            "slabkitZ": 30.0,
        },
    )
    tomograms = make_table(TOMOGRAMS, {"slabkitTomogram": ["00255"]})
    write_picks(tmp_path / "picks.star", PickList(picks, tomograms))
    truth = picks.iloc[:4].assign(slabkitSpecies=SPECIES, slabkitY=0.0)
    write_picks(tmp_path / "truth.star", PickList(truth, tomograms))
    tilts = np.zeros(8)
    name = gallery_set_id(LAYOUT, 10, ids, tilts)
    minislabs = minislab_table(
        LAYOUT,
        galleries=["minislabs_000.mrc", "minislabs_001.mrc"],
        pick_ids=ids,
        tomograms=["00255"] * 8,
        tilts=tilts,
        inside_fraction=np.ones(8),
        set_id=name,
    )
    geometry = geometry_table(
        LAYOUT, tiles=8, pixel_size=10, box=200, depth=300, contrast="dark", set_id=name
    )
    write_minislabs(tmp_path / "minislabs.star", minislabs, geometry)
    (tmp_path / "good.csv").write_text("pick_id,decision\np0,yes\np2,yes\np1,no\np5,yes\n")
    return tmp_path


def test_from_csv_to_score(project, slabkit):
    options = ("--minislabs", "minislabs.star", "-o", "labels.star")
    done = slabkit("label", "good.csv", *options, "--species", "ribosome", "--json")
    report = json.loads(done.stdout)
    assert (report["status"], report["accepted"], report["rejected"]) == ("done", 3, 1)
    assert (report["undecided"], report["joined_by"]) == (4, "pick id")
    assert "no decision" in done.stderr
    assert len(read_labels(project / "labels.star")) == 4
    assert "skipped" in slabkit(
        "label", "good.csv", *options, "--species", "ribosome"
    ).stderr.replace("\n", " ")

    done = slabkit(
        "curate", "picks.star", "labels.star", "-o", "curated.star", "--rejected", "rest.star",
        "--json",
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert (report["picks"], report["kept"], report["dropped"]) == (8, 3, 5)
    assert {"step": "dropped: rejected by label", "picks": 1} in report["funnel"]
    assert "funnel" in done.stderr
    kept = read_native_picks(project / "curated.star").picks
    rest = read_native_picks(project / "rest.star").picks
    assert kept["slabkitPickId"].tolist() == ["p0", "p2", "p5"]
    assert kept["slabkitTomogram"].tolist() == ["00255"] * 3
    assert sorted([*kept["slabkitPickId"], *rest["slabkitPickId"]]) == [f"p{i}" for i in range(8)]
    assert rest["slabkitReason"].tolist()[0] == "rejected by label"

    # 70 Å away: p0 is a ribosome (half of 150 is 75); p2 is called one too, and is none.
    done = slabkit("score", "curated.star", "truth.star", "--mode", "both", "--json")
    report = json.loads(done.stdout)
    for mode in ("strict", "czii"):
        ribosome = report[mode]["species"]["ribosome"]
        assert [ribosome[n] for n in ("true_positives", "picks", "truth")] == [1, 3, 2]
        assert report[mode]["species"]["thyroglobulin"]["recall"] == 0
    f = 17 * (1 / 3) * 0.5 / (16 / 3 + 0.5)
    assert report["strict"]["weighted_f_beta"] == pytest.approx(f / 3)
    assert report["czii"]["weighted_f_beta"] == pytest.approx(f / 7)
    done = slabkit("score", "curated.star", "truth.star", "--radius", "ribosome=130")
    line = next(line for line in done.stdout.splitlines() if line.startswith("ribosome"))
    # 70 Å is beyond half of 130: none right of three picks, two missed.
    assert line.split()[1:] == ["130", "2", "3", "0", "3", "2", "0.000", "0.000", "0.000", "1"]


def test_pipes_and_picks_without_species(project, slabkit):
    labels = slabkit(
        "label", "-", "--minislabs", "minislabs.star", "-o", "-",
        stdin="gallery,row,column,decision\n0,0,0,1\n1,0,1,1\nminislabs_000,0,1,0\n",
    ).stdout  # fmt: skip
    assert labels.startswith("# version")
    done = slabkit("curate", "picks.star", "-", "-o", "-", "--quiet", stdin=labels)
    assert done.stderr == ""
    scored = slabkit("score", "-", "truth.star", "--json", stdin=done.stdout)
    report = json.loads(scored.stdout)
    assert report["total"]["true_positives"] == 1
    assert report["total"]["precision"] == 0.5
    assert report["species"]["ribosome"]["recall"] == 0.5
    assert report["species"]["ribosome"]["precision"] is None
    assert report["weighted_f_beta"] is None


def test_refusals_write_nothing(project, slabkit):
    before = sorted(project.iterdir())
    label = ("--minislabs", "minislabs.star", "-o", "labels.star")
    (project / "bad.csv").write_text("pick_id,decision\np0,perhaps\n")
    (project / "twice.csv").write_text("tomogram,species,x,y,z\n" + "a,ribosome,1,2,3\n" * 2)
    before += [project / "bad.csv", project / "twice.csv"]
    for arguments, message in (
        (("label", "bad.csv", *label), "the decision is 'perhaps' in row 1"),
        (("label", "good.csv", *label, "--classes", "1"), "has decisions already"),
        (("label", "good.csv", "--minislabs", "picks.star", "-o", "x"), "no block data_particles"),
        (("curate", "picks.star", "picks.star", "-o", "x.star"), "no block data_labels"),
        (("score", "picks.star", "truth.star", "--mode", "czii"), "have no species"),
        (("score", "picks.star", "truth.star", "--radius", "ribosome"), "NAME=NUMBER"),
        (("score", "picks.star", "twice.csv"), "a particle must be in the truth once"),
        (("curate", "-", "-", "-o", "x.star"), "only one table can come from standard input"),
    ):
        done = slabkit(*arguments, code=2)
        assert message in done.stderr, done.stderr
        assert sorted(project.iterdir()) == sorted(before)


def test_an_existing_reject_file_is_not_replaced(project, slabkit):
    slabkit("label", "good.csv", "--minislabs", "minislabs.star", "-o", "labels.star")
    (project / "mine.star").write_text("precious")
    done = slabkit(
        "curate", "picks.star", "labels.star", "-o", "c.star", "--rejected", "mine.star", code=2
    )
    assert "mine.star: exists already" in done.stderr
    assert (project / "mine.star").read_text() == "precious"
    assert not (project / "c.star").exists()


def test_truth_of_the_real_tomograms_scores_1(data_folder, slabkit):
    truth = data_folder / "tomograms" / "truth.csv"
    report = json.loads(slabkit("score", truth, truth, "--json").stdout)
    assert report["weighted_f_beta"] == 1
    assert report["total"]["recall"] == 1


def test_a_quality_without_auto_is_not_passed_over(project, slabkit):
    done = slabkit(
        "label", "good.csv", "--minislabs", "minislabs.star", "--quality", "0.3", "-o", "l.star",
        code=2,
    )  # fmt: skip
    assert "--quality is for --auto; give both, or choose by --classes." in done.stderr
    assert not (project / "l.star").exists()
