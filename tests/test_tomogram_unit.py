"""`slabkit tomogram`, `slabkit gather` and `--update` (issue 16, items 1, 3 and 5)."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from command_line import run_in_process
from small_tomograms import NAMES, write_small_tomograms

import slabkit as package
from slabkit.errors import SlabkitWarning
from slabkit.execution import parts
from slabkit.formats.tables.native import read_labels, read_native_picks
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.minislabs import filling
from slabkit.steps import map as map_step
from slabkit.steps.tomogram import Options, commands
from slabkit.tables import LABELS, PROBABILITY, empty_table, make_table
from slabkit.tomogram import Reading

TYPED = ("--diameter", "100:350")
MAPS = (("ribosome", "m.mrc"),)


@pytest.fixture(scope="module")
def set_of_six(tour, tmp_path_factory):
    """Six tomograms, what `slabkit tomogram` made of them, and one plain run over all."""
    folder = tmp_path_factory.mktemp("six")
    write_small_tomograms(tour / "tomograms" / "sim_001.mrc", folder / "data")
    for name in NAMES:
        run_in_process(
            "tomogram", f"data/{name}.mrc", "-o", f"tomograms/{name}", *TYPED, cwd=folder
        )
    for line in (
        "slab data -o slabs --step 150",
        "pick blob slabs/slabs.star -o picks2d.star --diameter 100:350 --threshold 1",
        "map picks2d.star --slabs slabs/slabs.star -o candidates.star",
        "gather candidates.star -o plain.star --threshold 2.5",
    ):
        run_in_process(*shlex.split(line), cwd=folder)
    return folder


@pytest.fixture
def six(set_of_six, tmp_path):
    shutil.copytree(set_of_six, tmp_path, dirs_exist_ok=True)
    return tmp_path


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "options",
    [
        Options("a b.mrc", "out put", (100.0, 350.0)),
        Options(
            "t.mrc",
            "o",
            (120.0, 120.0),
            z_range=(100.0, float("inf")),
            threshold=1.5,
            min_distance=90.0,
            max_ridge=1.0,
            mask=("m1", "m 2"),
            pixel_size=12.0,
            contrast="bright",
            reading=Reading(voxel_size=7.3, axis_order="yzx", uint8=False, half="sum"),
        ),
        Options(
            "t.mrc", "o", maps=MAPS, picker="template", tilt_range=(-60.0, 51.5), threshold=1.0
        ),
        Options("t.mrc", "o", maps=MAPS, picker="template", refine=True),
        Options("t.mrc", "o", maps=MAPS, box=400.0, depth=300.0, step=75.0),
        Options("t.mrc", "o", (90.0, 150.0), MAPS, tilt_range=None, threshold=1.5),
    ],
)
def test_the_unit_runs_the_commands_that_it_prints(monkeypatch, tmp_path, options):
    import slabkit.cli.commands as cli
    from slabkit.cli import running

    monkeypatch.chdir(tmp_path)
    write_mrc("m.mrc", np.pad(np.ones((12,) * 3, np.float32), 8), 10.0, label="test")
    typed = []
    monkeypatch.setattr(running, "execute", lambda run, options, **_: typed.append((run, options)))
    for command in commands(options):
        cli.app(shlex.split(command.line), standalone_mode=False)
    assert typed == [(command.run, command.options) for command in commands(options)]


def test_picks_and_counts_are_those_of_the_commands_over_all_tomograms(slabkit, six):
    slabkit("gather", "tomograms/*", "-o", "picks.star", "--threshold", 2.5)
    made = (six / "picks.star").read_text()
    for name in NAMES:
        made = made.replace(f"tomograms/{name}/slabs/", "slabs/")
    assert made == (six / "plain.star").read_text()
    for name in NAMES:
        told = json.loads((six / "tomograms" / name / "done.json").read_text())
        picks = read_native_picks(six / "tomograms" / name / "picks.star").picks
        assert (told["status"], told["picks"], told["minislabs"]) == ("done", *[len(picks)] * 2)
        assert told["tomogram"] == name


def test_the_threshold_is_that_of_the_python_api_over_the_set(slabkit, six):
    done = slabkit("gather", "candidates.star", "-o", "auto.star", "--target-precision", 0.6)
    picks = package.read_picks(six / "candidates.star")
    fit = package.fit_threshold(picks.picks["slabkitScore"], precision=0.6)
    assert fit.separated
    assert f"gather: threshold {fit.threshold:.3f}".rstrip("0") in done.stderr
    assert f"expected false {fit.expected_false:.1f}".removesuffix(".0") in done.stderr
    kept = picks.picks[picks.picks["slabkitScore"] >= fit.threshold].reset_index(drop=True)
    package.write_picks(six / "api.star", package.PickList(kept, picks.tomograms))
    assert (six / "api.star").read_bytes() == (six / "auto.star").read_bytes()
    parts = [f"tomograms/{name}/picks.star" for name in NAMES]
    (six / "list.txt").write_text("\n".join(parts))
    slabkit("gather", "@list.txt", "-o", "parts.star", "--target-precision", 0.6)
    ids = [read_native_picks(six / name).picks["slabkitPickId"] for name in ("api.star",) * 2]
    assert ids[0].tolist() == ids[1].tolist()


def test_done_work_is_skipped_by_content_and_other_options_need_update(slabkit, six):
    typed = ("tomogram", "data/t1.mrc", "-o", "tomograms/t1")
    folder = six / "tomograms" / "t1"
    answer, before = (folder / "done.json").read_bytes(), times(folder)
    assert "skipped" in slabkit(*typed, *TYPED).stderr
    assert (folder / "done.json").read_bytes() == answer
    changed = {path.name for path, time in times(folder).items() if before[path] != time}
    assert changed == {"done.json"}
    refused = slabkit(*typed, *TYPED, "--threshold", 2, code=2)
    assert "made otherwise: threshold was 1.0, is 2.0" in refused.stderr
    assert not (folder / "done.json").exists()
    said = slabkit(*typed, *TYPED, "--threshold", 2, "--update").stderr
    assert said.count("finished already; skipped") == 1  # the slabs
    slabkit(*typed, *TYPED, "--update")
    assert (folder / "done.json").read_bytes() == answer


def contents(folder):
    """What a folder holds, but for records, which have the time."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path: path.read_bytes() for path in files if not path.name.endswith(".star.json")}


