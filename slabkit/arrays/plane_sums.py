"""Sums of the planes of many boxes: box by box, or by a running total over the whole volume.

A box of 30 planes costs 30 planes to add up. Where boxes are many and lie close, it is cheaper to
add up all planes of the volume once, and to take from that running total, for each box, what there
is after its last plane less what there was before its first one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Corner = tuple[int, int, int]
Block = npt.NDArray[Any]

_BLOCK_BYTES = 16 << 20
# A voxel of the running total costs about as much as two of a box: no copy, but no cache either.
_RUNNING_COST = 0.5
# Rounding of the total may be this much of a sum's largest value, far less than float32 shows.
_SMALLEST_ERROR = 1e-9


class Voxels(Protocol):
    """Voxels that are read box by box."""

    @property
    def shape(self) -> Corner:
        """Size as ``(z, y, x)``."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels."""

    def read(self, start: Corner, stop: Corner) -> Block:
        """Read the box ``[start, stop)``, which is inside."""

    def mend(self, block: Block, start: Corner) -> Block:
        """Fill in, or refuse, the voxels of a block that are not finite numbers."""


@dataclass(frozen=True)
class Column:
    """A box whose planes are to be added up; it is inside the volume."""

    start: Corner  # first voxel ``(z, y, x)``
    weights: Floats  # shape (z,): 1 for all but the first and the last
    size: tuple[int, int]  # voxels along y and x

    @property
    def stop(self) -> Corner:
        """The voxel after the last."""
        z, y, x = self.start
        return z + len(self.weights), y + self.size[0], x + self.size[1]

    @property
    def voxels(self) -> int:
        """How many it has."""
        return len(self.weights) * self.size[0] * self.size[1]


def sum_columns(voxels: Voxels, columns: Sequence[Column]) -> list[Floats]:
    """Add up the planes of each box, weighted; float64 images, exact for whole numbers."""
    if not columns:
        return []
    starts, stops = zip(*((c.start, c.stop) for c in columns), strict=True)
    low = tuple(int(v) for v in np.min(starts, axis=0))
    high = tuple(int(v) for v in np.max(stops, axis=0))
    region = np.prod([b - a for a, b in zip(low, high, strict=True)], dtype=float)
    if region > _RUNNING_COST * sum(column.voxels for column in columns):
        return [sum_column(voxels, column) for column in columns]
    sums, doubtful = _running_sums(voxels, columns, (low[0], low[1], low[2]), high)
    for index in np.flatnonzero(doubtful).tolist():
        sums[index] = sum_column(voxels, columns[index])
    return sums


def sum_column(voxels: Voxels, column: Column) -> Floats:
    """Add up the planes of one box."""
    block = voxels.read(column.start, column.stop)
    total = weighted_plane_sum(block, column.weights)
    if not np.isfinite(total).all():  # cheaper to find here than among all voxels
        total = weighted_plane_sum(voxels.mend(block, column.start), column.weights)
    return total


def weighted_plane_sum(planes: Block, weights: Floats) -> Floats:
    """Add up planes; the weights are 1 but for the first and the last. Exact for whole numbers."""
    total: Floats
    if planes.dtype.kind in "iub" and planes.dtype.itemsize <= 2:
        total = np.add.reduce(planes, axis=0, dtype=np.int32).astype(np.float64)
    else:
        total = np.add.reduce(planes.astype(np.float64), axis=0)
    for end in {0, len(weights) - 1}:
        if weights[end] != 1:
            total += (weights[end] - 1) * planes[end].astype(np.float64)
    return total


def _running_sums(
    voxels: Voxels, columns: Sequence[Column], low: Corner, high: Sequence[int]
) -> tuple[list[Floats], npt.NDArray[np.bool_]]:
    """Give the sums, and which are inexact: not finite, or small relative to the total."""
    shape = (high[1] - low[1], high[2] - low[2])
    total = np.zeros(shape)
    sums = [np.zeros(column.size) for column in columns]
    largest = np.zeros(len(columns))
    places, partial, before, after = _events(columns, low, high[0])
    step = max(1, _BLOCK_BYTES // (shape[0] * shape[1] * voxels.dtype.itemsize))
    with np.errstate(invalid="ignore", over="ignore"):
        for first in range(low[0], high[0], step):
            last = min(high[0], first + step)
            block = voxels.read((first, low[1], low[2]), (last, high[1], high[2]))
            for z, plane in enumerate(block, first - low[0]):
                for index, weight in partial[z]:
                    sums[index] += weight * plane[places[index]].astype(np.float64)
                for index in before[z]:
                    sums[index] -= total[places[index]]
                total += plane
                for index in after[z]:
                    part = total[places[index]]
                    sums[index] += part
                    largest[index] = max(abs(part.max()), abs(part.min()))
        error = (high[0] - low[0]) * np.finfo(np.float64).eps * largest
        size = np.array([max(abs(s.max()), abs(s.min())) for s in sums])
        # Written so that a comparison with NaN leaves the sum untrusted.
        trusted = np.isfinite(size) & (error <= _SMALLEST_ERROR * size)
    if voxels.dtype.kind in "iub":
        trusted[:] = True
    return sums, ~trusted


def _events(
    columns: Sequence[Column], low: Corner, end: int
) -> tuple[
    list[tuple[slice, slice]], list[list[tuple[int, float]]], list[list[int]], list[list[int]]
]:
    """List what is to be done at each plane: add part of it; take the total before, and after."""
    places = []
    partial: list[list[tuple[int, float]]] = [[] for _ in range(end - low[0])]
    before: list[list[int]] = [[] for _ in range(end - low[0])]
    after: list[list[int]] = [[] for _ in range(end - low[0])]
    for index, column in enumerate(columns):
        z, y, x = (a - b for a, b in zip(column.start, low, strict=True))
        places.append((slice(y, y + column.size[0]), slice(x, x + column.size[1])))
        first, last = z, z + len(column.weights) - 1
        for plane, weight in {first: column.weights[0], last: column.weights[-1]}.items():
            if weight != 1:
                partial[plane].append((index, float(weight)))
        first += column.weights[0] != 1
        last -= column.weights[-1] != 1
        if first <= last:
            before[first].append(index)
            after[last].append(index)
    return places, partial, before, after
