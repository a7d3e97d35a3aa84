"""Lines that run past a place: membranes seen edge-on, which a blob filter takes for particles.

A membrane in a slab is a line some 40 to 80 Å wide (more where it is tilted) that continues for
hundreds of Å, straight or gently bent. On either side of a blob that lies on it the line comes out
again; from a particle, or from two that touch, nothing does. Lines are followed in an image that
continues beyond its border as its mirror image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class MirroredImage:
    """An image made ready for looking up many places, also a little beyond its border.

    There it continues as ``d c b a | a b c d | d c b a``; ``margin`` says how far beyond the
    outermost pixels' centres places may lie, in pixels.
    """

    def __init__(self, image: npt.NDArray[np.float32], margin: float) -> None:
        self._margin = int(np.ceil(margin)) + 1
        padded = np.pad(image, self._margin, mode="symmetric")
        self._width = padded.shape[1]
        self._values = padded.astype(np.float64).ravel()

    def at(self, rows: Floats, columns: Floats) -> Floats:
        """Interpolate linearly at places in pixels, quickest for some thousand at a time.

        Rounded as the image is, so that equal places have equal values.
        """
        above, left = np.floor(rows), np.floor(columns)
        down, across = rows - above, columns - left
        above *= self._width
        above += left
        above += self._margin * (self._width + 1)
        index = above.astype(np.int64)
        top = self._values.take(index)
        index += 1
        step = self._values.take(index)
        step -= top
        step *= across
        top += step
        index += self._width
        step = self._values.take(index)
        index -= 1
        bottom = self._values.take(index)
        step -= bottom
        step *= across
        bottom += step
        bottom -= top
        bottom *= down
        top += bottom
        return top.astype(np.float32).astype(np.float64)


LINE_SIGMA = 20.0
"""Standard deviation (Å) of the Gaussian by which the image is smoothed: half a membrane."""

SIDE_DISTANCE = 80.0
"""How far (Å) to the side of a line its surround is sampled: beyond the wall of a membrane."""

LOOKED_AT = (20.0, 70.0, 120.0)
"""Where (Å) a line is sampled, counted from the edge of the blob outwards."""

BEND_RADIUS = 300.0
"""Lines are followed straight on and bent either way by this radius (Å): a small vesicle."""

SMALLEST_ANGLE = 150.0
"""Least angle (degrees) between the two directions in which a membrane leaves a blob."""

_DIRECTIONS = 16
_BENDS = np.array([[-1.0], [0.0], [1.0]]) / BEND_RADIUS
_PLACES_AT_ONCE = 256  # what is at hand at a time fits in a cache


def ridge_heights(
    image: npt.NDArray[np.float32], y: Floats, x: Floats, radius: Floats, pixel_size: float
) -> Floats:
    """Tell how high a line is that runs into a blob on one side and out on another.

    In each of 16 directions, straight and bent either way, a path is sampled in the middle of the
    blob and beyond its edge. The height of a line along it is the value on the path less the mean
    of the two values to its sides, where that is least: a line must pass through the blob, which it
    does not where a shell is hollow. Of the directions two are taken that are 150° apart or more,
    such that the lower of their heights is greatest: it must come out on both sides.

    Places are in pixels, radii in Å; the image is smoothed with `LINE_SIGMA`, protein positive.
    """
    return Ridges(image, pixel_size, float(radius.max(initial=0.0))).heights(y, x, radius)


class Ridges:
    """An image made ready for `ridge_heights` at several lots of places; lengths in Å."""

    def __init__(
        self, image: npt.NDArray[np.float32], pixel_size: float, largest_radius: float
    ) -> None:
        self._pixel_size = pixel_size
        margin = (largest_radius + max(LOOKED_AT) + SIDE_DISTANCE) / pixel_size
        self._image = MirroredImage(image, margin)

    def heights(self, y: Floats, x: Floats, radius: Floats) -> Floats:
        """Give what `ridge_heights` gives."""
        height = np.zeros(len(y))
        for start in range(0, len(y), _PLACES_AT_ONCE):
            some = slice(start, start + _PLACES_AT_ONCE)
            height[some] = _heights(self._image, y[some], x[some], radius[some], self._pixel_size)
        return height


def _heights(
    image: MirroredImage, y: Floats, x: Floats, radius: Floats, pixel_size: float
) -> Floats:
    aside = SIDE_DISTANCE / pixel_size
    leaving = 2 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    sine, cosine = np.sin(leaving), np.cos(leaving)

    def above_sides(rows: Floats, columns: Floats, sin: Floats, cos: Floats) -> Floats:
        """Give the value less the mean of those on both sides of a line in a direction."""
        down, right = aside * cos, -aside * sin
        beside = image.at(rows + down, columns + right)
        beside += image.at(rows - down, columns - right)
        beside /= -2
        beside += image.at(rows, columns)
        return beside

    # Axes: bends, places, directions. In the middle all bends are one, and so are both directions
    # of a line.
    half = _DIRECTIONS // 2
    rows, columns = (np.repeat(place[:, None], half, axis=1) for place in (y, x))
    middle = above_sides(rows, columns, sine[:half], cosine[:half])
    height = np.broadcast_to(np.tile(middle, 2), (len(_BENDS), len(y), _DIRECTIONS))
    rows, columns = np.tile(y, len(_BENDS)), np.tile(x, len(_BENDS))
    # The least value counts, and only where it and another direction's are above 0: all else need
    # not be followed. The farthest value excludes most.
    for away in (radius + distance for distance in sorted(LOOKED_AT, reverse=True)):
        some = height > 0
        path = np.flatnonzero(some & _opposite(np.logical_or.reduce(some)))
        bend_and_place, direction = path // _DIRECTIONS, path % _DIRECTIONS
        # An arc of length s that leaves at an angle a and bends by k an Å ends in the direction
        # a + k s, at the distance sin(k s / 2) / (k / 2) in the direction a + k s / 2.
        half_turn = (_BENDS * away / 2).ravel()
        reach = np.tile(away, len(_BENDS)) * np.sinc(half_turn / np.pi) / pixel_size
        turn = np.sin(half_turn).take(bend_and_place), np.cos(half_turn).take(bend_and_place)
        towards = _turned((sine.take(direction), cosine.take(direction)), turn)
        reach = reach.take(bend_and_place)
        value = above_sides(
            rows.take(bend_and_place) + reach * towards[0],
            columns.take(bend_and_place) + reach * towards[1],
            *_turned(towards, turn),
        )
        followed = np.zeros(height.shape)
        followed.ravel()[path] = np.minimum(height.ravel().take(path), value)
        height = followed
    highest = height.max(axis=0)
    both = np.minimum(highest, _opposite(highest)).max(axis=1)
    return np.asarray(np.maximum(both, 0.0), dtype=np.float64)


def _turned(angle: tuple[Floats, Floats], turn: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Add angles that are given by their sines and cosines."""
    return (
        angle[0] * turn[1] + angle[1] * turn[0],
        angle[1] * turn[1] - angle[0] * turn[0],
    )


def _opposite(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Give for each direction, the last axis, the highest value on the other side of the blob."""
    smallest = int(np.ceil(SMALLEST_ANGLE * _DIRECTIONS / 360))
    turns = range(smallest, _DIRECTIONS - smallest + 1)
    twice = np.concatenate([values, values], axis=-1)
    return np.asarray(np.maximum.reduce([twice[..., turn : turn + _DIRECTIONS] for turn in turns]))
