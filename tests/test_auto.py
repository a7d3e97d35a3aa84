"""`slabkit auto` and the defaults that it stands on (issue 13, item 1)."""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from command_line import run_in_process

import slabkit as package
from slabkit.arrays.density_maps import map_diameter
from slabkit.errors import SlabkitWarning
from slabkit.formats.tables.classification import read_classes
from slabkit.formats.tables.native import (
    read_labels,
    read_minislabs,
    read_native_picks,
    write_picks,
)
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.picking.thresholds import fit_threshold
from slabkit.steps.auto import Options, commands
from slabkit.steps.classify import default_classes
from slabkit.steps.shared.maps import read_map
from slabkit.steps.shared.thresholds import ThresholdChoice, limit_picks

TYPED = ("auto", "tomograms", "--diameter", "100:350", "-o", "made")


@pytest.mark.parametrize(
    "options",
    [
        Options(
            ("a b/*.mrc", "c.mrc"), "out put", (100.0, 350.0), voxel_size=7.3, contrast="bright"
        ),
        Options(("tomograms",), "", (120.0, 120.0)),
        Options(("t",), "o", maps=(("ribosome", "a b.mrc"), ("", "other.mrc"))),
        Options(("t",), "o", (90.0, 150.0), (("ring", "other.mrc"),), (-60.0, 50.5)),
        Options(("t",), "o", maps=(("ring", "other.mrc"),), tilt_range=None),
    ],
)
def test_auto_runs_the_commands_that_it_prints(monkeypatch, tmp_path, options):
    import slabkit.cli.commands as cli
    from slabkit.cli import running

    monkeypatch.chdir(tmp_path)
    for name, side in (("a b", 12), ("other", 8)):
        density = np.pad(np.ones((side,) * 3, dtype=np.float32), 8)
        write_mrc(f"{name}.mrc", density, 10.0, label="test")
    typed = []
    monkeypatch.setattr(running, "execute", lambda run, options, **_: typed.append((run, options)))
    for command in commands(options):
        cli.app(shlex.split(command.line), standalone_mode=False)
    made = commands(options)
    assert typed == [(command.run, command.options) for command in made]
    if not options.diameter:
        sizes = [map_diameter(*read_map(path), lowpass=40.0) for _, path in options.maps]
        assert made[1].options.diameter == (round(min(sizes)), round(max(sizes)))
    if len(options.maps) == 2:
        assert "--map other=other.mrc" in made[5].line


def test_auto_needs_something_to_look_for(slabkit, tmp_path):
    done = slabkit("auto", "tomograms", "-o", "made", code=2)
    assert "--diameter MIN:MAX in Å, or --map NAME=MAP.mrc" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def first(tour, tmp_path_factory):
    """What `auto` made of the tour's tomograms, and what it said."""
    folder = tmp_path_factory.mktemp("auto")
    os.symlink(tour / "tomograms", folder / "tomograms")
    return folder, run_in_process(*TYPED, cwd=folder).stderr


@pytest.fixture
def made(first, tmp_path):
    """A copy of it, with its times."""
    shutil.copytree(first[0], tmp_path, symlinks=True, dirs_exist_ok=True)
    return tmp_path / "made"


