"""MRC files in and out: volumes, micrographs, image stacks."""

from __future__ import annotations

import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from mrcfile.constants import IMAGE_STACK_SPACEGROUP, VOLUME_STACK_SPACEGROUP

from slabkit.errors import FormatError, InputError
from slabkit.formats.tables.atomic import atomic_path
from slabkit.formats.tables.paths import open_file
from slabkit.formats.volumes.decoded_cache import Compression, DecompressedVoxels, open_compressed
from slabkit.formats.volumes.mrc_header import (
    HEADER_BYTES,
    MODE_OF_TYPE,
    MrcHeader,
    make_header,
    parse_header,
)
from slabkit.formats.volumes.statistics import RunningStatistics
from slabkit.formats.volumes.voxel_size import shortest_decimal
from slabkit.formats.volumes.voxels import FileVolume, FileVoxels, check_axis_order, in_axis_order

_WRITTEN_BYTES = 1 << 18  # of images that are converted at once


@dataclass(frozen=True)
class ImageStack:
    """A stack of images of one size, opened but not loaded.

    ``source`` is indexed ``[image, y, x]``; ``pixel_size`` is in Å, NaN where the file does not
    say.
    """

    path: str
    source: FileVoxels
    pixel_size: float

    def __len__(self) -> int:
        """Give the number of images."""
        return self.source.shape[0]

    @property
    def image_shape(self) -> tuple[int, int]:
        """Size of each image, ``(y, x)``."""
        return self.source.shape[1], self.source.shape[2]

    def __getitem__(self, index: int) -> npt.NDArray[Any]:
        """Give image ``index`` (0-based), ``(y, x)``, read-only, in the file's own type."""
        if not 0 <= index < len(self):
            raise IndexError(f"{self.path}: has {len(self)} images, so no index {index}.")
        image: npt.NDArray[Any] = self.source[index : index + 1, :, :][0]
        return image


def read_header(
    path: str | os.PathLike[str],
    compression: Compression | None = None,
    uint8: bool | None = None,
) -> MrcHeader:
    """Read and check the header of an MRC file, and nothing else of it.

    ``uint8`` says whether mode 0 is unsigned; None believes IMOD's flags, else signed.
    """
    where = str(path)
    try:
        if compression is None:
            with open_file(path) as file:
                raw = file.read(HEADER_BYTES)
                size = os.fstat(file.fileno()).st_size
            return parse_header(raw, where, size, uint8)
        with open_compressed(where, compression) as packed:
            raw = packed.read(HEADER_BYTES)
    except (EOFError, zlib.error) as error:
        raise FormatError(f"{where}: its {compression} compression is broken ({error}).") from error
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror or error}).") from error
    return parse_header(raw, where, None, uint8)


def open_mrc(
    path: str | os.PathLike[str],
    *,
    compression: Compression | None = None,
    uint8: bool | None = None,
    axis_order: str | None = None,
) -> FileVolume:
    """Open the volume in an MRC file; no voxel is read. Images and stacks of them are refused."""
    where = str(path)
    header = read_header(path, compression, uint8)
    reason = stack_reason(where, header)
    if reason:
        raise InputError(f"{where}: {reason}")
    warnings, notes = list(header.warnings), list(header.notes)
    axes = _axes(where, header, axis_order, warnings, notes)
    _note_start(header, warnings)
    if header.fields["ispg"] == IMAGE_STACK_SPACEGROUP:
        text = "its space group is 0, which means images; it is read as one volume, as IMOD does"
        notes.append(text)
        if _plain_suffix(where) == ".st":
            warnings.append(f"{text}: make sure that it is no tilt series")
    x, y, z = header.voxel_sizes
    return FileVolume(
        source=in_axis_order(_source(where, header, compression), axes),
        voxel_sizes=(z, y, x),
        stored_as=header.stored_as + (f", {compression}" if compression else ""),
        warnings=tuple(warnings),
        notes=tuple(notes),
    )


def stack_reason(where: str, header: MrcHeader) -> str | None:
    """Say why a file is certainly not one volume, in a sentence without its name, or None.

    Certain are a single section, the suffix ``.mrcs``, and the standard's own marks: space group 0
    with ``mz`` 1, or 401 and more with fewer sections in the cell than in the file. Space group 0
    alone is no sign: older IMOD wrote its volumes so.
    """
    sections, per_volume, group = header.integers("nz", "mz", "ispg")
    if sections == 1:
        return "is a single image, where a volume is needed."
    if _plain_suffix(where) == ".mrcs":
        return f"is a stack of {sections} images (.mrcs), where a volume is needed."
    if group == IMAGE_STACK_SPACEGROUP and per_volume == 1:
        return (
            f"is a stack of {sections} images (space group 0, mz 1), where a volume is needed; if "
            "it is a volume, set its space group to 1 and mz to its depth."
        )
    if group >= VOLUME_STACK_SPACEGROUP and 0 < per_volume < sections:
        return f"is a stack of {sections // per_volume} volumes; split it into files."
    return None


def read_image(path: str | os.PathLike[str]) -> tuple[npt.NDArray[Any], float]:
    """Read an MRC file with one section: a copy, shape (y, x), and its pixel size in Å.

    In the file's type, byte order of the machine; NaN where the file does not say the pixel size.
    """
    stack = open_stack(path)
    if len(stack) != 1:
        raise InputError(f"{path}: holds {len(stack)} images, where one is needed.")
    image = stack[0]
    return image.astype(image.dtype.newbyteorder("=")), stack.pixel_size


