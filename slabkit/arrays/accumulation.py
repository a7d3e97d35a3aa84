"""Overlapping windows of planes: where they lie, and their sums, each plane read once."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from slabkit.arrays.parallel import map_in_order
from slabkit.errors import InputError


def window_starts(
    depth_vox: int, thickness_vox: int, step_vox: int | None = None, *, cover: bool = False
) -> npt.NDArray[np.int64]:
    """Place windows of equal thickness in a depth.

    Parameters
    ----------
    depth_vox : int
        Planes available, at least 1.
    thickness_vox : int
        Planes a window; a depth below it gives one window of the whole depth.
    step_vox : int, optional
        A sliding window: first and last flush with the faces, evenly placed, neighbouring starts
        at most this far apart.
    cover : bool, optional
        Without a step: the fewest windows that cover the whole depth, evenly placed and flush.

    Returns
    -------
    ndarray of int64, shape (windows,)
        First plane of each window, ascending. With neither step nor cover: as many windows as fit
        side by side, the group centred (an odd plane left over goes after the last).

    Raises
    ------
    InputError
        A length is below 1, or both `step_vox` and `cover` are given.
    """
    for name, value in (("depth", depth_vox), ("thickness", thickness_vox), ("step", step_vox)):
        if value is not None and value < 1:
            raise InputError(f"the {name} must be at least one voxel, not {value}.")
    if step_vox is not None and cover:
        raise InputError("a step and cover exclude each other: windows with a step cover already.")
    room = depth_vox - thickness_vox
    if room <= 0:
        return np.zeros(1, dtype=np.int64)
    if step_vox is None and not cover:
        count = depth_vox // thickness_vox
        first = (depth_vox - count * thickness_vox) // 2
        return first + thickness_vox * np.arange(count, dtype=np.int64)
    # Rounding evenly spaced starts moves neighbours apart by at most ceil(room / intervals),
    # which is not more than the whole-voxel step.
    intervals = -(-room // (thickness_vox if step_vox is None else step_vox))
    return (np.arange(intervals + 1, dtype=np.int64) * room + intervals // 2) // intervals


# Rounding of a running total may be this much of a sum's largest value: float32 shows far less.
_SMALLEST_ERROR = 1e-9
_EVERY = 4  # row of a sum that is looked at for that
_BAND_VOXELS = 48 * 1024  # 384 KiB of float64: a band's sum stays in the second-level cache
_BUFFERS_AT_ONCE = 8
_CONVERTED = 2048  # numbers NumPy converts at a time: they stay in the first-level cache


class RowSource(Protocol):
    """A volume of which whole rows can be read into an array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Planes, rows, columns."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels."""

    def row_reader(self, into: npt.NDArray[Any]) -> Callable[[int, int], None]:
        """Give what fills an array (row, x) with rows of a plane: its number, the first row's."""


class UnreadPlanes:
    """Planes of a volume that are read a band at a time, into the cache, by whoever sums them."""

    def __init__(self, source: RowSource, first: int, last: int) -> None:
        self.source, self.first = source, first
        self.shape = (last - first, *source.shape[1:])
        self.dtype = source.dtype

    def __len__(self) -> int:
        return self.shape[0]


class TileSource(Protocol):
    """A volume in blocks that are decoded one at a time."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Planes, rows, columns."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels."""

    @property
    def block_shape(self) -> tuple[int, int, int]:
        """Planes, rows and columns of a block; those at the far faces are cut off."""

    def tile(self, index: tuple[int, int, int]) -> npt.NDArray[Any]:
        """Decode a block, by its number along each axis; good until this thread's next one."""