def test_auto_makes_a_list_and_a_page(first, tour):
    folder, said = first
    assert [line for line in said.splitlines() if line.startswith("$ ")] == [
        f"$ slabkit {command.line}"
        for command in commands(Options(("tomograms",), "made", (100.0, 350.0)))
    ]
    page = (folder / "made" / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") >= 4
    assert "of the true particles found" not in page
    truth = package.read_picks(tour / "tomograms" / "truth.star").picks
    curated = package.read_picks(folder / "made" / "curated.star").picks
    assert package.score_picks(curated, truth).total["f_beta"] > 0.85


def test_an_interrupted_chain_says_what_is_kept(slabkit, made, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("slabkit.steps.curate.run", interrupted)
    said = slabkit(*TYPED, code=130).stderr
    assert "kept: made/slabs/slabs.star, made/picks2d.star, " in said
    assert ", made/labels.star; the same command goes on from there.\n" in said


def test_auto_goes_on_where_it_stopped(slabkit, made):
    files = {path: path.stat().st_mtime_ns for path in made.rglob("*") if path.is_file()}
    assert slabkit(*TYPED).stderr.count("finished already") == 9
    (made / "labels.star").unlink()
    again = slabkit(*TYPED)
    assert again.stderr.count("finished already") == 8  # the labels are the same again
    changed = {path.name for path, time in files.items() if path.stat().st_mtime_ns != time}
    assert changed == {"labels.star", "labels.star.json"}
    other = slabkit(*TYPED[:3], "100:300", *TYPED[4:], code=2)
    assert "slabkit pick blob" in other.stderr
    assert "made otherwise: diameter" in other.stderr


def test_auto_that_finds_nothing_ends_with_an_empty_list_and_a_page(slabkit, tmp_path):
    for name in ("a", "b"):
        blank = np.ones((40, 80, 80), dtype=np.float32)
        write_mrc(tmp_path / f"{name}.mrc", blank, 10.0, label="test")
    typed = ("auto", "a.mrc", "b.mrc", "--diameter", "100:350", "-o", "made")
    assert "no picks in any tomogram" in slabkit(*typed).stderr
    curated = read_native_picks(tmp_path / "made" / "curated.star")
    assert not len(curated.picks)
    assert curated.tomograms["slabkitTomogram"].tolist() == ["a", "b"]
    page = (tmp_path / "made" / "report.html").read_text(encoding="utf-8")
    assert "<b>0</b><span>picks in 3D" in page
    assert slabkit(*typed).stderr.count("finished already") == 6


@pytest.mark.parametrize(
    ("images", "classes"), [(1, 1), (3, 3), (30, 5), (191, 12), (624, 39), (10**6, 100)]
)
def test_the_number_of_classes_follows_from_the_images(images, classes):
    assert default_classes(images) == classes


def test_box_and_depth_follow_from_the_diameters(slabkit, tour, tmp_path):
    os.symlink(tour / "tomograms", tmp_path / "tomograms")
    picks = read_native_picks(tour / "picks.star")
    picks.picks["slabkitDiameter"] = np.linspace(101.0, 201.0, len(picks.picks))
    write_picks(tmp_path / "p.star", picks)
    for options, box, depth in (
        ((), 261.0, 196.0),
        (("--box", 300), 300.0, 196.0),
        (("--depth", 250), 261.0, 250.0),
    ):
        slabkit("minislab", "p.star", "-o", f"m{len(options)}{depth:.0f}", *options, cwd=tmp_path)
        _, geometry = read_minislabs(tmp_path / f"m{len(options)}{depth:.0f}" / "minislabs.star")
        row = geometry.iloc[0]
        assert (float(row["slabkitBox"]), float(row["slabkitDepth"])) == (box, depth)
    # Few large ones are cut off, which is said with how many they are.
    picks.picks["slabkitDiameter"] = [480.0, 400.0, *[210.0] * (len(picks.picks) - 2)]
    write_picks(tmp_path / "large.star", picks)
    done = slabkit("minislab", "large.star", "-o", "cut", cwd=tmp_path)
    assert (
        f"2 of {len(picks.picks)} picks, of up to 480 Å, are cut off by the box of 280 Å; "
        "--box 640 shows all whole"
    ) in " ".join(done.stderr.split())
    done = slabkit("minislab", "large.star", "-o", "whole", "--box", 640, cwd=tmp_path)
    assert "cut off" not in done.stderr
    picks.picks["slabkitDiameter"] = np.nan
    write_picks(tmp_path / "q.star", picks)
    done = slabkit("minislab", "q.star", "-o", "none", code=2)
    assert "the picks have no diameter, so no box follows; give --box and --depth" in done.stderr


@pytest.fixture
def judged(made):
    """The list of `auto`, with scores that have nothing to do with the classes."""
    picks = read_native_picks(made / "picks.star")
    picks.picks["slabkitScore"] = np.geomspace(2, 30, len(picks.picks))
    write_picks(made.parent / "p.star", picks)
    return picks


LABEL = ("label", "made/classes/classified.star", "--minislabs", "made/minislabs/minislabs.star")


@pytest.mark.parametrize(
    ("kind", "start", "of_quality", "of_score"),
    [("blob-rims", -4.32, 0.83, 2.08), ("template", -11.25, 0.58, 6.31)],
)
def test_label_auto_weighs_classes_and_scores(
    slabkit, judged, tmp_path, kind, start, of_quality, of_score
):
    judged.picks["slabkitScoreKind"] = kind
    write_picks(tmp_path / "p.star", judged)
    quality = read_classes(tmp_path / "made" / "classes" / "classes.star")
    for least, option in ((0.08, ()), (0.5, ("--quality", 0.5))):
        slabkit(*LABEL, "--auto", *option, "--picks", "p.star", "-o", f"l{least}.star")
        labels = read_labels(tmp_path / f"l{least}.star").set_index("slabkitPickId")
        share = labels["slabkitClass"].map(quality).clip(0.1, 0.9)
        score = judged.picks.set_index("slabkitPickId")["slabkitScore"][labels.index]
        odds = start + of_quality * np.log(share / (1 - share)) + of_score * np.log(score)
        accepted = labels["slabkitDecision"] == "accepted"
        assert accepted.any()
        assert not accepted.all()
        assert accepted.tolist() == (1 / (1 + np.exp(-odds)) >= least).tolist()


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        (("--classes", "1"), None, "--picks is for --auto"),
        (("--auto",), "kind", "of the kind 'topaz' and not all of one kind"),
        (("--auto",), "two kinds", "of several pickers and not all of one kind"),
        (("--auto",), "fewer", "minislabs are of picks that it does not have"),
    ],
)
def test_label_auto_refuses_other_scores(slabkit, judged, tmp_path, options, change, message):
    if change == "kind":
        judged.picks["slabkitScoreKind"] = "topaz"
    elif change == "two kinds":
        judged.picks.loc[0, "slabkitScoreKind"] = "template"
    elif change == "fewer":
        judged = replace(judged, picks=judged.picks[1:].reset_index(drop=True))
    write_picks(tmp_path / "p.star", judged)
    done = slabkit(*LABEL, *options, "--picks", "p.star", "-o", "labels.star", code=2)
    assert message in done.stderr


