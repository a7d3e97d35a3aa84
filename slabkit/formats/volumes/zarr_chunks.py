"""Chunks of Zarr arrays as most stores have them, decoded into memory that is used again.

zarr takes fresh memory at every step of every chunk, which costs about as much as decoding does.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import struct
import threading
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import SlabkitError
from slabkit.formats.volumes.zarr_folders import read_json

if TYPE_CHECKING:
    from slabkit.formats.volumes.zarr_folders import Folder

_CODECS = (None, "blosc", "zstd")
_TYPES = re.compile(r"[<|][iu]1|<[iuf][248]")
_TYPES_3 = re.compile(r"u?int(8|16|32|64)|float(16|32|64)")
_BLOSC_HEADER = struct.Struct("<4xI4xI")  # bytes decoded and encoded


@dataclass(frozen=True)
class PlainChunks:
    """An array in a folder: little-endian, in C order, each chunk encoded by one codec at most."""

    folder: Path
    version: int  # of Zarr
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[Any]
    prefix: str  # of a chunk's name
    separator: str
    codec: str | None
    _local: threading.local = field(default_factory=threading.local, compare=False)

    def name(self, index: tuple[int, ...]) -> str:
        """Give the path of a chunk's file in the folder."""
        return self.prefix + self.separator.join(map(str, index))

    def decode(
        self, index: tuple[int, ...], room: npt.NDArray[Any] | None = None
    ) -> npt.NDArray[Any] | None:
        """Decode a chunk, into a flat array of its size where that is of use; None: there is none.

        Raises what codecs raise, and ValueError: its size is not that of a chunk.
        """
        count = math.prod(self.chunks)
        data = self._read(self.folder / self.name(index))
        if data is None:
            return None
        if self.codec == "zstd":
            from numcodecs import zstd

            data = memoryview(zstd.decompress(data))
        size = len(data)
        if self.codec == "blosc":  # which reads past the end of what is cut short
            size, encoded = _BLOSC_HEADER.unpack(data[:16]) if len(data) >= 16 else (0, 0)
            data = data[:encoded]
            size = size if len(data) == encoded else 0
        if size != count * self.dtype.itemsize:
            raise ValueError(f"its size is not that of {count} voxels: it is cut short or damaged")
        if self.codec != "blosc":
            decoded = np.frombuffer(data, self.dtype).reshape(self.chunks)
            return decoded if self.codec else decoded.copy()
        from numcodecs import blosc

        room = np.empty(count, self.dtype) if room is None else room
        blosc.decompress(data, room)
        return room.reshape(self.chunks)

    def _read(self, path: Path) -> memoryview | None:
        """Read a file into this thread's memory, which is good until the next one."""
        try:
            with path.open("rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                kept = getattr(self._local, "kept", b"")
                if len(kept) < size:
                    kept = self._local.kept = bytearray(size)
                data = memoryview(kept)[:size]
                return data if file.readinto(data) == size else None
        except FileNotFoundError:
            return None


def plain_chunks(folder: Folder) -> PlainChunks | None:
    """Find out what an array's metadata say, where that is all understood here."""
    if not isinstance(folder, Path):
        return None
    old, new = folder / ".zarray", folder / "zarr.json"
    if old.is_file() == new.is_file():
        return None
    with contextlib.suppress(SlabkitError, KeyError, TypeError, ValueError):
        if old.is_file():
            return _version_2(folder, read_json(old, str(folder)))
        return _version_3(folder, read_json(new, str(folder)))
    return None


def _version_2(folder: Path, told: dict[str, Any]) -> PlainChunks | None:
    separator = told.get("dimension_separator") or "."
    compressor = told["compressor"]
    codec = compressor["id"] if compressor is not None else None
    known = told["zarr_format"] == 2 and told["order"] == "C" and not told["filters"]
    if not known or not _TYPES.fullmatch(told["dtype"]):
        return None
    return _checked(folder, 2, told["shape"], told["chunks"], told["dtype"], "", separator, codec)


def _version_3(folder: Path, told: dict[str, Any]) -> PlainChunks | None:
    grid, names = told["chunk_grid"], told["chunk_key_encoding"]
    first, *codecs = told["codecs"]
    little = first["name"] == "bytes" and first["configuration"]["endian"] == "little"
    known = grid["name"] == "regular" and names["name"] == "default" and len(codecs) < 2
    known = known and not told.get("storage_transformers")
    if not (little and known and _TYPES_3.fullmatch(told["data_type"])):
        return None
    separator = names["configuration"]["separator"]
    return _checked(
        folder,
        3,
        told["shape"],
        grid["configuration"]["chunk_shape"],
        np.dtype(told["data_type"]).newbyteorder("<"),
        f"c{separator}",
        separator,
        codecs[0]["name"] if codecs else None,
    )


def _checked(
    folder: Path,
    version: int,
    shape: list[Any],
    chunks: list[Any],
    dtype: Any,
    prefix: str,
    separator: str,
    codec: str | None,
) -> PlainChunks | None:
    if codec and not find_spec("numcodecs"):  # zarr brings it along
        return None
    whole = all(type(side) is int and 0 < side < 2**31 for side in (*shape, *chunks))
    if (
        not whole
        or len(shape) != len(chunks)
        or codec not in _CODECS
        or separator not in (".", "/")
    ):
        return None
    return PlainChunks(
        folder, version, tuple(shape), tuple(chunks), np.dtype(dtype), prefix, separator, codec
    )
