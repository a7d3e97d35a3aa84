"""One segmented object to its parts: particles that touch are told apart at their necks.

The distance of every voxel to the outside has its maxima in the middles of the particles; a
watershed of it (Beucher & Lantuéjoul 1979; Meyer 1994, Signal Process. 38:113) cuts where they
touch. Maxima nearer than a share of the particle's diameter are one particle's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slabkit.arrays.neighbours import group_neighbours

_SPACING = 0.6  # of the diameter: maxima closer than this are of one particle
_SINGLE = 1.3  # of the diameter: what is not longer is one particle
_SMOOTHING = 0.05  # of the diameter
_THIN = 0.35  # of the thickest place: maxima on thinner ones are of no particle

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]


def longest_extent(mask: Booleans) -> float:
    """Give the length of an object along its principal axis, in voxels.

    Parameters
    ----------
    mask : ndarray of bool, shape (z, y, x)

    Returns
    -------
    float
        From outer face to outer face; 0 for no voxel.
    """
    places = np.argwhere(mask).astype(np.float64)
    if not len(places):
        return 0.0
    away = places - places.mean(axis=0)
    _, axes = np.linalg.eigh(away.T @ away)
    along = away @ axes[:, -1]
    return float(along.max() - along.min()) + 1.0


def split_object(mask: Booleans, diameter_vox: float) -> npt.NDArray[np.int32]:
    """Split an object into particles.

    Parameters
    ----------
    mask : ndarray of bool, shape (z, y, x)
        One object; hollows in it do not count as outside.
    diameter_vox : float
        Largest dimension of a particle in voxels.

    Returns
    -------
    ndarray of int32, shape (z, y, x)
        1, 2... for the parts, the one with the thickest middle first; 0 outside the mask.
    """
    from scipy.ndimage import binary_fill_holes, distance_transform_edt, gaussian_filter

    if longest_extent(mask) <= _SINGLE * diameter_vox:
        return mask.astype(np.int32)
    solid = np.pad(binary_fill_holes(mask), 1)
    distance = distance_transform_edt(solid).astype(np.float32)
    distance = gaussian_filter(distance, _SMOOTHING * diameter_vox, mode="constant")
    distance[~solid] = 0
    voxels = np.flatnonzero(solid)
    tops, basin = np.unique(_climbed(distance, voxels), return_inverse=True)
    height = distance.ravel()[tops]
    places = np.stack(np.unravel_index(tops, solid.shape), axis=1).astype(np.float64)
    part_of_top = _particles(places, height, diameter_vox)
    numbers = np.zeros(solid.size, dtype=np.int32)
    numbers[voxels] = part_of_top[basin]
    inner = numbers.reshape(solid.shape)[1:-1, 1:-1, 1:-1]
    return np.where(mask, inner, 0).astype(np.int32)


def _climbed(
    distance: npt.NDArray[np.float32], voxels: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Give the maximum that every voxel reaches by steepest ascent: the basins of a watershed."""
    values = distance.ravel()
    best, target = values[voxels], voxels.copy()
    _, height, width = distance.shape
    for z in (-1, 0, 1):
        for y in (-1, 0, 1):
            for x in (-1, 0, 1):
                beside = voxels + (z * height + y) * width + x
                value = values[beside]
                higher = value > best
                best[higher], target[higher] = value[higher], beside[higher]
    # From voxel numbers to rows; then every row jumps twice as far until all stand still.
    row = np.searchsorted(voxels, target)
    while True:
        further = row[row]
        if (further == row).all():
            return voxels[row]
        row = further


def _particles(
    places: Floats, height: npt.NDArray[np.float32], diameter_vox: float
) -> npt.NDArray[np.int32]:
    """Give the particle of every maximum: 1 for that of the highest."""
    from scipy.spatial import cKDTree

    thick = np.flatnonzero(height >= _THIN * float(height.max()))
    stands_for = thick[
        group_neighbours(places[thick], _SPACING * diameter_vox, priority=height[thick])
    ]
    seeds = np.unique(stands_for)
    seeds = seeds[np.lexsort([*places[seeds].T[::-1], -height[seeds]])]
    _, nearest = cKDTree(places[seeds]).query(places)
    numbers = np.asarray(nearest, dtype=np.int32) + 1
    number_of = np.zeros(len(places), dtype=np.int32)
    number_of[seeds] = np.arange(1, len(seeds) + 1)
    numbers[thick] = number_of[stands_for]
    return numbers
