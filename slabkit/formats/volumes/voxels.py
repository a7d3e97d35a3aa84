"""Voxels that stay in their file: memory-mapped, perhaps with the axes in another order.

Each class is a `slabkit.tomogram.VoxelSource`. They hold no file open until voxels are read, and
can be pickled (another process opens the file again).
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.tomogram import VoxelSource

Slices = tuple[slice, slice, slice]

# A mapping holds a file handle, and a system gives a process about a thousand of them.
_MOST_MAPPED = 32

_mapped: deque[weakref.ref[MappedVoxels]] = deque()
_mapped_lock = threading.Lock()


@dataclass(frozen=True)
class FileVolume:
    """The voxels of one file and what the file says of them, before any rule is applied.

    ``source`` is indexed ``[z, y, x]``; ``voxel_sizes`` are Å along z, y, x, None where the file
    does not say (``unset_reason``: why). ``warnings`` are what a user should know, without the
    file's name, and ``notes`` what was decided on reading.
    """

    source: VoxelSource
    voxel_sizes: tuple[float, float, float] | None
    stored_as: str
    unset_reason: str = "the file does not say"
    warnings: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())


class MappedVoxels:
    """Uncompressed voxels of a file, memory-mapped when first read.

    The shape is in the file's own order, slowest first, the type includes the byte order, and the
    voxels begin at ``offset`` bytes.
    """

    def __init__(
        self, path: str, shape: tuple[int, int, int], dtype: np.dtype[Any], offset: int
    ) -> None:
        self.path = path
        self.shape = shape
        self.dtype = dtype
        self.offset = offset
        self._array: npt.NDArray[Any] | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path!r} {self.shape} {self.dtype}>"

    def __getitem__(self, key: Slices, /) -> npt.NDArray[Any]:
        """Give a read-only view of the file."""
        array = self._array
        if array is None:
            with self._lock:
                array = self._array
                if array is None:
                    self._array = array = self._open()
        part: npt.NDArray[Any] = array[key]
        return part

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_array": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def _open(self) -> npt.NDArray[Any]:
        try:
            array = np.memmap(self.path, self.dtype, "r", self.offset, self.shape)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(
                f"{self.path}: its voxels cannot be read ({reason}); was the file changed or moved "
                "after it was opened?"
            ) from error
        _remember(self)
        return array.view(np.ndarray)

    def _close(self) -> None:
        # Views that are still in use keep the mapping alive; the next read maps anew.
        self._array = None


class TransposedVoxels:
    """Another order of axes over a source, without copying it: which of its axes are z, y, x."""

    def __init__(self, source: VoxelSource, order: tuple[int, int, int]) -> None:
        self.source = source
        self.order = order
        self.shape = tuple(int(source.shape[axis]) for axis in order)
        self.dtype = np.dtype(source.dtype)

    def __getitem__(self, key: Slices, /) -> npt.NDArray[Any]:
        """Read ``[z, y, x]`` slices as a transposed view."""
        slices = dict(zip(self.order, key, strict=True))
        return np.transpose(self.source[slices[0], slices[1], slices[2]], self.order)


class FlippedVoxels:
    """The planes of a source from the last to the first, without copying it."""

    def __init__(self, source: VoxelSource) -> None:
        self.source = source
        self.shape = tuple(int(size) for size in source.shape)
        self.dtype = np.dtype(source.dtype)

    def __getitem__(self, key: tuple[slice, slice, slice], /) -> npt.NDArray[Any]:
        """Read a box, counted in the flipped volume."""
        first, last, _ = key[0].indices(self.shape[0])
        depth = self.shape[0]
        planes = slice(depth - max(first, last), depth - first)
        return self.source[planes, key[1], key[2]][::-1]


def in_axis_order(source: VoxelSource, axes: str) -> VoxelSource:
    """Give a source whose axes are ``axes``, slowest first, as ``(z, y, x)``."""
    if axes == "zyx":
        return source
    return TransposedVoxels(source, (axes.index("z"), axes.index("y"), axes.index("x")))


def check_axis_order(axis_order: str) -> str:
    """Give the file's axes, slowest first, in lower case, as a user's --axis-order names them."""
    axes = axis_order.lower()
    if sorted(axes) != ["x", "y", "z"]:
        raise InputError(
            f"--axis-order names the file's axes, slowest first, each of x, y and z once "
            f"(zyx, yzx, ...), not {axis_order!r}."
        )
    return axes


def _remember(source: MappedVoxels) -> None:
    with _mapped_lock:
        _mapped.append(weakref.ref(source))
        while len(_mapped) > _MOST_MAPPED:
            oldest = _mapped.popleft()()
            if oldest is not None and oldest is not source:
                oldest._close()
