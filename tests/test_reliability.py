"""Faults and hostile inputs: the short form of each experiment of docs/reliability.md."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import mrcfile
import pytest
from curation_tables import NO, YES, label_table, pick_table
from killed_runs import check_deaths, contents, deaths, prepare, states_of_death
from volume_files import random_volume, write_ome_zarr

from slabkit.classification import images
from slabkit.cli import commands
from slabkit.errors import FormatError, InputError, TryAgainError
from slabkit.execution import records
from slabkit.execution.frame import Frame
from slabkit.execution.locks import output_lock
from slabkit.formats.programs.cryosparc.dataset import parse_dataset
from slabkit.formats.tables.blocks import write_table
from slabkit.formats.tables.native import PickList, write_labels, write_picks
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


def test_a_full_temporary_folder_may_be_tried_again(tour, tmp_path, slabkit, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(images, "_IN_MEMORY", 0)
    monkeypatch.setattr(os, "posix_fallocate", full)
    folder = prepare(tour, tmp_path / "t")
    line = "classify minislabs/minislabs.star -o out --classes 2"
    done = slabkit(*line.split(), code=75, cwd=folder)
    assert "temporary folder" in done.stderr
    assert not (folder / "out").exists()


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
        # A shell lets what it runs in the background ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_where_python_drops_errors_is_not_lost(monkeypatch, capsys, number, code):
    class Dropper:
        def __del__(self):
            os.kill(os.getpid(), number)
            time.sleep(0)

    def work():
        Dropper()
        time.sleep(3)
        raise AssertionError("the signal was lost")

    monkeypatch.setattr(signal, "default_int_handler", signal.getsignal(signal.SIGINT))
    monkeypatch.setattr(commands, "_command", lambda: work)
    assert commands.run() == code
    assert "unfinished files were removed" in capsys.readouterr().err


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


# Inputs survive (G3)


@pytest.fixture
def project(tmp_path, slabkit):
    """Make pick lists, truth, labels, two volumes, a copick file, a table of tomograms."""
    picks = write_list(tmp_path / "picks.star")
    write_list(tmp_path / "truth.star", first=10)
    shutil.copy(picks, tmp_path / "plot.png")
    shutil.copy(picks, tmp_path / "curve.star")
    write_labels(tmp_path / "labels.star", label_table(("p000", YES), ("p001", NO)))
    volume(tmp_path / "A.mrc", (40, 32, 32))
    volume(tmp_path / "A_slab000.mrc", (40, 32, 32), seed=1)
    slabkit("convert", "picks.star", "copick", "--to", "copick")
    slabkit("convert", "picks.star", "lists/all.star")
    (tmp_path / "copick" / "picks.star").unlink()
    (tmp_path / "copick" / "picks.star.json").unlink()
    row = {"slabkitTomogram": ["A"], "slabkitTomogramFile": ["A.mrc"]}
    write_table(tmp_path / "tomograms.star", make_table(TOMOGRAMS, row), TOMOGRAMS)
    shutil.copy(tmp_path / "tomograms.star", tmp_path / "slabs.star")
    (tmp_path / "link.star").symlink_to("picks.star")
    os.link(tmp_path / "picks.star", tmp_path / "hard.star")
    return tmp_path


INPUT = "is an input"


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("score picks.star truth.star --radius ribosome=50 --curve picks.star", INPUT),
        ("score picks.star truth.star --radius ribosome=50 --curve truth.star", INPUT),
        ("score picks.star truth.star --radius ribosome=50 --curve hard.star", INPUT),
        ("score link.star truth.star --radius ribosome=50 --curve picks.star", INPUT),
        ("score plot.png truth.star --from native --radius ribosome=50 --plot plot.png", INPUT),
        ("curate picks.star labels.star -o out.star --rejected labels.star", "input"),
        ("curate picks.star labels.star -o out.star --rejected hard.star", INPUT),
        ("curate picks.star labels.star -o out.star --rejected out.star", "-o already"),
        ("curate picks.star labels.star -o hard.star", INPUT),
        ("split lists/all.star -o t.star --fractions all=1 --lists lists", INPUT),
        ("split picks.star -o new/all.star --fractions all=1 --lists new", "written twice"),
        ("merge picks.star truth.star --distance 10 -o link.star", INPUT),
        ("convert copick/TS_1/Picks/slabkit_0_ribosome.json copick --to copick", INPUT),
        ("pick segmentation A.mrc -o slabs.star --tomograms slabs.star --diameter 90", INPUT),
        ("slab slabs.star -o .", INPUT),
        ("rescue picks.star -o hard.star", INPUT),
        ("agree labels.star truth.star -o labels.star", INPUT),
        ("stats picks.star -o null/x", None),
        ("merge picks.star truth.star --distance 10 -o /dev/null", "not a regular file"),
        ("curate picks.star labels.star -o out.star --rejected /dev/null", "not a regular file"),
    ],
)
def test_no_input_is_written_to(project, slabkit, line, said, overwrite):
    before = contents(project)
    words = [*line.split(), *(["--overwrite"] if overwrite else [])]
    if said is None:
        slabkit(*words)
    else:
        assert said in slabkit(*words, code=2).stderr
    after = contents(project)
    assert {name: after[name] for name in before} == before
    assert Path("/dev/null").is_char_device()


def test_a_tomogram_named_like_a_slab_is_not_replaced_by_it(project, slabkit):
    (project / "slabs.star").unlink()
    before = contents(project)
    done = slabkit("slab", "A.mrc", "A_slab000.mrc", "-o", ".", "--overwrite", code=1)
    assert "A_slab000.mrc: is an input" in done.stderr
    after = contents(project)
    assert {name: after[name] for name in before} == before


def test_suggest_does_not_write_over_the_galleries_it_shows(tour, tmp_path, slabkit):
    shutil.copytree(tour, tmp_path / "t")
    folder = tmp_path / "t"
    table = (folder / "minislabs/minislabs.star").rename(folder / "moved.star")
    line = "suggest moved.star --picks picks.star --number 5 -o next.star --gallery"
    slabkit(*line.split(), "elsewhere", cwd=folder)
    planned = next((folder / "elsewhere").glob("*.mrc")).name  # the same five again
    (folder / "next.star").unlink()
    own = next((folder / "minislabs").glob("*_000.mrc"))
    table.write_text(table.read_text().replace(own.name, planned))
    own.rename(own.with_name(planned))
    before = contents(folder)
    for more in ([], ["--overwrite"]):
        slabkit(*line.split(), "minislabs", *more, code=2, cwd=folder)
        assert contents(folder) == before


def test_an_export_does_not_replace_the_images_by_links_to_themselves(tour, tmp_path, slabkit):
    shutil.copytree(tour, tmp_path / "t")
    folder = tmp_path / "t"
    (folder / "slabs").rename(folder / "micrographs")
    table = folder / "micrographs/slabs.star"
    table.write_text(table.read_text().replace("slabs/sim", "micrographs/sim"))
    before = contents(folder)
    line = "export topaz micrographs/slabs.star --radius 100 --overwrite -o"
    done = slabkit(*line.split(), ".", code=2, cwd=folder)
    assert INPUT in done.stderr
    assert contents(folder) == before
    for _ in range(2):  # its own links may be made again
        slabkit(*line.split(), "topaz", cwd=folder)


# Deaths by SIGKILL (G8, G9); `make soak` has all commands, and kills them for good


@pytest.mark.parametrize("name", ["convert", "split"])
def test_g8_g9_after_a_death_at_any_operation(tour, tmp_path, name):
    folder = prepare(tour, tmp_path / "t")
    assert check_deaths(name, folder, tmp_path, states_of_death) > 10


def test_g8_a_real_death_at_any_operation(tour, tmp_path):
    folder = prepare(tour, tmp_path / "t")
    assert check_deaths("label", folder, tmp_path, deaths) > 30


# Wrong voxels (G5)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("chunks", [(-1, 12, 12), (8, -1, 12), (-1, -1, -1), (8, 12, 0), (8, 12)])
def test_g5_ome_zarr_with_impossible_chunks(tmp_path, slabkit, zarr_format, chunks):
    zarr = pytest.importorskip("zarr")
    if zarr.__version__ < "3" and zarr_format == 3:
        pytest.skip("zarr 2")
    data = random_volume((8, 12, 12)).astype("f4")
    store = write_ome_zarr(tmp_path / "TS_1.zarr", data, 10, zarr_format=zarr_format)
    file = store / "0" / (".zarray" if zarr_format == 2 else "zarr.json")
    layout = json.loads(file.read_text())
    if zarr_format == 2:
        layout["chunks"] = chunks
    else:
        layout["chunk_grid"]["configuration"]["chunk_shape"] = chunks
    file.write_text(json.dumps(layout))
    done = slabkit("slab", "TS_1.zarr", "-o", "slabs", code=2)
    assert len(done.stderr.splitlines()) == 1
    assert os.listdir(tmp_path) == ["TS_1.zarr"]


def changed_planes(path):
    with path.open("r+b") as file:  # 74 planes of 96
        file.seek(1024 + 11 * 4 * 128 * 128)
        file.write(bytes(74 * 4 * 128 * 128))


def changed_voxel(path):
    with path.open("r+b") as file:  # not in a sample
        file.seek(1024 + 4 * (50 * 128 * 128 + 60 * 128 + 77))
        file.write(b"\1")


@pytest.mark.parametrize(
    ("whole", "change", "happens"),
    [
        (1 << 24, changed_planes, "changed"),
        (1 << 24, changed_voxel, "changed"),
        (1 << 24, os.utime, "skipped"),
        (1 << 20, changed_planes, "changed"),
        (1 << 20, changed_voxel, "made again"),
        (1 << 20, os.utime, "made again"),
        (1 << 20, lambda path: None, "skipped"),
    ],
)
def test_g5_a_changed_volume_is_no_finished_work(
    tmp_path, slabkit, monkeypatch, whole, change, happens
):
    monkeypatch.setattr(records, "_WHOLE_BYTES", whole)
    monkeypatch.setattr(records, "_SAMPLED_PAGES", 128)
    volume(tmp_path / "A.mrc", (96, 128, 128))
    slabkit("slab", "A.mrc", "-o", "slabs")
    time.sleep(0.01)
    change(tmp_path / "A.mrc")
    done = slabkit("slab", "A.mrc", "-o", "slabs", code=2 if happens == "changed" else 0)
    assert {"changed": "A.mrc has changed", "made again": "is made again"}.get(
        happens, happens
    ) in done.stderr


def test_g5_a_chunk_of_a_store_changed_in_place(tmp_path, slabkit, monkeypatch):
    zarr = pytest.importorskip("zarr")
    data = random_volume((8, 12, 12)).astype("f4")
    store = write_ome_zarr(tmp_path / "TS_1.zarr", data, 10, zarr_format=2)
    slabkit("slab", "TS_1.zarr", "-o", "slabs")
    zarr.open_array(str(store / "0"), mode="r+")[:] = data[::-1]
    sizes = records.describe_input(store)
    assert "has changed" in slabkit("slab", "TS_1.zarr", "-o", "slabs", code=2).stderr
    monkeypatch.setattr(records, "_WHOLE_BYTES", 100)
    large = records.describe_input(store)
    assert (large["size"], large["hash"]) == (sizes["size"], sizes["hash"])
    assert set(large) == {"name", "size", "hash", "modified"}


@pytest.mark.parametrize("tomograms", [(), ("--tomograms", "TS_1.mrc")])
@pytest.mark.parametrize(
    ("size", "said"), [(1, 2), (7.84, 2), (10.1, 2), (0, 0), (10.01, 0), (10, 0)]
)
def test_g5_minislab_stops_at_another_voxel_size(tmp_path, slabkit, tomograms, size, said):
    path = volume(tmp_path / "TS_1.mrc", (40, 64, 64))
    slabkit("convert", write_list(tmp_path / "p.csv.star"), "p.csv")
    slabkit("convert", "p.csv", "p.star", "--tomograms", "TS_1.mrc")
    with mrcfile.open(path, "r+") as file:
        file.voxel_size = size
    line = ("minislab", "p.star", "-o", "m", "--box", "200", "--depth", "100", *tomograms)
    if size == 0 and tomograms:
        said = 2
    done = slabkit(*line, code=said)
    if said == 2:
        assert "--voxel-size" in done.stderr
        assert not (tmp_path / "m").exists()
        slabkit(*line, "--voxel-size", "10")


# Inputs that are cut off while they are read (G6)


@pytest.mark.parametrize(
    "line",
    [
        "slab {} -o new/slabs",
        "map picks2d.star --slabs slabs/slabs.star -o new/picks.star",
        "minislab picks.star -o new/minislabs --box 400 --depth 300 --stack",
        "conflicts picks.star truth.star -o new/c --box 400 --depth 300 --distance 300",
        "classify minislabs/minislabs.star -o new --classes 2 --iterations 1",
    ],
)
def test_g6_an_input_cut_off_while_it_is_read(tour, tmp_path, slabkit, monkeypatch, line):
    folder = prepare(tour, tmp_path / "t")
    what = "minislabs/*.mrcs" if "classify" in line else "tomograms/sim_*.mrc"
    before, read = [], os.preadv

    def cut_off(*arguments):
        before.append(None)
        if len(before) == (1 if line.startswith("map") else 2):
            for path in folder.glob(what):
                os.truncate(path, 1024 + 4000)
        return read(*arguments)

    words = line.replace("{}", "tomograms/sim_001.mrc").split()
    kept = everything_below(folder)
    with monkeypatch.context() as patch:
        patch.setattr(os, "preadv", cut_off)
        done = slabkit(*words, code=75, cwd=folder)
    said = ["it was cut off after it was opened; try again once it is whole."]
    if line.startswith("conflicts"):  # where another thread opens its volume after that
        said.append("is truncated: its header announces")
    assert any(one in done.stderr for one in said)
    assert everything_below(folder) == kept


# Damaged datasets of CryoSPARC in their compressed form (G7)

CRYOSPARC_TOOLS = """
import os, signal
import numpy as np