@pytest.mark.parametrize("missing", ["done.json", "picks.star", "minislabs/minislabs.star"])
def test_what_is_lost_is_made_again_with_the_same_bytes(slabkit, six, missing):
    before = contents(six / "tomograms" / "t2")
    (six / "tomograms" / "t2" / missing).unlink()
    slabkit("tomogram", "data/t2.mrc", "-o", "tomograms/t2", *TYPED)
    assert contents(six / "tomograms" / "t2") == before


def break_tomograms(folder):
    """Cut one volume short, take another away; run them again."""
    with (folder / "data" / "t3.mrc").open("r+b") as file:
        file.truncate(50_000)
    (folder / "data" / "t5.mrc").unlink()
    for name in ("t3", "t5"):
        typed = ("tomogram", f"data/{name}.mrc", "-o", f"tomograms/{name}", *TYPED, "--update")
        run_in_process(*typed, cwd=folder, code=2)


def test_bad_data_are_an_answer_and_what_may_pass_is_none(slabkit, six, monkeypatch):
    break_tomograms(six)
    for name, reason in (("t3", "t3.mrc"), ("t5", "there is no such file")):
        told = json.loads((six / "tomograms" / name / "done.json").read_text())
        assert (told["status"], told["picks"]) == ("failed", 0)
        assert told["error"].startswith(f"slabkit slab data/{name}.mrc: ")
        assert reason in told["error"]

    def full(*_):
        raise OSError(28, "No space left on device", "picks.star")

    monkeypatch.setattr(map_step, "_map", full)
    typed = ("tomogram", "data/t1.mrc", "-o", "tomograms/t1", *TYPED, "--update")
    slabkit(*typed, "--threshold", 2, code=75)
    assert not (six / "tomograms" / "t1" / "done.json").exists()


