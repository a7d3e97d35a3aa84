"""The 1024 bytes at the head of an MRC file, and what may be wrong with them.

MRC2014 (Cheng et al. 2015, J. Struct. Biol. 192, 146) and the IMOD dialect of it. Parsed here and
not with mrcfile, because files in the wild have broken byte-order stamps, unsigned bytes and
lengths that do not fit, and each wants its own sentence rather than an exception or ``None``.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from slabkit.errors import FormatError

HEADER_BYTES = 1024

MODES: dict[int, str] = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
"""The modes that are read and written, as NumPy types without byte order."""

_OTHER_MODES = {
    3: "complex 16-bit integers",
    4: "complex floats, a Fourier transform",
    16: "RGB colours",
    101: "packed 4-bit integers",
}
_STAMPS = {b"\x44\x44": "<", b"\x44\x41": "<", b"\x11\x11": ">"}
_IMOD_STAMP = 1146047817
_MOST_SIDE = 1_000_000
_MOST_EXTENDED = 1 << 30


@dataclass(frozen=True)
class MrcHeader:
    """What an MRC header says.

    Parameters
    ----------
    columns, rows, sections : int
        Size in the file's order, fastest first.
    mode : int
    dtype : dtype
        Of the voxels as stored, byte order included.
    offset : int
        Where the voxels begin, in bytes.
    voxel_sizes : (float, float, float)
        Cell divided by sampling along x, y, z in Å; 0 where it is not set.
    axes : (int, int, int)
        Which axis columns, rows and sections are: 1 = x, 2 = y, 3 = z.
    start : (int, int, int)
    origin : (float, float, float)
    sampling : (int, int, int)
        The cell's ``mx, my, mz``.
    space_group : int
        0 images, 1 a volume, from 401 a stack of volumes.
    statistics : (float, float, float)
        Least, greatest and mean value as stated; not to be relied on.
    labels : tuple of str
    warnings, notes : tuple of str
        What was found and decided, without the file's name.
    """

    columns: int
    rows: int
    sections: int
    mode: int
    dtype: np.dtype[Any]
    offset: int
    voxel_sizes: tuple[float, float, float]
    axes: tuple[int, int, int]
    start: tuple[int, int, int]
    origin: tuple[float, float, float]
    sampling: tuple[int, int, int]
    space_group: int
    statistics: tuple[float, float, float]
    labels: tuple[str, ...]
    warnings: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())

    @property
    def data_bytes(self) -> int:
        """How many bytes the voxels take."""
        return self.columns * self.rows * self.sections * self.dtype.itemsize

    @property
    def stored_as(self) -> str:
        """Mode, type and byte order, for people."""
        order = "" if self.dtype.itemsize == 1 else ", big-endian" * (self.dtype.str[0] == ">")
        return f"MRC mode {self.mode} ({self.dtype.newbyteorder('=')}{order})"


def parse_header(
    raw: bytes, where: str, file_bytes: int | None = None, uint8: bool | None = None
) -> MrcHeader:
    """Read a header, checking it against the size of its file before anything is allocated.

    Parameters
    ----------
    raw : bytes
        The first 1024 bytes of the file (fewer if it is shorter).
    where : str
        What messages begin with.
    file_bytes : int, optional
        The file's size; None where it is not known (compressed).
    uint8 : bool, optional
        Whether mode 0 is unsigned; None believes IMOD's flags and else takes it as signed, which is
        the standard.

    Returns
    -------
    MrcHeader

    Raises
    ------
    FormatError
        Not MRC; a size, mode or extended header that cannot be; fewer bytes than announced.
    """
    if len(raw) < HEADER_BYTES:
        raise FormatError(
            f"{where}: is too short to be an MRC file: {len(raw)} bytes where the header alone has "
            f"{HEADER_BYTES}."
        )
    warnings: list[str] = []
    notes: list[str] = []
    order = _byte_order(raw, where, file_bytes, warnings)
    columns, rows, sections, mode = struct.unpack_from(f"{order}4i", raw, 0)
    _check_size(where, columns, rows, sections, mode)
    (extended,) = struct.unpack_from(f"{order}i", raw, 92)
    if extended < 0 or extended > (_MOST_EXTENDED if file_bytes is None else file_bytes):
        raise FormatError(
            f"{where}: its header announces an extended header of {extended} bytes, "
            f"{'' if file_bytes is None else f'the file has {file_bytes}, '}so it is damaged."
        )
    start, sampling = _integers(raw, order, 16), _integers(raw, order, 28)
    cell = struct.unpack_from(f"{order}3f", raw, 40)
    least, greatest, mean = struct.unpack_from(f"{order}3f", raw, 76)
    dtype = np.dtype(f"{order}{MODES[mode]}")
    if mode == 0 and _is_unsigned(raw, order, uint8, least, greatest, warnings, notes):
        dtype = np.dtype("u1")
    header = MrcHeader(
        columns=columns,
        rows=rows,
        sections=sections,
        mode=mode,
        dtype=dtype,
        offset=HEADER_BYTES + extended,
        voxel_sizes=_voxel_sizes(cell, sampling),
        axes=_integers(raw, order, 64),
        start=start,
        origin=struct.unpack_from(f"{order}3f", raw, 196),
        sampling=sampling,
        space_group=struct.unpack_from(f"{order}i", raw, 88)[0],
        statistics=(least, greatest, mean),
        labels=_labels(raw, order),
        warnings=(),
        notes=tuple(notes),
    )
    expected = header.offset + header.data_bytes
    if file_bytes is not None and file_bytes < expected:
        raise FormatError(
            f"{where}: is truncated: its header announces {columns} × {rows} × {sections} voxels "
            f"of mode {mode}, {expected} bytes in all, and the file has {file_bytes}."
        )
    if file_bytes is not None and file_bytes > expected:
        warnings.append(
            f"has {file_bytes - expected} bytes more than its header announces ({file_bytes} "
            f"instead of {expected}); they are ignored"
        )
    object.__setattr__(header, "warnings", tuple(warnings))
    return header


def _byte_order(raw: bytes, where: str, file_bytes: int | None, warnings: list[str]) -> str:
    stamped = _STAMPS.get(raw[212:214])
    has_map = raw[208:211] == b"MAP"
    candidates = [order for order in "<>" if _is_plausible(raw, order, file_bytes)]
    if not candidates:
        if has_map and stamped:
            return stamped  # the field that is wrong will be named
        if has_map:
            columns, rows, sections, mode = struct.unpack_from("<4i", raw, 0)
            raise FormatError(
                f"{where}: is damaged: in neither byte order does its header make sense "
                f"(little-endian: {columns} × {rows} × {sections} voxels of mode {mode})."
            )
        raise FormatError(f"{where}: is not an MRC file, nor any other volume that slabkit reads.")

    def rank(order: str) -> tuple[bool, bool, bool]:
        missing = _missing_bytes(raw, order, file_bytes)
        return (missing != 0, missing > 0, order != stamped)

    # The byte order makes a difference to nearly every file's size: the stamp only settles draws,
    # except where no order fits, as in a truncated file.
    fitting = [order for order in candidates if _missing_bytes(raw, order, file_bytes) <= 0]
    if not fitting and stamped in candidates:
        best = str(stamped)
    else:
        best = min(candidates, key=rank)
    if not has_map:
        if _missing_bytes(raw, best, file_bytes) != 0:
            raise FormatError(
                f"{where}: is not an MRC file: it has no MAP identifier and its length does not "
                "fit what its header would say."
            )
        warnings.append("has no MAP identifier (an old file?), but size and mode fit its length")
    if best != stamped:
        stamp = raw[212:216].hex(" ")
        warnings.append(
            f"its machine stamp ({stamp}) is "
            f"{'wrong' if stamped else 'not valid'}; from the header's size and mode the file is "
            f"{'little' if best == '<' else 'big'}-endian"
        )
    return best


def _is_plausible(raw: bytes, order: str, file_bytes: int | None) -> bool:
    *sides, mode = struct.unpack_from(f"{order}4i", raw, 0)
    (extended,) = struct.unpack_from(f"{order}i", raw, 92)
    limit = _MOST_EXTENDED if file_bytes is None else file_bytes
    return (
        all(1 <= side <= _MOST_SIDE for side in sides)
        and (mode in MODES or mode in _OTHER_MODES)
        and 0 <= extended <= limit
    )


def _missing_bytes(raw: bytes, order: str, file_bytes: int | None) -> int:
    if file_bytes is None:
        return 0
    *sides, mode = struct.unpack_from(f"{order}4i", raw, 0)
    (extended,) = struct.unpack_from(f"{order}i", raw, 92)
    if mode not in MODES:
        return 0
    voxel_bytes = np.dtype(MODES[mode]).itemsize
    return HEADER_BYTES + int(extended) + int(math.prod(sides)) * voxel_bytes - file_bytes


def _check_size(where: str, columns: int, rows: int, sections: int, mode: int) -> None:
    sides = (columns, rows, sections)
    if min(sides) < 1 or max(sides) > _MOST_SIDE:
        raise FormatError(
            f"{where}: its header announces {columns} × {rows} × {sections} voxels, which cannot "
            "be; the header is damaged."
        )
    if mode not in MODES:
        what = _OTHER_MODES.get(mode, "unknown")
        known = ", ".join(str(known) for known in MODES)
        raise FormatError(
            f"{where}: is of MRC mode {mode} ({what}), and slabkit reads modes {known}; "
            "convert it, with IMOD's newstack -mode 2 for instance."
        )


def _is_unsigned(
    raw: bytes,
    order: str,
    uint8: bool | None,
    least: float,
    greatest: float,
    warnings: list[str],
    notes: list[str],
) -> bool:
    stamp, flags = struct.unpack_from(f"{order}2i", raw, 152)
    if uint8 is not None:
        notes.append(f"bytes are read as {'unsigned' if uint8 else 'signed'}, as was asked")
        return uint8
    if stamp == _IMOD_STAMP:
        unsigned = not flags & 1
        notes.append(f"IMOD's flags say that bytes are {'unsigned' if unsigned else 'signed'}")
        return unsigned
    if least >= 0 and 127 < greatest <= 255:
        warnings.append(
            f"its bytes are read as signed, the standard, but its header states values from "
            f"{least:g} to {greatest:g}: give --uint8 if they are unsigned"
        )
    return False


def _voxel_sizes(
    cell: tuple[float, ...], sampling: tuple[int, int, int]
) -> tuple[float, float, float]:
    x, y, z = (
        length / intervals if intervals > 0 and math.isfinite(length) and length > 0 else 0.0
        for length, intervals in zip(cell, sampling, strict=True)
    )
    return x, y, z


def _integers(raw: bytes, order: str, offset: int) -> tuple[int, int, int]:
    first, second, third = struct.unpack_from(f"{order}3i", raw, offset)
    return first, second, third


def _labels(raw: bytes, order: str) -> tuple[str, ...]:
    (count,) = struct.unpack_from(f"{order}i", raw, 220)
    texts = [
        raw[224 + 80 * i : 304 + 80 * i].split(b"\0")[0].decode("ascii", "replace").strip()
        for i in range(min(max(count, 0), 10))
    ]
    return tuple(text for text in texts if text)


def pack_header(
    shape: tuple[int, int, int],
    mode: int,
    pixel_size: float,
    *,
    statistics: tuple[float, float, float, float],
    space_group: int,
    sampling_z: int,
    label: str,
) -> bytes:
    """Make the header of a little-endian file: the same arguments, the same bytes.

    Parameters
    ----------
    shape : (int, int, int)
        ``(sections, rows, columns)``.
    mode : int
        One of `MODES`.
    pixel_size : float
        In Å, written on all axes.
    statistics : (float, float, float, float)
        Least, greatest, mean value and standard deviation.
    space_group : int
        0 for images, 1 for a volume.
    sampling_z : int
        ``mz``: 1 for images, the number of sections for a volume.
    label : str
        At most 80 characters are kept; what is not ASCII becomes ``?``.

    Returns
    -------
    bytes
        1024 of them.
    """
    sections, rows, columns = shape
    least, greatest, mean, deviation = statistics
    raw = bytearray(HEADER_BYTES)
    struct.pack_into("<4i", raw, 0, columns, rows, sections, mode)
    struct.pack_into("<3i", raw, 28, columns, rows, sampling_z)
    cell = [pixel_size * count for count in (columns, rows, sampling_z)]
    struct.pack_into("<6f", raw, 40, *cell, 90.0, 90.0, 90.0)
    struct.pack_into("<3i", raw, 64, 1, 2, 3)
    struct.pack_into("<3f", raw, 76, least, greatest, mean)
    struct.pack_into("<i", raw, 88, space_group)
    struct.pack_into("<i", raw, 108, 20141)
    if mode == 0:  # so that IMOD, whose bytes were unsigned, reads these as signed
        struct.pack_into("<2i", raw, 152, _IMOD_STAMP, 1)
    raw[208:216] = b"MAP \x44\x44\x00\x00"
    struct.pack_into("<f", raw, 216, deviation)
    text = label.encode("ascii", "replace").replace(b"\n", b" ")[:80]
    struct.pack_into("<i", raw, 220, 1 if text else 0)
    raw[224:304] = text.ljust(80) if text else bytes(80)
    return bytes(raw)
