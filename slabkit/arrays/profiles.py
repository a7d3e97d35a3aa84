"""How well a particle sits at each depth: matched profiles along z below 2D positions.

About each position the volume is averaged over rings in every plane (sub-pixel centre, linear
weights), which keeps all that an object round about the z axis can show. The rings are then
correlated along z with a small bank of templates: balls and hollow shells of sizes about the
particle's diameter, each less the mean of the ring that surrounds it, so that broad
background counts nothing, and each scaled to the same response to white noise (the largest balls to
somewhat less), so that the best of the bank can be taken (a matched filter: North 1963, Proc. IEEE
51:1016). A plain column average, by
contrast, has its maximum where the column is densest, neighbours included, and with a
missing wedge a broad column carries hardly any information about z at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import log
from slabkit.arrays.parallel import map_in_order

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
ReadPlanes = Callable[[int, int], npt.NDArray[Any]]

# (outer radius, inner radius, weight) of the templates, radii in units of the particle's. The bank
# spans sizes because diameters are estimates: of a long particle a picker gives the width, of a
# soft one more than its edge. The largest balls count less, so that they decide where the particle
# is larger than said, and not where something larger lies about it. Shells are apart because the
# middle of a hollow particle looks like solvent. Chosen on simulated tomograms with the diameters
# of a blob picker, and with true ones off by up to 30 %.
_BALLS = ((0.4, 0.0, 1.0), (0.5, 0.0, 1.0), (0.65, 0.0, 1.0), (0.8, 0.0, 1.0))
_LARGE_BALLS = ((1.0, 0.0, 0.9), (1.3, 0.0, 0.8))
_SHELLS = ((0.8, 0.56, 1.0), (1.0, 0.7, 1.0), (1.2, 0.84, 1.0), (1.4, 0.98, 1.0))
_TEMPLATES = _BALLS + _LARGE_BALLS + _SHELLS
_ANNULUS = (1.1, 1.6)  # the surroundings, in units of the template's outer radius
_WIDEST = max(outer for outer, _, _ in _TEMPLATES)
_RINGS_PER_RADIUS = 6.0
_SIZE_STEP = 1.025  # templates are made for radii on this geometric ladder

_PORTION = 4096  # picks worked on in one pass over their planes
_CHUNK = 256  # picks correlated at once
_BATCH = 6  # picks whose boxes are cut out at once: neighbours in z, and they stay in the cache
_BLOCK_BYTES = 96 * 2**20  # of the planes in memory, as float32


@dataclass(frozen=True)
class DepthProfiles:
    """Matched scores along z of some positions."""

    rows: Indices  # shape (positions,); which of the positions asked for
    start: Indices  # shape (positions,); plane of the first score
    # Shape (positions, depths); best score of the bank at planes ``start``, ``start + 1``, ...; any
    # scale, comparable along z; 0 where nothing sticks out of its surroundings, minus infinity
    # outside the volume
    scores: Singles


def depth_profiles(
    read_planes: ReadPlanes,
    shape: tuple[int, int, int],
    centres_vox: Floats,
    radius_vox: Floats,
    low_vox: Indices,
    high_vox: Indices,
    sign: int,
    jobs: int = 1,
) -> Iterator[DepthProfiles]:
    """Score every depth from ``low - 1`` to ``high + 1`` below each position.

    The planes are read in order, a block at a time, once for each few thousand positions.

    Parameters
    ----------
    read_planes : callable
        ``read_planes(first, last)`` gives planes ``[first, last)`` as ``(z, y, x)``.
    shape : (int, int, int)
        Size of the volume, ``(z, y, x)`` voxels.
    centres_vox : ndarray, shape (positions, 2)
        ``(y, x)`` in voxels; inside the volume.
    radius_vox : ndarray, shape (positions,)
        Radius of the particle in voxels, positive.
    low_vox, high_vox : ndarray of int64, shape (positions,)
        First and last plane of the search, inside the volume. Of a particle that is cut off by the
        volume's face the part inside counts; it is found up to a third of its radius too deep.
    sign : {-1, 1}
        Factor that makes the particle bright.
    jobs : int, optional
        Threads.

    Yields
    ------
    DepthProfiles
        Every position once, in groups.
    """
    depth, height, width = shape
    block_planes = max(1, min(_BLOCK_BYTES // (4 * height * width), depth))
    order = np.lexsort([centres_vox[:, 1], centres_vox[:, 0], high_vox, low_vox])
    for first in range(0, len(order), _PORTION):
        rows = order[first : first + _PORTION]
        chunks = [
            _Chunk(rows[members], shape, centres_vox, radius_vox, low_vox, high_vox, key)
            for key, members in _by_size(radius_vox[rows], shape)
        ]
        _fill(chunks, read_planes, block_planes, jobs)
        yield from map_in_order(lambda chunk: chunk.profiles(sign), chunks, jobs, ahead=len(chunks))


def _by_size(radius_vox: Floats, shape: tuple[int, int, int]) -> Iterator[tuple[int, Indices]]:
    """Split into chunks of (nearly) one radius, keeping the order."""
    sizes = np.round(log(radius_vox) / log(_SIZE_STEP)).astype(np.int64)
    for size in np.unique(sizes):
        members = np.flatnonzero(sizes == size)
        for first in range(0, len(members), _CHUNK):
            yield int(size), members[first : first + _CHUNK]


def _fill(chunks: list[_Chunk], read_planes: ReadPlanes, block_planes: int, jobs: int) -> None:
    first = min(chunk.first for chunk in chunks)
    last = max(chunk.last for chunk in chunks)
    for begin in range(first, last, block_planes):
        end = min(begin + block_planes, last)
        binned = _binned(read_planes(begin, end), {chunk.binning for chunk in chunks}, jobs)

        def add(chunk: _Chunk, begin: int = begin, end: int = end, binned: Any = binned) -> None:
            chunk.add(binned[chunk.binning], begin, end)

        for _ in map_in_order(add, chunks, jobs, ahead=len(chunks)):
            pass


def _binned(
    planes: npt.NDArray[Any], binnings: Iterable[int], jobs: int
) -> dict[int, npt.NDArray[Any]]:
    """Average planes over squares of voxels, of each size asked for: ``(y, x, z)``.

    The last rows and columns may be left out. Boxes are cut out of averages along z, at half the
    cost; as single voxels do not repay it, of these the planes stay as they are.
    """
    depth, height, width = planes.shape
    found = {
        binning: np.empty((depth, height // binning, width // binning), dtype=np.float32)
        for binning in binnings
        if binning > 1
    }
    # Sums of bytes over 11 × 11 voxels are below 2**15; they are exact, and can be summed further.
    short = planes.dtype.itemsize == 1 and max(found, default=0) <= 11

    def average(z: int) -> None:
        sums = {1: planes[z].astype(np.int16 if short else np.float32, copy=False)}
        for binning, averages in sorted(found.items()):
            part = max(one for one in sums if binning % one == 0) if short else 1
            sums[binning] = _summed(sums[part], binning // part, averages.shape[1:])
            # As float32 first, which is exact: a division of whole numbers is slow.
            np.divide(sums[binning].astype(np.float32, copy=False), binning**2, out=averages[z])

    for _ in map_in_order(average, range(depth if found else 0), jobs):
        pass
    along_z = {n: np.ascontiguousarray(found.pop(n).transpose(1, 2, 0)) for n in list(found)}
    return {1: planes.transpose(1, 2, 0), **along_z}


def _summed(image: npt.NDArray[Any], times: int, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Sum squares of ``times`` pixels."""
    rows, columns = shape
    whole = image[: rows * times, : columns * times].reshape(rows, times, -1)
    total = _sum_of(whole[:, step] for step in range(times))
    return _sum_of(total[:, step::times] for step in range(times))


