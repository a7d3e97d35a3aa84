"""Sums of the planes of many boxes, of one width and depth each, from voxels that stay in a file.

A few boxes are read from the file one by one. Where they are more, the volume is read once, in
order, a block of planes at a time. Where they lie close, what costs is no longer a box's planes but
two squares cut out of running sums (van Herk 1992, doi:10.1016/0167-8655(92)90069-C): a block is
about as deep as a box, so that the whole planes of a box are the last of one block and the first of
the next. Of each block the planes are added up from its end backwards, which gives the first part
of every box that begins in it, and from its beginning forwards, which gives the second part of
every box that ends in it.

Blocks lie where they lie in the volume, and in all three ways the same planes are added up in the
same order: the sum of a box does not depend on which others there are, nor on how it is made.
Nothing is ever subtracted, so that huge or not finite voxels count only where they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Corner = tuple[int, int, int]
Block = npt.NDArray[Any]

# Voxels of the volume, read once, that cost as much as a voxel of the boxes' strips.
_IN_ORDER_COST = 0.25
# Voxels of the volume, added to running sums, that cost as much as a voxel of the boxes.
_RUNNING_COST = 0.5
_BAND_BYTES = 64 << 20  # of planes and running sums
_READ_BYTES = 1 << 20
_FEWEST = 64  # boxes that are not divided further
_AT_ONCE = 8  # boxes whose squares are cut out at once: they stay in the cache
_GIVEN_AT_ONCE = 64  # boxes whose sums are given together


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
class Columns:
    """Boxes whose planes are to be added up; all arrays have the shape (boxes,).

    Their planes are inside the volume, and some of their rows and columns. Beyond it, its edge
    voxels are repeated.
    """

    first: Integers  # first plane
    end: Integers  # the plane after the last
    first_weight: Floats  # of the first plane
    last_weight: Floats  # of the last one, 1 where that is the first; those between have 1
    top: Integers  # first row
    left: Integers  # first column
    side: int  # rows, and columns
    period: int  # planes of a block: as many as a box has whole ones, or one more

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, rows: Integers) -> Columns:
        """Give some of them."""
        values: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        for name, value in values.items():
            values[name] = value if isinstance(value, int) else value[rows]
        return Columns(**values)

    @property
    def whole(self) -> tuple[Integers, Integers]:
        """The first plane that counts wholly, and the one after the last such."""
        return self.first + (self.first_weight != 1), self.end - (self.last_weight != 1)

    def corners(self, shape: Corner) -> tuple[Corner, Corner]:
        """Give the part of a volume that holds them."""
        low = self.first.min(), max(0, self.top.min()), max(0, self.left.min())
        high = (
            self.end.max(),
            min(shape[1], self.top.max() + self.side),
            min(shape[2], self.left.max() + self.side),
        )
        (z, y, x), (end, bottom, right) = map(int, low), map(int, high)
        return (z, y, x), (end, bottom, right)


def bands(columns: Columns, voxels: Voxels, jobs: int = 1) -> list[Integers]:
    """Divide boxes by their rows, so that memory is bounded and there is something for each job.

    By their columns too where planes are so wide that rows do not do it.
    """
    if not len(columns):
        return []
    waiting, found = [np.arange(len(columns))], []
    most = len(columns) if len(columns) < 2 * _FEWEST * jobs else -(-len(columns) // jobs)
    while waiting:
        rows = waiting.pop()
        axis = _dividing_axis(columns[rows], voxels, len(rows) > most)
        if axis is None:
            found.append(rows)
        else:
            keys = (columns.left, columns.top)
            rows = rows[np.lexsort((keys[axis][rows], keys[1 - axis][rows]))]
            half = len(rows) // 2
            waiting += [rows[half:], rows[:half]]
    return found


def _dividing_axis(columns: Columns, voxels: Voxels, many: bool) -> int | None:
    """Give the axis, y (0) or x (1), along which to divide boxes that are many or need too much."""
    if many:
        return 0
    (_, y, x), (_, bottom, right) = columns.corners(voxels.shape)
    needed = _bytes_needed(columns, voxels)
    if len(columns) <= _FEWEST or needed <= _BAND_BYTES:
        return None
    if bottom - y > 2 * columns.side:
        return 0
    return 1 if needed > 3 * _BAND_BYTES and right - x > 2 * columns.side else None


def _bytes_needed(columns: Columns, voxels: Voxels) -> int:
    """Give the bytes of the planes of two blocks, and of the running sums of one."""
    (_, y, x), (_, bottom, right) = columns.corners(voxels.shape)
    each = (2 * columns.period + 1) * voxels.dtype.itemsize + (columns.period + 1) * 8
    return (bottom - y) * (right - x) * each


def sum_columns(voxels: Voxels, columns: Columns) -> Iterator[tuple[Integers, Floats]]:
    """Add up the planes of each box, weighted: which boxes, and their sums, (n, side, side).

    In float64, exact for whole numbers; all boxes once, in any order, some at a time. The next sums
    may be in the same memory.
    """
    if not len(columns):
        return
    sums = np.empty((_GIVEN_AT_ONCE, columns.side, columns.side))
    low, high = columns.corners(voxels.shape)
    region = np.prod(np.subtract(high, low), dtype=float)
    strips = float((columns.end - columns.first).sum()) * columns.side * voxels.shape[2]
    if region > _IN_ORDER_COST * strips or _bytes_needed(columns, voxels) > 16 * _BAND_BYTES:
        every = np.lexsort((columns.left, columns.top, columns.first))
        yield from _sums_alone(voxels, columns, every, sums)
        return
    of_boxes = float((columns.end - columns.first).sum()) * columns.side**2
    running = region <= _RUNNING_COST * of_boxes
    with np.errstate(invalid="ignore", over="ignore"):
        for rows, found in _sums_in_order(voxels, columns, low, high, running, sums):
            if not np.isfinite(found).all():
                for row, one in zip(rows.tolist(), found, strict=True):
                    if not np.isfinite(one).all():
                        one[:] = _sum_column(voxels, columns, row)
            yield rows, found


def _sums_alone(
    voxels: Voxels, columns: Columns, rows: Integers, sums: Floats
) -> Iterator[tuple[Integers, Floats]]:
    """Give the sums of boxes that are read one by one."""
    for at in range(0, len(rows), len(sums)):
        part = rows[at : at + len(sums)]
        for one, row in zip(sums, part.tolist(), strict=False):
            one[:] = _sum_column(voxels, columns, row)
        yield part, sums[: len(part)]


def _sum_column(voxels: Voxels, columns: Columns, row: int) -> Floats:
    """Add up the planes of one box, as `_sums_in_order` does."""
    side = columns.side
    first, end, top, left = (
        int(one[row]) for one in (columns.first, columns.end, columns.top, columns.left)
    )
    depth, ny, nx = voxels.shape
    low = first, max(0, top), max(0, left)
    block = voxels.read(low, (end, min(ny, top + side), min(nx, left + side)))
    total = _sum_of_planes(block, columns, row, depth)
    if not np.isfinite(total).all():  # cheaper to find here than among all voxels
        total = _sum_of_planes(voxels.mend(block, low), columns, row, depth)
    if total.shape == (side, side):
        return total
    y, x = (
        (start + np.arange(side) - at).clip(0, size - 1)
        for start, at, size in zip((top, left), low[1:], total.shape, strict=True)
    )
    return np.asarray(total[y[:, np.newaxis], x])


def _sum_of_planes(block: Block, columns: Columns, row: int, depth: int) -> Floats:
    first, end, period = int(columns.first[row]), int(columns.end[row]), columns.period
    weights = float(columns.first_weight[row]), float(columns.last_weight[row])
    start, stop = first + (weights[0] != 1), end - (weights[1] != 1)
    total = np.zeros(block.shape[1:])
    with np.errstate(invalid="ignore", over="ignore"):
        if start > first:
            total += block[0].astype(np.float64) * weights[0]
        begin = start
        while begin < stop:
            edge = min((begin // period + 1) * period, depth)
            planes = block[begin - first : min(stop, edge) - first]
            total += _one_by_one(planes[::-1] if begin == start and stop >= edge else planes)
            begin = edge
        if stop < end:
            total += block[-1].astype(np.float64) * weights[1]
    return total


def _one_by_one(planes: Block) -> Floats:
    """Add up planes in their order."""
    if planes.dtype.kind in "iub" and planes.dtype.itemsize <= 2:  # exact in whatever order
        return np.asarray(np.add.reduce(planes, axis=0, dtype=np.int32), dtype=np.float64)
    exact = np.ascontiguousarray(planes, dtype=np.float64)
    if exact[0].size > 1:
        return np.asarray(np.add.reduce(exact, axis=0))
    return np.asarray(
        np.cumsum(exact, axis=0)[-1]
    )  # NumPy adds up a line of numbers in another order


def _sums_in_order(
    voxels: Voxels, columns: Columns, low: Corner, high: Corner, running: bool, sums: Floats
) -> Iterator[tuple[Integers, Floats]]:
    """Give the sums as the planes pass: out of running sums, or each of its box's own planes."""
    period = columns.period
    start, stop = columns.whole
    begins = start // period * period  # of the block where a box's whole planes begin, and its end
    ends = np.minimum(begins + period, voxels.shape[0])
    odd = (start == stop) | ((start > begins) & (stop < ends)) | (stop > ends + period)
    yield from _sums_alone(voxels, columns, np.flatnonzero(odd), sums)
    forwards = (stop > ends) | ((start == begins) & (stop < ends))
    backwards = (stop >= ends) & ~odd
    closing = _by_plane(stop - 1, forwards & ~odd)
    whole = _by_plane(stop - 1, backwards & ~forwards)
    lowest = {z // period * period: z for z in np.unique(start[backwards])[::-1].tolist()}
    blocks = _Blocks(voxels, columns, low, high, running)
    done: list[Integers] = []
    count = 0
    needed = np.concatenate([columns.first, start, stop - 1])[np.tile(~odd, 3)]
    for begin in np.unique(needed // period * period).tolist():
        end = blocks.go_on(begin)
        steps = [(z, closing[z]) for z in range(begin, end) if z in closing]
        last = whole.get(end - 1, np.empty(0, dtype=np.int64))
        for z, rows in [*steps, (end, last)]:
            if z < end:
                blocks.add_forwards(z)
            elif begin in lowest:
                blocks.add_backwards(lowest[begin])
            while len(rows):
                step = min(_AT_ONCE, len(sums) - count)
                part, rows = rows[:step], rows[step:]
                blocks.sum_up(part, z < end, sums[count : count + len(part)])
                done.append(part)
                count += len(part)
                if count == len(sums):
                    yield np.concatenate(done), sums
                    done, count = [], 0
    if count:
        yield np.concatenate(done), sums[:count]


class _Blocks:
    """The planes of two blocks, one after the other, and their running sums."""

    def __init__(
        self, voxels: Voxels, columns: Columns, low: Corner, high: Corner, running: bool
    ) -> None:
        self.voxels, self.columns, self.low, self.high = voxels, columns, low, high
        self.start, self.stop = columns.whole
        self.top, self.left, self.beyond = _frame(columns, low, high)
        ends = zip(low[1:], high[1:], self.beyond, strict=True)
        size = [after - before + sum(more) for before, after, more in ends]
        period, kind = columns.period, voxels.dtype.newbyteorder("=")
        # Plane z is at z % (2 * period); the last is the one after the block.
        self.planes = np.empty((2 * period + 1, *size), kind)
        self.begin = self.end = 0  # of the block
        self.read = self.added = 0  # up to which plane was read, and added forwards
        self.running = running
        if running:
            self.backwards, self.total = np.empty((period, *size)), np.empty(size)
            self._totals = _squares(self.total, columns.side)
            self._backwards = _squares(self.backwards, columns.side)
        self._squares = _squares(self.planes, columns.side)
        self._part = np.empty((_AT_ONCE, columns.side**2))
        # Where a box finds its first sum, and the planes that it has in part
        self._start_at = self.start % period
        end = np.minimum(self.start + period, voxels.shape[0])
        self._begins = (self._start_at == 0) & (self.stop < end)  # with the block that it ends in
        self._first = columns.first_weight, (self.start - 1) % (2 * period)
        after = np.where(self.stop % period == 0, 2 * period, self.stop % (2 * period))
        self._last = columns.last_weight, after

    def go_on(self, begin: int) -> int:
        """Read the block that begins at a plane, and the plane after it; gives its end."""
        period = self.columns.period
        self.begin, self.end = begin, min(begin + period, self.voxels.shape[0])
        first, last = max(begin, self.low[0]), min(self.end + 1, self.high[0])
        at = begin % (2 * period)
        if self.read == begin + 1:
            self.planes[at] = self.planes[-1]
            first = begin + 1
        whole = min(self.end, last)
        self._read(first, whole, self.planes[at + first - begin : at + whole - begin])
        self._read(whole, last, self.planes[-1:])
        self.read, self.added = last, begin
        if self.running:
            self.total[:] = 0
        return self.end

    def _read(self, first: int, last: int, into: Block) -> None:
        start, stop = (first, *self.low[1:]), (last, *self.high[1:])
        _read_planes(self.voxels, start, stop, self.beyond, into)

    def add_forwards(self, z: int) -> None:
        """Add planes up from the beginning of the block to plane z."""
        if self.running:
            for plane in range(self.added, z + 1):
                self.total += self.planes[plane % (2 * self.columns.period)]
            self.added = z + 1

    def add_backwards(self, z: int) -> None:
        """Add planes up from the end of the block down to plane z."""
        if self.running:
            later: Any = 0.0
            for plane in range(self.end - 1, z - 1, -1):
                at = plane - self.begin
                np.add(later, self.planes[plane % (2 * self.columns.period)], self.backwards[at])
                later = self.backwards[at]

    def sum_up(self, rows: Integers, forwards: bool, sums: Floats) -> None:
        """Add up the planes of boxes that end where the running sum is now."""
        corners = self.top[rows], self.left[rows]
        if self.running:
            found = self._backwards[self._start_at[rows], *corners]
            if forwards and self._begins[rows].any():  # what is there is of no box
                found[self._begins[rows]] = 0
            self._add_part(found, found, rows, *self._first, corners)
            if forwards:
                found += self._totals[corners]
        else:
            found = np.stack([self._own_planes(int(row), forwards) for row in rows])
        self._add_part(found, sums, rows, *self._last, corners)

    def _own_planes(self, row: int, forwards: bool) -> Floats:
        """Add up a box's own planes but the last that it has in part."""
        top, left, side = int(self.top[row]), int(self.left[row]), self.columns.side
        planes = self.planes[:, top : top + side, left : left + side]
        double, total = len(planes) - 1, np.zeros((side, side))
        start, stop = int(self.start[row]), int(self.stop[row])
        if not (forwards and self._begins[row]):
            begin = self.begin - self.columns.period * (start < self.begin)
            end = min(begin + self.columns.period, self.end)
            at = start % double
            total += _one_by_one(planes[at : at + end - start][::-1])
        weight = float(self.columns.first_weight[row])
        if weight != 1:
            total += planes[(start - 1) % double].astype(np.float64) * weight
        if forwards:
            at = self.begin % double
            total += _one_by_one(planes[at : at + stop - self.begin])
        return total

    def _add_part(
        self,
        sums: Floats,
        into: Floats,
        rows: Integers,
        weights: Floats,
        places: Integers,
        corners: tuple[Integers, Integers],
    ) -> None:
        """Add the squares of planes that boxes have in part, to those that have it so."""
        weight = weights[rows]
        partly = weight != 1
        if not partly.all():
            if into is not sums:
                into[:] = sums
            if not partly.any():
                return
            rows, corners = rows[partly], (corners[0][partly], corners[1][partly])
            some = into[partly]
            self._add_part(some, some, rows, weights, places, corners)
            into[partly] = some
            return
        part = self._squares[places[rows], *corners].reshape(len(rows), -1)
        part = np.multiply(part, weight[:, np.newaxis], out=self._part[: len(rows)])
        np.add(sums, part.reshape(sums.shape), out=into)


def _squares(planes: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    """Give the squares of planes (..., y, x) by their first row and column; nothing is copied."""
    return sliding_window_view(planes, (side, side), axis=(-2, -1))


def _by_plane(planes: Integers, chosen: npt.NDArray[np.bool_]) -> dict[int, Integers]:
    """Sort the chosen boxes by plane."""
    rows = np.flatnonzero(chosen)
    rows = rows[np.argsort(planes[rows], kind="stable")]
    found = np.split(rows, np.flatnonzero(np.diff(planes[rows])) + 1)
    return {int(planes[one[0]]): one for one in found if len(one)}


def _frame(
    columns: Columns, low: Corner, high: Corner
) -> tuple[Integers, Integers, list[tuple[int, int]]]:
    """Give the places of boxes in a part of the volume, and how far they reach beyond it."""
    places, beyond = [], []
    for start, a, b in zip((columns.top, columns.left), low[1:], high[1:], strict=True):
        before, after = max(0, a - int(start.min())), max(0, int(start.max()) + columns.side - b)
        places.append(start - a + before)
        beyond.append((before, after))
    return places[0], places[1], beyond


def _read_planes(
    voxels: Voxels, start: Corner, stop: Corner, beyond: list[tuple[int, int]], into: Block
) -> None:
    """Read planes into an array whose rows and columns beyond them repeat those at the edge."""
    (above, _), (before, _) = beyond
    (first, y, x), (last, bottom, right) = start, stop
    end, far = above + bottom - y, before + right - x
    step = max(1, _READ_BYTES // ((bottom - y) * (right - x) * voxels.dtype.itemsize))
    for z in range(first, last, step):
        planes = into[z - first : z - first + step]
        planes[:, above:end, before:far] = voxels.read(
            (z, y, x), (min(z + step, last), bottom, right)
        )
        planes[:, above:end, :before] = planes[:, above:end, before : before + 1]
        planes[:, above:end, far:] = planes[:, above:end, far - 1 : far]
        planes[:, :above] = planes[:, above : above + 1]
        planes[:, end:] = planes[:, end - 1 : end]
