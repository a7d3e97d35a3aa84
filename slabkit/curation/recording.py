"""What a curation did, into the ledger of each pick it touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slabkit.tables import LEDGER, ledger_entries, ledger_of, with_entries

if TYPE_CHECKING:
    import pandas as pd

_POSITION = {"slabkitX": "x", "slabkitY": "y", "slabkitZ": "z"}


def record_curation(
    curated: pd.DataFrame,
    before: pd.DataFrame,
    labels: pd.DataFrame,
    policy: str,
    weights: Mapping[str, float] | None,
    rule: Mapping[str, float] | None,
    low: npt.NDArray[np.bool_],
) -> pd.DataFrame:
    """Add the labels and what came of them to the ledgers.

    Parameters
    ----------
    curated, before : DataFrame
        The picks with their new and old decisions, the same rows.
    labels : DataFrame
        As `slabkit.curation.votes.pool_labels` gives them, oldest first.
    policy : str
    weights : mapping of str to float, optional
    rule : mapping of str to float, optional
        All as given to `slabkit.curation.curate_picks`.
    low : ndarray of bool, shape (picks,)
        Picks whose confidence was too low.

    Returns
    -------
    DataFrame
        ``curated`` with the column ``slabkitLedger`` last. A pick of which no label speaks and of
        which nothing changed has the ledger it had.
    """
    ledgers = ledger_of(before)
    fresh: dict[int, list[str]] = {}
    new = labels[~labels["known"]]
    for pick, entry in zip(new["pick"].tolist(), new["entry"], strict=True):
        fresh.setdefault(pick, []).append(entry)
    changed = _changed(curated, before)
    spoken = np.zeros(len(curated), dtype=bool)
    spoken[labels["pick"].to_numpy()] = True
    rows = np.flatnonzero(changed | spoken)
    moved = _moved(curated, before)
    verdicts = _verdicts(curated.iloc[rows], before.iloc[rows], policy, weights, rule, low[rows])
    places = _places(before)
    for row, verdict in zip(rows.tolist(), verdicts, strict=True):
        ledger = with_entries(ledgers[row], fresh.get(row, []))
        if ledger != ledgers[row] or changed[row]:
            parts = [ledger, verdict]
            if moved[row]:
                parts.append("move:by=label" + places[row])
            ledger = ",".join(part for part in parts if part)
        ledgers[row] = ledger
    curated = curated.drop(columns=LEDGER, errors="ignore")
    return curated.assign(**{LEDGER: np.array(ledgers, dtype=object)})


def _changed(curated: pd.DataFrame, before: pd.DataFrame) -> npt.NDArray[np.bool_]:
    changed = _moved(curated, before)
    for name in ("slabkitDecision", "slabkitSpecies", "slabkitConfidence"):
        new, old = curated[name].to_numpy(), before[name].to_numpy()
        changed |= ~((new == old) | ((new != new) & (old != old))).astype(bool)
    return changed


def _moved(curated: pd.DataFrame, before: pd.DataFrame) -> npt.NDArray[np.bool_]:
    names = list(_POSITION)
    return np.asarray((curated[names].to_numpy() != before[names].to_numpy()).any(axis=1))


def _places(before: pd.DataFrame) -> list[str]:
    """Write where each pick was."""
    return ledger_entries("", {field: before[name].to_numpy() for name, field in _POSITION.items()})


def _verdicts(
    curated: pd.DataFrame,
    before: pd.DataFrame,
    policy: str,
    weights: Mapping[str, float] | None,
    rule: Mapping[str, float] | None,
    low: npt.NDArray[np.bool_],
) -> list[str]:
    count = len(curated)
    weighing = " ".join(f"{name}={value:g}" for name, value in (weights or {}).items())
    ruling = " ".join(f"{name}={value:g}" for name, value in (rule or {}).items())
    new, old = (table["slabkitDecision"].to_numpy(dtype=object) for table in (curated, before))
    species = curated["slabkitSpecies"].to_numpy(dtype=object)
    other = species != before["slabkitSpecies"].to_numpy(dtype=object)
    fields = {
        "policy": [policy] * count,
        "weights": [weighing] * count,
        "rule": [ruling] * count,
        "decision": new,
        "was": np.where(new != old, old, ""),
        "confidence": curated["slabkitConfidence"].to_numpy(),
        "note": np.where(low, "confidence too low", ""),
        "species": np.where(other, species, ""),
    }
    return ledger_entries("curate", fields)
