"""Sampling lines of voxels at any position: interpolation in the plane, part planes in depth.

Positions, sizes and steps are in voxels of the volume, 0 = centre of the first voxel. A line of
``count`` pixels, ``step`` voxels apart, has its centre at pixel ``count // 2``.

Values between voxels come from a sinc under a Kaiser window of eight voxels each side (Kaiser and
Schafer 1980, doi:10.1109/TASSP.1980.1163349): at whole voxels it is the identity, up to 70 % of the
Nyquist frequency it is exact to 3e-4, where linear interpolation loses up to half; and being
finite it neither rings from the far side of the box, as a Fourier shift does, nor reads more
than a narrow margin. Beyond the volume its edge voxels are repeated for these few taps.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_HALF_WIDTH, _KAISER_BETA, _STEPS_PER_VOXEL = 8, 7.0, 1024


def interpolation_kernel(distance: Floats) -> Floats:
    """Give the weight of a sample at a distance (in samples); tabulated, good to 5e-7."""
    table, slope = _kernel_table()
    place = np.minimum(np.abs(distance) * _STEPS_PER_VOXEL, len(slope) - 1)
    index = place.astype(np.intp)
    values: Floats = table[index] + (place - index) * slope[index]
    return values


@functools.cache
def _kernel_table() -> tuple[Floats, Floats]:
    positions = np.arange(_HALF_WIDTH * _STEPS_PER_VOXEL + 1) / _STEPS_PER_VOXEL
    window = np.i0(_KAISER_BETA * np.sqrt(1 - (positions / _HALF_WIDTH) ** 2)) / np.i0(_KAISER_BETA)
    values = np.sinc(positions) * window
    values[_STEPS_PER_VOXEL::_STEPS_PER_VOXEL] = 0.0
    return values, np.append(np.diff(values), 0.0)


def sampling_taps(positions: Floats, spacing: float) -> tuple[Integers, Floats]:
    """Give the first voxel and the weights, (..., taps), that make the values at positions.

    Weights sum to 1. Where the positions are more than a voxel apart the kernel widens with the
    spacing, so that what the coarser line cannot hold is filtered out instead of aliased.
    """
    width = max(1.0, spacing)
    first = np.ceil(positions - _HALF_WIDTH * width).astype(np.int64)
    taps = np.arange(math.floor(2 * _HALF_WIDTH * width) + 1)
    distances = (first - positions)[..., np.newaxis] + taps
    weights = interpolation_kernel(distances / width)
    return first, weights / weights.sum(axis=-1, keepdims=True)


def kernel_reach(spacing: float) -> float:
    """Say how far (voxels) from a position its samples may be."""
    return _HALF_WIDTH * max(1.0, spacing)


def line_positions(centre: npt.ArrayLike, count: int, step: float) -> Floats:
    """Give the positions of a line of pixels, (..., count), the centre at pixel ``count // 2``."""
    offsets = (np.arange(count) - count // 2) * step
    return np.asarray(centre, dtype=np.float64)[..., np.newaxis] + offsets


def inside_line(positions: Floats, size: int) -> npt.NDArray[np.bool_]:
    """Tell which positions lie in one of ``size`` voxels, from -0.5 to size - 0.5."""
    return (positions >= -0.5) & (positions < size - 0.5)


def sampling_matrices(centres: Floats, count: int, step: float, reach: int) -> Floats:
    """Make the matrices (n, count, 2 * reach + 1) from lines of voxels to pixels about centres.

    Centres are of pixel ``count // 2``, less the index of the line's middle voxel.
    """
    if step == 1:  # the same weights in every row, one voxel further on each
        first, weights = sampling_taps(centres - count // 2 + reach, step)
        first = first[:, np.newaxis] + np.arange(count)
        weights = np.broadcast_to(weights[:, np.newaxis], (*first.shape, weights.shape[-1]))
    else:
        first, weights = sampling_taps(line_positions(centres, count, step) + reach, step)
    matrices = np.zeros((len(centres), count, 2 * reach + 1))
    taps = first[..., np.newaxis] + np.arange(weights.shape[-1])
    np.put_along_axis(matrices, taps, weights, axis=2)
    return matrices


def line_reach(count: int, step: float) -> int:
    """Say how many voxels each side of the middle one a line of pixels needs."""
    return math.ceil(count // 2 * step + kernel_reach(step) + 0.5) + 1


def plane_weights(centre: float, depth: float, size: int) -> tuple[int, Floats]:
    """Give the first plane that a depth covers, and how much of it and of each after it."""
    low, high = max(centre - depth / 2, -0.5), min(centre + depth / 2, size - 0.5)
    if not high > low:
        return 0, np.empty(0)
    first, last = math.floor(low + 0.5), math.ceil(high - 0.5)
    planes = np.arange(first, last + 1)
    weights = np.minimum(planes + 0.5, high) - np.maximum(planes - 0.5, low)
    return first, weights.clip(0.0, None)
