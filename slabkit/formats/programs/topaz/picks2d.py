"""Topaz's table of coordinates: tab-separated, all images in one file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from slabkit.errors import FormatError, InputError, warn
from slabkit.formats.file_format import FileFormat, Minislabs, Slabs, one_by_one
from slabkit.formats.programs.shared.csv_columns import csv_columns
from slabkit.formats.programs.shared.result_values import (
    pooled_results,
    read_result_table,
    result_columns,
)
from slabkit.formats.programs.shared.values import coordinates, optional_numbers
from slabkit.formats.programs.topaz.names import restored_names
from slabkit.formats.source import Source
from slabkit.names import image_stem

if TYPE_CHECKING:
    import pandas as pd

_FEW = 20  # of fewer places it cannot be told
_NEEDED = ["image_name", "x_coord", "y_coord"]


def sniff(source: Source) -> bool:
    """Tell by the header."""
    if not source.beginning.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"image_name"):
        return False
    return list(source.header[:3]) == _NEEDED


def read(source: Source, slabs: Slabs) -> pd.DataFrame:
    """Read the picks of a table; the score is a log-likelihood ratio."""
    import pandas as pd

    where = source.where
    columns = csv_columns(source.text, _NEEDED, "Topaz's table", where, "\t")
    if "z_coord" in columns:
        raise InputError(
            f"{where}: has a z_coord, so its picks were made in tomograms, not on slabs."
        )
    if "" in columns["image_name"]:
        row = columns["image_name"].index("") + 1
        raise FormatError(f"{where}: row {row} has no image_name.")
    names = restored_names(columns["image_name"], slabs.names.names, where)
    found: dict[str, object] = {
        "rlnMicrographName": names,
        "rlnCoordinateX": coordinates(columns["x_coord"], "x_coord", where),
        "rlnCoordinateY": coordinates(columns["y_coord"], "y_coord", where),
    }
    if "score" in columns:
        found["rlnAutopickFigureOfMerit"] = optional_numbers(columns["score"], "score", where)
        found["slabkitScoreKind"] = ["topaz"] * len(names)
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
    _warn_of_shrunk(float(part), len(table), "slabs", where)


def _look_for_scale_of_tiles(table: pd.DataFrame, minislabs: pd.DataFrame, where: str) -> None:
    """Compare places on galleries with where their last tiles are."""

    def stems(rows: pd.DataFrame) -> pd.Series[str]:
        return rows["rlnMicrographName"].map(lambda name: image_stem(name.rpartition("/")[2]))

    names, axes = stems(table), ["rlnCoordinateX", "rlnCoordinateY"]
    last = minislabs.groupby(stems(minislabs))[axes].max()
    known = names.isin(last.index)
    if known.any():
        part = max((table[axis] / names.map(last[axis])).max() for axis in axes)
        _warn_of_shrunk(float(part), int(known.sum()), "galleries", where)


def _warn_of_shrunk(part: float, count: int, what: str, where: str) -> None:
    """Warn where all places lie in one quarter of the images; ``part``: where the last one is."""
    if count >= _FEW and part < 0.5:
        warn(
            f"{where}: all {count} places lie in the first {part:.0%} of their {what} along x and "
            "y; were they made on downsampled images, and topaz extract without -x?"
        )


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
        _look_for_scale_of_tiles(table, known, where)
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
