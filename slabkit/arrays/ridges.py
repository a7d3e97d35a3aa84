"""Lines that run past a place: membranes seen edge-on, which a blob filter takes for particles.

A membrane in a slab is a line some 40 to 80 Å wide (more where it is tilted) that goes on for
hundreds of Å, straight or gently bent. On either side of a blob that lies on it the line comes out
again; from a particle, or from two that touch, nothing does.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slabkit.arrays.peaks import interpolated

Floats = npt.NDArray[np.float64]

LINE_SIGMA = 20.0
"""Standard deviation (Å) of the Gaussian by which the image is smoothed: half a membrane."""

SIDE_DISTANCE = 80.0
"""How far (Å) beside a line its surround is looked at: beyond the wall of a membrane."""

LOOKED_AT = (20.0, 70.0, 120.0)
"""Where (Å) a line is looked at, counted from the edge of the blob outwards."""

BEND_RADIUS = 300.0
"""Lines are followed straight on and bent either way by this radius (Å): a small vesicle."""

SMALLEST_ANGLE = 150.0
"""Least angle (degrees) between the two directions in which a membrane leaves a blob."""

_DIRECTIONS = 16
_PLACES_AT_ONCE = 1024  # bounds the memory, about 20 MB


def ridge_heights(
    image: npt.NDArray[np.float32], y: Floats, x: Floats, radius: Floats, pixel_size: float
) -> Floats:
    """Tell how high a line stands that runs into a blob on one side and out on another.

    In each of 16 directions, straight and bent either way, a path is looked at in the middle of the
    blob and beyond its edge. The height of a line along it is the value on the path less the mean
    of the two values beside it, where that is least: a line must pass through the blob, which it
    does not where a shell is hollow. Of the directions two are taken that are 150° apart or more,
    such that the lower of their heights is greatest: it must come out on both sides.

    Parameters
    ----------
    image : ndarray of float32, shape (y, x)
        Protein positive, smoothed with `LINE_SIGMA`; mirrored beyond its border.
    y, x : ndarray of float64, shape (places,)
        Centres of blobs in pixels.
    radius : ndarray of float64, shape (places,)
        Their radii in Å.
    pixel_size : float
        In Å.

    Returns
    -------
    ndarray of float64, shape (places,)
        In the units of the image; 0 where there is no line.
    """
    heights = [
        _heights(image, y[some], x[some], radius[some], pixel_size)
        for some in (
            slice(start, start + _PLACES_AT_ONCE) for start in range(0, len(y), _PLACES_AT_ONCE)
        )
    ]
    return np.concatenate(heights) if heights else np.zeros(0)


def _heights(
    image: npt.NDArray[np.float32], y: Floats, x: Floats, radius: Floats, pixel_size: float
) -> Floats:
    # Axes: places, directions, bends, distances.
    away = np.column_stack([np.zeros(len(radius)), radius[:, None] + np.array(LOOKED_AT)])
    away = away[:, None, None, :]
    leaving = 2 * np.pi * np.arange(_DIRECTIONS)[:, None, None] / _DIRECTIONS
    bend = np.array([-1.0, 0.0, 1.0])[:, None] / BEND_RADIUS
    # An arc of length s that leaves at an angle a and bends by k an Å ends in the direction
    # a + k s, at the distance sin(k s / 2) / (k / 2) in the direction a + k s / 2.
    half_turn = bend * away / 2
    reach = away * np.sinc(half_turn / np.pi) / pixel_size
    rows = y[:, None, None, None] + reach * np.sin(leaving + half_turn)
    columns = x[:, None, None, None] + reach * np.cos(leaving + half_turn)
    heading = leaving + 2 * half_turn
    aside = SIDE_DISTANCE / pixel_size
    down, right = aside * np.cos(heading), -aside * np.sin(heading)
    beside = interpolated(image, rows + down, columns + right)
    beside += interpolated(image, rows - down, columns - right)
    along = interpolated(image, rows, columns) - beside / 2
    height = along.min(axis=3).max(axis=2)
    smallest = int(np.ceil(SMALLEST_ANGLE * _DIRECTIONS / 360))
    both = [
        np.minimum(height, np.roll(height, turn, axis=1)).max(axis=1)
        for turn in range(smallest, _DIRECTIONS // 2 + 1)
    ]
    return np.asarray(np.maximum(np.max(both, axis=0), 0.0), dtype=np.float64)
