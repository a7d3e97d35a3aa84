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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.plane_sums import Block, Columns, Corner, Voxels, bands, sum_columns

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
    quarter = _KAISER_BETA**2 / 4 * (1 - (positions / _HALF_WIDTH) ** 2)
    # The Bessel function I0 by its series: of positive terms, the last below 1e-20 of the sum
    window, term = np.ones_like(quarter), np.ones_like(quarter)
    for k in range(1, 33):
        term *= quarter / k**2
        window += term
    window /= window[0]
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


def resampling(centres: Floats, count: int, step: float) -> Callable[[Floats, slice], Floats]:
    """Give what resamples lines of voxels, the second axis of three, to ``count`` pixels.

    Centres (n) are of pixel ``count // 2``, in voxels from the first of the line (`line_span`). It
    takes the lines of some of them, and which these are.
    """
    if step == 1:
        first = centres - count // 2
        kernels = interpolation_kernel(np.arange(2 * _HALF_WIDTH) - first[:, np.newaxis])
        kernels /= kernels.sum(axis=-1, keepdims=True)
        return lambda values, part: _moved(np.ascontiguousarray(values), kernels[part], count)
    places, weights = sampling_taps(line_positions(centres, count, step), step)

    def sampled(values: Floats, part: slice) -> Floats:
        number, length, other = values.shape
        first = places[part] + np.arange(number)[:, np.newaxis] * length
        taps = _tap_places(first, weights.shape[-1])
        found = _sums(values.reshape(number * length, other), taps, weights[part])
        return found.reshape(number, count, other)

    return sampled


def _moved(values: Floats, kernels: Floats, count: int) -> Floats:
    """Resample at steps of a voxel; the first pixel is 7 to 8 voxels into a line (`line_span`).

    All rows have the same weights, so each tap takes many rows at once, and `einsum` adds up the
    taps in their order, in long loops, on every processor.
    """
    number, _, other = values.shape
    shape = number, kernels.shape[1], count * other
    # A view of overlapping rows, as `as_strided` gives; this is quicker, and looks at its bounds.
    rows: Floats = np.ndarray(
        shape, values.dtype, values, 0, (*values.strides[:2], values.itemsize)
    )
    found: Floats = np.einsum("ntk,nt->nk", rows, kernels)
    return found.reshape(number, count, other)


def _tap_places(first: Integers, taps: int) -> npt.NDArray[np.int32]:
    return np.asarray(first[..., np.newaxis] + np.arange(taps), dtype=np.int32)


