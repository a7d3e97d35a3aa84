"""Faults and hostile inputs: the short form of each experiment of docs/reliability.md."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from curation_tables import NO, YES, pick_table
from volume_files import random_volume

from slabkit.errors import FormatError, InputError, TryAgainError
from slabkit.execution.frame import Frame
from slabkit.execution.locks import output_lock
from slabkit.formats.tables.blocks import write_table
from slabkit.formats.tables.native import PickList, write_picks
from slabkit.formats.tables.paths import file_inside
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.tables import TOMOGRAMS, make_table


def write_list(path, tomogram="TS_1", species="ribosome", rows=(YES, NO, YES), first=0):
    """Write a pick list of one tomogram."""
    picks = pick_table(list(rows))
    picks["slabkitTomogram"], picks["slabkitSpecies"] = tomogram, species
    picks["slabkitPickId"] = [f"p{first + number:03d}" for number in range(len(picks))]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picks(path, PickList(picks, make_table(TOMOGRAMS, {"slabkitTomogram": [tomogram]})))
    return path


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# Exit codes


def test_a_locked_result_may_be_tried_again(tmp_path, slabkit):
    write_list(tmp_path / "picks.star")
    with output_lock(tmp_path / "out.star"):
        done = slabkit("curate", "picks.star", "-o", "out.star", "--json", code=75)
    assert "another run" in json.loads(done.stdout)["error"]
    slabkit("curate", "picks.star", "-o", "out.star")


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_full_disk_may_be_tried_again(tmp_path, slabkit, monkeypatch, where):
    write_list(tmp_path / "picks.star")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, where, full)
        done = slabkit("curate", "picks.star", "-o", "out.star", code=75)
    assert "No space left" in done.stderr
    assert os.listdir(tmp_path) == ["picks.star"]
    slabkit("curate", "picks.star", "-o", "out.star")


def test_a_full_disk_at_every_item_may_be_tried_again(tmp_path):
    with Frame().work("test", tmp_path / "out.star") as step:
        step.fail("TS_1", InputError("damaged"))
        step.fail("TS_2", TryAgainError("no room"))
        with pytest.raises(TryAgainError, match="none of 2 could be done"):
            step.raise_if_all_failed(2)


@pytest.mark.parametrize(
    ("change", "said"),
    [(lambda path: path.unlink(), "vanished"), (lambda path: path.write_text("1"), "was changed")],
)
def test_an_input_that_goes_while_it_is_read_may_be_tried_again(tmp_path, change, said):
    source = tmp_path / "in.mrc"
    source.write_text("one two")

    def run(happens=None):
        with Frame().work("test", tmp_path / "out.star", inputs=[source]):
            if happens is not None:
                happens(source)
            raise FormatError("its voxels cannot be read")

    with pytest.raises(TryAgainError, match=rf"in\.mrc: {said} while it was being read"):
        run(change)
    source.write_text("one two")
    with pytest.raises(FormatError, match="cannot be read"):
        run()


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")],
)
def test_a_signal_cleans_up_and_says_so(tmp_path, number, code, said):
    command = [sys.executable, "-m", "slabkit.cli.main", "simulate", "-o", "out"]
    with subprocess.Popen(
        [*command, "--preset", "small", "--count", "40", "--jobs", "2"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for(lambda: list(tmp_path.glob("out/*.mrc")))
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert errors.splitlines()[-1] == f"{said}; unfinished files were removed."
    assert "Traceback" not in errors
    left = os.listdir(tmp_path / "out") if (tmp_path / "out").exists() else []
    assert not [name for name in left if name.startswith(".")]
    assert "truth.star" not in left


# Names become file names (G2)

EVIL = ("../../evil", "/tmp/slabkit-evil", "..", "a/b", "a\\b")


def volume(path, shape=(8, 12, 12), voxel_size=10.0, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = random_volume(shape, seed=seed).astype("f4")
    write_mrc(path, data, voxel_size, label="made for a test")
    return path


def everything_below(folder):
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def deep(tmp_path):
    """Give a folder that evil names would leave, and check that nothing was written around it."""
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    yield folder
    assert everything_below(tmp_path) == everything_below(folder)
    assert not list(Path("/tmp").glob("slabkit-evil*"))


@pytest.mark.parametrize("name", EVIL)
def test_slab_keeps_a_table_of_evil_names_inside(deep, slabkit, name):
    volume(deep / "TS_1.mrc")
    row = {"slabkitTomogram": [name], "slabkitTomogramFile": ["TS_1.mrc"]}
    write_table(deep / "tomograms.star", make_table(TOMOGRAMS, row), TOMOGRAMS)
    done = slabkit("slab", "tomograms.star", "-o", "slabs", "--png", code=2, cwd=deep)
    assert "cannot be used as a name" in done.stderr
    assert everything_below(deep) == {deep / "TS_1.mrc", deep / "tomograms.star"}


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("column", ["slabkitTomogram", "slabkitSpecies"])
def test_convert_keeps_evil_names_inside(deep, slabkit, column, name):
    write_list(deep / "in.star")
    text = (deep / "in.star").read_text()
    old = {"slabkitTomogram": "TS_1", "slabkitSpecies": "ribosome"}[column]
    quoted = re.sub(rf"\b{old}\b", lambda _: name, text)
    assert name in quoted
    (deep / "in.star").write_text(quoted)
    for kind in ("tomotwin", "copick", "ndjson", "eman", "imod", "artiax"):
        done = slabkit_any(slabkit, "convert", "in.star", "out/x", "--to", kind, cwd=deep)
        assert all(path.is_relative_to(deep / "out/x") for path in everything_below(deep / "out"))
        assert done.returncode in (0, 2)


def slabkit_any(slabkit, *arguments, cwd):
    """Run a command that may end well or refuse."""
    try:
        return slabkit(*arguments, cwd=cwd)
    except AssertionError as error:
        if "exit 2, not 0" not in str(error) or "Usage" in str(error):
            raise
        return subprocess.CompletedProcess(arguments, 2)


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("column", ["rlnTomoName", "rlnMicrographName"])
def test_a_slab_table_with_evil_names_writes_inside(deep, slabkit, column, name):
    volume(deep / "TS_1.mrc", (40, 64, 64))
    slabkit("slab", "TS_1.mrc", "-o", "slabs", cwd=deep)
    before = everything_below(deep)
    old = {"rlnTomoName": "TS_1", "rlnMicrographName": "slabs/TS_1_slab000.mrc"}[column]
    text = (deep / "slabs/slabs.star").read_text()
    (deep / "slabs/slabs.star").write_text(text.replace(f"\t{old}\t", f"\t{name}\t"))
    for command in (
        ("pick", "blob", "slabs/slabs.star", "-o", "out/p.star", "--diameter", "100", "--png"),
        ("export", "relion", "slabs/slabs.star", "-o", "out/r"),
        ("export", "topaz", "slabs/slabs.star", "-o", "out/t", "--radius", "100"),
        ("export", "cryosparc", "slabs/slabs.star", "-o", "out/c"),
    ):
        slabkit_any(slabkit, *command, cwd=deep)
    assert all(p.is_relative_to(deep / "out") for p in everything_below(deep) - before)


@pytest.mark.parametrize("name", EVIL)
def test_minislab_writes_inside(deep, slabkit, name):
    volume(deep / "TS_1.mrc", (40, 64, 64))
    write_list(deep / "in.star")
    before = everything_below(deep)
    text = (deep / "in.star").read_text()
    (deep / "in.star").write_text(text.replace("TS_1", name))
    for command in (
        ("minislab", "in.star", "-o", "out/m", "--tomograms", "TS_1.mrc"),
        ("conflicts", "in.star", "-o", "out/c", "--tomograms", "TS_1.mrc"),
        ("split", "in.star", "-o", "out/s.star", "--fractions", f"{name}=1", "--lists", "out/l"),
    ):
        box = ("--box", "200", "--depth", "100") if command[0] != "split" else ()
        slabkit_any(slabkit, *command, *box, cwd=deep)
    assert all(p.is_relative_to(deep / "out") for p in everything_below(deep) - before)


@pytest.mark.parametrize("name", [*EVIL, "a#b", " a"])
@pytest.mark.parametrize(
    "command",
    [
        ("pick", "blob", "slabs.star", "--diameter", "100", "--species"),
        ("pick", "template", "slabs.star", "--templates", "t.mrcs", "--species"),
        ("pick", "segmentation", "s.mrc", "--species"),
        ("label", "r.star", "--minislabs", "m.star", "--species"),
        ("curate", "p.star", "--species"),
        ("convert", "p.star", "out.csv", "--species"),
    ],
)
def test_a_species_of_the_command_line_must_be_a_name(deep, slabkit, command, name):
    out = () if command[0] == "convert" else ("-o", "out.star")
    if command[0] == "convert":
        write_list(deep / "p.star")
    done = slabkit(*command, name, *out, code=2, cwd=deep)
    assert "--species: species" in done.stderr


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "/a", "a\0b", "a\nb", "\udcff"])
def test_a_file_is_inside_its_folder(tmp_path, name):
    assert file_inside(tmp_path, "TS_1", "ribosome.json") == tmp_path / "TS_1" / "ribosome.json"
    with pytest.raises(InputError, match="cannot be the name of a file"):
        file_inside(tmp_path, "TS_1", name)
