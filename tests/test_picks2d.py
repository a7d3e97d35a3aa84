"""2D picks of other programs: told apart, read exactly, put on the right slab, or refused."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slabkit.errors import FormatError, InputError, SlabkitError, SlabkitWarning
from slabkit.formats.picks2d import (
    read_picks2d_any,
    referenced_files,
)
from slabkit.formats.registry import detect_format, format_table
from slabkit.formats.source import Source
from slabkit.names import MicrographNames
from slabkit.tables import PICKS2D, SLABS, make_table

# Names that have bitten people: dots, numbers only, one the beginning of another.
NAMES = ["TS_1_7.30Apx_slab000", "00255_slab001", "cmr_1_slab00", "cmr_1_slab00_b"]


def slab_table(names=NAMES, folder="slabs"):
    return make_table(
        SLABS,
        {
            "rlnMicrographName": [f"{folder}/{name}.mrc" for name in names],
            "rlnTomoName": [f"T{number}" for number in range(len(names))],
            "slabkitZStart": 0,
            "slabkitZCount": 30,
            "slabkitVoxelSize": [7.3, 10.012, 10.0, 10.0][: len(names)],
            "slabkitContrast": "dark",
            "slabkitTomogramContrast": "dark",
            "slabkitTomogramSizeX": 120,
            "slabkitTomogramSizeY": 90,
            "slabkitTomogramSizeZ": 30,
        },
    )


SLAB_TABLE = slab_table()

AUTOPICK = """
# version 30001

data_

loop_ \n_rlnCoordinateX #1 \n_rlnCoordinateY #2 \n_rlnAutopickFigureOfMerit #3 \n\
_rlnClassNumber #4 \n_rlnAnglePsi #5 \n\
  41.284722   17.569445     4.580225            0     0.000000 \n\
  76.500000   80.000000     4.327057            3    12.000000 \n \n"""

PARTICLES = """data_optics

loop_
_rlnOpticsGroup #1
_rlnImagePixelSize #2
1 7.3

data_particles

loop_
_rlnMicrographName #1
_rlnCoordinateX #2
_rlnCoordinateY #3
_rlnOriginXAngst #4
_rlnOriginYAngst #5
_rlnAutopickFigureOfMerit #6
slabs/TS_1_7.30Apx_slab000.mrc 40 30 14.6 -7.3 2.5
slabs/00255_slab001.mrc 10 20 0 10.012 1.5
"""

BOXES = "10\t20\t8\t6\t1\n -3 5 7 7\n"

INFO = json.dumps({"boxes": [[12, 30.5, "manual", 0.5], [7, 8, "tracking"]], "boxes_3d": []})

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
_Confidence #7
10.5 20.25 <NA> 9 6 <NA> 0.75
3 4 <NA> 10 10 <NA> <NA>

data_cryolo_include

loop_
_slice_index #1
"""

FILES = {
    "star": ("p.star", PARTICLES),
    "relion": ("00255_slab001_autopick.star", AUTOPICK),
    "eman-box": ("00255_slab001.box", BOXES),
    "eman-info": ("00255_slab001_info.json", INFO),
    "cryolo": ("00255_slab001.cbox", CBOX),
}


def source(text, name):
    return Source(name, text.encode() if isinstance(text, str) else text)


def read(text, name, slabs=SLAB_TABLE, **options):
    return read_picks2d_any([source(text, name)], slabs, **options)


def places(table):
    return table[["rlnCoordinateX", "rlnCoordinateY"]].to_numpy().tolist()


@pytest.mark.parametrize("dialect", FILES)
def test_told_by_content(dialect):
    name, text = FILES[dialect]
    assert detect_format(source(text, name), "picks2d").name == dialect


def test_relion_one_file_a_micrograph():
    found = read(AUTOPICK, "AutoPick/job003/slabs/TS_1_7.30Apx_slab000_autopick.star")
    assert places(found) == [[41.284722, 17.569445], [76.5, 80.0]]
    assert set(found.rlnMicrographName) == {"slabs/TS_1_7.30Apx_slab000.mrc"}
    assert found.rlnAutopickFigureOfMerit.tolist() == [4.580225, 4.327057]
    assert found.rlnClassNumber.tolist() == [0, 3]
    assert found.rlnAnglePsi.tolist() == [0.0, 12.0]
    assert set(found.slabkitScoreKind) == {"rlnAutopickFigureOfMerit"}


