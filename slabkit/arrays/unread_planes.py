"""Planes of a volume that are not in memory: whoever sums them reads or decodes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Area: TypeAlias = tuple[slice, slice]
"""Rows and columns."""


class RowSource(Protocol):
    """A volume of which whole rows can be read into an array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Planes, rows, columns."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels."""

    def row_reader(self, into: npt.NDArray[Any]) -> Callable[[int, int], None]:
        """Give what fills an array (row, x) with rows of a plane: its number, the first row's."""


class UnreadPlanes:
    """Planes of a volume that are read a band at a time, into the cache, by whoever sums them."""

    def __init__(self, source: RowSource, first: int, last: int) -> None:
        self.source, self.first = source, first
        self.shape = (last - first, *source.shape[1:])
        self.dtype = source.dtype

    def __len__(self) -> int:
        return self.shape[0]


class TileSource(Protocol):
    """A volume in blocks that are decoded one at a time."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Planes, rows, columns."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels."""

    @property
    def block_shape(self) -> tuple[int, int, int]:
        """Planes, rows and columns of a block; those at the far faces are cut off."""

    def tile(self, index: tuple[int, int, int]) -> npt.NDArray[Any]:
        """Decode a block, by its number along each axis; good until this thread's next one."""


class UndecodedPlanes:
    """Planes of a volume in blocks, of which each is decoded by whoever sums its planes."""

    def __init__(self, source: TileSource, first: int, last: int) -> None:
        self.source, self.first, self.last = source, first, last
        self.shape = (last - first, *source.shape[1:])
        self.dtype = source.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def areas(self) -> list[Area]:
        """Give what of each plane is in one block."""
        _, height, width = self.source.shape
        _, high, wide = self.source.block_shape
        return [
            (slice(y, min(y + high, height)), slice(x, min(x + wide, width)))
            for y in range(0, height, high)
            for x in range(0, width, wide)
        ]

    def decoded(self, area: Area) -> npt.NDArray[Any]:
        """Decode an area of all the planes."""
        deep, high, wide = self.source.block_shape
        y, x = area[0].start // high, area[1].start // wide
        numbers = range(self.first // deep, -(-self.last // deep))
        if len(numbers) == 1:
            return self._part(numbers[0], y, x)
        size = (len(self), *size_of(area))
        planes = np.empty(size, self.dtype)
        end = 0
        for z in numbers:
            part = self._part(z, y, x)
            planes[end : end + len(part)] = part
            end += len(part)
        return planes

    def _part(self, z: int, y: int, x: int) -> npt.NDArray[Any]:
        begin = z * self.source.block_shape[0]
        return self.source.tile((z, y, x))[max(0, self.first - begin) : self.last - begin]


Block: TypeAlias = npt.NDArray[Any] | UnreadPlanes | UndecodedPlanes


def size_of(area: Area) -> tuple[int, int]:
    """Give the rows and columns of an area, as numbers."""
    rows, columns = area
    return rows.stop - rows.start, columns.stop - columns.start
