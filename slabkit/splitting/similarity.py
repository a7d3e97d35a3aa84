"""How similar tomograms are: Kolmogorov-Smirnov statistics of their species, and groups by them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def ks_statistics(counts: Indices) -> Floats:
    """Compare the species of each two tomograms.

    Parameters
    ----------
    counts : ndarray of int, shape (tomograms, species)
        Particles; the species in the order in which distributions are summed up.

    Returns
    -------
    ndarray of float, shape (tomograms, tomograms)
        Two-sample Kolmogorov-Smirnov statistic: the largest difference of the cumulative shares. 1
        between a tomogram with particles and one without, 0 between two without.
    """
    total = counts.sum(axis=1, keepdims=True)
    shares = np.cumsum(counts, axis=1) / np.maximum(total, 1)
    result = np.zeros((len(counts), len(counts)))
    for column in range(counts.shape[1]):
        np.maximum(result, np.abs(shares[:, None, column] - shares[None, :, column]), out=result)
    empty = total[:, 0] == 0
    result[empty[:, None] != empty[None, :]] = 1.0
    return result


def ks_p_value(statistic: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike) -> Floats:
    """Give the probability of a statistic as large or larger between two samples of one kind.

    Parameters
    ----------
    statistic : array-like of float
    first, second : array-like of int
        Sizes of the samples.

    Returns
    -------
    ndarray of float
        As for values that do not repeat; species do, so that it is on the safe side (too large).
        1 where a sample is empty.
    """
    from scipy.stats import kstwo

    one, two = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    size = np.round(one * two / np.maximum(one + two, 1))
    found = kstwo.sf(np.asarray(statistic), np.maximum(size, 1))
    return np.where(size > 0, found, 1.0).astype(np.float64)


def group_similar(distance: Floats, groups: int) -> Indices:
    """Group tomograms so that those of a group are similar to each other.

    Complete linkage: the groups are joined in turn whose least similar members are the most
    similar.

    Parameters
    ----------
    distance : ndarray of float, shape (tomograms, tomograms)
    groups : int
        Largest number of them.

    Returns
    -------
    ndarray of int, shape (tomograms,)
        From 0; groups with neighbouring numbers are similar too.
    """
    from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
    from scipy.spatial.distance import squareform

    count = len(distance)
    if count < 2:
        return np.zeros(count, dtype=np.int64)
    tree = linkage(squareform(distance, checks=False), "complete")
    order = leaves_list(tree)
    labels = fcluster(tree, groups, "maxclust") if groups < count else np.arange(count)
    _, first, inverse = np.unique(labels[order], return_index=True, return_inverse=True)
    result = np.empty(count, dtype=np.int64)
    result[order] = np.argsort(np.argsort(first))[inverse]
    return result
