"""Greedy choice, best first, of points whose exact values are computed only where they matter.

Non-maximum suppression takes the best point, drops all that are too close to it, and goes on. Where
a value is costly, but cannot be above a bound that is cheap, most points that are dropped need no
value: the choice is made by the bounds, the points that it keeps are valued, and so on until all
that are kept are valued. Then the choice is that of the values: a point that was dropped by its
bound is all the more dropped by its value.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from slabkit.arrays.neighbours import group_neighbours

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_MOST_PAIRS = 2_000_000  # bounds the memory, about 100 MB


def suppress_neighbours(
    positions: Floats,
    distance: Floats,
    bound: Floats,
    value: Callable[[Indices], Floats] | None = None,
    lowest: float = -np.inf,
) -> tuple[Indices, Floats]:
    """Choose points, best first, such that none is closer than the distance to a better one.

    Parameters
    ----------
    positions : ndarray of float64, shape (points, 2)
        Any unit; finite.
    distance : ndarray of float64, shape (points,)
        In the same unit, not negative; of two points closer than the larger of their distances
        the better is kept. Of equally good ones that with the smaller last coordinate comes first,
        then that with the smaller first one, as in `slabkit.arrays.neighbours`.
    bound : ndarray of float64, shape (points,)
        What the values cannot exceed; the values themselves without ``value``.
    value : callable, optional
        Gives the values of points, by index.
    lowest : float, optional
        Points with lower values count for nothing.

    Returns
    -------
    kept : ndarray of int64
        Indices in ascending order.
    values : ndarray of float64, shape of ``kept``
    """
    alive = bound >= lowest
    pairs = _close_pairs(positions, distance)
    if pairs is None:  # too dense to hold
        rows = np.flatnonzero(alive)
        values = bound[rows] if value is None else value(rows)
        rows, values = rows[values >= lowest], values[values >= lowest]
        stands_for = group_neighbours(positions[rows], distance[rows], priority=values)
        free = stands_for == np.arange(len(rows))
        return rows[free], values[free]
    best = bound.copy()
    unknown = np.full(len(bound), value is not None)
    while True:
        kept = _greedy(positions, best, alive, pairs)
        asked = kept[unknown[kept]]
        if value is None or not len(asked):
            return kept, best[kept]
        best[asked] = value(asked)
        unknown[asked] = False
        alive[asked] = best[asked] >= lowest


def _greedy(
    positions: Floats, values: Floats, alive: npt.NDArray[np.bool_], pairs: tuple[Indices, Indices]
) -> Indices:
    """Choose among the living, best first; given the pairs of which one can be kept."""
    rank = np.empty(len(values), dtype=np.int64)
    rank[np.lexsort((*positions.T, -values))] = np.arange(len(values))
    one, other = pairs
    both = alive[one] & alive[other]
    one, other = one[both], other[both]
    swap = rank[one] > rank[other]
    better, worse = np.where(swap, other, one), np.where(swap, one, other)
    free = alive.copy()
    while len(better):
        # What is the worse of no remaining pair is kept, however the others are decided.
        kept = np.ones(len(values), dtype=bool)
        kept[worse] = False
        free[worse[kept[better]]] = False
        left = ~kept[better] & free[better] & free[worse]
        better, worse = better[left], worse[left]
    return np.flatnonzero(free)


def _close_pairs(positions: Floats, distance: Floats) -> tuple[Indices, Indices] | None:
    """Give the pairs that are closer than the larger of their distances; None if too many."""
    none = np.zeros(0, dtype=np.int64)
    if len(positions) < 2 or not distance.max() > 0:
        return none, none
    # In rows as high as the longest distance, the points close to another one are neighbours in
    # its own row and in the one below.
    longest = float(distance.max()) * (1 + 1e-6)  # rounding loses no pair
    place = positions - positions.min(axis=0)
    row = np.floor(place[:, 1] / longest)
    width = float(place[:, 0].max()) + 3 * longest
    along = row * width + place[:, 0]
    order = np.argsort(along, kind="stable")
    along = along[order]
    own = np.arange(1, len(along) + 1), np.searchsorted(along, along + longest, "right")
    below = (
        np.searchsorted(along, along + width - longest, "left"),
        np.searchsorted(along, along + width + longest, "right"),
    )
    counts = [stop - start for start, stop in (own, below)]
    if sum(int(count.sum()) for count in counts) > _MOST_PAIRS:
        return None
    ones, others = [], []
    for (start, _), count in zip((own, below), counts, strict=True):
        ones.append(np.repeat(np.arange(len(along)), count))
        skipped = np.cumsum(count) - count
        others.append(np.arange(int(count.sum())) + np.repeat(start - skipped, count))
    one, other = order[np.concatenate(ones)], order[np.concatenate(others)]
    apart = np.hypot(*(positions[one] - positions[other]).T)
    close = apart < np.maximum(distance[one], distance[other])
    return one[close], other[close]