def test_failures_are_listed_and_too_many_stop(slabkit, six):
    break_tomograms(six)
    typed = ("gather", *(f"tomograms/{name}" for name in NAMES), "--threshold", 2.5)
    stopped = slabkit(*typed, "-o", "picks.star", code=2)
    assert "2 of 6 tomograms failed, more than --most-failed 0.1 allows" in stopped.stderr
    assert not (six / "picks.star").exists()
    (six / "tomograms" / "t6" / "done.json").unlink()
    said = slabkit(*typed, "-o", "picks.star", "--most-failed", 0.5, "--failed", "failed.csv")
    last = said.stderr.splitlines()
    assert [line.split(": ")[:2] for line in last[-4:-1]] == [
        ["left out", f"tomograms/{name}"] for name in ("t3", "t5", "t6")
    ]
    assert "left out 3 → picks.star" in last[-1]
    lines = (six / "failed.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in lines] == [
        "tomogram",
        *(f"tomograms/{name}" for name in ("t3", "t5", "t6")),
    ]
    assert "done.json" in lines[3]
    picks = read_native_picks(six / "picks.star")
    assert picks.tomograms["slabkitTomogram"].tolist() == ["t1", "t2", "t4"]
    slabkit("tomogram", "data/t6.mrc", "-o", "tomograms/t6", *TYPED)
    slabkit(*typed, "-o", "picks.star", "--most-failed", 0.5, "--failed", "failed.csv", "--update")
    assert len(read_native_picks(six / "picks.star").tomograms) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--threshold", 2, "--target-precision", 0.5), "both say where to cut"),
        (("--most-failed", 2), "--most-failed must be from 0 to 1, not 2"),
        (("plain.star",), "has the tomogram t1, which candidates.star has too"),
        (
            ("tomograms/t1", "--names", "n.star"),
            "names.star: is not there; slabkit tomogram --map makes it",
        ),
        (("odd.star",), "odd.star: its columns are not those of candidates.star"),
        (("other.star",), "of the kind blob-rims and topaz; give --threshold"),
    ],
)
def test_gather_refuses(slabkit, six, options, message):
    one = read_native_picks(six / "tomograms" / "t1" / "picks.star")
    one.tomograms["slabkitTomogram"] = one.picks["slabkitTomogram"] = "another"
    package.write_picks(
        six / "odd.star",
        package.PickList(
            one.picks.drop(columns=["rlnMicrographName", "rlnAnglePsi"]),
            one.tomograms,
        ),
    )
    one.picks["slabkitScoreKind"] = "topaz"
    package.write_picks(six / "other.star", one)
    done = slabkit("gather", "candidates.star", *options, "-o", "x.star", code=2)
    assert message in done.stderr
    assert not (six / "x.star").exists()


def write_names(folder, *species):
    """What `slabkit tomogram --map` leaves, of two picks, or of none."""
    ids = read_native_picks(folder / "picks.star").picks["slabkitPickId"][:2]
    names = empty_table(LABELS)
    if species:
        shares = {f"{PROBABILITY}{one}": [0.5, 0.25] for one in species}
        told = {"slabkitPickId": ids, "slabkitDecision": ["accepted", "rejected"], **shares}
        names = make_table(LABELS, told | {"slabkitSource": "model:maps"})
    package.write_labels(folder / "names.star", names)
    return read_labels(folder / "names.star")


def test_gather_puts_the_names_of_what_it_keeps_together(slabkit, six):
    folders = [six / "tomograms" / name for name in NAMES[:4]]
    told = [write_names(one, *two) for one, two in zip(folders, ((), "ab", (), "ab"), strict=True)]
    typed = ("gather", *folders, "--names", "names.star", "-o", "x.star", "--threshold")
    slabkit(*typed, 0)
    table = pd.concat([told[1], told[3]], ignore_index=True)
    pd.testing.assert_frame_equal(read_labels(six / "names.star"), table)
    assert "skipped" in slabkit(*typed, 0).stderr
    scores = read_native_picks(six / "x.star").picks.set_index("slabkitPickId")["slabkitScore"]
    scores = scores[table["slabkitPickId"]]
    slabkit(*typed, scores.median(), "--update")
    kept = table[(scores >= scores.median()).to_numpy()].reset_index(drop=True)
    pd.testing.assert_frame_equal(read_labels(six / "names.star"), kept)
    slabkit("gather", *folders[:1], "--names", "none.star", "-o", "y.star", "--threshold", 0)
    assert len(read_labels(six / "none.star")) == 0
    write_names(folders[3], "a", "c")
    done = slabkit(*typed, 0, "--update", code=2)
    assert "t4/names.star: was made with other maps than" in done.stderr


