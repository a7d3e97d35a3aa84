"""Issue 12, G11, G12 and G14: what once ended in a traceback, a hang, or half-written results."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_ome_zarr import WRONG, places, replaced
from test_reliability import slabkit_any, volume, write_list
from volume_files import random_volume, write_mrc_file, write_ome_zarr

from slabkit import open_tomogram, read_particle_images, read_picks
from slabkit.errors import FormatError, InputError, SlabkitError, TryAgainError
from slabkit.execution.locks import output_lock
from slabkit.formats.describe import describe_file
from slabkit.formats.tables import paths
from slabkit.formats.tables.atomic import write_text
from slabkit.formats.tables.paths import open_file, read_bytes, resolve_path
from slabkit.formats.tomograms.copick_project import open_project
from slabkit.formats.volumes.mrc import write_mrc


def in_shell(folder: Path, line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``slabkit ...`` in a process of its own, with what a shell does to its streams."""
    command = line.replace("slabkit", f"exec {sys.executable} -m slabkit.cli.main", 1)
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


# G11: tracebacks


@pytest.mark.parametrize(
    ("closed", "name", "code"),
    [
        ("2>&-", "p.star", 0),
        ("2>&-", "missing.star", 2),
        (">&- 2>&- <&-", "p.star", 0),
        (">&- 2>&- <&-", "missing.star", 2),
    ],
)
def test_g11_closed_streams(tmp_path, closed, name, code):
    write_list(tmp_path / "p.star")
    done = in_shell(tmp_path, f"slabkit convert {name} out.star {closed}")
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")
    assert (tmp_path / "out.star").exists() == (code == 0)
    if code == 0:  # no message went into a file that took the place of the stream
        assert "convert:" not in (tmp_path / "out.star").read_text()


@pytest.mark.parametrize("module", ["typer", "slabkit.errors"])
def test_g11_ctrl_c_before_the_commands_are_there(tmp_path, module):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            exec('raise KeyboardInterrupt')\n"
        "sys.meta_path.insert(0, Interrupting())\n"
    )
    root = str(Path(__file__).parents[1])
    done = in_shell(tmp_path, "slabkit info a.mrc", PYTHONPATH=f"{tmp_path}:{root}")
    assert (done.returncode, done.stderr) == (130, "interrupted; nothing was begun.\n")


def test_g11_ctrl_c_in_code_that_python_makes_ends_with_130():
    script = (
        "import os, signal, sys\n"
        "import slabkit.cli.commands as commands\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job of a shell ignores it
        "commands._command = lambda: lambda: exec('os.kill(os.getpid(), signal.SIGINT)\\nx = 1')\n"
        "sys.exit(commands.run())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "interrupted; unfinished files were removed.\n")


def test_g11_names_with_half_characters(tmp_path, slabkit):
    write_list(tmp_path / "p\udcff.star")
    for said in ("convert: picks", "finished already"):
        assert said in slabkit("convert", "p\udcff.star", "o\udcff.star").stderr
    (tmp_path / "d\udcff").mkdir()
    volume(tmp_path / "d\udcff" / "TS_1.mrc")
    assert "rename" in slabkit("slab", "d\udcff/TS_1.mrc", "-o", "slabs", code=2).stderr
    text = '{"type":"point","location":{"x":1,"y":2,"z":3},"a":"\\ud800"}\n'
    (tmp_path / "p.ndjson").write_text(text)
    given = ("convert", "p.ndjson", "--tomogram", "T", "--voxel-size", "10")
    assert "surrogates not allowed" in slabkit(*given, "out.csv", code=2).stderr
    with pytest.raises(InputError, match="no whole character"):
        write_text(tmp_path / "a.txt", "a\ud800")


@pytest.mark.parametrize("out", ["loop/out.star", "a/../loop/b/out.star"])
def test_g11_an_output_below_a_loop_of_links(tmp_path, slabkit, out):
    write_list(tmp_path / "p.star")
    (tmp_path / "loop").symlink_to("pool")
    (tmp_path / "pool").symlink_to("loop")
    assert "cannot be written" in slabkit("curate", "p.star", "-o", out, code=2).stderr


@pytest.mark.parametrize("number", ["1" + "0" * 30, "9" * 5000, "4", "0", "0000"])
def test_g11_image_numbers(tmp_path, number):
    write_mrc(tmp_path / "s.mrcs", random_volume((3, 8, 8)), 5.0, label="", stack=True)
    table = tmp_path / "p.star"
    table.write_text(f"data_particles\n\nloop_\n_rlnImageName\n{number}@{tmp_path}/s.mrcs\n")
    with pytest.raises(InputError, match=r"has only 3|numbered from 1"):
        read_particle_images(table)


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", "3", DEEP, '{"host": {}, "pid": 1e30}', '{"host": 1, "pid": Infinity}', "\0"],
)
def test_g11_locks_that_are_none(tmp_path, content):
    result, lock = tmp_path / "out.star", tmp_path / ".out.star.lock"
    lock.write_text(content)
    with output_lock(result):
        os.pwrite(os.open(lock, os.O_WRONLY), content.encode() + b" " * 200, 0)
        with pytest.raises(TryAgainError, match="another run"), output_lock(result):
            pass
    assert not lock.exists()


