"""The 1024 bytes at the head of an MRC file, and what may be wrong with them.

MRC2014 (Cheng et al. 2015, J. Struct. Biol. 192, 146) and the IMOD dialect of it. The layout is
mrcfile's. What mrcfile takes for granted is decided here: in files in the wild the stamp of the
byte order is broken, bytes are unsigned, lengths do not fit, and each wants its own sentence.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from mrcfile.constants import IMAGE_STACK_SPACEGROUP, MAP_ID, VOLUME_SPACEGROUP
from mrcfile.dtypes import HEADER_DTYPE

from slabkit.errors import FormatError

_LAYOUTS = {order: HEADER_DTYPE.newbyteorder(order) for order in "<>"}
HEADER_BYTES = 1024
# The modes that are read and written, as NumPy types without byte order.
_MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
MODE_OF_TYPE = {name: mode for mode, name in _MODES.items()}
_OTHER_MODES = {
    3: "complex 16-bit integers",
    4: "complex floats, a Fourier transform",
    16: "RGB colours",
    101: "packed 4-bit integers",
}
_STAMPS = {b"\x44\x44": "<", b"\x44\x41": "<", b"\x11\x11": ">"}
_IMOD_STAMP = 1146047817
_IMOD_OFFSET = 40  # of IMOD's stamp and flags in what MRC2014 calls extra space
_SIZES = ("nx", "ny", "nz", "mode", "nsymbt")
_MOST_SIDE = 1_000_000
_MOST_EXTENDED = 1 << 30


@dataclass(frozen=True)
class MrcHeader:
    """What an MRC header says, its fields named as mrcfile does.

    ``dtype`` is that of the voxels as stored, byte order included; ``warnings`` and ``notes`` are
    what was found and decided, without the file's name.
    """

    fields: np.void
    dtype: np.dtype[Any]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Sections, rows and columns."""
        columns, rows, sections = self.integers("nx", "ny", "nz")
        return sections, rows, columns

    @property
    def offset(self) -> int:
        """Where the voxels begin, in bytes."""
        return HEADER_BYTES + self.integers("nsymbt")[0]

    @property
    def voxel_sizes(self) -> tuple[float, float, float]:
        """Cell divided by sampling along x, y, z in Å; 0 where it is not set."""
        x, y, z = (
            length / intervals if intervals > 0 and math.isfinite(length) and length > 0 else 0.0
            for length, intervals in zip(
                self.fields["cella"].item(), self.integers("mx", "my", "mz"), strict=True
            )
        )
        return x, y, z

    @property
    def stored_as(self) -> str:
        """Mode, type and byte order, for people."""
        order = "" if self.dtype.itemsize == 1 else ", big-endian" * (self.dtype.str[0] == ">")
        return f"MRC mode {self.fields['mode']} ({self.dtype.newbyteorder('=')}{order})"

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that are not empty."""
        count = min(max(int(self.fields["nlabl"]), 0), 10)
        texts = (
            bytes(label).split(b"\0")[0].decode("ascii", "replace").strip()
            for label in self.fields["label"][:count]
        )
        return tuple(text for text in texts if text)

    def integers(self, *names: str) -> tuple[int, ...]:
        """Give fields as integers."""
        return tuple(int(self.fields[name]) for name in names)


def parse_header(
    raw: bytes, where: str, file_bytes: int | None = None, uint8: bool | None = None
) -> MrcHeader:
    """Read a header, checked against the size of its file (None: not known)."""
    if len(raw) < HEADER_BYTES:
        raise FormatError(
            f"{where}: is too short to be an MRC file: {len(raw)} bytes where the header alone has "
            f"{HEADER_BYTES}."
        )
    warnings: list[str] = []
    notes: list[str] = []
    order = _byte_order(raw, where, file_bytes, warnings)
    fields = _fields(raw, order)
    columns, rows, sections, mode, extended = (int(fields[name]) for name in _SIZES)
    sides = (columns, rows, sections)
    if min(sides) < 1 or max(sides) > _MOST_SIDE:
        raise FormatError(
            f"{where}: its header announces {columns} × {rows} × {sections} voxels, which cannot "
            "be; the header is damaged."
        )
    if mode not in _MODES:
        what = _OTHER_MODES.get(mode, "unknown")
        known = ", ".join(str(known) for known in _MODES)
        raise FormatError(
            f"{where}: is of MRC mode {mode} ({what}), and slabkit reads modes {known}; "
            "convert it, with IMOD's newstack -mode 2 for instance."
        )
    if extended < 0 or extended > (_MOST_EXTENDED if file_bytes is None else file_bytes):
        raise FormatError(
            f"{where}: its header announces an extended header of {extended} bytes, "
            f"{'' if file_bytes is None else f'the file has {file_bytes}, '}so it is damaged."
        )
    dtype = np.dtype(f"{order}{_MODES[mode]}")
    if mode == 0 and _is_unsigned(fields, order, uint8, warnings, notes):
        dtype = np.dtype("u1")
    missing = _missing_bytes(fields, file_bytes)
    if file_bytes is not None and missing:
        expected = file_bytes + missing
        if missing > 0:
            raise FormatError(
                f"{where}: is truncated: its header announces {columns} × {rows} × {sections} "
                f"voxels of mode {mode}, {expected} bytes in all, and the file has {file_bytes}."
            )
        warnings.append(
            f"has {-missing} bytes more than its header announces ({file_bytes} instead of "
            f"{expected}); they are ignored"
        )
    return MrcHeader(fields, dtype, tuple(warnings), tuple(notes))


def _fields(raw: bytes, order: str) -> np.void:
    fields: np.void = np.frombuffer(raw, _LAYOUTS[order])[0]
    return fields


def _byte_order(raw: bytes, where: str, file_bytes: int | None, warnings: list[str]) -> str:
    """Find the byte order that fits the file's length; the stamp only settles draws."""
    either = {order: _fields(raw, order) for order in "<>"}
    stamp = either["<"]["machst"].tobytes()
    stamped = _STAMPS.get(stamp[:2])
    has_map = raw[208:211] == MAP_ID[:3]
    candidates = [o for o, fields in either.items() if _is_plausible(fields, file_bytes)]
    if not candidates:
        if has_map and stamped:
            return stamped  # the field that is wrong will be named
        if has_map:
            columns, rows, sections, mode = (either["<"][n] for n in ("nx", "ny", "nz", "mode"))
            raise FormatError(
                f"{where}: is damaged: in neither byte order does its header make sense "
                f"(little-endian: {columns} × {rows} × {sections} voxels of mode {mode})."
            )
        raise FormatError(f"{where}: is not an MRC file, nor any other volume that slabkit reads.")
    missing = {order: _missing_bytes(either[order], file_bytes) for order in candidates}
    if stamped in candidates and min(missing.values()) > 0:
        best = str(stamped)  # no order fits, as in a truncated file
    else:
        best = min(candidates, key=lambda o: (missing[o] != 0, missing[o] > 0, o != stamped))
    if not has_map:
        if missing[best] != 0:
            raise FormatError(
                f"{where}: is not an MRC file: it has no MAP identifier and its length does not "
                "fit what its header would say."
            )
        warnings.append("has no MAP identifier (an old file?), but size and mode fit its length")
    if best != stamped:
        warnings.append(
            f"its machine stamp ({stamp.hex(' ')}) is "
            f"{'wrong' if stamped else 'not valid'}; from the header's size and mode the file is "
            f"{'little' if best == '<' else 'big'}-endian"
        )
    return best


