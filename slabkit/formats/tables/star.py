"""STAR files, strictly: what is written is read back equal, or an error says why not.

The common reader of the field turns names like ``00255``, ``1e5`` and ``nan`` into numbers, swaps
quotes, ends rows at ``#`` and lets short rows, doubled columns and doubled blocks pass; its writer
rounds to six decimals and stamps the time. So text goes in and out here, and a column becomes a
number only where its schema says so.

Blanks and tabs separate values, nothing else does. Long runs of rows are split by `star_rows`,
short ones and those with quotes or comments by `split_line`; both follow the same rules.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.errors import FormatError, InputError
from slabkit.formats.tables.paths import as_utf8, is_pipe, no_text, read_bytes, utf_16_of
from slabkit.formats.tables.star_rows import (
    Columns,
    columns_of,
    is_plain,
    plain_columns,
    tokens_of,
)
from slabkit.tables.schemas import Kind
from slabkit.tables.validation import check_width, repeated

if TYPE_CHECKING:
    import pandas as pd


_PIECE = 4_000_000  # bytes that are parsed at a time
_SHORT = 50_000  # bytes of rows below which starting pandas' parser does not pay
_TOKEN = re.compile(r'"([^"]*)"(?=[ \t]|$)|\'([^\']*)\'(?=[ \t]|$)|([^ \t]+)')
_EMPTY_LINE = re.compile(rb"\n[ \t]*(?=\n)")
_BLOCK_LINE = re.compile(rb"\n[ \t]*data_")
_END_OF_ROWS = re.compile(  # an empty line, or a block's name where a row has more values
    rb"\n(?:[ \t]*(?=\n)|(?=[ \t]*data_[^ \t\n]*[ \t]*(?:#[^\n]*)?\n))"
)


def read_star(path: str | os.PathLike[str]) -> dict[str, pd.DataFrame]:
    """Read every block of a STAR file, by its name without ``data_``, all values as strings.

    A list of pairs is a table of one row; columns lack the leading underscore. Refused, with the
    line, are short and long rows, doubled blocks and columns, and what is no text.
    """
    return _tables(parse_columns(pieces_of(path), str(path)))


def parse_star(
    text: str | bytes, where: str = "STAR text", kinds: Mapping[str, Kind] | None = None
) -> dict[str, pd.DataFrame]:
    """Parse STAR text as `read_star` does.

    Columns named in ``kinds``, of any block, come as numbers; where a value is no number, as
    objects, those values as text.
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


class NotStarError(FormatError):
    """A file that does not begin as a STAR file does."""


def require_star_block(text: str, where: str) -> None:
    """Refuse a table that begins as in a STAR file, but without the name of its block."""
    for number, line in enumerate(text.split("\n"), 1):
        word = line.strip().partition(" ")[0]
        if word == "loop_" or word.startswith(("_rln", "_slabkit")):
            raise FormatError(
                f"{where}, line {number}: expected a block (data_...), found {word[:60]!r}."
            )
        if word and not word.startswith("#"):
            return


def pieces_of(source: str | os.PathLike[str]) -> Iterator[bytes]:
    """Read a file, or standard input for ``-``, a few megabytes at a time."""
    if is_pipe(source):
        yield from cut(read_bytes(source))
        return
    try:
        with Path(source).open("rb") as file:
            while piece := file.read(_PIECE):
                if utf_16_of(piece):
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
            error = lines.error(f"expected a block (data_...), found {line[:60]!r}")
            raise error if blocks else NotStarError(str(error))
        name = split_line(line)[0][len("data_") :]
        if name in blocks:
            raise lines.error(f"a second block data_{name}")
        blocks[name] = _parse_block(lines, kinds(name), objects)
    if not blocks:
        raise FormatError(f"{where}: is empty or has no data_ block, so it is not a STAR file.")
    return blocks


