"""Filling galleries with the minislabs of many tomograms, in the order of the pick table."""

from __future__ import annotations

import functools
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slabkit.arrays.parallel import attempt_in_order
from slabkit.errors import SlabkitError, write_error
from slabkit.minislabs.projection import Images, Minislabs, check_tilts, project_each
from slabkit.tomogram import Tomogram
from slabkit.units import Angstrom, length_to_even_voxels

if TYPE_CHECKING:
    import pandas as pd

_WINDOW_BYTES = 32 << 20  # of images in memory, for each job
_ON_DISK = 64  # times as many, on disk, where they are of one tomogram

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FilledGallery:
    """The minislabs of one gallery."""

    index: int  # which gallery, from 0
    # In the order of their tiles; `Minislabs.row` counts rows of the whole pick table
    minislabs: Minislabs


def fill_galleries(
    picks: pd.DataFrame,
    open_tomogram: Callable[[str], Tomogram],
    *,
    tiles: int,
    box: Angstrom,
    depth: Angstrom,
    pixel_size: Angstrom,
    tilts: Sequence[float] = (0.0,),
    on_failure: Callable[[str, SlabkitError], None] | None = None,
    window: int | None = None,
    jobs: int = 1,
    skip: int = 0,
) -> Iterator[FilledGallery]:
    """Make the minislabs of picks from any number of tomograms, a gallery at a time.

    Galleries fill continuously in the order of the table, and each pick's views follow one
    another. The table is worked through in windows of some thousand picks, or up to the last of a
    tomogram's picks that follow one another; within a window each tomogram is opened once, so that
    picks of several tomograms may be mixed in any way. What is more than some thousand images waits
    in a temporary file, so that memory does not grow with their number.

    Parameters
    ----------
    picks : DataFrame
        Columns of `slabkit.tables.PICKS`.
    open_tomogram : callable
        Takes a tomogram's name.
    tiles : int
        Tiles in a gallery.
    box, depth, pixel_size, tilts
        As for `project_minislabs`; one pixel size for all tomograms.
    on_failure : callable, optional
        Called with the name and the error of a tomogram that cannot be opened or read; no further
        picks of it are used. By default the error passes through.
    window : int, optional
        Picks in a window; by default as many as make 32 MB of images for each job, and those that
        follow of the same tomogram, up to 64 times as many.
    jobs : int, optional
        Threads: as many tomograms at a time, or parts of one; the result does not depend on it.
    skip : int, optional
        Galleries at the beginning that are there already and are not made.

    Yields
    ------
    FilledGallery
        All full but the last.

    Raises
    ------
    SlabkitError
        As `project_minislabs` and ``open_tomogram``.
    """
    tilts = check_tilts(tilts)
    side = length_to_even_voxels(box, pixel_size)
    most = max(1, jobs * _WINDOW_BYTES // (side * side * 4 * len(tilts)))
    failed: set[str] = set()

    def keep(name: str, error: SlabkitError) -> None:
        if on_failure is None:
            raise error
        failed.add(name)
        on_failure(name, error)

    gallery = skip
    waiting: Minislabs | None = None
    first, shown = divmod(skip * tiles, len(tilts))  # views of the first pick that are there
    every = picks["slabkitTomogram"].to_numpy(dtype=object)
    for start, stop in _windows(every, first, most, window):
        names = [str(name) for name in dict.fromkeys(every[start:stop]) if name not in failed]
        # Where tomograms are fewer than threads, a tomogram's picks go to several.
        threads = max(1, jobs // max(1, len(names)))
        images = _Images(stop - start, len(tilts), side, on_disk=stop - start > 2 * most)

        def make(
            name: str,
            part: pd.DataFrame = picks.iloc[start:stop],
            images: _Images = images,
            threads: int = threads,
        ) -> None:
            own = np.flatnonzero(part["slabkitTomogram"] == name)
            project_each(
                open_tomogram(name),
                part.iloc[own],
                functools.partial(images.put, own),
                box=box,
                depth=depth,
                tilts=tilts,
                pixel_size=pixel_size,
                jobs=threads,
            )
            images.whole[own] = True

        for name, done in attempt_in_order(make, names, jobs):
            if isinstance(done, SlabkitError):
                keep(name, done)
        for rows in images.in_pieces(tiles):
            made = Minislabs(
                images.take(rows).reshape(-1, side, side),
                images.fractions[rows].reshape(-1),
                np.repeat(rows + start, len(tilts)),
                np.tile(np.asarray(tilts, dtype=np.float64), len(rows)),
            )
            if waiting is None:
                waiting = made[shown:]
            else:  # mostly a whole gallery was made of what was waiting
                waiting = waiting.joined(made) if len(waiting) else made
            while len(waiting) >= tiles:
                yield FilledGallery(gallery, waiting[:tiles])
                waiting = waiting[tiles:]
                gallery += 1
    if waiting is not None and len(waiting):
        yield FilledGallery(gallery, waiting)


def _windows(
    names: npt.NDArray[np.object_], first: int, most: int, exactly: int | None
) -> Iterator[tuple[int, int]]:
    """Divide the table from a row on: so many rows, and those that follow of the same tomogram."""
    ends = np.append(np.flatnonzero(names[1:] != names[:-1]) + 1, len(names))
    while first < len(names):
        stop = min(first + (exactly or most), len(names))
        if exactly is None:
            stop = min(int(ends[np.searchsorted(ends, stop)]), first + _ON_DISK * most)
        yield first, stop
        first = stop


class _Images:
    """The images of a stretch of the table: in memory, or in an unnamed temporary file."""

    def __init__(self, picks: int, views: int, side: int, on_disk: bool) -> None:
        self.shape = (views, side, side)
        self.whole = np.zeros(picks, dtype=bool)  # the picks that have all views
        self.fractions = np.empty((picks, views))
        self._on_disk = on_disk
        if on_disk:
            self._file = tempfile.TemporaryFile(prefix="slabkit-", buffering=0)  # noqa: SIM115
            self._place = np.zeros((picks, views), dtype=np.int64)  # of each image in the file
            self._images, self._lock = 0, threading.Lock()
        else:
            self._memory = np.empty((picks, *self.shape), dtype=np.float32)

    def put(
        self, own: Integers, chosen: Integers, view: int, images: Images, fractions: Floats
    ) -> None:
        """Take in images of one view, of those chosen among the picks of a tomogram."""
        rows = own[chosen]
        self.fractions[rows, view] = fractions
        if not self._on_disk:
            self._memory[rows, view] = images
            return
        with self._lock:
            first, self._images = self._images, self._images + len(images)
        self._place[rows, view] = first + np.arange(len(images))
        left, position = _bytes_of(images), first * images[0].nbytes
        try:
            while left:
                count = os.pwrite(self._file.fileno(), left, position)
                left, position = left[count:], position + count
        except OSError as error:
            raise write_error(f"minislabs in {tempfile.gettempdir()} (TMPDIR)", error) from error

    def in_pieces(self, size: int) -> Iterator[Integers]:
        """Give the picks that have all views, so many at a time."""
        rows = np.flatnonzero(self.whole)
        for at in range(0, len(rows), size):
            yield rows[at : at + size]

    def take(self, rows: Integers) -> Images:
        """Give all views of picks: (picks, views, y, x)."""
        if not self._on_disk:
            return self._memory[rows]
        images = np.empty((len(rows), *self.shape), dtype=np.float32)
        size, every, handle = images[0, 0].nbytes, _bytes_of(images), self._file.fileno()
        for at, place in enumerate(self._place[rows].ravel().tolist()):
            os.preadv(handle, [every[at * size : (at + 1) * size]], place * size)
        return images


def _bytes_of(images: Images) -> memoryview:
    return memoryview(images.reshape(-1).view(np.uint8).data)
