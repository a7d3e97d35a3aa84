"""The table of a data-set split on disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from slabkit.formats.tables.blocks import read_block, write_blocks
from slabkit.tables import Column, Schema, validate_table

if TYPE_CHECKING:
    import pandas as pd

SPLIT = Schema(
    "split",
    (
        Column("slabkitTomogram", "string"),
        Column("slabkitSubset", "string"),
        Column("slabkitBin", "integer", 0),
        Column("slabkitPicks", "integer", 0),
        Column("slabkitKSStatistic", "real", float("nan")),
    ),
)
"""One row a tomogram; see `slabkit.splitting.Split`."""


def write_split(
    target: str | os.PathLike[str],
    tomograms: pd.DataFrame,
    subsets: pd.DataFrame,
    bins: pd.DataFrame,
    tests: pd.DataFrame,
) -> None:
    """Write a split as the blocks ``split``, ``subsets``, ``bins`` and ``tests``."""
    blocks = {"split": validate_table(tomograms, SPLIT)}
    for name, table in (("subsets", subsets), ("bins", bins), ("tests", tests)):
        blocks[name] = table.replace({"slabkitSpecies": {"": "none"}})
    write_blocks(target, blocks)


def read_split(source: str | os.PathLike[str]) -> pd.DataFrame:
    """Read which tomogram is in which subset.

    Raises
    ------
    FormatError, InputError
        Not STAR or not such a table.
    """
    return read_block(source, "split", SPLIT, "`slabkit split` writes one")
