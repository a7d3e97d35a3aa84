"""Topaz's table of coordinates: tab-separated, all images in one file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from slabkit.errors import FormatError, InputError
from slabkit.formats.file_format import FileFormat, Minislabs, Slabs, one_by_one
from slabkit.formats.programs.shared.result_values import (
    pooled_results,
    read_result_table,
    result_columns,
)
from slabkit.formats.programs.shared.values import coordinates, optional_numbers
from slabkit.formats.programs.topaz.names import restored_names
from slabkit.formats.programs.topaz.places import look_for_scale, warn_of_shrunk
from slabkit.formats.source import Source

if TYPE_CHECKING:
    import pandas as pd

_NEEDED = ["image_name", "x_coord", "y_coord"]


def sniff(source: Source) -> bool:
    """Tell by the header."""
    if not source.data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"image_name"):
        return False
    return list(source.header[:3]) == _NEEDED


def read(source: Source, slabs: Slabs) -> pd.DataFrame:
    """Read the picks of a table.

    Parameters
    ----------
    source : Source
    slabs : Slabs

    Returns
    -------
    DataFrame
        The score is Topaz's, a log-likelihood ratio.

    Raises
    ------
    FormatError
        A row has too few or too many values.
    InputError
        A value is no number, or the picks are of tomograms.

    Warns
    -----
    SlabkitWarning
        All picks lie in one quarter of the images, as coordinates of downsampled images do.
    """
    import pandas as pd

    where = source.where
    lines = [(n, line) for n, line in enumerate(source.text.split("\n"), 1) if line.strip()]
    header = [name.strip() for name in lines[0][1].split("\t")]
    if "z_coord" in header:
        raise InputError(
            f"{where}: has a z_coord, so its picks were made in tomograms, not on slabs."
        )
    rows = [[value.strip() for value in line.split("\t")] for _, line in lines[1:]]
    for (number, _), row in zip(lines[1:], rows, strict=True):
        if len(row) != len(header) or not row[0]:
            raise FormatError(
                f"{where}, line {number}: has {len(row)} values for {len(header)} columns"
                f"{'' if row[0] else ', the name empty'}."
            )
    columns = dict(
        zip(header, zip(*rows, strict=True) if rows else [()] * len(header), strict=True)
    )
    names = restored_names(columns["image_name"], slabs.names.names, where)
    found: dict[str, object] = {
        "rlnMicrographName": names,
        "rlnCoordinateX": coordinates(columns["x_coord"], "x_coord", where),
        "rlnCoordinateY": coordinates(columns["y_coord"], "y_coord", where),
    }
    if "score" in columns:
        found["rlnAutopickFigureOfMerit"] = optional_numbers(columns["score"], "score", where)
        found["slabkitScoreKind"] = ["topaz"] * len(rows)
    table = pd.DataFrame(found)
    _look_for_scale(table, slabs, where)
    return table


def _look_for_scale(table: pd.DataFrame, slabs: Slabs, where: str) -> None:
    if not len(table):
        return
    known = slabs.names.match(table["rlnMicrographName"].tolist(), where)
    micrographs = [known[name] for name in table["rlnMicrographName"]]
    width = np.array(slabs.values("slabkitTomogramSizeX", micrographs))
    height = np.array(slabs.values("slabkitTomogramSizeY", micrographs))
    part = max((table["rlnCoordinateX"] / width).max(), (table["rlnCoordinateY"] / height).max())
    warn_of_shrunk(float(part), len(table), "slabs", where)


def _is_result(source: Source) -> bool:
    """Tell by coordinates without ids or decisions, which people fill in."""
    known = {"rlnCoordinateX", "slabkitDecision", "slabkitPickId"} & set(
        result_columns(source.header)
    )
    return not source.is_star and known == {"rlnCoordinateX"}


def _read_results(sources: Sequence[Source], minislabs: Minislabs) -> pd.DataFrame:
    where, known = sources[0].where, minislabs.table
    table = pooled_results(read_result_table)(sources, minislabs)
    if known is not None:
        names = known["rlnMicrographName"].tolist()
        table["rlnMicrographName"] = restored_names(
            table["rlnMicrographName"].tolist(), names, where
        )
        look_for_scale(table, known, where)
    return table


RESULTS = FileFormat(
    name="topaz",
    title="Topaz's table of coordinates",
    sniff=_is_result,
    read_results=_read_results,
)

TABLE = FileFormat(
    name="topaz",
    title="Topaz's table of coordinates (image_name, x_coord, y_coord, score; tabs between)",
    unit="pixels",
    origin="centre of the first pixel = 0",
    sniff=sniff,
    read_picks2d=one_by_one(read),
)
