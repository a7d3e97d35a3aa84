"""STAR files: what goes in comes out; what is broken is named."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slabkit.errors import FormatError, InputError, SlabkitError
from slabkit.formats.tables.star import cut, parse_columns, parse_star, read_star, string_table
from slabkit.formats.tables.star_writing import format_star

HOSTILE = [
    *["00255", "1e5", "nan", "inf", "<NA>", "O'Brien", 'two "words" here', "a b", "_x", "data_y"],
    *["loop_", ";c", "TS_1_10.00Apx", "émile", "'", '"', "None", "none ", "0x10", "true"],
]


def test_hostile_strings_survive():
    table = pd.DataFrame({"rlnTomoName": HOSTILE, "x": np.arange(len(HOSTILE), dtype=float)})
    back = parse_star(format_star({"picks": table}))["picks"]
    assert back["rlnTomoName"].tolist() == HOSTILE
    assert [float(v) for v in back["x"]] == list(range(len(HOSTILE)))


names = st.text(
    st.characters(exclude_characters="#", exclude_categories=["C", "Z"]), min_size=1, max_size=12
).filter(lambda text: not {"'", '"'} <= set(text))  # refused where it needs a quote


@settings(deadline=None)
@given(
    st.lists(st.tuples(names, st.floats(allow_nan=True), st.integers(-(2**53), 2**53)), max_size=20)
)
def test_round_trip_is_exact(rows):
    table = pd.DataFrame(
        {
            "a": np.array([r[0] for r in rows], dtype=object),
            "b": np.array([r[1] for r in rows], dtype=float),
            "c": np.array([r[2] for r in rows], dtype=np.int64),
        }
    )
    text = format_star({"one": table, "two": table.iloc[:0]})
    back = parse_star(text)
    assert list(back) == ["one", "two"]
    assert list(back["two"].columns) == ["a", "b", "c"]
    assert len(back["two"]) == 0
    assert back["one"]["a"].tolist() == table["a"].tolist()
    np.testing.assert_array_equal(back["one"]["b"].astype(float), table["b"])
    assert [int(v) for v in back["one"]["c"]] == table["c"].tolist()
    assert format_star({"one": table, "two": table.iloc[:0]}) == text


def test_a_large_table_takes_the_other_road_to_the_same_result():
    count = 20_000
    table = pd.DataFrame({"n": [f"0{i}" for i in range(count)], "v": np.arange(count) / 7})
    back = parse_star(format_star({"t": table}))["t"]
    assert back["n"].tolist() == table["n"].tolist()
    np.testing.assert_array_equal(back["v"].astype(float), table["v"])
    broken = format_star({"t": table}).splitlines()
    broken[15_000] += " 3"
    with pytest.raises(FormatError, match="line 15001: 3 values for 2 columns"):
        parse_star("\n".join(broken))


SHORT, LONG = 5, 20_000
INDENTED = st.sampled_from(["", " ", "\t "])
GAPS = st.sampled_from([" ", "\t", "  ", " \t"])
PLACES = st.sampled_from([0, 3, 4])
ODD_VALUES = st.text(
    st.characters(exclude_characters=" \t\n\r", exclude_categories=["Cs"]), min_size=1, max_size=6
)


def star_text(rows, count, gap="\t", start="", end="\n"):
    """Give a loop of five rows, further plain rows put in the middle to make it long."""
    lines = [start + gap.join(row) for row in rows]
    if count > len(rows):
        lines[2:2] = [start + gap.join(["v", "1"])] * (count - len(rows))
    return f"data_t{end}loop_{end}_a #1{end}_b #2{end}" + "".join(line + end for line in lines)


def ends_of(table):
    return table.iloc[:2].to_numpy().tolist() + table.iloc[-3:].to_numpy().tolist()


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(ODD_VALUES, ODD_VALUES), min_size=5, max_size=5),
    GAPS,
    INDENTED,
    st.sampled_from(["\n", "\r\n", " \n", "\r"]),
)
def test_the_same_rows_read_equal_in_short_and_long_tables(rows, gap, start, end):
    results = []
    for count in (SHORT, LONG):
        try:
            table = parse_star(star_text(rows, count, gap, start, end))["t"]
            assert len(table) in (count, *range(count - 5, count))  # some may be comments
            results.append(ends_of(table) if len(table) == count else len(table) - count)
        except FormatError as error:
            line = int(re.search(r"line (\d+)", str(error))[1])
            results.append((line - count * (line > 7), str(error).partition(":")[2]))
    assert results[0] == results[1]


@settings(deadline=None, max_examples=60)
@given(
    PLACES,
    st.sampled_from(["real", "integer"]),
    st.one_of(
        st.floats(allow_nan=True).map(repr),
        st.integers(-(2**53), 2**53).map(str),
        st.text("0123456789+-.eE_naNifx,", min_size=1, max_size=8),
        st.sampled_from(["1e5", "nan", "NaN", "-nan", "inf", "+1", "1_000", "\u0661", "1e400"]),
    ),
)
def test_numbers_read_equal_in_short_and_long_tables(place, kind, value):
    rows = [["v", "1"] for _ in range(SHORT)]
    rows[place][1] = value
    short, long = (
        parse_star(star_text(rows, count), kinds={"b": kind})["t"]["b"] for count in (SHORT, LONG)
    )
    assert short.dtype == long.dtype
    assert list(map(repr, ends_of(short.to_frame()))) == list(map(repr, ends_of(long.to_frame())))
    if short.dtype == "float64":
        assert repr(short[place].item()) == repr(float(value))
    elif short.dtype == "int64":
        assert kind == "integer"
        assert short[place] == float(value)


@pytest.mark.parametrize("count", [SHORT, LONG])
class TestShortAndLong:
    def test_only_blanks_and_tabs_separate(self, count):
        rows = [["a\u00a0b", "1"], ["\u2003", "2"], ["\x0b", "3"], ["\x85", "4"], ["\x1f", "5"]]
        assert ends_of(parse_star(star_text(rows, count))["t"]) == rows

    def test_first_rows_may_begin_like_blocks(self, count):
        rows = [["data_7/x.mrc", str(i)] for i in range(5)]
        assert ends_of(parse_star(star_text(rows, count))["t"]) == rows

    def test_short_rows_are_named(self, count):
        rows = [["v", "1"]] * 4 + [["w"]]
        with pytest.raises(FormatError, match=f"line {count + 4}: 1 values for 2 columns"):
            parse_star(star_text(rows, count))

    def test_quotes_and_comments(self, count):
        rows = [["'a b'", "1"], ["5'UTR", '"c d"'], ["# no", "row"], ["e", '""'], [";", "no"]]
        table = parse_star(star_text(rows, count))["t"]
        assert len(table) == count - 2
        assert table.iloc[:2].to_numpy().tolist() == [["a b", "1"], ["5'UTR", "c d"]]
        assert table.iloc[-1].tolist() == ["e", ""]

    def test_a_block_needs_no_empty_line_before_it(self, count):
        text = star_text([["v", "1"]] * 5, count) + "  data_next # note\n_x 1\ndata_last\n_y \xe9\n"
        tables = parse_star(text)
        assert [len(table) for table in tables.values()] == [count, 1, 1]
        line = text[: text.index("\xe9")].count("\n") + 1
        with pytest.raises(FormatError, match=f"x, line {line}: _y has 2 values"):
            parse_star(text.replace("\xe9", "1 2"), "x")

    def test_an_empty_line_ends_the_rows(self, count):
        text = star_text([["v", "1"]] * 5, count) + " \t\ndata_next\n_x 1\n"
        blocks = parse_star(text)
        assert len(blocks["t"]) == count
        assert blocks["next"].to_numpy().tolist() == [["1"]]

    def test_files_are_read_in_pieces(self, count, tmp_path, monkeypatch):
        text = star_text([["é", "1"]] * 5, count, end="\r\n")
        (tmp_path / "t.star").write_text("\ufeff" + text, newline="")
        whole = parse_star(text)["t"]
        for size in (7, 1000) if count == SHORT else (60_000,):
            monkeypatch.setattr("slabkit.formats.tables.star._PIECE", size)
            pd.testing.assert_frame_equal(read_star(tmp_path / "t.star")["t"], whole)


TEXTS = ["data_7", "loop_", "none", "", "_x", "é", "a b", "5'UTR", "d", "l", "x" * 64, "y" * 65]


@pytest.mark.parametrize("storage", ["pyarrow", "python"])
class TestTextInArrowsLayout:
    @pytest.mark.parametrize("gap", ["\t", " ", "  \t"])
    def test_is_read_as_objects_are(self, storage, gap):
        rows = [[value, "1.5"] for value in TEXTS if value and " " not in value]
        for values in (rows, [row for row in rows if "'" not in row[0]]):
            text = star_text(values, LONG, gap)
            with pd.option_context("mode.string_storage", storage):
                found = parse_columns(cut(text.encode()), "x", lambda _: {"b": "real"}, False)
            whole = parse_star(text, kinds={"b": "real"})["t"]
            assert found["t"]["b"].dtype == whole["b"].dtype == float
            pd.testing.assert_frame_equal(string_table(found["t"]), whole)

    @pytest.mark.parametrize("texts", [[text] for text in TEXTS] + [TEXTS, []])
    def test_is_written_as_lists_are(self, storage, texts):
        with pd.option_context("mode.string_storage", storage):
            column = pd.Series(["v", *texts, "w"], dtype="str")
        numbers = np.arange(len(column)) - 0.1
        for whole in (column, column.iloc[1:-1], column.iloc[::-1]):
            plain = {"a": whole.tolist(), "b": numbers[: len(whole)].tolist()}
            assert format_star({"t": pd.DataFrame(plain | {"a": whole.array})}) == format_star(
                {"t": plain}
            )


def test_lines_of_another_encoding_are_named_by_their_number():
    for count in (SHORT, LONG):
        text = star_text([["v", "1"], ["\xe9", "2"]], count).encode("latin-1")
        line = text[: text.index(b"\xe9")].count(b"\n") + 1
        with pytest.raises(FormatError, match=f"x, line {line}: is text, but not in UTF-8"):
            parse_star(text, "x")


def test_blocks_after_empty_loops():
    compact = "data_a\nloop_\n_x\n_y\ndata_b # note\n_z 1\n"
    assert [len(table) for table in parse_star(compact).values()] == [0, 1]
    apart = "data_a\nloop_\n_x\n\ndata_b\n_z 1\n"
    assert [len(table) for table in parse_star(apart).values()] == [0, 1]
    with pytest.raises(FormatError, match=r"line 4: 'data_b' can be a value or a block"):
        parse_star("data_a\nloop_\n_x\ndata_b\n_z 1\n")


def test_lists_comments_crlf_and_bom(tmp_path):
    path = tmp_path / "x.star"
    path.write_bytes(
        b"\xef\xbb\xbf# made by hand\r\n\r\ndata_general\r\n\r\n_a 1\r\n_b 'x y' # note\r\n\r\n"
        b"data_rows\r\nloop_\r\n_p #1\r\n# between\r\n_q #2\r\n 1\t two  \r\n"
        b"# a comment\r\n3 four"
    )
    blocks = read_star(path)
    assert blocks["general"].iloc[0].to_dict() == {"a": "1", "b": "x y"}
    assert blocks["rows"].to_numpy().tolist() == [["1", "two"], ["3", "four"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty or has no data_ block"),
        ("hello\n", "line 1: expected a block"),
        ("data_a\nloop_\n_x\n_y\n1 2\n3\n", "line 6: 1 values for 2 columns"),
        ("data_a\nloop_\n_x\n1 2\n", "line 4: 2 values for 1 columns"),
        ("data_a\nloop_\n_x\n_x\n1 2\n", "column _x appears twice"),
        ("data_a\n_x 1\n\ndata_a\n_x 2\n", "line 4: a second block data_a"),
        ("data_a\n_x\n", "line 2: _x has no value"),
        ("data_a\n_x my group\n", "line 2: _x has 2 values; a value with blanks in it needs"),
        ("data_a\nloop_\n_x\n1\n\n2\n", "line 6: expected a block"),
    ],
)
def test_broken_files_are_named(text, message):
    with pytest.raises(FormatError, match=re.escape(message)):
        parse_star(text)


@pytest.mark.parametrize("bad", ["TS#1", "two\nlines", "a 'b\" c", "bell\x07"])
def test_what_star_cannot_hold_is_refused(bad):
    with pytest.raises(InputError, match="cannot be written to a STAR file"):
        format_star({"t": pd.DataFrame({"n": [bad]})})


def test_unreadable_files(tmp_path):
    with pytest.raises(InputError, match=r"none\.star: cannot be read"):
        read_star(tmp_path / "none.star")
    (tmp_path / "binary.star").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(FormatError, match=r"binary\.star: is not a text file"):
        read_star(tmp_path / "binary.star")


@settings(deadline=None, max_examples=200)
@given(st.text(st.sampled_from("data_loop #1\t\n_x'\";. 2a"), max_size=80))
def test_any_text_is_read_or_refused(text):
    try:
        for table in parse_star(text).values():
            assert table.map(lambda value: isinstance(value, str)).to_numpy().all()
    except SlabkitError:
        pass


def test_the_common_reader_of_the_field_agrees(tmp_path):
    starfile = pytest.importorskip("starfile")
    table = pd.DataFrame({"rlnMicrographName": ["a b.mrc", "c.mrc"], "rlnCoordinateX": [1.5, 1e-9]})
    path = tmp_path / "t.star"
    path.write_text(format_star({"particles": table}))
    back = starfile.read(path)
    assert back["rlnMicrographName"].tolist() == ["a b.mrc", "c.mrc"]
    assert back["rlnCoordinateX"].tolist() == [1.5, 1e-9]
