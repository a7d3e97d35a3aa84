"""Projecting boxes about points of a volume, at sub-voxel positions, straight or tilted.

Positions, sizes and steps are in voxels of the volume, 0 = centre of the first voxel. A straight
projection adds up the planes of the box, those at its two ends partly, and then resamples the sum
in the plane. A tilted one samples each plane where its rays cross it. The box is read with a margin
of a few voxels for interpolation, and clipped to the volume. A line of ``count`` pixels, ``step``
voxels apart, has its centre at pixel ``count // 2``.

Values between voxels come from a sinc under a Kaiser window of eight voxels each side (Kaiser and
Schafer 1980, doi:10.1109/TASSP.1980.1163349): at whole voxels it is the identity, up to 70 % of the
Nyquist frequency it is exact to 3e-4, where linear interpolation loses up to half; and being
finite it neither rings from the far side of the box, as a Fourier shift does, nor reads more
than a narrow margin. Beyond the volume its edge voxels are repeated for these few taps.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.plane_sums import Block, Column, Corner, Voxels, sum_columns

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
    from scipy.special import i0

    positions = np.arange(_HALF_WIDTH * _STEPS_PER_VOXEL + 1) / _STEPS_PER_VOXEL
    window = i0(_KAISER_BETA * np.sqrt(1 - (positions / _HALF_WIDTH) ** 2)) / i0(_KAISER_BETA)
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


def resampled(values: Floats, centres: Floats, count: int, step: float, reach: int) -> Floats:
    """Resample lines of ``2 * reach + 1`` voxels, the second axis of three, to ``count`` pixels.

    Centres (n) are of pixel ``count // 2``, less the index of the line's middle voxel.
    """
    if step == 1:  # the same weights in every row, one voxel further on each
        first, weights = sampling_taps(centres - count // 2 + reach, step)
        first = first[:, np.newaxis] + np.arange(count)
        weights = np.broadcast_to(weights[:, np.newaxis], (*first.shape, weights.shape[-1]))
    else:
        first, weights = sampling_taps(line_positions(centres, count, step) + reach, step)
    number, length, other = values.shape
    first = first + np.arange(number)[:, np.newaxis] * length
    place = (first[..., np.newaxis] + np.arange(weights.shape[-1])).reshape(number * count, -1)
    found = _sums(values.reshape(number * length, other), place, weights)
    return found.reshape(number, count, other)


def _sums(rows: Floats, place: Integers, weights: Floats) -> Floats:
    """Add up rows, weighted; places and weights (results, ...). Gives (results, columns).

    A sparse product: plain loops, of one order on every processor, and only over what counts.
    """
    from scipy.sparse import csr_array

    ends = np.arange(len(place) + 1, dtype=np.int32) * (place[0].size if len(place) else 0)
    parts = weights.ravel(), place.ravel().astype(np.int32), ends
    return np.asarray(csr_array(parts, shape=(len(place), len(rows))) @ rows)


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


Images = npt.NDArray[np.float32]

_RESAMPLED_AT_ONCE = 128


@dataclass(frozen=True)
class BoxShape:
    """What is cut out about every point."""

    side_px: int  # pixels of the square images; the point is at pixel ``side_px // 2``
    depth_vox: float  # length of the projected box, in voxels
    step_vox: float = 1.0  # distance between pixels, in voxels


def project_boxes(
    voxels: Voxels, centres: Floats, box: BoxShape, tilt: float = 0.0
) -> tuple[Images, Floats]:
    """Project the box about each point: the mean along its depth.

    Parameters
    ----------
    voxels : Voxels
    centres : ndarray of float64, shape (n, 3)
        Positions ``(z, y, x)``, anywhere.
    box : BoxShape
    tilt : float, optional
        Degrees about the y axis, less than 90. With a positive tilt, what is higher in z moves to
        larger x.

    Returns
    -------
    images : ndarray of float32, shape (n, y, x)
        Pixels outside the volume hold the mean of that image's pixels inside, 0 if there is none.
    inside_fraction : ndarray of float64, shape (n,)
        Part of the box that is inside the volume, 0 to 1.
    """
    if tilt == 0:
        return _straight(voxels, centres, box)
    return _tilted(voxels, centres, box, tilt)


def project_block(
    voxels: Voxels, start: Corner, stop: Corner, function: Callable[[Block], Floats]
) -> Floats | None:
    """Apply a linear projection to a box clipped to the volume; None if it is wholly outside."""
    z, y, x = (max(0, value) for value in start)
    last_z, last_y, last_x = (
        min(size, value) for size, value in zip(voxels.shape, stop, strict=True)
    )
    if z >= last_z or y >= last_y or x >= last_x:
        return None
    block = voxels.read((z, y, x), (last_z, last_y, last_x))
    result = function(block)
    if not np.isfinite(result).all():  # cheaper to find here than among all voxels
        result = function(voxels.mend(block, (z, y, x)))
    return result


def tilted_reach(box: int, depth: float, step: float, tilt: float) -> tuple[int, int]:
    """Say how many voxels (z, x) each side of the middle one a tilted box needs."""
    sine, cosine = _sine_cosine(tilt)
    half = box // 2 * step
    z = math.ceil(half * abs(sine) + depth / 2 * cosine) + 2
    x = (half + z * abs(sine)) / cosine + kernel_reach(step / cosine)
    return z, math.ceil(x) + 2


def tilted_rays(
    planes: Floats, centre_x: float, size_x: int, box: int, depth: float, step: float, tilt: float
) -> tuple[Floats, Floats]:
    """Trace the rays of a tilted view through planes, given by their z less that of the centre.

    A point at ``dx, dz`` from the centre comes to lie at ``dx cos(tilt) + dz sin(tilt)`` in the
    view. Gives, each of shape (z, box), where along x each ray crosses each plane, and how much of
    the ray is in that plane: 0 outside the volume, ``depth`` in all along a ray wholly inside.
    """
    sine, cosine = _sine_cosine(tilt)
    along = line_positions(0.0, box, step)
    dz = planes[:, np.newaxis]
    middle, half = along * sine, depth / 2 * cosine
    lengths = np.minimum(dz + 0.5, middle + half) - np.maximum(dz - 0.5, middle - half)
    positions = centre_x + (along - dz * sine) / cosine
    lengths = lengths.clip(0.0, None) / cosine * inside_line(positions, size_x)
    return positions, lengths


def sum_along_rays(
    block: npt.NDArray[Any], positions: Floats, lengths: Floats, spacing: float
) -> Floats:
    """Add up the values along rays (see `tilted_rays`), interpolated along x: shape (y, rays)."""
    first, weights = sampling_taps(positions, spacing)
    planes, _, taps = weights.shape
    depth, height, width = block.shape
    values = block.transpose(0, 2, 1).reshape(depth * width, height).astype(np.float64)
    # Every ray has taps in every plane, one plane's after another's.
    first += np.arange(planes)[:, np.newaxis] * width
    place = first[..., np.newaxis] + np.arange(taps)
    weights *= lengths[..., np.newaxis]
    return _sums(values, place.transpose(1, 0, 2), weights.transpose(1, 0, 2)).T


def ray_spacing(step: float, tilt: float) -> float:
    """Give the distance along x of rays that are ``step`` apart across their direction."""
    return step / _sine_cosine(tilt)[1]


def _sine_cosine(tilt: float) -> tuple[float, float]:
    return math.sin(math.radians(tilt)), math.cos(math.radians(tilt))


def _straight(voxels: Voxels, centres: Floats, box: BoxShape) -> tuple[Images, Floats]:
    """Project along z: sum the planes, then shift and resample the sums in the plane."""
    nz, ny, nx = voxels.shape
    side, step = box.side_px, box.step_vox
    reach = line_reach(side, step)
    width = 2 * reach + 1
    middle = np.floor(centres[:, 1:] + 0.5)
    columns: dict[int, Column] = {}
    for index, (centre_z, (y, x)) in enumerate(zip(centres[:, 0], middle, strict=True)):
        first, weights = plane_weights(centre_z, box.depth_vox, nz)
        if not len(weights) or not _touches((y, x), reach, (ny, nx)):
            continue
        top, left = max(0, int(y) - reach), max(0, int(x) - reach)
        size = min(ny, int(y) + reach + 1) - top, min(nx, int(x) + reach + 1) - left
        if min(size) > 0:
            columns[index] = Column((first, top, left), weights, size)
    totals = dict(zip(columns, sum_columns(voxels, list(columns.values())), strict=True))
    images = np.empty((len(centres), side, side), dtype=np.float32)
    fractions = np.empty(len(centres))
    for start in range(0, len(centres), _RESAMPLED_AT_ONCE):
        part = slice(start, start + _RESAMPLED_AT_ONCE)
        sums = np.zeros((len(centres[part]), width, width))
        depth_inside = np.zeros(len(sums))
        for row, index in enumerate(range(len(centres))[part]):
            if index in totals:
                y, x = middle[index]
                corner = int(y) - reach, int(x) - reach
                total = totals.pop(index)
                depth_inside[row] = columns[index].weights.sum()
                total /= depth_inside[row]
                sums[row] = _padded(total, corner, (width, width), (ny, nx))
        places = centres[part, 1:] - middle[part]
        down = resampled(sums, places[:, 0], side, step, reach).transpose(0, 2, 1)
        both = resampled(down, places[:, 1], side, step, reach).transpose(0, 2, 1)
        positions = line_positions(centres[part, 2], side, step)
        share = inside_line(positions, nx) * (depth_inside / box.depth_vox)[:, np.newaxis]
        images[part], fractions[part] = _filled(both, _inside_y(centres[part], box, ny), share)
    return images, fractions


def _tilted(voxels: Voxels, centres: Floats, box: BoxShape, tilt: float) -> tuple[Images, Floats]:
    """Project along a tilted direction, then shift and resample along y."""
    nz, ny, nx = voxels.shape
    side, step, depth = box.side_px, box.step_vox, box.depth_vox
    reach_y = line_reach(side, step)
    reach_z, reach_x = tilted_reach(side, depth, step, tilt)
    size_y, size_x = 2 * reach_y + 1, 2 * reach_x + 1
    middle = np.floor(centres + 0.5)
    sums = np.zeros((len(centres), size_y, side))
    lengths = np.zeros((len(centres), side))
    spacing = ray_spacing(step, tilt)
    for index, (centre, (z, y, x)) in enumerate(zip(centres, middle, strict=True)):
        if not _touches((z, y, x), max(reach_z, reach_y, reach_x), (nz, ny, nx)):
            continue
        low, top, left = int(z) - reach_z, int(y) - reach_y, int(x) - reach_x
        stop = (int(z) + reach_z + 1, top + size_y, left + size_x)
        planes = np.arange(max(0, low), min(nz, stop[0]))
        positions, parts = tilted_rays(planes - centre[0], centre[2], nx, side, depth, step, tilt)
        total = project_block(
            voxels,
            (low, top, left),
            stop,
            functools.partial(
                _sum_padded,
                frame=((top, left), (size_y, size_x), (ny, nx)),
                positions=positions - left,
                lengths=parts,
                spacing=spacing,
            ),
        )
        if total is not None:
            lengths[index] = parts.sum(axis=0)
            np.divide(total, lengths[index], out=sums[index], where=lengths[index] > 0)
    images = resampled(sums, centres[:, 1] - middle[:, 1], side, step, reach_y)
    return _filled(images, _inside_y(centres, box, ny), lengths / depth)


def _sum_padded(
    block: Block,
    frame: tuple[tuple[int, int], tuple[int, int], tuple[int, int]],
    positions: Floats,
    lengths: Floats,
    spacing: float,
) -> Floats:
    return sum_along_rays(_padded(block, *frame), positions, lengths, spacing)


def _inside_y(centres: Floats, box: BoxShape, size: int) -> npt.NDArray[np.bool_]:
    positions = line_positions(centres[:, 1], box.side_px, box.step_vox)
    return inside_line(positions, size)


def _touches(middle: Sequence[float], reach: int, shape: tuple[int, ...]) -> bool:
    """Tell whether a box may touch the volume, before a far position is made an integer."""
    return all(-reach <= value <= size + reach for value, size in zip(middle, shape, strict=True))


def _padded(
    block: npt.NDArray[Any], start: tuple[int, int], size: tuple[int, int], shape: tuple[int, int]
) -> npt.NDArray[Any]:
    """Repeat a clipped block's outermost voxels along y and x up to its full size."""
    before = [max(0, -value) for value in start]
    after = [max(0, a + n - edge) for a, n, edge in zip(start, size, shape, strict=True)]
    if not any((*before, *after)):
        return block
    widths = [(0, 0)] * (block.ndim - 2) + list(zip(before, after, strict=True))
    return np.pad(block, widths, mode="edge")


def _filled(
    images: Floats, inside_y: npt.NDArray[np.bool_], share: Floats
) -> tuple[Images, Floats]:
    """Fill pixels outside the volume with the mean inside; ``share`` (n, x) of depth is inside."""
    inside = inside_y[:, :, np.newaxis] & (share > 0)[:, np.newaxis, :]
    count = np.count_nonzero(inside, axis=(1, 2))
    total = np.where(inside, images, 0.0).sum(axis=(1, 2))
    mean = np.divide(total, count, out=np.zeros(len(images)), where=count > 0)
    filled = np.where(inside, images, mean[:, np.newaxis, np.newaxis])
    fraction = inside_y.mean(axis=1) * share.mean(axis=1)
    return filled.astype(np.float32), np.minimum(fraction, 1.0)
