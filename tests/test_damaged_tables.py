"""Damaged tables, results and lists: a `SlabkitError` or a valid answer, nothing else.

The pick formats and 2D picks have the like of it beside their own tests.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryosparc_files import LAYOUT, minislabs, write_set
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_info import tables

from slabkit.errors import SlabkitError, SlabkitWarning
from slabkit.formats.describe import describe_file
from slabkit.formats.picks2d import read_picks2d_any
from slabkit.formats.programs.cryosparc.dataset import group_files, group_text
from slabkit.formats.results import read_results
from slabkit.formats.tables.native import (
    read_labels,
    read_minislabs,
    read_native_picks,
    read_picks2d,
    read_slabs,
)
from slabkit.formats.tables.star_writing import format_star
from slabkit.formats.tomograms.index import read_tomogram_index
from slabkit.formats.tomograms.table import read_tomograms
from slabkit.labels import label_minislabs
from slabkit.minislabs.galleries import layout_of

TABLE = minislabs(7)
SLOW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
HOSTILE = ["nan", "inf", "1e400", "<NA>", "12,5", "#", "'", '"', "_x", "data_", "loop_", "\0", "-5"]
HOSTILE += ["٣", "1_000", "../x", "none", "true", "0@a.mrcs", "99999999999999999999", "1.5@a", "\t"]


def base_files(folder: Path) -> dict[str, tuple[Path, Callable[[Path], Any]]]:
    """Whole files of every kind, each with what reads it."""
    own = tables(folder)
    write_set(folder / "m", 7)
    own["minislab table"] = folder / "m" / "minislabs.star"
    ids = TABLE["slabkitPickId"].tolist()
    results = {
        "people.csv": "pick_id,decision,class,score,comment\n"
        + "".join(f"{name},accepted,1,0.5,good\n" for name in ids),
        "places.csv": "gallery,row,column,decision\n"
        + "".join(f"minislabs_000.mrc,{n // 4},{n % 4},rejected\n" for n in range(7)),
        "run_it025_data.star": format_star(
            {
                "particles": TABLE[["rlnImageName", "rlnParticleName"]].assign(
                    rlnClassNumber="1", rlnOriginXAngst="1.5", rlnOriginYAngst="-2"
                )
            }
        ),
        "tomos.doc": "1 a/TS_1.mrc\n2 a/TS_2.mrc\n",
        "tomos.vll": "a/TS_1.mrc\na/TS_2.mrc\n",
    }
    for name, text in results.items():
        (folder / name).write_text(text)
    group = group_text(
        kind="particle",
        name="tiles",
        title="it's",
        description="tiles",
        slots=("location", "blob"),
        metafile="p.cs",
        rows=2,
    )
    (folder / "g.csg").write_text(group)
    found: dict[str, tuple[Path, Callable[[Path], Any]]] = {
        "slabs": (own["slab table"], lambda path: len(read_slabs(path))),
        "picks2d": (own["picks2d"], lambda path: len(read_picks2d(path))),
        "picks": (own["pick list"], lambda path: len(read_native_picks(path).picks)),
        "minislabs": (own["minislab table"], lambda path: layout_of(read_minislabs(path)[1], "m")),
        "labels": (own["labels"], lambda path: len(read_labels(path))),
        "tomograms": (own["pick list"], lambda path: len(read_tomograms([path]))),
        "csg": (folder / "g.csg", group_files),
        "doc": (folder / "tomos.doc", read_tomogram_index),
        "vll": (folder / "tomos.vll", read_tomogram_index),
    }
    for name in ("people.csv", "places.csv", "run_it025_data.star"):
        found[name] = (folder / name, label)
    return found


def label(path: Path) -> None:
    read = read_results([path], TABLE, LAYOUT)
    labels, report = label_minislabs(read.table, TABLE, LAYOUT, unlisted="undecided")
    assert set(labels["slabkitPickId"]) <= set(TABLE["slabkitPickId"])
    assert labels["slabkitPickId"].is_unique
    assert report.matched + report.unmatched + report.off_centre + report.filler == report.rows
    assert set(labels["slabkitDecision"]) <= {"accepted", "rejected", "undecided"}


NAMES = "slabs picks2d picks minislabs labels tomograms csg doc vll".split()  # noqa: SIM905
NAMES += ["people.csv", "places.csv", "run_it025_data.star"]


def damaged(text: str, draw: st.DataObject) -> bytes:
    way = draw.draw(st.sampled_from(["cut", "value", "bytes", "drop", "double", "header"]))
    lines = text.split("\n")
    at = draw.draw(st.integers(0, len(lines) - 1))
    if way == "cut":
        return text.encode()[: draw.draw(st.integers(0, len(text.encode())))]
    if way == "bytes":
        data = text.encode()
        place = draw.draw(st.integers(0, len(data)))
        return data[:place] + draw.draw(st.binary(min_size=1, max_size=6)) + data[place:]
    if way == "value":
        mark = "," if "," in lines[at] else "\t" if "\t" in lines[at] else " "
        values = lines[at].split(mark)
        values[draw.draw(st.integers(0, len(values) - 1))] = draw.draw(st.sampled_from(HOSTILE))
        lines[at] = mark.join(values)
    elif way == "drop":
        del lines[at]
    elif way == "double":
        lines.insert(at, lines[at])
    else:
        lines[at] = lines[at].replace("rln", "rlx").replace("slabkit", "slabkat")
    return "\n".join(lines).encode()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    return base_files(tmp_path_factory.mktemp("whole"))


def attempt(path: Path, reader: Callable[[Path], Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlabkitWarning)
        try:
            reader(path)
        except SlabkitError:
            return


@pytest.mark.parametrize("name", NAMES)
def test_whole_files_are_read(files: Any, name: str) -> None:
    path, reader = files[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlabkitWarning)
        reader(path)


@pytest.mark.parametrize("name", NAMES)
@SLOW
@given(draw=st.data())
def test_damaged_files_are_refused_or_read(
    tmp_path: Path, files: Any, name: str, draw: st.DataObject
) -> None:
    path, reader = files[name]
    broken = tmp_path / path.name
    broken.write_bytes(damaged(path.read_text(), draw))
    attempt(broken, reader)
    attempt(broken, describe_file)


@SLOW
@given(
    data=st.binary(max_size=80)
    | st.text(max_size=80).map(lambda text: text.encode("utf-8", "replace")),
    name=st.sampled_from(
        ["a.star", "a.cbox", "a.box", "m_info.json", "a.tbl", "a.coords", "a.cs", "a.csg", "a.json"]
    ),
)
@example(data=b"[" * 5000, name="a.json")
@example(data=b'{"a":' * 3000, name="m_info.json")
@example(data=b"1" * 5000 + b" 2 3", name="a.coords")
def test_info_of_anything(tmp_path: Path, files: Any, data: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(data)
    attempt(tmp_path / name, describe_file)
    attempt(tmp_path / name, lambda path: read_results([path], TABLE, LAYOUT))
    slabs = read_slabs(files["slabs"][0])
    attempt(tmp_path / name, lambda path: read_picks2d_any([path], slabs, y_axis="down"))
    assert np.all(slabs["rlnMicrographName"] != "")
