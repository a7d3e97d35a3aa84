"""STAR files, strictly: what is written is read back equal, or an error says why not.

The common reader of the field turns names like ``00255``, ``1e5`` and ``nan`` into numbers, swaps
quotes, ends rows at ``#`` and lets short rows, doubled columns and doubled blocks pass; its writer
rounds to six decimals and stamps the time. So text goes in and out here, and a column becomes a
number only where its schema says so.

Blanks and tabs separate values, nothing else does. Long runs of rows are split by pandas' C parser,
short ones and those with quotes or comments by `split_line`; both follow the same rules.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.errors import FormatError, InputError
from slabkit.formats.tables.paths import as_utf8, is_pipe, no_text, read_bytes
from slabkit.formats.tables.reals import real_text
from slabkit.formats.tables.star_writing import format_star
from slabkit.tables.schemas import Kind
from slabkit.tables.validation import check_width, parse_real, repeated

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Columns",
    "cut",
    "format_star",
    "parse_columns",
    "parse_star",
    "pieces_of",
    "read_star",
    "real_text",
    "require_star_block",
    "split_line",
    "string_table",
]

Columns = dict[str, Any]
"""One block: column name to values, in arrays of NumPy or of pandas' text."""

_PIECE = 4_000_000  # bytes that are parsed at a time
_SHORT = 50_000  # bytes of rows below which starting pandas' parser does not pay
_TOKEN = re.compile(r'"([^"]*)"(?=[ \t]|$)|\'([^\']*)\'(?=[ \t]|$)|([^ \t]+)')
_EMPTY_LINE = re.compile(rb"\n[ \t]*(?=\n)")
_COMMENT_LINE = re.compile(rb"^[ \t]*[#;]", re.MULTILINE)
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_DTYPES: dict[Kind, Any] = {"string": object, "integer": np.int64, "real": np.float64}
_NAN = ["nan", "NaN", "NAN"]


def read_star(path: str | os.PathLike[str]) -> dict[str, pd.DataFrame]:
    """Read every block of a STAR file, all values as strings.

    Parameters
    ----------
    path : path-like or "-"

    Returns
    -------
    dict of str to DataFrame
        Block name (without ``data_``) to table, in the file's order; a block that is a list of
        pairs is a table of one row. Column names lack the leading underscore.

    Raises
    ------
    FormatError
        No block; a row that is short or long; a doubled block or column; not text. Names the line.
    InputError
        The file cannot be read.
    """
    return _tables(parse_columns(pieces_of(path), str(path)))


def parse_star(
    text: str | bytes, where: str = "STAR text", kinds: Mapping[str, Kind] | None = None
) -> dict[str, pd.DataFrame]:
    """Parse STAR text as `read_star` does.

    Parameters
    ----------
    text : str or bytes
    where : str, optional
        What the message begins with.
    kinds : mapping of str to {"string", "integer", "real"}, optional
        Columns, of any block, to be given as numbers. A column in which a value is no number comes
        as objects, those values as text.

    Returns
    -------
    dict of str to DataFrame

    Raises
    ------
    FormatError
        As `read_star`.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return _tables(parse_columns(cut(data), where, lambda block: kinds or {}))


def cut(data: bytes) -> Iterator[bytes]:
    """Give what was in a file a few megabytes at a time."""
    return (data[start : start + _PIECE] for start in range(0, len(data), _PIECE))


def _tables(blocks: dict[str, Columns]) -> dict[str, pd.DataFrame]:
    return {name: string_table(columns) for name, columns in blocks.items()}


def string_table(columns: Columns) -> pd.DataFrame:
    """Make a table of one block, text as objects and not as a kind of pandas' own."""
    import pandas as pd

    arrays = {
        name: v if isinstance(v, np.ndarray) else np.asarray(v, dtype=object)
        for name, v in columns.items()
    }
    return pd.DataFrame({name: pd.Series(v, dtype=v.dtype) for name, v in arrays.items()})


