"""Lists that say which number is which tomogram: Dynamo's ``.doc`` and ``.vll``, and tables."""

from __future__ import annotations

import os
from pathlib import Path

from slabkit.errors import FormatError
from slabkit.formats.tables.blocks import read_text
from slabkit.formats.tomograms.names import tomogram_name

_HEADERS = ("tomo_num", "number", "index", "tomo_id")
_COMMENTS = ("#", "%", "*", ">")  # in a .vll, lines with a star say things about the volume above


def read_tomogram_index(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read which number is which tomogram.

    Parameters
    ----------
    path : path-like
        A ``.vll`` list of volumes, one path a line, counted from 1; or any other text with lines
        ``number path`` (Dynamo's table map, ``.doc``; STOPGAP's tomolist), blanks, a tab or a comma
        between; a first line that names the columns passes.

    Returns
    -------
    dict of str to str
        Number to name of the tomogram, which is the path's file name less a known suffix.

    Raises
    ------
    FormatError
        A line is neither, or a number or name appears twice.
    """
    where = str(path)
    index: dict[str, str] = {}
    counted = Path(where).suffix.lower() == ".vll"
    for line_number, line in enumerate(read_text(path).split("\n"), 1):
        text = line.strip()
        if not text or text.startswith(_COMMENTS):
            continue
        if counted:
            number, file = str(len(index) + 1), text
        else:
            mark = next((mark for mark in "\t," if mark in text), " ")
            number, _, file = (part.strip() for part in text.partition(mark))
            if number in _HEADERS and not index:
                continue
            if not (number.isascii() and number.isdigit()) or not file:
                raise FormatError(
                    f"{where}, line {line_number}: {text[:60]!r} is not a number and a path."
                )
            number = str(int(number))
        name = tomogram_name(file.strip("'\""))
        if number in index or name in index.values():
            twice = f"number {number}" if number in index else f"tomogram {name}"
            raise FormatError(f"{where}, line {line_number}: {twice} appears twice.")
        index[number] = name
    if not index:
        raise FormatError(f"{where}: lists no tomograms.")
    return index