class Dataset(dict):
    fields = dict.keys

    @classmethod
    def load(cls, file):
        data = file.read()
        if b"crash" in data:
            os.kill(os.getpid(), signal.SIGSEGV)
        if b"raise" in data:
            raise ValueError("Could not load stream")
        return cls({"uid": np.arange(2, dtype=np.uint64), "blob/path": np.array(["é", ""], object)})
"""


def stream(rest=b"", rows=2, uids=bytes(16), packed=()):
    """Make a dataset in the compressed form, of ids alone."""
    fields = {"dtype": [["uid", "<u8"]], "compression": "lz4", "compressed_fields": packed}
    header = json.dumps({"length": rows, **fields}).encode()
    parts = (header, uids)
    sized = b"".join(len(part).to_bytes(4, "little") + part for part in parts)
    return b"\x95CSDAT" + sized + rest


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (stream(b"crash"), r"is damaged: cryosparc-tools crashed on it \(signal 11\)"),
        (stream(b"raise"), r"cannot be read by cryosparc-tools \(ValueError: Could not load"),
        (stream()[:30], "its header does not fit its data"),
        (stream()[:-1], "its header does not fit its data"),
        (stream(uids=bytes(15)), "15 bytes of uid for 2 rows"),
        (stream(rows=10**12, packed=["uid"]), "16 bytes of uid for 1000000000000 rows"),
        (stream(rows=-1), "-1 rows"),
    ],
)
def test_g7_a_damaged_compressed_dataset(tmp_path, monkeypatch, data, said):
    (tmp_path / "cryosparc").mkdir()
    (tmp_path / "cryosparc/__init__.py").touch()
    (tmp_path / "cryosparc/dataset.py").write_text(CRYOSPARC_TOOLS)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("cryosparc", "cryosparc.dataset"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    whole = parse_dataset(stream(), "a.cs")
    assert {name: values.tolist() for name, values in whole.items()} == {
        "uid": [0, 1],
        "blob/path": ["é", ""],
    }
    with pytest.raises(FormatError, match=said):
        parse_dataset(data, "a.cs")