class UndecodedPlanes:
    """Planes of a volume in blocks, of which each is decoded by whoever sums its planes."""

    def __init__(self, source: TileSource, first: int, last: int) -> None:
        self.source, self.first, self.last = source, first, last
        self.shape = (last - first, *source.shape[1:])
        self.dtype = source.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def areas(self) -> list[Area]:
        """Give what of each plane is in one block."""
        _, height, width = self.source.shape
        _, high, wide = self.source.block_shape
        return [
            (slice(y, min(y + high, height)), slice(x, min(x + wide, width)))
            for y in range(0, height, high)
            for x in range(0, width, wide)
        ]

    def decoded(self, area: Area) -> npt.NDArray[Any]:
        """Decode an area of all the planes."""
        deep, high, wide = self.source.block_shape
        y, x = area[0].start // high, area[1].start // wide
        numbers = range(self.first // deep, -(-self.last // deep))
        if len(numbers) == 1:
            return self._part(numbers[0], y, x)
        size = (len(self), *_size_of(area))
        planes = np.empty(size, self.dtype)
        end = 0
        for z in numbers:
            part = self._part(z, y, x)
            planes[end : end + len(part)] = part
            end += len(part)
        return planes

    def _part(self, z: int, y: int, x: int) -> npt.NDArray[Any]:
        begin = z * self.source.block_shape[0]
        return self.source.tile((z, y, x))[max(0, self.first - begin) : self.last - begin]


Area: TypeAlias = tuple[slice, slice]
"""Rows and columns."""

Event: TypeAlias = tuple[int, int | None, int | None]
"""A plane, the window that opens before it and the one that closes after it."""

Band: TypeAlias = tuple[float, float, float, float]
"""Of a window's band: least and greatest value; power of the total before it, and its own."""

_Reading: TypeAlias = tuple[npt.NDArray[Any], Callable[[int, int], None], npt.NDArray[np.float64]]

Block: TypeAlias = npt.NDArray[Any] | UnreadPlanes | UndecodedPlanes


@dataclass
class WindowSum:
    """The sum over one window, times the factor."""

    image: npt.NDArray[np.float32]  # shape (y, x)
    least: float  # NaN where there is one
    greatest: float
    # False where the sum may have lost precision to a far larger running total, or is not finite:
    # then it must be computed again from its planes alone
    trusted: bool = True


def sum_windows(
    chunks: Iterable[tuple[int, Block]],
    starts: Sequence[int],
    count: int,
    *,
    together: int | None = None,
    factor: float = 1.0,
    spare: list[npt.NDArray[np.float32]] | None = None,
    jobs: int = 1,
) -> Iterator[WindowSum]:
    """Sum the planes of each window, in float64, as the planes stream past.

    A running total is kept while windows overlap; a window's sum is the total at its end less the
    total at its start. Windows that do not overlap share no total. A chunk is taken in bands of
    rows that fit the processor's cache, so that double precision costs little more than reading;
    what a window needs at its end is done there and then.

    Parameters
    ----------
    chunks : iterable of (int, ndarray of shape (planes, y, x), `UnreadPlanes`, `UndecodedPlanes`)
        Number of the first plane and the planes, ascending and without gaps from the first
        window's start to the last window's end.
    starts : sequence of int
        First plane of each window, ascending.
    count : int
        Planes in each window.
    together : int, optional
        So many planes, from the first window's start on, are added to each other before they are
        added to a total: chunks of any length then give what chunks of this length give.
    factor : float, optional
        The sums are multiplied by it, and then rounded to float32.
    spare : list of ndarray, optional
        Images that are needed no more are put here by the caller, and used again.
    jobs : int, optional
        Threads; the sums do not depend on it.

    Yields
    ------
    WindowSum
        One a window, in order. Exact for integers. In memory are only those of windows that
        overlap one another.
    """
    open_at = {start: index for index, start in enumerate(starts)}
    close_at = {start + count - 1: index for index, start in enumerate(starts)}
    state = _RunningTotals(starts, count, together, factor, [] if spare is None else spare)
    begun: deque[list[int]] = deque()  # of each chunk in work, the windows that close
    chunks = iter(chunks)
    opening = next(chunks)
    sums = [_AreaSums(area, state.buffer(_size_of(area))) for area in _areas(opening[1])]

    def tasks() -> Iterator[Callable[[], dict[int, Band]]]:
        for first, block in chain([opening], chunks):
            end = first + len(block)
            events = [(z, open_at.get(z), close_at.get(z)) for z in range(first, end)]
            begun.append([index for _, _, index in events if index is not None])
            work = state.area_work(block, first, events)
            yield from (partial(work, one) for one in sums)

    # An area of a chunk is begun as soon as that area of the chunk before is done: not earlier,
    # because it goes on with its sums; but no thread waits for the other areas.
    running = map_in_order(lambda task: task(), tasks(), jobs, ahead=len(sums) - 1, background=True)
    while done := list(islice(running, len(sums))):
        for index in begun.popleft():
            yield state.finish(index, done)


def _areas(block: Block) -> list[Area]:
    """Cut planes into what is summed by one thread."""
    if isinstance(block, UndecodedPlanes):
        return block.areas()
    _, height, width = block.shape
    rows = max(1, _BAND_VOXELS // width)
    across = slice(0, width)
    return [(slice(y, min(y + rows, height)), across) for y in range(0, height, rows)]


@dataclass(frozen=True)
class _Run:
    """Planes that are added to each other, and to the total of a group of windows."""

    begin: int
    end: int
    group: int
    opened: int | None  # the window that opens before them
    closed: int | None  # the window that closes after them
    resumed: bool = False  # some were added in the chunk before
    goes_on: bool = False  # more come in the next chunk


class _AreaSums:
    """Running total of an area, and what it was at the start of each window that is open."""

    def __init__(self, area: Area, total: npt.NDArray[np.float64]) -> None:
        self.area, self.size = area, _size_of(area)
        self.total = total
        self.at_start: dict[int, npt.NDArray[np.float64]] = {}
        self.pending: npt.NDArray[np.float64] | None = None  # planes added together so far


class _RunningTotals:
    """What the running totals of all areas share; groups of overlapping windows have one each."""

    def __init__(
        self,
        starts: Sequence[int],
        count: int,
        together: int | None,
        factor: float,
        spare_images: list[npt.NDArray[np.float32]],
    ) -> None:
        self.starts, self.count = starts, count
        self.together, self.factor = together, factor
        self.resumes = False
        self.group = [0] * len(starts)  # windows that overlap in a chain share a running total
        for index in range(1, len(starts)):
            apart = starts[index] >= starts[index - 1] + count
            self.group[index] = index if apart else self.group[index - 1]
        self.images: dict[int, npt.NDArray[np.float32]] = {}
        self.spare_images = spare_images
        # Fresh memory costs more than what is written to it.
        self.spare: dict[tuple[int, int], list[npt.NDArray[np.float64]]] = {}
        self.local = threading.local()

    def buffer(self, size: tuple[int, int]) -> npt.NDArray[np.float64]:
        """Give room for numbers of an area."""
        spare = self.spare.setdefault(size, [])
        try:
            return spare.pop()
        except IndexError:  # large pieces of memory come sooner
            first, *others = np.empty((_BUFFERS_AT_ONCE, *size))
            spare += others
            return first

    def area_work(
        self, block: Block, first: int, events: Sequence[Event]
    ) -> Callable[[_AreaSums], dict[int, Band]]:
        """Give the work on an area; it gives what is known of each window that closes."""
        runs = self._runs(first, len(block), events)
        exact = block.dtype.kind in "iub"
        for _, _, index in events:
            if index is not None:
                spare = self.spare_images
                image = spare.pop() if spare else np.empty(block.shape[1:], dtype=np.float32)
                self.images[index] = image

        def work(sums: _AreaSums) -> dict[int, Band]:
            done: dict[int, Band] = {}
            area = sums.area
            planes = block.decoded(area) if isinstance(block, UndecodedPlanes) else block
            for run in runs:
                opened, closed = run.opened, run.closed
                before = total = sums.total
                if opened is not None and opened != run.group:
                    sums.at_start[opened] = before
                    total = sums.total = self.buffer(sums.size)
                part = self._sum(planes, run, first, sums)
                if run.goes_on:
                    if part is not sums.pending:
                        sums.pending = part.copy()
                    if opened is not None:
                        np.copyto(total, 0.0 if opened == run.group else before)
                    continue
                np.add(0.0 if opened == run.group else before, part, out=total)
                if closed is None:
                    continue
                own, earlier, power = total, 0.0, 0.0
                if closed != run.group:  # else it is the first of its group
                    own = sums.at_start.pop(closed)
                    earlier = 0.0 if exact else _power(own)
                    np.subtract(total, own, out=own)
                    power = 0.0 if exact else _EVERY * _power(own[::_EVERY])
                image = self.images[closed][area]
                np.multiply(own, self.factor, out=image, casting="same_kind")
                if own is not total:
                    self.spare[sums.size].append(own)
                done[closed] = (float(image.min()), float(image.max()), earlier, power)
            return done

        def quiet_work(sums: _AreaSums) -> dict[int, Band]:
            with np.errstate(over="ignore", invalid="ignore"):
                np.setbufsize(_CONVERTED)
                return work(sums)

        return quiet_work

    def _sum(
        self, planes: npt.NDArray[Any] | UnreadPlanes, run: _Run, first: int, sums: _AreaSums
    ) -> npt.NDArray[np.float64]:
        """Sum an area of the planes of a run; used again for the next sum of this thread."""
        begin, end = run.begin - first, run.end - first
        total = sums.pending if run.resumed else None
        if isinstance(planes, np.ndarray):
            if planes.shape[1:] != sums.size:
                planes = planes[:, sums.area[0], sums.area[1]]
            if total is None:
                return np.asarray(np.add.reduce(planes[begin:end], axis=0, dtype=np.float64))
            for plane in planes[begin:end]:
                np.add(total, plane, out=total)
            return total
        rows, read, fresh = self._reading(planes, sums.size)
        for number in range(planes.first + begin, planes.first + end):
            read(number, sums.area[0].start)
            if total is None:
                total = fresh
                np.copyto(total, rows)
            else:
                np.add(total, rows, out=total)
        return np.asarray(total)

    def _reading(self, planes: UnreadPlanes, size: tuple[int, int]) -> _Reading:
        """Give this thread's rows, what reads into them, and room for their sum."""
        kept: dict[tuple[int, int], _Reading] = self.local.__dict__.setdefault("kept", {})
        if size not in kept:
            rows = np.empty(size, planes.dtype)
            kept[size] = rows, planes.source.row_reader(rows), np.empty(size)
        return kept[size]

    def finish(self, index: int, done: Sequence[dict[int, Band]]) -> WindowSum:
        """Hand out a window's sum and forget it."""
        group = self.group[index]
        least, greatest, earlier, power = np.array([band[index] for band in done]).T
        with np.errstate(over="ignore", invalid="ignore"):
            own, before = np.sqrt(power.sum()), np.sqrt(earlier.sum())
            # The total at the window's end is no larger than its start and its own sum together.
            largest = math.sqrt(2) * (before + own) if before != 0 else 0.0
            planes = self.starts[index] + self.count - self.starts[group]
            error = planes * np.finfo(np.float64).eps * largest
            # Written so that a comparison with NaN leaves the sum in doubt.
            trusted = bool(error <= _SMALLEST_ERROR * own)
        return WindowSum(self.images.pop(index), float(least.min()), float(greatest.max()), trusted)

    def _runs(self, first: int, planes: int, events: Sequence[Event]) -> list[_Run]:
        """Cut the chunk's planes where windows open and close; those between windows are left out.

        Also where ``together`` planes are complete.
        """
        last = first + planes
        group_of: list[int | None] = [None] * planes
        for index, start in enumerate(self.starts):
            for z in range(max(start, first), min(start + self.count, last)):
                group_of[z - first] = self.group[index]
        runs: list[_Run] = []
        begin, opening = first, None
        resumed, self.resumes = self.resumes, False
        for z, opened, closed in events:
            if opened is not None:
                group = group_of[z - 1 - first] if z > begin else None
                if group is not None:
                    runs.append(_Run(begin, z, group, opening, None))
                begin, opening = z, opened
            group = group_of[z - first]
            if group is None:
                begin = z + 1
                continue
            complete = self._complete(z + 1, last)
            if closed is not None or z + 1 == last or complete:
                self.resumes = closed is None and not complete and z + 1 not in self.starts
                runs.append(_Run(begin, z + 1, group, opening, closed, goes_on=self.resumes))
                begin, opening = z + 1, None
        if resumed:
            runs[0] = replace(runs[0], resumed=True)
        return runs

    def _complete(self, z: int, last: int) -> bool:
        return z == last if self.together is None else (z - self.starts[0]) % self.together == 0


def _size_of(area: Area) -> tuple[int, int]:
    rows, columns = area
    return rows.stop - rows.start, columns.stop - columns.start


def _power(array: npt.NDArray[np.float64]) -> float:
    """Give the sum of squares, in one pass and without BLAS."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.einsum("yx,yx->", array, array))
