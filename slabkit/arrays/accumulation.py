"""Overlapping windows of planes: where they lie, and their sums, each plane read once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

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
_BAND_VOXELS = 128 * 1024  # 1 MiB of float64: a band's sum stays in the second-level cache


@dataclass
class WindowSum:
    """The sum over one window."""

    total: npt.NDArray[np.float64]  # shape (y, x)
    # False where the sum may have lost precision to a far larger running total, or is not finite:
    # then it must be computed again from its planes alone
    trusted: bool = True


def sum_windows(
    chunks: Iterable[tuple[int, npt.NDArray[Any]]],
    starts: Sequence[int],
    count: int,
    *,
    jobs: int = 1,
) -> Iterator[WindowSum]:
    """Sum the planes of each window, in float64, as the planes stream past.

    A running total is kept while windows overlap; a window's sum is the total at its end less the
    total at its start. Windows that do not overlap share no total. A chunk is taken in bands of
    rows that fit the processor's cache, so that double precision costs little more than reading.

    Parameters
    ----------
    chunks : iterable of (int, ndarray of shape (planes, y, x))
        Number of the first plane and the planes, ascending and without gaps from the first
        window's start to the last window's end.
    starts : sequence of int
        First plane of each window, ascending.
    count : int
        Planes in each window.
    jobs : int, optional
        Threads; the sums do not depend on it.

    Yields
    ------
    WindowSum
        One a window, in order; its array is used again for another window once the next is asked
        for. Exact for integers. In memory are only those of
        windows that overlap one another.
    """
    open_at = {start: index for index, start in enumerate(starts)}
    close_at = {start + count - 1: index for index, start in enumerate(starts)}
    state = _RunningTotals(starts, count)
    closed: list[int] = []
    running: Iterator[dict[int, float]] = iter(())
    for first, block in chunks:
        end = first + len(block)
        events = [(z, open_at.get(z), close_at.get(z)) for z in range(first, end)]
        peaks = list(running)
        state.prepare([index for _, index, _ in events if index is not None], block)
        work, bands = state.band_work(block, first, events), _bands(block.shape)
        running = map_in_order(work, bands, jobs, ahead=len(bands), background=True)
        # While the threads are at this chunk, the caller gets what the one before completed.
        for index in closed:
            yield state.finish(index, peaks)
            state.recycle()
        closed = [index for _, _, index in events if index is not None]
    peaks = list(running)
    for index in closed:
        yield state.finish(index, peaks)
        state.recycle()


def _bands(shape: tuple[int, ...]) -> list[slice]:
    _, height, width = shape
    rows = max(1, _BAND_VOXELS // width)
    return [slice(y, min(y + rows, height)) for y in range(0, height, rows)]


class _RunningTotals:
    """Running totals of groups of overlapping windows, and what they were at each start."""

    def __init__(self, starts: Sequence[int], count: int) -> None:
        self.starts, self.count = starts, count
        self.group = [0] * len(starts)  # windows that overlap in a chain share a running total
        for index in range(1, len(starts)):
            apart = starts[index] >= starts[index - 1] + count
            self.group[index] = index if apart else self.group[index - 1]
        self.totals: dict[int, npt.NDArray[np.float64]] = {}
        self.at_start: dict[int, npt.NDArray[np.float64]] = {}
        self.handed_out: npt.NDArray[np.float64] | None = None
        self.spare: list[npt.NDArray[np.float64]] = []

    def prepare(self, opened: Iterable[int], block: npt.NDArray[Any]) -> None:
        for index in opened:
            if self.group[index] == index:
                self.totals[index] = self._buffer(block)
                self.totals[index].fill(0)
            else:
                self.at_start[index] = self._buffer(block)

    def _buffer(self, block: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        # Fresh memory costs more than what is written to it.
        return self.spare.pop() if self.spare else np.empty(block.shape[1:])

    def recycle(self) -> None:
        """Take back the array that was handed out last."""
        if self.handed_out is not None:
            self.spare.append(self.handed_out)
            self.handed_out = None

    def band_work(
        self,
        block: npt.NDArray[Any],
        first: int,
        events: Sequence[tuple[int, int | None, int | None]],
    ) -> Callable[[slice], dict[int, float]]:
        """Give the work on a band; it gives the power of the running totals of each window."""
        runs = self._runs(first, len(block), events)
        exact = block.dtype.kind in "iub"
        for _, _, _, _, closed in runs:
            if closed is not None and closed in self.totals and self._shared(closed):
                self.at_start[closed] = self._buffer(block)

        def work(band: slice) -> dict[int, float]:
            peaks: dict[int, float] = {}
            for begin, end, group, opened, closed in runs:
                total = self.totals[group][band]
                if opened is not None and opened != group:
                    np.copyto(self.at_start[opened][band], total)
                planes = block[begin - first : end - first, band]
                np.add(total, np.add.reduce(planes, axis=0, dtype=np.float64), out=total)
                if closed is None:
                    continue
                if closed != group:
                    start = self.at_start[closed][band]
                    if not exact:
                        peaks[closed] = _power(total) + _power(start)
                    np.subtract(total, start, out=start)
                elif self._shared(group):
                    # The first window of a group: its sum is the total itself, which keeps running.
                    np.copyto(self.at_start[closed][band], total)
            return peaks

        return work

    def finish(self, index: int, peaks: Sequence[dict[int, float]]) -> WindowSum:
        """Hand out a window's sum and forget it."""
        if self.group[index] == index and not self._shared(index):
            self.handed_out = self.totals.pop(index)
            return WindowSum(self.handed_out)
        total = self.handed_out = self.at_start.pop(index)
        if index + 1 == len(self.starts) or self.group[index + 1] != self.group[index]:
            self.spare.append(self.totals.pop(self.group[index]))
        planes = self.starts[index] + self.count - self.starts[self.group[index]]
        before = np.sqrt(sum(band.get(index, 0.0) for band in peaks))
        error = planes * np.finfo(np.float64).eps * before
        # Written so that a comparison with NaN leaves the sum in doubt.
        return WindowSum(total, bool(error <= _SMALLEST_ERROR * np.sqrt(_power(total))))

    def _shared(self, group: int) -> bool:
        return group + 1 < len(self.starts) and self.group[group + 1] == group

    def _runs(
        self, first: int, planes: int, events: Sequence[tuple[int, int | None, int | None]]
    ) -> list[tuple[int, int, int, int | None, int | None]]:
        """Cut the chunk's planes where windows open and close.

        Gives (first plane, plane after the last, group, window that opens before the first, window
        that closes after the last); planes between windows are left out.
        """
        group_of: list[int | None] = [None] * planes
        for index, start in enumerate(self.starts):
            for z in range(max(start, first), min(start + self.count, first + planes)):
                group_of[z - first] = self.group[index]
        runs: list[tuple[int, int, int, int | None, int | None]] = []
        begin, opening = first, None
        for z, opened, closed in events:
            if opened is not None:
                group = group_of[z - 1 - first] if z > begin else None
                if group is not None:
                    runs.append((begin, z, group, opening, None))
                begin, opening = z, opened
            group = group_of[z - first]
            if group is not None and (closed is not None or z + 1 == first + planes):
                runs.append((begin, z + 1, group, opening, closed))
                begin, opening = z + 1, None
            elif group is None:
                begin = z + 1
        return runs


def _power(array: npt.NDArray[np.float64]) -> float:
    """Give the sum of squares, in one pass and without BLAS."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.einsum("yx,yx->", array, array))
