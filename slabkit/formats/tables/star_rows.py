"""Rows of STAR tables, many at once: where their values lie, and columns of them.

Numbers are read by pandas' C parser; text stays bytes where pandas has text in Arrow's layout.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import FormatError
from slabkit.formats.tables.packed import PADDING, is_packed, packed_text
from slabkit.tables.schemas import Kind
from slabkit.tables.validation import parse_real

Columns = dict[str, Any]
"""One block: column name to values, in arrays of NumPy or of pandas' text."""

_COMMENT_LINE = re.compile(rb"^[ \t]*[#;]", re.MULTILINE)
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_DTYPES: dict[Kind, Any] = {"string": object, "integer": np.int64, "real": np.float64}
_NAN = ["nan", "NaN", "NAN"]


def is_plain(piece: bytes) -> bool:
    """Tell rows without quotes, comments, and characters that pandas' parser takes otherwise."""
    if b'"' in piece or b"'" in piece or b"\0" in piece:
        return False
    return not ((b"#" in piece or b";" in piece) and _COMMENT_LINE.search(piece))


Tokens = tuple[str, npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""What separates values, where each begins and where it ends; shape (rows, columns)."""


def tokens_of(piece: bytes, names: list[str], where: str, before: int) -> Tokens | None:
    """Find the values, and refuse lines with too many or few; None where that is not plain.

    ``before`` is the number of the line before them.
    """
    data = np.frombuffer(piece, dtype=np.uint8)
    ends = np.flatnonzero(data <= ord(" "))
    starts = np.concatenate(([0], ends[:-1] + 1))
    marks, filled, shape = data[ends], ends > starts, (-1, len(names))
    if filled.all() and len(ends) % len(names) == 0:
        table = marks.reshape(shape)
        if (table[:, -1] == ord("\n")).all():
            for mark in "\t ":
                if (table[:, :-1] == ord(mark)).all():
                    return mark, starts.reshape(shape), ends.reshape(shape)
    line_end = marks == ord("\n")
    if not (line_end | (marks == ord("\t")) | (marks == ord(" "))).all():
        return None  # control characters, which are parts of values
    line = np.cumsum(line_end) - line_end
    counts = np.bincount(line[filled], minlength=int(line_end.sum()))
    wrong = np.flatnonzero(counts != len(names))
    if len(wrong):
        number, count = before + int(wrong[0]) + 1, counts[wrong[0]]
        raise FormatError(f"{where}, line {number}: {count} values for {len(names)} columns.")
    return r"\s+", starts[filled].reshape(shape), ends[filled].reshape(shape)


def plain_columns(
    piece: bytes, tokens: Tokens, names: list[str], kinds: Mapping[str, Kind], objects: bool
) -> Columns:
    """Take apart rows without quotes and comments: numbers, and objects, by pandas' C parser."""
    import pandas as pd

    separator, starts, ends = tokens
    numeric = {name: kind for name in names if (kind := kinds.get(name, "string")) != "string"}
    columns: Columns = dict.fromkeys(names)
    if not objects and is_packed(pd.Series(dtype="str")):
        data = np.frombuffer(piece + PADDING, dtype=np.uint8)
        for place, name in enumerate(names):
            if name not in numeric:
                columns[name] = packed_text(data, starts[:, place], ends[:, place])
    parsed = [name for name in names if columns[name] is None]
    if not parsed:
        return columns
    options: dict[str, Any] = {
        "sep": separator,
        "header": None,
        "names": names,
        "usecols": parsed,
        "index_col": False,
        "engine": "c",
        "quoting": 3,
        "keep_default_na": False,
        "low_memory": False,
    }
    if _version(pd) < (3, 1):  # from then on numbers are always read exactly
        options["float_precision"] = "round_trip"
    types = {name: _DTYPES[kinds.get(name, "string")] for name in parsed}
    missing = {name: _NAN for name, kind in numeric.items() if kind == "real"}
    try:
        with np.errstate(invalid="raise"):
            table = pd.read_csv(io.BytesIO(piece), dtype=types, na_values=missing, **options)
    except (ValueError, ArithmeticError):
        table = pd.read_csv(io.BytesIO(piece), dtype=object, na_filter=False, **options)
        texts = _typed({name: table[name].to_numpy() for name in parsed}, numeric)
        return columns | texts
    # Copies, so that each column can be let go by itself.
    return columns | {name: table[name].to_numpy().copy() for name in parsed}


def _version(module: Any) -> tuple[int, ...]:
    return tuple(int(part) for part in module.__version__.split(".")[:2])


def columns_of(rows: list[list[str]], names: list[str], kinds: Mapping[str, Kind]) -> Columns:
    """Make columns of rows of texts."""
    values = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    columns = {
        name: np.array(column, dtype=object) for name, column in zip(names, values, strict=True)
    }
    return _typed(columns, kinds) if rows else columns


def _typed(columns: Columns, kinds: Mapping[str, Kind]) -> Columns:
    """Make the columns numbers that are to be; one with a value that is none stays objects."""
    for name, kind in kinds.items():
        if name not in columns or kind == "string":
            continue
        texts = columns[name].tolist()
        if kind == "integer" and all(map(_WHOLE.fullmatch, texts)):
            columns[name] = np.array([int(text) for text in texts], dtype=np.int64)
            continue
        numbers = [parse_real(text) for text in texts]
        if None in numbers:
            mixed = [text if n is None else n for text, n in zip(texts, numbers, strict=True)]
            columns[name] = np.array(mixed, dtype=object)
            continue
        reals = np.array(numbers, dtype=np.float64)
        whole = kind == "integer" and ((np.rint(reals) == reals) & (np.abs(reals) < 2**63)).all()
        columns[name] = reals.astype(np.int64) if whole else reals
    return columns