@pytest.mark.parametrize("content", [DEEP, "[]", '{"working_directory": {}}', "\xff"])
def test_g11_paths_beside_a_record_that_is_none(tmp_path, content):
    (tmp_path / "a.star.json").write_text(content)
    (tmp_path / "TS_1.mrc").write_text("")
    assert resolve_path("TS_1.mrc", tmp_path / "a.star") == tmp_path / "TS_1.mrc"
    assert resolve_path("x" * 5000, tmp_path / "a.star") == Path("x" * 5000)


# G12: hangs


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("w.star", "data_\nloop_\n" + "".join(f"_c{n}\n" for n in range(60_000)) + "1 " * 60_000),
        ("w.star", "data_\n" + "".join(f"_c{n} 1\n" for n in range(60_000))),
        ("w.csv", "tomogram,x,y,z," + ",".join(f"c{n}" for n in range(100_000)) + "\nT,1,2,3"),
        ("w.csv", "pick_id," + ",".join(f"c{n}" for n in range(100_000)) + "\n1"),
    ],
)
def test_g12_tables_of_a_hundred_thousand_columns(tmp_path, slabkit, name, text):
    (tmp_path / name).write_text(text + "\n")
    write_list(tmp_path / "p.star")
    begun = time.monotonic()
    slabkit("convert", name, "out.star", code=2)
    slabkit_any(slabkit, "info", name, cwd=tmp_path)
    slabkit("curate", "p.star", name, "-o", "out.star", code=2)
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("allow", [True, False])
def test_g12_a_zarr_of_a_chunk_a_voxel(tmp_path, allow):
    folder = tmp_path / "TS_1.zarr"
    (folder / "0").mkdir(parents=True)
    axes = [{"name": name, "type": "space", "unit": "angstrom"} for name in "zyx"]
    scale = [{"type": "scale", "scale": [10, 10, 10]}]
    image = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    array = {"zarr_format": 2, "shape": [4000] * 3, "chunks": [1] * 3, "dtype": "<f4", "order": "C"}
    array |= {"compressor": None, "filters": None, "fill_value": 0}
    (folder / ".zattrs").write_text(json.dumps({"multiscales": [image]}))
    (folder / ".zgroup").write_text('{"zarr_format": 2}')
    (folder / "0" / ".zarray").write_text(json.dumps(array))
    with pytest.raises(FormatError, match="64000000000 chunks of 1 × 1 × 1 voxels, too many"):
        open_tomogram(folder, allow_missing_chunks=allow)
    array |= {"shape": [40] * 3, "fill_value": 2.5}
    (folder / "0" / ".zarray").write_text(json.dumps(array))
    with pytest.raises(InputError, match="64000 of 64000 chunks of level 0 are missing"):
        open_tomogram(folder)
    with pytest.warns(UserWarning, match="64000 of 64000 chunks"):
        tomogram = open_tomogram(folder, allow_missing_chunks=True)
    assert (tomogram.read((0, 0, 0), (20, 40, 40)) == np.float32(2.5)).all()


@pytest.fixture
def no_writer(monkeypatch):
    monkeypatch.setattr(paths, "_WRITER_COMES", 0.2)