def _is_plausible(fields: np.void, file_bytes: int | None) -> bool:
    limit = _MOST_EXTENDED if file_bytes is None else file_bytes
    mode = int(fields["mode"])
    return (
        all(1 <= fields[name] <= _MOST_SIDE for name in ("nx", "ny", "nz"))
        and (mode in _MODES or mode in _OTHER_MODES)
        and 0 <= fields["nsymbt"] <= limit
    )


def _missing_bytes(fields: np.void, file_bytes: int | None) -> int:
    """Give how many bytes a file is shorter than its header says; negative: longer."""
    nx, ny, nz, mode, extended = (int(fields[name]) for name in _SIZES)
    if file_bytes is None or mode not in _MODES:
        return 0
    return HEADER_BYTES + extended + nx * ny * nz * np.dtype(_MODES[mode]).itemsize - file_bytes


def _is_unsigned(
    fields: np.void, order: str, uint8: bool | None, warnings: list[str], notes: list[str]
) -> bool:
    if uint8 is not None:
        notes.append(f"bytes are read as {'unsigned' if uint8 else 'signed'}, as was asked")
        return uint8
    stamp, flags = struct.unpack_from(f"{order}2i", fields["extra2"].tobytes(), _IMOD_OFFSET)
    if stamp == _IMOD_STAMP:
        unsigned = not flags & 1
        notes.append(f"IMOD's flags say that bytes are {'unsigned' if unsigned else 'signed'}")
        return unsigned
    least, greatest = float(fields["dmin"]), float(fields["dmax"])
    if least >= 0 and 127 < greatest <= 255:
        warnings.append(
            f"its bytes are read as signed, the standard, but its header states values from "
            f"{least:g} to {greatest:g}: give --uint8 if they are unsigned"
        )
    return False


def make_header(
    shape: tuple[int, ...],
    kind: np.dtype[Any],
    pixel_size: float,
    volume: bool,
    statistics: tuple[float, float, float, float],
    label: str,
) -> bytes:
    """Make the header of a little-endian file of ``shape`` (sections, rows, columns).

    ``statistics`` are the least, greatest and mean value and the standard deviation.
    """
    header = np.zeros((), _LAYOUTS["<"])
    sections, rows, columns = shape
    sampling = (columns, rows, sections if volume else 1)
    text = label.encode("ascii", "replace").replace(b"\n", b" ")[:80]
    values: dict[str, Any] = {
        "nx": columns,
        "ny": rows,
        "nz": sections,
        "mode": MODE_OF_TYPE[kind.str[1:]],
        **dict(zip(("mx", "my", "mz"), sampling, strict=True)),
        "cella": tuple(pixel_size * count for count in sampling),
        "cellb": (90, 90, 90),
        **dict(zip(("mapc", "mapr", "maps"), (1, 2, 3), strict=True)),
        **dict(zip(("dmin", "dmax", "dmean", "rms"), statistics, strict=True)),
        "ispg": VOLUME_SPACEGROUP if volume else IMAGE_STACK_SPACEGROUP,
        "nversion": 20141,
        "map": MAP_ID,
        "machst": (0x44, 0x44, 0, 0),
        "nlabl": 1 if text else 0,
    }
    if kind.itemsize == 1:  # so that IMOD, whose bytes were unsigned, reads these as signed
        extra = bytes(_IMOD_OFFSET) + struct.pack("<2i", _IMOD_STAMP, 1)
        values["extra2"] = np.void(extra.ljust(84, b"\0"))
    for name, value in values.items():
        header[name] = value
    if text:
        header["label"][0] = text.ljust(80)
    return header.tobytes()
