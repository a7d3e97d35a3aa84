"""Pick files of EMAN2, crYOLO, Dynamo, ArtiaX, TomoTwin, pytom-match-pick, Warp and others."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pick_files import (
    SLOW,
    STOPGAP,
    TWO_TOMOGRAMS,
    pick_list,
    read_or_refuse,
    tomogram_table,
    xyz,
)

from slabkit.errors import InputError, SlabkitWarning
from slabkit.formats.picks.reading import read_picks
from slabkit.formats.picks.writing import write_picks
from slabkit.formats.tables.native import PickList
from slabkit.formats.tables.star import read_star
from slabkit.formats.tomograms.index import read_tomogram_index
from slabkit.formats.tomograms.names import bare_name, known_names
from slabkit.tables import PICKS, make_table

T = tomogram_table(TS_1=(101, 80, 41, 7.3))  # odd and even sizes, three different sides


def write(folder: Path, text: str, name: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# --- Dynamo ------------------------------------------------------------------------------------


def dynamo_row(width: int = 40, **values: float) -> str:
    columns = {"tag": 1, "dx": 4, "dy": 5, "dz": 6, "tdrot": 7, "tilt": 8, "narot": 9, "cc": 10}
    columns |= {"tomo": 20, "reg": 21, "class": 22, "x": 24, "y": 25, "z": 26, "apix": 36}
    row = ["0"] * width
    for name, value in values.items():
        row[columns[name] - 1] = str(value)
    return " ".join(row)


def test_dynamo_counts_from_one_and_adds_shifts(tmp_path: Path) -> None:
    first = dynamo_row(tag=7, x=1, y=1, z=1, tomo=3, cc=0.25, **{"class": 2})
    second = dynamo_row(tag=9, x=11, y=21, z=31, dx=0.5, dy=-1, tomo=3)
    path = write(tmp_path, f"{first}\n{second}\n", "t.tbl")
    with pytest.warns(SlabkitWarning, match=r"1 of 2 particles had a shift \(dx, dy, dz\)"):
        picks = read_picks(path, tomograms=T)
    expected = [[0, 0, 0], [10.5 * 7.3, 19 * 7.3, 30 * 7.3]]
    np.testing.assert_allclose(xyz(picks), expected, atol=1e-9)
    assert picks.picks["slabkitTomogram"].tolist() == ["TS_1", "TS_1"]
    assert picks.picks["slabkitScore"].tolist() == [0.25, 0]
    assert picks.picks["slabkitScoreKind"].tolist() == ["dynamo-cc"] * 2
    assert picks.picks["dynamoTag"].tolist() == ["7", "9"]
    assert picks.picks["dynamoClass"].tolist() == ["2", "0"]
    assert "dynamoReg" not in picks.picks.columns
    with pytest.warns(SlabkitWarning, match="had a shift"):
        other = read_picks(path, tomograms=T, index_base=0)
    np.testing.assert_allclose(xyz(other), np.array(expected) + 7.3, atol=1e-9)


def test_dynamo_needs_to_know_its_tomograms(tmp_path: Path) -> None:
    rows = [dynamo_row(x=2, y=3, z=4, tomo=number) for number in (1, 12)]
    path = write(tmp_path, "\n".join(rows), "t.tbl")
    with pytest.raises(InputError, match=r"numbers its tomograms \(1, 12\).*--tomogram-index"):
        read_picks(path, tomograms=TWO_TOMOGRAMS)
    index = read_tomogram_index(
        write(tmp_path, "12 /data/00255.mrc\n# a note\n1\tmy folder/TS_1.rec\n", "i.doc")
    )
    assert index == {"12": "00255", "1": "TS_1"}
    picks = read_picks(path, tomograms=TWO_TOMOGRAMS, tomogram_index=index)
    assert picks.picks["slabkitTomogram"].tolist() == ["TS_1", "00255"]
    np.testing.assert_allclose(xyz(picks)[1], np.array([1, 2, 3]) * 10.012, rtol=1e-12)
    with pytest.raises(InputError, match="tomogram number 12 is not in --tomogram-index"):
        read_picks(path, tomograms=TWO_TOMOGRAMS, tomogram_index={"1": "TS_1"})
    vll = read_tomogram_index(write(tmp_path, "a/TS_1.rec\n* apix = 7\n\nb/00255.mrc\n", "i.vll"))
    assert vll == {"1": "TS_1", "2": "00255"}
    for text, message in (
        ("1 a.mrc\n1 b.mrc\n", "number 1 appears twice"),
        ("1 a.mrc\n2 x/a.rec\n", "tomogram a appears twice"),
        ("one a.mrc\n", "is not a number and a path"),
        ("7\n", "is not a number and a path"),
        ("\n", "lists no tomograms"),
    ):
        with pytest.raises(InputError, match=message):
            read_tomogram_index(write(tmp_path, text, "bad.doc"))


def test_dynamo_pixel_size_of_column_36(tmp_path: Path) -> None:
    path = write(tmp_path, dynamo_row(x=11, y=21, z=31, tomo=1, apix=5), "t.tbl")
    alone = read_picks(path, tomogram="TS_1")
    np.testing.assert_allclose(xyz(alone), [[50, 100, 150]])
    assert alone.tomograms["slabkitVoxelSize"].tolist() == [5]
    with pytest.raises(InputError, match=r"says 5 Å per pixel \(column 36\).*has 7.3 Å; give"):
        read_picks(path, tomograms=T)
    # What the message advises, for either reading.
    with pytest.warns(SlabkitWarning, match=r"taken for voxels of 7.3 Å"):
        known = read_picks(path, tomograms=T, voxel_size=7.3)
    np.testing.assert_allclose(xyz(known), [[73, 146, 219]])
    np.testing.assert_allclose(xyz(read_picks(path, tomogram="TS_1", voxel_size=5)), xyz(alone))
    close = write(tmp_path, dynamo_row(x=11, y=21, z=31, tomo=1, apix=7.31), "close.tbl")
    with pytest.warns(SlabkitWarning, match=r"taken for voxels of 7.3 Å"):  # BAD_INPUTS 3
        np.testing.assert_allclose(xyz(read_picks(close, tomograms=T)), [[73, 146, 219]])
    bare = write(tmp_path, dynamo_row(35, x=1, y=2, z=3, tomo=1), "short.tbl")
    with pytest.raises(InputError, match="voxel size of TS_1 is not known"):
        read_picks(bare, tomogram="TS_1")


@pytest.mark.parametrize(
    "name", ["dynamo", "stopgap", "em", "imod", "imod-model", "artiax", "ndjson", "cryolo-coords"]
)
def test_binning_moves_no_position_of_a_list_in_voxels_and_that_is_said(
    tmp_path: Path, name: str
) -> None:
    rows = [("TS_1", "", 73.0, 146.0, 219.0)]
    path = tmp_path / "TS_1.any"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlabkitWarning)
        write_picks(path, pick_list(rows, T), format=name)
    with pytest.warns(SlabkitWarning, match=f"--binning 2 moves no position of {name}, which c"):
        picks = read_picks(path, format=name, tomograms=T, tomogram="TS_1", binning=2)
    np.testing.assert_allclose(xyz(picks), [[73, 146, 219]], atol=1e-3)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*binning")
        read_picks(path, format=name, tomograms=T, tomogram="TS_1", binning=1)


def test_pixels_that_lie_outside_are_not_sent_to_a_binning_that_does_nothing(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, dynamo_row(35, x=281, y=1, z=1, tomo=1), "t.tbl")
    with pytest.raises(InputError, match="convert --voxel-size") as raised:
        read_picks(path, tomograms=T)
    assert "--binning" not in str(raised.value)
    np.testing.assert_allclose(
        xyz(read_picks(path, tomogram="TS_1", voxel_size=2.5)), [[700, 0, 0]]
    )


@pytest.mark.parametrize("width", [26, 32, 35, 36, 40, 41, 42])
def test_dynamo_tables_of_any_width(tmp_path: Path, width: int) -> None:
    row = dynamo_row(width, x=11, y=21, z=31, tdrot=30, tomo=1, dz=1, **{"class": 2})
    with pytest.warns(SlabkitWarning, match="had a shift"):
        picks = read_picks(write(tmp_path, f"{row}\n", "t.tbl"), tomograms=T)
    np.testing.assert_allclose(xyz(picks), [[73, 146, 226.3]])
    assert picks.picks["dynamoClass"].tolist() == ["2"]
    assert "slabkitRotation" in picks.picks.columns


def test_dynamo_is_written_with_its_map(tmp_path: Path) -> None:
    picks = pick_list([("00255", "a", 0, 10.012, 50.06), ("TS_1", "b", 73, 0, 36.5)])
    with pytest.warns(SlabkitWarning, match="dynamo cannot hold pick_id, species"):
        written = write_picks(tmp_path / "t.tbl", picks)
    assert [path.name for path in written] == ["t.tbl", "t.doc"]
    rows = [line.split() for line in (tmp_path / "t.tbl").read_text().splitlines()]
    assert {len(row) for row in rows} == {40}
    places = [[float(v) for v in row[23:26]] for row in rows]
    np.testing.assert_allclose(places, [[1, 2, 6], [11, 1, 6]])
    assert [row[0] for row in rows] == ["1", "2"]
    assert [row[19] for row in rows] == ["2", "1"]
    assert (tmp_path / "t.doc").read_text() == "1 TS_1\n2 00255\n"
    back = read_picks(
        tmp_path / "t.tbl",
        tomograms=TWO_TOMOGRAMS,
        tomogram_index=read_tomogram_index(tmp_path / "t.doc"),
    )
    np.testing.assert_allclose(xyz(back), xyz(picks), atol=1e-9)
    assert back.picks["slabkitTomogram"].tolist() == ["00255", "TS_1"]
    with pytest.warns(SlabkitWarning, match="cannot hold"):
        write_picks(tmp_path / "zero.tbl", picks, index_base=0)
    first = (tmp_path / "zero.tbl").read_text().split()[23:26]
    np.testing.assert_allclose([float(v) for v in first], [0, 1, 5])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3\n", "line 1: 3 values; a Dynamo table has 26 or more"),
        (dynamo_row(x=1) + "\n" + dynamo_row(36, x=1), "line 2: 36 values"),
        (dynamo_row(x="nan"), "x is 'nan' in row 1"),  # type: ignore[arg-type]
        (dynamo_row(tomo=1.5), "number of the tomogram is '1.5' in row 1"),
        (dynamo_row(tdrot="1_0"), "tdrot is '1_0' in row 1"),  # type: ignore[arg-type]
    ],
)
def test_dynamo_refusals(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_picks(write(tmp_path, text, "t.tbl"), tomograms=T)


# --- EMAN2 -------------------------------------------------------------------------------------


def eman(**changes: Any) -> str:
    content = {
        "apix_unbin": 1.825,
        "boxes_3d": [[0, 0, 0, "manual", 0.0, 0], [-4.0, 8, 2.5, "tm", 6.5, 3]],
        "class_list": {
            "0": {"name": "ribosome", "boxsize": 200},
            "3": {"name": "apo-ferritin", "boxsize": 80},
        },
        "tlt_params": [[1, 2], [3, 4]],
    }
    return json.dumps(content | changes)


def test_eman_counts_from_half_the_size_rounded_down(tmp_path: Path) -> None:
    path = write(tmp_path, eman(), "info/TS_1_info.json")
    picks = read_picks(path, tomograms=T)
    centre = np.array([50, 40, 20]) * 7.3  # 101 // 2, 80 // 2, 41 // 2
    expected = [centre, centre + np.array([-4, 8, 2.5]) * 1.825]
    np.testing.assert_allclose(xyz(picks), expected, rtol=1e-12)
    assert picks.picks["slabkitSpecies"].tolist() == ["ribosome", "apo-ferritin"]
    assert picks.picks["slabkitScore"].tolist() == [0, 6.5]
    assert picks.picks["slabkitScoreKind"].tolist() == ["eman-manual", "eman-tm"]
    assert picks.picks["slabkitTomogram"].tolist() == ["TS_1", "TS_1"]
    assert picks.picks["emanBoxSize"].tolist() == ["200", "80"]


def test_eman_before_2018_counts_from_the_corner(tmp_path: Path) -> None:
    content = json.loads(eman())
    del content["apix_unbin"]
    content["boxes_3d"] = [[10, 20, 30]]
    path = write(tmp_path, json.dumps(content), "TS_1_info.json")
    np.testing.assert_allclose(xyz(read_picks(path, tomograms=T)), [[73, 146, 219]])
    assert read_picks(path, voxel_size=2).picks["slabkitTomogram"].tolist() == ["TS_1"]


def test_eman_there_and_back(tmp_path: Path) -> None:
    rows = [("TS_1", "ribosome", 10.5, 20.25, 30.0), ("TS_1", "", 600.0, 0.0, 290.1)]
    picks = pick_list([*rows, ("00255", "ribosome", 1, 2, 3)])
    with pytest.warns(SlabkitWarning, match="eman cannot hold pick_id"):
        written = write_picks(tmp_path / "project", picks, format="eman", binning=4)
    names = sorted(path.relative_to(tmp_path / "project").as_posix() for path in written)
    assert names == ["info/00255_info.json", "info/TS_1_info.json", "picks.star"]
    content = json.loads((tmp_path / "project/info/TS_1_info.json").read_text())
    assert content["apix_unbin"] == pytest.approx(7.3 / 4)
    place = (np.array([10.5, 20.25, 30]) - np.array([50, 40, 20]) * 7.3) / (7.3 / 4)
    np.testing.assert_allclose(content["boxes_3d"][0][:3], place)
    back = read_picks(tmp_path / "project" / "info", format="eman", tomograms=TWO_TOMOGRAMS)
    order = back.picks.sort_values(["slabkitTomogram", "slabkitX"], ignore_index=True)
    np.testing.assert_allclose(
        order[["slabkitX", "slabkitY", "slabkitZ"]],
        [[1, 2, 3], [10.5, 20.25, 30], [600, 0, 290.1]],
        atol=1e-9,
    )
    assert order["slabkitSpecies"].tolist() == ["ribosome", "ribosome", ""]


def test_eman_says_what_it_left_out_and_refuses(tmp_path: Path) -> None:
    curves = write(tmp_path, eman(curves=[[1, 2, 3, 0]] * 4), "TS_1_info.json")
    with pytest.warns(SlabkitWarning, match="4 points of curves"):
        read_picks(curves, tomograms=T)
    for changes, message in (
        ({"boxes_3d": 1}, "has no list boxes_3d"),
        ({"boxes_3d": [[1, 2]]}, "box 1: must be a list"),
        ({"boxes_3d": [[1, "2", 3]]}, 'box 1: y is "2"'),
        ({"boxes_3d": [[1, 2, 3, "m", 0, 0.5]]}, "class is 0.5"),
        ({"apix_unbin": 0}, "must be positive"),
        ({"apix_unbin": "wide"}, "apix_unbin is 'wide'"),
        ({"class_list": [1]}, "class_list must have an object"),
    ):
        with pytest.raises(InputError, match=message):
            read_picks(
                write(tmp_path, eman(**changes), "TS_1_info.json"), format="eman", tomograms=T
            )
    with pytest.raises(InputError, match="the size of TS_1 is not known"):
        read_picks(write(tmp_path, eman(), "TS_1_info.json"), voxel_size=7.3)
    text = write(tmp_path, eman(apix_unbin="1.825"), "TS_1_info.json")
    assert len(read_picks(text, tomograms=T).picks) == 2


# --- crYOLO, TomoTwin, ArtiaX ------------------------------------------------------------------

CBOX = """data_global

