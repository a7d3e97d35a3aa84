"""Class averages in real space: every image turned and shifted back once, at full resolution."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slabkit.arrays.parallel import map_in_order
from slabkit.classification.harmonics import Floats, Indices, Singles
from slabkit.classification.images import ImageSource

_BATCH = 200
_Posed: TypeAlias = tuple[Indices, Singles, Floats]
WITHIN = 0.42  # of the box, from its centre: where particles are


@dataclass(frozen=True)
class Averages:
    """Averages of classes.

    Attributes
    ----------
    images : ndarray of float32, shape (classes, y, x)
        Mean of the members, as they are, posed like their reference.
    halves : ndarray of float32, shape (2, classes, y, x)
        Means of the even and of the odd members.
    members : ndarray of int, shape (classes,)
    noise : ndarray, shape (classes,)
        Mean variance of a member's pixels away from the particle, see `noise_outside`.
    """

    images: Singles
    halves: Singles
    members: Indices
    noise: Floats


def average_classes(
    source: ImageSource,
    numbers: Indices,
    class_index: Indices,
    angle: Floats,
    shift_y: Floats,
    shift_x: Floats,
    classes: int,
    *,
    jobs: int = 1,
    advance: Callable[[], None] = lambda: None,
) -> Averages:
    """Average the images of each class, in the order of ``numbers``.

    The reference was shifted (pixels), then turned from x towards y (radians), to give an image.
    The result does not depend on ``jobs``; ``advance`` is called after each batch.
    """
    side = source.box_px
    sums = np.zeros((2, classes, side, side))
    counts = np.zeros((2, classes), dtype=np.intp)
    half = np.zeros(len(numbers), dtype=np.intp)
    for index in range(classes):
        own = np.flatnonzero(class_index == index)
        half[own] = np.arange(len(own)) % 2

    def pose(batch: Indices) -> _Posed:
        images = source.read(numbers[batch])
        posed = [
            turned_back(image, angle[i], shift_y[i], shift_x[i])
            for i, image in zip(batch, images, strict=True)
        ]
        return batch, np.stack(posed), noise_outside(images)

    noise = np.zeros(len(numbers))
    for batch, posed, outside in _in_order(pose, len(numbers), jobs):
        noise[batch] = outside
        for i, image in zip(batch, posed, strict=True):
            sums[half[i], class_index[i]] += image
            counts[half[i], class_index[i]] += 1
        advance()
    members = counts.sum(0)
    images = sums.sum(0) / np.maximum(members, 1)[:, None, None]
    halves = sums / np.maximum(counts, 1)[:, :, None, None]
    mean_noise = np.bincount(class_index, noise, classes) / np.maximum(members, 1)
    return Averages(images.astype(np.float32), halves.astype(np.float32), members, mean_noise)


def turned_back(
    image: npt.NDArray[np.floating], angle: float, shift_y: float, shift_x: float
) -> Singles:
    """Undo a shift and a turn, by cubic splines; beyond the image its edge is repeated."""
    from scipy.ndimage import affine_transform

    cosine, sine = np.cos(angle), np.sin(angle)
    matrix = np.array([[cosine, sine], [-sine, cosine]])
    centre = np.array(image.shape) // 2
    offset = centre + matrix @ (np.array([shift_y, shift_x]) - centre)
    turned = affine_transform(
        np.asarray(image, dtype=np.float32), matrix, offset, order=3, mode="nearest"
    )
    return np.asarray(turned, dtype=np.float32)


def noise_outside(images: npt.NDArray[np.floating]) -> Floats:
    """Give the variance of each image's pixels beyond 0.42 of the box, shape (n,)."""
    side = images.shape[1]
    outside = images[:, radius_px_of(side) > WITHIN * side]
    return np.asarray(outside.var(1, dtype=np.float64))


def radius_px_of(side: int) -> Floats:
    """Give each pixel's distance from the image's centre at index ``side // 2``."""
    y, x = np.indices((side, side)) - side // 2
    return np.hypot(y, x)


def _in_order(work: Callable[[Indices], _Posed], count: int, jobs: int) -> Iterator[_Posed]:
    batches = [np.arange(a, min(a + _BATCH, count)) for a in range(0, count, _BATCH)]
    return map_in_order(work, batches, jobs)
