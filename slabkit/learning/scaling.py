"""Scores on the scale of their tomogram.

Of tomograms that are noisier than those that taught it, or made in another way, a model's scores
are too low for all particles alike; which are a tomogram's best it still tells. So they also count
on a scale from 0, the median of the tomogram, to 1, the mean of its three best of the species.
"""

from __future__ import annotations

import numpy as np

from slabkit.learning.regression import Codes, Floats

_BEST = 3
_LEAST = 0.4  # of the usual reach from 0 to 1: where a species is absent, its best are no particles
_FEW = 20  # minislabs of a tomogram count as much as what is usual
_LOWEST, _HIGHEST = -1.0, 1.2
_NEAR_ONE = 3.0, 0.25  # make scales, and scores, of the same size


def relative_scores(
    logits: Floats, owner: Codes, usual: Floats | None = None
) -> tuple[Floats, Floats]:
    """Put the scores of each species, (n, classes - 1), on the scale of their tomogram.

    ``owner`` is the number of each one's tomogram, and ``usual`` the median and the reach of
    tomograms, (2, classes - 1); without it that of these, which is returned.
    """
    score = logits[:, :-1] - logits[:, -1:]
    likeliest = score.argmax(axis=1)
    middle, best = np.full((2, int(owner.max(initial=-1)) + 1, score.shape[1]), np.nan)
    for number in range(len(middle)):
        own = score[owner == number]
        middle[number] = np.median(own, axis=0)
        for code in range(score.shape[1]):
            top = np.sort(own[likeliest[owner == number] == code, code])[-_BEST:]
            if len(top):
                best[number, code] = top.mean()
    if usual is None:
        known = np.ma.masked_invalid(best - middle)
        usual = np.stack([middle.mean(axis=0), np.ma.filled(known.mean(axis=0), 1.0)])
    count = np.bincount(owner, minlength=len(middle))[:, np.newaxis]
    middle = (count * middle + _FEW * usual[0]) / (count + _FEW)
    reach = np.fmax(np.fmax(best - middle, _LEAST * usual[1]), 1e-6)
    return ((score - middle[owner]) / reach[owner]).clip(_LOWEST, _HIGHEST), usual


def weighed(logits: Floats, relative: Floats, further: Floats) -> Floats:
    """Join scores, the same on their tomogram's scale, and further features on such scales."""
    scale, score = _NEAR_ONE
    return np.hstack([scale * relative, score * logits, scale * further])


def scores_alone(classes: int) -> Floats:
    """Give the weights, (2 * classes, classes), with which `weighed` scores are what they were."""
    found = np.zeros((2 * classes, classes))
    found[classes - 1 : -1] = np.eye(classes) / _NEAR_ONE[1]
    return found
