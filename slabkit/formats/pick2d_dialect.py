"""What a dialect of 2D picks is: two plain functions and a few facts, held in a `Pick2dDialect`.

A reader gets the content of files and the names of the slabs, and gives a table with the columns
of `slabkit.tables.PICKS2D`: pixels of the slab images, 0 at the centre of the first pixel, y
counted as the file counts it. Which way that is, and whether places lie on their slabs, is not the
reader's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slabkit.formats.programs.shared.micrograph_names import MicrographNames
from slabkit.formats.source import Source

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Slabs:
    """What readers may want to know of the slabs.

    Parameters
    ----------
    table : DataFrame
        Columns of `slabkit.tables.SLABS`.
    names : MicrographNames
        Of the slabs, to find the one that a name or file means.
    """

    table: pd.DataFrame
    names: MicrographNames

    def values(self, column: str, micrographs: Sequence[str]) -> list[float]:
        """Give a column of the slab table, ``slabkitVoxelSize`` say, for micrographs in it."""
        known = dict(zip(self.table["rlnMicrographName"], self.table[column], strict=True))
        return [float(known[name]) for name in micrographs]


@dataclass(frozen=True)
class Pick2dDialect:
    """One way of writing 2D picks.

    Parameters
    ----------
    name : str
    title : str
        What people call it.
    unit, origin, index_base : str
        For the documentation: unit, position of zero, first index.
    sniff : callable
        Tell by content or declared name, never by the size of values, whether a `Source` is one.
    read : callable
        Give the picks of all files of this dialect at once; see `one_by_one`. Micrographs may be
        called as the program called them.
    y_settled : bool
        Whether it is settled that y counts from the first row; if not, a user who does not say is
        warned.
    files : callable, optional
        Further files that a `Source` names and `read` will open.
    """

    name: str
    title: str
    unit: str
    origin: str
    index_base: str
    sniff: Callable[[Source], bool]
    read: Callable[[Sequence[Source], Slabs], pd.DataFrame]
    y_settled: bool = True
    files: Callable[[Source], list[Path]] | None = None


def one_by_one(
    read: Callable[[Source, Slabs], pd.DataFrame],
) -> Callable[[Sequence[Source], Slabs], pd.DataFrame]:
    """Make a reader of many files out of one for a single file.

    Parameters
    ----------
    read : callable
        Gives the picks of one file.

    Returns
    -------
    callable
    """

    def read_all(sources: Sequence[Source], slabs: Slabs) -> pd.DataFrame:
        return pooled([checked(read(source, slabs), source.where) for source in sources])

    return read_all


def checked(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """Bring what a reader found to the columns of `slabkit.tables.PICKS2D`."""
    from slabkit.tables import PICKS2D, validate_table

    return validate_table(table, PICKS2D, where)


def pooled(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join tables of 2D picks; a further column that one lacks is empty there."""
    import pandas as pd

    from slabkit.tables import PICKS2D, empty_table

    whole = [table for table in tables if len(table)]
    if not whole:
        return empty_table(PICKS2D)
    names = list(dict.fromkeys(name for table in whole for name in table.columns))
    whole = [
        table.assign(**{name: "" for name in names if name not in table.columns})[names]
        for table in whole
    ]
    return pd.concat(whole, ignore_index=True)


def star_labels(text: str) -> set[str]:
    """Give the labels of all blocks of STAR text, without the underscore before them."""
    return set(re.findall(r"^[ \t]*_([A-Za-z]\S*)", text, re.MULTILINE))


def is_star(source: Source) -> bool:
    """Tell STAR text by its first line that is no comment."""
    if b"data_" not in source.data:  # a binary file need not be made text
        return False
    lines = (line.strip() for line in source.text.split("\n"))
    return next((line for line in lines if line and line[0] not in "#;"), "").startswith("data_")
