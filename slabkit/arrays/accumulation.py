"""Sums over overlapping windows of planes, each plane read once."""

from __future__ import annotations

import itertools
import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

_BAND_VOXELS = 128 * 1024  # 1 MiB of float64: a band's sum stays in the second-level cache


def sum_windows(
    chunks: Iterable[tuple[int, npt.NDArray[Any]]],
    starts: Sequence[int],
    count: int,
    *,
    jobs: int = 1,
) -> Iterator[npt.NDArray[np.float64]]:
    """Sum the planes of each window, in float64, as the planes stream past.

    A chunk is taken in bands of rows that fit the processor's cache, so that sums in double
    precision cost little more than reading. Only windows that overlap the chunk are held.

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
    ndarray of float64, shape (y, x)
        One sum a window, in order; the caller owns it. Exact for integers.
    """
    sums: dict[int, npt.NDArray[np.float64]] = {}
    done = 0
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        for first, block in chunks:
            _will_need(block)
            end = first + len(block)
            pieces = _pieces(starts, count, first, end)
            for index in sorted({i for _, _, windows in pieces for i in windows}):
                if index not in sums:
                    sums[index] = np.zeros(block.shape[1:])
            rows = max(1, _BAND_VOXELS // block.shape[2])
            bands = [
                slice(y, min(y + rows, block.shape[1])) for y in range(0, block.shape[1], rows)
            ]
            work = _band_work(block, pieces, first, sums)
            for _ in pool.map(work, bands) if jobs > 1 else map(work, bands):
                pass
            while done < len(starts) and starts[done] + count <= end:
                yield sums.pop(done)
                done += 1


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


def _pieces(
    starts: Sequence[int], count: int, low: int, high: int
) -> list[tuple[int, int, list[int]]]:
    """Cut planes [low, high) where windows begin or end; name the windows of each piece."""
    edges = {low, high}
    for start in starts:
        edges.update(z for z in (start, start + count) if low < z < high)
    cuts = sorted(edges)
    pieces = []
    for begin, end in itertools.pairwise(cuts):
        windows = [
            index for index, start in enumerate(starts) if start <= begin and end <= start + count
        ]
        if windows:
            pieces.append((begin, end, windows))
    return pieces


def _band_work(
    block: npt.NDArray[Any],
    pieces: list[tuple[int, int, list[int]]],
    first: int,
    sums: dict[int, npt.NDArray[np.float64]],
) -> Callable[[slice], None]:
    def work(band: slice) -> None:
        scratch: npt.NDArray[np.float64] | None = None
        for begin, end, windows in pieces:
            if len(windows) == 1:
                total = sums[windows[0]][band]
            else:
                if scratch is None:
                    scratch = np.empty((band.stop - band.start, block.shape[2]))
                total = scratch
                total[...] = 0
            for z in range(begin - first, end - first):
                np.add(total, block[z, band], out=total)
            if len(windows) > 1:
                for index in windows:
                    target = sums[index][band]
                    np.add(target, total, out=target)

    return work
