"""Filling galleries with the minislabs of many tomograms, in the order of the pick table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slabkit.arrays.parallel import attempt_in_order
from slabkit.errors import SlabkitError
from slabkit.minislabs.projection import Minislabs, check_tilts, stack_minislabs
from slabkit.tomogram import Tomogram
from slabkit.units import Angstrom, length_to_even_voxels

if TYPE_CHECKING:
    import pandas as pd

_WINDOW_BYTES = 32 << 20


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
    another. The table is worked through in windows of some thousand picks; within a window each
    tomogram is opened once, so that picks of several tomograms may be mixed in any way, and memory
    does not grow with their number.

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
        Picks in a window; by default as many as make 32 MB of images for each job.
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
    window = window or max(1, jobs * _WINDOW_BYTES // (side * side * 4 * len(tilts)))
    failed: set[str] = set()

    def make(one: tuple[str, pd.DataFrame, int]) -> Minislabs:
        name, chosen, threads = one
        return stack_minislabs(
            open_tomogram(name),
            chosen,
            box=box,
            depth=depth,
            tilts=tilts,
            pixel_size=pixel_size,
            jobs=threads,
        )

    def keep(name: str, error: SlabkitError) -> None:
        if on_failure is None:
            raise error
        failed.add(name)
        on_failure(name, error)

    gallery = skip
    waiting: Minislabs | None = None
    first, shown = divmod(skip * tiles, len(tilts))  # views of the first pick that are there
    for start in range(first, len(picks), window):
        part = picks.iloc[start : start + window]
        names = [str(name) for name in part["slabkitTomogram"].unique() if name not in failed]
        # Where tomograms are fewer than threads, a tomogram's picks go to several.
        threads = max(1, jobs // max(1, len(names)))
        own = [(name, part[part["slabkitTomogram"] == name], threads) for name in names]
        made = _one_window(part, start, side, tilts, attempt_in_order(make, own, jobs), keep)
        waiting = made[shown:] if waiting is None else waiting.joined(made)
        while len(waiting) >= tiles:
            yield FilledGallery(gallery, waiting[:tiles])
            waiting = waiting[tiles:]
            gallery += 1
    if waiting is not None and len(waiting):
        yield FilledGallery(gallery, waiting)


def _one_window(
    picks: pd.DataFrame,
    first_row: int,
    side: int,
    tilts: Sequence[float],
    results: Iterable[tuple[tuple[str, pd.DataFrame, int], Minislabs | SlabkitError]],
    keep: Callable[[str, SlabkitError], None],
) -> Minislabs:
    """Put what was made of each tomogram in a stretch of the table into the table's order."""
    names = picks["slabkitTomogram"].to_numpy(dtype=object)
    made = np.zeros(len(picks), dtype=bool)
    images = np.empty((len(picks), len(tilts), side, side), dtype=np.float32)
    fractions = np.empty((len(picks), len(tilts)))
    for (name, _, _), done in results:
        if isinstance(done, SlabkitError):
            keep(name, done)
            continue
        rows = np.flatnonzero(names == name)
        images[rows] = done.images.reshape(len(rows), *images.shape[1:])
        fractions[rows] = done.inside_fraction.reshape(len(rows), -1)
        made[rows] = True
    if not made.all():
        images, fractions = images[made], fractions[made]
    rows = np.flatnonzero(made)
    return Minislabs(
        images.reshape(-1, side, side),
        fractions.reshape(-1),
        np.repeat(rows + first_row, len(tilts)),
        np.tile(np.asarray(tilts, dtype=np.float64), len(rows)),
    )
