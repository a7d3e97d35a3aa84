"""How sure probabilities are: calibrated, judged, and cut where F-beta is expected to be best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import log
from slabkit.learning.regression import Codes, Floats, minimise, softmax

NONE = "none"
"""What a minislab is that shows none of the species."""

_BINS, _RESAMPLED, _Z = 10, 200, 1.959963984540054
_PENALTY = 1.0  # on calibration parameters, in labels
_CLEARLY = 0.85  # of their log loss is much better than others


@dataclass(frozen=True)
class Expectation:
    """What is expected of predictions, from labels of tomograms that the model had not seen.

    Attributes
    ----------
    species : list of dict
        Of each species: ``species``, ``labels``, ``threshold``, and ``precision``, ``recall`` and
        ``f_beta``, each with ``_low`` and ``_high`` (95 %).
    confusion : ndarray of int64, shape (classes, classes)
        Rows what people say, columns what the model says; in the model's order, ``none`` last.
    bins : ndarray of float64, shape (bins, 3)
        Of the named class: mean probability, share that is right, how many.
    calibration_error : float
        Mean difference of the two, weighted by how many.
    """

    species: list[dict[str, float | str]]
    confusion: npt.NDArray[np.int64]
    bins: Floats
    calibration_error: float


def fit_calibration(logits: Floats, codes: Codes, tomograms: Codes | None = None) -> Floats:
    """Find what makes logits probabilities: a row a tomogram of weight, scale, and classes' shifts.

    Each row stays near what is best for all, and weighs as the tomogram's share of the labels. The
    mean of what they say allows for tomograms that differ as those that were labelled do.
    """
    start = np.concatenate([[1.0], np.zeros(logits.shape[1])])
    shared = _fit_near(start, logits, codes)
    if tomograms is None:
        return np.concatenate([[1.0], shared])[np.newaxis]
    own = [tomograms == number for number in np.unique(tomograms)]
    fitted = np.stack([_fit_near(shared, logits[rows], codes[rows]) for rows in own])
    return np.column_stack([[rows.mean() for rows in own], fitted])


def _fit_near(centre: Floats, logits: Floats, codes: Codes) -> Floats:
    count = len(codes)
    said = np.zeros(logits.shape)
    said[np.arange(count), codes] = 1

    def objective(flat: Floats) -> tuple[float, Floats]:
        probability = softmax(logits * flat[0] + flat[1:])
        own = np.maximum(probability[np.arange(count), codes], 1e-300)
        error = probability - said
        away = flat - centre
        value = -float(log(own).sum()) + 0.5 * _PENALTY * float((away**2).sum())
        slope = np.concatenate([[(error * logits).sum()], error.sum(axis=0)])
        return value, slope + _PENALTY * away

    return minimise(objective, centre)


def calibrated(logits: Floats, calibration: Floats) -> Floats:
    """Give probabilities, shape (n, classes)."""
    found = np.zeros(logits.shape)
    for row in calibration:
        found += row[0] * softmax(logits * row[1] + row[2:])
    return np.asarray(found / calibration[:, 0].sum())


def clearly_better(ones: Floats, others: Floats, codes: Codes) -> bool:
    """Tell whether the log loss of probabilities is much lower than that of others."""
    rows = np.arange(len(codes))
    loss, other = (-float(log(np.maximum(p[rows, codes], 1e-300)).sum()) for p in (ones, others))
    return loss < _CLEARLY * other


def pooled(ways: Sequence[tuple[Floats, Floats]], codes: Codes) -> tuple[Floats, Floats]:
    """Join ways of weighing scores: the mean of their logits, each on the scale that suits it.

    A logarithmic opinion pool (Genest and Zidek 1986, doi:10.1214/ss/1177013825). Takes the weights
    of each, and the logits of labels held back; gives both of the mean.
    """
    joined = []
    for weights, logits in ways:
        _, scale, *shifts = fit_calibration(logits, codes)[0]
        moved = weights * scale
        moved[-1] += shifts
        joined.append((moved, logits * scale + np.array(shifts)))
    weights, logits = (sum(parts) / len(ways) for parts in zip(*joined, strict=True))
    return np.asarray(weights), np.asarray(logits)


def best_thresholds(probability: Floats, beta: float) -> Floats:
    """Give the probability of each species (all but the last class) from which on to accept.

    With expected numbers, F-beta of the best list is 1 + beta**2 times the least probability in it
    (Lipton, Elkan and Naryanaswamy 2014, doi:10.1007/978-3-662-44851-9_15, for beta 1).
    """
    ranked = -np.sort(-probability[:, :-1], axis=0)
    right = np.cumsum(ranked, axis=0)
    taken = np.arange(1, len(ranked) + 1)[:, np.newaxis]
    best = (1 + beta**2) * right / (taken + beta**2 * np.maximum(right[-1], 1e-9))
    return np.asarray((best.max(axis=0) / (1 + beta**2)).clip(1e-4, 0.5))


def named(probability: Floats, thresholds: Floats) -> Codes:
    """Name each minislab: the species farthest above its threshold, else the last class."""
    above = probability[:, :-1] / thresholds
    return np.where(above.max(axis=1) >= 1, above.argmax(axis=1), len(thresholds)).astype(np.int64)


def judge(
    probability: Floats,
    codes: Codes,
    classes: list[str],
    thresholds: Floats,
    beta: float,
    seed: int,
) -> Expectation:
    """Compare probabilities of labelled minislabs, from folds that had not seen them, to labels."""
    count = len(classes)
    said = named(probability, thresholds)
    confusion = np.zeros((count, count), dtype=np.int64)
    np.add.at(confusion, (codes, said), 1)
    rows: list[dict[str, float | str]] = [
        {
            "species": name,
            "labels": int((codes == k).sum()),
            "threshold": float(thresholds[k]),
            **_scores(codes == k, said == k, beta, seed),
        }
        for k, name in enumerate(classes[:-1])
    ]
    top = probability.argmax(axis=1)
    sure = probability[np.arange(len(top)), top]
    place = np.minimum((sure * _BINS).astype(np.int64), _BINS - 1)
    number = np.bincount(place, minlength=_BINS)
    filled = number > 0
    mean = np.bincount(place, sure, _BINS)[filled] / number[filled]
    share = np.bincount(place, top == codes, _BINS)[filled] / number[filled]
    bins = np.column_stack([mean, share, number[filled]])
    error = float((np.abs(mean - share) * number[filled]).sum() / max(1, len(codes)))
    return Expectation(rows, confusion, bins, error)


def _scores(
    true: npt.NDArray[np.bool_], said: npt.NDArray[np.bool_], beta: float, seed: int
) -> dict[str, float]:
    both, taken, there = int((true & said).sum()), int(said.sum()), int(true.sum())
    found: dict[str, float] = {}
    for name, part, whole in (("precision", both, taken), ("recall", both, there)):
        share = part / whole if whole else float("nan")
        low, high = _wilson(part, whole)
        found |= {name: share, f"{name}_low": low, f"{name}_high": high}
    random = np.random.default_rng(seed)
    # Resampled: right, wrongly named, missed.
    counts = np.array([both, taken - both, there - both])
    drawn = random.poisson(counts, (_RESAMPLED, 3))
    low, high = np.quantile(_f_beta(drawn, beta), [0.025, 0.975])
    f_beta = float(_f_beta(counts[np.newaxis], beta)[0])
    return found | {"f_beta": f_beta, "f_beta_low": float(low), "f_beta_high": float(high)}


def _f_beta(counts: npt.NDArray[np.int64], beta: float) -> Floats:
    right, wrong, missed = counts.T.astype(np.float64)
    whole = (1 + beta**2) * right + wrong + beta**2 * missed
    return np.asarray((1 + beta**2) * right / np.maximum(whole, 1))


def _wilson(part: int, whole: int) -> tuple[float, float]:
    if not whole:
        return 0.0, 1.0
    share, z = part / whole, _Z
    middle = (share + z**2 / (2 * whole)) / (1 + z**2 / whole)
    half = z / (1 + z**2 / whole) * (share * (1 - share) / whole + z**2 / (4 * whole**2)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)
