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
_BAND_BYTES = 48 << 20  # of planes, and of sums that are not complete
_AGAIN_COST = 3.0  # voxels of planes that cost a fifth of a box's pixel
_READ_BYTES = 1 << 20
_FEWEST = 64  # boxes that are not divided further
_AT_ONCE = 8  # boxes whose squares are cut out at once: they stay in the cache


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
    planes, sums = _bytes_needed(columns, voxels)
    if len(columns) <= _FEWEST or max(planes, sums) <= _BAND_BYTES:
        return None
    # Bands overlap by a box; where boxes are dense they cost more than the planes read again.
    depth = voxels.shape[0]
    half = (columns.side + (bottom - y - columns.side) // 2) * (right - x) * depth
    dense = half <= _AGAIN_COST * (len(columns) // 2) * columns.side**2
    if bottom - y > 2 * columns.side or (sums > _BAND_BYTES and (dense or sums > 8 * _BAND_BYTES)):
        return 0
    return 1 if planes > 4 * _BAND_BYTES and right - x > 2 * columns.side else None


def _bytes_needed(columns: Columns, voxels: Voxels) -> tuple[int, int]:
    """Give the bytes of the planes of a block, and of the sums that are not complete."""
    (_, y, x), (_, bottom, right) = columns.corners(voxels.shape)
    planes = (bottom - y) * (right - x) * (columns.period + 2)
    return planes * 8, _most_open(columns) * columns.side**2 * 8


def sum_columns(voxels: Voxels, columns: Columns) -> Iterator[tuple[Integers, Floats]]:
    """Add up the planes of each box, weighted: which boxes, and their sums, (n, side, side).

    In float64, exact for whole numbers; all boxes once, in any order.
    """
    if not len(columns):
        return
    low, high = columns.corners(voxels.shape)
    region = np.prod(np.subtract(high, low), dtype=float)
    strips = float((columns.end - columns.first).sum()) * columns.side * voxels.shape[2]
    if region > _IN_ORDER_COST * strips or _bytes_needed(columns, voxels)[0] > 16 * _BAND_BYTES:
        for row in np.lexsort((columns.left, columns.top, columns.first)):
            yield np.array([row]), _sum_column(voxels, columns, int(row))[np.newaxis]
        return
    of_boxes = float((columns.end - columns.first).sum()) * columns.side**2
    running = region <= _RUNNING_COST * of_boxes
    with np.errstate(invalid="ignore", over="ignore"):
        for rows, sums in _sums_in_order(voxels, columns, low, high, running):
            if not np.isfinite(sums).all():
                for row, one in zip(rows.tolist(), sums, strict=True):
                    if not np.isfinite(one).all():
                        one[:] = _sum_column(voxels, columns, row)
            yield rows, sums


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
    voxels: Voxels, columns: Columns, low: Corner, high: Corner, running: bool
) -> Iterator[tuple[Integers, Floats]]:
    """Give the sums as the planes pass: out of running sums, or each of its box's own planes."""
    depth, side, period = voxels.shape[0], columns.side, columns.period
    start, stop = columns.whole
    begins = start // period * period  # of the block where a box's whole planes begin, and its end
    ends = np.minimum(begins + period, depth)
    second = (start == begins) & (stop < ends)  # no part of it is added up backwards
    odd = (start == stop) | ((start > begins) & (stop < ends)) | (stop > ends + period)
    for row in np.flatnonzero(odd).tolist():
        yield np.array([row]), _sum_column(voxels, columns, row)[np.newaxis]
    opening = _by_plane(start, ~odd)
    closing = _by_plane(stop - 1, (second | (stop > ends)) & ~odd)
    top, left, beyond = _frame(columns, low, high)
    sums_so_far = np.empty((_most_open(columns), side, side))
    free = np.arange(len(sums_so_far))
    place = np.zeros(len(columns), dtype=np.int64)  # in the sums so far
    size = [b - a + sum(more) for a, b, more in zip(low[1:], high[1:], beyond, strict=True)]
    kept = np.float64 if running else voxels.dtype
    space, total = np.empty((min(period, depth) + 2, *size), kept), np.empty(size)
    totals = _squares(total, side)

    def sums_of(rows: Integers, planes: Block) -> Floats:
        """Add up the planes of some boxes: as the running sum has done, or now."""
        if running:
            return np.asarray(totals[top[rows], left[rows]])
        corners = zip(top[rows].tolist(), left[rows].tolist(), strict=True)
        return np.stack([_one_by_one(planes[:, y : y + side, x : x + side]) for y, x in corners])

    def add_part(sums: Floats, rows: Integers, squares: Any, weights: Floats) -> None:
        """Add the squares of a plane that boxes have in part, to those that have it so."""
        weight = weights[rows]
        if (weight != 1).all():
            part = squares[top[rows], left[rows]].reshape(len(rows), -1)
            same = part if part.dtype == np.float64 else None
            part = np.multiply(part, weight[:, np.newaxis], out=same)
            sums += part.reshape(sums.shape)
        elif (weight != 1).any():
            chosen = np.flatnonzero(weight != 1)
            part = sums[chosen]
            add_part(part, rows[chosen], squares, weights)
            sums[chosen] = part

    for begin in sorted({z // period * period for z in (*opening, *closing)}):
        end = min(begin + period, depth)
        first, last = max(begin - 1, low[0]), min(end + 1, high[0])
        block = space[: last - first]
        _read_planes(voxels, (first, *low[1:]), (last, *high[1:]), beyond, block)
        planes = dict(enumerate(block, first))
        squares = dict(enumerate(_squares(block, side), first))
        total[:] = 0
        for z in range(end - 1, min((z for z in opening if begin <= z < end), default=end) - 1, -1):
            if running and z in planes:
                total += planes[z]
            for rows in opening.get(z, ()):
                sums = sums_of(rows, block[z - first : end - first][::-1])
                if second[rows].any():
                    sums[second[rows]] = 0
                add_part(sums, rows, squares.get(z - 1), columns.first_weight)
                later = np.flatnonzero(stop[rows] != end)
                if len(later):
                    place[rows[later]], free = free[: len(later)], free[len(later) :]
                    sums_so_far[place[rows[later]]] = (
                        sums if len(later) == len(rows) else sums[later]
                    )
                if len(later) < len(rows):
                    done = np.flatnonzero(stop[rows] == end)
                    rows, sums = rows[done], sums[done]
                    add_part(sums, rows, squares.get(end), columns.last_weight)
                    yield rows, sums
        total[:] = 0
        for z in range(begin, max((z for z in closing if begin <= z < end), default=begin - 1) + 1):
            if running:
                total += planes[z]
            for rows in closing.get(z, ()):
                sums = sums_of(rows, block[begin - first : z + 1 - first])
                sums += sums_so_far[place[rows]]
                free = np.append(free, place[rows])
                add_part(sums, rows, squares.get(z + 1), columns.last_weight)
                yield rows, sums


def _squares(planes: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    """Give the squares of planes (..., y, x) by their first row and column; nothing is copied."""
    return sliding_window_view(planes, (side, side), axis=(-2, -1))


def _by_plane(planes: Integers, chosen: npt.NDArray[np.bool_]) -> dict[int, list[Integers]]:
    """Sort the chosen boxes by plane, some at a time."""
    rows = np.flatnonzero(chosen)
    rows = rows[np.argsort(planes[rows], kind="stable")]
    found: dict[int, list[Integers]] = {}
    for one in np.split(rows, np.flatnonzero(np.diff(planes[rows])) + 1):
        if len(one):
            parts = [one[at : at + _AT_ONCE] for at in range(0, len(one), _AT_ONCE)]
            found[int(planes[one[0]])] = parts
    return found


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


def _most_open(columns: Columns) -> int:
    """Bound the boxes whose sums are not complete at a time: those of two blocks."""
    count = np.bincount(columns.whole[0] // columns.period)
    return int((count + np.append(count[1:], 0)).max())
