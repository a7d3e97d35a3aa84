"""`slabkit report`: what is in a folder is found, counted and shown (issue 13, item 2)."""

from __future__ import annotations

import json
import os
import re
import shutil

import numpy as np
import pytest
from command_line import run_in_process, run_script
from test_inspect import in_browser

import slabkit as package
from slabkit.formats.tables.native import (
    PickList,
    read_native_picks,
    read_slabs,
    write_picks,
    write_slabs,
)
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.scoring import match_picks
from slabkit.tables import PICKS, SLABS, TOMOGRAMS, make_table

CURATION = """
slabkit classify minislabs/minislabs.star -o classes --iterations 8
slabkit label said.csv --minislabs minislabs/minislabs.star --author kim --round one -o labels.star
slabkit curate picks.star labels.star -o curated.star --rejected rejected.star
"""


def linked(source, target):
    """Copy a file, without copying volumes and images."""
    return (os.link if source.endswith((".mrc", ".mrcs")) else shutil.copy2)(source, target)


@pytest.fixture(scope="module")
def curated(tour, tmp_path_factory):
    """The tour, with labels of a person who names two species, rejects and leaves some out."""
    folder = tmp_path_factory.mktemp("curated")
    shutil.copytree(tour, folder, dirs_exist_ok=True, copy_function=linked)
    picks = read_native_picks(folder / "picks.star").picks
    said = [
        f"{name},{'rejected' if score < 6 else 'accepted'},"
        f"{'ribosome' if diameter > 200 else 'apo-ferritin'}"
        for name, score, diameter in zip(
            picks["slabkitPickId"],
            picks["slabkitScore"],
            picks["slabkitDiameter"],
            strict=True,
        )
        if score > 4
    ]
    lines = ["pick_id,decision,species", *said]
    (folder / "said.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    run_script(CURATION, folder)
    return folder


@pytest.fixture
def project(curated, tmp_path):
    shutil.copytree(curated, tmp_path, dirs_exist_ok=True, copy_function=linked)
    return tmp_path


def report(slabkit, *arguments, folder="."):
    """The counts that the command gives, and the page."""
    counts = json.loads(slabkit("report", folder, *arguments, "--json").stdout)
    out = tmp_path_of(slabkit) / counts["out"]
    return counts, out.read_text(encoding="utf-8")


def tmp_path_of(slabkit):
    """The folder in which the fixture runs commands."""
    return slabkit.__kwdefaults__["cwd"]


def bars(page, title):
    """The numbers after the bars of a chart, by the names before them."""
    svg = next(one for one in re.findall(r"<svg.*?</svg>", page, re.S) if f">{title}</text>" in one)
    names = re.findall(r'text-anchor="end">([^<]*)<', svg)
    numbers = re.findall(r'text-anchor="start">([\d,]+)<', svg)
    return dict(zip(names, (int(n.replace(",", "")) for n in numbers), strict=True))


def marks(page, section):
    """Classes of the marks in a section."""
    part = page.split(f"<h2>{section}</h2>", 1)[1].split("<h2>", 1)[0]
    return re.findall(r'class="mark ([^"]*)"', part)


def test_numbers_are_those_of_the_tables(slabkit, project):
    picks = read_native_picks(project / "picks.star").picks
    curated = read_native_picks(project / "curated.star").picks
    labelled = (project / "said.csv").read_text(encoding="utf-8").count("\n") - 1
    truth = package.read_picks(project / "tomograms" / "truth.star").picks
    score = package.score_picks(curated, truth)
    counts, page = report(slabkit)
    assert (counts["picks"], counts["accepted"]) == (len(picks), len(curated))
    assert counts["recall"] == score.total["recall"]
    assert bars(page, "From hits to particles") == {
        "hits on slabs": len(package.read_picks2d(project / "picks2d.star")),
        "picks in 3D": len(picks),
        "labelled": labelled,
        "accepted": len(curated),
        "accepted and right": score.total["true_positives"],
    }
    assert labelled < len(picks)
    named = bars(page, "Picks by species and decision")
    for name in ("ribosome", "apo-ferritin"):
        assert named[name] == (curated["slabkitSpecies"] == name).sum()
    tiles = marks(page, "Minislabs")
    assert len(tiles) == len(picks)
    assert sum("accepted" in one for one in tiles) == len(curated)
    pairs = match_picks(curated, truth)
    assert sum("accepted" in one and "right" in one for one in tiles) == len(pairs)
    missed = int(score.total["false_negatives"])
    assert f" of {missed} true particles that have no accepted pick" in page
    assert len(marks(page, "Missed particles")) == min(missed, 24)
    assert page.count("<b>Class ") == len(package.read_picks(project / "picks.star").picks) // 16
    row = re.search(r"<tr><td>all</td>(.*?)</tr>", page)[1]
    true, given, right, dropped, otherwise, never = (
        int(cell) for cell in re.findall(r"<td>(\d+)</td>", row)
    )
    assert (true, given, right) == (len(truth), len(curated), len(pairs))
    assert right + dropped + otherwise + never == true
    nameless = match_picks(curated.assign(slabkitSpecies=""), truth)
    assert right + otherwise == len(nameless) > right
    assert "score (standard deviations)" in page
    assert {"decision", "species", "truth"} == set(re.findall(r'data-colour="(\w+)"', page))
    assert "Not in this folder" not in page


def test_names_and_records_do_not_matter(slabkit, project):
    """The same tables in one folder, by other names, without records and without volumes."""
    first, page = report(slabkit)
    flat = project / "flat"
    flat.mkdir()
    tables = ["slabs/slabs", "minislabs/minislabs", "classes/classes", "classes/classified"]
    tables += ["picks2d", "picks", "labels", "curated", "rejected"]
    for number, name in enumerate(tables):
        shutil.copy(project / f"{name}.star", flat / f"{'ihgfedcba'[number]} table.star")
    for image in [*project.glob("*slabs/*.mrc*"), project / "classes" / "classes.mrcs"]:
        shutil.copy(image, flat)
    for name in ("slabs", "minislabs", "classes", "tomograms"):
        shutil.move(project / name, project.parent / f"{project.name}-{name}")
    truth = project.parent / f"{project.name}-tomograms" / "truth.star"
    again, other = report(slabkit, "--truth", truth, folder="flat")
    assert {**again, "out": ""} == {**first, "out": "", "warnings": again["warnings"]}
    for section in ("Slabs and picks", "Minislabs", "Missed particles"):
        assert sorted(marks(other, section)) == sorted(marks(page, section))
    assert bars(other, "From hits to particles") == bars(page, "From hits to particles")
    assert "The volume of 2 of 2 tomograms is not where the pick list says" in other
    assert "<h2>Depth</h2>" in page
    assert "<h2>Depth</h2>" not in other


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (("slabs", "picks2d.star"), "slabkit map ./picks2d.star --slabs"),
        (("slabs",), "slabkit pick blob slabs/slabs.star -o picks2d.star --diameter MIN:MAX"),
        (("picks.star",), "slabkit minislab picks.star -o minislabs --stack"),
        (("minislabs",), "slabkit classify minislabs/minislabs.star -o classes"),
        (("classes", "picks.star"), "--classes 1-7,12 -o labels.star"),
        (("labels.star", "picks.star"), "slabkit curate picks.star labels.star -o curated.star"),
        (("curated.star",), "slabkit report . --truth TRUTH.csv"),
    ],
)
def test_what_is_missing_is_said_with_its_command(slabkit, project, kept, said):
    for path in project.iterdir():
        if path.name.removesuffix(".json") not in (*kept, "tomograms"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for truth in (project / "tomograms").glob("truth.*"):
        truth.unlink()
    _, page = report(slabkit)
    assert said.replace("./", "") in page
    assert page.startswith("<!doctype html>")


def test_a_second_round_decides(slabkit, project):
    """What a later list left out is not accepted, though an earlier one holds it."""
    curated = read_native_picks(project / "curated.star").picks["slabkitPickId"]
    said = "".join(f"{name},rejected\n" for name in curated[::3])
    (project / "second.csv").write_text("pick_id,decision\n" + said, encoding="utf-8")
    tiles = ("--minislabs", "minislabs/minislabs.star", "--round", "two", "-o", "second.star")
    slabkit("label", "second.csv", *tiles)
    slabkit("curate", "curated.star", "second.star", "-o", "final.star")
    counts, page = report(slabkit)
    assert counts["accepted"] == len(curated) - len(curated[::3])
    assert bars(page, "Labels by author and round")["(no author), two"] == len(curated[::3])


def test_a_list_in_which_nothing_is_accepted(slabkit, project):
    labels = project / "labels.star"
    labels.write_text(labels.read_text(encoding="utf-8").replace("accepted", "rejected"))
    slabkit("curate", "picks.star", "labels.star", "-o", "curated.star", "--overwrite")
    (project / "rejected.star").unlink(missing_ok=True)
    counts, page = report(slabkit)
    assert (counts["accepted"], counts["recall"], counts["precision"]) == (0, 0, None)
    funnel = bars(page, "From hits to particles")
    assert (funnel["accepted"], funnel["accepted and right"]) == (0, 0)
    assert ">0%</b><span>of the true particles found" in page
    assert not re.search(r"\bnan\b", re.sub(r"base64,[^\"]*", "", page))


def test_merged_lists_count_each_particle_once(slabkit, project):
    picks = read_native_picks(project / "picks.star")
    moved = picks.picks[:20].assign(slabkitPickId=[f"other-{n}" for n in range(20)])
    write_picks(project / "other.star", PickList(moved, picks.tomograms))
    slabkit("merge", "picks.star", "other.star", "-o", "merged.star", "--distance", "20")
    merged = read_native_picks(project / "merged.star").picks
    _, page = report(slabkit)
    funnel = bars(page, "From hits to particles")
    assert funnel["picks before merging lists"] == len(picks.picks) + 20
    assert funnel["picks in 3D"] == len(merged) == len(picks.picks)


HOSTILE = "</svg><script>alert('1')</script>"


@pytest.fixture
def many(tmp_path):
    """Forty tomograms with a slab and a pick each; one is gone, one has a bad name."""
    names = [f"t{number:02d}" for number in range(39)] + ['z<b>"&']
    side = {"slabkitTomogramSizeX": 40, "slabkitTomogramSizeY": 40, "slabkitTomogramSizeZ": 10}
    where = [f"{number}.mrc" for number in range(40)]
    rng = np.random.default_rng(0)
    for name in where[1:]:
        write_mrc(tmp_path / name, rng.normal(0, 1, (40, 40)).astype(np.float32), 10.0, label="t")
    same = {"slabkitVoxelSize": 10.0, "slabkitTomogramContrast": "dark", **side}
    slabs = {"rlnMicrographName": where, "rlnTomoName": names, "slabkitZStart": 0}
    slabs |= {"slabkitZCount": 10, "slabkitContrast": "dark", **same}
    write_slabs(tmp_path / "slabs.star", make_table(SLABS, slabs))
    picks = {
        "slabkitPickId": [f"p{number}" for number in range(40)],
        "slabkitTomogram": names,
        "slabkitX": 200.0,
        "slabkitY": 200.0,
        "slabkitZ": 50.0,
        "slabkitSpecies": HOSTILE,
        "slabkitScoreKind": "<i>kind</i>",
        "slabkitScore": rng.normal(5, 1, 40),
    }
    tomograms = make_table(TOMOGRAMS, {"slabkitTomogram": names, **same})
    write_picks(tmp_path / "p.star", PickList(make_table(PICKS, picks), tomograms))
    return tmp_path


def test_many_tomograms_hostile_names_and_images_that_are_gone(slabkit, many):
    assert len(read_slabs(many / "slabs.star")) == 40
    counts, page = report(slabkit)
    assert (counts["tomograms"], counts["picks"], counts["accepted"]) == (40, 40, 0)
    assert {"decision", "species"} == set(re.findall(r'data-colour="(\w+)"', page))
    assert page.count("data:image/jpeg;base64,") == 11
    assert "11 of the 40 slabs, from 12 of 40 tomograms" in page
    assert "A slab cannot be shown: 0.mrc: " in page
    assert page.count("<script") == 1
    for bad in ("<b>&quot;", 'z<b>"', "<i>kind", "</svg><script"):
        assert bad not in page
    for good in ("z&lt;b&gt;&quot;&amp;", "&lt;script&gt;alert(&#x27;1&#x27;)", "score (&lt;i&gt;"):
        assert good in page


def test_the_truth_that_a_folder_names(slabkit, project):
    shutil.move(project / "tomograms", project.parent / f"{project.name}-elsewhere")
    truth = project.parent / f"{project.name}-elsewhere" / "truth.star"
    assert "recall" not in report(slabkit)[0]
    slabkit("convert", "--plain", truth, "truth.csv")
    named = report(slabkit)[0]
    (project / "truth.csv").rename(project / "known.csv")
    (project / "truth.csv.json").unlink()
    slabkit("score", "curated.star", "known.csv", "--curve", "curve.csv")
    assert report(slabkit)[0]["recall"] == named["recall"] > 0
    lines = (project / "known.csv").read_text(encoding="utf-8").splitlines()
    others = [line.replace("sim_001", "else") for line in lines if "sim_002" not in line]
    (project / "known.csv").write_text("\n".join(others) + "\n", encoding="utf-8")
    done = slabkit("report", ".", "--truth", "known.csv", code=2)
    assert "has no particle in the tomograms of the project" in done.stderr
    _, page = report(slabkit)
    assert "The picks are not compared with the truth: known.csv" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "nowhere: is no folder"),
        (("empty",), "empty: holds no table that a command of slabkit wrote"),
        ((".", "-o", "page.txt"), "page.txt: report writes a page; name it .html"),
        ((".", "--truth", "none.csv"), "none.csv: cannot be read"),
        ((".", "--truth", "t.csv"), "truth: no radius is known for the species odd"),
    ],
)
def test_errors(slabkit, many, arguments, message):
    (many / "empty").mkdir()
    (many / "t.csv").write_text("tomogram,species,x,y,z\nt01,odd,1,2,3\n", encoding="utf-8")
    before = sorted(many.iterdir())
    assert message in slabkit("report", *arguments, code=2).stderr
    assert sorted(many.iterdir()) == before


