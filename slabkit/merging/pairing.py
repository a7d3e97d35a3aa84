"""Which picks of different lists are one particle: one to one, list by list."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slabkit.arrays.assignment import pair_one_to_one

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def pair_lists(place: Floats, reach: Floats, source: Indices, group: Indices) -> Indices:
    """Pair the picks of each list with those of the lists before it.

    Parameters
    ----------
    place : ndarray, shape (picks, 3)
        In Å.
    reach : ndarray, shape (picks,)
        Picks closer than this may be a pair; the same within a group.
    source : ndarray of int, shape (picks,)
        Number of the list.
    group : ndarray of int, shape (picks,)
        Only picks of one group (tomogram and species) are paired.

    Returns
    -------
    ndarray of int64, shape (picks,)
        Index of the first pick of each pick's particle: distances are measured to that one, so
        that a particle does not drift from list to list.
    """
    anchor = np.arange(len(place))
    for rows in _split(group):
        here = source[rows]
        anchors = rows[here == here.min()]
        for number in np.unique(here)[1:]:
            new = rows[here == number]
            one, two = _pair(place[anchors], place[new], float(reach[rows[0]]))
            anchor[new[two]] = anchors[one]
            anchors = np.concatenate([anchors, np.delete(new, two)])
    return anchor


def _split(group: Indices) -> list[Indices]:
    order = np.argsort(group, kind="stable")
    edges = np.flatnonzero(np.diff(group[order])) + 1
    return [part for part in np.split(order, edges) if len(part)]


def _pair(first: Floats, second: Floats, reach: float) -> tuple[Indices, Indices]:
    from scipy.spatial import cKDTree

    nothing = np.empty(0, dtype=np.int64)
    if not reach > 0:
        return nothing, nothing
    near = cKDTree(first).sparse_distance_matrix(cKDTree(second), reach, output_type="ndarray")
    near = near[near["v"] < reach]
    if not len(near):
        return nothing, nothing
    # The order in which a tree finds pairs says nothing; ties go by the order of the lists.
    near = near[np.lexsort([near["j"], near["i"]])]
    one, two = near["i"].astype(np.int64), near["j"].astype(np.int64)
    chosen = pair_one_to_one(one, two, near["v"])
    return one[chosen], two[chosen]