def _sum_of(parts: Iterator[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    total: npt.NDArray[Any] = next(parts) + next(parts)
    for part in parts:
        total += part
    return total


class _Chunk:
    """Ring profiles of a few positions of one size."""

    def __init__(
        self,
        rows: Indices,
        shape: tuple[int, int, int],
        centres_vox: Floats,
        radius_vox: Floats,
        low_vox: Indices,
        high_vox: Indices,
        size: int,
    ) -> None:
        radius = _SIZE_STEP**size
        # A ring is as wide as a voxel or a sixth of the radius, whichever is more.
        self.spacing = max(1.0, radius / _RINGS_PER_RADIUS)
        self.binning = max(1, min(int(self.spacing), shape[1], shape[2]))
        self.kernels, self.energies = _kernels(size)
        self.reach = (self.kernels.shape[2] - 1) // 2
        self.rows = rows
        self.depth = shape[0]
        self.start = low_vox[rows] - 1
        self.scored = int((high_vox[rows] - low_vox[rows]).max()) + 3
        self.length = self.scored + 2 * self.reach
        # Planes of each position that the rings are needed of.
        self.low = np.maximum(self.start - self.reach, 0)
        self.high = np.minimum(self.start - self.reach + self.length, self.depth)
        batches = [slice(at, at + _BATCH) for at in range(0, len(rows), _BATCH)]
        # Positions whose boxes are cut out at once, and the planes that they need
        self.batches = [
            (one, int(self.low[one].min()), int(self.high[one].max())) for one in batches
        ]
        self.first, self.last = int(self.low.min()), int(self.high.max())
        # The middle of binned pixel i lies at voxel i * binning + (binning - 1) / 2.
        self.centres = (centres_vox[rows] - (self.binning - 1) / 2) / self.binning
        rings = self.kernels.shape[1]
        self.empty = np.zeros((len(rows), rings), dtype=bool)
        self.rings = np.zeros((len(rows), rings, self.length), dtype=np.float32)
        # Of the batches whose first planes have come and whose last have not, by the first row
        self.weights: dict[int, tuple[Any, Singles]] = {}

    def add(self, planes: npt.NDArray[Any], begin: int, end: int) -> None:
        """Take in (binned) planes ``[begin, end)``, as ``(y, x, z)``."""
        half = int(np.ceil((self.kernels.shape[1] - 1) * self.spacing / self.binning)) + 1
        side = 2 * half + 1
        buffer = np.zeros(_BATCH * (end - begin) * side * side, dtype=np.float32)
        corner = np.round(self.centres).astype(np.int64) - half
        starts = np.clip(corner, 0, planes.shape[:2])
        stops = np.clip(corner + side, 0, planes.shape[:2])
        for batch, low, high in self.batches:
            if low >= end or high <= begin:
                continue
            first = batch.start
            if first not in self.weights:
                self.weights[first] = self._ring_weights(
                    self.centres[batch] - corner[batch],
                    starts[batch] - corner[batch],
                    stops[batch] - corner[batch],
                    side,
                )
            weights, total = self.weights[first]
            if high <= end:
                del self.weights[first]
            low, high = max(begin, low), min(end, high)
            part = planes[:, :, low - begin : high - begin]
            taken = buffer[: len(total) * (high - low) * side * side]
            boxes = taken.reshape(len(total), side, side, high - low)
            for box, (y, x), (y0, x0), (y1, x1) in zip(
                boxes,
                corner[batch].tolist(),
                starts[batch].tolist(),
                stops[batch].tolist(),
                strict=True,
            ):
                # What lies outside has no weight; what an earlier box left there is finite.
                box[y0 - y : y1 - y, x0 - x : x1 - x] = part[y0:y1, x0:x1]
            empty = total < 1e-3
            self.empty[batch] = empty
            found = (weights @ boxes.reshape(-1, high - low)).reshape(*total.shape, -1)
            found /= np.where(empty, 1, total)[:, :, None]
            for row, rings_found in enumerate(found, first):
                z0, z1 = max(low, int(self.low[row])), min(high, int(self.high[row]))
                offset = int(self.start[row]) - self.reach
                if z0 < z1:
                    self.rings[row, :, z0 - offset : z1 - offset] = rings_found[
                        :, z0 - low : z1 - low
                    ]

    def _ring_weights(
        self, centres: Floats, starts: Indices, stops: Indices, side: int
    ) -> tuple[Any, Singles]:
        """Give the weights of pixels in rings, (boxes * rings, boxes * side²), and their sums.

        A sparse matrix: a pixel counts for the two rings it lies between. Its products are plain
        loops, which add up in one order, as the linear algebra of a processor's own does not.
        """
        from scipy.sparse import csc_array

        rings = self.kernels.shape[1]
        step = np.arange(side)
        y, x = (
            ((step - centre[:, None]) / (self.spacing / self.binning)).astype(np.float32)
            for centre in centres.T
        )
        away = np.sqrt(y[:, :, None] ** 2 + x[:, None, :] ** 2)
        inside = (step >= starts[..., None]) & (step < stops[..., None])
        away[~(inside[:, 0, :, None] & inside[:, 1, None, :])] = rings
        there = away < rings
        ring = away[there].astype(np.int32)
        entries = np.empty((len(ring), 2), dtype=np.float32)
        entries[:, 1] = away[there] - ring
        entries[:, 0] = 1 - entries[:, 1]
        ring += rings * np.repeat(np.arange(len(away), dtype=np.int32), there.sum(axis=(1, 2)))
        rows = np.stack([ring, ring + 1], axis=1)
        # Of the last ring's pixels the outer part is of no ring.
        last = rows[:, 1] % rings == 0
        rows[last, 1], entries[last, 1] = rows[last, 0], 0
        starts_of = np.append(0, np.cumsum(there, dtype=np.int32) * 2)
        shape = (len(away) * rings, away.size)
        weights = csc_array((entries.ravel(), rows.ravel(), starts_of), shape=shape)
        total = np.bincount(rows.ravel(), entries.ravel(), shape[0]).astype(np.float32)
        return weights, total.reshape(-1, rings)

    def profiles(self, sign: int) -> DepthProfiles:
        """Correlate with the bank along z and take the best template at each depth."""
        import scipy.fft

        templates, ring_count, _ = self.kernels.shape
        rings = self.rings
        # A ring wholly outside the volume is taken to be like the last one inside.
        for ring in range(1, ring_count):
            out = self.empty[:, ring]
            rings[out, ring] = rings[out, ring - 1]
        planes = self.start[:, None] - self.reach + np.arange(self.length)
        there = (planes >= 0) & (planes < self.depth)
        size = np.abs(rings).max(axis=(1, 2))
        # The templates sum to zero in each plane, so a constant changes nothing but the rounding.
        mean = rings.mean(axis=1).sum(axis=1) / there.sum(axis=1)
        rings -= mean[:, None, None]
        rings *= there[:, None, :]
        points = scipy.fft.next_fast_len(self.length, real=True)
        spectra = scipy.fft.rfft(rings, points, axis=2)
        bank = np.conj(scipy.fft.rfft(self.kernels, points, axis=2))
        best = np.full((len(self.rows), self.scored), -np.inf, dtype=np.float32)
        for template in range(templates):
            product = np.einsum("nrf,rf->nf", spectra, bank[template])
            scores = scipy.fft.irfft(product, points, axis=1)[:, : self.scored]
            scores *= self._cut_gain(template)
            np.maximum(best, sign * scores, out=best)
        best[np.abs(best) <= 2e-6 * size[:, None] * np.abs(self.kernels).sum(axis=(1, 2)).max()] = 0
        scored = planes[:, self.reach : self.reach + self.scored]
        best[(scored < 0) | (scored >= self.depth)] = -np.inf
        self.rings = np.zeros((0, 0, 0), dtype=np.float32)
        return DepthProfiles(self.rows, self.start, best)

    def _cut_gain(self, template: int) -> Singles:
        """Make up for planes of a template that lie outside the volume: same response to noise."""
        energy = np.append(0.0, np.cumsum(self.energies[template]))
        first = self.start[:, None] - self.reach + np.arange(self.scored)
        low, high = np.clip(-first, 0, None), np.clip(self.depth - first, None, 2 * self.reach + 1)
        inside = energy[np.maximum(high, 0)] - energy[np.minimum(low, 2 * self.reach + 1)]
        # A centre inside the volume has half its template there; beyond, nothing is blown up.
        share = np.maximum(inside / energy[-1], 0.25)
        return np.asarray(1 / np.sqrt(share), dtype=np.float32)


@lru_cache(maxsize=256)
def _kernels(size: int) -> tuple[Singles, Floats]:
    """Make the bank for one radius of the ladder: shape (templates, rings, 2 * reach + 1).

    A kernel holds, for each ring and depth, the weight of the ring's mean. Also the share of each
    depth in its response to white noise (variance), shape (templates, 2 * reach + 1).
    """
    radius = _SIZE_STEP**size
    spacing = max(1.0, radius / _RINGS_PER_RADIUS)
    soft = spacing
    rings = int(np.ceil((_WIDEST * _ANNULUS[1] * radius) / spacing)) + 2
    reach = int(np.ceil(_WIDEST * radius + soft / 2))
    lateral = np.arange(rings)[:, None] * spacing
    away = np.hypot(lateral, np.arange(-reach, reach + 1)[None, :])
    area = np.where(lateral == 0, spacing**2 * np.pi / 4, 2 * np.pi * lateral * spacing)
    bank = np.zeros((len(_TEMPLATES), rings, 2 * reach + 1))
    for kernel, (outer, inner, factor) in zip(bank, _TEMPLATES, strict=True):
        ball = np.clip((outer * radius - away) / soft + 0.5, 0, 1)
        if inner:
            ball -= np.clip((inner * radius - away) / soft + 0.5, 0, 1)
        weight = np.clip(ball, 0, 1) * area
        if weight.sum() == 0:  # a particle smaller than a voxel
            weight[0, reach] = 1
        weight /= weight.sum()
        near = outer * radius * _ANNULUS[0]
        far = max(outer * radius * _ANNULUS[1], near + 1.5 * spacing)
        around = area * ((lateral > near) & (lateral <= far))
        weight -= around / around.sum() * weight.sum(axis=0)
        kernel[:] = factor * weight / np.sqrt((weight**2 / area).sum())
    return bank.astype(np.float32), (bank**2 / area).sum(axis=1)
