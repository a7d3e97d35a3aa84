"""Boxes of voxels about points, at sub-voxel positions, with steps of their own along each axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.plane_sums import Voxels

Floats = npt.NDArray[np.float64]


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
    lines = [
        _taps(centres[:, axis], count, steps[axis], voxels.shape[axis])
        for axis, count in enumerate(shape)
    ]
    even = [_strides(index) for index, _ in lines]
    starts = np.column_stack([index.min(axis=(1, 2)) for index, _ in lines]).tolist()
    stops = np.column_stack([index.max(axis=(1, 2)) + 1 for index, _ in lines]).tolist()
    for number, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        block = voxels.read(tuple(start), tuple(stop))
        if block.dtype.kind == "f" and not np.isfinite(block).all():
            block = voxels.mend(block, tuple(start))
        found: npt.NDArray[Any] = block.astype(np.float64)
        for axis, (index, weights) in enumerate(lines):
            taps = index[number] - start[axis], weights[number]
            found = _resampled(found, *taps, axis, even[axis][number])
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
    index, weights = (part[0] for part in _taps(np.array([size // 2]), side, step, size))
    even = _strides(index[np.newaxis])[0]
    found: npt.NDArray[Any] = images.astype(np.float64)
    for axis in (1, 2):
        found = _resampled(found, index, weights, axis, even)
    return found.astype(np.float32)


def _taps(
    centres: npt.NDArray[Any], count: int, step: float, size: int
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Give the voxels, (n, count, taps), and the weights that make the samples of lines."""
    width = max(1.0, step)
    place = centres[:, np.newaxis] + (np.arange(count) - count // 2) * step
    first = np.floor(place - width).astype(np.int64) + 1
    index = first[..., np.newaxis] + np.arange(math.ceil(2 * width))
    weights = np.maximum(1 - np.abs(index - place[..., np.newaxis]) / width, 0)
    return index.clip(0, size - 1), weights / weights.sum(axis=2, keepdims=True)


def _strides(index: npt.NDArray[np.int64]) -> list[list[int]]:
    """Give how far the samples of each tap are apart, 0 where they are not even: (n, taps)."""
    apart = np.diff(index, axis=1)
    even = (apart == apart[:, :1]).all(axis=1)
    found: list[list[int]] = np.where(even, apart.max(axis=1, initial=0), 0).tolist()
    return found


def _resampled(
    values: Floats,
    index: npt.NDArray[np.int64],
    weights: Floats,
    axis: int,
    strides: list[int],
) -> Floats:
    shape = [1] * values.ndim
    shape[axis] = len(index)
    total: Floats | None = None
    for tap, weight, stride in zip(index.T, weights.T, strides, strict=True):
        if stride:  # a view
            samples = slice(int(tap[0]), int(tap[-1]) + 1, stride)
            part = values[(slice(None),) * axis + (samples,)] * weight.reshape(shape)
        else:
            part = values.take(tap, axis) * weight.reshape(shape)
        total = part if total is None else np.add(total, part, out=total)
    assert total is not None
    return total
