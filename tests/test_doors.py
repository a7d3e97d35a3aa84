"""What comes in and goes out: pipes, encodings, terminals, folders of several images."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from command_line import run_in_process
from volume_files import write_ome_zarr

from slabkit import open_tomogram, read_picks
from slabkit.errors import FormatError, InputError, MissingDependencyError, SlabkitWarning
from slabkit.formats.tables.native import read_slabs
from slabkit.formats.tables.paths import with_paths_from_here
from slabkit.formats.tables.star import parse_star, read_star
from slabkit.formats.tomograms.listing import slab_tomograms
from slabkit.formats.tomograms.names import tomogram_name
from slabkit.formats.tomograms.relion import list_relion_tomograms
from slabkit.formats.volumes.mrc import open_stack, write_mrc
from slabkit.formats.volumes.voxel_size import choose_voxel_size

PICKS = """data_particles

loop_
_rlnTomoName #1
_rlnCoordinateX #2
_rlnCoordinateY #3
_rlnCoordinateZ #4
_rlnTomoTiltSeriesPixelSize #5
Zürich 10 20 30 2.0
Zürich 11 20 30 2.0
"""


def slabkit(
    folder: Path, *arguments: str, data: bytes | None = None, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "slabkit.cli.main", *arguments],
        cwd=folder,
        input=data,
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("further", [[], ["--from", "relion4"]])
def test_08_a_pipe_is_read_once(tmp_path: Path, further: list[str]) -> None:
    done = slabkit(tmp_path, "convert", "/dev/stdin", "a.csv", *further, data=PICKS.encode())
    assert done.returncode == 0, done.stderr
    assert len(read_picks(tmp_path / "a.csv").picks) == 2


def test_08_a_fifo_is_read_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "picks")
    writer = threading.Thread(
        target=(tmp_path / "picks").write_text, args=(PICKS,), kwargs={"encoding": "utf-8"}
    )
    writer.start()
    done = slabkit(tmp_path, "convert", "picks", "a.csv")
    writer.join()
    assert done.returncode == 0, done.stderr
    assert len(read_picks(tmp_path / "a.csv").picks) == 2


def test_08_info_of_a_pipe(tmp_path: Path) -> None:
    done = slabkit(tmp_path, "info", "/dev/stdin", data=PICKS.encode())
    assert done.returncode == 0, done.stderr
    assert b"2 rows" in done.stdout


def test_08_a_table_of_tomograms_comes_by_a_pipe(reports: Path, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("tomogram,x,y,z\nTS_09,1,2,3\n")
    table = (reports / "19_tomograms.star").read_bytes()
    done = slabkit(tmp_path, "convert", "p.csv", "a.csv", "--tomograms", "/dev/stdin", data=table)
    assert b"error: TS_01.mrc: cannot be read" in done.stderr  # the volume that the table names


def test_an_endless_device_is_refused(tmp_path: Path) -> None:
    done = slabkit(tmp_path, "convert", "/dev/zero", "a.csv", "--from", "csv")
    assert done.returncode == 2
    assert b"is a device" in done.stderr


def test_08_an_empty_pipe_stops(tmp_path: Path) -> None:
    done = slabkit(tmp_path, "convert", "--from", "relion4", "/dev/stdin", "a.csv", data=b"")
    assert done.returncode == 2
    assert b"is empty" in done.stderr


def test_08_the_name_of_a_pipe_is_no_tomogram(tmp_path: Path) -> None:
    bare = b"1 2 3\n4 5 6\n"
    arguments = ["convert", "/dev/stdin", "a.csv", "--from", "tomotwin", "--voxel-size", "10"]
    done = slabkit(tmp_path, *arguments, data=bare)
    assert done.returncode == 2
    assert b"--tomogram NAME" in done.stderr


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-16-le without mark"]
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_unicode_text_is_read_with_any_line_end(
    tmp_path: Path, encoding: str, line_end: str
) -> None:
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    text = (mark + PICKS.replace("_rln", "  _rln")).replace("\n", line_end)
    path = tmp_path / "p.star"
    path.write_bytes(text.encode(encoding.partition(" ")[0]))
    picks = read_picks(path).picks
    assert picks["slabkitX"].tolist() == [20, 22]
    assert picks["slabkitTomogram"].tolist() == ["Zürich"] * 2
    assert len(read_star(path)["particles"]) == 2


@pytest.mark.parametrize(
    ("name", "text"), [("p.star", PICKS), ("p.csv", "tomogram,x,y,z\nZürich,1,2,3\n")]
)
def test_latin_1_is_named_as_such(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(FormatError, match=r"not in UTF-8 \(the byte 0xfc\).*iconv -f latin1"):
        read_picks(path)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "ascii:strict"])
def test_16_output_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "p.star").write_text(PICKS, encoding="utf-8")
    name = "日本.csv"
    (tmp_path / name).write_text("tomogram,x,y,z\n日本,1,2,3\n", encoding="utf-8")
    for arguments in (["info", "p.star"], ["info", name], ["convert", "missing–日.csv", "b.csv"]):
        done = slabkit(tmp_path, *arguments, PYTHONIOENCODING=encoding)
        assert done.returncode == (2 if "missing–日.csv" in arguments else 0), done.stderr
        assert b"Traceback" not in done.stderr
    done = slabkit(tmp_path, "info", "--json", name, PYTHONIOENCODING=encoding)
    assert json.loads(done.stdout.decode("latin-1"))["files"][0]["path"] == name


def test_16_tables_on_standard_output_are_utf_8(tmp_path: Path) -> None:
    (tmp_path / "p.star").write_text(PICKS, encoding="utf-8")
    done = slabkit(tmp_path, "convert", "p.star", "-", "--to", "csv", PYTHONIOENCODING="latin-1")
    assert done.returncode == 0, done.stderr
    assert "Zürich" in done.stdout.decode()


def test_20_transform_of_copick_csv_moves_the_pick(reports: Path) -> None:
    with pytest.warns(SlabkitWarning, match="1 of 1 picks had a translation in their transform"):
        picks = read_picks(reports / "20_copick_export.csv").picks
    assert picks["slabkitX"].tolist() == [105.5]
    assert not any(name.startswith("transform") for name in picks.columns)


def test_20_transform_of_copick_csv_turns_the_pick(tmp_path: Path) -> None:
    names = [f"transform_{row}{column}" for row in range(4) for column in range(4)]
    matrix = [0, -1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    path = tmp_path / "p.csv"
    row = ",".join(map(str, matrix))
    path.write_text(f"run_name,x,y,z,{','.join(names)}\nT,1,2,3,{row}\n")
    picks = read_picks(path).picks
    assert picks["slabkitRotation"][0] == "0.0,-1.0,0.0,1.0,0.0,0.0,0.0,0.0,1.0"
    path.write_text(f"run_name,x,y,z,{','.join(names[1:])}\nT,1,2,3,{row.partition(',')[2]}\n")
    with pytest.raises(InputError, match="no transform_00"):
        read_picks(path)


def test_copick_volume_without_unit_has_the_size_of_its_folder() -> None:
    where = "ExperimentRuns/TS_01/VoxelSpacing10.012/wbp.zarr"
    chosen = choose_voxel_size(where, None, expected=10.012, unset_reason="its axis z has no unit")
    assert chosen.value == 10.012
    assert "no unit" in chosen.warnings[0]
    with pytest.raises(InputError, match="give it in Å with --voxel-size"):
        choose_voxel_size("TS_01.zarr", None, expected=10.012)


def test_bioformats2raw_layout_says_where_the_image_is(tmp_path: Path) -> None:
    folder = tmp_path / "TS_01.zarr"
    folder.mkdir()
    (folder / ".zgroup").write_text('{"zarr_format": 2}')
    (folder / ".zattrs").write_text('{"bioformats2raw.layout": 3}')
    with pytest.raises(FormatError, match=r"TS_01\.zarr/0"):
        open_tomogram(folder)
    assert tomogram_name(folder / "0") == "TS_01"


@pytest.mark.parametrize("inside", ["", "TS_01.ome.zarr/"])
def test_zipped_zarr_is_read(tmp_path: Path, inside: str) -> None:
    voxels = np.random.default_rng(0).normal(size=(6, 12, 14)).astype(np.float32)
    write_ome_zarr(tmp_path / "s.zarr", voxels, 10.0)
    zipped = tmp_path / "TS_01.ozx"
    with zipfile.ZipFile(zipped, "w") as archive:
        for path in sorted((tmp_path / "s.zarr").rglob("*")):
            if path.is_file():
                archive.write(path, inside + path.relative_to(tmp_path / "s.zarr").as_posix())
    tomogram = open_tomogram(zipped)
    assert (tomogram.name, tomogram.voxel_size) == ("TS_01", 10.0)
    np.testing.assert_array_equal(tomogram.data[0:6, 0:12, 0:14], voxels)
    assert tomogram_name("TS_01.ome.zarr.zip") == "TS_01"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(InputError, match="ZIP archive"):
        open_tomogram(tmp_path / "a.zip")


def test_half_maps_are_named() -> None:
    text = (
        "data_global\nloop_\n_rlnTomoName\n_rlnTomoTiltSeriesPixelSize\n"
        "_rlnTomoReconstructedTomogramHalf1\nTS_01 2.0 rec_TS_01_half1.mrc\n"
    )
    (one,) = list_relion_tomograms(parse_star(text), "tomograms.star")
    assert "only half maps, such as rec_TS_01_half1.mrc" in one.ref.problem
    assert "--half 1, 2 or sum" in one.ref.problem


@pytest.mark.parametrize("half", ["1", "2", "sum"])
def test_half_maps_are_taken_by_half(tmp_path: Path, half: str) -> None:
    rng = np.random.default_rng(0)
    voxels = {n: rng.normal(size=(40, 64, 60)).astype(np.float32) for n in "12"}
    for number, values in voxels.items():
        write_mrc(tmp_path / f"rec_TS_01_half{number}.mrc", values, 10.0, label="test")
    (tmp_path / "tomograms.star").write_text(
        "data_global\nloop_\n_rlnTomoName\n_rlnTomoTiltSeriesPixelSize\n"
        "_rlnTomoTomogramBinning\n_rlnTomoReconstructedTomogramHalf1\n"
        "_rlnTomoReconstructedTomogramHalf2\n"
        "TS_01 2.5 4 rec_TS_01_half1.mrc rec_TS_01_half2.mrc\n"
    )
    expected = voxels["1"] + voxels["2"] if half == "sum" else voxels[half]
    done = slabkit(tmp_path, "slab", "tomograms.star", "-o", "s", "--half", half)
    assert done.returncode == 0, done.stderr
    slabs = with_paths_from_here(read_slabs(tmp_path / "s/slabs.star"), tmp_path / "s/slabs.star")
    assert slabs["slabkitTomogramReading"].tolist() == [f"half={half}"]
    start, count = slabs["slabkitZStart"][0], slabs["slabkitZCount"][0]
    image = open_stack(tmp_path / "s/TS_01_slab000.mrc").source[0:1, 0:64, 0:60][0]
    np.testing.assert_allclose(image, expected[start : start + count].mean(axis=0), atol=1e-5)
    again = slab_tomograms(slabs)["TS_01"].open()  # as map reads it
    np.testing.assert_array_equal(again.data[0:40, 0:64, 0:60], expected)
    csv = "tomogram,x,y,z\nTS_01,300,300,200\n"
    (tmp_path / "p.csv").write_text(csv)
    arguments = ["p.csv", "-o", "m", "--box", "100", "--depth", "100", "--tomograms"]
    done = slabkit(tmp_path, "minislab", *arguments, "tomograms.star", "--half", half)
    assert done.returncode == 0, done.stderr
    halves = {"1": {"1"}, "2": {"2"}, "sum": {"1", "2"}}[half]
    for record in ("s/slabs.star.json", "m/minislabs.star.json"):
        inputs = {i["name"] for i in json.loads((tmp_path / record).read_text())["inputs"]}
        assert inputs - {"p.csv"} == {f"rec_TS_01_half{number}.mrc" for number in halves}
    for number in halves:  # a change of either is seen
        path = tmp_path / f"rec_TS_01_half{number}.mrc"
        write_mrc(path, -voxels[number], 10.0, label="test")
        again = ("slab", "tomograms.star", "-o", "s", "--half", half)
        refused = run_in_process(*again, cwd=tmp_path, code=2)
        assert f"half{number}.mrc has changed" in refused.stderr
        write_mrc(path, voxels[number], 10.0, label="test")
        run_in_process(*again, cwd=tmp_path)


def test_half_is_for_half_maps(tmp_path: Path) -> None:
    write_mrc(tmp_path / "TS_01.mrc", np.zeros((40, 64, 60), np.float32), 10.0, label="test")
    with pytest.raises(InputError, match="--half takes half maps, whose names say so"):
        open_tomogram(tmp_path / "TS_01.mrc", half="sum")
    for name, shape in (("TS_01_EVN.mrc", (40, 64, 60)), ("TS_01_ODD.mrc", (40, 64, 62))):
        write_mrc(tmp_path / name, np.zeros(shape, np.float32), 10.0, label="test")
    with pytest.raises(InputError, match="they are no pair"):
        open_tomogram(tmp_path / "TS_01_ODD.mrc", half="sum")
    assert open_tomogram(tmp_path / "TS_01_EVN.mrc", half="2").shape == (40, 64, 62)


def test_compressed_tiff_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tifffile

    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, np.zeros((4, 8, 8), dtype=np.float32), compression="zlib", photometric="minisblack"
    )

    def fail(*arguments: object, **options: object) -> None:
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    tomogram = open_tomogram(path, voxel_size=10)
    monkeypatch.setattr(tifffile.TiffPage, "asarray", fail)
    with pytest.raises(MissingDependencyError, match=r"slabkit-cryoet\[tiff\]"):
        tomogram.data[0:1, 0:8, 0:8]


def test_absurd_sides_and_chunks_of_zarr_are_refused_at_once(tmp_path: Path) -> None:
    folder = write_ome_zarr(tmp_path / "TS_01.zarr", np.zeros((6, 12, 14), np.float32), 10.0)
    array = json.loads((folder / "0" / ".zarray").read_text())
    for change, message in (
        ({"shape": [10**30, 12, 14]}, "the metadata of level 0 are not understood"),
        ({"chunks": [6, 12, 10**20]}, "the metadata of level 0 are not understood"),
        ({"shape": [4000] * 3, "chunks": [1] * 3}, "64000000000 chunks"),
    ):
        (folder / "0" / ".zarray").write_text(json.dumps(array | change))
        with pytest.raises(InputError, match=message):
            open_tomogram(folder)


def test_maps_without_a_voxel_size_say_where_it_goes(tmp_path: Path) -> None:
    """simulate and pick template have no --voxel-size, which tomograms are told to give."""
    import mrcfile

    with mrcfile.new(tmp_path / "map.mrc") as file:
        file.set_data(np.zeros((8, 8, 8), np.float32))
    done = slabkit(tmp_path, "simulate", "-o", "out", "--map", "a=map.mrc:1")
    assert b"write the size into the map's header" in done.stderr
    write_mrc(tmp_path / "TS_01.mrc", np.zeros((40, 64, 64), np.float32), 10.0, label="test")
    slabkit(tmp_path, "slab", "TS_01.mrc", "-o", "s")
    arguments = ["s/slabs.star", "-o", "p.star", "--map", "map.mrc", "--diameter", "100"]
    done = slabkit(tmp_path, "pick", "template", *arguments)
    assert b"write the size into the map's header" in done.stderr


def half_copied(path: Path) -> Path:
    """Write an OME-Zarr of which one chunk is missing."""
    rng = np.random.default_rng(0)
    data = rng.normal(size=(40, 64, 60)).astype(np.float32)
    write_ome_zarr(path, data, 10.0, chunks=(20, 32, 30))
    (path / "0" / "1.1.1").unlink()
    return path


def test_advice_on_missing_chunks_can_be_followed(tmp_path: Path) -> None:
    run = functools.partial(run_in_process, cwd=tmp_path)
    half_copied(tmp_path / "TS_01.zarr")
    given = ("--tomograms", "TS_01.zarr")
    for name, x in ("p", 300), ("q", 310):  # sizes do not depend on chunks
        text = f"tomogram,species,x,y,z\nTS_01,{name},{x},300,200\n"
        (tmp_path / f"{name}.csv").write_text(text)
        done = run("convert", f"{name}.csv", f"{name}.star", *given)
        assert "1 of 8 chunks" in done.stderr
        assert "allow" not in (tmp_path / f"{name}.star").read_text()
    run("score", "p.csv", "p.csv", "--radius", "p=100", *given)
    (tmp_path / "hits.star").write_text(
        "data_\nloop_\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\n"
        "TS_01_slab000.mrc 30 30\n"
    )
    box = ("--box", 100, "--depth", 100)
    for command in (
        ("minislab", "p.star", *box, "-o", "m"),
        ("minislab", "p.csv", *given, *box, "-o", "n"),
        ("conflicts", "p.star", "q.star", "--distance", 100, *box, "-o", "c"),
        ("slab", "TS_01.zarr", "--thickness", 400, "-o", "s"),
        ("map", "hits.star", "--slabs", "s/slabs.star", "-o", "o.star", "--diameter", 100),
    ):
        assert "give --allow-missing-chunks" in run(*command, code=2).stderr
        done = run(*command, "--allow-missing-chunks")
        assert "1 of 8 chunks of level 0 are missing and read as empty" in done.stderr
        if command[0] == "slab":  # as slabpick's import writes its table
            slabs = tmp_path / "s/slabs.star"
            slabs.write_text(slabs.read_text().replace("allow_missing_chunks=1", '""'))


@pytest.mark.parametrize(
    ("kind", "name"),
    [("pipe", "0/1.1.1"), ("pipe", "0/.zarray"), ("pipe", ".zattrs"), ("link", "0/.zarray")],
)
def test_e_a_pipe_in_one_zarr_does_not_stop_a_batch(tmp_path: Path, kind: str, name: str) -> None:
    for series in ("TS_01", "TS_02"):
        folder = tmp_path / f"{series}.zarr"
        write_ome_zarr(folder, np.ones((40, 64, 60), np.float32), 10.0, chunks=(20, 32, 30))
    (folder / name).unlink()
    if kind == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to("nothing")
    command = ("slab", "TS_01.zarr", "TS_02.zarr", "-o", "s", "--thickness", 400)
    assert "failed: TS_02" in run_in_process(*command, cwd=tmp_path, code=1).stderr
    assert (tmp_path / "s/TS_01_slab000.mrc").exists()
