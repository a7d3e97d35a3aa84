"""Candidates to blobs: scores against the pooled noise, thresholds, one blob a place."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from slabkit.arrays.medians import exact_median
from slabkit.arrays.suppression import keep_best
from slabkit.errors import InputError
from slabkit.picking.blob_search import SHELL, Candidates, Floats, Indices, Method
from slabkit.picking.limits import Limits, check_max_ridge, lowered_by_lines

# Lines that noise draws lower most scores by a third; so these two let as many picks pass.
_DEFAULT_THRESHOLD, _DEFAULT_WITHOUT_LINES = 2.0, 3.0
DEFAULT_MAX_ELONGATION = 4.0
DEFAULT_MAX_RIDGE = 0.7

_REACH = 0.5  # picks nearer than this share of the larger diameter are one
_SHELL_REACH = 0.6  # a shell also stands for the peaks along its own wall
_SMALLEST_NOISE = 1e-3  # of the strongest answer: images without noise have finite scores


def default_threshold(method: Method, max_ridge: float) -> float:
    """Give the lowest score by default: lower where lines that run past lower the scores.

    Parameters
    ----------
    method : {"rims", "laplacian"}
    max_ridge : float
        As in `BlobLimits`.

    Returns
    -------
    float
        In standard deviations.
    """
    if method == "rims" and max_ridge < math.inf:
        return _DEFAULT_THRESHOLD
    return _DEFAULT_WITHOUT_LINES


@dataclass(frozen=True)
class Blobs:
    """Blobs of one image, best first; one element each in every array.

    Parameters
    ----------
    x_px, y_px : ndarray of float64
        Centres in pixels, 0 = centre of the first pixel.
    score : ndarray of float64
        In robust standard deviations; see the module.
    response : ndarray of float64
        Answer of the filter in the units of the image, protein positive.
    diameter : ndarray of float64
        Estimated diameter in Å. By rims: about 8 % too small for a solid ball, as much too large
        for a flat disc, right for a shell. By the Laplacian: right for a solid ball, 17 % too
        large for a disc.
    elongation : ndarray of float64
        Ratio of principal curvatures, 1 = round.
    """

    x_px: Floats
    y_px: Floats
    score: Floats
    response: Floats
    diameter: Floats
    elongation: Floats

    def __len__(self) -> int:
        return len(self.x_px)


@dataclass(frozen=True)
class BlobLimits(Limits):
    """What is kept of the blobs found; see `find_blobs`.

    Raises
    ------
    InputError
        If a limit makes no sense.
    """

    max_elongation: float
    max_ridge: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.max_elongation >= 1:
            raise InputError(
                f"--max-elongation must be 1 (round) or more, not {self.max_elongation:g}."
            )
        check_max_ridge(self.max_ridge)


class PooledNoise:
    """Median and robust standard deviation of every filter and rung, pooled over images."""

    def __init__(self, found: list[Candidates]) -> None:
        self._median: dict[int, Floats] = {}
        self._deviation: dict[int, Floats] = {}
        for kind in sorted({kind for one in found for kind in one.samples}):
            pooled = np.concatenate([one.samples[kind] for one in found if one.samples], axis=1)
            if pooled.shape[1] == 0:  # all padding
                pooled = np.zeros((len(pooled), 1), dtype=np.float32)
            median = np.array([exact_median(rung) for rung in pooled])
            pooled -= median[:, None]
            spread = np.array([exact_median(rung) for rung in np.abs(pooled, out=pooled)])
            answers = [one.response[one.scored_by == kind] for one in found]
            strongest = float(np.concatenate(answers).max(initial=0.0))
            tiny = float(np.finfo(np.float32).tiny)
            self._median[kind] = median.astype(np.float64)
            self._deviation[kind] = np.maximum(
                1.4826 * spread.astype(np.float64), max(_SMALLEST_NOISE * strongest, tiny)
            )

    def score(self, one: Candidates) -> Floats:
        """Give the answers at one image's candidates in standard deviations."""
        score = np.zeros(len(one.response))
        for kind, median in self._median.items():
            rows = one.scored_by == kind
            rungs = np.arange(len(median)) + one.first_rung.get(kind, 0)
            centre = np.interp(one.rung[rows], rungs, median)
            deviation = np.exp(np.interp(one.rung[rows], rungs, np.log(self._deviation[kind])))
            score[rows] = (one.response[rows] - centre) / deviation
        return score


def select_blobs(
    one: Candidates, noise: PooledNoise, limits: BlobLimits, pixel_size: float
) -> Blobs:
    """Give the candidates of one image that pass the limits, best first.

    Parameters
    ----------
    one : Candidates
    noise : PooledNoise
    limits : BlobLimits
    pixel_size : float
        In Å.

    Returns
    -------
    Blobs
    """
    # Evenness and lines only lower a score, and cost more than all else here.
    score = noise.score(one)
    lowest = limits.lowest
    rows = np.flatnonzero((score >= lowest) & (one.elongation <= limits.max_elongation))
    score[rows] *= one.evenness(rows)
    rows = rows[score[rows] >= lowest]
    if limits.min_distance is None:
        share = np.where(one.found_by[rows] == SHELL, _SHELL_REACH, _REACH)
        reach = share * one.diameter[rows]
    else:
        reach = np.full(len(rows), limits.min_distance)

    places = np.column_stack([one.x_px[rows], one.y_px[rows]]) * pixel_size
    before, response = score[rows], one.response[rows]
    ridges = one.ridges(rows) if limits.max_ridge < math.inf else None

    def beside_lines(some: Indices) -> Floats:
        assert ridges is not None
        return lowered_by_lines(before[some], ridges(some), response[some], limits.max_ridge)

    kept, best = keep_best(places, reach, before, beside_lines if ridges else None, lowest)
    rows = rows[kept]
    score[rows] = best
    order = np.lexsort([one.y_px[rows], one.x_px[rows], -score[rows]])
    rows = rows[order][: limits.max_count]
    return Blobs(
        one.x_px[rows],
        one.y_px[rows],
        score[rows],
        one.response[rows],
        one.diameter[rows],
        one.elongation[rows],
    )
