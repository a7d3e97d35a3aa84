"""Lists that say which number is which tomogram: Dynamo's ``.doc`` and ``.vll``, and tables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from slabkit.errors import FormatError
from slabkit.formats.tables.blocks import read_text
from slabkit.formats.tables.star import parse_star
from slabkit.formats.tomograms.names import tomogram_name

_NUMBERS = ("tomo_num", "tomo_id", "tomo", "number", "index")
_NAMES = ("tomo_name", "tomogram", "rlnTomoName", "slabkitTomogram", "run_name", "name", "path")
_COMMENTS = ("#", "%", "*", ">")  # in a .vll, lines with a star say things about the volume above


def read_tomogram_index(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read which number is which tomogram: number to file name less a known suffix.

    A ``.vll`` list of volumes, one path a line, counted from 1; or any other text with lines
    ``number path`` (Dynamo's table map, ``.doc``; STOPGAP's tomolist), blanks, a tab or a comma
    between, perhaps with a first line of names; or STAR with ``tomo_num`` and ``tomo_name``. What
    is neither, or appears twice, is refused.
    """
    where = str(path)
    index: dict[str, str] = {}
    for line, number, file in _entries(read_text(path), where):
        if not (number.isascii() and number.isdigit()) or not file:
            raise FormatError(
                f"{where}, {line}: {f'{number} {file}'[:60]!r} is not a number and a path."
            )
        number, name = number.lstrip("0") or "0", tomogram_name(file.strip("'\""))
        if number in index or name in index.values():
            twice = f"number {number}" if number in index else f"tomogram {name}"
            raise FormatError(f"{where}, {line}: {twice} appears twice.")
        index[number] = name
    if not index:
        raise FormatError(f"{where}: lists no tomograms.")
    return index


def _entries(text: str, where: str) -> Iterator[tuple[str, str, str]]:
    """Give the place of each entry, for messages, its number and its path."""
    if text.lstrip().startswith("data_"):
        yield from _of_star(text, where)
        return
    counted, count = Path(where).suffix.lower() == ".vll", 0
    place = 1  # of the path, where a first line names the columns
    for line_number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line.startswith(_COMMENTS):
            continue
        count += 1
        if counted:
            yield f"line {line_number}", str(count), line
            continue
        mark = next((mark for mark in "\t," if mark in line), " ")
        cells = [cell.strip() for cell in line.split(mark, 1 if place == 1 else -1)]
        if count == 1 and cells[0] in _NUMBERS:
            names = [name.strip() for name in line.split(mark)]
            place = next((i for i, name in enumerate(names) if name in _NAMES), 1)
        else:
            yield f"line {line_number}", cells[0], cells[place] if place < len(cells) else ""


def _of_star(text: str, where: str) -> Iterator[tuple[str, str, str]]:
    for block in parse_star(text, where).values():
        number = next((label for label in _NUMBERS if label in block.columns), None)
        name = next((label for label in _NAMES if label in block.columns), None)
        if number and name:
            for row, cells in enumerate(zip(block[number], block[name], strict=True), 1):
                yield (f"row {row}", *cells)
