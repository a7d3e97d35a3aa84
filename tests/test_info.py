"""``slabkit info``: every kind of file told right, with its warnings and exit codes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from volume_files import mrc_bytes, random_volume, write_mrc_file

from slabkit.errors import FormatError, InputError
from slabkit.formats import describe
from slabkit.formats.describe import describe_file
from slabkit.formats.programs.cryosparc.dataset import dataset_bytes, group_text
from slabkit.formats.tables.native import (
    PickList,
    write_labels,
    write_minislabs,
    write_picks,
    write_picks2d,
    write_slabs,
)
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.tables import LABELS, MINISLABS, PICKS, PICKS2D, SLABS, TOMOGRAMS, make_table

SHAPE = (5, 7, 9)


def test_tomogram(tmp_path: Path) -> None:
    data = random_volume(SHAPE, "i2")
    path = write_mrc_file(tmp_path / "a.mrc", data, order=">", start=(1, 0, 0))
    found = describe_file(path)
    assert found.kind == "tomogram"
    assert found.stored_as == "MRC mode 1 (int16, big-endian)"
    assert found.size == (9, 7, 5)
    assert found.voxel_size == 7.3
    assert found.values is not None
    assert not found.values.sampled
    assert (found.values.least, found.values.greatest) == (data.min(), data.max())
    assert found.values.mean == pytest.approx(data.mean(), rel=1e-12)
    assert found.values.deviation == pytest.approx(data.std(), rel=1e-12)
    assert "start (1, 0, 0 voxels) in its header is ignored" in found.warnings[0]
    packed = tmp_path / "b.mrc"
    packed.write_bytes(gzip.compress(mrc_bytes(data)))
    assert describe_file(packed).values == found.values
    assert describe_file(packed).stored_as.endswith("gzip")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda data: data.fill(3), "every value read is 3"),
        (lambda data: data[:2].fill(0), "2 of 5 planes read are constant"),
        (lambda data: data[:, :4].fill(0), "values read are exactly 0"),
        (lambda data: data[0, 0, :3].fill(np.nan), "3 of 315 values are NaN or infinite"),
        (lambda data: data.fill(np.nan), "315 of 315 values are NaN"),
    ],
)
def test_value_warnings(tmp_path: Path, change: Callable[[Any], None], what: str) -> None:
    data = random_volume(SHAPE) + np.float32(0.5)
    change(data)
    found = describe_file(write_mrc_file(tmp_path / "a.mrc", data))
    assert any(what in warning for warning in found.warnings)
    json.dumps(found.as_dict(), allow_nan=False)


def test_unsigned_bytes_are_suspected(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(128, 10, SHAPE).astype("u1")
    path = write_mrc_file(tmp_path / "a.mrc", values)
    assert any("--uint8" in warning for warning in describe_file(path).warnings)
    assert not describe_file(write_mrc_file(path, random_volume(SHAPE, "i1") // 2)).warnings


@pytest.mark.parametrize(
    ("size", "what"), [(0.0, "not set"), (1.0, "looks unset"), ((7, 7, 8), "not cubic")]
)
def test_voxel_size_that_would_stop_is_a_warning_here(tmp_path: Path, size: Any, what: str) -> None:
    found = describe_file(write_mrc_file(tmp_path / "a.mrc", random_volume(SHAPE), size))
    assert any(what in warning for warning in found.warnings)
    assert found.voxel_size == (1.0 if size == 1.0 else None)


def test_large_volumes_are_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(describe, "_STREAMED_BYTES", 100)
    data = random_volume((40, 41, 42))
    data[1] = 1000
    path = write_mrc_file(tmp_path / "a.mrc", data)
    sampled = describe_file(path).values
    assert sampled is not None
    assert (sampled.planes, sampled.of, sampled.sampled) == (16, 40, True)
    full = describe_file(path, full=True).values
    assert full is not None
    assert (full.planes, full.greatest, full.sampled) == (40, 1000, False)


def test_images(tmp_path: Path) -> None:
    image = random_volume((1, 7, 9))[0]
    write_mrc(tmp_path / "a.mrc", image, 7.3, label="made by a test")
    found = describe_file(tmp_path / "a.mrc")
    assert (found.kind, found.size, found.voxel_size) == ("micrograph", (9, 7), 7.3)
    assert found.notes == ("label: made by a test",)
    write_mrc(tmp_path / "a.mrcs", random_volume(SHAPE), 7.3, label="", stack=True)
    found = describe_file(tmp_path / "a.mrcs")
    assert (found.kind, found.size) == ("stack", (9, 7, 5))
    tifffile.imwrite(tmp_path / "a.tif", image)
    found = describe_file(tmp_path / "a.tif")
    assert (found.kind, found.size, found.voxel_size) == ("micrograph", (9, 7), None)


def tables(folder: Path) -> dict[str, Path]:
    slab: dict[str, Any] = {name: ["dark"] for name in SLABS.string_names}
    slab |= {name: [1] for name in SLABS.names if name not in slab}
    picks2d = {"rlnMicrographName": ["a", "b"], "rlnCoordinateX": 1.0, "rlnCoordinateY": 2.0}
    pick = {"slabkitPickId": ["1", "2", "3"], "slabkitTomogram": "00255"}
    pick |= {f"slabkit{axis}": [1.0, 2.0, 3.0] for axis in "XYZ"}
    mini: dict[str, Any] = {"rlnMicrographName": ["g"], "rlnParticleName": ["1"]}
    mini |= {"slabkitPickId": ["1"], "slabkitTomogram": ["00255"]}
    mini |= {name: [1] for name in MINISLABS.names if name not in mini and "Name" not in name}
    mini |= {"slabkitGallerySet": ["x"]}
    kinds = ("slab table", "picks2d", "pick list", "minislab table", "labels")
    paths = {kind: folder / f"{kind.replace(' ', '_')}.star" for kind in kinds}
    write_slabs(paths["slab table"], make_table(SLABS, slab))
    write_picks2d(paths["picks2d"], make_table(PICKS2D, picks2d))
    tomograms = make_table(TOMOGRAMS, {"slabkitTomogram": ["00255"]})
    write_picks(paths["pick list"], PickList(make_table(PICKS, pick), tomograms))
    geometry = pd.DataFrame({"slabkitPixelSize": [7.3], "slabkitTileSize": [40]})
    write_minislabs(paths["minislab table"], make_table(MINISLABS, mini), geometry)
    labels = {"slabkitPickId": ["1", "2"], "slabkitDecision": "accepted"}
    write_labels(paths["labels"], make_table(LABELS, labels))
    return paths


def test_tables(tmp_path: Path) -> None:
    rows = {"slab table": 1, "picks2d": 2, "pick list": 3, "minislab table": 1, "labels": 2}
    for kind, path in tables(tmp_path).items():
        found = describe_file(path)
        assert found.kind == kind
        assert found.rows == rows[kind]
        assert found.warnings == ()
        assert found.columns
    assert "slabkitPickId" in (describe_file(path).columns or ())


def test_other_tables(tmp_path: Path) -> None:
    path = tmp_path / "a.star"
    path.write_text(
        "data_optics\n_rlnVoltage 300\n\ndata_particles\nloop_\n_rlnImageName\n1@a\n2@a\n"
    )
    found = describe_file(path)
    assert (found.kind, found.rows, found.columns) == ("other STAR", 2, ("rlnImageName",))
    assert found.blocks == {"optics": 1, "particles": 2}
    path.write_text("data_tomograms\nloop_\n_slabkitTomogram\n_slabkitTomogramFile\na a.mrc\n")
    assert describe_file(path).kind == "tomogram table"
    path.write_text("data_labels\nloop_\n_slabkitPickId\n_slabkitDecision\n1 perhaps\n")
    found = describe_file(path)
    assert found.kind == "labels"
    assert "'perhaps'" in found.warnings[0]
    path.write_text("data_labels\nloop_\n_slabkitPickId\n_slabkitDecision\n")
    assert "the table is empty" in describe_file(path).warnings
    table = tmp_path / "a.csv"
    table.write_text("name;weight\na;1\nb;2\n")
    found = describe_file(table)
    assert (found.kind, found.rows, found.columns) == ("table", 2, ("name", "weight"))
    table.write_text("tomogram,x,y,z\nTS_1,1,2,3\nTS_1,4,5,6\n")
    found = describe_file(table)
    assert (found.kind, found.stored_as, found.rows) == ("pick list", "csv", 2)


def test_not_understood(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("Dear reader, this is prose.\nNothing more.\n")
    with pytest.raises(FormatError, match="a text file that slabkit does not understand"):
        describe_file(path)
    path.write_text("data_x\nloop_\n_a\n_b\n1\n")
    with pytest.raises(FormatError, match="line 5: 1 values for 2 columns"):
        describe_file(path)
    with pytest.raises(InputError, match="is a folder"):
        describe_file(tmp_path)


def test_command(tmp_path: Path, slabkit: Callable[..., Any]) -> None:
    write_mrc_file(tmp_path / "a.mrc", random_volume(SHAPE))
    (tmp_path / "bad.mrc").write_bytes(b"\0" * 2000)
    done = slabkit("info", "a.mrc")
    assert "tomogram, MRC mode 2 (float32)" in done.stdout
    assert "9 × 7 × 5 voxels (x, y, z)" in done.stdout
    assert "voxel size 7.3 Å" in done.stdout
    done = slabkit("info", "a.mrc", "bad.mrc", "--json", code=1)
    report = json.loads(done.stdout)
    assert report["status"] == "partial"
    assert report["files"][0]["size"] == [9, 7, 5]
    assert "not an MRC file" in report["failures"]["bad.mrc"]
    assert "not an MRC file" in done.stderr
    done = slabkit("info", "bad.mrc", "gone.mrc", "--json", code=2)
    assert json.loads(done.stdout)["files"] == []


def test_real_files(data_folder: Path) -> None:
    path = data_folder / "tomograms" / "TS_911.mrc"
    found = describe_file(path)
    assert (found.kind, found.size, found.voxel_size) == ("tomogram", (256, 256, 96), 10.0)
    assert found.warnings == ()


# --- other programs' files ---------------------------------------------------------------------

CBOX_COLUMNS = (
    "CoordinateX CoordinateY CoordinateZ Width Height Depth EstWidth EstHeight Confidence NumBoxes"
)
CBOX = (
    "data_global\n\n_cbox_format_version 1.0\n\ndata_cryolo\n\nloop_\n_"
    + CBOX_COLUMNS.replace(" ", "\n_")
    + "\n10 20 {z} 8 6 {z} 8 6 0.75 5\n30 20 {z} 8 6 {z} 8 6 0.5 5\n\n"
    "data_cryolo_include\n\nloop_\n_slice_index\n12\n"
)
DYNAMO = " ".join(["1", *["0"] * 18, "1", "0", "0", "0", "5", "6", "7", *["0"] * 9]) + "\n"
COPICK = {
    "pickable_object_name": "ribosome",
    "user_id": "me",
    "session_id": "1",
    "run_name": "TS_1",
    "unit": "angstrom",
    "points": [{"location": {"x": 1, "y": 2, "z": 3}}] * 1,
}
RELION = "data_particles\n\nloop_\n_rlnTomoName\n"


@pytest.mark.parametrize(
    ("name", "text", "kind", "stored_as", "rows", "notes"),
    [
        (
            "a.cbox",
            CBOX.format(z=12),
            "pick list",
            "STAR, cryolo",
            2,
            ("tomograms (1): a", "scores: 0.5 to 0.75"),
        ),
        ("a.cbox", CBOX.format(z="<NA>"), "picks2d", "STAR, cryolo", 2, ()),
        ("m.box", "10 20 8 8\n30 20 8 8\n", "picks2d", "eman-box", 2, ()),
        ("m_info.json", '{"boxes": [[1, 2, "manual"]]}', "picks2d", "eman-info", 1, ()),
        (
            "t.txt",
            "image_name\tx_coord\ty_coord\tscore\na\t1\t2\t0.5\n",
            "picks2d",
            "topaz",
            1,
            (),
        ),
        ("a.tbl", DYNAMO, "pick list", "dynamo", 1, ("tomograms (1): a",)),
        ("i.txt", "1 2 3\n4 5 6\n", "coordinates", "text, 3 columns of numbers", 2, None),
        ("i.pts", " 1  1  1.5 2 3\n", "coordinates", "text, 5 columns of numbers", 1, None),
        ("r.coords", "1 2 3\n4 5 6\n", "coordinates", "text, 3 columns of numbers", 2, None),
        (
            "p.ndjson",
            '{"type": "point", "location": {"x": 1, "y": 2, "z": 3}}\n',
            "pick list",
            "ndjson",
            1,
            ("tomograms (1): p",),
        ),
        (
            "p.json",
            json.dumps(COPICK),
            "pick list",
            "copick",
            1,
            ("tomograms (1): TS_1", "species: ribosome 1"),
        ),
        (
            "r.star",
            RELION
            + "".join(f"_rlnCenteredCoordinate{axis}Angst\n" for axis in "XYZ")
            + "T 1 2 3\n",
            "pick list",
            "STAR, relion5",
            1,
            (),
        ),
        (
            "w.star",
            "data_particles\n\nloop_\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\n"
            "_rlnImageName\nm.mrc 1 2 1@s.mrcs\n",
            "picks2d",
            "STAR, star",
            1,
            (),
        ),
        ("x.json", '{"step": "map", "parameters": {}, "inputs": []}', None, "JSON", None, ()),
    ],
)
def test_pick_files_of_other_programs(
    tmp_path: Path,
    name: str,
    text: str,
    kind: str | None,
    stored_as: str,
    rows: int | None,
    notes: tuple[str, ...] | None,
) -> None:
    (tmp_path / name).write_text(text)
    found = describe_file(tmp_path / name)
    assert found.kind == (kind or "record of a run of slabkit")
    assert (found.stored_as, found.rows) == (stored_as, rows)
    assert found.notes == notes or notes is None
    if notes is None:
        assert "give --from" in found.notes[0]


def test_cryosparc_files(tmp_path: Path) -> None:
    uid = np.array([2**63 + 5, 7], dtype=np.uint64)
    paths = np.array([">slabs/b.mrc", ">slabs/a.mrc"], dtype=object)
    columns = {
        "uid": uid,
        "location/micrograph_path": paths,
        "location/center_x_frac": np.array([0.5, 0.25], dtype=np.float32),
    }
    (tmp_path / "p.cs").write_bytes(dataset_bytes(columns))
    found = describe_file(tmp_path / "p.cs")
    assert (found.kind, found.stored_as, found.rows) == ("CryoSPARC particles", ".cs", 2)
    assert found.columns == tuple(columns)
    assert found.notes == ("micrographs (2): slabs/b.mrc, slabs/a.mrc",)
    columns = {"uid": uid, "alignments2D/class": uid.astype(np.uint32)}
    (tmp_path / "q.cs").write_bytes(dataset_bytes(columns))
    found = describe_file(tmp_path / "q.cs")
    assert found.kind == "CryoSPARC dataset"
    assert "another file of its output has them" in found.notes[0]
    text = group_text(
        kind="particle",
        name="picks",
        title="picks",
        description="two",
        slots=("location", "alignments2D"),
        metafile="p.cs",
        rows=2,
    )
    (tmp_path / "g.csg").write_text(text)
    found = describe_file(tmp_path / "g.csg")
    assert (found.kind, found.rows) == ("CryoSPARC result group", 2)
    assert found.columns == ("alignments2D", "location")
    assert found.notes == ("dataset p.cs", "p.cs: micrographs (2): slabs/b.mrc, slabs/a.mrc")
    (tmp_path / "p.cs").unlink()
    assert "p.cs is not there" in describe_file(tmp_path / "g.csg").warnings[0]
    (tmp_path / "cut.cs").write_bytes((tmp_path / "q.cs").read_bytes()[:-3])
    with pytest.raises(FormatError, match="is cut short"):
        describe_file(tmp_path / "cut.cs")