def test_a_tomogram_that_the_fit_does_not_suit_is_named():
    rng = np.random.default_rng(0)
    scores = np.concatenate([1 + rng.exponential(1.0, 4000), rng.lognormal(2.1, 0.4, 300)])
    fit = fit_threshold(scores)
    assert fit.suits(1 + rng.exponential(1.0, 300))
    assert fit.suits(1 + rng.exponential(1.0, 20))
    assert not fit.suits(1 + rng.exponential(3.0, 400))
    assert not fit.suits(1 + rng.exponential(0.4, 400))


def test_the_tomograms_that_the_fit_does_not_suit_are_named():
    rng = np.random.default_rng(0)

    def peaks(scale, standing_out):
        scores = np.append(1 + rng.exponential(scale, 1500), rng.lognormal(2.1, 0.4, standing_out))
        table = pd.DataFrame({"rlnAutopickFigureOfMerit": scores})
        return table.assign(rlnMicrographName="slab.mrc")

    parts = {"a": peaks(1, 100), "b": peaks(1, 0), "odd": peaks(0.3, 0), "c": peaks(1, 200)}
    work = SimpleNamespace(summary={})
    with pytest.warns(SlabkitWarning, match="the scores of odd are distributed otherwise"):
        limit_picks(work, parts, None, ThresholdChoice(None, 2.0), None, None)
    assert work.summary["not_fitted"] == ["odd"]
