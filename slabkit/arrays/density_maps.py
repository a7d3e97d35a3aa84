"""Density maps as they are looked at: how large, how finely, from which directions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.checks import checked_density
from slabkit.arrays.exact import gaussian_filter
from slabkit.errors import InputError
from slabkit.units import positive_length

Floats = npt.NDArray[np.float64]

_EXTENT_LEVEL = 0.1  # of the highest density; what is fainter is not part of a molecule
_MOST = 0.98  # of its mass; a molecule's outermost parts matter little


def map_diameter(density: npt.NDArray[Any], voxel_size: float, *, lowpass: float) -> float:
    """Give the diameter in Å that `map_templates` takes for a density map.

    Parameters
    ----------
    density : ndarray, shape (z, y, x)
        Protein bright.
    voxel_size, lowpass : float
        In Å, as in `map_templates`.

    Raises
    ------
    InputError
        The density is no finite volume with something in it, or a number makes no sense.
    """
    from scipy import ndimage

    volume = checked_density(density, voxel_size, "the map")
    positive_length(lowpass, "--lowpass")
    volume, voxel_size = coarsened(volume, voxel_size, lowpass)
    return sphere_diameter(volume, np.array(ndimage.center_of_mass(volume))) * voxel_size


def sphere_diameter(volume: Floats, centre: Floats) -> float:
    """Give the diameter in voxels of the sphere that holds nearly all of a molecule."""
    dense = np.argwhere(volume > _EXTENT_LEVEL * volume.max())
    away = np.linalg.norm(dense - centre, axis=1)
    order = np.argsort(away, kind="stable")
    mass = np.cumsum(volume[tuple(dense[order].T)])
    return 2 * float(away[order][np.searchsorted(mass, _MOST * mass[-1])] + 0.5)


def coarsened(volume: Floats, voxel_size: float, lowpass: float) -> tuple[Floats, float]:
    """Average blocks of voxels that are far finer than the low-pass needs."""
    block = int(lowpass / (8 * voxel_size))
    if block < 2:
        return volume, voxel_size
    padded = np.pad(volume, [(0, -side % block) for side in volume.shape])
    depth, height, width = (side // block for side in padded.shape)
    blocks = padded.reshape(depth, block, height, block, width, block)
    return blocks.mean(axis=(1, 3, 5)), voxel_size * block


def low_passed(volume: Floats, voxel_size: float, step: float) -> tuple[Floats, float]:
    """Blur away what a grid of ``step`` cannot hold, with zeros put around; by what sigma (Å)."""
    sigma = 0.35 * step / voxel_size
    if sigma < 0.35:
        sigma = 0.0
    padded = np.pad(volume, 3 + math.ceil(4 * sigma))
    smooth = np.asarray(gaussian_filter(padded, sigma)) if sigma else padded
    return smooth, sigma * voxel_size


def view_directions(step: float) -> Floats:
    """Spread view directions evenly over the sphere, on a Fibonacci spiral.

    ``step`` (degrees) is the side of the square that each direction has for itself. Gives RELION's
    angles rot and tilt, (directions, 2), in degrees.
    """
    if not (math.isfinite(step) and 0 < step <= 180):
        raise InputError(f"--view-step must be above 0 and at most 180 degrees, not {step:g}.")
    count = max(1, math.ceil(4 * math.pi / math.radians(step) ** 2))
    index = np.arange(count)
    tilt = [math.degrees(math.acos(1 - (2 * one + 1) / count)) for one in range(count)]
    rot = np.degrees(index * math.pi * (3 - math.sqrt(5))) % 360
    return np.column_stack([rot, tilt])


def view_matrix(rot: float, tilt: float) -> Floats:
    """Give the matrix from a map's ``(x, y, z)`` to those of a view, RELION's at psi 0."""
    a, b = math.radians(rot), math.radians(tilt)
    ca, sa, cb, sb = math.cos(a), math.sin(a), math.cos(b), math.sin(b)
    return np.array([[cb * ca, cb * sa, -sb], [-sa, ca, 0], [sb * ca, sb * sa, cb]])
