"""Checks of the images and density maps that users give."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.units import positive_length

Floats = npt.NDArray[np.float64]


def checked_image(image: npt.NDArray[Any], name: str, remedy: str = "") -> npt.NDArray[Any]:
    """Check that an image has two axes (y, x) and finite, real values; give it as an array.

    Raises `InputError`: it has not; the message begins with ``name`` and ends with ``remedy``,
    where that helps.
    """
    pixels = np.asarray(image)
    if pixels.ndim != 2 or pixels.size == 0 or pixels.dtype.kind not in "iufb":
        raise InputError(
            f"{name}: a real image (y, x) is needed, not {pixels.dtype} of shape {pixels.shape}."
        )
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        bad = np.argwhere(~np.isfinite(pixels))
        raise InputError(
            f"{name}: {len(bad)} pixels are NaN or infinite, the first at y={bad[0][0]}, "
            f"x={bad[0][1]}{remedy}."
        )
    return pixels


def checked_density(density: npt.NDArray[Any], voxel_size: float, name: str) -> Floats:
    """Check a density map (z, y, x) with the molecule bright; what is negative becomes 0."""
    volume = np.asarray(density, dtype=np.float64)
    if volume.ndim != 3 or min(volume.shape) < 2:
        raise InputError(f"{name} must have three axes, not the shape {volume.shape}.")
    positive_length(voxel_size, f"the voxel size of {name}")
    if not np.isfinite(volume).all():
        raise InputError(f"{name} has NaN or infinite voxels; repair it first.")
    if not volume.max() > 0:
        raise InputError(f"{name} has no positive density; the molecule must be bright in it.")
    return np.maximum(volume, 0)
