"""MRC files in and out: volumes, micrographs, image stacks."""

from __future__ import annotations

import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from slabkit.errors import FormatError, InputError
from slabkit.formats.volumes.decoded_cache import Compression, DecompressedVoxels, open_compressed
from slabkit.formats.volumes.mrc_header import HEADER_BYTES, MrcHeader, parse_header
from slabkit.formats.volumes.mrc_writing import MrcStackWriter, write_mrc
from slabkit.formats.volumes.voxel_size import shortest_decimal
from slabkit.formats.volumes.voxels import FileVolume, MappedVoxels, check_axis_order, in_axis_order

__all__ = [
    "ImageStack",
    "MrcStackWriter",
    "open_mrc",
    "open_stack",
    "read_header",
    "read_image",
    "stack_reason",
    "write_mrc",
]

_AXIS_LETTERS = {1: "x", 2: "y", 3: "z"}


@dataclass(frozen=True)
class ImageStack:
    """A stack of images of one size, opened but not loaded.

    Parameters
    ----------
    path : str
    source : MappedVoxels
        Indexed ``[image, y, x]``.
    pixel_size : float
        In Å; NaN where the file does not say.
    """

    path: str
    source: MappedVoxels
    pixel_size: float

    def __len__(self) -> int:
        """Give the number of images."""
        return self.source.shape[0]

    @property
    def image_shape(self) -> tuple[int, int]:
        """Size of each image, ``(y, x)``."""
        return self.source.shape[1], self.source.shape[2]

    def __getitem__(self, index: int) -> npt.NDArray[Any]:
        """Give image ``index`` (0-based), a read-only view ``(y, x)`` in the file's own type.

        Raises
        ------
        IndexError
            There is no such image.
        """
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

    Parameters
    ----------
    path : path-like
    compression : {"gzip", "bzip2"}, optional
    uint8 : bool, optional
        Whether mode 0 is unsigned; None believes IMOD's flags, else signed.

    Returns
    -------
    MrcHeader

    Raises
    ------
    FormatError
        It is not MRC, or is damaged or truncated.
    InputError
        The file cannot be read.
    """
    where = str(path)
    try:
        if compression is None:
            with Path(path).open("rb") as file:
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
    """Open the volume in an MRC file; no voxel is read.

    Parameters
    ----------
    path : path-like
    compression : {"gzip", "bzip2"}, optional
    uint8 : bool, optional
        Whether mode 0 is unsigned; None believes IMOD's flags, else signed.
    axis_order : str, optional
        What the file's axes are, slowest first, whatever its header says.

    Returns
    -------
    FileVolume

    Raises
    ------
    FormatError
        It is not MRC, is damaged or truncated, or its axes are no permutation.
    InputError
        It cannot be read, or holds an image or a stack of images.
    """
    where = str(path)
    header = read_header(path, compression, uint8)
    reason = stack_reason(where, header)
    if reason:
        raise InputError(f"{where}: {reason}")
    source = _source(where, header, compression)
    warnings, notes = list(header.warnings), list(header.notes)
    axes = _axes(where, header, axis_order, warnings, notes)
    _note_start(header, warnings)
    if header.space_group == 0:
        text = "its space group is 0, which means images; it is read as one volume, as IMOD does"
        notes.append(text)
        if _plain_suffix(where) == ".st":
            warnings.append(f"{text}: make sure that it is no tilt series")
    x, y, z = header.voxel_sizes
    return FileVolume(
        source=in_axis_order(source, axes),
        voxel_sizes=(z, y, x),
        stored_as=header.stored_as + (f", {compression}" if compression else ""),
        warnings=tuple(warnings),
        notes=tuple(notes),
    )


def stack_reason(where: str, header: MrcHeader) -> str | None:
    """Say why a file is certainly not one volume, or None.

    Certain are a single section, the suffix ``.mrcs``, and the standard's own marks: space group 0
    with ``mz`` 1, or 401 and more with fewer sections in the cell than in the file. Space group 0
    alone is no sign: older IMOD wrote its volumes so.

    Parameters
    ----------
    where : str
        The path.
    header : MrcHeader

    Returns
    -------
    str or None
        The reason, a sentence without the file's name.
    """
    sections, per_volume = header.sections, header.sampling[2]
    if sections == 1:
        return "is a single image, where a volume is needed."
    if _plain_suffix(where) == ".mrcs":
        return f"is a stack of {sections} images (.mrcs), where a volume is needed."
    if header.space_group == 0 and per_volume == 1:
        return (
            f"is a stack of {sections} images (space group 0, mz 1), where a volume is needed; if "
            "it is a volume, set its space group to 1 and mz to its depth."
        )
    if header.space_group >= 401 and 0 < per_volume < sections:
        return f"is a stack of {sections // per_volume} volumes; split it into files."
    return None


def read_image(path: str | os.PathLike[str]) -> tuple[npt.NDArray[Any], float]:
    """Read one image.

    Parameters
    ----------
    path : path-like
        MRC file with one section.

    Returns
    -------
    image : ndarray, shape (y, x)
        In the file's type, byte order of the machine; a copy of its own.
    pixel_size : float
        In Å; NaN where the file does not say.

    Raises
    ------
    FormatError
        It is not MRC, or is damaged or truncated.
    InputError
        It cannot be read, or holds more than one image.
    """
    stack = open_stack(path)
    if len(stack) != 1:
        raise InputError(f"{path}: holds {len(stack)} images, where one is needed.")
    image = stack[0]
    return image.astype(image.dtype.newbyteorder("=")), stack.pixel_size


def open_stack(path: str | os.PathLike[str], compression: Compression | None = None) -> ImageStack:
    """Open a stack of images (or one image); no pixel is read.

    Parameters
    ----------
    path : path-like
        MRC file; its sections are the images, whatever its space group says.
    compression : {"gzip", "bzip2"}, optional

    Returns
    -------
    ImageStack

    Raises
    ------
    FormatError
        It is not MRC, or is damaged or truncated.
    InputError
        It cannot be read, or its pixels are not square.
    """
    header = read_header(path, compression)
    where = str(path)
    x, y, _ = header.voxel_sizes
    if x and y and abs(x - y) > 1e-3 * max(x, y):
        raise InputError(f"{where}: its pixels are not square ({x:g} × {y:g} Å).")
    pixel_size = shortest_decimal(x) if x else math.nan
    return ImageStack(where, _source(where, header, compression), pixel_size)


def _source(where: str, header: MrcHeader, compression: Compression | None) -> MappedVoxels:
    shape = (header.sections, header.rows, header.columns)
    if compression is None:
        return MappedVoxels(where, shape, header.dtype, header.offset)
    return DecompressedVoxels(where, shape, header.dtype, header.offset, compression)


def _axes(
    where: str,
    header: MrcHeader,
    axis_order: str | None,
    warnings: list[str],
    notes: list[str],
) -> str:
    if axis_order is not None:
        axes = check_axis_order(axis_order)
        notes.append(f"the file's axes are taken as {axes}, slowest first, as was asked")
        return axes
    if sorted(header.axes) != [1, 2, 3]:
        listed = ", ".join(str(axis) for axis in header.axes)
        raise FormatError(
            f"{where}: its axes (mapc, mapr, maps = {listed}) are no order of 1, 2, 3; give "
            "--axis-order, zyx as a rule."
        )
    axes = "".join(_AXIS_LETTERS[axis] for axis in reversed(header.axes))
    if axes != "zyx":
        warnings.append(
            f"its axes are stored in the order {axes}, slowest first; it is read transposed to zyx"
        )
    return axes


def _note_start(header: MrcHeader, warnings: list[str]) -> None:
    moved = []
    if any(header.start):
        moved.append(f"start ({', '.join(str(v) for v in header.start)} voxels)")
    if any(math.isfinite(v) and abs(v) > 1e-6 for v in header.origin):
        moved.append(f"origin ({', '.join(f'{v:g}' for v in header.origin)} Å)")
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
