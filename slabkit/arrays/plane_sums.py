"""Sums of the planes of many boxes: box by box, plane by plane, or by a running total.

A box is read from its file in strips as wide as the volume. Where boxes are many, it is cheaper to
read the volume once, and to add to each box what each plane has of it: the sums are the same. A box
of 30 planes costs 30 planes to add up. Where boxes lie close, it is cheaper still to add up all
planes of the volume once, and to take from that running total, for each box, what there is after
its last plane less what there was before its first one.
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
# Voxels of the volume, read once, that cost as much as a voxel of the boxes' strips.
_IN_ORDER_COST = 0.25
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
    corner = low[0], low[1], low[2]
    if region <= _RUNNING_COST * sum(column.voxels for column in columns):
        sums, doubtful = _running_sums(voxels, columns, corner, high)
    else:
        strips = sum(len(c.weights) * c.size[0] * voxels.shape[2] for c in columns)
        if region > _IN_ORDER_COST * strips:
            return [sum_column(voxels, column) for column in columns]
        with np.errstate(invalid="ignore", over="ignore"):
            sums, doubtful = _sums_in_order(voxels, columns, corner, high)
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
    if _is_short(planes.dtype):
        total = np.add.reduce(planes, axis=0, dtype=np.int32).astype(np.float64)
    else:
        total = np.add.reduce(planes.astype(np.float64), axis=0)
    for end in {0, len(weights) - 1}:
        if weights[end] != 1:
            total += (weights[end] - 1) * planes[end].astype(np.float64)
    return total


def _is_short(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "iub" and dtype.itemsize <= 2


def _sums_in_order(
    voxels: Voxels, columns: Sequence[Column], low: Corner, high: Sequence[int]
) -> tuple[list[Floats], npt.NDArray[np.bool_]]:
    """Give the sums as `sum_column` does, and which are not finite."""
    short = _is_short(voxels.dtype)
    sums: list[Floats] = [np.empty(0)] * len(columns)
    order = sorted(range(len(columns)), key=lambda index: columns[index].start[0])
    active: dict[int, tuple[Any, list[Floats]]] = {}  # the sum so far, and what corrects it
    plane_bytes = (high[1] - low[1]) * (high[2] - low[2]) * voxels.dtype.itemsize
    step = max(1, _BLOCK_BYTES // plane_bytes)
    for first in range(low[0], high[0], step):
        last = min(high[0], first + step)
        block = voxels.read((first, low[1], low[2]), (last, high[1], high[2]))
        while order and columns[order[0]].start[0] < last:
            index = order.pop(0)
            total = np.zeros(columns[index].size, np.int32 if short else np.float64)
            active[index] = total, []
        for index, (total, corrections) in list(active.items()):
            column = columns[index]
            (z, y, x), (end, bottom, right) = column.start, column.stop
            part = block[
                max(z, first) - first : end - first,
                y - low[1] : bottom - low[1],
                x - low[2] : right - low[2],
            ]
            if short:
                total += np.add.reduce(part, axis=0, dtype=np.int32)
            else:
                for plane in part:
                    total += plane
            for number, plane in {z: part[0], end - 1: part[-1]}.items():
                weight = column.weights[number - z]
                if first <= number < last and weight != 1:
                    corrections.append((weight - 1) * plane.astype(np.float64))
            if end <= last:
                sums[index] = total = total.astype(np.float64, copy=False)
                for correction in corrections:
                    total += correction
                del active[index]
    return sums, np.array([not np.isfinite(one).all() for one in sums])


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
