"""Overlapping windows of planes: where they lie, and their sums, each plane read once."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slabkit.arrays.parallel import map_in_order
from slabkit.arrays.unread_planes import (
    Area,
    Block,
    UndecodedPlanes,
    UnreadPlanes,
    size_of,
)
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
_BAND_VOXELS = 48 * 1024  # a band of two planes and its sum, 768 KiB, stay in the cache
_BUFFERS_AT_ONCE = 32  # 8 MiB: the system is asked for large pages
_CONVERTED = 2048  # numbers NumPy converts at a time: they stay in the first-level cache
_MOST_PLANES = 1 << 15  # of 16 bits, whose sum is below 2**31


Array: TypeAlias = npt.NDArray[Any]

Band: TypeAlias = tuple[float, float, float, float]
"""Of a window's band: least and greatest value; power of the total before it, and its own."""


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
    precise: bool = False,
    factor: float = 1.0,
    spare: list[npt.NDArray[np.float32]] | None = None,
    jobs: int = 1,
) -> Iterator[WindowSum]:
    """Sum the planes of each window as they stream past.

    Planes ``2k`` and ``2k + 1`` are added to each other and that to a running total; a window's sum
    is the total at its end less the total at its start, and its first and last plane are added
    singly where it does not have the other of the two. So a window is the sum of the same terms
    whatever other windows there are. Windows that do not overlap share no total. A chunk is taken
    in bands of rows that fit the processor's cache; what a window needs at its end is done there
    and then.

    Two planes of float32 are added in float32, because converting one takes as long as reading it;
    everything else is in float64. So a sum is off by at most ``2**-24`` of the sum of the planes'
    absolute values (and, where windows overlap, 1e-9 of the sums' root mean square), and is then
    rounded. Sums of integers are exact.

    Parameters
    ----------
    chunks : iterable of (int, ndarray of shape (planes, y, x), `UnreadPlanes`, `UndecodedPlanes`)
        Number of the first plane and the planes, ascending and without gaps from the first
        window's start to the last window's end. Each but the last ends before an even one.
    starts : sequence of int
        First plane of each window, ascending.
    count : int
        Planes in each window.
    precise : bool, optional
        Float32 too is added in float64, where the sum of two does not fit float32.
    factor : float, optional
        The sums are multiplied by it, and then rounded to float32.
    spare : list of ndarray, optional
        Images that are needed no more are put here by the caller, and used again.
    jobs : int, optional
        Threads; the sums do not depend on it.

    Yields
    ------
    WindowSum
        One a window, in order. In memory are only those of windows that overlap one another.
    """
    begun: deque[list[int]] = deque()  # of each chunk in work, the windows that end
    chunks = iter(chunks)
    opening = next(chunks)
    kinds = _kinds(opening[1].dtype, starts[-1] + count - starts[0], precise)
    state = _Windows(starts, count, kinds, factor, [] if spare is None else spare)
    sums = [state.area_sums(area) for area in _areas(opening[1])]

    def tasks() -> Iterator[Callable[[], dict[int, Band]]]:
        for first, block in chain([opening], chunks):
            pairs = state.pairs(first, first + len(block))
            begun.append([part.window for pair in pairs for part in pair.parts if part.ends])
            work = state.area_work(block, first, pairs)
            yield from (partial(work, one) for one in sums)

    # An area of a chunk is begun as soon as that area of the chunk before is done: not earlier,
    # because it goes on with its sums; but no thread waits for the other areas.
    running = map_in_order(lambda task: task(), tasks(), jobs, ahead=len(sums) - 1, background=True)
    while done := list(islice(running, len(sums))):
        for index in begun.popleft():
            yield state.finish(index, done)


