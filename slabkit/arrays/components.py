"""Connected components of a volume that streams past, plane by plane.

Each block of planes is labelled by itself; where voxels of two blocks meet at the seam, their
components are joined (two-pass labelling with equivalences: Rosenfeld & Pfaltz 1966, J. ACM
13:471). Memory holds one block and a few numbers a component; the result does not depend on how the
planes were cut into blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Component:
    """One connected component (voxels that share a face).

    Parameters
    ----------
    start, stop : (int, int, int)
        Its bounding box ``[start, stop)``, ``(z, y, x)``.
    inside : (int, int, int)
        One voxel of it: the first in the order of the array.
    voxels : int
    """

    start: tuple[int, int, int]
    stop: tuple[int, int, int]
    inside: tuple[int, int, int]
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
        """Label a block.

        Parameters
        ----------
        block : ndarray of bool, shape (planes, y, x)
        z : int
            Its first plane; the block before ended there.
        """
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
        """Give all components.

        Returns
        -------
        list of Component
            In the order of their first voxels.
        """
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