def test_relion_files_without_picks():
    header = AUTOPICK[: AUTOPICK.index("  41.28")]
    for text in (header, "\ndata_\n\n", "data_\n\nloop_ \n", "data_particles\n"):
        found = read(text, "00255_slab001_autopick.star")
        assert len(found) == 0
        assert found.columns.tolist() == PICKS2D.names


@pytest.mark.parametrize(
    ("file", "slab"),
    [
        ("cmr_1_slab00_autopick.star", "cmr_1_slab00"),
        ("cmr_1_slab00_b_autopick.star", "cmr_1_slab00_b"),
        ("cmr_1_slab00_b.star", "cmr_1_slab00_b"),
        ("00255_slab001_manual_pick.star", "00255_slab001"),
        ("C:\\x\\00255_slab001_autopick.star", "00255_slab001"),
    ],
)
def test_the_longest_name_of_a_slab_counts(file, slab):
    assert set(read(AUTOPICK, file).rlnMicrographName) == {f"slabs/{slab}.mrc"}


def test_equal_names_in_two_folders_are_told_by_the_folder():
    import pandas as pd

    slabs = pd.concat([slab_table(folder="a/slabs"), slab_table(folder="b/slabs")])
    found = read(AUTOPICK, "AutoPick/b/slabs/00255_slab001_autopick.star", slabs)
    assert set(found.rlnMicrographName) == {"b/slabs/00255_slab001.mrc"}
    with pytest.raises(InputError, match=r"could be of a/slabs/00255_slab001\.mrc or b/slabs"):
        read(AUTOPICK, "00255_slab001_autopick.star", slabs)
    with pytest.raises(InputError, match=r"micrograph slabs/TS_1_7\.30Apx_slab000.* could be a/"):
        read(PARTICLES, "p.star", slabs)


@pytest.mark.parametrize(
    "written",
    [
        "slabs/00255_slab001.mrc",
        "other/00255_slab001.mrc",
        "00255_slab001",
        "00255_slab001.tiff",
        "J1/imported/003234567890123456789_00255_slab001.mrc",
        "J2/motioncorrected/003234567890123456789_00255_slab001_patch_aligned.mrc",
    ],
)
def test_names_of_slabs_as_other_programs_have_them(written):
    names = MicrographNames(SLAB_TABLE["rlnMicrographName"])
    assert names.match([written], "x") == {written: "slabs/00255_slab001.mrc"}


def test_a_name_is_never_matched_in_part():
    names = MicrographNames(SLAB_TABLE["rlnMicrographName"])
    for written in ("slab001", "0255_slab001", "00255_slab0011", "TS_1_7", "255_slab001.mrc"):
        with pytest.raises(InputError, match=r"is not in the slab table; the closest there: slabs"):
            names.match([written], "x")
    with pytest.raises(InputError, match=r"xy_autopick\.star: its name begins with none"):
        read(AUTOPICK, "xy_autopick.star")
    with pytest.raises(InputError, match="the closest: none, it is empty"):
        MicrographNames([]).of_file("a.box", (".box",))


def test_shifts_of_particles_are_applied_and_counted():
    with pytest.warns(SlabkitWarning, match=r"p\.star: 2 of 2 particles had a shift"):
        found = read(PARTICLES, "p.star")
    # place = coordinate - origin / pixel, each with its own slab's pixel
    np.testing.assert_allclose(places(found), [[38, 31], [10, 19]], atol=1e-12)
    assert "rlnOriginXAngst" not in found.columns
    still = PARTICLES.replace(" 14.6 -7.3 ", " 0 0 ").replace(" 0 10.012 ", " 0.0 0.0 ")
    assert places(read(still, "p.star")) == [[40, 30], [10, 20]]


def test_shifts_in_pixels_are_refused():
    text = PARTICLES.replace("rlnOriginXAngst", "rlnOriginX").replace("YAngst", "Y")
    with pytest.raises(InputError, match="has shifts in pixels"):
        read(text, "p.star")


