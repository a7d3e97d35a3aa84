"""What the dialects share whose files are rows of values: reading rows, naming, placing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import FormatError, InputError
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.values import coordinates, parse_numbers
from slabkit.formats.source import Source
from slabkit.formats.tomograms.names import tomogram_name

if TYPE_CHECKING:
    import pandas as pd

POSITIONS = ("slabkitX", "slabkitY", "slabkitZ")


def number_rows(source: Source, least: int, most: int, what: str) -> list[list[str]]:
    """Split bare columns of values; blank lines and those that begin with ``#`` pass.

    Parameters
    ----------
    source : Source
    least, most : int
        Values a row may have; all rows have the same number.
    what : str
        What a row should hold, for the message.

    Returns
    -------
    list of list of str
        The columns; ``least`` empty ones where there is no row.

    Raises
    ------
    FormatError
        A row has too few or too many values, or not as many as the first. Names its line.
    """
    rows: list[list[str]] = []
    for number, line in enumerate(source.text.split("\n"), 1):
        values = line.split()
        if not values or values[0].startswith("#"):
            continue
        if not least <= len(values) <= most or len(values) != len(rows[0] if rows else values):
            raise FormatError(
                f"{source.where}, line {number}: {len(values)} values; {what}, alike in every row."
            )
        rows.append(values)
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(least)]


def triples(columns: Sequence[Sequence[str]], names: str, where: str) -> npt.NDArray[np.float64]:
    """Read columns of finite numbers, named by the words of ``names``; shape (rows, columns)."""
    return np.column_stack(
        [coordinates(list(c), n, where) for c, n in zip(columns, names.split(), strict=True)]
    )


def star_table(source: Source, labels: Sequence[str]) -> pd.DataFrame:
    """Give the one block of a STAR file that has all these columns.

    Parameters
    ----------
    source : Source
    labels : sequence of str

    Returns
    -------
    DataFrame
        Values as strings.

    Raises
    ------
    FormatError
        None or several blocks have them.
    """
    blocks = source.blocks
    found = [block for block in blocks.values() if set(labels) <= set(block.columns)]
    if len(found) != 1:
        has = ", ".join(str(c) for block in blocks.values() for c in block.columns) or "none"
        what = "more than one block" if found else "no block"
        raise FormatError(
            f"{source.where}: {what} has the columns {', '.join(labels)}; columns: {has[:300]}."
        )
    return found[0]


def placed(
    names: list[str],
    positions: npt.NDArray[np.float64],
) -> dict[str, Any]:
    """Make the columns of the tomogram and the position, in Å."""
    columns: dict[str, Any] = {"slabkitTomogram": names}
    columns |= dict(zip(POSITIONS, positions.reshape(-1, 3).T, strict=True))
    return columns


def names_of_file(source: Source, context: Context, count: int, ending: str = "") -> list[str]:
    """Name the tomogram of a file that is called like it.

    Parameters
    ----------
    source : Source
    context : Context
        Its ``tomogram`` wins over the file's name.
    count : int
        Number of picks.
    ending : str, optional
        What the program puts between the tomogram's name and the suffix.

    Returns
    -------
    list of str
    """
    if context.tomogram is not None or source.where == "-":
        return context.names(None, count, source.where, "this format")
    if source.tomogram:
        return context.names([source.tomogram] * count, count, source.where)
    stem = Path(source.where).stem
    return context.names([stem.removesuffix(ending) or stem] * count, count, source.where)


def series_name(text: str) -> str:
    """Give the tomogram that a file name in a table means: no folders, no known suffix."""
    name = Path(text).name.removesuffix(".tomostar")
    try:
        return tomogram_name(name)
    except InputError:
        return name  # refused with its row where names are checked


def numbered_names(numbers: Sequence[str], context: Context, where: str) -> list[str]:
    """Name the tomograms that a file numbers.

    Parameters
    ----------
    numbers : sequence of str
        Of each pick.
    context : Context
        Its ``tomogram_index`` says which number is which; without one, a file that has a single
        number may be named like any file without names.
    where : str

    Returns
    -------
    list of str

    Raises
    ------
    InputError
        A number is no whole number or is not in the index, or there is no index.
    """
    values = parse_numbers(numbers)
    wrong = ~np.isfinite(values) | (values != np.round(values)) | (abs(values) > 1e9)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise FormatError(
            f"{where}: the number of the tomogram is {numbers[row]!r} in row {row + 1}; it must be "
            "a whole number."
        )
    keys = [str(int(value)) for value in values]
    index = context.tomogram_index
    if index is not None:
        unknown = sorted(set(keys) - set(index))
        if unknown:
            raise InputError(
                f"{where}: tomogram number {unknown[0]} is not in --tomogram-index, which has "
                f"{', '.join(list(index)[:10])}."
            )
        return context.names([index[key] for key in keys], len(keys), where)
    different = list(dict.fromkeys(keys))
    if len(different) > 1:
        raise InputError(
            f"{where}: numbers its tomograms ({', '.join(different[:5])}); say which they are with "
            "--tomogram-index FILE, a line 'number path' each (Dynamo's .doc) or its .vll list."
        )
    return context.names(None, len(keys), where, "this format, which numbers its tomograms,")