GALLERIES = ("minislab", "plain.star", "--stack", "--tiles", "4x5", "--png")


def test_reused_minislabs_are_those_of_one_run(slabkit, six):
    slabkit(*GALLERIES, "--box", 467, "--depth", 350, "--border", 20, "-o", "made")
    made = contents(six / "made")
    for source in ("tomograms/*", "tomograms/*/minislabs/minislabs.star"):
        slabkit(*GALLERIES, "--border", 20, "-o", "again", "--reuse", source, "--overwrite")
        again = {six / "made" / path.name: data for path, data in contents(six / "again").items()}
        table = six / "made" / "minislabs.star"
        again[table] = again[table].replace(b"again/", b"made/")
        assert again == made


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("tomograms/t1", "--reuse", "tomograms/t2"),
            "t3 and 3 more tomograms: no table of --reuse has",
        ),
        (("tomograms/*", "--box", 300), "--box is 300 Å, and 467 Å in the minislabs of --reuse"),
        (("tomograms/*", "--diameter", 200), "those of --reuse are normalised"),
        (("tomograms/*", "--tilts", "0,10"), "has no minislab of pick t1-"),
        (("tomograms/*", "--tomograms", "data"), "leave it or --reuse out"),
        (("tomograms/*", "--reuse", "other/minislabs.star"), "slabkitDepth is 300.0, and 350.0"),
        (("none/minislabs.star",), "has no stacks; make the minislabs with --stack"),
    ],
)
def test_minislabs_that_cannot_be_reused(slabkit, six, options, message):
    one = ("minislab", "tomograms/t1/picks.star", "--box", 467)
    slabkit(*one, "--depth", 300, "--stack", "-o", "other")
    slabkit(*one, "--depth", 350, "-o", "none")
    done = slabkit(*GALLERIES, "-o", "again", "--reuse", *options, code=2)
    assert message in done.stderr
    assert not (six / "again").exists()


def test_minislabs_do_not_depend_on_jobs(slabkit, six, monkeypatch):
    monkeypatch.setattr(filling, "_WINDOW_BYTES", 100_000)  # several windows
    found = []
    for jobs in (1, 3):
        slabkit(*GALLERIES, "-o", "made", "--jobs", jobs, "--overwrite")
        found.append(contents(six / "made"))
    assert found[0] == found[1]


LONG = {
    "slab": "slab data/t1.mrc data/t2.mrc data/t3.mrc data/t4.mrc data/t5.mrc data/t6.mrc -o new",
    "pick": "pick blob slabs/slabs.star -o new.star --diameter 100:350 --threshold 1",
    "map": "map picks2d.star --slabs slabs/slabs.star -o new.star",
    "minislab": "minislab plain.star --stack --tiles 4x5 --tilts 0,9 --box 467 --depth 350 -o new",
}
# Ends the process without warning, as the third part is kept.
DIES = """
import os, signal
from slabkit.cli.main import main
from slabkit.errors import SlabkitWarning
from slabkit.execution import parts
keep, kept = parts.Parts.keep, []
def count(self, item, told):
    keep(self, item, told)
    kept.append(item)
    if len(kept) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
parts.Parts.keep, parts._WORTH = count, 0
main()
"""