def test_boxes_have_their_centre_in_the_middle():
    found = read(BOXES, "00255_slab001.box")
    assert places(found) == [[14, 23], [0, 8]]  # 7 // 2 is 3: the pixel in the middle
    assert places(read("1 2 5.5 3\n", "00255_slab001.box")) == [[3.75, 3.0]]
    assert len(read("", "00255_slab001.box")) == 0
    assert places(read(INFO, "info/00255_slab001_info.json")) == [[12, 30.5], [7, 8]]
    found = read(CBOX, "CBOX/00255_slab001.cbox")
    assert places(found) == [[15.0, 23.25], [8, 9]]
    assert found.rlnAutopickFigureOfMerit.tolist()[0] == 0.75
    assert np.isnan(found.rlnAutopickFigureOfMerit.tolist()[1])
    assert set(found.slabkitScoreKind) == {"cryolo-confidence"}


def test_rows_counted_upwards_are_mirrored():
    found = read(BOXES, "00255_slab001.box", y_axis="up")
    assert places(found) == [[14, 89 - 23], [0, 89 - 8]]


def test_files_of_several_kinds_are_one_table():
    still = PARTICLES.replace(" 14.6 -7.3 ", " 0 0 ").replace(" 0 10.012 ", " 0 0 ")
    sources = [source(BOXES, "00255_slab001.box"), source(still, "p.star")]
    sources += [source(AUTOPICK, "cmr_1_slab00_x.star"), source(AUTOPICK, "cmr_1_slab00_b_x.star")]
    found = read_picks2d_any(sources, SLAB_TABLE)
    assert len(found) == 8
    assert found.rlnMicrographName.value_counts().to_dict() == {
        "slabs/00255_slab001.mrc": 3,
        "slabs/TS_1_7.30Apx_slab000.mrc": 1,
        "slabs/cmr_1_slab00.mrc": 2,
        "slabs/cmr_1_slab00_b.mrc": 2,
    }


def test_lists_name_their_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "AutoPick" / "slabs"
    folder.mkdir(parents=True)
    (folder / "00255_slab001_pick.star").write_text(AUTOPICK)
    (tmp_path / "autopick.star").write_text(
        "data_coordinate_files\n\nloop_\n_rlnMicrographName #1\n_rlnMicrographCoordinates #2\n"
        "slabs/00255_slab001.mrc AutoPick/slabs/00255_slab001_pick.star\n"
    )
    found = read_picks2d_any(["autopick.star"], SLAB_TABLE)
    assert places(found) == [[41.284722, 17.569445], [76.5, 80.0]]
    assert [str(p) for p in referenced_files([Source.load("autopick.star")])] == [
        "AutoPick/slabs/00255_slab001_pick.star"
    ]
    with (tmp_path / "autopick.star").open("a") as file:
        file.write("slabs/cmr_1_slab00.mrc AutoPick/slabs/cmr_1_slab00_pick.star\n")
    with pytest.raises(InputError, match=r"lists AutoPick/slabs/cmr_1_slab00_pick\.star, which is"):
        read_picks2d_any(["autopick.star"], SLAB_TABLE)
    # RELION 3.1 makes no file where it found nothing.
    from slabkit.formats.tables.native import write_slabs

    write_slabs("slabs.star", SLAB_TABLE)
    (tmp_path / "AutoPick" / "coords_suffix_pick.star").write_text("slabs.star")
    with pytest.warns(SlabkitWarning, match="3 of 4 coordinate files are not there"):
        found = read_picks2d_any(["AutoPick/coords_suffix_pick.star"], SLAB_TABLE)
    assert len(found) == 2
    (tmp_path / "AutoPick" / "coords_suffix_other.star").write_text("slabs.star")
    with pytest.raises(InputError, match="none of the 4 coordinate files is there"):
        read_picks2d_any(["AutoPick/coords_suffix_other.star"], SLAB_TABLE)
    (tmp_path / "AutoPick" / "coords_suffix_bad.star").write_text("no.star at all")
    with pytest.raises(InputError, match="should hold the path of the micrographs' STAR file"):
        read_picks2d_any(["AutoPick/coords_suffix_bad.star"], SLAB_TABLE)


