"""Whether places are in pixels of the images that Topaz shrank, not of those that it was given."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from slabkit.errors import SlabkitWarning
from slabkit.formats.programs.shared.micrograph_names import image_stem

if TYPE_CHECKING:
    import pandas as pd

_FEW = 20


def warn_of_shrunk(part: float, count: int, what: str, where: str) -> None:
    """Warn where all places lie in one quarter of the images.

    Parameters
    ----------
    part : float
        How far the last one lies along x or y; 1: at the end of its image.
    count : int
        How many places; of few it cannot be told.
    what : str
        ``slabs`` or ``galleries``.
    where : str
        What the message begins with.
    """
    if count >= _FEW and part < 0.5:
        warnings.warn(
            f"{where}: all {count} places lie in the first {part:.0%} of their {what} along x and "
            "y; were they made on downsampled images, and topaz extract without -x?",
            SlabkitWarning,
            stacklevel=4,
        )


def look_for_scale(table: pd.DataFrame, minislabs: pd.DataFrame, where: str) -> None:
    """Compare places on galleries with where their last tiles are; see `warn_of_shrunk`.

    Parameters
    ----------
    table : DataFrame
        ``rlnMicrographName``, ``rlnCoordinateX`` and ``rlnCoordinateY``.
    minislabs : DataFrame
        Columns of `slabkit.tables.MINISLABS`.
    where : str
        What the message begins with.
    """

    def stems(rows: pd.DataFrame) -> pd.Series[str]:
        return rows["rlnMicrographName"].map(lambda name: image_stem(name.rpartition("/")[2]))

    names = stems(table)
    last = minislabs.groupby(stems(minislabs))[["rlnCoordinateX", "rlnCoordinateY"]].max()
    known = names.isin(last.index)
    if known.any():
        parts = [
            (table[axis] / names.map(last[axis])).max()
            for axis in ("rlnCoordinateX", "rlnCoordinateY")
        ]
        warn_of_shrunk(float(max(parts)), int(known.sum()), "galleries", where)
