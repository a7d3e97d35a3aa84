"""Voxels that stay in their file: read by the box, perhaps with the axes in another order.

Each class is a `slabkit.tomogram.VoxelSource`. They hold no file open until voxels are read, and
can be pickled (another process opens the file again).
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError, TryAgainError
from slabkit.tomogram import VoxelSource

Slices = tuple[slice, slice, slice]

# A system gives a process about a thousand file handles.
_MOST_OPEN = 32
_MOST_SKIPPED = 1 << 15  # bytes between two rows that are read along, rather than row by row

_opened: deque[weakref.ref[FileVoxels]] = deque()
_opened_lock = threading.Lock()


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


class OpenFile:
    """A file's descriptor, closed when nobody reads from it any more."""

    def __init__(self, handle: int, offset: int) -> None:
        self.handle = handle
        self.offset = offset

    def __del__(self) -> None:
        os.close(self.handle)


class FileVoxels:
    """Uncompressed voxels of a file, which is opened when they are first read.

    The shape is in the file's own order, slowest first, the type includes the byte order, and the
    voxels begin at ``offset`` bytes. They are read, not mapped: a mapped file that is truncated
    ends the process.
    """

    def __init__(
        self, path: str, shape: tuple[int, int, int], dtype: np.dtype[Any], offset: int
    ) -> None:
        self.path = path
        self.shape = shape
        self.dtype = dtype
        self.offset = offset
        self._file: OpenFile | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path!r} {self.shape} {self.dtype}>"

    def __getitem__(self, key: Slices, /) -> npt.NDArray[Any]:
        """Read a box; not to be written to."""
        bounds = [s.indices(n)[:2] for s, n in zip(key, self.shape, strict=True)]
        z, y, x = (start for start, _ in bounds)
        box = np.empty([max(0, stop - start) for start, stop in bounds], self.dtype)
        try:
            file = self._file or self._kept_open()
            if box.size:
                self._fill(box, z, y, x, file)
        except OSError as error:
            raise self._unreadable(error) from error
        box.flags.writeable = False
        return box

    def row_reader(self, into: npt.NDArray[Any]) -> Callable[[int, int], None]:
        """Give what fills an array (row, x) with rows of a plane: its number, the first row's."""
        _, rows, columns = self.shape
        views, size = [memoryview(into.reshape(-1).view(np.uint8).data)], into.nbytes
        line = columns * self.dtype.itemsize
        try:
            file = self._file or self._kept_open()
        except OSError as error:
            raise self._unreadable(error) from error

        def read(plane: int, row: int) -> None:
            first = plane * rows + row
            try:
                # `_read`, without its cost
                if os.preadv(file.handle, views, file.offset + first * line) != size:
                    self._read(file, into, first * columns)
            except OSError as error:
                raise self._unreadable(error) from error

        return read

    def read_ahead(self, first: int, last: int) -> None:
        """Ask the system to have planes ready, of each of which some rows will be read."""
        plane = math.prod(self.shape[1:]) * self.dtype.itemsize
        with contextlib.suppress(OSError, AttributeError):  # reading says what is wrong; macOS
            file = self._file or self._kept_open()
            begins = range(file.offset + first * plane, file.offset + last * plane, plane)
            try:  # asking for what is in memory takes as long as a third of reading it
                for begin in begins:
                    os.preadv(file.handle, [bytearray(1)], begin, os.RWF_NOWAIT)
            except OSError:
                length = plane * len(begins)
                os.posix_fadvise(file.handle, begins[0], length, os.POSIX_FADV_WILLNEED)

    def _fill(self, box: npt.NDArray[Any], z: int, y: int, x: int, file: OpenFile) -> None:
        """Read a box that begins at z, y, x in as few pieces as are not much larger than it."""
        _, rows, columns = self.shape
        depth, height, width = box.shape
        item = self.dtype.itemsize
        gap = (columns - width) * item
        if not gap and (height == rows or depth == 1):
            self._read(file, box, (z * rows + y) * columns)
        elif not gap or height == 1 or gap > _MOST_SKIPPED:
            run = height if not gap else 1
            for plane in range(depth):
                for row in range(0, height, run):
                    first = ((z + plane) * rows + y + row) * columns + x
                    self._read(file, box[plane, row : row + run], first)
        else:
            strip = np.empty((height - 1) * columns + width, self.dtype)
            inside = np.lib.stride_tricks.as_strided(strip, (height, width), (columns * item, item))
            into, size = [memoryview(strip.view(np.uint8).data)], strip.nbytes
            position, step = (z * rows + y) * columns + x, rows * columns
            for plane_of_box in box:
                # `_read`, without its cost: minislabs read a hundred strips a pick.
                if os.preadv(file.handle, into, file.offset + position * item) != size:
                    self._read(file, strip, position)
                plane_of_box[:] = inside
                position += step

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def _unreadable(self, error: OSError) -> InputError:
        return InputError(
            f"{self.path}: its voxels cannot be read ({error.strerror or error}); was the file "
            "changed or moved after it was opened?"
        )

    def _kept_open(self) -> OpenFile:
        with self._lock:
            self._file = file = self._file or self._opened()
        return file

    def _opened(self) -> OpenFile:
        file = self._open()
        with _opened_lock:
            _opened.append(weakref.ref(self))
            while len(_opened) > _MOST_OPEN:
                oldest = _opened.popleft()()
                if oldest is not None and oldest is not self:
                    oldest._file = None  # the next read opens it anew
        return file

    def _open(self) -> OpenFile:
        return OpenFile(os.open(self.path, os.O_RDONLY), self.offset)

    def _read(self, file: OpenFile, into: npt.NDArray[Any], first: int) -> None:
        """Fill an array with the voxels from the ``first`` on."""
        left = memoryview(into.reshape(-1).view(np.uint8).data)
        position = file.offset + first * self.dtype.itemsize
        while left:
            count = os.preadv(file.handle, [left], position)
            if not count:
                raise TryAgainError(
                    f"{self.path}: ends at byte {os.fstat(file.handle).st_size}, before its last "
                    "voxel: it was cut off after it was opened; try again once it is whole."
                )
            left, position = left[count:], position + count


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


class SummedVoxels:
    """The sum of two sources of one shape, without copying them."""

    dtype = np.dtype(np.float32)

    def __init__(self, first: VoxelSource, second: VoxelSource) -> None:
        self.sources = first, second
        self.shape = tuple(int(size) for size in first.shape)

    def __getitem__(self, key: tuple[slice, slice, slice], /) -> npt.NDArray[Any]:
        """Read a box of both."""
        first, second = (source[key].astype(np.float32) for source in self.sources)
        return np.asarray(first + second)


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
