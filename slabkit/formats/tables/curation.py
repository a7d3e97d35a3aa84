"""Tables of the curation on disk: conflicts between species, contradictions between raters."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from slabkit.formats.tables.blocks import read_block, read_text, table_block, write_blocks
from slabkit.formats.tables.native import parse_native_picks
from slabkit.formats.tables.star import parse_star
from slabkit.tables import LABELS, Column, Schema, recorded_labels, validate_table

if TYPE_CHECKING:
    import pandas as pd

CONFLICTS = Schema(
    "conflicts",
    (
        Column("slabkitConflict", "string"),
        Column("slabkitPickId", "string"),
        Column("slabkitTomogram", "string"),
        Column("slabkitX", "real"),
        Column("slabkitY", "real"),
        Column("slabkitZ", "real"),
        Column("slabkitScore", "real", float("nan")),
        Column("slabkitScoreKind", "string", ""),
        Column("slabkitSpecies", "string"),
        Column("slabkitDecision", "string", "undecided"),
        Column("slabkitDistance", "real", float("nan")),
    ),
)
"""One row a claim of a position; see `slabkit.curation.find_conflicts`."""

CONTRADICTIONS = Schema(
    "contradictions",
    (
        Column("slabkitPickId", "string"),
        Column("slabkitVotesAccepted", "integer"),
        Column("slabkitVotesRejected", "integer"),
        Column("slabkitVerdicts", "string"),
        Column("slabkitTile", "string", ""),
    ),
)
"""One row a pick; see `slabkit.curation.Agreement`."""


def write_conflicts(target: str | os.PathLike[str], conflicts: pd.DataFrame) -> None:
    """Write conflicts as the block ``conflicts``."""
    write_blocks(target, {"conflicts": validate_table(conflicts, CONFLICTS)})


def read_conflicts(source: str | os.PathLike[str]) -> pd.DataFrame:
    """Read conflicts.

    Raises
    ------
    FormatError, InputError
        Not STAR or not such a table.
    """
    return read_block(source, "conflicts", CONFLICTS, "`slabkit conflicts` writes one")


def write_contradictions(target: str | os.PathLike[str], contradictions: pd.DataFrame) -> None:
    """Write contradictions as the block ``contradictions``."""
    write_blocks(target, {"contradictions": validate_table(contradictions, CONTRADICTIONS)})


def read_any_labels(source: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a label table, or the labels that a pick list has recorded.

    Parameters
    ----------
    source : path-like or "-"

    Returns
    -------
    DataFrame
        Columns of `slabkit.tables.LABELS`.

    Raises
    ------
    FormatError, InputError
        Not STAR, or neither.
    """
    text, where = read_text(source), str(source)
    blocks = parse_star(text, where)
    if "labels" not in blocks and "picks" in blocks:
        return recorded_labels(parse_native_picks(text, where).picks)
    hint = "`slabkit label` writes one, and the pick list of `slabkit curate` holds them"
    return table_block(blocks, "labels", LABELS, where, hint)
