"""Peaks of a stack of filtered images: where, how high, how elongated, how even all round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Peaks:
    """Local maxima of a stack, one element each in every array.

    Parameters
    ----------
    rung, y, x : ndarray of float64
        Place in the stack, refined below the sampling.
    value : ndarray of float64
        Height at the refined place.
    elongation : ndarray of float64
        Ratio of the larger to the smaller principal curvature in the image plane: 1 for a round
        peak, without bound for a ridge.
    whole : (ndarray, ndarray, ndarray) of int64
        The voxel of each maximum, ``(rung, y, x)``.
    """

    rung: Floats
    y: Floats
    x: Floats
    value: Floats
    elongation: Floats
    whole: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]


def find_peaks(stack: npt.NDArray[np.float32], floor: float = 0.0) -> Peaks:
    """Find the local maxima of filtered images over place and scale.

    A maximum is a voxel above ``floor`` that is not below any of its 26 neighbours (fewer at the
    border); of neighbours that are equal the first in index order counts. Maxima on the outermost
    pixels and at the first and last rung are left out: what belongs there may be higher still
    beyond. Place, scale and height are refined by a parabola along each axis.

    Parameters
    ----------
    stack : ndarray of float32, shape (rungs, y, x)
    floor : float, optional

    Returns
    -------
    Peaks
        In index order (rung, y, x).
    """
    rungs = len(stack)
    if rungs < 3:
        raise ValueError("a stack needs three rungs at least")
    rung, y, x = _local_maxima(stack, floor)
    inside = (rung > 0) & (rung < rungs - 1)
    inside &= (y > 0) & (y < stack.shape[1] - 1) & (x > 0) & (x < stack.shape[2] - 1)
    rung, y, x = rung[inside], y[inside], x[inside]

    def at(up: int, down: int, right: int) -> Floats:
        return stack[rung + up, y + down, x + right].astype(np.float64)

    centre = at(0, 0, 0)
    shift_rung, gain_rung, _ = parabola(at(-1, 0, 0), centre, at(1, 0, 0))
    shift_y, gain_y, curve_y = parabola(at(0, -1, 0), centre, at(0, 1, 0))
    shift_x, gain_x, curve_x = parabola(at(0, 0, -1), centre, at(0, 0, 1))
    mixed = (at(0, 1, 1) + at(0, -1, -1) - at(0, 1, -1) - at(0, -1, 1)) / 4
    return Peaks(
        rung + shift_rung,
        y + shift_y,
        x + shift_x,
        centre + gain_rung + gain_y + gain_x,
        _elongation(curve_y, curve_x, mixed),
        (rung, y, x),
    )


def evenness(
    image: npt.NDArray[np.float32],
    y: Floats,
    x: Floats,
    inner: Floats,
    outer: tuple[Floats, Floats],
    directions: int = 16,
) -> Floats:
    """Tell how evenly a ring about each place stands out from what lies outside it.

    In each direction the value on the inner ring is compared with the mean of the values on the
    two outer rings. Where a blob stands out all round, the lower quartile of these contrasts is
    near their mean; for a ring lying on part of a membrane or between two neighbours it is far
    below.

    Parameters
    ----------
    image : ndarray of float32, shape (y, x)
        Lightly smoothed; mirrored beyond its border.
    y, x : ndarray of float64, shape (places,)
        In pixels.
    inner : ndarray of float64, shape (places,)
        Radius of the inner ring in pixels.
    outer : (ndarray, ndarray), each of shape (places,)
        Radii of the outer rings in pixels.
    directions : int, optional

    Returns
    -------
    ndarray of float64, shape (places,)
        Lower quartile of the contrasts divided by their mean, 0 to 1; 0 where the mean is not
        positive.
    """
    angle = 2 * np.pi * np.arange(directions) / directions
    sine, cosine = np.sin(angle), np.cos(angle)

    def ring(radius: Floats) -> Floats:
        rows = y[:, None] + radius[:, None] * sine
        columns = x[:, None] + radius[:, None] * cosine
        return interpolated(image, rows, columns)

    contrast = ring(inner) - (ring(outer[0]) + ring(outer[1])) / 2
    mean = contrast.mean(axis=1)
    quarter = directions // 4
    quartile = np.partition(contrast, quarter, axis=1)[:, quarter]
    ratio = quartile / np.where(mean > 0, mean, 1.0)
    return np.where(mean > 0, np.clip(ratio, 0.0, 1.0), 0.0)


def _local_maxima(
    stack: npt.NDArray[np.float32], floor: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    highest = _highest_of_neighbours(stack)
    rung, y, x = np.nonzero((stack == highest) & (stack > floor))
    if len(rung) < 2:
        return rung, y, x
    # Equal neighbours, as a flat top has them, must give one peak: keep the first of each group.
    # np.nonzero lists in index order, so a group's first element is met first.
    _, height, width = stack.shape
    flat = (rung * height + y) * width + x
    keep = np.ones(len(flat), dtype=bool)
    for up in (0, 1):
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                step = (up * height + down) * width + right
                if step <= 0:
                    continue
                later = np.searchsorted(flat, flat + step)
                later = np.minimum(later, len(flat) - 1)
                same = (
                    (flat[later] == flat + step) & (y[later] - y == down) & (x[later] - x == right)
                )
                keep[later[same]] = False
    return rung[keep], y[keep], x[keep]


def _highest_of_neighbours(stack: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Give the maximum over each voxel and its neighbours, axis by axis."""
    for axis in range(stack.ndim):
        moved = np.moveaxis(stack, axis, 0)
        result = stack.copy()
        into = np.moveaxis(result, axis, 0)
        np.maximum(into[1:], moved[:-1], out=into[1:])
        np.maximum(into[:-1], moved[1:], out=into[:-1])
        stack = result
    return stack


def parabola(before: Floats, centre: Floats, after: Floats) -> tuple[Floats, Floats, Floats]:
    """Find the vertex of the parabola through three equidistant values.

    Parameters
    ----------
    before, centre, after : ndarray of float64

    Returns
    -------
    shift : ndarray of float64
        Place of the vertex from the centre in steps, within half a step; 0 where it is no peak.
    gain : ndarray of float64
        Height there over the centre.
    curvature : ndarray of float64
        Positive for a peak.
    """
    curvature = 2 * centre - before - after
    slope = (after - before) / 2
    shift = np.divide(slope, curvature, out=np.zeros_like(slope), where=curvature > 0)
    shift = np.clip(shift, -0.5, 0.5)
    return shift, slope * shift - curvature * shift**2 / 2, curvature


def _elongation(curve_y: Floats, curve_x: Floats, mixed: Floats) -> Floats:
    middle = (curve_y + curve_x) / 2
    spread = np.hypot((curve_y - curve_x) / 2, mixed)
    smaller = middle - spread
    result = np.full(middle.shape, np.inf)
    np.divide(middle + spread, smaller, out=result, where=smaller > 0)
    return result


def interpolated(image: npt.NDArray[np.float32], rows: Any, columns: Any) -> Floats:
    """Give linearly interpolated values at places in pixels, the image mirrored at its border."""
    from scipy.ndimage import map_coordinates

    return np.asarray(
        map_coordinates(image, [rows, columns], order=1, mode="reflect"), dtype=np.float64
    )
