"""What a merge did, into the ledger of the pick that stays: nothing that was known is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slabkit.tables import LEDGER, ledger_entries, ledger_of, with_entries

if TYPE_CHECKING:
    import pandas as pd

_PLACE = {"slabkitX": "x", "slabkitY": "y", "slabkitZ": "z"}
_FIELDS = {
    "slabkitPickId": "id",
    "slabkitSource": "source",
    "slabkitDecision": "decision",
    "slabkitScore": "score",
    "slabkitScoreKind": "kind",
    "slabkitConfidence": "confidence",
    "slabkitDiameter": "diameter",
    "rlnMicrographName": "slab",
    "rlnCoordinateX": "x_px",
    "rlnCoordinateY": "y_px",
    **_PLACE,
}


def record_merges(
    pooled: pd.DataFrame,
    source: npt.NDArray[np.int64],
    names: Sequence[str],
    stands: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
    kept: npt.NDArray[np.int64],
    moved: npt.NDArray[np.float64],
) -> pd.DataFrame:
    """Make the table of the picks that stay, with the others in their ledgers.

    Parameters
    ----------
    pooled : DataFrame
    source : ndarray of int, shape (picks,)
        Number of each pick's list.
    names : sequence of str
        Of the lists.
    stands : ndarray of int, shape (picks,)
        The row that stands for each row.
    first : ndarray of int, shape (picks,)
        The row that has each row's id: another where a list has the same pick again.
    kept : ndarray of int
        The rows that stay.
    moved : ndarray, shape (picks, 3)
        Where they go.

    Returns
    -------
    DataFrame
        As ``pooled``, one row a pick that stays. Without merges and ledgers, no column is added.
    """
    picks = pooled.iloc[kept].reset_index(drop=True)
    rows = np.arange(len(pooled))
    gone = rows[stands != rows]
    if LEDGER not in pooled.columns and not len(gone):
        return picks
    old = ledger_of(pooled)
    ledgers = {int(row): old[row] for row in kept}
    again = first[gone] != gone  # the same pick again: its own labels join, nothing is merged
    absorbed = gone[~again]
    written = dict(zip(absorbed.tolist(), _merged(pooled, source, names, absorbed), strict=True))
    ids = pooled["slabkitPickId"].to_numpy(dtype=object)
    for row in gone.tolist():
        keeper, owner = int(stands[row]), int(first[row])
        mine = old[row].split(",") if old[row] else []
        if mine and owner != keeper:
            mark = ledger_entries("", {"of": [ids[row]]})[0]
            mine = [entry if ":of=" in entry else entry + mark for entry in mine]
        entries = [written[row], *mine] if row in written else mine
        ledgers[keeper] = with_entries(ledgers[keeper], entries)
    place = pooled[list(_PLACE)].to_numpy()
    for row in kept[(moved[kept] != place[kept]).any(axis=1)].tolist():
        before = {field: [place[row, axis]] for axis, field in enumerate("xyz")}
        entry = ledger_entries("move:by=merge", before)[0]
        ledgers[row] = f"{ledgers[row]},{entry}"
    for axis, name in enumerate(_PLACE):
        picks[name] = moved[kept, axis]
    picks = picks.drop(columns=LEDGER, errors="ignore")
    return picks.assign(**{LEDGER: np.array([ledgers[int(r)] for r in kept], dtype=object)})


def _merged(
    pooled: pd.DataFrame,
    source: npt.NDArray[np.int64],
    names: Sequence[str],
    rows: npt.NDArray[np.int64],
) -> list[str]:
    table = pooled.iloc[rows]
    there = {name: field for name, field in _FIELDS.items() if name in table.columns}
    fields = {field: table[name].to_numpy() for name, field in there.items()}
    return ledger_entries("merge", {"list": np.array(names, object)[source[rows]], **fields})
