"""Which score to ask for: from the scores themselves, or from picks that people have judged.

Without labels, the scores of all peaks are taken for a mixture of two kinds. Peaks of background
fall off as a Weibull distribution: of pure Gaussian noise peaks are Rayleigh distributed (shape 2),
a score that is multiplied by an evenness falls off more slowly (shape 1 at least). Peaks that stand
out are broad, and log-normal. The mixture is fitted by maximum likelihood to the scores above the
mode of the background, each component being cut there. The share of background at a score is the
local false discovery rate (Efron 2004, J. Am. Stat. Assoc. 99:96); where it is one half, as many
background peaks as others are gained or lost (the minimum error threshold: Kittler & Illingworth
1986, Pattern Recognit. 19:41).

What stands out is not always a particle: scores cannot tell membranes, gold or ice from it, and the
expected numbers of false picks are of background only. Labels can tell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import exp, geometric, log
from slabkit.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

FIT_FLOOR = 1.0
"""Peaks down to this score (standard deviations) are found for the fit."""

_FEWEST_SCORES = 50
_BINS = 400
_SHAPES = (1.0, 2.5)  # of the background: noise never falls off more slowly than exponentially
_WIDTHS = (0.2, 1.0)  # of the logarithm of the scores that stand out
_MOST_OVERLAP = 0.02  # of the background above the middle of what stands out
_BETTER = 10.0  # by which the information criterion of two components must be lower than of one
_GAP = 0.2  # between the distributions of a tomogram that the fit suits
_KOLMOGOROV_999 = 1.95
_Z95 = 1.959963984540054

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ThresholdFit:
    """Two components in the scores of peaks, and the threshold between them.

    Parameters
    ----------
    threshold : float
        NaN where the scores show one component only.
    kept : int
        Scores at and above it.
    expected_false, expected_true : float
        How many of the kept are of the background and how many stand out of it; they sum up to
        `kept`.
    expected_missed : float
        How many below the threshold stand out, of those that were fitted.
    fitted : int
        Scores that were fitted: those from `floor` on.
    floor : float
        Where both components begin: the mode of the background.
    separated : bool
        Whether two components describe the scores better than one.
    share : float
        Of the background among the fitted scores.
    scale, shape : float
        Of the background's Weibull distribution.
    middle, width : float
        Mean and standard deviation of the logarithm of the scores that stand out.
    """

    threshold: float
    kept: int
    expected_false: float
    expected_true: float
    expected_missed: float
    fitted: int
    floor: float
    separated: bool
    share: float
    scale: float
    shape: float
    middle: float
    width: float

    def false_probability(self, scores: npt.ArrayLike) -> Floats:
        """Give the probability of being background by score, never lower at a lower score."""
        values = np.asarray(scores, dtype=np.float64)
        if not self.separated:
            return np.ones(values.shape)
        grid = geometric(self.floor, max(float(values.max(initial=0.0)), 2 * self.floor), 2000)
        model = np.array([self.share, self.scale, self.shape, self.middle, self.width])
        background, other = _log_densities(model, grid, self.floor)
        part = 1.0 / (1.0 + exp(np.clip(other - background, -700, 700)))
        # A better score never makes a pick more doubtful, whatever the tails of the model do.
        part = np.minimum.accumulate(part)
        return np.interp(values, grid, part, left=1.0)

    def suits(self, scores: npt.ArrayLike) -> bool:
        """Tell whether the background among the scores of a tomogram's peaks is as it was fitted.

        It is not where the scores between `floor` and `threshold` are distributed otherwise, by a
        fifth at some score and by more than chance does in one of a thousand tomograms (Kolmogorov-
        Smirnov).
        """
        values = np.sort(np.asarray(scores, dtype=np.float64))
        values = values[(values >= self.floor) & (values < self.threshold)]
        if len(values) < _FEWEST_SCORES:
            return True
        grid = geometric(self.floor, self.threshold, 500)
        model = np.array([self.share, self.scale, self.shape, self.middle, self.width])
        background, other = _log_densities(model, grid, self.floor)
        density = exp(background) + exp(other)
        steps = np.diff(grid) * (density[1:] + density[:-1]) / 2
        below = np.interp(values, grid, np.append(0.0, np.cumsum(steps) / steps.sum()))
        rank = np.arange(len(values) + 1) / len(values)
        gap = float(np.maximum(rank[1:] - below, below - rank[:-1]).max())
        return gap < _GAP or gap * math.sqrt(len(values)) < _KOLMOGOROV_999


@dataclass(frozen=True)
class LabelledThreshold:
    """A threshold that reaches a precision among judged picks.

    Parameters
    ----------
    threshold : float
    precision : float
        Share of accepted picks among the judged ones at and above the threshold.
    low, high : float
        95 % confidence interval of it (Wilson 1927, J. Am. Stat. Assoc. 22:209).
    accepted, judged : int
        Picks at and above the threshold.
    recall : float
        Share of all accepted picks that is at or above the threshold.
    """

    threshold: float
    precision: float
    low: float
    high: float
    accepted: int
    judged: int
    recall: float


def fit_threshold(scores: npt.ArrayLike, *, precision: float | None = None) -> ThresholdFit:
    """Find a threshold in the scores of peaks by a fit of two components.

    Parameters
    ----------
    scores : array-like of float, shape (n,)
        Scores of all peaks, low ones too (from about `FIT_FLOOR` standard deviations); positive.
    precision : float, optional
        The lowest threshold above which this share of the picks is expected to stand out of the
        background. Default: the score at which half of the peaks do.

    Returns
    -------
    ThresholdFit
        The same for the same scores in any order.

    Raises
    ------
    InputError
        A score is not positive and finite, or the precision is not between 0 and 1.
    """
    values = np.sort(np.asarray(scores, dtype=np.float64).ravel())
    if len(values) and not (math.isfinite(values.sum()) and values[0] > 0):
        raise InputError("thresholds are fitted to positive, finite scores.")
    if precision is not None:
        _check_share(precision)
    if len(values) < _FEWEST_SCORES or values[0] == values[-1]:
        return _one_component(values, float(values[0]) if len(values) else FIT_FLOOR)
    floor = _background_mode(values)
    fitted = values[np.searchsorted(values, floor) :]
    edges = geometric(floor, fitted[-1] * (1 + 1e-9), _BINS + 1)
    weight = np.histogram(fitted, edges)[0].astype(np.float64)
    centre = np.sqrt(edges[:-1] * edges[1:])
    model, gain = _fit_mixture(centre[weight > 0], weight[weight > 0], floor)
    if gain < _BETTER or _overlap(model, floor) > _MOST_OVERLAP:
        return _one_component(values, floor)
    fit = ThresholdFit(
        math.nan, 0, 0.0, 0.0, 0.0, len(fitted), floor, True, *(float(v) for v in model)
    )
    return _with_threshold(fit, values, precision)


def threshold_for_precision(
    scores: npt.ArrayLike, accepted: npt.ArrayLike, precision: float
) -> LabelledThreshold:
    """Find the lowest threshold that reaches a precision among judged picks.

    Parameters
    ----------
    scores : array-like of float, shape (n,)
        Of the judged picks.
    accepted : array-like of bool, shape (n,)
        What was decided.
    precision : float
        Share of accepted picks wanted among those at and above the threshold.

    Returns
    -------
    LabelledThreshold

    Raises
    ------
    InputError
        There is no judged pick, a score is not finite, or no threshold reaches the precision; the
        best there is, is named.
    """
    values = np.asarray(scores, dtype=np.float64).ravel()
    good = np.asarray(accepted, dtype=bool).ravel()
    _check_share(precision)
    if len(values) != len(good):
        raise InputError(f"there are {len(values)} scores and {len(good)} decisions.")
    if not good.any():
        raise InputError(
            "no pick of the labelled list is accepted, so no threshold can be found in it."
        )
    if not np.isfinite(values).all():
        raise InputError("judged picks need finite scores.")
    order = np.argsort(-values, kind="stable")
    values, good = values[order], good[order]
    last = np.flatnonzero(np.append(values[1:] != values[:-1], True))  # equal scores stay together
    hits = np.cumsum(good)[last]
    count = last + 1
    reached = np.flatnonzero(hits >= precision * count - 1e-9)
    if not len(reached):
        best = int(np.argmax(hits / count))
        raise InputError(
            f"no threshold reaches a precision of {precision:g} among the {len(values)} judged "
            f"picks; the best is {hits[best] / count[best]:.3g}, at the score "
            f"{values[last[best]]:.4g}."
        )
    row = int(reached[-1])
    low, high = wilson_interval(int(hits[row]), int(count[row]))
    return LabelledThreshold(
        float(values[last[row]]),
        float(hits[row] / count[row]),
        low,
        high,
        int(hits[row]),
        int(count[row]),
        float(hits[row] / good.sum()),
    )


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """Give the 95 % confidence interval of a share; (0, 1) if nothing was counted."""
    if count == 0:
        return 0.0, 1.0
    share, z2 = hits / count, _Z95**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z95 * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return (0.0 if hits == 0 else centre - half), (1.0 if hits == count else centre + half)


def picks_above(
    picks2d: pd.DataFrame, threshold: float, max_per_slab: int | None = None
) -> pd.DataFrame:
    """Keep the 2D picks at and above a score, and the best of each slab; best first in a slab.

    As pickers keep the better of two close picks, the result is what they give with the same
    limits.
    """
    kept = picks2d[picks2d["rlnAutopickFigureOfMerit"] >= threshold]
    if max_per_slab is not None:
        kept = kept.groupby("rlnMicrographName", sort=False).head(max_per_slab)
    return kept.reset_index(drop=True)


def _check_share(precision: float) -> None:
    if not 0 < precision < 1:
        raise InputError(f"--target-precision must be between 0 and 1, not {precision:g}.")


def _one_component(values: Floats, floor: float) -> ThresholdFit:
    nan = math.nan
    fitted = int((values >= floor).sum())
    return ThresholdFit(nan, 0, 0.0, 0.0, 0.0, fitted, floor, False, 1.0, nan, nan, nan, nan)


def _background_mode(values: Floats) -> float:
    """Give where the background is densest; close picks suppress one another below it."""
    low, high = float(values[0]), float(np.quantile(values, 0.9))
    if not high > low:
        return low
    bins = int(np.clip(len(values) / 40, 8, 40))
    counts, edges = np.histogram(values, bins, (low, high))
    padded = np.pad(counts, 1, mode="edge")
    smooth = padded[:-2] + padded[1:-1] + padded[2:]
    return float(edges[int(np.argmax(smooth[: max(1, bins // 2)]))])


def _fit_mixture(values: Floats, weight: Floats, floor: float) -> tuple[Floats, float]:
    """Fit the mixture; give it and by how much it is better than background alone."""
    from scipy.optimize import minimize

    mean = float(np.average(values, weights=weight))
    scales = (0.02 * floor, 10 * mean)
    top = math.log(float(values[-1]))

    def cost(model: Floats) -> float:
        background, other = _log_densities(model, values, floor)
        return -float((weight * np.logaddexp(background, other)).sum())

    def alone(model: Floats) -> float:
        return cost(np.array([1 - 1e-12, *model, 0.0, 1.0]))

    single = min(
        float(minimize(alone, [mean / 2, shape], method="TNC", bounds=[scales, _SHAPES]).fun)
        for shape in (1.0, 1.4, 2.0)
    )
    logs = log(values)
    best_cost, best = math.inf, np.zeros(5)
    bounds = [(1e-4, 1 - 1e-4), scales, _SHAPES, (math.log(floor), top), _WIDTHS]
    excess = max(mean - floor, 0.1 * floor)
    for share, shape, place in ((0.9, 1.0, 0.5), (0.7, 1.0, 0.7), (0.9, 2.0, 0.4), (0.5, 2.0, 0.8)):
        start = [share, excess if shape < 1.5 else floor, shape]
        start += [logs[0] + place * (top - logs[0]), 0.4]
        found = minimize(cost, start, method="TNC", bounds=bounds)
        if found.fun < best_cost - 1e-6:
            best_cost, best = float(found.fun), np.asarray(found.x)
    count = float(weight.sum())
    return best, 2 * (single - best_cost) - 3 * math.log(count)


def _overlap(model: Floats, floor: float) -> float:
    """Share of the background that scores above the middle of what stands out."""
    _, scale, shape, middle, _ = (float(v) for v in model)
    return math.exp(min(0.0, (floor / scale) ** shape - (math.exp(middle) / scale) ** shape))


def _log_densities(model: Floats, values: Floats, floor: float) -> tuple[Floats, Floats]:
    """Logarithms of the two weighted densities of scores from `floor` on."""
    from scipy.special import log_ndtr

    share, scale, shape, middle, width = (float(v) for v in model)
    ratio = values / scale
    background = math.log(share) + math.log(shape / scale) + (shape - 1) * log(ratio)
    background += (floor / scale) ** shape - np.float_power(ratio, shape)
    logs = log(values)
    other = math.log1p(-share) - logs - math.log(width * math.sqrt(2 * math.pi))
    other -= 0.5 * ((logs - middle) / width) ** 2
    other -= float(log_ndtr((middle - math.log(floor)) / width))
    return background, other


def _with_threshold(fit: ThresholdFit, values: Floats, precision: float | None) -> ThresholdFit:
    false = fit.false_probability(values)
    if precision is None:
        chosen = np.flatnonzero(false <= 0.5)
    else:
        from_here = np.cumsum(false[::-1])[::-1] / np.arange(len(values), 0, -1)
        chosen = np.flatnonzero(1 - from_here >= precision)
    if not len(chosen):
        return replace(fit, separated=False)
    first = int(chosen[0])
    part = float(false[first:].sum())
    kept = len(values) - first
    return replace(
        fit,
        threshold=float(values[first]),
        kept=kept,
        expected_false=part,
        expected_true=kept - part,
        expected_missed=float((1 - false[:first]).sum()),
    )
