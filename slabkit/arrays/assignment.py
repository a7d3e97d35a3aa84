"""One-to-one pairing of two sets of which only the possible pairs are known."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Integers: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]


def pair_one_to_one(first: Integers, second: Integers, cost: Floats) -> Flags:
    """Choose as many pairs as possible that share no member, at the smallest total cost.

    Parameters
    ----------
    first, second : ndarray of int, shape (pairs,)
        The members of each possible pair, numbered from 0 in each set; no pair twice.
    cost : ndarray of float, shape (pairs,)
        Not negative.

    Returns
    -------
    ndarray of bool, shape (pairs,)
        The pairs chosen.

    Notes
    -----
    A sparse assignment [1]_ in which every member of the second set may also stay alone, at a cost
    above any that an exchange of pairs can save. Memory follows the number of pairs.

    References
    ----------
    .. [1] R. Jonker and A. Volgenant, Computing 38 (1987) 325-340.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    _, first, first_degree = np.unique(first, return_inverse=True, return_counts=True)
    _, second, second_degree = np.unique(second, return_inverse=True, return_counts=True)
    chosen: Flags = np.asarray((first_degree[first] == 1) & (second_degree[second] == 1))
    rest = np.flatnonzero(~chosen)
    if not len(rest):
        return chosen
    _, first = np.unique(first[rest], return_inverse=True)
    _, second = np.unique(second[rest], return_inverse=True)
    cost = cost[rest]
    n_first, n_second = int(first.max()) + 1, int(second.max()) + 1
    # One is added to every cost, because zeros would not be stored.
    alone = np.arange(n_second)
    cost_alone = 1.0 + (1.0 + cost.max()) * (1.0 + _largest_cluster(first, second))
    costs = coo_array(
        (
            np.concatenate([1.0 + cost, np.full(n_second, cost_alone)]),
            (np.concatenate([second, alone]), np.concatenate([first, n_first + alone])),
        ),
        shape=(n_second, n_first + n_second),
    ).tocsr()
    rows, partners = min_weight_full_bipartite_matching(costs)
    partner = np.empty(n_second, dtype=np.int64)
    partner[rows] = partners
    chosen[rest[partner[second] == first]] = True
    return chosen


def _largest_cluster(first: Integers, second: Integers) -> int:
    """Count the members of the second set in the largest cluster that pairs hold together."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n_second = int(second.max()) + 1
    size = n_second + int(first.max()) + 1
    links = coo_array((np.ones(len(first)), (second, n_second + first)), shape=(size, size))
    _, cluster = connected_components(links, directed=False)
    return int(np.bincount(cluster[:n_second]).max())