def test_g12_a_pipe_into_which_nobody_writes(tmp_path, slabkit, no_writer):
    os.mkfifo(tmp_path / "f.star")
    write_list(tmp_path / "p.star")
    for line in (
        "convert f.star out.csv",
        "slab f.star -o slabs",
        "curate p.star f.star -o out.star",
        "convert p.star out.csv --tomograms f.star",
        "info f.star",
    ):
        code = 2 if line.startswith("info") else 75
        assert "nobody writes" in slabkit(*line.split(), code=code).stderr
    with pytest.raises(TryAgainError, match="nobody writes"):
        read_bytes(tmp_path / "f.star")


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_g12_tables_that_name_pipes_and_devices(tmp_path, slabkit, kind):
    victim = tmp_path / "TS_1.mrc"
    if kind == "pipe":
        os.mkfifo(victim)
    else:
        victim.symlink_to("/dev/zero")
    volume(tmp_path / "TS_2.mrc", (40, 64, 64))
    (tmp_path / "t.star").write_text(
        "data_tomograms\n\nloop_\n_slabkitTomogram\n_slabkitTomogramFile\n"
        "TS_1 TS_1.mrc\nTS_2 TS_2.mrc\n"
    )
    done = slabkit("slab", "t.star", "-o", "slabs", code=1)  # the batch goes on
    assert "failed: TS_1: TS_1.mrc: is not a regular file" in done.stderr
    write_list(tmp_path / "p.star")
    done = slabkit(
        *[
            "minislab",
            "p.star",
            "-o",
            "m",
            "--box",
            "100",
            "--depth",
            "100",
            "--tomograms",
            "t.star",
        ],
        code=2,
    )
    assert "TS_1.mrc: is not a regular file" in done.stderr
    (tmp_path / "g.csg").write_text("results:\n  location:\n    metafile: '>TS_1.mrc'\n")
    (tmp_path / "i.star").write_text("data_particles\n\nloop_\n_rlnImageName\n1@TS_1.mrc\n")
    assert slabkit("classify", "i.star", "-o", "c", code=2).stderr
    with pytest.raises(InputError, match="is not a regular file"):
        open_file(victim)


@pytest.mark.parametrize("where", [".zattrs", "0/.zarray", "0/0.0.0"])
def test_g12_pipes_in_a_zarr(tmp_path, where):
    store = write_ome_zarr(tmp_path / "a.zarr", random_volume((4, 5, 6)))
    (store / where).unlink()
    os.mkfifo(store / where)
    with pytest.raises(InputError, match="is not a regular file"):
        open_tomogram(store)


def test_g12_a_record_that_is_a_pipe_counts_as_absent(tmp_path, slabkit):
    write_list(tmp_path / "p.star")
    os.mkfifo(tmp_path / "out.star.json")
    os.mkfifo(tmp_path / ".out.star.lock")
    assert "not a regular file" in slabkit("curate", "p.star", "-o", "out.star", code=2).stderr


# G14: smaller faults


def test_g14_a_name_that_no_table_holds_is_refused_before_images_are_written(tmp_path, slabkit):
    name = "a \"b' c"
    volume(tmp_path / f"{name}.mrc", (40, 48, 48))
    done = slabkit("slab", f"{name}.mrc", "-o", "slabs", code=2)
    assert "both kinds of quote" in done.stderr
    (tmp_path / "p.csv").write_text('tomogram,x,y,z\n"a ""b\' c",100,100,100\n')
    given = ("minislab", "p.csv", "-o", "m", "--box", "100", "--depth", "100")
    done = slabkit(*given, "--tomograms", f"{name}.mrc", code=2)
    assert "both kinds of quote" in done.stderr
    assert not list(tmp_path.rglob("*slab*.mrc"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gallery,row,column,decision\nminislabs_000.mrc,x,1,accepted\n", "slabkitTileRow is 'x'"),
        ("gallery,row,column,decision\nminislabs_000.mrc,1e30,1,accepted\n", "is '1e30' in row 1"),
        ("pick_id,decision\nabc,perhaps so\n", "the decision is 'perhaps so' in row 1"),
    ],
)
def test_g14_labels_that_are_none_leave_nothing(tour, tmp_path, slabkit, text, said):
    (tmp_path / "l.csv").write_text(text)
    table = str(tour / "minislabs/minislabs.star")
    done = slabkit("label", "l.csv", "--minislabs", table, "-o", "out/labels.star", code=2)
    assert said in done.stderr
    assert os.listdir(tmp_path) == ["l.csv"]


def test_g14_flip_z_is_said(tmp_path, slabkit):
    volume(tmp_path / "TS_1.mrc", (40, 48, 48))
    said = "TS_1: planes are read from the last to the first (--flip-z)"
    assert said in slabkit("slab", "TS_1.mrc", "-o", "s", "--flip-z").stderr
    write_list(tmp_path / "p.star")
    text = (tmp_path / "s/slabs.star").read_text()
    assert "flip_z=1" in text
    (tmp_path / "p2d.star").write_text(
        "data_particles\n\nloop_\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\n"
        "s/TS_1_slab000.mrc 16 16\n"
    )
    done = slabkit(
        "map", "p2d.star", "--slabs", "s/slabs.star", "-o", "m.star", "--diameter", "100"
    )
    assert said in done.stderr


def test_g14_a_result_of_another_version_is_not_finished(tmp_path, slabkit):
    write_list(tmp_path / "p.star")
    slabkit("curate", "p.star", "-o", "out.star")
    record = tmp_path / "out.star.json"
    content = json.loads(record.read_text())
    record.write_text(json.dumps({**content, "version": "9.9"}))
    done = slabkit("curate", "p.star", "-o", "out.star", code=2)
    assert "made by slabkit 9.9, this is" in done.stderr
    slabkit("curate", "p.star", "-o", "out.star", "--overwrite")


