"""Names for class averages: which map has a view that looks most like each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.backends import Backend
from slabkit.arrays.exact import squared_size
from slabkit.classification.expectation import Comparison, References
from slabkit.classification.harmonics import (
    CircularHarmonics,
    Coefficients,
    Floats,
    Shifts,
    shift_grid,
)
from slabkit.errors import InputError

LEAST_COEFFICIENT, LEAST_MARGIN = 0.6, 0.02
RINGS = 12  # periods in a box
_RADIUS = 0.38  # of the box: the mask
_REACH = 0.075  # of the box: shifts
_STEPS = 40  # of a box: the step of shifts
_ROTATIONS = 60
_SHARPENING = 1.5  # power of the frequency by which rings are weighed
_PRECISION = 200.0  # at which the best of all poses decides


@dataclass(frozen=True)
class ClassNames:
    """What maps say of class averages, one element a class.

    Attributes
    ----------
    species : ndarray of str, shape (classes,)
        The best map's name; empty where it fits too little or the second best fits as well.
    best : ndarray of str, shape (classes,)
        The best map's name, whatever it is worth.
    coefficient : ndarray, shape (classes,)
        Of the best view of the best map, -1 to 1.
    margin : ndarray, shape (classes,)
        By which it exceeds the best coefficient of another map; NaN if there is no other.
    """

    species: npt.NDArray[np.object_]
    best: npt.NDArray[np.object_]
    coefficient: Floats
    margin: Floats


def name_averages(averages: npt.NDArray[Any], views: Mapping[str, npt.NDArray[Any]]) -> ClassNames:
    """Name class averages by the map that fits best.

    Each average is correlated with all views of each map at all in-plane rotations (6°) and
    shifts up to 0.075 of the box, on Fourier rings of 1 to 12 periods in a box, under a soft mask
    of 0.76 of the box. Rings are weighed by the 1.5th power of their frequency: outlines, which
    all compact particles share, would decide otherwise.

    Parameters
    ----------
    averages : ndarray, shape (classes, y, x)
        Protein bright.
    views : mapping of str to ndarray, shape (views, y, x)
        Of each map, of the same box and pixel size; see `slabkit.map_views`.

    Returns
    -------
    ClassNames
        A class is named if its best coefficient is 0.6 or more, and 0.02 or more above that of
        the next map.

    Raises
    ------
    InputError
        There is no map, or views and averages have different sizes.
    """
    averages = np.asarray(averages)
    if not views:
        raise InputError("there is no map to name classes by.")
    side = averages.shape[-1]
    for name, stack in views.items():
        if stack.ndim != 3 or stack.shape[1:] != averages.shape[1:]:
            raise InputError(
                f"the views of {name or 'the map'} have shape {stack.shape}, the averages "
                f"{averages.shape}."
            )
    basis = CircularHarmonics(side, _RADIUS * side, min(RINGS, side // 2))
    step = max(side / _STEPS, 1.0)
    shifts = Shifts(basis, *shift_grid(_REACH * side, step))
    comparison = Comparison(basis, shifts, _ROTATIONS, Backend())
    images = _sharpened(averages, basis)
    found = []
    for stack in views.values():
        references = _sharpened(stack, basis)
        level = np.zeros((len(references), len(shifts)))
        result = comparison.run(
            lambda batch: images[batch],
            len(images),
            References(references, level, _PRECISION),
            average=False,
        )
        found.append(result.agreement.astype(np.float64))
    coefficients = np.round(found, 4)
    order = np.argsort(-coefficients, axis=0, kind="stable")
    best = np.take_along_axis(coefficients, order, axis=0)
    margin = best[0] - best[1] if len(best) > 1 else np.full(len(images), np.nan)
    names = np.array(list(views), dtype=object)[order[0]]
    # Not NaN >= ...: a single map is judged by its coefficient alone.
    fits = (best[0] >= LEAST_COEFFICIENT) & ~(np.round(margin, 4) < LEAST_MARGIN)
    return ClassNames(np.where(fits, names, ""), names, best[0], margin)


def _sharpened(images: npt.NDArray[Any], basis: CircularHarmonics) -> Coefficients:
    """Expand images, weigh the rings, and scale each to unit norm."""
    weight = ((basis.frequency * basis.box_px) ** _SHARPENING)[basis.ring].astype(np.float32)
    found = basis.transform(images) * weight
    norm = np.sqrt(np.einsum("nc,c->n", squared_size(found), basis.weight))
    return np.asarray(found / np.maximum(norm, 1e-30)[:, None], dtype=np.complex64)
