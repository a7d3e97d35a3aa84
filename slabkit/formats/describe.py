"""What slabkit understands of a file: the library part of ``slabkit info``."""

from __future__ import annotations

import os
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.errors import InputError, SlabkitError, SlabkitWarning
from slabkit.formats.programs.cryosparc.dataset import is_dataset
from slabkit.formats.volumes.decoded_cache import Compression
from slabkit.formats.volumes.mrc import open_stack, read_header, stack_reason
from slabkit.formats.volumes.opening import file_kind, open_volume
from slabkit.formats.volumes.statistics import RunningStatistics
from slabkit.formats.volumes.tiff import open_tiff
from slabkit.formats.volumes.voxel_size import choose_voxel_size
from slabkit.tomogram import VoxelSource

if TYPE_CHECKING:
    import pandas as pd

_STREAMED_BYTES = 512 << 20
_SAMPLED_PLANES = 16


@dataclass(frozen=True)
class ValueRange:
    """The values of a volume or of images.

    Parameters
    ----------
    least, greatest, mean, deviation : float or None
        Of the finite values; None where there is none.
    nonfinite : int
        NaN and infinite values found.
    planes, of : int
        How many planes (or images) were read, of how many.
    """

    least: float | None
    greatest: float | None
    mean: float | None
    deviation: float | None
    nonfinite: int
    planes: int
    of: int

    @property
    def sampled(self) -> bool:
        """Whether not every plane was read."""
        return self.planes < self.of


@dataclass(frozen=True)
class FileDescription:
    """One file, as far as it is understood.

    Parameters
    ----------
    path : str
    kind : str
        ``tomogram``, ``micrograph``, ``stack``, ``slab table``, ``picks2d``, ``pick list``,
        ``minislab table``, ``labels``, ``conflicts between species``, ``contradictions between
        raters``, ``data-set split``, ``statistics of picks``, ``tomogram table``, ``other STAR``,
        ``table``,
        ``coordinates``, ``record of a run of slabkit`` or what CryoSPARC has: ``CryoSPARC
        particles``, ``CryoSPARC micrographs``, ``CryoSPARC dataset``, ``CryoSPARC result group``.
    stored_as : str
        Format and type.
    size : tuple of int, optional
        Voxels or pixels along x, y (and z, or images).
    voxel_size : float, optional
        In Å; None where the file does not settle it.
    values : ValueRange, optional
    rows : int, optional
        Of the main table.
    columns : tuple of str, optional
        Of the main table.
    blocks : dict of str to int
        Rows of every block of a STAR file.
    notes, warnings : tuple of str
    """

    path: str
    kind: str
    stored_as: str
    size: tuple[int, ...] | None = None
    voxel_size: float | None = None
    values: ValueRange | None = None
    rows: int | None = None
    columns: tuple[str, ...] | None = None
    blocks: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Give everything that is known as plain values, for JSON."""
        return {key: value for key, value in asdict(self).items() if value not in (None, {})}


def describe_file(path: str | os.PathLike[str], *, full: bool = False) -> FileDescription:
    """Say what a file is and what stands in it.

    Parameters
    ----------
    path : path-like
        Any file, or a Zarr folder.
    full : bool, optional
        Read every voxel for the value range; without it 16 planes of volumes above 512 MB.

    Returns
    -------
    FileDescription

    Raises
    ------
    InputError
        It cannot be read, or slabkit does not understand it.
    """
    if is_dataset(path):
        from slabkit.formats.describe_foreign import describe_dataset

        return describe_dataset(str(path))
    kind = file_kind(path)
    if kind == "mrc" and _is_text(Path(path)):
        return _describe_text(path)
    if kind in ("tiff", "zarr"):
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
        volume = open_volume(path, allow_missing_chunks=True)
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


def _is_text(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(4096)
    if b"\0" in head:
        return False
    try:
        head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4  # a character cut in two by the end of the piece
    return True


def _describe_text(path: str | os.PathLike[str]) -> FileDescription:
    from slabkit.formats.describe_foreign import describe_text
    from slabkit.formats.tables.blocks import read_text

    where = str(path)
    text = read_text(path)
    first = next(
        (line for line in text.split("\n") if line.strip() and not line.startswith("#")), ""
    )
    if first.startswith("data_") or Path(path).suffix.lower() == ".star":
        return _describe_star(where, text)
    return describe_text(where, text)


def _describe_star(where: str, text: str) -> FileDescription:
    from slabkit.formats.describe_foreign import describe_star_picks
    from slabkit.formats.tables.star import parse_star

    blocks = parse_star(text, where)
    kind, main = _star_kind(blocks)
    stored_as = "STAR"
    notes: tuple[str, ...] = ()
    foreign = describe_star_picks(where, text) if kind == "other STAR" else None
    if foreign is not None:
        kind, stored_as, notes = foreign
    table = blocks[main]
    rows = {name: len(block) for name, block in blocks.items()}
    said = []
    if not len(table):
        said.append("the table is empty")
    try:
        _check(kind if foreign is None else "", where)
    except SlabkitError as error:
        said.append(str(error).removeprefix(f"{where}: ").rstrip("."))
    return FileDescription(
        path=where,
        kind=kind,
        stored_as=stored_as,
        rows=len(table),
        columns=tuple(str(column) for column in table.columns),
        blocks=rows,
        notes=notes,
        warnings=tuple(said),
    )


def _star_kind(blocks: dict[str, pd.DataFrame]) -> tuple[str, str]:
    if "picks" in blocks and "slabkitPickId" in blocks["picks"]:
        return "pick list", "picks"
    if "galleries" in blocks and "particles" in blocks:
        return "minislab table", "particles"
    if "labels" in blocks and "slabkitDecision" in blocks["labels"]:
        return "labels", "labels"
    for name, what in (("conflicts", "species"), ("contradictions", "raters")):
        if name in blocks and "slabkitPickId" in blocks[name]:
            return f"{name} between {what}", name
    if "split" in blocks and "slabkitSubset" in blocks["split"]:
        return "data-set split", "split"
    if "counts" in blocks and "measured" in blocks:
        return "statistics of picks", "counts"
    if "micrographs" in blocks and "slabkitZStart" in blocks["micrographs"]:
        return "slab table", "micrographs"
    if "tomograms" in blocks and "slabkitTomogram" in blocks["tomograms"]:
        return "tomogram table", "tomograms"
    if "particles" in blocks:
        columns = set(blocks["particles"].columns)
        flat = {"rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY"}
        if flat <= columns and not columns & {"rlnImageName", "rlnCoordinateZ"}:
            return "picks2d", "particles"
    sizes = {
        name: (len(block), name == "particles", len(block.columns))
        for name, block in blocks.items()
    }
    main = max(sizes, key=sizes.__getitem__)
    return "other STAR", main


def _check(kind: str, where: str) -> None:
    # The reader that the commands use says what is wrong with a table of ours.
    from slabkit.formats.tables import native as tables

    readers: dict[str, Any] = {
        "pick list": tables.read_native_picks,
        "minislab table": tables.read_minislabs,
        "labels": tables.read_labels,
        "slab table": tables.read_slabs,
        "picks2d": tables.read_picks2d,
    }
    if kind in readers:
        readers[kind](where)
