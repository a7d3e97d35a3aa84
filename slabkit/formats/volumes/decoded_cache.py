"""Voxels that must be decoded: once, into an unnamed temporary file, and read from there.

Reading plane by plane or box by box then neither decodes again nor fills the memory, whatever the
file's chunks or compression are.
"""

from __future__ import annotations

import bz2
import gzip
import itertools
import math
import mmap
import os
import tempfile
import threading
import zlib
from typing import IO, Any, Literal, Protocol, cast

import numpy as np
import numpy.typing as npt

from slabkit.errors import FormatError, SlabkitError, TryAgainError, may_pass, warn
from slabkit.formats.volumes.voxels import FileVoxels, OpenFile, Slices

Compression = Literal["gzip", "bzip2"]


class BlockDecoder(Protocol):
    """Reads the block between three slices (z, y, x) and gives it in the volume's type."""

    def __call__(self, key: Slices, into: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
        """Give the block: in ``into``, flat and as large as any block, or another array."""


_PIECE_BYTES = 1 << 22


class DecompressedVoxels(FileVoxels):
    """Voxels of a compressed file, decompressed once to a temporary file when first read.

    That file (in ``TMPDIR``) has no name and vanishes with this object or the process; the offset
    counts decompressed bytes.
    """

    def __init__(
        self,
        path: str,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        offset: int,
        compression: Compression,
    ) -> None:
        super().__init__(path, shape, dtype, offset)
        self.compression: Compression = compression

    def _open(self) -> OpenFile:
        size = math.prod(self.shape) * self.dtype.itemsize
        with tempfile.TemporaryFile(prefix="slabkit-") as spool:
            read_decompressed(self.path, self.compression, self.offset, size, spool)
            return OpenFile(os.dup(spool.fileno()), 0)


class ChunkedVoxels:
    """Voxels that a file holds in encoded blocks: each is decoded at most once.

    A decoded block goes to an unnamed temporary file (in ``TMPDIR``) and is read from there, so
    that reading plane by plane or box by box neither decodes again nor fills the memory. Sizes are
    ``(z, y, x)``; blocks at the far faces are cut off. ``decode`` is called with one block's
    slices, perhaps from several threads.
    """

    def __init__(
        self,
        where: str,
        shape: tuple[int, int, int],
        block_shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        decode: BlockDecoder,
    ) -> None:
        self.where = where
        self.shape = shape
        self.block_shape = block_shape
        self.dtype = dtype
        self._decode = decode
        self._start()

    def _start(self) -> None:
        self._counts = tuple(
            -(-size // block) for size, block in zip(self.shape, self.block_shape, strict=True)
        )
        self._block_bytes = math.prod(self.block_shape) * self.dtype.itemsize
        self._decoded: set[tuple[int, ...]] = set()
        self._spool: IO[bytes] | None = None
        self._view: mmap.mmap | None = None
        self._spool_lock = threading.Lock()
        self._local = threading.local()
        self._locks = [threading.Lock() for _ in range(16)]

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if not k.startswith("_") or k == "_decode"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def __getitem__(self, key: Slices, /) -> npt.NDArray[Any]:
        """Read a box, decoding the blocks it touches that were not decoded before."""
        bounds = [s.indices(n)[:2] for s, n in zip(key, self.shape, strict=True)]
        size = tuple(max(0, stop - start) for start, stop in bounds)
        box = np.empty(size, self.dtype)
        if 0 in size:
            return box
        touched = [
            range(start // block, -(-stop // block))
            for (start, stop), block in zip(bounds, self.block_shape, strict=True)
        ]
        for index in itertools.product(*touched):
            block = self._block(index)
            into, out_of = [], []
            for i, edge, length, (start, stop) in zip(
                index, self.block_shape, block.shape, bounds, strict=True
            ):
                low, high = max(start, i * edge), min(stop, i * edge + length)
                into.append(slice(low - start, high - start))
                out_of.append(slice(low - i * edge, high - i * edge))
            box[tuple(into)] = block[tuple(out_of)]
        return box

    def tile(self, index: tuple[int, int, int]) -> npt.NDArray[Any]:
        """Give a block by its number along each axis, for a caller that needs each only once.

        It is good until this thread asks for the next one.
        """
        if index in self._decoded:
            return self._block(index)
        buffer = getattr(self._local, "buffer", None)
        if buffer is None:  # fresh memory for each block takes a tenth of the time of decoding
            buffer = self._local.buffer = np.empty(math.prod(self.block_shape), self.dtype)
        return self._decode_block(index, buffer)

    def _bounds(self, index: tuple[int, ...]) -> list[slice]:
        return [
            slice(i * edge, min((i + 1) * edge, size))
            for i, edge, size in zip(index, self.block_shape, self.shape, strict=True)
        ]

    def _decode_block(
        self, index: tuple[int, ...], buffer: npt.NDArray[Any] | None = None
    ) -> npt.NDArray[Any]:
        z, y, x = bounds = self._bounds(index)
        shape = tuple(part.stop - part.start for part in bounds)
        block = np.asarray(self._decode((z, y, x), buffer), dtype=self.dtype)
        if block.shape != shape:
            raise FormatError(
                f"{self.where}: the block at z, y, x = {[part.start for part in bounds]} has the "
                f"size {block.shape}, not {shape}."
            )
        return block

    def _block(self, index: tuple[int, ...]) -> npt.NDArray[Any]:
        spool, view = self._opened_spool()
        shape = tuple(part.stop - part.start for part in self._bounds(index))
        number = int(np.ravel_multi_index(index, self._counts))
        position = number * self._block_bytes
        with self._locks[number % len(self._locks)]:
            if index not in self._decoded:
                _write_at(spool, self._decode_block(index), position, self.where)
                self._decoded.add(index)
        return np.ndarray(shape, self.dtype, view, position)

    def _opened_spool(self) -> tuple[IO[bytes], mmap.mmap]:
        with self._spool_lock:
            if self._spool is None or self._view is None:
                # Written with pwrite, not through the mapping: a full disk is an error, not a crash
                spool = tempfile.TemporaryFile(prefix="slabkit-", buffering=0)  # noqa: SIM115
                size = math.prod(self._counts) * self._block_bytes
                os.truncate(spool.fileno(), size)
                self._view = mmap.mmap(spool.fileno(), size, access=mmap.ACCESS_READ)
                self._spool = spool
            return self._spool, self._view


def open_compressed(path: str, compression: Compression) -> IO[bytes]:
    """Open a compressed file for reading its decompressed bytes."""
    if compression == "gzip":
        return cast(IO[bytes], gzip.open(path, "rb"))
    return bz2.open(path, "rb")


def read_decompressed(
    path: str, compression: Compression, offset: int, size: int, into: IO[bytes]
) -> None:
    """Decompress ``size`` bytes of a file, from ``offset`` (decompressed) on, into another one."""
    position = 0
    try:
        with open_compressed(path, compression) as file:
            while position < offset + size:
                piece = file.read(min(_PIECE_BYTES, offset + size - position))
                if not piece:
                    raise FormatError(
                        f"{path}: is truncated: its header announces {offset + size} bytes, "
                        f"decompressed it has {position}."
                    )
                keep = piece[max(0, offset - position) :]
                position += len(piece)
                _write_spool(into, keep, path)
            # Reading on to the end verifies the check sum, which is at the end.
            extra = 0
            while piece := file.read(_PIECE_BYTES):
                extra += len(piece)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FormatError(
            f"{path}: its {compression} compression is broken after {position} of "
            f"{offset + size} bytes ({error})."
        ) from error
    except OSError as error:  # bzip2 raises nothing else
        raise FormatError(f"{path}: cannot be decompressed ({error}).") from error
    into.flush()
    if extra:
        warn(
            f"{path}: has {extra} bytes more than its header announces ({offset + size}); they "
            "are ignored."
        )


def _write_spool(file: IO[bytes], data: bytes, path: str) -> None:
    try:
        file.write(data)
    except OSError as error:
        raise _spool_error(path, error) from error


def _write_at(file: IO[bytes], block: npt.NDArray[Any], position: int, where: str) -> None:
    data = memoryview(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)
    try:
        while data:
            written = os.pwrite(file.fileno(), data, position)
            position += written
            data = data[written:]
    except OSError as error:
        raise _spool_error(where, error) from error


def _spool_error(where: str, error: OSError) -> SlabkitError:
    kind = TryAgainError if may_pass(error) else SlabkitError
    return kind(
        f"{where}: cannot be decoded into the temporary folder {tempfile.gettempdir()} "
        f"({error.strerror}); set TMPDIR to a folder with room for the whole volume."
    )
