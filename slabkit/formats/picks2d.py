"""2D picks on slabs, as slabkit and other programs write them, brought to one table.

To add a dialect, write a module ``pick2d_<name>.py`` with a `Pick2dDialect` in it (see
`slabkit.formats.pick2d_dialect`) and put that into the list below.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from slabkit.errors import FormatError, SlabkitWarning
from slabkit.formats.pick2d_dialect import Pick2dDialect, Slabs, pooled
from slabkit.formats.programs.cryolo import picks2d as pick2d_cryolo
from slabkit.formats.programs.cryosparc import picks2d as pick2d_cryosparc
from slabkit.formats.programs.eman import picks2d as pick2d_eman
from slabkit.formats.programs.relion import picks2d as pick2d_relion
from slabkit.formats.programs.shared.micrograph_names import MicrographNames
from slabkit.formats.programs.topaz import picks2d as pick2d_topaz
from slabkit.formats.source import Source
from slabkit.formats.tables.paths import check_given_once
from slabkit.formats.tables.star import require_star_block

if TYPE_CHECKING:
    import pandas as pd

PathLike = str | os.PathLike[str]

_DIALECTS: tuple[Pick2dDialect, ...] = (
    pick2d_relion.PARTICLES,
    pick2d_relion.PER_MICROGRAPH,
    pick2d_relion.LIST,
    pick2d_eman.BOX,
    pick2d_eman.INFO,
    pick2d_cryolo.CBOX,
    pick2d_cryosparc.DATASET,
    pick2d_topaz.TABLE,
)


def pick2d_dialects() -> tuple[Pick2dDialect, ...]:
    """Give every dialect, in the order of the documentation."""
    return _DIALECTS


def load_picks2d(paths: Sequence[PathLike]) -> list[Source]:
    """Load files of 2D picks.

    Parameters
    ----------
    paths : sequence of path-like
        One may be ``-`` for standard input.

    Returns
    -------
    list of Source

    Raises
    ------
    InputError
        One cannot be read, or is given twice.
    """
    check_given_once(paths, "file of 2D picks")
    return [Source.load(path) for path in paths]


def referenced_files(sources: Sequence[Source]) -> list[Path]:
    """List the further files that lists of files name, RELION's for instance.

    Parameters
    ----------
    sources : sequence of Source

    Returns
    -------
    list of Path
    """
    found: list[Path] = []
    for source in sources:
        if source.empty:
            continue
        dialect = detect_dialect(source)
        if dialect.files is not None:
            found += dialect.files(source)
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
        Any number of files, of any dialects.
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
        A file is of no known dialect.

    Warns
    -----
    SlabkitWarning
        The direction of y had to be assumed, or shifts were applied.
    """
    paths = [source for source in sources if not isinstance(source, Source)]
    loaded = iter(load_picks2d(paths))
    files = [source if isinstance(source, Source) else next(loaded) for source in sources]
    known = Slabs(slabs, MicrographNames(slabs["rlnMicrographName"].tolist()))
    by_dialect: dict[str, list[Source]] = {}
    dialects: dict[str, Pick2dDialect] = {}
    for file in _with_tables(files):
        dialect = detect_dialect(file)
        dialects[dialect.name] = dialect
        by_dialect.setdefault(dialect.name, []).append(file)
    tables = []
    for name, own in by_dialect.items():
        where = ", ".join(source.where for source in own[:3]) + ", ..." * (len(own) > 3)
        table = dialects[name].read(own, known)
        found = known.names.match(table["rlnMicrographName"].tolist(), where)
        table["rlnMicrographName"] = [found[one] for one in table["rlnMicrographName"]]
        if y_axis is None and not dialects[name].y_settled and len(table):
            warnings.warn(
                f"{where}: nothing tells which way y counts on slabs; it was taken to count down "
                "from the first row of the file (--y-axis down says so, --y-axis up the contrary).",
                SlabkitWarning,
                stacklevel=2,
            )
        tables.append(table)
    picks2d = pooled(tables)
    if y_axis == "up":
        rows = known.values("slabkitTomogramSizeY", picks2d["rlnMicrographName"].tolist())
        picks2d["rlnCoordinateY"] = np.array(rows) - 1 - picks2d["rlnCoordinateY"]
    return picks2d


def _with_tables(files: Sequence[Source]) -> list[Source]:
    """Leave out files in which nothing stands, and say so where no program says it like that.

    Raises
    ------
    FormatError
        It is standard input: what should have written it has failed.
    """
    empty = [
        file.where
        for file in files
        if file.empty and not any(dialect.sniff(file) for dialect in _DIALECTS)
    ]
    if "-" in empty:
        raise FormatError("standard input: is empty, not even a table without picks.")
    if empty:
        more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
        warnings.warn(
            f"{empty[0]}{more}: is an empty file, taken for no picks.",
            SlabkitWarning,
            stacklevel=3,
        )
    return [file for file in files if not file.empty]


def detect_dialect(source: Source) -> Pick2dDialect:
    """Tell the dialect of a file by its content and declared name.

    Parameters
    ----------
    source : Source

    Returns
    -------
    Pick2dDialect

    Raises
    ------
    FormatError
        None or several fit.
    """
    fitting = [dialect for dialect in _DIALECTS if dialect.sniff(source)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting and b"loop_" in source.data:
        require_star_block(source.text, source.where)
    if fitting:
        names = ", ".join(dialect.name for dialect in fitting)
        raise FormatError(f"{source.where}: could be {names}; 2D picks of one kind are needed.")
    titles = "; ".join(dialect.title for dialect in _DIALECTS)
    raise FormatError(
        f"{source.where}: holds no 2D picks that can be told by content or name; known are: "
        f"{titles}."
    )


def dialect_table() -> str:
    """Give the table of dialects in the documentation, as Markdown.

    Returns
    -------
    str
    """
    header = ("2D picks of", "what it is", "unit", "zero point", "index base")
    rows = [(f"`{one.name}`", one.title, one.unit, one.origin, one.index_base) for one in _DIALECTS]
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
