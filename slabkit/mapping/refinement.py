"""Depths of 2D hits: where in the slab, or half a particle beyond, the particle lies, how surely.

A depth exceeds what else is in its column by its prominence, 0 to 1
(`slabkit.arrays.depths.DepthPeaks`). How often such a depth is within half the particle's radius
was counted on simulated tomograms whose particles are known, by ``benchmarks/depth_confidence.py``,
which prints the table below and checks it on others.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from slabkit.arrays.depths import find_depths
from slabkit.arrays.profiles import depth_profiles
from slabkit.errors import InputError
from slabkit.tomogram import Tomogram
from slabkit.units import Contrast, protein_sign

Floats = npt.NDArray[np.float64]

PROMINENCE = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25)
CONFIDENCE = (0.43, 0.74, 0.91, 0.96, 0.98, 0.99)
"""Confidence at each prominence; straight lines between, and the last one beyond."""


def depth_confidence(prominence: npt.ArrayLike) -> Floats:
    """Give the confidence of depths by their prominence (0 to 1; NaN stays): rises with it.

    Of hits with confidence c and more, at least the share c has its z within half the particle's
    radius, where there is a particle in the column at all. It is a bound: of hits with the highest
    confidence more are right.
    """
    return np.asarray(np.interp(np.asarray(prominence, dtype=np.float64), PROMINENCE, CONFIDENCE))


@dataclass(frozen=True)
class Depths:
    """Depths of hits; all arrays have the shape (hits,)."""

    z_vox: Floats  # depth in voxels, within the volume
    # 0 to 1, see `slabkit.arrays.depths.DepthPeaks`; NaN where z was not refined. What it is worth
    # says `slabkit.mapping.refinement.depth_confidence`.
    prominence: Floats
    # The score rises where the search ends; nothing sticks out anywhere (z is the slab's middle)
    at_border: npt.NDArray[np.bool_]
    flat: npt.NDArray[np.bool_]
    # A second particle stacked on the first; NaN where there is none
    second_z_vox: Floats
    second_prominence: Floats

    def replaced(self, rows: npt.NDArray[np.int64], others: Depths) -> Depths:
        """Put others in place of some."""
        parts = {one.name: getattr(self, one.name).copy() for one in fields(self)}
        for name, values in parts.items():
            values[rows] = getattr(others, name)
        return Depths(**parts)


def slab_middles(
    z_start: npt.NDArray[np.int64], z_count: npt.NDArray[np.int64], z_vox: Floats | None = None
) -> Depths:
    """Give as each hit's depth that known of it, or else the middle of its slab (planes)."""
    none = np.full(len(z_start), np.nan)
    no = np.zeros(len(z_start), dtype=bool)
    middle = z_start + (z_count - 1) / 2
    if z_vox is not None:
        middle = np.where(np.isnan(z_vox), middle, z_vox)
    return Depths(middle, none, no, no, none, none)


def refine_depths(
    tomogram: Tomogram,
    x_vox: Floats,
    y_vox: Floats,
    diameter: Floats,
    z_start: npt.NDArray[np.int64],
    z_count: npt.NDArray[np.int64],
    contrast: Contrast,
    margin: float | None = None,
    jobs: int = 1,
) -> Depths:
    """Search the tomogram along z below each hit, over the planes of its slab and ``margin``.

    Positions are pixels of the image, diameters and ``margin`` (default: half the diameter) Å.
    Refuses a diameter larger than the tomogram, and voxels that are not finite.
    """
    middles = slab_middles(z_start, z_count)
    if not len(x_vox):
        return middles
    depth, height, width = tomogram.shape
    largest = max(tomogram.shape) * tomogram.voxel_size
    if diameter.max() > largest:
        raise InputError(
            f"{tomogram.label}: a pick has a diameter of {diameter.max():g} Å, but the tomogram "
            f"measures {largest:g} Å at most; diameters are in Å."
        )
    diameter_vox = diameter / tomogram.voxel_size
    beyond = diameter_vox / 2 if margin is None else np.full(len(x_vox), margin)
    if margin is not None:
        beyond = beyond / tomogram.voxel_size
    low_face = np.asarray(z_start - 0.5, dtype=np.float64)
    high_face = low_face + z_count
    low = np.clip(np.ceil(low_face - beyond), 0, z_start).astype(np.int64)
    high = np.clip(np.floor(high_face + beyond), z_start + z_count - 1, depth - 1).astype(np.int64)

    def read_planes(first: int, last: int) -> npt.NDArray[np.float32]:
        block = tomogram.read((first, 0, 0), (last, height, width))
        return tomogram.check_finite(block, (first, 0, 0))

    z_vox = middles.z_vox.copy()
    prominence = np.zeros(len(x_vox))
    at_border, flat = middles.at_border.copy(), middles.flat.copy()
    second, second_prominence = middles.second_z_vox.copy(), middles.second_prominence.copy()
    for part in depth_profiles(
        read_planes,
        tomogram.shape,
        np.column_stack([y_vox, x_vox]),
        diameter_vox / 2,
        low,
        high,
        protein_sign(contrast),
        jobs,
    ):
        rows = part.rows
        peaks = find_depths(
            part.scores,
            part.start,
            low[rows],
            high[rows],
            low_face[rows],
            high_face[rows],
            diameter_vox[rows],
        )
        flat[rows] = np.isnan(peaks.z_vox)
        found = rows[~flat[rows]]
        z_vox[found] = np.clip(peaks.z_vox[~flat[rows]], 0, depth - 1)
        prominence[rows] = peaks.prominence
        at_border[rows] = peaks.at_border
        second[rows] = np.clip(peaks.second_z_vox, 0, depth - 1)
        second_prominence[rows] = peaks.second_prominence
    return Depths(z_vox, prominence, at_border, flat, second, second_prominence)