def test_g14_a_missing_tomogram_name_is_named(tmp_path, slabkit):
    labels = "_rlnCoordinateX\n_rlnCoordinateY\n_rlnCoordinateZ\n_rlnTomoTiltSeriesPixelSize\n"
    (tmp_path / "p.star").write_text(f"data_particles\n\nloop_\n{labels}1 2 3 2.0\n")
    done = slabkit("convert", "p.star", "out.csv", code=2)
    assert "has no rlnTomoName" in done.stderr
    told = ("--from", "relion4", "--tomogram", "TS_1", "--voxel-size", "4")
    slabkit("convert", "p.star", "out.csv", *told)  # as the message advises


# E: JSON of wrong types

WRONG_JSON = {**WRONG, "nested": {"a": [{"b": [None, {}]}]}, "huge": 10**400, "half": "\ud800"}
POINT = {"location": {"x": 1.0, "y": 2.0, "z": 3.0}, "transformation_": np.eye(4).tolist()}
JSONS = {
    "picks.json": (
        {
            "pickable_object_name": "r",
            "user_id": "u",
            "session_id": "0",
            "run_name": "TS_1",
            "voxel_spacing": 10.0,
            "unit": "angstrom",
            "points": [{**POINT, "instance_id": 0, "score": 1.0}],
        },
        read_picks,
    ),
    "project.json": (
        {
            "config_type": "filesystem",
            "pickable_objects": [{"name": "r", "is_particle": True, "label": 1, "radius": 10}],
            "overlay_root": "local:///nowhere",
            "static_root": "/nowhere",
        },
        lambda path: open_project(path).runs(),
    ),
    "TS_1_info.json": (
        {
            "apix_unbin": 2.0,
            "boxes_3d": [[1, 2, 3, "manual", 0.5, 0]],
            "class_list": {"0": {"name": "r", "boxsize": 64}},
        },
        lambda path: read_picks(path, binning=2, voxel_size=4),
    ),
    "p.ndjson": ({"type": "point", **POINT}, lambda path: read_picks(path, tomogram="T")),
    "m_info.json": ({"boxes": [[10, 20, "manual"]], "boxsize": 64}, describe_file),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", WRONG_JSON)
@pytest.mark.parametrize("name", JSONS)
def test_e_json_of_wrong_types_gets_a_sentence(tmp_path, name, kind):
    content, read = JSONS[name]
    for place in [(), *places(content)]:
        path = tmp_path / name
        path.write_text(json.dumps(replaced(content, place, WRONG_JSON[kind])))
        for one in (read, describe_file):
            with contextlib.suppress(SlabkitError):
                one(path)


@pytest.mark.parametrize("kind", WRONG_JSON)
@pytest.mark.parametrize("version", [2, 3])
def test_e_a_batch_goes_on_after_metadata_of_wrong_types(tmp_path, slabkit, version, kind):
    volume(tmp_path / "TS_2.mrc", (40, 48, 48))
    store = write_ome_zarr(tmp_path / "TS_1.zarr", random_volume((40, 48, 48)), zarr_format=version)
    file = store / (".zattrs" if version == 2 else "zarr.json")
    content = json.loads(file.read_text())
    top = () if version == 2 else ("attributes", "ome")
    for keys in (("multiscales",), ("multiscales", 0, "datasets"), ("multiscales", 0, "axes")):
        file.write_text(json.dumps(replaced(content, (*top, *keys), WRONG_JSON[kind])))
        done = slabkit("slab", "TS_1.zarr", "TS_2.mrc", "-o", "s", "--overwrite", code=1)
        assert "failed: TS_1:" in done.stderr
        assert (tmp_path / "s/TS_2_slab000.mrc").exists()


def test_e_no_message_on_a_mask_advises_an_option_that_is_not_there(tmp_path, slabkit):
    volume(tmp_path / "TS_1.mrc", (40, 48, 48))
    slabkit("slab", "TS_1.mrc", "-o", "s")
    write_mrc_file(tmp_path / "m" / "TS_1.mrc", random_volume((20, 24, 24)) > 0, 0.0, mode=0)
    given = ("pick", "blob", "s/slabs.star", "-o", "p.star", "--diameter", "100")
    given += ("--threshold", "0.5")
    done = slabkit(*given, "--mask", "m/TS_1.mrc", code=2)
    assert "set it in its header" in done.stderr
    assert "--voxel-size" not in done.stderr
