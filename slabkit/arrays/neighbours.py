"""Which points are the same thing: greedy merging by distance, best point first.

Merging a list greedily (take the best point, drop all that are closer than a distance, go on with
the best that is left) is what non-maximum suppression does. Done by pairs it needs memory for every
pair, which dense places make quadratic. Here the list, best first, is halved: the first half is
merged by itself, what its keepers reach is dropped from the second half by queries for the nearest
neighbour (k-d tree: Bentley 1975, Commun. ACM 18:509), and the rest of the second half is merged by
itself. The result is exactly that of the plain greedy rule, in O(N log² N) time and O(N) memory,
however the points lie.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import log
from slabkit.errors import InputError

_FEW = 128  # so few points are compared one with the other
_CLASS_RATIO = 1.25  # keepers whose distances differ by less share a k-d tree

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def group_neighbours(
    positions: npt.ArrayLike,
    distance: npt.ArrayLike,
    priority: npt.ArrayLike | None = None,
    labels: npt.ArrayLike | None = None,
) -> Indices:
    """Give every point the point that represents it.

    Points are taken best first; one that lies closer than the distance to a point taken before
    is merged, the others are kept. A merged point is represented by the nearest kept point that
    reaches it.

    Parameters
    ----------
    positions : array-like, shape (points, dimensions)
        Any unit; finite.
    distance : float or array-like, shape (points,)
        In the same unit, not negative; two points are the same when closer than the larger of
        their two distances. 0 merges nothing.
    priority : array-like, shape (points,) or (points, keys), optional
        Higher is taken first, the first key before the second; NaN comes last. Ties are broken by
        the coordinates, smaller first, the last coordinate before the first.
    labels : array-like of int, shape (points,), optional
        Only points of one label are merged.

    Returns
    -------
    ndarray of int64, shape (points,)
        Index of the kept point; its own index for a point that is kept.

    Raises
    ------
    InputError
        If a position is not finite or a distance is negative or not finite, or shapes differ.
    """
    points = np.asarray(positions, dtype=np.float64)
    if points.ndim != 2:
        raise InputError(f"positions need the shape (points, dimensions), not {points.shape}.")
    count = len(points)
    if not np.isfinite(points).all():
        bad = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
        raise InputError(f"position {bad + 1} is {points[bad].tolist()}, which is not finite.")
    reach = np.array(np.broadcast_to(np.asarray(distance, dtype=np.float64), (count,)))
    if not (np.isfinite(reach) & (reach >= 0)).all():
        raise InputError("distances must be finite and not negative.")
    order = _best_first(points, priority)
    if labels is None:
        groups = [order]
    else:
        names = np.asarray(labels)
        if len(names) != count:
            raise InputError(f"{len(names)} labels were given for {count} points.")
        names = names[order]
        by_label = np.argsort(names, kind="stable")
        edges = np.flatnonzero(np.diff(names[by_label])) + 1
        groups = np.split(order[by_label], edges)
    keeper = np.arange(count)
    for group in groups:
        if len(group) < 2:
            continue
        kept = group[_greedy(points[group], reach[group])]
        merged = np.setdiff1d(group, kept, assume_unique=True)
        if len(merged):
            nearest = _nearest_reaching(points[merged], reach[merged], points[kept], reach[kept])
            keeper[merged] = kept[nearest]
    return keeper


def _best_first(points: Floats, priority: npt.ArrayLike | None) -> Indices:
    keys: list[npt.NDArray[Any]] = list(points.T)
    if priority is not None:
        ranks = np.asarray(priority, dtype=np.float64)
        ranks = ranks[:, None] if ranks.ndim == 1 else ranks
        if ranks.ndim != 2 or len(ranks) != len(points):
            raise InputError(f"priorities {ranks.shape} do not fit {len(points)} points.")
        keys += [-column for column in ranks.T[::-1]]  # lexsort puts NaN last
    return np.lexsort(keys)


def _greedy(points: Floats, reach: Floats) -> Indices:
    """Give the indices that are kept of points sorted best first."""
    if len(points) <= _FEW:
        return _greedy_few(points, reach)
    half = len(points) // 2
    first = _greedy(points[:half], reach[:half])
    free = half + np.flatnonzero(
        _nearest_reaching(points[half:], reach[half:], points[first], reach[first]) < 0
    )
    second = free[_greedy(points[free], reach[free])] if len(free) else free
    return np.concatenate([first, second])


def _greedy_few(points: Floats, reach: Floats) -> Indices:
    from scipy.spatial.distance import cdist

    close = cdist(points, points) < np.maximum(reach[:, None], reach[None, :])
    free = np.ones(len(points), dtype=bool)
    # Only points that are close to another one need a look.
    for index in np.flatnonzero(close.sum(axis=1) > 1):
        if free[index]:
            free[index + 1 :] &= ~close[index, index + 1 :]
    return np.flatnonzero(free)


def _nearest_reaching(points: Floats, reach: Floats, kept: Floats, kept_reach: Floats) -> Indices:
    """Give the nearest kept point closer than the larger distance of the two, or -1."""
    from scipy.spatial import cKDTree

    best = np.full(len(points), -1, dtype=np.int64)
    best_distance = np.full(len(points), np.inf)
    with np.errstate(divide="ignore"):
        classes = np.floor(log(kept_reach) / log(_CLASS_RATIO))
    for one in np.unique(classes):
        members = np.flatnonzero(classes == one)
        tree = cKDTree(kept[members])
        longest = float(kept_reach[members].max())
        bound = max(longest, float(reach.max()))
        distance, nearest = map(np.asarray, tree.query(points, distance_upper_bound=bound))
        found = np.flatnonzero(np.isfinite(distance))
        nearest_reach = kept_reach[members[nearest[found]]]
        reached = distance[found] < np.maximum(reach[found], nearest_reach)
        rows = found[reached]
        rows = rows[distance[rows] < best_distance[rows]]
        best[rows], best_distance[rows] = members[nearest[rows]], distance[rows]
        # The nearest of the class does not reach, but a farther one with a longer distance may:
        # kept points of a class lie about its distance apart, so these are few.
        unsure = found[~reached & (distance[found] < longest)]
        for index in unsure:
            near = members[tree.query_ball_point(points[index], longest)]
            away = np.linalg.norm(kept[near] - points[index], axis=1)
            near, away = near[away < kept_reach[near]], away[away < kept_reach[near]]
            if len(near) and away.min() < best_distance[index]:
                choice = np.lexsort([near, away])[0]
                best[index], best_distance[index] = near[choice], away[choice]
    return best