def require_star_block(text: str, where: str) -> None:
    """Refuse a table that begins as in a STAR file, but without the name of its block.

    Parameters
    ----------
    text : str
    where : str

    Raises
    ------
    FormatError
        Names the line.
    """
    for number, line in enumerate(text.split("\n"), 1):
        word = line.strip().partition(" ")[0]
        if word == "loop_" or word.startswith(("_rln", "_slabkit")):
            raise FormatError(
                f"{where}, line {number}: expected a block (data_...), found {word[:60]!r}."
            )
        if word and not word.startswith("#"):
            return


def pieces_of(source: str | os.PathLike[str]) -> Iterator[bytes]:
    """Read a file, or standard input for ``-``, a few megabytes at a time.

    Parameters
    ----------
    source : path-like or "-"

    Yields
    ------
    bytes

    Raises
    ------
    InputError
        It cannot be read.
    """
    if is_pipe(source):
        yield from cut(read_bytes(source))
        return
    try:
        with Path(source).open("rb") as file:
            while piece := file.read(_PIECE):
                if piece.startswith((b"\xff\xfe", b"\xfe\xff")):
                    piece = as_utf8(piece + file.read())
                yield piece
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error.strerror}).") from error


def parse_columns(
    pieces: Iterator[bytes],
    where: str,
    kinds: Callable[[str], Mapping[str, Kind]] = lambda block: {},
    objects: bool = True,
) -> dict[str, Columns]:
    """Parse STAR text that comes in pieces; ``kinds`` gives a block's columns that are numbers.

    Text comes as object arrays, or else as what pandas has for text, which may need less memory.
    """
    lines = _Lines(pieces, where)
    blocks: dict[str, Columns] = {}
    while (line := lines.next()) is not None:
        if not line or line.startswith(("#", ";")):
            continue
        if not line.startswith("data_"):
            raise lines.error(f"expected a block (data_...), found {line[:60]!r}")
        name = split_line(line)[0][len("data_") :]
        if name in blocks:
            raise lines.error(f"a second block data_{name}")
        blocks[name] = _parse_block(lines, kinds(name), objects)
    if not blocks:
        raise FormatError(f"{where}: is empty or has no data_ block, so it is not a STAR file.")
    return blocks


