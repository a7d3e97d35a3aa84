"""Which classes come again when a classification is repeated from another start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from slabkit.classification.classify import Classification, best_first

UNSTABLE = 0.15
"""Classes that come again in less than this share of repeats have quality 0."""

_SAME, _FEWEST = 1 / 3, 3  # of the smaller class, and images
_STABLE = 0.3  # the share of repeats from which quality is left as it is


def with_repeats(first: Classification, others: Sequence[Classification]) -> Classification:
    """Say of each image and class how often it comes again, and lower the quality of classes.

    A class and one of a repeat are the same if at least a third of the images of the smaller one
    are in the other too, and three at least: a class that a repeat splits, or joins to another, has
    come again. An image agrees with a repeat if its two classes are the same. Quality stays where
    this is so of three in ten of the members' repeats, is in proportion below, and 0 below 0.15.

    Parameters
    ----------
    first : Classification
        Whose classes and poses stay; numbered anew, the best first.
    others : sequence of Classification
        Of the same images, with other seeds; at least one.
    """
    number = first.class_number
    shares = np.mean([_same(number, other.class_number) for other in others], axis=0)
    inside = number > 0
    stability = np.bincount(number[inside] - 1, shares[inside], len(first.size)) / first.size
    quality = first.quality * np.minimum(stability / _STABLE, 1)
    quality[stability < UNSTABLE] = 0
    rank = best_first(quality, first.size)
    new = np.zeros(len(rank) + 1, dtype=np.intp)
    new[rank + 1] = np.arange(1, len(rank) + 1)
    return replace(
        first,
        class_number=new[number],
        averages=first.averages[rank],
        size=first.size[rank],
        resolution=first.resolution[rank],
        quality=quality[rank],
        agreement=first.agreement[rank],
        repeat_share=np.where(inside, shares, 0.0),
        stability=stability[rank],
        assigned=None if first.assigned is None else first.assigned[rank],
    )


def _same(one: npt.NDArray[np.intp], other: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Tell of which images the classes in two classifications are the same."""
    together = np.zeros((one.max(initial=0) + 1, other.max(initial=0) + 1))
    np.add.at(together, (one, other), 1)
    smaller = np.minimum(together.sum(1)[:, None], together.sum(0)[None])
    same = (together >= _SAME * smaller) & (together >= _FEWEST)
    return np.asarray(same[one, other])