_cbox_format_version 1.0

data_cryolo

loop_
_CoordinateX #1
_CoordinateY #2
_CoordinateZ #3
_Width #4
_Height #5
_Depth #6
_EstWidth #7
_EstHeight #8
_Confidence #9
_NumBoxes #10
_Angle #11
{rows}

data_cryolo_include

loop_
_slice_index #1

"""


def test_cbox_has_a_corner_in_the_plane_and_a_centre_in_z(tmp_path: Path) -> None:
    rows = "10 20 12 8 6 8 7.5 <NA> 0.75 5 <NA>\n30.5 0 3 8 6 8 7 6 <NA> 2 <NA>"
    path = write(tmp_path, CBOX.format(rows=rows), "TS_1.cbox")
    picks = read_picks(path, tomograms=T)
    np.testing.assert_allclose(xyz(picks), np.array([[14, 23, 12], [34.5, 3, 3]]) * 7.3)
    np.testing.assert_array_equal(picks.picks["slabkitScore"], [0.75, np.nan])
    assert picks.picks["slabkitScoreKind"].tolist() == ["cryolo", ""]
    assert picks.picks["cryoloEstHeight"].tolist() == ["", "6"]
    assert "cryoloAngle" not in picks.picks.columns
    flat = write(tmp_path, CBOX.format(rows="1 2 <NA> 8 6 1 7 6 0.5 1 <NA>"), "flat.cbox")
    with pytest.raises(InputError, match="no z, so they are picks on images"):
        read_picks(flat, voxel_size=1.0)
    some = CBOX.format(rows="1 2 3 8 6 1 7 6 0.5 1 0\n1 2 <NA> 8 6 1 7 6 0.5 1 0")
    with pytest.raises(InputError, match="CoordinateZ is '<NA>' in row 2"):
        read_picks(write(tmp_path, some, "some.cbox"), voxel_size=1.0)


def test_bare_coordinates_have_to_be_named(tmp_path: Path) -> None:
    path = write(tmp_path, "1 2 3\n4 5.5 6\n", "TS_1.coords")
    with pytest.raises(InputError, match="could be artiax, tomotwin, cryolo-coords; say which"):
        read_picks(path, tomograms=T)
    expected = np.array([[1, 2, 3], [4, 5.5, 6]]) * 7.3
    cryolo = read_picks(path, format="cryolo-coords", tomograms=TWO_TOMOGRAMS)
    assert cryolo.picks["slabkitTomogram"].tolist() == ["TS_1", "TS_1"]
    artiax = read_picks(path, format="artiax", tomogram="X", voxel_size=7.3)
    twin = read_picks(
        write(tmp_path, "1 2 3\n4 5.5 6\n", "out/ribosome.coords"), format="tomotwin", tomograms=T
    )
    for picks in (cryolo, artiax, twin):
        np.testing.assert_allclose(xyz(picks), expected)
    assert twin.picks["slabkitSpecies"].tolist() == ["ribosome", "ribosome"]
    with pytest.raises(InputError, match="does not say which tomogram"):
        read_picks(path, format="artiax", voxel_size=7.3)
    with pytest.raises(InputError, match="line 2: 2 values; x y z are three"):
        read_picks(write(tmp_path, "1 2 3\n4 5\n", "b.coords"), format="artiax", tomograms=T)


def test_folders_of_coords_are_read_where_their_names_say_something(tmp_path: Path) -> None:
    folder = tmp_path / "coords"
    folder.mkdir()
    write(folder, "1 2 3\n4 5 6\n", "TS_1.coords")
    write(folder, "7 8 9\n", "00255.coords")
    picks = read_picks(folder, format="cryolo-coords", tomograms=TWO_TOMOGRAMS).picks
    assert sorted(picks["slabkitTomogram"]) == ["00255", "TS_1", "TS_1"]
    species = read_picks(folder, format="tomotwin", tomograms=T).picks
    assert sorted(species["slabkitSpecies"]) == ["00255", "TS_1", "TS_1"]
    with pytest.raises(InputError, match="holds files of tomotwin, cryolo-coords; give the files"):
        read_picks(folder, tomograms=TWO_TOMOGRAMS)
    with pytest.raises(InputError, match="is a folder without pick files"):
        read_picks(folder, format="artiax", tomograms=T)


def test_coords_are_written_for_artiax_and_tomotwin(tmp_path: Path) -> None:
    rows = [("TS_1", "a", 73.0, 7.3, 0.0), ("TS_1", "b", 14.6, 0.0, 7.3)]
    with pytest.warns(SlabkitWarning, match="artiax cannot hold pick_id, species"):
        write_picks(tmp_path / "p.coords", pick_list(rows))
    values = [float(v) for v in (tmp_path / "p.coords").read_text().split()]
    np.testing.assert_allclose(values, [10, 1, 0, 2, 0, 1])
    with pytest.warns(SlabkitWarning, match="tomotwin cannot hold pick_id"):
        written = write_picks(tmp_path / "twin", pick_list(rows), format="tomotwin")
    assert sorted(path.relative_to(tmp_path / "twin").as_posix() for path in written) == [
        "TS_1/a.coords",
        "TS_1/b.coords",
        "picks.star",
    ]


def test_tomotwin_rounding_is_said_and_pickles_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "2050 1 2\n", "r.coords")
    with pytest.warns(SlabkitWarning, match="1 coordinates are 2048 or more"):
        read_picks(path, format="tomotwin", tomogram="T", voxel_size=10.0)
    located = tmp_path / "located.tloc"
    located.write_bytes(pickle.dumps({"X": [1.0]}))
    for name in (None, "tomotwin"):
        with pytest.raises(InputError, match=r"Python pickle.*tomotwin_pick.py"):
            read_picks(located, format=name, tomogram="T", voxel_size=1.0)


ARTIAX = "pos_x\tpos_y\tpos_z\tshift_x\tshift_y\tshift_z\tphi\tthe\tpsi\tscore\tkind\n"


def test_artiax_list_adds_shifts(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        f"{ARTIAX}1\t2\t3\t0.5\t0\t-1\t0\t0\t0\t0.25\t4\n4\t5\t6\t0\t0\t0\t0\t0\t0\t1\t5\n",
        "p.tsv",
    )
    with pytest.warns(SlabkitWarning, match="1 of 2 particles had a shift"):
        picks = read_picks(path, tomograms=T)
    np.testing.assert_allclose(xyz(picks), np.array([[1.5, 2, 2], [4, 5, 6]]) * 7.3)
    assert picks.picks["slabkitScore"].tolist() == [0.25, 1]
    assert picks.picks["kind"].tolist() == ["4", "5"]
    with pytest.warns(SlabkitWarning, match="cannot hold"):
        write_picks(tmp_path / "q.tsv", picks, format="artiax-tsv")
    back = read_picks(tmp_path / "q.tsv", tomograms=T)
    np.testing.assert_allclose(xyz(back), xyz(picks), atol=1e-9)
    assert back.picks["slabkitScore"].tolist() == [0.25, 1]
    for text, message in (
        (ARTIAX.replace("phi", "rho"), "has no column phi"),
        (ARTIAX.replace("kind", "score"), "a column twice"),
        (ARTIAX + "1\t2\n", "row 1 has 2 values for 11 columns"),
        (ARTIAX + "\t".join("1" * 6 + "x" + "1" * 4), "phi is 'x' in row 1"),
    ):
        with pytest.raises(InputError, match=message):
            read_picks(write(tmp_path, text, "bad.tsv"), format="artiax-tsv", tomograms=T)


# --- pytom-match-pick, Warp, slabpick ----------------------------------------------------------

XYZ = ["rlnCoordinateX", "rlnCoordinateY", "rlnCoordinateZ"]


def star(columns: list[str], *rows: str) -> str:
    labels = "".join(f"_{name} #{i}\n" for i, name in enumerate(columns, 1))
    return "data_\n\nloop_\n" + labels + "\n".join(rows) + "\n"


PYTOM = [*XYZ, "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnLCCmax", "rlnCutOff"]
PYTOM += ["rlnSearchStd", "rlnDetectorPixelSize", "rlnMicrographName"]


def test_pytom_has_its_voxel_size(tmp_path: Path) -> None:
    path = write(
        tmp_path, star(PYTOM, "10 20 30 1 2 3 0.5 0.2 0.05 7.3 TS_1"), "TS_1_particles.star"
    )
    picks = read_picks(path)
    np.testing.assert_allclose(xyz(picks), [[73, 146, 219]])
    assert picks.tomograms["slabkitVoxelSize"].tolist() == [7.3]
    assert picks.picks["slabkitScoreKind"].tolist() == ["rlnLCCmax"]
    assert picks.picks["slabkitScore"].tolist() == [0.5]
    assert picks.picks["rlnSearchStd"].tolist() == ["0.05"]
    assert picks.picks["rlnAngleTilt"].tolist() == ["2"]
    other = T.assign(slabkitVoxelSize=10.0)
    with pytest.raises(InputError, match=r"is 7\.3 Å in the file and 10 Å elsewhere"):
        read_picks(path, tomograms=other)
    with pytest.raises(InputError, match=r"is 7\.3 Å in the file and 10 Å elsewhere"):
        read_picks(path, voxel_size=10)
    with pytest.warns(SlabkitWarning, match="--binning was followed"):
        settled = read_picks(path, voxel_size=10, binning=1)
    np.testing.assert_allclose(xyz(settled), [[100, 200, 300]])
    wrong = write(tmp_path, star(PYTOM, "1 2 3 1 2 3 1 1 1 0 TS_1"), "w.star")
    with pytest.raises(InputError, match="rlnDetectorPixelSize is 0; it must be positive"):
        read_picks(wrong)


@pytest.mark.parametrize("columns", ["rlnOrigin{}Angst", "rlnOrigin{}"])
def test_origin_shifts_are_subtracted_and_counted(tmp_path: Path, columns: str) -> None:
    shift = "25 -10 30" if "Angst" in columns else "2.5 -1 3"
    labels = [columns.format(axis) for axis in "XYZ"]
    rows = (f"60 50 30 TS_1.tomostar {shift}", "80 70 35 TS_1.tomostar 0 0 0")
    path = write(tmp_path, star([*XYZ, "rlnMicrographName", *labels], *rows), "w.star")
    known = T.assign(slabkitVoxelSize=10.0)
    with pytest.warns(SlabkitWarning, match="1 of 2 particles had an origin shift"):
        picks = read_picks(path, format="warp-px", tomograms=known)
    np.testing.assert_allclose(xyz(picks), [[575, 510, 270], [800, 700, 350]])
    assert not set(labels) & set(picks.picks.columns)
    rows = tuple(row.replace(".tomostar", "") + " 10 0.41" for row in rows)
    score = "ptmLCCmax"  # as older versions call it
    names = [*XYZ, "rlnMicrographName", *labels, "rlnDetectorPixelSize", score]
    with pytest.warns(SlabkitWarning, match="had an origin shift"):
        picks = read_picks(write(tmp_path, star(names, *rows), "p.star"))
    np.testing.assert_allclose(xyz(picks), [[575, 510, 270], [800, 700, 350]])
    assert picks.picks["slabkitScore"].tolist() == [0.41, 0.41]
    assert picks.picks["slabkitScoreKind"].tolist() == [score, score]


def test_pytom_for_relion5_is_relion5(tmp_path: Path) -> None:
    columns = [f"rlnCenteredCoordinate{axis}Angst" for axis in "XYZ"]
    columns += ["rlnTomoName", "rlnTomoTiltSeriesPixelSize", "rlnLCCmax", "rlnSearchStd"]
    # What it writes for index 10, 20, 30: from half the size of the volume it searched, in Å.
    place = (np.array([10, 20, 30]) - np.array([101, 80, 41]) / 2) * 7.3
    row = " ".join(map(repr, place.tolist())) + " TS_1 7.3 0.5 0.05"
    known = T.assign(slabkitTomogram="rec_TS_1")  # the name it takes the rec_ from
    with pytest.warns(SlabkitWarning, match="by their bare names: TS_1 for rec_TS_1"):
        picks = read_picks(write(tmp_path, star(columns, row), "p.star"), tomograms=known)
    np.testing.assert_allclose(xyz(picks), [[73, 146, 219]])
    assert picks.picks["slabkitScoreKind"].tolist() == ["rlnLCCmax"]


WARP = [*XYZ, "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnMicrographName"]
WARP += ["rlnAutopickFigureOfMerit"]
WARP_TOMOGRAMS = T.assign(slabkitTomogram="TS_1_7.30Apx")


def test_warp_px_is_written_for_warp_and_m(tmp_path: Path) -> None:
    known = tomogram_table(TS_1=(101, 80, 41, 7.3), TS_2=(101, 80, 41, 14.6))
    picks = pick_list([("TS_1", "", 73, 146, 7.3), ("TS_2", "", 14.6, 0, 29.2)], known)
    extra = {"slabkitScore": [0.5, 2], "wrpSourceHash": ["a1", "b2"], "rlnRandomSubset": "1"}
    picks = PickList(picks.picks.assign(**extra), known)
    write_picks(tmp_path / "w.star", picks, format="warp-px", binning=2)
    block = read_star(tmp_path / "w.star")["particles"]
    assert block["rlnMicrographName"].tolist() == ["TS_1.tomostar", "TS_2.tomostar"]
    assert set(block["rlnImagePixelSize"]) == {"3.65"}  # one size: Warp and M take one
    places = block[[f"rlnCoordinate{axis}" for axis in "XYZ"]].to_numpy(float)
    np.testing.assert_allclose(places, [[20, 40, 2], [4, 0, 8]])
    assert set(block[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].to_numpy().ravel()) == {"0.0"}
    with pytest.warns(SlabkitWarning, match="pixels of 3.65 Å, as it says"):
        back = read_picks(tmp_path / "w.star", tomograms=known)  # told by slabkit's own column
    np.testing.assert_allclose(xyz(back), xyz(picks), atol=1e-9)
    kept = ["slabkitPickId", "slabkitScore", "wrpSourceHash", "rlnRandomSubset"]
    pd.testing.assert_frame_equal(
        back.picks[kept], picks.picks[kept], check_dtype=False, check_column_type=False
    )


def test_warp_fractions_and_pixels(tmp_path: Path) -> None:
    text = star(WARP, "0.5 0.25 0 1 2 3 TS_1.tomostar 6.5")
    path = write(tmp_path, text, "TS_1_7.30Apx_r.star")
    with pytest.raises(InputError, match="could be warp, warp-px; say which with --from"):
        read_picks(path, tomograms=WARP_TOMOGRAMS)
    with pytest.warns(SlabkitWarning, match=r"TS_1 for TS_1_7\.30Apx"):
        picks = read_picks(path, format="warp", tomograms=WARP_TOMOGRAMS)
    np.testing.assert_allclose(xyz(picks), [[101 / 2 * 7.3, 80 / 4 * 7.3, 0]])
    assert picks.picks["slabkitTomogram"].tolist() == ["TS_1_7.30Apx"]
    assert picks.picks["slabkitScore"].tolist() == [6.5]
    pixels = write(tmp_path, star(WARP, "40 20 8 1 2 3 TS_1.tomostar 6.5"), "px.star")
    np.testing.assert_allclose(xyz(read_picks(pixels, format="warp-px", tomograms=T))[0, 0], 292)
    binned = read_picks(pixels, format="warp-px", tomograms=T, binning=4)
    np.testing.assert_allclose(xyz(binned), [[73, 36.5, 14.6]])


def test_warp_pixels_taken_for_fractions_stop(tmp_path: Path) -> None:
    rows = [f"{10 + i} {i} {i} 1 2 3 TS_1.tomostar 6.5" for i in range(1, 30)]
    path = write(tmp_path, star(WARP, *rows), "p.star")
    with pytest.raises(InputError, match=r"read as fractions 0 % lie inside, read as px 100 %"):
        read_picks(path, format="warp", tomograms=T)


def test_slabpick_is_angstrom_on_request_only(tmp_path: Path) -> None:
    columns = ["rlnTomoName", *XYZ, "rlnAngleRot", "rlnTomoManifoldIndex", "rlnTomoParticleId"]
    path = write(tmp_path, star(columns, "TS_1 73 146 219 0 1 0"), "p.star")
    with pytest.raises(InputError, match="does not say the pixel size"):
        read_picks(path, tomograms=T)  # RELION 4, for all that the file says
    picks = read_picks(path, format="slabpick", tomograms=T)
    np.testing.assert_array_equal(xyz(picks), [[73, 146, 219]])


# --- DeepFinder, PolNet ------------------------------------------------------------------------


def test_deepfinder_objects(tmp_path: Path) -> None:
    text = (
        '<objlist>\n <object tomo_idx="0" obj_id="5" class_label="2" x="10.000" y="20.000" '
        'z="30.000" psi="1" phi="2" the="3" cluster_size="120"/>\n'
        ' <object tomo_idx="4" class_label="1" x="1" y="2" z="3" cluster_size="80"/>\n</objlist>\n'
    )
    path = write(tmp_path, text, "o.xml")
    picks = read_picks(path, tomograms=TWO_TOMOGRAMS, tomogram_index={"0": "TS_1", "4": "00255"})
    np.testing.assert_allclose(xyz(picks), [[73, 146, 219], [10.012, 20.024, 30.036]])
    assert picks.picks["slabkitScore"].tolist() == [120, 80]
    assert picks.picks["slabkitScoreKind"].tolist() == ["deepfinder-cluster-size"] * 2
    assert picks.picks["deepfinderClass"].tolist() == ["2", "1"]
    assert picks.picks["deepfinderPsi"].tolist() == ["1", ""]
    with pytest.raises(InputError, match=r"numbers its tomograms \(0, 4\)"):
        read_picks(path, tomograms=TWO_TOMOGRAMS)
    single = "<objlist><object class_label='1' x='1' y='2' z='3'/></objlist>"
    path = write(tmp_path, single, "s.xml")
    assert read_picks(path, tomograms=T).picks["slabkitTomogram"].tolist() == ["TS_1"]
    bomb = '<!DOCTYPE o [<!ENTITY a "b">]><objlist><object x="&a;" y="1" z="1"/></objlist>'
    for bad, message in (
        (single.replace("z='3'", ""), "object 1 has no z"),
        (single.replace("'3'", "'3,5'"), "z is '3,5' in row 1"),
        (single.replace("</objlist>", ""), "not well-formed XML"),
        (single.replace("objlist", "list"), "is no object list: <list>"),
        (bomb, "has declarations"),
        (text.replace('tomo_idx="4" ', ""), "but not object 2"),
    ):
        with pytest.raises(InputError, match=message):
            read_picks(write(tmp_path, bad, "bad.xml"), format="deepfinder", tomograms=T)


def test_polnet_motifs(tmp_path: Path) -> None:
    header = "Type\tLabel\tCode\tPolymer\tX\tY\tZ\tQ1\tQ2\tQ3\tQ4\n"
    row = "SAWLC\t3\tpdb_5mrc\t0\t100\t200\t250\t1\t0\t0\t0\n"
    path = write(tmp_path, header + row, "TS_1_motif_list.csv")
    picks = read_picks(path, tomograms=T)
    np.testing.assert_array_equal(xyz(picks), [[100, 200, 250]])
    assert picks.picks["slabkitSpecies"].tolist() == ["pdb_5mrc"]
    assert picks.picks["slabkitTomogram"].tolist() == ["TS_1"]
    assert picks.picks["polnetQ1"].tolist() == ["1"]
    voxels = read_picks(path, voxel_size=2.0, unit="px")
    np.testing.assert_array_equal(xyz(voxels), [[200, 400, 500]])
    old = "Density\tMicrographs\tPolyData\tTomo3D\t" + header + "a\tb\tc\t/x/00255.mrc\t" + row
    both = read_picks(write(tmp_path, old, "tomos_motif_list.csv"), tomograms=TWO_TOMOGRAMS)
    assert both.picks["slabkitTomogram"].tolist() == ["00255"]
    with pytest.raises(InputError, match="row 1 has 1 values for 11"):
        read_picks(write(tmp_path, header + "1\n", "b_motif_list.csv"), format="polnet")


# --- what all share ----------------------------------------------------------------------------


def test_formats_that_are_only_read_say_so(tmp_path: Path) -> None:
    for name in ("cryolo", "pytom", "warp", "deepfinder", "polnet", "slabpick"):
        with pytest.raises(InputError, match=f"reads {name} but does not write it"):
            write_picks(tmp_path / "p.x", pick_list([]), format=name)


def test_options_without_a_meaning_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "tomogram,x,y,z\nT,1,2,3\n", "p.csv")
    with pytest.raises(
        InputError, match="--index-base is for Dynamo tables and motive lists; the first voxel"
    ):
        read_picks(path, index_base=0)
    with pytest.raises(InputError, match="--index-base must be 0 or 1, not 2"):
        read_picks(path, index_base=2)
    with pytest.raises(InputError, match="--tomogram-index is for formats that number"):
        read_picks(path, tomogram_index={"1": "T"})
    tbl = write(tmp_path, dynamo_row(x=1, y=1, z=1, tomo=1), "p.tbl")
    with pytest.raises(InputError, match="the unit of dynamo is voxels"):
        read_picks(tbl, unit="px", tomograms=T)


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("rec_TS_1", "TS_1"),
        ("TS_1.tomostar", "TS_1"),
        ("TS_1_10.00Apx", "TS_1"),
        ("TS_1_Vol", "TS_1"),
        ("012345678901234567890_TS_1.mrc", "TS_1"),
        ("TS_1__bin4", "TS_1__bin4"),
        ("X.mrc_10.00Apx", "X"),
        ("X.mrc.tomostar", "X"),
        ("Zu\u0308rich", "Z\u00fcrich"),
        ("TS_10", "TS_10"),
        ("1e5", "1e5"),
        ("rec_", "rec_"),
        ("__x", "__x"),
        ("cmr_01.mrc", "cmr_01"),
    ],
)
def test_bare_names(name: str, bare: str) -> None:
    assert bare_name(name) == bare
    assert bare_name("TS_1__bin4", eman=True) == "TS_1"


def test_bare_names_have_to_be_unique() -> None:
    with pytest.warns(SlabkitWarning, match="taken by their bare names: TS_1 for rec_TS_1"):
        assert known_names(["TS_1", "TS_2"], ["rec_TS_1", "TS_2"], "p") == ["rec_TS_1", "TS_2"]
    assert known_names(["TS_1"], ["rec_TS_1", "TS_1_Vol"], "p") == ["TS_1"]  # refused later
    assert known_names(["TS_1"], ["TS_10", "TS_1"], "p") == ["TS_1"]


def test_duplicates_may_be_kept(tmp_path: Path) -> None:
    path = write(tmp_path, "tomogram,x,y,z\nT,1,2,3\nT,1,2,3\n", "p.csv")
    kept = read_picks(path, keep_duplicates=True)
    assert len(kept.picks) == 2
    assert kept.picks["slabkitPickId"].is_unique
    with pytest.warns(SlabkitWarning, match="1 of 2 picks were exact duplicates"):
        assert len(read_picks(path).picks) == 1


def test_other_scripts_digits_are_no_numbers() -> None:
    columns: dict[str, Any] = {
        "slabkitPickId": ["a"],
        "slabkitTomogram": ["T"],
        "slabkitX": ["1"],
        "slabkitY": ["2"],
        "slabkitZ": ["3"],
    }
    make_table(PICKS, columns)
    for value in ("1_0", "１２", "٣"):
        with pytest.raises(InputError, match=f"slabkitY is '{value}' in row 1"):
            make_table(PICKS, columns | {"slabkitY": [value]})


def test_an_empty_value_of_an_unknown_column_stays_empty(tmp_path: Path) -> None:
    from slabkit.formats.tables.native import read_native_picks

    picks = pick_list([("TS_1", "", 1, 2, 3)])
    write_picks(tmp_path / "p.star", PickList(picks.picks.assign(note=[""]), picks.tomograms))
    assert read_native_picks(tmp_path / "p.star").picks["note"].tolist() == [""]


# --- there and back ----------------------------------------------------------------------------


@st.composite
def drawn_lists(draw: st.DrawFn) -> PickList:
    size, voxel = st.integers(1, 500), st.sampled_from([7.3, 10.012, 1.0])
    known = tomogram_table(T=(draw(size), draw(size), draw(size), draw(voxel)))
    row = known.iloc[0]
    sides = [(row[f"slabkitTomogramSize{a}"] - 1) * row["slabkitVoxelSize"] for a in "XYZ"]
    place = st.tuples(*(st.floats(0, side) for side in sides))
    places = draw(st.lists(place, max_size=6, unique=True))
    return pick_list([("T", "ribosome", *place) for place in places], known)


@pytest.mark.parametrize(
    "name", ["dynamo", "stopgap", "eman", "artiax", "artiax-tsv", "tomotwin", "warp-px"]
)
@SLOW
@given(picks=drawn_lists(), binning=st.sampled_from([None, 4, 6.5]), base=st.sampled_from([0, 1]))
def test_positions_survive(
    tmp_path: Path, name: str, picks: PickList, binning: float | None, base: int
) -> None:
    options = {"index_base": base} if name in ("dynamo", "stopgap") else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlabkitWarning)
        write_picks(tmp_path / "p.any", picks, format=name, binning=binning, **options)
        back = read_picks(
            tmp_path / "p.any",
            format=name,
            tomograms=picks.tomograms,
            tomogram="T",
            keep_duplicates=True,
            **options,
        )
    np.testing.assert_allclose(xyz(back), xyz(picks), rtol=0, atol=1e-6)


# --- fuzz: a SlabkitError or a right answer ----------------------------------------------------

BASES = {
    "dynamo": f"{dynamo_row(x=2, y=3, z=4, tomo=1, apix=7.3)}\n",
    "stopgap": star(STOPGAP, "1 1 1 1 A 2 3 4 0.5 0 1 0 10 20 30 1"),
    "eman": eman(),
    "cryolo": CBOX.format(rows="10 20 12 8 6 8 7.5 <NA> 0.75 5 <NA>"),
    "cryolo-coords": "1 2 3\n4 5 6\n",
    "tomotwin": "1 2 3\n4 5 6\n",
    "artiax": "1 2 3\n4 5 6\n",
    "artiax-tsv": f"{ARTIAX}1\t2\t3\t0\t0\t0\t10\t20\t30\t0.25\t4\n",
    "pytom": star(PYTOM, "10 20 30 1 2 3 0.5 0.2 0.05 7.3 TS_1"),
    "warp": star(WARP, "0.5 0.25 0 1 2 3 TS_1.tomostar 6.5"),
    "warp-px": star(WARP, "5 2 1 1 2 3 TS_1.tomostar 6.5"),
    "slabpick": star(["rlnTomoName", *XYZ], "TS_1 1 2 3"),
    "relion5-picker": star(["rlnTomoName", *XYZ], "TS_1 1 2 3"),
    "relion3": star(["rlnMicrographName", *XYZ, "rlnImagePixelSize"], "a/TS_1.mrc 1 2 3 7.3"),
    "deepfinder": '<objlist><object tomo_idx="0" class_label="2" x="1" y="2" z="3"/></objlist>',
    "polnet": "Type\tLabel\tCode\tPolymer\tX\tY\tZ\nA\t3\tr\t0\t10\t20\t25\n",
}


@pytest.mark.parametrize("name", [*BASES, None])
@SLOW
@given(
    data=st.binary(max_size=60) | st.text(max_size=60).map(lambda t: t.encode("utf-8", "replace"))
)
def test_fuzz_random_bytes(tmp_path: Path, name: str | None, data: bytes) -> None:
    read_or_refuse(tmp_path / "TS_1.fuzz", data, name, T, tomogram="TS_1")


@pytest.mark.parametrize("name", BASES)
@SLOW
@given(draw=st.data())
def test_fuzz_damaged_files(tmp_path: Path, name: str, draw: st.DataObject) -> None:
    base = BASES[name].encode()
    start = draw.draw(st.integers(0, len(base)))
    stop = draw.draw(st.integers(start, min(len(base), start + 12)))
    pieces = [
        b"\n",
        b"\t",
        b",",
        b" ",
        b"nan",
        b'"',
        b"null",
        b"-",
        b"[]",
        b"\x00",
        b"\xff",
        b"1e9",
    ]
    middle = draw.draw(st.binary(max_size=4) | st.sampled_from([*pieces, b"<NA>", b"../x", b"#"]))
    read_or_refuse(
        tmp_path / "TS_1.fuzz", base[:start] + middle + base[stop:], name, T, tomogram="TS_1"
    )


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@SLOW
@given(
    changes=st.dictionaries(
        st.sampled_from(["apix_unbin", "boxes_3d", "class_list", "curves"]), values, max_size=2
    )
)
def test_fuzz_eman_of_wrong_types(tmp_path: Path, changes: dict[str, Any]) -> None:
    read_or_refuse(
        tmp_path / "TS_1_info.json", eman(**changes).encode(), "eman", T, tomogram="TS_1"
    )