class _Lines:
    """Lines, and runs of rows, of text that comes in pieces."""

    def __init__(self, pieces: Iterator[bytes], where: str) -> None:
        self.where = where
        self.number = 0  # of the last line given
        self._pieces = pieces
        self._buffer = b"\n"  # there is always a line end before the place
        self._place = self._line_start = 1
        self._begun = self._ended = False

    def error(self, what: str) -> FormatError:
        return FormatError(f"{self.where}, line {self.number}: {what}.")

    def next(self) -> str | None:
        """Give the next line without blanks at its ends, or None after the last."""
        while (end := self._buffer.find(b"\n", self._place)) < 0:
            if not self._read_on():
                return None
        self._line_start, self._place = self._place, end + 1
        self.number += 1
        return self.decode(self._buffer[self._line_start : end]).strip(" \t")

    def back(self) -> None:
        """Give the last line again."""
        self._place = self._line_start
        self.number -= 1

    def rows(self) -> Iterator[bytes]:
        """Give whole lines, many at a time, up to the next empty line, which is passed over."""
        while True:
            empty = _EMPTY_LINE.search(self._buffer, self._place - 1)
            end = (empty.start() if empty else self._buffer.rfind(b"\n", self._place - 1)) + 1
            if end > self._place:
                part = self._buffer[self._place : end]
                self._place = end
                yield part
                self.number += part.count(b"\n")
            if empty:
                self._place = empty.end() + 1
                self.number += 1
                return
            if not self._read_on():
                return

    def decode(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise no_text(data, self.where) from error

    def _read_on(self) -> bool:
        if self._ended:
            return False
        rest, piece = self._buffer[self._place - 1 :], next(self._pieces, None)
        if not self._begun and piece is not None:
            self._begun = True
            piece = piece.removeprefix(b"\xef\xbb\xbf")
        if piece is None:
            self._ended = True
            piece = b"\n" if len(rest) > 1 else b""
        while (
            piece.endswith(b"\r") and not self._ended
        ):  # the line feed that belongs to it is in the next piece
            following = next(self._pieces, None)
            piece, self._ended = piece + (following or b"\n"), following is None
        if b"\r" in piece:
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self._buffer, self._place = rest + piece, 1
        return bool(piece) or not self._ended


def _parse_block(lines: _Lines, kinds: Mapping[str, Kind], objects: bool) -> Columns:
    names: list[str] = []
    pairs: list[str] = []
    loop = apart = False  # apart: the last line was empty
    parts: list[Columns] = []
    while (line := lines.next()) is not None:
        if line.startswith("data_") and not _is_first_row(line, names, loop, apart, lines):
            lines.back()
            break
        if not line or line.startswith(("#", ";")):
            apart = not line
            continue
        if line == "loop_" and not loop and not names:
            loop = True
        elif line.startswith("_"):
            label, *values = split_line(line)
            names.append(label[1:])
            check_width(len(names), lines.where)
            if not loop:
                pairs.append(_pair_value(label, values, lines))
        elif loop and names:
            lines.back()
            _check_names(names, lines.where)
            for piece in lines.rows():
                part = _parse_rows(piece, names, kinds, lines)
                parts.append(part if objects else _with_texts(part, kinds))
                if len(parts) % 32 == 0:  # small arrays between large ones would hold memory back
                    parts[-32:] = [_joined(parts[-32:], names)]
            break
        else:
            raise lines.error(f"{line[:60]!r} has no place there")
    _check_names(names, lines.where)
    if not loop:
        parts = [_columns_of([pairs] if names else [], names, kinds)]
    return _joined(parts, names)


def _with_texts(columns: Columns, kinds: Mapping[str, Kind]) -> Columns:
    import pandas as pd

    text = [name for name in columns if kinds.get(name, "string") == "string"]
    return columns | {name: pd.Series(columns[name], dtype="str").array for name in text}


def _is_first_row(line: str, names: list[str], loop: bool, apart: bool, lines: _Lines) -> bool:
    """Tell a row that begins with a name like ``data_7/x.mrc`` from the block after a loop."""
    if not loop or not names:
        return False
    values = split_line(line)
    if len(values) == 1 and len(names) == 1 and not apart:
        raise lines.error(
            f"{line[:60]!r} can be a value or a block: put quotes round it, or an empty line "
            "before it"
        )
    return len(values) > 1 and not values[1].startswith("#")


def _pair_value(label: str, values: list[str], lines: _Lines) -> str:
    if not values:
        raise lines.error(f"{label} has no value")
    if len(values) > 1 and not values[1].startswith("#"):
        raise lines.error(
            f"{label} has {len(values)} values; a value with blanks in it needs quotes round it"
        )
    return values[0]


def _check_names(names: list[str], where: str) -> None:
    if (doubled := repeated(names)) is not None:
        raise FormatError(f"{where}: column _{doubled} appears twice.")


def split_line(line: str) -> list[str]:
    """Split a line into its values: blanks and tabs lie between, quotes hold one together."""
    if '"' not in line and "'" not in line:
        return [value for value in line.replace("\t", " ").split(" ") if value]
    return [a or b or c for a, b, c in _TOKEN.findall(line)]


def _parse_rows(
    piece: bytes, names: list[str], kinds: Mapping[str, Kind], lines: _Lines
) -> Columns:
    if len(piece) > _SHORT and _is_plain(piece):
        separator = _separator(piece, names, lines)
        if separator is not None:
            if not piece.isascii():
                lines.decode(piece)
            return _columns_of_plain(piece, separator, names, kinds)
    rows = []
    for number, line in enumerate(lines.decode(piece)[:-1].split("\n"), lines.number + 1):
        if line.lstrip(" \t").startswith(("#", ";")):
            continue
        values = split_line(line)
        if len(values) != len(names):
            raise FormatError(
                f"{lines.where}, line {number}: {len(values)} values for {len(names)} columns."
            )
        rows.append(values)
    return _columns_of(rows, names, kinds)


def _is_plain(piece: bytes) -> bool:
    """Tell rows without quotes, comments, and characters that pandas' parser takes otherwise."""
    if b'"' in piece or b"'" in piece or b"\0" in piece:
        return False
    return not ((b"#" in piece or b";" in piece) and _COMMENT_LINE.search(piece))


def _separator(piece: bytes, names: list[str], lines: _Lines) -> str | None:
    """Count the values of each line; give what separates them, None where that is not plain."""
    data = np.frombuffer(piece, dtype=np.uint8)
    ends = np.flatnonzero(data <= ord(" "))
    marks = data[ends]
    after_value = np.diff(ends, prepend=-1) > 1
    if after_value.all() and len(ends) % len(names) == 0:
        table = marks.reshape(-1, len(names))
        if (table[:, -1] == ord("\n")).all():
            for mark in "\t ":
                if (table[:, :-1] == ord(mark)).all():
                    return mark
    line_end = marks == ord("\n")
    if not (line_end | (marks == ord("\t")) | (marks == ord(" "))).all():
        return None  # control characters, which are parts of values
    line = np.cumsum(line_end) - line_end
    counts = np.bincount(line[after_value], minlength=int(line_end.sum()))
    wrong = np.flatnonzero(counts != len(names))
    if len(wrong):
        lines.number += int(wrong[0]) + 1
        raise lines.error(f"{counts[wrong[0]]} values for {len(names)} columns")
    return r"\s+"


def _columns_of_plain(
    piece: bytes, separator: str, names: list[str], kinds: Mapping[str, Kind]
) -> Columns:
    """Split rows without quotes and comments, whose counts are checked, by pandas' C parser."""
    import pandas as pd

    numeric = {name: kind for name in names if (kind := kinds.get(name, "string")) != "string"}
    options: dict[str, Any] = {
        "sep": separator,
        "header": None,
        "names": names,
        "index_col": False,
        "engine": "c",
        "quoting": 3,
        "keep_default_na": False,
        "low_memory": False,
    }
    if _version(pd) < (3, 1):  # from then on numbers are always read exactly
        options["float_precision"] = "round_trip"
    types = {name: _DTYPES[kinds.get(name, "string")] for name in names}
    missing = {name: _NAN for name, kind in numeric.items() if kind == "real"}
    try:
        with np.errstate(invalid="raise"):
            table = pd.read_csv(io.BytesIO(piece), dtype=types, na_values=missing, **options)
    except (ValueError, ArithmeticError):
        table = pd.read_csv(io.BytesIO(piece), dtype=object, na_filter=False, **options)
        return _typed({name: table[name].to_numpy() for name in names}, numeric)
    # Copies, so that each column can be let go by itself.
    return {name: table[name].to_numpy().copy() for name in names}


def _version(module: Any) -> tuple[int, ...]:
    return tuple(int(part) for part in module.__version__.split(".")[:2])


def _columns_of(rows: list[list[str]], names: list[str], kinds: Mapping[str, Kind]) -> Columns:
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


def _joined(parts: list[Columns], names: list[str]) -> Columns:
    if len(parts) == 1:
        return parts[0]
    empty = [np.empty(0, dtype=object)]
    return {name: _concatenate([part.pop(name) for part in parts] or empty) for name in names}


def _concatenate(arrays: list[Any]) -> Any:
    if isinstance(arrays[0], np.ndarray):
        return np.concatenate(arrays)
    import pandas as pd

    return pd.concat([pd.Series(one, copy=False) for one in arrays], ignore_index=True).array