def _sums(rows: Floats, place: npt.NDArray[np.int32], weights: Floats) -> Floats:
    """Add up rows, weighted; places and weights (..., taps). Gives (results, columns).

    A sparse product: plain loops, of one order on every processor, and only over what counts.
    """
    from scipy.sparse import csr_array

    taps = place.shape[-1]
    ends = np.arange(0, place.size + 1, taps, dtype=np.int32)
    parts = weights.ravel(), place.ravel(), ends
    return np.asarray(csr_array(parts, shape=(place.size // taps, len(rows))) @ rows)


def line_span(centres: Floats, count: int, step: float) -> tuple[Integers, int]:
    """Give the first voxel of each line of pixels, and how many voxels a line needs."""
    if step == 1:
        first = np.ceil(centres - count // 2 - _HALF_WIDTH)
        return first.astype(np.int64), count + 2 * _HALF_WIDTH
    reach = math.ceil(count // 2 * step + kernel_reach(step) + 0.5) + 1
    return np.floor(centres + 0.5).astype(np.int64) - reach, 2 * reach + 1


def plane_weights(
    centres: Floats, depth: float, size: int
) -> tuple[Integers, Integers, Floats, Floats]:
    """Give what a depth about each centre covers of so many planes.

    The first plane and the one after the last, the same where there is none; how much of the first
    and of the last (1 where it is the first) is covered.
    """
    low, high = np.maximum(centres - depth / 2, -0.5), np.minimum(centres + depth / 2, size - 0.5)
    there = high > low
    low, high = np.where(there, low, 0.0), np.where(there, high, 0.0)
    first = np.floor(low + 0.5).astype(np.int64)
    last = np.maximum(np.ceil(high - 0.5).astype(np.int64), first)
    begins = np.minimum(first + 0.5, high) - np.maximum(first - 0.5, low)
    ends = np.where(last > first, high - np.maximum(last - 0.5, low), 1.0)
    return first, np.where(there, last + 1, first), begins.clip(0.0, None), ends.clip(0.0, None)


Images = npt.NDArray[np.float32]

_IN_CACHE = 16  # images that are resampled at once
_GROUP_BYTES = 24 << 20  # of the images of tilted boxes that are made together


@dataclass(frozen=True)
class BoxShape:
    """What is cut out about every point."""

    side_px: int  # pixels of the square images; the point is at pixel ``side_px // 2``
    depth_vox: float  # length of the projected box, in voxels
    step_vox: float = 1.0  # distance between pixels, in voxels


def box_groups(
    voxels: Voxels, centres: Floats, box: BoxShape, tilt: float = 0.0, jobs: int = 1
) -> list[Integers]:
    """Divide points into groups for `project_boxes`, near each other, so that memory is bounded.

    At least one for each job, where points are many. The images do not depend on it.
    """
    if tilt == 0:
        rows, columns, _ = _columns(voxels, centres, box)
        groups = [rows[group] for group in bands(columns, voxels, jobs)]
        outside = np.setdiff1d(np.arange(len(centres)), rows)
        return [*groups, *([outside] if len(outside) else [])]
    order = np.lexsort((centres[:, 2], centres[:, 1], centres[:, 0]))
    size = max(1, _GROUP_BYTES // (box.side_px**2 * 8))
    return [order[start : start + size] for start in range(0, len(order), size)]


def project_boxes(
    voxels: Voxels, centres: Floats, box: BoxShape, tilt: float = 0.0
) -> Iterator[tuple[Integers, Images, Floats]]:
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

    Yields
    ------
    rows : ndarray of int64, shape (part,)
        Which of the points; all of them once, in any order.
    images : ndarray of float32, shape (part, y, x)
        Pixels outside the volume hold the mean of that image's pixels inside, 0 if there is none.
    inside_fraction : ndarray of float64, shape (part,)
        Part of the box that is inside the volume, 0 to 1.
    """
    if tilt == 0:
        yield from _straight(voxels, centres, box)
    else:
        yield np.arange(len(centres)), *_tilted(voxels, centres, box, tilt)


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
    place = _tap_places(first, taps)
    weights *= lengths[..., np.newaxis]
    rays = place.shape[1], planes * taps
    place = place.transpose(1, 0, 2).reshape(rays)
    return _sums(values, place, weights.transpose(1, 0, 2).reshape(rays)).T


def ray_spacing(step: float, tilt: float) -> float:
    """Give the distance along x of rays that are ``step`` apart across their direction."""
    return step / _sine_cosine(tilt)[1]


def _sine_cosine(tilt: float) -> tuple[float, float]:
    return math.sin(math.radians(tilt)), math.cos(math.radians(tilt))


def _columns(voxels: Voxels, centres: Floats, box: BoxShape) -> tuple[Integers, Columns, Floats]:
    """Give which boxes touch the volume, what they are of it, and how much of the depth."""
    ny, nx = voxels.shape[1:]
    first, end, begins, ends = plane_weights(centres[:, 0], box.depth_vox, voxels.shape[0])
    # Within reach, before a far position is made an integer
    reach = (box.side_px + 1) * box.step_vox
    near = (centres[:, 1:] > -reach) & (centres[:, 1:] < np.array([ny, nx]) + reach)
    rows = np.flatnonzero((end > first) & near.all(axis=1))
    (top, side), (left, _) = (
        line_span(centres[rows, axis], box.side_px, box.step_vox) for axis in (1, 2)
    )
    touches = (top > -side) & (top < ny) & (left > -side) & (left < nx)
    rows, top, left = rows[touches], top[touches], left[touches]
    first, end, begins, ends = first[rows], end[rows], begins[rows], ends[rows]
    period = min(max(1, math.floor(box.depth_vox)), voxels.shape[0])
    columns = Columns(first, end, begins, ends, top, left, side, period)
    covered = np.where(end - first > 1, begins + (end - first - 2) + ends, begins)
    return rows, columns, covered


def _straight(
    voxels: Voxels, centres: Floats, box: BoxShape
) -> Iterator[tuple[Integers, Images, Floats]]:
    """Project along z: sum the planes, then shift and resample the sums in the plane."""
    touching, columns, covered = _columns(voxels, centres, box)
    side, step, nx = box.side_px, box.step_vox, voxels.shape[2]
    outside = np.setdiff1d(np.arange(len(centres)), touching)
    if len(outside):
        yield outside, np.zeros((len(outside), side, side), np.float32), np.zeros(len(outside))
    corners = np.stack([columns.top, columns.left], axis=1)
    for chosen, sums in sum_columns(voxels, columns):
        rows = touching[chosen]
        sums /= covered[chosen][:, np.newaxis, np.newaxis]
        places = centres[rows, 1:] - corners[chosen]
        down, across = (resampling(places[:, axis], side, step) for axis in (0, 1))
        positions = line_positions(centres[rows, 2], side, step)
        share = inside_line(positions, nx) * (covered[chosen] / box.depth_vox)[:, np.newaxis]
        inside_y = _inside_y(centres[rows], box, voxels.shape[1])
        whole = bool(inside_y.all() and (share > 0).all())
        both = np.empty((len(rows), side, side), np.float32 if whole else np.float64)
        for at in range(0, len(rows), _IN_CACHE):
            part = slice(at, at + _IN_CACHE)
            lines = down(sums[part], part).transpose(0, 2, 1)
            both[part] = across(lines, part).transpose(0, 2, 1)
        yield rows, *_filled(both, inside_y, share)


def _tilted(voxels: Voxels, centres: Floats, box: BoxShape, tilt: float) -> tuple[Images, Floats]:
    """Project along a tilted direction, then shift and resample along y."""
    nz, ny, nx = voxels.shape
    side, step, depth = box.side_px, box.step_vox, box.depth_vox
    reach_z, reach_x = tilted_reach(side, depth, step, tilt)
    size_y, size_x = line_span(np.empty(0), side, step)[1], 2 * reach_x + 1
    middle = np.floor(centres + 0.5)
    places = np.full(len(centres), float(size_y // 2))
    sums = np.zeros((len(centres), size_y, side))
    lengths = np.zeros((len(centres), side))
    spacing = ray_spacing(step, tilt)
    for index, (centre, (z, y, x)) in enumerate(zip(centres, middle, strict=True)):
        if not _touches((z, y, x), max(reach_z, size_y, reach_x), (nz, ny, nx)):
            continue
        low, left = int(z) - reach_z, int(x) - reach_x
        top = int(line_span(centre[1:2], side, step)[0][0])
        places[index] = centre[1] - top
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
    images = resampling(places, side, step)(sums, slice(None))
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
    images: Images | Floats, inside_y: npt.NDArray[np.bool_], share: Floats
) -> tuple[Images, Floats]:
    """Fill pixels outside the volume with the mean inside; ``share`` (n, x) of depth is inside."""
    fraction = np.minimum(inside_y.mean(axis=1) * share.mean(axis=1), 1.0)
    if inside_y.all() and (share > 0).all():
        return images.astype(np.float32, order="C", copy=False), fraction
    inside = inside_y[:, :, np.newaxis] & (share > 0)[:, np.newaxis, :]
    count = np.count_nonzero(inside, axis=(1, 2))
    total = np.where(inside, images, 0.0).sum(axis=(1, 2))
    mean = np.divide(total, count, out=np.zeros(len(images)), where=count > 0)
    filled = np.where(inside, images, mean[:, np.newaxis, np.newaxis])
    return filled.astype(np.float32), fraction
