"""Boxes of voxels about points, at sub-voxel positions, with steps of their own along each axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.plane_sums import Voxels

Floats = npt.NDArray[np.float64]
Taps = tuple[npt.NDArray[np.int64], Floats]


def cut_boxes(
    voxels: Voxels, centres: Floats, shape: tuple[int, int, int], steps: Sequence[float]
) -> npt.NDArray[np.float32]:
    """Sample a box about each point: linearly, with a wider kernel where steps exceed a voxel.

    Parameters
    ----------
    voxels : Voxels
    centres : ndarray of float64, shape (n, 3)
        Positions ``(z, y, x)`` in voxels, anywhere. Beyond the volume its edge voxels are repeated.
    shape : tuple of int
        Samples along ``(z, y, x)``; the point is at sample ``count // 2`` of each.
    steps : sequence of float
        Distances between samples along ``(z, y, x)``, in voxels.

    Returns
    -------
    ndarray of float32, shape (n, *shape)
    """
    boxes = np.empty((len(centres), *shape), dtype=np.float32)
    for number, centre in enumerate(centres):
        taps = [
            _taps(float(place), count, step, size)
            for place, count, step, size in zip(centre, shape, steps, voxels.shape, strict=True)
        ]
        z, y, x = (int(index.min()) for index, _ in taps)
        last_z, last_y, last_x = (int(index.max()) + 1 for index, _ in taps)
        block = voxels.read((z, y, x), (last_z, last_y, last_x))
        if block.dtype.kind == "f" and not np.isfinite(block).all():
            block = voxels.mend(block, (z, y, x))
        found: npt.NDArray[Any] = block.astype(np.float64)
        for axis, (index, weights) in enumerate(taps):
            found = _resampled(found, index - index.min(), weights, axis)
        boxes[number] = found
    return boxes


def cut_images(
    images: npt.NDArray[np.floating[Any]], side: int, step: float
) -> npt.NDArray[np.float32]:
    """Sample square images (n, y, x) about pixel ``count // 2``, as `cut_boxes` does."""
    size = images.shape[-1]
    first = size // 2 - side // 2
    if step == 1 and 0 <= first <= size - side:
        inside = slice(first, first + side)
        return images[:, inside, inside].astype(np.float32)
    index, weights = _taps(float(size // 2), side, step, size)
    found: npt.NDArray[Any] = images.astype(np.float64)
    for axis in (1, 2):
        found = _resampled(found, index, weights, axis)
    return found.astype(np.float32)


def _taps(centre: float, count: int, step: float, size: int) -> Taps:
    """Give the voxels, (count, taps), and the weights that make the samples of a line."""
    width = max(1.0, step)
    place = centre + (np.arange(count) - count // 2) * step
    first = np.floor(place - width).astype(np.int64) + 1
    index = first[:, np.newaxis] + np.arange(math.ceil(2 * width))
    weights = np.maximum(1 - np.abs(index - place[:, np.newaxis]) / width, 0)
    return index.clip(0, size - 1), weights / weights.sum(axis=1, keepdims=True)


def _resampled(values: Floats, index: npt.NDArray[np.int64], weights: Floats, axis: int) -> Floats:
    shape = [1] * values.ndim
    shape[axis] = len(index)
    total = np.zeros(1)
    for tap, weight in zip(index.T, weights.T, strict=True):
        total = total + values.take(tap, axis) * weight.reshape(shape)
    return total
