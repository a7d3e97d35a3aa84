"""CSV without a header line (``--columns``), and with bars between values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pick_files import tomogram_table, xyz

from slabkit.errors import FormatError, InputError, SlabkitWarning
from slabkit.formats.picks.reading import read_picks

T = tomogram_table(TS_1=(100, 80, 40, 10.0), **{"00255": (64, 91, 30, 5.0)})
NAMES = ("tomogram", "x", "y", "z")
EXPECTED = [[1.5, 2, 3], [40, 50, 60]]


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "p.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("TS_1,1.5,2,3\n00255,40,50,60\n", NAMES),
        ("# made by hand\nTS_1 | 1.5 | 2 | 3\n00255 | 40 | 50 | 60\n", NAMES),
        ("TS_1;1.5;2;3\n00255;40;50;60", NAMES),
        ("TS_1\t1.5\t2\t3\n00255\t40\t50\t60\n", NAMES),
        ("  TS_1  1.5 2   3\n00255 40 50 60 \n", NAMES),
        ("3,a,2,1.5,b,TS_1\n60,c,50,40,d,00255\n", ("z", "-", "y", "x", "-", "run_name")),
        ("tomogram|x|y|z\nTS_1|1.5|2|3\n00255|40|50|60\n", None),
    ],
)
def test_every_separator(tmp_path: Path, text: str, columns: tuple[str, ...] | None) -> None:
    picks = read_picks(write(tmp_path, text), columns=columns, tomograms=T)
    np.testing.assert_array_equal(xyz(picks), EXPECTED)
    assert picks.picks["slabkitTomogram"].tolist() == ["TS_1", "00255"]
    assert len(picks.picks.columns) == len(
        read_picks(write(tmp_path, "x,y,z\n1,2,3\n"), tomogram="T").picks.columns
    )


def test_further_columns_units_and_species(tmp_path: Path) -> None:
    path = write(tmp_path, "TS_1,1,2,3,ribosome,0.5,abc\n")
    columns = (*NAMES, "species", "score", "note")
    picks = read_picks(path, columns=columns, tomograms=T, unit="px").picks
    np.testing.assert_array_equal(picks[["slabkitX", "slabkitY", "slabkitZ"]], [[10, 20, 30]])
    assert picks[["slabkitSpecies", "slabkitScore", "note"]].to_numpy().tolist() == [
        ["ribosome", 0.5, "abc"]
    ]


def test_a_header_line_is_left_out_aloud(tmp_path: Path) -> None:
    path = write(tmp_path, "name,a,b,c\nTS_1,1.5,2,3\n00255,40,50,60\n")
    with pytest.warns(SlabkitWarning, match=r"first line \(name, a, b, c\) names columns"):
        np.testing.assert_array_equal(xyz(read_picks(path, columns=NAMES, tomograms=T)), EXPECTED)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("TS_1,1,2,3\n", {"columns": ("tomogram", "x", "y")}, "--columns: has no column z"),
        ("TS_1,1,2,3\n", {"columns": ("x", "y", "z", "x")}, "column 'x' appears more than once"),
        ("TS_1,1,2,3\n", {"columns": (*NAMES, "")}, "--columns has an empty name"),
        ("TS_1,1,2,3,4\n", {"columns": NAMES}, "row 1 has 5 values for 4 columns"),
        ("TS_1,1,2,q\n", {"columns": NAMES}, "z is 'q' in row 1"),
        ("TS_1,1,2,3\n", {"format": "csv"}, "name the columns with --columns tomogram,x,y,z"),
        ("1 2 3\n", {"columns": NAMES, "format": "imod"}, "--columns is for CSV; imod needs no"),
    ],
)
def test_refusals(tmp_path: Path, text: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises((FormatError, InputError), match=message):
        read_picks(write(tmp_path, text), **options)


def test_commands_take_it(slabkit: Any, tmp_path: Path) -> None:
    write(tmp_path, "TS_1|1.5|2|3|r\n00255|40|50|60|r\n")
    named = ("--columns", "tomogram,x,y,z,species")
    slabkit("convert", "p.csv", "q.csv", *named)
    found = read_picks(tmp_path / "q.csv")
    np.testing.assert_array_equal(xyz(found), EXPECTED)
    scored = slabkit("score", "p.csv", "q.csv", *named, "--radius", "r=5", "--json").stdout
    assert json.loads(scored)["weighted_f_beta"] == 1.0
