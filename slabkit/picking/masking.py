"""Masks: which picks lie inside a mask volume, or inside the mask of their slab.

A mask covers the same field as the tomogram or slab, at any voxel size; a voxel is inside where it
is above zero (labels, 0 and 1), or at and above one half for masks of real numbers (soft masks).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.tomogram import Tomogram

if TYPE_CHECKING:
    import pandas as pd

# Binning drops what does not fill a voxel, so a mask may be this much smaller.
_MOST_PART_OFF = 0.02
_PLANES = 16

Booleans = npt.NDArray[np.bool_]


def picks_inside(picks: pd.DataFrame, mask: Tomogram) -> Booleans:
    """Tell which 3D picks lie in a mask volume of their tomogram; reads only planes with picks."""
    position = picks[["slabkitZ", "slabkitY", "slabkitX"]].to_numpy(dtype=np.float64)
    index = np.floor(position / mask.voxel_size + 0.5).astype(np.int64)
    depth, height, width = mask.shape
    within = ((index >= 0) & (index < [depth, height, width])).all(axis=1)
    inside = np.zeros(len(picks), dtype=bool)
    for z in np.unique(index[within, 0]).tolist():
        rows = np.flatnonzero(within & (index[:, 0] == z))
        plane = is_inside(mask.read((z, 0, 0), (z + 1, height, width))[0])
        inside[rows] = plane[index[rows, 1], index[rows, 2]]
    return inside


def picks2d_inside(
    picks2d: pd.DataFrame,
    slabs: pd.DataFrame,
    mask_of: Callable[[Any], tuple[Booleans, float]],
) -> Booleans:
    """Tell which 2D picks lie in the mask of their slab.

    Parameters
    ----------
    picks2d : DataFrame
        Columns of `slabkit.tables.PICKS2D`.
    slabs : DataFrame
        Columns of `slabkit.tables.SLABS`.
    mask_of : callable
        Row of `slabs` (a named tuple) to the slab's mask, shape ``(y, x)``, and its pixel size in
        Å; called once a slab that has picks. See `slab_mask`.

    Returns
    -------
    ndarray of bool, shape (picks2d,)
    """
    inside = np.zeros(len(picks2d), dtype=bool)
    names = picks2d["rlnMicrographName"].to_numpy()
    x, y = (picks2d[f"rlnCoordinate{axis}"].to_numpy(dtype=np.float64) for axis in "XY")
    for slab in slabs.itertuples(index=False):
        rows = np.flatnonzero(names == slab.rlnMicrographName)
        if not len(rows):
            continue
        mask, pixel_size = mask_of(slab)
        scale = float(str(slab.slabkitVoxelSize)) / pixel_size
        column, row = (np.floor(v[rows] * scale + 0.5).astype(np.int64) for v in (x, y))
        within = (row >= 0) & (row < mask.shape[0]) & (column >= 0) & (column < mask.shape[1])
        inside[rows[within]] = mask[row[within], column[within]]
    return inside


def slab_mask(mask: Tomogram, z_start: int, z_count: int, voxel_size: float) -> Booleans:
    """Project a mask volume along a slab: inside where any voxel of the slab's depth is.

    The slab is planes ``z_start`` and on, ``z_count`` of them, of a tomogram of ``voxel_size`` (Å).
    The result, (y, x), has the mask's voxel size.
    """
    depth, height, width = mask.shape
    low = np.floor(z_start * voxel_size / mask.voxel_size + 0.5)
    high = np.floor((z_start + z_count - 1) * voxel_size / mask.voxel_size + 0.5)
    first, last = int(np.clip(low, 0, depth)), int(np.clip(high + 1, 0, depth))
    found = np.zeros((height, width), dtype=bool)
    for z in range(first, last, _PLANES):
        block = mask.read((z, 0, 0), (min(z + _PLANES, last), height, width))
        found |= is_inside(block).any(axis=0)
    return found


def is_inside(values: npt.NDArray[Any]) -> Booleans:
    """Tell which voxels of a mask are inside."""
    return values >= 0.5 if values.dtype.kind == "f" else values > 0


def check_mask_size(
    mask: str, found: tuple[float, ...], field: str, expected: tuple[float, ...]
) -> None:
    """Refuse a mask that does not cover the field it is for; a difference by binning may be.

    Sizes are in Å along x, y (and z); ``mask`` and ``field`` are what messages call them.
    """
    for there, wanted in zip(found, expected, strict=True):
        if abs(there - wanted) > _MOST_PART_OFF * wanted + 1e-6:
            sizes = (" × ".join(f"{side:g}" for side in size) for size in (found, expected))
            raise InputError(
                f"{mask}: is {next(sizes)} Å large, {field} {next(sizes)} Å; give the mask of that "
                "field, or correct its voxel size."
            )
