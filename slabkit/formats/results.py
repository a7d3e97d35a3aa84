"""Results of other programs and of people on minislabs and galleries, brought to one table.

Read are CSV files that people fill in, particle STAR files of RELION (and ``classified.star``,
which has the same columns), coordinate tables of Topaz, and CryoSPARC's files. All become a table
with the column names of the minislab and label tables, for `slabkit.labels.label_minislabs`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from slabkit.errors import InputError
from slabkit.formats.file_format import Minislabs
from slabkit.formats.registry import detect_format
from slabkit.formats.source import Source
from slabkit.formats.tables.paths import check_given_once

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.arrays.tiling import GalleryLayout


@dataclass(frozen=True)
class Results:
    """What `read_results` found.

    Parameters
    ----------
    table : DataFrame
        For `slabkit.labels.label_minislabs`; one row a row of the files. ``source`` is the file's
        name, ``line`` the row in it (from 1, the header not counted); the other columns are named
        as in `slabkit.tables.MINISLABS` and `slabkit.tables.LABELS`, and are there where a file has
        them.
    kind : str
        How the files are meant: ``relion`` lists what was selected, ``topaz`` has coordinates;
        ``csv`` and ``cryosparc``.
    files : tuple of Path
        Files that were read besides those that were given.
    """

    table: pd.DataFrame
    kind: str
    files: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        return f"<Results: {len(self.table)} rows ({self.kind})>"

    def unlisted(self, by_value: bool = False) -> Literal["rejected", "undecided"]:
        """Say what it means that a minislab is not listed."""
        if self.kind == "csv" and not by_value and "slabkitDecision" not in self.table.columns:
            raise InputError(
                f"{self.table['source'].iloc[0] if len(self.table) else 'CSV file'}: has no column "
                "decision; add one, or give --classes or --threshold."
            )
        selection = self.kind == "relion" or (
            # Of what CryoSPARC extracts itself it drops what is near an edge.
            self.kind == "cryosparc"
            and "slabkitDecision" not in self.table.columns
            and "rlnImageName" in self.table.columns
        )
        return "rejected" if selection and not by_value else "undecided"


def read_results(
    paths: Sequence[str | os.PathLike[str]],
    minislabs: pd.DataFrame | None = None,
    layout: GalleryLayout | None = None,
    y_axis: str | None = None,
) -> Results:
    """Read result files of one kind as one result.

    Parameters
    ----------
    paths : sequence of path-like
        One may be ``-`` for standard input.
    minislabs : DataFrame, optional
        Columns of `slabkit.tables.MINISLABS`; some kinds cannot be read without it.
    layout : GalleryLayout, optional
        How tiles lie in the galleries, likewise.
    y_axis : {"up", "down"}, optional
        What the user says of places; where nothing is said, some readers warn.

    Returns
    -------
    Results

    Raises
    ------
    InputError
        A file cannot be read or lacks columns, a value is not understood, a file is given twice, or
        the files are of several kinds.
    FormatError
        A file is of a format that is not read here.
    """
    if not paths:
        raise InputError("no result file is given.")
    check_given_once(paths, "result")
    sources = [Source.load(path) for path in paths]
    kinds = {detect_format(source, "results").name: source.where for source in sources}
    if len(kinds) > 1:
        listed = ", ".join(f"{name} ({kind})" for kind, name in kinds.items())
        raise InputError(
            f"results of several kinds: {listed}; label them one at a time and give the label "
            "tables to curate together."
        )
    known = detect_format(sources[0], "results")
    assert known.read_results is not None
    table = known.read_results(sources, Minislabs(minislabs, layout, y_axis))
    named = [file for source in sources for file in (known.files(source) if known.files else [])]
    given = {str(path) for path in paths}
    files = tuple(file for file in dict.fromkeys(named) if str(file) not in given)
    return Results(table, known.name, files)
