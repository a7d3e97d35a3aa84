"""Sums over overlapping windows of planes, each plane read once."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# Rounding of a running total may be this much of a sum's largest value: float32 shows far less.
_SMALLEST_ERROR = 1e-9
_BAND_VOXELS = 128 * 1024  # 1 MiB of float64: a band's sum stays in the second-level cache


@dataclass
class WindowSum:
    """The sum over one window.

    Parameters
    ----------
    total : ndarray of float64, shape (y, x)
    trusted : bool
        False where the sum may have lost precision beside a far larger running total, or is not
        finite: then it must be made anew from its planes alone.
    """

    total: npt.NDArray[np.float64]
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
        One a window, in order; the caller owns it. Exact for integers. In memory are only those of
        windows that overlap one another.
    """
    open_at = {start: index for index, start in enumerate(starts)}
    close_at = {start + count - 1: index for index, start in enumerate(starts)}
    state = _State(starts, count)
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        for first, block in chunks:
            _will_need(block)
            end = first + len(block)
            events = [(z, open_at.get(z), close_at.get(z)) for z in range(first, end)]
            state.prepare([opened for _, opened, _ in events if opened is not None], block)
            _, height, width = block.shape
            rows = max(1, _BAND_VOXELS // width)
            bands = [slice(y, min(y + rows, height)) for y in range(0, height, rows)]
            work = state.band_work(block, first, events)
            peaks = list(pool.map(work, bands) if jobs > 1 else map(work, bands))
            for _, _, closed in events:
                if closed is not None:
                    yield state.finish(closed, max(peak.get(closed, 0.0) for peak in peaks))


class _State:
    """Running totals of groups of overlapping windows, and what they were at each start."""

    def __init__(self, starts: Sequence[int], count: int) -> None:
        self.starts, self.count = starts, count
        self.group = [0] * len(starts)  # windows that overlap in a chain share a running total
        for index in range(1, len(starts)):
            apart = starts[index] >= starts[index - 1] + count
            self.group[index] = index if apart else self.group[index - 1]
        self.totals: dict[int, npt.NDArray[np.float64]] = {}
        self.at_start: dict[int, npt.NDArray[np.float64]] = {}

    def prepare(self, opened: Iterable[int], block: npt.NDArray[Any]) -> None:
        for index in opened:
            if self.group[index] == index:
                self.totals[index] = np.zeros(block.shape[1:])
            else:
                self.at_start[index] = np.empty(block.shape[1:])

    def band_work(
        self,
        block: npt.NDArray[Any],
        first: int,
        events: Sequence[tuple[int, int | None, int | None]],
    ) -> Callable[[slice], dict[int, float]]:
        """Give the work on a band; it gives the largest running total seen by each window."""
        windows = self._groups_of_planes(first, len(block))
        exact = block.dtype.kind in "iub"

        def work(band: slice) -> dict[int, float]:
            peaks: dict[int, float] = {}
            for z, opened, closed in events:
                group = windows[z - first]
                if group is None:  # between windows
                    continue
                total = self.totals[group][band]
                if opened is not None and opened != group:
                    np.copyto(self.at_start[opened][band], total)
                np.add(total, block[z - first, band], out=total)
                if closed is not None and closed != group:
                    start = self.at_start[closed][band]
                    if not exact:
                        peaks[closed] = _largest(total, start)
                    np.subtract(total, start, out=start)
                elif closed is not None and self._shared(group):
                    # The first window of a group: its sum is the total itself, which goes on.
                    np.copyto(self._first_sum(group, block)[band], total)
            return peaks

        for _, _, closed in events:
            if closed is not None and closed in self.totals and self._shared(closed):
                self._first_sum(closed, block)
        return work

    def finish(self, index: int, peak: float) -> WindowSum:
        if self.group[index] == index and not self._shared(index):
            return WindowSum(self.totals.pop(index))
        total = self.at_start.pop(index)
        if index + 1 == len(self.starts) or self.group[index + 1] != self.group[index]:
            del self.totals[self.group[index]]
        planes = self.starts[index] + self.count - self.starts[self.group[index]]
        error = planes * np.finfo(np.float64).eps * peak
        # Written so that a comparison with NaN leaves the sum in doubt.
        return WindowSum(total, bool(error <= _SMALLEST_ERROR * _largest(total)))

    def _shared(self, group: int) -> bool:
        return group + 1 < len(self.starts) and self.group[group + 1] == group

    def _first_sum(self, group: int, block: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        if group not in self.at_start:
            self.at_start[group] = np.empty(block.shape[1:])
        return self.at_start[group]

    def _groups_of_planes(self, first: int, planes: int) -> list[int | None]:
        groups: list[int | None] = [None] * planes
        for index, start in enumerate(self.starts):
            for z in range(max(start, first), min(start + self.count, first + planes)):
                groups[z - first] = self.group[index]
        return groups


def _largest(*arrays: npt.NDArray[np.float64]) -> float:
    return max(max(float(array.max()), -float(array.min())) for array in arrays)


def _will_need(block: npt.NDArray[Any]) -> None:
    """Ask for a mapped block in one sweep, because bands touch its pages out of order."""
    base: Any = block
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    if not isinstance(base, mmap.mmap) or not hasattr(mmap, "MADV_WILLNEED"):
        return
    if not block.flags.c_contiguous:
        return
    offset = block.ctypes.data - np.frombuffer(base, dtype=np.uint8, count=1).ctypes.data
    aligned = offset // mmap.PAGESIZE * mmap.PAGESIZE
    base.madvise(mmap.MADV_WILLNEED, aligned, block.nbytes + offset - aligned)