def test_the_same_file_twice_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.star").write_text(PARTICLES)
    with pytest.raises(InputError, match="the file of 2D picks is given twice"):
        read_picks2d_any(["p.star", tmp_path / "p.star"], SLAB_TABLE)
    with pytest.raises(InputError, match=r"no\.star: cannot be read"):
        read_picks2d_any(["no.star"], SLAB_TABLE)


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (AUTOPICK.replace("41.284722", "41,28"), "00255_slab001_a.star", "rlnCoordinateX is '41,2"),
        (AUTOPICK.replace("41.284722", "nan"), "00255_slab001_a.star", "must be a finite number"),
        (AUTOPICK.replace("0.000000 ", ""), "00255_slab001_a.star", "4 values for 5 columns"),
        (AUTOPICK.replace("CoordinateY", "CoordX"), "00255_slab001_a.star", "holds no 2D picks"),
        (PARTICLES.replace("slabs/00255", "slabs/0256"), "p.star", "0256_slab001.mrc is not in"),
        ("10 20 8\n", "00255_slab001.box", "line 1: 3 values; a box is x, y, width, height"),
        ("10 20 8 x\n", "00255_slab001.box", "height is 'x' in row 1"),
        ('{"boxes": [[1]]}', "00255_slab001_info.json", r"box 1 is not \[x, y"),
        ('{"boxes": 3}', "00255_slab001_info.json", "boxes is no list"),
        ('{"boxes_3d": [[1, 2, 3]]}', "00255_slab001_info.json", "has 3D boxes"),
        ("[1]", "00255_slab001_info.json", "is no JSON object"),
        ('{"boxes": [', "00255_slab001_info.json", "not valid JSON"),
        (CBOX.replace("9 6 <NA>", "9 6 12"), "00255_slab001.cbox", "picked in a tomogram"),
        (CBOX.replace("10.5", "<NA>"), "00255_slab001.cbox", "CoordinateX is '<NA>' in row 1"),
        (b"\x00\x01\x02\xff", "x.star", "holds no 2D picks"),
        (b"\xff\xfe", "00255_slab001.box", "is text, but not in UTF-8"),
        ("hello", "x.txt", "holds no 2D picks that can be told"),
        ("loop_\n_rlnCoordinateX\n", "x.star", r"line 1: expected a block \(data_"),
    ],
)
def test_refusals(text, name, message):
    with pytest.raises(SlabkitError, match=message):
        read(text, name)


def test_two_blocks_with_places_are_refused():
    block = PARTICLES[PARTICLES.index("data_particles") :].replace("data_particles", "data_more")
    text = PARTICLES.replace("data_particles", "data_some") + "\n" + block
    with pytest.raises(FormatError, match="several blocks have the columns"):
        read(text, "p.star")


HOSTILE = ["", "nan", "inf", "1e400", "<NA>", "12,5", "#", "'", '"', "_x", "data_", "loop_", "\x00"]
HOSTILE += ["-5", "1e999", "٣", "1_000", "slabs/../x", "{", "]", "null", "true"]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_file_gives_an_error_or_a_right_table(data):
    dialect = data.draw(st.sampled_from(sorted(FILES)))
    name, text = FILES[dialect]
    way = data.draw(st.sampled_from(["cut", "swap", "drop", "double", "bytes"]))
    if way == "cut":
        text = text[: data.draw(st.integers(0, len(text)))]
    elif way == "swap":
        tokens = text.split(" ")
        tokens[data.draw(st.integers(0, len(tokens) - 1))] = data.draw(st.sampled_from(HOSTILE))
        text = " ".join(tokens)
    elif way == "bytes":
        at = data.draw(st.integers(0, len(text)))
        text = (
            text[:at].encode() + data.draw(st.binary(min_size=1, max_size=6)) + text[at:].encode()
        )
    else:
        lines = text.split("\n")
        at = data.draw(st.integers(0, len(lines) - 1))
        lines[at : at + 1] = [] if way == "drop" else [lines[at], lines[at]]
        text = "\n".join(lines)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlabkitWarning)
        try:
            found = read(text, name)
        except SlabkitError:
            return
    assert found.columns.tolist()[: len(PICKS2D.names)] == PICKS2D.names
    assert set(found.rlnMicrographName) <= set(SLAB_TABLE.rlnMicrographName)
    assert np.isfinite(np.array(places(found) or [[0.0]], dtype=float)).all()


def test_the_documentation_has_every_dialect():
    from pathlib import Path

    page = Path(__file__).parent.parent / "docs" / "formats.md"
    assert format_table("picks2d") in page.read_text(encoding="utf-8")
