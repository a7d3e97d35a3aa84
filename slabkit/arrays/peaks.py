"""Peaks of a stack of filtered images: where, how high, how elongated, how even all round."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from slabkit.arrays.ridges import MirroredImage

Floats = npt.NDArray[np.float64]
Voxels = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]

_PLACES_AT_ONCE = 512

# Steps to the 26 neighbours of a voxel.
_NEIGHBOURS = [
    (up, down, right) for up, down, right in product((-1, 0, 1), repeat=3) if up or down or right
]

FOUR = ((0, 1), (0, -1), (1, 0), (-1, 0))
"""Steps to the neighbours of a pixel in row and column."""

EIGHT = (*FOUR, (1, 1), (1, -1), (-1, 1), (-1, -1))
"""Steps to all neighbours of a pixel."""


@dataclass(frozen=True)
class Peaks:
    """Local maxima of a stack, one element each in every array."""

    # Place in the stack, refined below the sampling
    rung: Floats
    y: Floats
    x: Floats
    value: Floats  # height at the refined place
    # Ratio of the larger to the smaller principal curvature in the image plane: 1 for a round peak,
    # without bound for a ridge
    elongation: Floats
    whole: Voxels  # the voxel of each maximum, ``(rung, y, x)``


def find_peaks(stack: npt.NDArray[np.float32], floor: float = 0.0) -> Peaks:
    """Find the local maxima of filtered images over place and scale.

    A maximum is a voxel above ``floor`` that is not below any of its 26 neighbours (fewer at the
    border); of neighbours that are equal the first in index order counts. Maxima on the outermost
    pixels and at the first and last rung are left out: what belongs there may be higher still
    beyond. Place, scale and height are refined by a parabola along each axis; beside a rung that
    is infinite, which ends a stack, not along scale.

    Parameters
    ----------
    stack : ndarray of float32, shape (rungs, y, x)
    floor : float, optional

    Returns
    -------
    Peaks
        In index order (rung, y, x).
    """
    if len(stack) < 3:
        raise ValueError("a stack needs three rungs at least")
    place = _local_maxima(stack, floor)
    rung, y, x = np.unravel_index(place, stack.shape)
    values = stack.ravel()

    def at(up: int, down: int, right: int) -> Floats:
        return values.take(place + _step(stack, (up, down, right))).astype(np.float64)

    centre = at(0, 0, 0)
    shift_rung, gain_rung = along_scale(at(-1, 0, 0), centre, at(1, 0, 0))
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
    """Tell how evenly a ring about each place differs from what lies outside it.

    In each direction the value on the inner ring is compared with the mean of the values on the
    two outer rings. Where a blob has contrast all round, the lower quartile of these contrasts is
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
    quarter = directions // 4
    result = np.zeros(len(y))
    largest = max(float(radius.max(initial=0.0)) for radius in (inner, *outer))
    mirrored = MirroredImage(image, largest)
    for start in range(0, len(y), _PLACES_AT_ONCE):
        some = slice(start, start + _PLACES_AT_ONCE)
        rings = (
            mirrored.at(
                y[some, None] + radius[some, None] * sine,
                x[some, None] + radius[some, None] * cosine,
            )
            for radius in (inner, *outer)
        )
        contrast = next(rings) - (next(rings) + next(rings)) / 2
        mean = contrast.mean(axis=1)
        quartile = np.partition(contrast, quarter, axis=1)[:, quarter]
        ratio = quartile / np.where(mean > 0, mean, 1.0)
        result[some] = np.where(mean > 0, np.clip(ratio, 0.0, 1.0), 0.0)
    return result


def _local_maxima(stack: npt.NDArray[np.float32], floor: float) -> npt.NDArray[np.int64]:
    """Give the indices, ascending, of maxima that are not outermost voxels of any axis."""
    rungs, height, width = stack.shape
    if min(stack.shape) < 3:
        return np.zeros(0, dtype=np.int64)
    images = stack.reshape(rungs, -1)
    inside = slice(width + 1, height * width - width - 1)
    around, room = np.empty((3, height * width), np.float32), np.empty(height * width, np.float32)
    found = []
    for rung in range(rungs):
        _highest_of_nine(images[rung], width, around[rung % 3], room)
        if rung < 2:
            continue
        image, (below, own, above) = images[rung - 1], (around[(rung + k) % 3] for k in (1, 2, 0))
        place = np.flatnonzero(image[inside] >= own[inside])
        place += inside.start
        place = place[image.take(place) > floor]
        for other in (below, above):
            place = place[image.take(place) >= other.take(place)]
        column = place % width
        place = place[(column > 0) & (column < width - 1)]
        place += (rung - 1) * (height * width)
        found.append(place)
    place = np.concatenate(found)
    values = stack.ravel()
    value = values.take(place)
    steps = [_step(stack, steps) for steps in _NEIGHBOURS]
    tied = any((value == values.take(place + step)).any() for step in steps if step < 0)
    return _first_of_equals(stack, place) if tied else place


