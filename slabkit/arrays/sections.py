"""Sections through a whole volume, along each of its axes, in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.plane_sums import Voxels
from slabkit.arrays.projections import project_block

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_VOXELS_AT_ONCE = 8 << 20


@dataclass(frozen=True)
class Sections:
    """Sections across one axis, one after another, each the mean of its planes."""

    # Shape (sections, rows, columns): (y, x), (z, x) or (z, y), whichever are the other axes.
    # Pixels are means of cubes of voxels; the last of a line may hold fewer.
    images: Floats
    edges: Integers  # shape (sections + 1,): first voxel of each, and the end of the axis


def mean_sections(
    voxels: Voxels, counts: tuple[int, int, int], binning: int
) -> tuple[Sections, Sections, Sections]:
    """Give at most ``counts`` sections across z, y and x, of pixels of ``binning`` voxels a side.

    The volume is read once, some planes at a time.
    """
    _, ny, nx = voxels.shape
    bins = [np.append(np.arange(0, size, binning), size) for size in voxels.shape]
    cuts = [_cuts(len(one) - 1, count) for one, count in zip(bins, counts, strict=True)]
    z, y, x = (len(one) - 1 for one in bins)
    across_z, across_y, across_x = (
        np.zeros(shape)
        for shape in ((len(cuts[0]) - 1, y, x), (len(cuts[1]) - 1, z, x), (len(cuts[2]) - 1, z, y))
    )
    section_of = np.repeat(np.arange(len(cuts[0]) - 1), np.diff(cuts[0]))
    at_once = max(1, _VOXELS_AT_ONCE // (ny * nx * binning))
    for first in range(0, z, at_once):
        last = min(z, first + at_once)
        corners = (int(bins[0][first]), 0, 0), (int(bins[0][last]), ny, nx)
        sums = project_block(voxels, *corners, lambda block: _binned(block, binning))
        assert sums is not None
        for number, plane in zip(section_of[first:last], sums, strict=True):
            across_z[number] += plane
        across_y[:, first:last] = np.add.reduceat(sums, cuts[1][:-1], axis=1).transpose(1, 0, 2)
        across_x[:, first:last] = np.add.reduceat(sums, cuts[2][:-1], axis=2).transpose(2, 0, 1)
    found = []
    for axis, images in enumerate((across_z, across_y, across_x)):
        edges = bins[axis][cuts[axis]]
        rows, columns = (np.diff(bins[other]) for other in range(3) if other != axis)
        images /= np.diff(edges)[:, None, None] * rows[:, None] * columns
        found.append(Sections(images, edges))
    return found[0], found[1], found[2]


def _cuts(size: int, count: int) -> Integers:
    """Divide a line into at most ``count`` parts that differ in length by one at most."""
    count = min(size, count)
    return np.arange(count + 1) * size // count


def _binned(block: npt.NDArray[Any], binning: int) -> Floats:
    """Add up cubes of voxels."""
    sums: npt.NDArray[Any] = block.astype(np.float64)
    for axis in (0, 1, 2) if binning > 1 else ():
        total = np.moveaxis(sums, axis, 0)[::binning].copy()
        for offset in range(1, binning):
            part = np.moveaxis(sums, axis, 0)[offset::binning]
            total[: len(part)] += part
        sums = np.moveaxis(total, 0, axis)
    return sums
