"""A file is read once and parsed once, and told by its head."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slabkit.errors import FormatError, SlabkitError
from slabkit.formats import source as source_module
from slabkit.formats.file_format import FileFormat
from slabkit.formats.picks.reading import read_picks
from slabkit.formats.picks2d import read_picks2d_any, referenced_files
from slabkit.formats.programs.relion import particles
from slabkit.formats.programs.shared.relion_star import CORNER, SHIFTS, SHIFTS_PX
from slabkit.formats.registry import detect_format, formats_of
from slabkit.formats.results import read_results
from slabkit.formats.source import Source
from slabkit.formats.tables.star import parse_star
from slabkit.tables import SLABS, make_table

RELION4 = (
    "data_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnTomoTiltSeriesPixelSize #2\n1 2.5\n\n"
    "data_particles\n\nloop_\n_rlnTomoName #1\n_rlnCoordinateX #2\n_rlnCoordinateY #3\n"
    "_rlnCoordinateZ #4\n_rlnOpticsGroup #5\nTS_1 10 20 30 1\nTS_1 11 20 30 1\n"
)
PICKS2D = (
    "data_particles\n\nloop_\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\na.mrc 1 2\n"
)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which files were parsed as STAR, in order."""
    calls: list[str] = []

    def counted(data: bytes, where: str = "", *kinds: Any) -> Any:
        calls.append(where)
        return parse_star(data, where, *kinds)

    monkeypatch.setattr(source_module, "parse_star", counted)
    return calls


def test_picks_are_parsed_once(parsed: list[str]) -> None:
    source = Source("p.star", RELION4.encode())
    assert detect_format(source).name == "relion4"
    assert parsed == []  # the labels tell
    assert detect_format(source) is detect_format(source)
    for _ in range(2):
        assert read_picks(source).picks["slabkitX"].tolist() == [25.0, 27.5]
    assert parsed == ["p.star"]


