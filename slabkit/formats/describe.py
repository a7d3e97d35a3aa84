"""What slabkit understands of a file: the library part of ``slabkit info``."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np

from slabkit.errors import InputError, SlabkitWarning
from slabkit.formats.describe_tables import describe_picks, describe_text
from slabkit.formats.description import FileDescription, ValueRange
from slabkit.formats.registry import formats_of, self_describing_formats
from slabkit.formats.source import Source
from slabkit.formats.tables.paths import is_pipe, read_bytes
from slabkit.formats.volumes.decoded_cache import Compression
from slabkit.formats.volumes.mrc import open_stack, read_header, stack_reason
from slabkit.formats.volumes.opening import file_kind, open_volume
from slabkit.formats.volumes.statistics import RunningStatistics
from slabkit.formats.volumes.tiff import open_tiff
from slabkit.formats.volumes.voxel_size import choose_voxel_size
from slabkit.tomogram import Reading, VoxelSource

_STREAMED_BYTES = 512 << 20
_SAMPLED_PLANES = 16


def describe_file(path: str | os.PathLike[str], *, full: bool = False) -> FileDescription:
    """Say what a file or Zarr folder is and what it holds; refused where that is not known.

    For the value range every voxel is read if ``full``, else 16 planes of volumes above 512 MB.
    """
    head = Source(str(path), _head(Path(path)))
    for known in self_describing_formats():
        if known.describe is not None and known.sniff(head):
            return known.describe(Source.load(path))
    for known in formats_of("picks"):
        if known.binary and known.sniff(head):
            return describe_picks(Source.load(path), known.name)
    piped = is_pipe(path) and not os.path.isdir(path)
    if piped and _is_text(head.data):
        return describe_text(Source.load(path))
    kind = file_kind(path)
    if kind == "mrc" and (_is_text(head.data) or head.data.startswith((b"\xff\xfe", b"\xfe\xff"))):
        return describe_text(Source.load(path))
    if kind in ("tiff", "zarr", "em"):
        return _describe_volume(path, full, kind == "tiff")
    compression: Compression | None = kind if kind in ("gzip", "bzip2") else None
    header = read_header(path, compression)
    if stack_reason(str(path), header) is not None:
        return _describe_images(path, compression, full)
    return _describe_volume(path, full)


def _describe_volume(
    path: str | os.PathLike[str], full: bool, tiff: bool = False
) -> FileDescription:
    where = str(path)
    if tiff:
        volume = open_tiff(path, single_image=True)
    else:
        volume = open_volume(path, Reading(allow_missing_chunks=True))
    said = list(volume.warnings)
    notes = list(volume.notes)
    voxel_size = None
    try:
        chosen = choose_voxel_size(where, volume.voxel_sizes, unset_reason=volume.unset_reason)
    except InputError as error:
        said.append(str(error).removeprefix(f"{where}: ").rstrip("."))
    else:
        voxel_size = chosen.value
        said += chosen.warnings
        notes += chosen.notes
    values = _values(volume.source, full, said)
    depth, height, width = (int(size) for size in volume.source.shape)
    return FileDescription(
        path=where,
        kind="tomogram" if depth > 1 else "micrograph",
        stored_as=volume.stored_as,
        size=(width, height, depth) if depth > 1 else (width, height),
        voxel_size=voxel_size,
        values=values,
        notes=tuple(notes),
        warnings=tuple(said),
    )


def _describe_images(
    path: str | os.PathLike[str], compression: Compression | None, full: bool
) -> FileDescription:
    images = open_stack(path, compression)
    header = read_header(path, compression)
    said = list(header.warnings)
    pixel_size = None if np.isnan(images.pixel_size) else images.pixel_size
    if pixel_size is None:
        said.append("the pixel size is not set")
    count = len(images)
    height, width = images.image_shape
    values = _values(images.source, full, said)
    return FileDescription(
        path=str(path),
        kind="micrograph" if count == 1 else "stack",
        stored_as=header.stored_as + (f", {compression}" if compression else ""),
        size=(width, height) if count == 1 else (width, height, count),
        voxel_size=pixel_size,
        values=values,
        notes=(*header.notes, *(f"label: {label}" for label in header.labels)),
        warnings=tuple(said),
    )


def _values(source: VoxelSource, full: bool, said: list[str]) -> ValueRange:
    depth, height, width = (int(size) for size in source.shape)
    planes = list(range(depth))
    if not full and depth * height * width * np.dtype(source.dtype).itemsize > _STREAMED_BYTES:
        chosen = np.linspace(0, depth - 1, min(depth, _SAMPLED_PLANES)).round().astype(int)
        planes = np.unique(chosen).tolist()
    statistics = RunningStatistics()
    constant = zeros = extreme = 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SlabkitWarning)
        for z in planes:
            plane = source[z : z + 1, 0:height, 0:width][0]
            statistics.add(plane)
            constant += bool((plane == plane[0, 0]).all())
            zeros += plane.size - int(np.count_nonzero(plane))
            if plane.dtype == np.int8:
                extreme += int(((plane >= 96) | (plane < -96)).sum())
    said += [str(item.message).rstrip(".") for item in caught]
    total = len(planes) * height * width
    if statistics.nonfinite:
        said.append(
            f"{statistics.nonfinite} of {total} values are NaN or infinite: repair the volume or "
            "give --fill-nonfinite median"
        )
    if statistics.count and statistics.least == statistics.greatest:
        said.append(f"every value read is {statistics.least:g}")
    elif constant > len(planes) // 10:
        said.append(f"{constant} of {len(planes)} planes read are constant (padding?)")
    elif zeros > 0.3 * total:
        said.append(f"{100 * zeros / total:.0f} % of the values read are exactly 0 (padding?)")
    if extreme > total // 2:
        said.append(
            "most bytes lie near -128 and 127, as unsigned bytes do that are read as signed: "
            "--uint8 reads them as unsigned"
        )
    known = statistics.count > 0
    return ValueRange(
        statistics.least if known else None,
        statistics.greatest if known else None,
        statistics.mean if known else None,
        statistics.deviation if known else None,
        statistics.nonfinite,
        len(planes),
        depth,
    )


def _head(path: Path) -> bytes:
    """Give the first kilobytes of a file; nothing of a folder, or of what cannot be read."""
    try:
        if is_pipe(path) and not os.path.isdir(path):
            return read_bytes(path)[:4096]
        with path.open("rb") as file:
            return file.read(4096)
    except (OSError, InputError):
        return b""


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4  # a character cut in two by the end of the piece
    return True
