"""The objects of a segmentation: connected components, and the particles that they are made of.

The volume streams past. Each block of planes is labelled by itself; where voxels of two blocks meet
at the seam, their components are joined (two-pass labelling with equivalences: Rosenfeld & Pfaltz
1966, J. ACM 13:471). Memory holds one block and a few numbers a component; the result does not
depend on how the planes were cut into blocks.

Particles of one object are separated at their necks: the distance of every voxel to the outside
has its maxima in the middles of the particles; a watershed of it (Beucher & Lantuéjoul 1979; Meyer
1994, Signal Process. 38:113) cuts where they touch. Maxima nearer than a share of the particle's
diameter are one particle's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import eigenvectors, gaussian_filter
from slabkit.arrays.neighbours import group_neighbours


@dataclass(frozen=True)
class Component:
    """One connected component (voxels that share a face)."""

    # Its bounding box ``[start, stop)``, ``(z, y, x)``
    start: tuple[int, int, int]
    stop: tuple[int, int, int]
    inside: tuple[int, int, int]  # one voxel of it: the first in the order of the array
    voxels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size of the bounding box."""
        (z0, y0, x0), (z1, y1, x1) = self.start, self.stop
        return z1 - z0, y1 - y0, x1 - x0


class ComponentFinder:
    """Takes blocks of planes in ascending order and gives the components at the end."""

    def __init__(self) -> None:
        self._count = 0
        self._boxes: list[npt.NDArray[np.int64]] = []  # rows: start, stop, inside, voxels
        self._joined: list[npt.NDArray[np.int64]] = []
        self._seam: npt.NDArray[np.int64] | None = None
        self._seam_z = -1

    def add(self, block: npt.NDArray[np.bool_], z: int) -> None:
        """Label a block (planes, y, x) whose first plane is ``z``; the block before ended there."""
        from scipy.ndimage import find_objects, label

        before, self._seam = self._seam if self._seam_z == z else None, None
        self._seam_z = z + len(block)
        spans = [np.flatnonzero(block.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
        if not len(spans[0]):
            return
        low = np.array([span[0] for span in spans])
        cut = tuple(slice(int(span[0]), int(span[-1]) + 1) for span in spans)
        numbers, found = label(block[cut])
        rows = np.empty((found, 10), dtype=np.int64)
        for index, box in enumerate(find_objects(numbers)):
            rows[index, :3] = [side.start for side in box]
            rows[index, 3:6] = [side.stop for side in box]
        places = np.flatnonzero(numbers)
        values = numbers.ravel()[places]
        first = np.empty(found, dtype=np.int64)
        first[values[::-1] - 1] = places[::-1]  # of several, the last written stays: the first
        rows[:, 6:9] = np.stack(np.unravel_index(first, numbers.shape), axis=1)
        rows[:, 9] = np.bincount(values, minlength=found + 1)[1:]
        rows[:, :9] += np.tile(low + np.array([z, 0, 0]), 3)
        self._boxes.append(rows)
        if before is not None and low[0] == 0:
            top = np.zeros(block.shape[1:], dtype=np.int64)
            top[cut[1:]] = np.where(numbers[0] > 0, numbers[0] + self._count, 0)
            both = (before > 0) & (top > 0)
            if both.any():
                self._joined.append(np.unique(np.stack([before[both], top[both]], 1), axis=0))
        if cut[0].stop == len(block):
            seam = np.zeros(block.shape[1:], dtype=np.int64)
            seam[cut[1:]] = np.where(numbers[-1] > 0, numbers[-1] + self._count, 0)
            self._seam = seam
        self._count += found

    def components(self) -> list[Component]:
        """Give all components in the order of their first voxels."""
        if not self._count:
            return []
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        rows = np.concatenate(self._boxes)
        pairs = np.concatenate(self._joined) - 1 if self._joined else np.empty((0, 2), np.int64)
        graph = coo_array(
            (np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])),
            shape=(self._count, self._count),
        )
        number, group = connected_components(graph, directed=False)
        start = np.full((number, 3), np.iinfo(np.int64).max)
        stop = np.zeros((number, 3), dtype=np.int64)
        voxels = np.zeros(number, dtype=np.int64)
        np.minimum.at(start, group, rows[:, :3])
        np.maximum.at(stop, group, rows[:, 3:6])
        np.add.at(voxels, group, rows[:, 9])
        order = np.lexsort([rows[:, 8], rows[:, 7], rows[:, 6]])
        groups, first = np.unique(group[order], return_index=True)
        inside = np.empty((number, 3), dtype=np.int64)
        inside[groups] = rows[order[first], 6:9]
        return [
            Component(_triple(start[i]), _triple(stop[i]), _triple(inside[i]), int(voxels[i]))
            for i in group[order[np.sort(first)]].tolist()
        ]


def _triple(values: npt.NDArray[np.int64]) -> tuple[int, int, int]:
    z, y, x = (int(value) for value in values)
    return z, y, x


_SPACING = 0.6  # of the diameter: maxima closer than this are of one particle
_SINGLE = 1.3  # of the diameter: what is not longer is one particle
_SMOOTHING = 0.05  # of the diameter
_THIN = 0.35  # of the thickest place: maxima on thinner ones are of no particle

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]


def longest_extent(mask: Booleans) -> float:
    """Give the length (voxels) of an object along its principal axis, outer face to outer face."""
    places = np.argwhere(mask).astype(np.float64)
    if not len(places):
        return 0.0
    away = places - places.mean(axis=0)
    _, axes = eigenvectors(np.einsum("ni,nj->ij", away, away))
    along = np.einsum("ni,i->n", away, axes[:, -1])
    return float(along.max() - along.min()) + 1.0


def split_object(mask: Booleans, diameter_vox: float) -> npt.NDArray[np.int32]:
    """Split an object (z, y, x) into particles; hollows in it do not count as outside.

    Gives 1, 2... for the parts, the one with the thickest middle first, and 0 outside the mask.
    ``diameter_vox`` is the largest dimension of a particle.
    """
    from scipy.ndimage import binary_fill_holes, distance_transform_edt

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
    # From voxel numbers to rows; then every row jumps twice as far until none moves.
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