def _kinds(
    voxels: np.dtype[Any], planes: int, precise: bool
) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Give the types in which two planes are added to each other, and to the total."""
    double, single, whole = np.dtype(np.float64), np.dtype(np.float32), np.dtype(np.int32)
    if voxels.kind in "iub" and voxels.itemsize <= 2 and planes <= _MOST_PLANES:
        return whole, whole
    return single if voxels.newbyteorder("=") == single and not precise else double, double


def _areas(block: Block) -> list[Area]:
    """Cut planes into what is summed by one thread."""
    if isinstance(block, UndecodedPlanes):
        return block.areas()
    _, height, width = block.shape
    rows = max(1, _BAND_VOXELS // width)
    across = slice(0, width)
    return [(slice(y, min(y + rows, height)), across) for y in range(0, height, rows)]


@dataclass(frozen=True)
class _Part:
    """A window that begins or ends in a pair of planes, or between two."""

    window: int
    ends: bool
    single: bool  # it has only one of the planes


@dataclass(frozen=True)
class _Pair:
    """Planes ``low``, which is even, and the next, which are added to each other if ``whole``."""

    low: int
    whole: bool  # some window has both
    before: list[_Part]  # done before they are added to the total; of single planes, the lower
    after: list[_Part]  # done after that; of single planes, the upper

    @property
    def parts(self) -> list[_Part]:
        """Give all, in their order."""
        return self.before + self.after


class _AreaSums:
    """Running total of an area, and what it was at the start of each window that is open."""

    def __init__(self, area: Area, kind: np.dtype[Any], spare: list[Array]) -> None:
        self.area, self.size = area, size_of(area)
        self.kind, self.spare = kind, spare
        self.total: Array | None = None  # None: nothing was added yet
        self.at_start: dict[int, Array] = {}

    def begin(self, window: int, root: bool, plane: Array | None) -> None:
        """Begin a window, or a new total with it; a plane is what the total has of it already."""
        before = self.total
        if root:
            self.total = None if plane is None else self._with(None, plane)
            if before is not None:
                self.spare.append(before)
        else:
            assert before is not None
            kept = before if plane is None else self._with(before, plane, np.subtract)
            self.at_start[window] = kept

    def add(self, planes: Array) -> None:
        """Add planes that are added up to the total."""
        if self.total is None or next(reversed(self.at_start.values()), None) is self.total:
            self.total = self._with(self.total, planes)  # what it was at a start is kept
        else:
            np.add(self.total, planes, out=self.total)

    def end(self, window: int, alone: bool, plane: Array | None) -> tuple[Array, float, float]:
        """Give a window's sum; the power of the total before it, and its own.

        The powers are 0 where nothing can be lost.
        """
        own, exact = self.at_start.pop(window, None), self.kind.kind == "i"
        if own is None:
            own = self.total if plane is None else self._with(None if alone else self.total, plane)
            assert own is not None
            return own, 0.0, 0.0
        earlier = 0.0 if exact else _power(own)
        assert self.total is not None
        np.subtract(self.total, own, out=own)
        if plane is not None:
            np.add(own, plane, out=own)
        return own, earlier, 0.0 if exact else _EVERY * _power(own[::_EVERY])

    def _with(self, total: Array | None, plane: Array, add: np.ufunc = np.add) -> Array:
        """Add a plane to a total, in other memory."""
        sums = self._buffer()
        if total is None:
            np.copyto(sums, plane)
        else:
            add(total, plane, out=sums)
        return sums

    def _buffer(self) -> Array:
        try:
            return self.spare.pop()
        except IndexError:  # large pieces of memory come sooner
            first, *others = np.empty((_BUFFERS_AT_ONCE, *self.size), self.kind)
            self.spare.extend(others)
            return np.asarray(first)


class _Windows:
    """What the sums of all areas share; chains of overlapping windows have a total each."""

    def __init__(
        self,
        starts: Sequence[int],
        count: int,
        kinds: tuple[np.dtype[Any], np.dtype[Any]],
        factor: float,
        spare_images: list[npt.NDArray[np.float32]],
    ) -> None:
        self.starts, self.count = starts, count
        self.pair_kind, self.kind = kinds
        self.factor = factor
        self.root: list[int] = []  # of a window, that with which its total begins
        for index, start in enumerate(starts):
            apart = index == 0 or start >= starts[index - 1] + count
            self.root.append(index if apart else self.root[index - 1])
        self.images: dict[int, npt.NDArray[np.float32]] = {}
        self.spare_images = spare_images
        # Fresh memory costs more than what is written to it.
        self.spare: dict[tuple[int, int], list[Array]] = {}
        self.local = threading.local()

    def area_sums(self, area: Area) -> _AreaSums:
        """Begin the sums of an area."""
        return _AreaSums(area, self.kind, self.spare.setdefault(size_of(area), []))

    def pairs(self, first: int, last: int) -> list[_Pair]:
        """Take the planes of a chunk two by two; those that lie in no window are left out."""
        pairs = []
        for low in range(first - first % 2, last, 2):
            end, whole = low + 2, False
            before: list[_Part] = []
            after: list[_Part] = []
            touching = bisect_right(self.starts, low - self.count), bisect_left(self.starts, end)
            for index in range(*touching):
                start, stop = self.starts[index], self.starts[index] + self.count
                both = start <= low and end <= stop
                whole |= both
                if start >= low and self.count > 1:
                    (before if start == low else after).append(_Part(index, False, not both))
                if stop <= end:
                    (before if stop < end else after).append(_Part(index, True, not both))
            if whole or before or after:
                assert not whole or first <= low < last - 1
                pairs.append(_Pair(low, whole, before, after))
        return pairs

    def area_work(
        self, block: Block, first: int, pairs: Sequence[_Pair]
    ) -> Callable[[_AreaSums], dict[int, Band]]:
        """Give the work on an area; it gives what is known of each window that ends."""
        for index in (part.window for pair in pairs for part in pair.parts if part.ends):
            spare = self.spare_images
            image = spare.pop() if spare else np.empty(block.shape[1:], dtype=np.float32)
            self.images[index] = image

        def work(sums: _AreaSums) -> dict[int, Band]:
            done: dict[int, Band] = {}
            planes = block.decoded(sums.area) if isinstance(block, UndecodedPlanes) else block
            plane, into = self._access(planes, first, sums)
            for pair in pairs:
                low = high = into  # stands for a plane that nobody needs
                if pair.whole or pair.before:
                    low = plane(pair.low)
                if pair.whole or pair.after:
                    high = plane(pair.low + 1)
                for part in pair.before:
                    self._change(part, low, sums, done)
                if pair.whole:
                    sums.add(np.add(low, high, out=into, dtype=into.dtype))
                for part in pair.after:
                    self._change(part, high, sums, done)
            return done

        def quiet_work(sums: _AreaSums) -> dict[int, Band]:
            with np.errstate(over="ignore", invalid="ignore"):
                np.setbufsize(_CONVERTED)
                return work(sums)

        return quiet_work

    def _change(self, part: _Part, plane: Array, sums: _AreaSums, done: dict[int, Band]) -> None:
        """Begin or end a window in an area."""
        index, single = part.window, plane if part.single else None
        if not part.ends:
            sums.begin(index, self.root[index] == index, single)
            return
        own, earlier, power = sums.end(index, self.count == 1, single)
        image = self.images[index][sums.area]
        np.multiply(own, self.factor, out=image, casting="same_kind")
        if own is not sums.total:
            sums.spare.append(own)
        done[index] = float(image.min()), float(image.max()), earlier, power

    def _access(
        self, block: Array | UnreadPlanes, first: int, sums: _AreaSums
    ) -> tuple[Callable[[int], Array], Array]:
        """Give what reads an area of a plane, good until the next but one, and room for a sum."""
        kept: dict[tuple[int, int], Any] = self.local.__dict__.setdefault("kept", {})
        size = sums.size
        if isinstance(block, np.ndarray):
            if size not in kept:
                kept[size] = np.empty(size, self.pair_kind)
            part = block if block.shape[1:] == size else block[:, *sums.area]
            return lambda z: np.asarray(part[z - first]), kept[size]
        if size not in kept:
            rows = np.empty((2, *size), block.dtype)
            # Nothing needs the lower plane once the two are added up.
            into = rows[0] if rows.dtype == self.pair_kind else np.empty(size, self.pair_kind)
            kept[size] = rows, [block.source.row_reader(row) for row in rows], into
        rows, readers, into = kept[size]
        top, offset = sums.area[0].start, block.first - first

        def plane(z: int) -> Array:
            row: Array = rows[z % 2]
            readers[z % 2](z + offset, top)
            return row

        return plane, into

    def finish(self, index: int, done: Sequence[dict[int, Band]]) -> WindowSum:
        """Hand out a window's sum and forget it."""
        least, greatest, earlier, power = np.array([band[index] for band in done]).T
        with np.errstate(over="ignore", invalid="ignore"):
            own, before = np.sqrt(power.sum()), np.sqrt(earlier.sum())
            # The total at the window's end is no larger than its start and its own sum together.
            largest = math.sqrt(2) * (before + own) if before != 0 else 0.0
            planes = self.starts[index] + self.count - self.starts[self.root[index]]
            error = planes * np.finfo(np.float64).eps * largest
            # Written so that a comparison with NaN leaves the sum in doubt.
            trusted = bool(error <= _SMALLEST_ERROR * own)
        image, low, high = self.images.pop(index), float(least.min()), float(greatest.max())
        return WindowSum(image, low, high, trusted and math.isfinite(low) and math.isfinite(high))


def _power(array: npt.NDArray[np.float64]) -> float:
    """Give the sum of squares, in one pass and without BLAS."""
    return float(np.einsum("yx,yx->", array, array))
