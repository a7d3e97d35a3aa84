"""IMOD's binary models: contours of points, in pixels of the volume they were drawn on.

The format is documented (https://bio3d.colorado.edu/imod/doc/binspec.html): big-endian; objects
and contours have a size of their own, all else is a name, a length and that many bytes.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slabkit.errors import FormatError, InputError, warn
from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.imod import CORNER_PX
from slabkit.formats.programs.shared.rows import file_a_tomogram, placed, points_in_voxels
from slabkit.formats.source import Source
from slabkit.tables import TOMOGRAMS, make_table

if TYPE_CHECKING:
    from slabkit.formats.tables.native import PickList

_ID = b"IMODV1.2"
_HEADER = 232  # after the 8 bytes of the id
_OBJECT, _CONTOUR, _MESH = 176, 16, 16
_UNTOUCHED, _ORIGIN, _FLIPPED = 1 << 11, 1 << 14, 1 << 16
_SCATTERED = 1 << 9
_ANGSTROM = {1: 1e10, -2: 1e8, -3: 1e7, -6: 1e4, -9: 10.0, -10: 1.0}  # of a unit of length
_LEFT_OUT = {b"MESH": "meshes", b"SLAN": "slicer angles", b"COST": "lists of values of points"}


@dataclass
class _Model:
    size: tuple[int, int, int] = (0, 0, 0)
    flags: int = 0
    pixel: float = math.nan  # Å, of the header
    scale: tuple[float, ...] = ()  # Å along x, y, z, and the places of the volume loaded and whole
    loaded: tuple[float, ...] = (0.0, 0.0, 0.0)
    whole: tuple[float, ...] = (0.0, 0.0, 0.0)
    points: list[npt.NDArray[np.float64]] = field(default_factory=list)
    objects: list[int] = field(default_factory=list)  # of each contour, from 1 as IMOD counts
    contours: list[int] = field(default_factory=list)
    times: set[int] = field(default_factory=set)
    left_out: dict[str, int] = field(default_factory=dict)


def read(source: Source, context: Context) -> ParsedPicks:
    """Read the points of all contours."""
    where, model = source.where, _parsed(source.data, source.where)
    _refuse(model, where)
    points = np.concatenate([np.empty((0, 3)), *model.points])
    if not np.isfinite(points).all():
        raise FormatError(f"{where}: has points that are no finite numbers.")
    names = context.names(None, len(points), where, "an IMOD model")
    said = _said_pixels(model, context, where)
    unit = _unit(said, names, context, where)
    _check_volume(model, said, names, context, where)
    moved = _begins_at(model)
    if moved.any():
        points = points + moved
        warn(
            f"{where}: was drawn on a part of its volume that begins at "
            f"{', '.join(f'{v:g}' for v in moved)} (x, y, z); that was added to the points."
        )
    if model.left_out:
        what = ", ".join(f"{number} {name}" for name, number in model.left_out.items())
        warn(f"{where}: also holds {what}, which are left out.")
    zero = -CORNER_PX * unit[:, None]
    counts = [len(contour) for contour in model.points]
    found = placed(names, points * unit[:, None] + zero)
    if len(counts) > 1:
        found["imodObject"] = np.repeat(model.objects, counts).astype(str).tolist()
        found["imodContour"] = np.repeat(model.contours, counts).astype(str).tolist()
    table = None
    if said is not None and names and not np.isfinite(context.known_voxel_sizes(names[:1])).all():
        table = make_table(TOMOGRAMS, {"slabkitTomogram": names[:1], "slabkitVoxelSize": [said]})
    return ParsedPicks(found, unit, zero, table)


def _refuse(model: _Model, where: str) -> None:
    if model.flags & _FLIPPED:
        raise InputError(
            f"{where}: was saved while 3dmod showed its volume with y and z exchanged; load it on "
            "the volume as it is and save it again, or run imodtrans -Y."
        )
    if len(model.times) > 1:
        raise InputError(
            f"{where}: holds points of several images (times {sorted(model.times)[:5]}); save the "
            "points of each volume as a model of its own."
        )


def _said_pixels(model: _Model, context: Context, where: str) -> float | None:
    """Give the voxel size in Å that the model says, of its volume or itself; None for neither."""
    if context.voxel_size is not None:
        return None  # settled
    of_volume = [] if set(model.scale) <= {1.0} else list(model.scale)  # 1: not said
    said = [*of_volume, *([model.pixel] if math.isfinite(model.pixel) else [])]
    wrong = [value for value in said if not abs(value / said[0] - 1) < 1e-3 or value <= 0]
    if wrong:
        raise InputError(
            f"{where}: says voxel sizes of {said[0]:g} Å and {wrong[0]:g} Å; settle it with "
            "--voxel-size, that of the volume it was drawn on."
        )
    return said[0] if said else None


def _unit(
    said: float | None, names: list[str], context: Context, where: str
) -> npt.NDArray[np.float64]:
    """Give the size in Å of the voxels of each point; as 3dmod does, the model is followed."""
    known = context.known_voxel_sizes(names)
    if said is None or (abs(said / known - 1) < 1e-3).all():  # which is not rounded to 32 bits
        return context.voxel_sizes(names, where)
    if np.isfinite(known).any():
        warn(
            f"{where}: its points are voxels of {said:g} Å, as it says, though {names[0]} has "
            f"voxels of {known[0]:g} Å; if they are voxels of that volume, give --voxel-size "
            f"{known[0]:g}."
        )
    return np.full(len(names), said)


def _begins_at(model: _Model) -> npt.NDArray[np.float64]:
    """Give the voxel of the volume at which the part begins that the model was drawn on."""
    if not model.flags & _ORIGIN or min(model.scale, default=0.0) <= 0:
        return np.zeros(3)
    voxels = np.subtract(model.whole, model.loaded) / model.scale
    return np.where(abs(voxels) > 1e-3, voxels, 0.0)


def _check_volume(
    model: _Model, said: float | None, names: list[str], context: Context, where: str
) -> None:
    """Refuse a model that was drawn on a volume of another size, unless --voxel-size settles it."""
    settled = context.voxel_size is not None or model.flags & _UNTOUCHED
    if settled or not names or min(model.size) < 1 or _begins_at(model).any():
        return
    size, voxel = context.known_sizes(names[:1])[0], context.known_voxel_sizes(names[:1])[0]
    if min(size) < 1:
        return
    ratio = said / voxel if said is not None else 1.0
    found = np.array(model.size) * ratio
    if (abs(found - size) > 2 + 0.02 * size).any():
        sides = [" × ".join(f"{side:g}" for side in sides) for sides in (model.size, size)]
        raise InputError(
            f"{where}: was drawn on a volume of {sides[0]} voxels (x, y, z), and {names[0]} has "
            f"{sides[1]}; give the volume that it was drawn on with --tomograms, or, if the points "
            "are voxels of this one all the same, its --voxel-size."
        )


def _parsed(data: bytes, where: str) -> _Model:
    if data[:8] != _ID:
        raise FormatError(f"{where}: is no IMOD model of version 1.2 (it begins {data[:8]!r}).")
    model = _Model()
    try:
        _fill(model, data)
    except struct.error as error:
        raise FormatError(
            f"{where}: is damaged or truncated (it has {len(data)} bytes)."
        ) from error
    return model


def _fill(model: _Model, data: bytes) -> None:
    x, y, z, _, model.flags = struct.unpack_from(">4iI", data, 136)
    model.size = (x, y, z)
    (pixel, units) = struct.unpack_from(">fi", data, 8 + 208)
    if units in _ANGSTROM and pixel > 0:
        model.pixel = pixel * _ANGSTROM[units]
    place, contour, count = 8 + _HEADER, 0, 0
    while (name := data[place : place + 4]) != b"IEOF":
        place += 4
        if name == b"OBJT":
            count, contour = count + 1, 0
            place += _OBJECT
        elif name == b"CONT":
            number, _, time, _ = struct.unpack_from(">iIii", data, place)
            floats = struct.unpack_from(f">{3 * max(number, 0)}f", data, place + _CONTOUR)
            contour += 1
            if number > 0:
                model.points.append(np.array(floats, dtype=float).reshape(-1, 3))
                model.objects.append(count)
                model.contours.append(contour)
                model.times.add(time)
            place += _CONTOUR + 12 * max(number, 0)
        elif name == b"MESH":
            vertices, indices = struct.unpack_from(">2i", data, place)
            place += _MESH + 12 * max(vertices, 0) + 4 * max(indices, 0)
        else:
            (length,) = struct.unpack_from(">I", data, place)
            if name == b"MINX":
                values = struct.unpack_from(">18f", data, place + 4)
                model.whole, model.scale, model.loaded = values[3:6], values[9:12], values[12:15]
            place += 4 + length
        if name in _LEFT_OUT:
            model.left_out[_LEFT_OUT[name]] = model.left_out.get(_LEFT_OUT[name], 0) + 1


def write(picks: PickList, context: Context) -> bytes:
    """Write one object of scattered points."""
    names = picks.picks["slabkitTomogram"].tolist()
    points = points_in_voxels(picks, context, "imod-model") + CORNER_PX
    size = context.known_sizes(names[:1])[0] if names else (0, 0, 0)
    pixel = float(context.voxel_sizes(names[:1], "imod-model")[0]) if names else 1.0
    diameters = picks.picks["slabkitDiameter"].to_numpy(float)
    known = diameters[np.isfinite(diameters)]
    radius = round(float(known[0]) / pixel / 2) if len(known) else 3
    head = struct.pack(">8s128s4iI4i", _ID, b"picks", *map(int, size), 1, _UNTOUCHED, 1, 1, 0, 255)
    head += struct.pack(">6f5ifi", *(0.0,) * 3, *(1.0,) * 3, 0, 0, 0, 3, 128, pixel / 10, -9)
    head += struct.pack(">i3f", 0, 0.0, 0.0, 0.0)
    head += b"OBJT" + struct.pack(">64s64xiI2i", b"picks", 1, _SCATTERED, 0, 1)
    head += struct.pack(">3fi", 0.0, 1.0, 0.0, radius)
    head += struct.pack(">8B2i", 1, 3, 1, 1, 0, 0, 0, 0, 0, 0)
    head += b"CONT" + struct.pack(">iIii", len(points), 0, 0, 0)
    return head + bytes(points.astype(">f4").tobytes()) + b"IEOF"


FORMAT = FileFormat(
    name="imod-model",
    title="IMOD binary model (.mod)",
    suffixes=(".mod",),
    binary=True,
    unit="pixels whose size the file has, else voxels",
    origin="x, y: corner of the first pixel = 0 (its centre 0.5); z: centre of the first section",
    lost="everything but x, y, z (of 32 bits); one tomogram a file",
    sniff=lambda source: source.beginning.startswith(b"IMOD"),
    read=read,
    write=write,
    keeps=frozenset({"slabkitTomogram"}),
    in_corner_unit="px",
    **file_a_tomogram(".mod"),
)
