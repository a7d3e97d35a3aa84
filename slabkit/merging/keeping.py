"""The pick kept for several: where it goes, and what its ledger keeps of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.tables import LEDGER, ledger_entries, ledger_of, with_entries

if TYPE_CHECKING:
    import pandas as pd

Position = Literal["best", "score", "rank", "source"]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

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


def kind_ranks(
    pooled: pd.DataFrame, source: Indices, known: Mapping[str, int] | None = None
) -> Indices:
    """Rank the kinds of score by the list in which they come first, as ``known`` if given."""
    kinds = [
        (kind, -1) if kind else ("", int(number))
        for kind, number in zip(pooled["slabkitScoreKind"], source, strict=True)
    ]
    first = {(kind, -1): number for kind, number in (known or {}).items() if kind}
    for kind, number in zip(kinds, source.tolist(), strict=True):
        first.setdefault(kind, number)
    order = {
        kind: rank for rank, kind in enumerate(sorted(first, key=lambda kind: (first[kind], kind)))
    }
    return np.array([order[kind] for kind in kinds], dtype=np.int64)


def position_weights(
    pooled: pd.DataFrame,
    source: Indices,
    kept_for: Indices,
    rows: Indices,
    position: Position,
    weights: Mapping[str, float] | None,
    names: Sequence[str],
) -> Floats:
    """Give each pick the weight of its place: its score, the rank of that, or its source's.

    ``kept_for[i]`` is the row kept for row ``rows[i]``; ``source`` numbers each pick's list.
    """
    if position == "source":
        return _by_source(pooled, source, weights or {}, names)
    score = pooled["slabkitScore"].to_numpy()
    several = np.bincount(kept_for, minlength=len(pooled)) > 1
    used = rows[several[kept_for]]
    if np.isnan(score[used]).any():
        row = pooled["slabkitPickId"].iloc[used[np.isnan(score[used])][0]]
        raise InputError(
            f"pick {row} has no score to weight its position by; use the position best or source."
        )
    kind = kind_ranks(pooled, source)
    if position == "rank":
        import pandas as pd

        ranks = pd.Series(score).groupby(kind).rank(pct=True)
        return np.asarray(ranks, dtype=np.float64)
    low, high = (np.full(len(pooled), fill) for fill in (np.inf, -np.inf))
    of_used = kept_for[several[kept_for]]
    np.minimum.at(low, of_used, kind[used])
    np.maximum.at(high, of_used, kind[used])
    if (low < high).any():
        raise InputError(
            "scores of different kinds do not compare, so they cannot weight a position; use the "
            "position rank, which puts each kind on one scale, or source."
        )
    if (score[used] <= 0).any():
        row = pooled["slabkitPickId"].iloc[used[score[used] <= 0][0]]
        raise InputError(
            f"pick {row} has the score {score[used].min():g}, and a score that weights a position "
            "must be above 0; use the position rank."
        )
    return np.asarray(score, dtype=np.float64)


def _by_source(
    pooled: pd.DataFrame, source: Indices, weights: Mapping[str, float], names: Sequence[str]
) -> Floats:
    picker = pooled["slabkitSource"].to_numpy(dtype=object)
    weight = np.ones(len(pooled))
    for name, value in weights.items():
        if not (np.isfinite(value) and value > 0):
            raise InputError(f"the weight of {name} must be above 0 and finite, not {value:g}.")
        named = (picker == name) | (np.array(names, dtype=object)[source] == name)
        if len(pooled) and not named.any():
            there = sorted({*map(str, picker), *names} - {""})
            raise InputError(
                f"a weight is given for {name}, and no pick has that source, nor a list that name; "
                f"there are {', '.join(there)}."
            )
        weight[named] = value
    return weight


def mean_positions(
    pooled: pd.DataFrame, place: Floats, kept_for: Indices, rows: Indices, weight: Floats
) -> Floats:
    """Give the weighted mean of the picks that one is kept for and that have its decision.

    In Å, shape (picks, 3); a pick kept for itself alone stays where it was.
    """
    decision = pooled["slabkitDecision"].factorize()[0]
    alike = decision[rows] == decision[kept_for]
    members, of = rows[alike], kept_for[alike]
    several = (np.bincount(of, minlength=len(pooled)) > 1)[of]
    members, of = members[several], of[several]
    total = np.bincount(of, weight[members], minlength=len(pooled))
    moved = place.copy()
    touched = np.unique(of)
    for axis in range(place.shape[1]):
        # About the pick that stays, so that equal places give exactly that place.
        away = (place[members, axis] - place[of, axis]) * weight[members]
        shift = np.bincount(of, away, minlength=len(pooled))[touched]
        moved[touched, axis] = place[touched, axis] + shift / total[touched]
    return moved


def record_merges(
    pooled: pd.DataFrame,
    source: Indices,
    names: Sequence[str],
    kept_for: Indices,
    first: Indices,
    kept: Indices,
    moved: Floats,
) -> pd.DataFrame:
    """Make the table of the picks that stay, with the others in their ledgers.

    By row of ``pooled``: ``source`` numbers its list, ``kept_for`` is the row kept for it,
    ``first`` the row that has its id (another where a list has the same pick again), ``moved`` the
    place it goes to in Å. ``kept`` are the rows that stay. Without merges and ledgers, no column
    is added.
    """
    picks = pooled.iloc[kept].reset_index(drop=True)
    rows = np.arange(len(pooled))
    gone = rows[kept_for != rows]
    if LEDGER not in pooled.columns and not len(gone):
        return picks
    old = ledger_of(pooled)
    ledgers = {int(row): old[row] for row in kept}
    again = first[gone] != gone  # the same pick again: its own labels join, nothing is merged
    absorbed = gone[~again]
    written = dict(zip(absorbed.tolist(), _merged(pooled, source, names, absorbed), strict=True))
    ids = pooled["slabkitPickId"].to_numpy(dtype=object)
    for row in gone.tolist():
        keeper, owner = int(kept_for[row]), int(first[row])
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
    pooled: pd.DataFrame, source: Indices, names: Sequence[str], rows: Indices
) -> list[str]:
    table = pooled.iloc[rows]
    there = {name: field for name, field in _FIELDS.items() if name in table.columns}
    fields = {field: table[name].to_numpy() for name, field in there.items()}
    return ledger_entries("merge", {"list": np.array(names, object)[source[rows]], **fields})