def test_a_page_is_made_again_when_what_it_shows_has_changed(slabkit, project):
    _, first = report(slabkit)
    assert report(slabkit)[0]["status"] == "skipped"
    run_in_process("report", project.name, cwd=project.parent)  # by other names
    slabkit("report", ".", "--overwrite")
    assert (project / "report.html").read_text(encoding="utf-8") == first
    (project / "labels.star").unlink()
    assert report(slabkit)[0]["status"] == "done"
    (project / "report.html").write_text("mine", encoding="utf-8")
    assert "was changed since it was made" in slabkit("report", ".", code=2).stderr


def test_pictures_are_enlarged_and_coloured_in_a_browser(slabkit, project):
    report(slabkit)
    page = project / "report.html"
    plain = in_browser(page, "", project)
    assert "<dialog>" in plain
    figures = plain.count('role="button"')
    assert figures == plain.count("<figure ") > 8
    script = """
        const figures = document.querySelectorAll("figure.zoom");
        const key = (name) => document.querySelector("dialog").dispatchEvent(
          new KeyboardEvent("keydown", {key: name}));
        figures[0].click();
        const first = document.querySelector(".stage svg").outerHTML;
        key("ArrowRight"); key("+"); key("+");
        document.querySelector("[data-colour=species]").click();
        document.querySelector("[data-marks=accepted]").click();
        document.title = [
          document.querySelectorAll(".stage > *").length,
          document.querySelector(".stage svg").outerHTML === first,
          document.querySelector(".stage svg").style.transform,
          document.documentElement.dataset.colour,
          document.documentElement.className,
          getComputedStyle(document.querySelector("main .mark.accepted")).display,
          document.querySelector(".bar p").textContent,
        ].join("|");"""
    title = re.search(r"<title>(.*?)</title>", in_browser(page, script, project))[1].split("|")
    assert title[:6] == [
        "1", "false", "translate(0px, 0px) scale(2.25)", "species", "hide-accepted", "none",
    ]  # fmt: skip
    assert "Å thick" in title[6]