def open_stack(path: str | os.PathLike[str], compression: Compression | None = None) -> ImageStack:
    """Open the sections of an MRC file as images, whatever its space group says; no pixel is read.

    Refused where its pixels are not square.
    """
    header = read_header(path, compression)
    where = str(path)
    x, y, _ = header.voxel_sizes
    if x and y and abs(x - y) > 1e-3 * max(x, y):
        raise InputError(f"{where}: its pixels are not square ({x:g} × {y:g} Å).")
    pixel_size = shortest_decimal(x) if x else math.nan
    return ImageStack(where, _source(where, header, compression), pixel_size)


def write_mrc(
    path: str | os.PathLike[str],
    array: npt.NDArray[Any],
    pixel_size: float,
    *,
    label: str,
    stack: bool = False,
    dtype: npt.DTypeLike = np.float32,
) -> None:
    """Write an image, a volume or a stack of images: the same arguments, the same bytes.

    Parameters
    ----------
    path : path-like
        Replaced once the new file is whole.
    array : ndarray, shape (y, x) or (z, y, x)
        Real values; two axes make an image (``nz`` 1).
    pixel_size : float
        In Å, written on all axes.
    label : str
        What made it, 80 characters; in the place where others write the time.
    stack : bool, optional
        Whether three axes are images ``(image, y, x)`` (space group 0) rather than a volume (1).
    dtype : dtype, optional
        float32, int8, int16, uint16 or float16. Values are rounded to integers where need be.

    Raises
    ------
    InputError
        The array is empty or of other dimensions, the type is not one of those, or a value does not
        fit it.
    SlabkitError
        The file cannot be written.
    """
    kind = np.dtype(dtype)
    if array.ndim not in (2, 3) or not array.size:
        raise InputError(f"{path}: an image or volume has two or three axes, not {array.shape}.")
    if array.dtype.kind not in "iufb":
        raise InputError(f"{path}: images hold real numbers, not {array.dtype}.")
    if kind.str[1:] not in MODE_OF_TYPE:
        raise InputError(
            f"{path}: MRC files hold float32, int8, int16, uint16 or float16, not {kind}."
        )
    if not (math.isfinite(pixel_size) and pixel_size > 0):
        raise InputError(f"{path}: the pixel size must be positive, not {pixel_size!r}.")
    images = array if array.ndim == 3 else array[np.newaxis]
    volume = array.ndim == 3 and not stack
    statistics = RunningStatistics()
    with atomic_path(path, sync=False) as temporary, temporary.open("wb") as file:
        file.write(bytes(HEADER_BYTES))
        at_once = max(1, _WRITTEN_BYTES // images[0].nbytes)
        for first in range(0, len(images), at_once):
            part = images[first : first + at_once]
            stored = _converted(part, kind.newbyteorder("<"), str(path))
            statistics.add_each(stored)
            file.write(stored.data)
        file.seek(0)
        stated = (0.0, -1.0, -2.0, -1.0)  # the standard's way of saying "not determined"
        if statistics.count:
            stated = statistics.least, statistics.greatest, statistics.mean, statistics.deviation
        file.write(make_header(images.shape, kind, pixel_size, volume, stated, label))


def _converted(image: npt.NDArray[Any], kind: np.dtype[Any], where: str) -> npt.NDArray[Any]:
    if image.dtype == kind:
        return np.ascontiguousarray(image)
    if kind.kind == "f":
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(image, dtype=kind)
        overflow = bool(np.isinf(stored).any() and not np.isinf(image).any())
    else:
        limits = np.iinfo(kind)
        rounded = np.rint(image) if image.dtype.kind == "f" else image
        inside = (rounded >= limits.min) & (rounded <= limits.max)  # also False for NaN
        overflow = not inside.all()
        stored = np.ascontiguousarray(rounded, dtype=kind) if not overflow else rounded
    if overflow:
        raise InputError(f"{where}: values from {image.min()} to {image.max()} do not fit {kind}.")
    return stored


def _source(where: str, header: MrcHeader, compression: Compression | None) -> FileVoxels:
    if compression is None:
        return FileVoxels(where, header.shape, header.dtype, header.offset)
    return DecompressedVoxels(where, header.shape, header.dtype, header.offset, compression)


def _axes(
    where: str, header: MrcHeader, axis_order: str | None, warnings: list[str], notes: list[str]
) -> str:
    if axis_order is not None:
        axes = check_axis_order(axis_order)
        notes.append(f"the file's axes are taken as {axes}, slowest first, as was asked")
        return axes
    stored = header.integers("mapc", "mapr", "maps")
    if sorted(stored) != [1, 2, 3]:
        raise FormatError(
            f"{where}: its axes (mapc, mapr, maps = {', '.join(map(str, stored))}) are no order of "
            "1, 2, 3; give --axis-order, zyx as a rule."
        )
    axes = "".join(" xyz"[axis] for axis in reversed(stored))
    if axes != "zyx":
        warnings.append(
            f"its axes are stored in the order {axes}, slowest first; it is read transposed to zyx"
        )
    return axes


def _note_start(header: MrcHeader, warnings: list[str]) -> None:
    start = header.integers("nxstart", "nystart", "nzstart")
    origin = header.fields["origin"].item()
    moved = []
    if any(start):
        moved.append(f"start ({', '.join(str(v) for v in start)} voxels)")
    if any(math.isfinite(v) and abs(v) > 1e-6 for v in origin):
        moved.append(f"origin ({', '.join(f'{v:g}' for v in origin)} Å)")
    if moved:
        warnings.append(
            f"the {' and '.join(moved)} in its header is ignored: positions count from the first "
            "voxel (some viewers add it)"
        )


def _plain_suffix(path: str) -> str:
    name = Path(path).name.lower()
    for packed in (".gz", ".bz2"):
        name = name.removesuffix(packed)
    return Path(name).suffix