@pytest.mark.parametrize("name", LONG)
def test_a_run_over_many_tomograms_that_was_killed_goes_on(slabkit, six, monkeypatch, name):
    typed = shlex.split(LONG[name])
    slabkit(*typed)
    result = six / typed[typed.index("-o") + 1]
    whole = contents(result) if result.is_dir() else result.read_bytes()
    shutil.move(result, six / "unbroken")
    for record in six.glob("new.star.json"):
        record.unlink()
    ended = subprocess.run([sys.executable, "-c", DIES, *typed], cwd=six, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    table = {"minislab": result / "minislabs.star", "slab": result / "slabs.star"}
    assert not table.get(name, result).exists()
    made = []
    keep = parts.Parts.keep
    monkeypatch.setattr(parts, "_WORTH", 0)
    monkeypatch.setattr(parts.Parts, "keep", lambda *told: made.append(told[1]) or keep(*told))
    slabkit(*typed)
    every = len(NAMES) if name != "minislab" else len(list(result.glob("*.mrc")))
    assert len(made) == every - 3
    assert every > 3
    assert (contents(result) if result.is_dir() else result.read_bytes()) == whole
    assert not [path.name for path in six.rglob(".*")]


def test_parts_of_other_work_are_not_used(slabkit, six, monkeypatch):
    typed = shlex.split(LONG["pick"])
    subprocess.run([sys.executable, "-c", DIES, *typed], cwd=six, capture_output=True)
    made = []
    monkeypatch.setattr(parts.Parts, "keep", lambda self, item, told: made.append(item))
    monkeypatch.setattr(parts, "_WORTH", 0)
    slabkit(*typed[:-1], 1.5)
    assert len(made) == len(NAMES)
    assert not [path.name for path in six.rglob(".*")]


def test_files_of_a_killed_run_count_while_they_are_as_it_left_them(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "_WORTH", 0)
    path, said, written = tmp_path / "a.mrc", ["before"], []

    def write():
        written.append(path.write_text("slab"))
        said.append("is constant")

    def make():
        parts.Parts(tmp_path / "slabs.star", "options").files("t", [path], write, said)

    make()
    with pytest.warns(SlabkitWarning, match="^is constant$") as caught:
        make()
    assert (len(caught), len(written)) == (1, 1)
    for change in (lambda: path.write_text("changed"), path.unlink):
        change()
        make()
    assert len(written) == 3


def test_lists_of_files_may_be_in_files(slabkit, six):
    parts = [f"tomograms/{name}/picks.star" for name in NAMES]
    (six / "list.txt").write_text("# all\n" + "\n".join(parts[:2]) + "\n\n@rest.txt\n")
    (six / "rest.txt").write_text("tomograms/t[3-6]/picks.star\n")
    (six / "@odd.star").write_bytes((six / "plain.star").read_bytes())
    merged = ("merge", "--distance", 0, "-o")
    slabkit(*merged, "a.star", *parts)
    slabkit(*merged, "b.star", "@list.txt")
    assert (six / "a.star").read_bytes() == (six / "b.star").read_bytes()
    slabkit(*merged, "c.star", "@odd.star")
    assert "none.txt: cannot be read" in slabkit(*merged, "d.star", "@none.txt", code=2).stderr
    assert "nothing*.star" in slabkit(*merged, "d.star", "nothing*.star", code=2).stderr
    (six / "volumes.txt").write_text("data/t1.mrc\ndata/t2.mrc\n")
    slabkit("slab", "@volumes.txt", "-o", "two")


def test_the_unit_needs_something_to_look_for(slabkit, tmp_path):
    for options, message in (
        ((), "--diameter MIN:MAX in Å, or --map NAME=MAP.mrc"),
        (("--map", "m.mrc"), "m.mrc"),
        (("--map", "m.mrc", "--picker", "template", *TYPED), "--diameter is for blobs"),
        (("--picker", "template", *TYPED), "--picker template looks for maps"),
        (("--map", "m.mrc", "--refine"), "--refine is for --picker template"),
        ((*TYPED, "--threshold", 0), "--threshold must be above 0, not 0"),
    ):
        assert message in slabkit("tomogram", "t.mrc", "-o", "d", *options, code=2).stderr
    assert not list(tmp_path.iterdir())


def test_update_replaces_what_the_command_made_and_nothing_else(slabkit, six):
    made = ("gather", "candidates.star", "-o", "made.star", "--threshold")
    slabkit(*made, 2)
    first = (six / "made.star").read_bytes()
    slabkit(*made, 3, code=2)
    slabkit(*made, 3, "--update")
    assert (six / "made.star").read_bytes() != first
    assert "skipped" in slabkit(*made, 3, "--update").stderr
    other = ("merge", "candidates.star", "-o", "made.star", "--distance", 50, "--update")
    assert "it was made by gather" in slabkit(*other, code=2).stderr
    with (six / "made.star").open("a") as file:
        file.write("\n")
    assert "was changed since it was made" in slabkit(*made, 2, "--update", code=2).stderr