def _highest_of_nine(
    image: npt.NDArray[np.float32],
    width: int,
    out: npt.NDArray[np.float32],
    room: npt.NDArray[np.float32],
) -> None:
    """Give the highest of each pixel and those around it; no more than filled at the border."""
    np.maximum(image[:-1], image[1:], out=room[:-1])
    np.maximum(room[:-2], room[1:-1], out=out[1:-1])
    out[0], out[-1] = image[0], image[-1]
    np.maximum(out[:-width], out[width:], out=room[:-width])
    np.maximum(room[: -2 * width], room[width:-width], out=out[width:-width])


def _first_of_equals(
    stack: npt.NDArray[np.float32], place: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Leave of maxima beside an equal one, as a flat top has them, the first in index order."""
    rung, y, x = np.unravel_index(place, stack.shape)
    value = stack[rung, y, x]
    keep = np.ones(len(place), dtype=bool)
    for up, down, right in _NEIGHBOURS:
        if _step(stack, (up, down, right)) < 0:
            some = np.flatnonzero(stack[rung + up, y + down, x + right] == value)
            keep[some] &= ~_is_highest(stack, (rung[some] + up, y[some] + down, x[some] + right))
    return place[keep]


def _step(stack: npt.NDArray[np.float32], steps: tuple[int, int, int]) -> int:
    """Give the distance in index order between a voxel and one that is so many steps away."""
    height, width = int(stack.shape[1]), int(stack.shape[2])
    return (steps[0] * height + steps[1]) * width + steps[2]


def _is_highest(stack: npt.NDArray[np.float32], voxel: Voxels) -> npt.NDArray[np.bool_]:
    """Whether voxels, perhaps outermost ones, are not below any of their neighbours."""
    result = np.ones(len(voxel[0]), dtype=bool)
    for steps in _NEIGHBOURS:
        beside = tuple(
            np.clip(index + step, 0, size - 1)
            for index, step, size in zip(voxel, steps, stack.shape, strict=True)
        )
        result &= stack[voxel] >= stack[beside]
    return result


def parabola(before: Floats, centre: Floats, after: Floats) -> tuple[Floats, Floats, Floats]:
    """Find the vertex of the parabola through three equidistant values.

    Gives its place from the centre in steps, within half a step and 0 where it is no peak; its
    height over the centre; and the curvature, positive for a peak.
    """
    curvature = 2 * centre - before - after
    slope = (after - before) / 2
    shift = np.divide(slope, curvature, out=np.zeros_like(slope), where=curvature > 0)
    shift = np.clip(shift, -0.5, 0.5)
    return shift, slope * shift - curvature * shift**2 / 2, curvature


def along_scale(before: Floats, centre: Floats, after: Floats) -> tuple[Floats, Floats]:
    """Give the `parabola`'s place and height; zeros where a neighbour is infinite."""
    inside = np.isfinite(before) & np.isfinite(after)
    shift, gain, _ = parabola(
        np.where(inside, before, centre), centre, np.where(inside, after, centre)
    )
    return shift, gain


def _elongation(curve_y: Floats, curve_x: Floats, mixed: Floats) -> Floats:
    middle = (curve_y + curve_x) / 2
    spread = np.hypot((curve_y - curve_x) / 2, mixed)
    smaller = middle - spread
    result = np.full(middle.shape, np.inf)
    np.divide(middle + spread, smaller, out=result, where=smaller > 0)
    return result


def highest_beside(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Give the highest of each pixel and its eight neighbours."""
    for axis in (0, 1):
        of = np.moveaxis(values, axis, 0)
        values = values.copy()
        into = np.moveaxis(values, axis, 0)
        np.maximum(into[1:], of[:-1], out=into[1:])
        np.maximum(into[:-1], of[1:], out=into[:-1])
    return values


def lowest_beside(
    wanted: npt.NDArray[np.bool_],
    values: npt.NDArray[np.float32],
    steps: tuple[tuple[int, int], ...],
) -> npt.NDArray[np.float32]:
    """Give the lowest of the values of wanted pixels that a pixel is beside; infinite: of none."""
    rows, columns = np.nonzero(wanted)
    result = np.full(wanted.shape, np.inf, dtype=np.float32)
    for down, right in steps:
        row, column = rows + down, columns + right
        inside = (row >= 0) & (row < wanted.shape[0]) & (column >= 0) & (column < wanted.shape[1])
        np.minimum.at(result, (row[inside], column[inside]), values[rows, columns][inside])
    return result