def test_2d_picks_are_sniffed_and_parsed_once(
    parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    for entry in formats_of("picks2d"):

        def sniff(source: Source, entry: FileFormat = entry, known: Any = entry.sniff) -> bool:
            looked.append(entry.name)
            return bool(known(source))

        monkeypatch.setitem(entry.__dict__, "sniff", sniff)
    columns = {
        column.name: ["a.mrc" if column.name == "rlnMicrographName" else "x"]
        if column.kind == "string"
        else [5]
        for column in SLABS.columns
    }
    columns["slabkitContrast"] = columns["slabkitTomogramContrast"] = ["dark"]
    source = Source("p.star", PICKS2D.encode())
    assert referenced_files([source]) == []
    assert len(read_picks2d_any([source], make_table(SLABS, columns))) == 1
    assert len(looked) == len(set(looked))
    assert parsed == ["p.star"]


def test_tables_of_a_source_may_be_changed() -> None:
    source = Source("p.star", RELION4.encode())
    table = source.blocks["particles"]
    table["rlnTomoName"] = "other"
    table["new"] = "1"
    assert source.blocks["particles"]["rlnTomoName"].tolist() == ["TS_1", "TS_1"]
    assert "new" not in source.blocks["particles"]


values = st.sampled_from(["1", "data_x", "_y", "'a b'", "loop_x", '"q"', "7.5", "#z", "data_"])


@settings(deadline=None)
@given(
    blocks=st.lists(
        st.tuples(
            st.sampled_from(["", "particles", "optics", "a.b"]),
            st.integers(1, 3),
            st.lists(values, min_size=1, max_size=4),
            st.booleans(),
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda block: block[0],
    ),
    indent=st.sampled_from(["", "  ", "\t"]),
)
def test_the_head_has_the_labels_that_parsing_finds(
    blocks: list[tuple[str, int, list[str], bool]], indent: str
) -> None:
    text = "# comment\n\n"
    for name, width, first, pairs in blocks:
        labels = [f"label{number}" for number in range(width)]
        text += f"{indent}data_{name}\n\n"
        if pairs:
            text += "".join(f"{indent}_{label} {first[0]}\n" for label in labels) + "\n"
            continue
        text += f"{indent}loop_\n" + "".join(f"{indent}_{label} #1\n" for label in labels)
        # The first value of a row may not look like what ends the rows.
        text += "".join(f"{indent}v{' ' + value * (width > 1)}\n" for value in first) + "\n"
    try:
        expected = {name: tuple(block.columns) for name, block in parse_star(text).items()}
    except FormatError:
        return
    assert Source("x.star", text.encode()).block_labels == expected


def test_a_long_pick_list_is_not_held_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.star"
    rows = "".join(f"id{number}\tT\t1.0\t2.0\t3.0\n" for number in range(20_000))
    labels = "".join(f"_slabkit{name}\n" for name in ("PickId", "Tomogram", "X", "Y", "Z"))
    # What is rows here is longer than the head, and the labels of the last block lie behind it.
    path.write_text(
        f"\ufeffdata_picks\n\nloop_\n{labels}{rows}\ndata_tomograms\nloop_\n_slabkitTomogram\nT\n"
    )
    whole = read_picks(path).picks
    monkeypatch.setattr(source_module, "_LONG", 1000)
    monkeypatch.setattr("slabkit.formats.tables.star._PIECE", 100_000)
    source = Source.load(path)
    assert read_picks(source).picks.equals(whole)
    assert "slabkitTomogram" in source.labels
    assert not source.empty
    assert not {"data", "text"} & set(vars(source))
    assert source.text == path.read_text("utf-8-sig")


def test_what_is_wrong_far_behind_the_head_is_named(tmp_path: Path) -> None:
    path = tmp_path / "p.star"
    rows = "".join(f"id{number}\tT\t1.0\t2.0\t3.0\n" for number in range(20_000))
    labels = "".join(f"_slabkit{name}\n" for name in ("PickId", "Tomogram", "X", "Y", "Z"))
    begin = f"data_tomograms\nloop_\n_slabkitTomogram\nT\n\ndata_picks\nloop_\n{labels}"
    for last, wrong in (
        ("id7\tT\t1\t2\t3", r"p\.star: slabkitPickId 'id7' appears in rows 8, 20001\."),
        ("new\tT\t1\t2", r"p\.star, line 20013: 4 values for 5 columns"),
        ("new\t\xe9\t1\t2\t3", r"p\.star, line 20013: is text, but not in UTF-8"),
        ("new\tU\t1\t2\t3", r"p\.star: picks in U, which the tomograms block does not have"),
    ):
        path.write_bytes((begin + rows + last + "\n").encode("latin-1"))
        with pytest.raises(SlabkitError, match=wrong):
            read_picks(path)


def test_binary_files_are_named_by_every_format() -> None:
    for entry in formats_of("picks"):
        wrong = "is no (EM file|IMOD model)" if entry.binary else "is a Python pickle"
        with pytest.raises(FormatError, match=wrong):
            entry.reading(Source("x.tloc", b"\x80\x04K\x01."), _context())


def test_keys_of_damaged_json_are_seen() -> None:
    assert Source("x", b'{"a": 1, "b": {"c": 2}}').keys == {"a", "b"}
    assert "boxes_3d" in Source("x", b'{"apix_unbin": 1, "boxes_3d": [[1, 2,').keys
    assert Source("x", b"[1, 2]").keys == frozenset()
    with pytest.raises(FormatError, match="perhaps cut short"):
        _ = Source("x", b'{"a": ').json


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """Results through a process substitution: what told their kind is what is read."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = "pick_id,decision\na-1,accepted\na-2,rejected\n"
    writer = threading.Thread(target=lambda: pipe.write_text(text))
    writer.start()
    read = read_results([pipe])
    writer.join()
    assert read.kind == "csv"
    assert read.table["slabkitDecision"].tolist() == ["accepted", "rejected"]


def test_columns_that_decide_a_position_are_not_kept_as_text() -> None:
    rows = [*(f"_rlnOrigin{axis}Angst 5" for axis in "XYZ"), "_rlnOriginX 0", "_kept a"]
    place = [f"_rlnCoordinate{axis} 10" for axis in "XYZ"]
    text = "data_particles\n" + "\n".join(["_rlnTomoName T", *place, *rows]) + "\n"
    text += "_rlnTomoTiltSeriesPixelSize 2\n"
    with pytest.warns(match="had an origin shift"):
        found = particles.RELION4.reading(Source("x", text.encode()), _context())
    assert np.array_equal(found.columns["slabkitX"], [15.0])
    assert not {*CORNER, *SHIFTS, *SHIFTS_PX} & set(found.columns)
    assert found.columns["kept"] == ["a"]


def _context() -> Any:
    from slabkit.formats.picks.given import Context

    return Context()