def labels_of_blocks(pieces: Iterator[bytes], where: str) -> dict[str, tuple[str, ...]]:
    """Give the labels, without underscore, of each block; the rows are not looked at."""
    lines = _Lines(pieces, where)
    found: dict[str, list[str]] = {}
    labels = list[str]()
    while (line := lines.next()) is not None:
        if line.startswith("data_"):
            labels = found[line.split()[0].removeprefix("data_")] = []
        elif line.startswith("_"):
            labels.append(line.split()[0][1:])
        elif line and line[0] not in "#;" and line != "loop_":
            lines.pass_rows()
    return {name: tuple(labels) for name, labels in found.items()}


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
        return self.decode(self._buffer[self._line_start : end], self.number - 1).strip(" \t")

    def back(self) -> None:
        """Give the last line again."""
        self._place = self._line_start
        self.number -= 1

    def rows(self, width: int) -> Iterator[bytes]:
        """Give whole lines, many at a time, up to an empty line, passed over, or the next block."""
        pattern, begins = (_END_OF_ROWS, b" \t\nd") if width > 1 else (_EMPTY_LINE, b" \t\n")
        while True:
            last = _find_line(pattern, begins, self._buffer, self._place - 1)
            end = (last.start() if last else self._buffer.rfind(b"\n", self._place - 1)) + 1
            if end > self._place:
                part = self._buffer[self._place : end]
                self._place = end
                yield part
                ends = np.frombuffer(part, dtype=np.uint8) == ord("\n")
                self.number += int(np.count_nonzero(ends))
            if last and self._buffer[last.end() : last.end() + 1] == b"\n":
                self._place = last.end() + 1
                self.number += 1
            if last:
                return
            if not self._read_on():
                return

    def pass_rows(self) -> None:
        """Pass over the lines before the next block."""
        while not (found := _find_line(_BLOCK_LINE, b" \td", self._buffer, self._place - 1)):
            self._place = self._buffer.rfind(b"\n") + 1
            if not self._read_on():
                return
        self._place = found.start() + 1

    def decode(self, data: bytes, before: int) -> str:
        """Make text of bytes; ``before`` is the number of the line before them."""
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise no_text(data, self.where, before) from error

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


def _find_line(
    pattern: re.Pattern[bytes], begins: bytes, text: bytes, start: int
) -> re.Match[bytes] | None:
    """Find the first line that fits; a long text is searched only if any line begins so."""
    if len(text) - start > _SHORT:
        data = np.frombuffer(text, dtype=np.uint8, offset=start)
        first = data[np.flatnonzero(data[:-1] == ord("\n")) + 1]
        if not any((first == byte).any() for byte in begins):
            return None
    return pattern.search(text, start)


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
            for part in _parsed(lines, names, kinds, objects):
                parts.append(part)
                if len(parts) % 32 == 0:  # small arrays between large ones would hold memory back
                    parts[-32:] = [_joined(parts[-32:], names)]
            break
        else:
            raise lines.error(f"{line[:60]!r} has no place there")
    _check_names(names, lines.where)
    if not loop:
        parts = [columns_of([pairs] if names else [], names, kinds)]
    return _joined(parts, names)


def _parsed(
    lines: _Lines, names: list[str], kinds: Mapping[str, Kind], objects: bool
) -> Iterator[Columns]:
    """Parse the rows of a block, of long ones two pieces at a time."""

    def parse(piece: tuple[bytes, int]) -> Columns:
        part = _parse_rows(*piece, names, kinds, lines, objects)
        return part if objects else _with_texts(part, kinds)

    pieces = ((piece, lines.number) for piece in lines.rows(len(names)))
    first = next(pieces, None)
    if first is None:
        return
    yield parse(first)
    if len(first[0]) < _PIECE // 2:
        yield from map(parse, pieces)
    else:
        from slabkit.arrays.parallel import available_cores, map_in_order

        yield from map_in_order(parse, pieces, min(2, available_cores()))


def _with_texts(columns: Columns, kinds: Mapping[str, Kind]) -> Columns:
    import pandas as pd

    for name, values in columns.items():
        if kinds.get(name, "string") == "string" and isinstance(values, np.ndarray):
            columns[name] = pd.Series(values, dtype="str").array
    return columns


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
    piece: bytes,
    before: int,
    names: list[str],
    kinds: Mapping[str, Kind],
    lines: _Lines,
    objects: bool,
) -> Columns:
    """Parse whole lines; ``before`` is the number of the line before them."""
    if len(piece) > _SHORT and is_plain(piece):
        tokens = tokens_of(piece, names, lines.where, before)
        if tokens is not None:
            if not piece.isascii():
                lines.decode(piece, before)
            return plain_columns(piece, tokens, names, kinds, objects)
    rows = []
    for number, line in enumerate(lines.decode(piece, before)[:-1].split("\n"), before + 1):
        if line.lstrip(" \t").startswith(("#", ";")):
            continue
        values = split_line(line)
        if len(values) != len(names):
            raise FormatError(
                f"{lines.where}, line {number}: {len(values)} values for {len(names)} columns."
            )
        rows.append(values)
    return columns_of(rows, names, kinds)


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
