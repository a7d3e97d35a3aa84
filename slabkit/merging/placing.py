"""Where a pick goes that stands for several: the mean of their places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.merging.pooling import kind_ranks

if TYPE_CHECKING:
    import pandas as pd

Position = Literal["best", "score", "rank", "source"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def position_weights(
    pooled: pd.DataFrame,
    source: Indices,
    stands: Indices,
    rows: Indices,
    position: Position,
    weights: Mapping[str, float] | None,
    names: Sequence[str],
) -> Floats:
    """Give each pick the weight of its place.

    Parameters
    ----------
    pooled : DataFrame
    source : ndarray of int, shape (picks,)
        Number of each pick's list.
    stands, rows : ndarray of int
        ``stands[i]`` is the row that stands for row ``rows[i]``.
    position : {"score", "rank", "source"}
    weights : mapping of str to float, optional
    names : sequence of str
        Of the lists.

    Returns
    -------
    ndarray, shape (picks,)

    Raises
    ------
    InputError
        Scores of different kinds, or none, or not positive ones, are to be weights; or a weight is
        negative or of nothing.
    """
    if position == "source":
        return _by_source(pooled, source, weights or {}, names)
    score = pooled["slabkitScore"].to_numpy()
    several = np.bincount(stands, minlength=len(pooled)) > 1
    used = rows[several[stands]]
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
    of_used = stands[several[stands]]
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
    pooled: pd.DataFrame, place: Floats, stands: Indices, rows: Indices, weight: Floats
) -> Floats:
    """Give the weighted mean of the picks that one stands for and that have its decision.

    Parameters
    ----------
    pooled : DataFrame
    place : ndarray, shape (picks, 3)
    stands, rows : ndarray of int
    weight : ndarray, shape (picks,)
        All as for `position_weights`.

    Returns
    -------
    ndarray, shape (picks, 3)
        The old place of a pick that stands for itself alone.
    """
    decision = pooled["slabkitDecision"].factorize()[0]
    alike = decision[rows] == decision[stands]
    members, of = rows[alike], stands[alike]
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
