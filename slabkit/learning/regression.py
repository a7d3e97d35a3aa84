"""Multinomial logistic regression, the same bit by bit on every processor.

The objective is that of scikit-learn's `LogisticRegression`: half the squared weights plus `C`
times the weighted log loss, without a penalty on the intercepts. It is minimised by limited-memory
BFGS (Liu and Nocedal 1989, Mathematical Programming 45:503) with products as in
`slabkit.arrays.exact`; a library's result would follow the processor's order of sums.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import exp, log, on_grid, product

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Objective = Callable[[Floats], tuple[float, Floats]]

_MEMORY, _MOST_STEPS, _TOLERANCE = 10, 150, 1e-3


def softmax(logits: Floats) -> Floats:
    """Give probabilities, each row's sum 1."""
    weight: Floats = np.asarray(exp(logits - logits.max(axis=1, keepdims=True)))
    weight /= weight.sum(axis=1, keepdims=True)
    return weight


def balanced(codes: Codes, classes: int) -> Floats:
    """Weigh rows so that every class weighs the same; their mean is 1."""
    count = np.bincount(codes, minlength=classes)
    weight: Floats = len(codes) / (classes * np.maximum(count, 1))
    return weight[codes]


def fit_regression(
    features: npt.NDArray[np.floating], codes: Codes, classes: int, strength: float
) -> Floats:
    """Find weights (features + 1, classes), the last row the intercepts; ``strength`` is `C`."""
    weight = balanced(codes, classes)
    rows, row_unit = on_grid(features, -1)
    columns, column_unit = on_grid(features.T, -1)
    said = np.zeros((len(codes), classes))
    said[np.arange(len(codes)), codes] = 1

    def objective(flat: Floats) -> tuple[float, Floats]:
        found = flat.reshape(-1, classes)
        grid, unit = on_grid(found[:-1], -2)
        probability = softmax(rows @ grid * row_unit * unit + found[-1])
        own = probability[np.arange(len(codes)), codes]
        loss = -strength * float((weight * log(np.maximum(own, 1e-300))).sum())
        loss += 0.5 * float((found[:-1] ** 2).sum())
        error = (probability - said) * (strength * weight)[:, np.newaxis]
        grid, unit = on_grid(error, -2)
        slope = np.empty_like(found)
        slope[:-1] = columns @ grid * column_unit * unit + found[:-1]
        slope[-1] = error.sum(axis=0)
        return loss, slope.ravel()

    start = np.zeros((features.shape[1] + 1) * classes)
    return np.asarray(minimise(objective, start).reshape(-1, classes))


def logits_of(features: npt.NDArray[np.floating], weights: Floats) -> Floats:
    """Apply what `fit_regression` found: shape (n, classes)."""
    return np.asarray(product(features, weights[:-1]) + weights[-1])


def minimise(objective: Objective, start: Floats) -> Floats:
    """Find the minimum of a convex function that gives its value and gradient."""
    place, (value, slope) = start, objective(start)
    moves: list[tuple[Floats, Floats, float]] = []
    enough = _TOLERANCE * max(1.0, float(np.abs(slope).max()))
    for _ in range(_MOST_STEPS):
        if float(np.abs(slope).max()) <= enough:
            break
        direction = -_against_curvature(slope, moves)
        steepness = _dot(direction, slope)
        length = 1.0 if moves else min(1.0, 1 / max(float(np.abs(slope).sum()), 1e-30))
        for _ in range(30):
            tried = place + length * direction
            new_value, new_slope = objective(tried)
            if new_value <= value + 1e-4 * length * steepness:
                break
            length /= 2
        else:
            break
        step, change = tried - place, new_slope - slope
        along = _dot(step, change)
        if along > 1e-12 * _dot(step, step):
            moves = [*moves, (step, change, 1 / along)][-_MEMORY:]
        place, value, slope = tried, new_value, new_slope
    return place


def _against_curvature(slope: Floats, moves: list[tuple[Floats, Floats, float]]) -> Floats:
    """Multiply by the inverse of the curvature that the last moves tell of."""
    found, sizes = slope.copy(), []
    for step, change, scale in reversed(moves):
        sizes.append(scale * _dot(step, found))
        found -= sizes[-1] * change
    if moves:
        step, change, scale = moves[-1]
        found /= scale * _dot(change, change)
    for (step, change, scale), size in zip(moves, reversed(sizes), strict=True):
        found += step * (size - scale * _dot(change, found))
    return found


def _dot(one: Floats, other: Floats) -> float:
    return float((one * other).sum())
