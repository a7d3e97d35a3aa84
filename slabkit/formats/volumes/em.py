"""EM files of TOM, AV3, Artiatomi and others: 512 bytes of header, then values, x the fastest.

The first byte says the byte order, the fourth the type, and three numbers from byte 4 the size.
"""

from __future__ import annotations

import os
import struct
from typing import Any

import numpy as np

from slabkit.errors import FormatError, InputError
from slabkit.formats.volumes.voxels import (
    FileVolume,
    FileVoxels,
    check_axis_order,
    in_axis_order,
)

HEADER_BYTES = 512
_BIG, _LITTLE = (0, 3, 4, 5), 6  # OS-9, SGI, Sun and Mac; PC
_TYPES = {1: "i1", 2: "i2", 4: "i4", 5: "f4", 8: "c8", 9: "f8", 10: "c16"}
_FLOAT = 5
_OBJECT_PIXEL = 120  # the seventh of the header's parameters, times 1000

Shape = tuple[int, int, int]


def em_header(head: bytes) -> tuple[np.dtype[Any], Shape] | None:
    """Give type and size (z, y, x) of an EM file by its first 512 bytes; None if it cannot be."""
    if len(head) < HEADER_BYTES or head[208:212] == b"MAP ":
        return None
    machine, kind = head[0], head[3]
    if machine not in (*_BIG, _LITTLE) or kind not in _TYPES:
        return None
    order = _order(head)
    x, y, z = struct.unpack_from(f"{order}3i", head, 4)
    fits = min(x, z) > 0 and (y > 0 or (y == 0 and z == 1))  # a motive list may be empty
    return (np.dtype(order + _TYPES[kind]), (z, y, x)) if fits else None


def is_em(head: bytes, size: int) -> bool:
    """Tell an EM file: its header fits the number of its bytes."""
    found = em_header(head)
    return found is not None and _expected_bytes(*found) == size


def is_em_volume(path: str | os.PathLike[str]) -> bool:
    """Tell an EM file of several planes; also one that is damaged, which opening it says."""
    try:
        with open(path, "rb") as file:
            found = em_header(file.read(HEADER_BYTES))
    except OSError:
        return True
    return found is None or found[1][0] > 1


def require_em(head: bytes, size: int, where: str) -> tuple[np.dtype[Any], Shape]:
    """As `em_header`, refusing what is none, or truncated."""
    found = em_header(head)
    if found is None:
        raise FormatError(f"{where}: is no EM file: its header names no known machine and type.")
    expected = _expected_bytes(*found)
    if size != expected:
        what = "is truncated" if size < expected else "has bytes after its values"
        raise FormatError(
            f"{where}: {what}: by its header it has {expected} bytes, the file has {size}."
        )
    return found


def float_em(values: np.ndarray[Any, Any]) -> bytes:
    """Make an EM file of 32-bit numbers, little-endian, of an array (z, y, x)."""
    depth, height, width = values.shape
    head = struct.pack("<4B3i", _LITTLE, 0, 0, _FLOAT, width, height, depth)
    return head.ljust(HEADER_BYTES, b"\0") + values.astype("<f4").tobytes()


def open_em(
    path: str | os.PathLike[str], *, uint8: bool | None = None, axis_order: str | None = None
) -> FileVolume:
    """Open the volume in an EM file (no image, no motive list); no voxel is read."""
    where = str(path)
    axes = "zyx" if axis_order is None else check_axis_order(axis_order)
    with open(path, "rb") as file:
        head = file.read(HEADER_BYTES)
    dtype, shape = require_em(head, os.stat(path).st_size, where)
    if shape[0] == 1:
        what = "a motive list (give it as picks)" if shape[2] == 20 else "a single image"
        raise InputError(f"{where}: is {what}, where a volume is needed.")
    if dtype.kind == "c":
        raise InputError(f"{where}: holds complex numbers, where densities are needed.")
    notes = []
    if dtype.itemsize == 1 and uint8:
        dtype = np.dtype("u1")
        notes.append("bytes are read as unsigned (--uint8)")
    if axes != "zyx":
        notes.append(f"the file's axes are taken as {axes}, slowest first, as was asked")
    (pixel,) = struct.unpack_from(f"{_order(head)}i", head, _OBJECT_PIXEL)
    said = f" (its object pixel size is {pixel / 1000:g})" if pixel else ""
    return FileVolume(
        source=in_axis_order(FileVoxels(where, shape, dtype, HEADER_BYTES), axes),
        voxel_sizes=None,
        stored_as=f"EM ({dtype.newbyteorder('=')})",
        unset_reason=f"programs write different units into EM headers{said}",
        notes=tuple(notes),
    )


def _order(head: bytes) -> str:
    return "<" if head[0] == _LITTLE else ">"


def _expected_bytes(dtype: np.dtype[Any], shape: Shape) -> int:
    return HEADER_BYTES + dtype.itemsize * shape[0] * shape[1] * shape[2]
