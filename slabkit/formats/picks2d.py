"""2D picks on slabs, as slabkit and other programs write them, brought to one table."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from slabkit.errors import FormatError, warn
from slabkit.formats.file_format import Slabs, pooled
from slabkit.formats.registry import detect_format, fitting_formats
from slabkit.formats.source import Source
from slabkit.formats.tables.paths import check_given_once
from slabkit.names import MicrographNames

if TYPE_CHECKING:
    import pandas as pd

PathLike = str | os.PathLike[str]


def load_picks2d(paths: Sequence[PathLike]) -> list[Source]:
    """Load files of 2D picks, each given once; one may be ``-`` for standard input.

    Raises `InputError`: one cannot be read, or is given twice.
    """
    check_given_once(paths, "file of 2D picks")
    return [Source.load(path) for path in paths]


def referenced_files(sources: Sequence[Source]) -> list[Path]:
    """List the further files that lists of files name, RELION's for instance."""
    found: list[Path] = []
    for source in sources:
        files = None if source.empty else detect_format(source, "picks2d").files
        if files is not None:
            found += files(source)
    return found


def read_picks2d_any(
    sources: Sequence[PathLike | Source],
    slabs: pd.DataFrame,
    *,
    y_axis: Literal["up", "down"] | None = None,
) -> pd.DataFrame:
    """Read the 2D picks that slabkit or another program made on slabs.

    Parameters
    ----------
    sources : sequence of path-like or Source
        Any number of files, of any formats.
    slabs : DataFrame
        Columns of `slabkit.tables.SLABS`.
    y_axis : {"up", "down"}, optional
        Whether y counts from the last row of the image file upwards, or from the first row
        downwards, as all known programs do; not given: downwards, with a warning for programs of
        which it is not certain.

    Returns
    -------
    DataFrame
        Columns of `slabkit.tables.PICKS2D`, ``rlnMicrographName`` as the slab table has it, and
        what else the files hold, as strings. Rows in the order of the files.

    Raises
    ------
    InputError
        A file cannot be read, is given twice or lacks something; a micrograph is not in the slab
        table (the closest are listed).
    FormatError
        A file is of no known format.

    Warns
    -----
    SlabkitWarning
        The direction of y had to be assumed, or shifts were applied.
    """
    loaded = iter(load_picks2d([path for path in sources if not isinstance(path, Source)]))
    files = [source if isinstance(source, Source) else next(loaded) for source in sources]
    known = Slabs(slabs, MicrographNames(slabs["rlnMicrographName"].tolist()))
    by_format: dict[str, list[Source]] = {}
    for file in _with_tables(files):
        by_format.setdefault(detect_format(file, "picks2d").name, []).append(file)
    tables = []
    for own in by_format.values():
        where = ", ".join(source.where for source in own[:3]) + ", ..." * (len(own) > 3)
        file_format = detect_format(own[0], "picks2d")
        assert file_format.read_picks2d is not None
        table = file_format.read_picks2d(own, known)
        found = known.names.match(table["rlnMicrographName"].unique(), where)
        table["rlnMicrographName"] = table["rlnMicrographName"].map(found)
        if y_axis is None and not file_format.y_settled and len(table):
            warn(
                f"{where}: nothing tells which way y counts on slabs; it was taken to count down "
                "from the first row of the file (--y-axis down says so, --y-axis up the contrary)."
            )
        tables.append(table)
    picks2d = pooled(tables)
    if y_axis == "up":
        rows = known.values("slabkitTomogramSizeY", picks2d["rlnMicrographName"].tolist())
        picks2d["rlnCoordinateY"] = np.array(rows) - 1 - picks2d["rlnCoordinateY"]
    return picks2d


def _with_tables(files: Sequence[Source]) -> list[Source]:
    """Leave out empty files, and say so unless their program writes none for no picks."""
    empty = [file.where for file in files if file.empty and not fitting_formats(file, "picks2d")]
    if "-" in empty:  # what should have written it has failed
        raise FormatError("standard input: is empty, not even a table without picks.")
    if empty:
        more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
        warn(f"{empty[0]}{more}: is an empty file, taken for no picks.")
    return [file for file in files if not file.empty]
