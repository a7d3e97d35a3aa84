"""The door for volumes: any file that slabkit reads becomes a `Tomogram`, lazily."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError, warn
from slabkit.formats.tomograms.names import half_maps, is_reference, tomogram_name
from slabkit.formats.volumes.decoded_cache import Compression
from slabkit.formats.volumes.em import HEADER_BYTES, is_em, open_em
from slabkit.formats.volumes.mrc import open_mrc
from slabkit.formats.volumes.voxel_size import choose_voxel_size
from slabkit.formats.volumes.voxels import FileVolume, FlippedVoxels, SummedVoxels
from slabkit.formats.volumes.zarr_folders import is_zarr, is_zipped_zarr
from slabkit.tomogram import Reading, Tomogram, TomogramRef, VoxelSource
from slabkit.units import Contrast

FileKind = Literal["mrc", "gzip", "bzip2", "tiff", "zarr", "em"]

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_FOREIGN = {
    b"\x89HDF": "an HDF5 file",
    b"\x89PNG": "a PNG picture",
    b"PK\x03\x04": "a ZIP archive",
    b"\x28\xb5\x2f\xfd": "Zstandard-compressed",
    b"\xfd7zX": "xz-compressed",
    b"\x93NUM": "a NumPy or CryoSPARC array",
    b"IMOD": "an IMOD model",
}
# Binning drops what does not fill a voxel, so another binning may be this much smaller.
_MOST_VOXELS_CROPPED = 2
_MOST_PART_CROPPED = 0.02
_SAMPLED_VOXELS = 1 << 20
_SAMPLED_PLANES = 16


def open_tomogram(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    voxel_size: float | None = None,
    expected_voxel_size: float | None = None,
    contrast: Contrast = "dark",
    fill_nonfinite: Literal["median"] | None = None,
    axis_order: str | None = None,
    uint8: bool | None = None,
    flip_z: bool = False,
    level: int | str = 0,
    allow_missing_chunks: bool = False,
    half: Literal["1", "2", "sum"] | None = None,
) -> Tomogram:
    """Open a tomogram; its voxels are read when they are asked for.

    Parameters
    ----------
    path : path-like
        MRC (plain, gzip or bzip2), EM, TIFF, or an OME-Zarr folder; told apart by content. Or a
        tomogram of a copick project that is elsewhere, as `list_tomograms` names it.
    name : str, optional
        Default: `tomogram_name` of the path.
    voxel_size : float, optional
        In Å; wins over the file's.
    expected_voxel_size : float, optional
        What a table or project says, in Å; a file that says otherwise by more than 0.2 % stops.
    contrast : {"dark", "bright"}, optional
        Whether protein has low or high values.
    fill_nonfinite : {"median"}, optional
        Replace NaN and infinite voxels by the median of a sample instead of stopping at them.
    axis_order : str, optional
        What the file's axes are, slowest first, whatever it says; ``"yzx"`` for an IMOD volume that
        was not rotated. Swapping two axes mirrors the density; positions stay with the voxels.
    uint8 : bool, optional
        Whether bytes in MRC and EM files are unsigned; default: as IMOD's flags say, else signed.
    flip_z : bool, optional
        Read the planes from the last to the first, for volumes that are mirrored in z; positions
        are those in the volume so read.
    level : int or str, optional
        Resolution level of an OME-Zarr.
    allow_missing_chunks : bool, optional
        Read missing chunks of an OME-Zarr as empty instead of stopping.
    half : {"1", "2", "sum"}, optional
        Which of a pair of half maps, named so (``_half1``, ``_EVN``), or their sum; the path may be
        that of either.

    Returns
    -------
    Tomogram
        Its ``notes`` say what was overridden or decided.

    Raises
    ------
    FormatError
        The file is damaged, truncated, or of no format that is read.
    InputError
        It cannot be read, is no volume, or its voxel size is unset, contradictory or anisotropic.
    MissingDependencyError
        OME-Zarr without the zarr package.

    Warns
    -----
    SlabkitWarning
        What a user should know of the file: see BAD_INPUTS and `FileVolume.warnings`.
    """
    reading = Reading(
        voxel_size, axis_order, uint8, flip_z, level, allow_missing_chunks, fill_nonfinite, half
    )
    return _open(path, name, reading, expected_voxel_size, contrast)


def open_reference(reference: TomogramRef) -> Tomogram:
    """Open a tomogram that was listed; the opener of every `TomogramRef`."""
    assert reference.path is not None
    contrast = reference.contrast or "dark"
    tomogram = _open(
        reference.path, reference.name, reference.reading, reference.voxel_size, contrast
    )
    check_size(reference, tomogram)
    return tomogram


def _open(
    path: str | os.PathLike[str],
    name: str | None,
    reading: Reading,
    expected_voxel_size: float | None,
    contrast: Contrast,
) -> Tomogram:
    where = str(path)
    volume = open_volume(path, reading)
    chosen = choose_voxel_size(
        where,
        volume.voxel_sizes,
        override=reading.voxel_size,
        expected=expected_voxel_size,
        unset_reason=volume.unset_reason,
    )
    notes = [*volume.notes, *volume.warnings, *chosen.notes]
    notes += [text for text in chosen.warnings if text not in notes]
    fill_value = None
    if reading.fill_nonfinite is not None:
        if reading.fill_nonfinite != "median":
            raise InputError(f"--fill-nonfinite takes median, not {reading.fill_nonfinite!r}.")
        fill_value = _sampled_median(volume.source, where)
        if fill_value is not None:
            notes.append(f"NaN and infinite voxels are replaced by the median, {fill_value:g}")
    source = volume.source
    if reading.flip_z:
        source = FlippedVoxels(source)
        notes.append("planes are read from the last to the first (--flip-z)")
    for text in (*volume.warnings, *chosen.warnings):
        warn(f"{where}: {text}.")
    return Tomogram(
        name=tomogram_name(path) if name is None else name,
        data=source,
        voxel_size=chosen.value,
        contrast=contrast,
        path=where,
        fill_value=fill_value,
        notes=tuple(notes),
        reading=reading.text(),
    )


def check_size(reference: TomogramRef, tomogram: Tomogram) -> None:
    """Refuse a tomogram that is larger or smaller than expected by more than binning crops."""
    if reference.expected_size is None:
        return
    found = [count * tomogram.voxel_size for count in reversed(tomogram.shape)]
    slack = _MOST_VOXELS_CROPPED * tomogram.voxel_size
    for there, listed in zip(found, reference.expected_size, strict=True):
        if abs(there - listed) > slack + _MOST_PART_CROPPED * listed:
            sides = [
                " × ".join(f"{side:g}" for side in size)
                for size in (found, reference.expected_size)
            ]
            raise InputError(
                f"{reference.path}: is {sides[0]} Å large (x, y, z), the pick list says "
                f"{sides[1]} Å; give the volume of {reference.name} with --tomograms, "
                "or correct its voxel size."
            )


def open_volume(path: str | os.PathLike[str], reading: Reading = Reading()) -> FileVolume:
    """Open the volume in a file without judging its voxel size.

    Of ``reading``, axis order, bytes, level, missing chunks and half maps count. Raises as
    `open_tomogram`.
    """
    if reading.half is not None:
        return _open_half(path, reading)
    kind = file_kind(path)
    axis_order = reading.axis_order
    if kind == "zarr":
        from slabkit.formats.volumes.ome_zarr import open_ome_zarr

        volume = open_ome_zarr(
            path,
            level=reading.level,
            allow_missing_chunks=reading.allow_missing_chunks,
            axis_order=axis_order,
        )
    elif kind == "tiff":
        from slabkit.formats.volumes.tiff import open_tiff

        volume = open_tiff(path, axis_order=axis_order)
    elif kind == "em":
        volume = open_em(path, uint8=reading.uint8, axis_order=axis_order)
    else:
        compression: Compression | None = None if kind == "mrc" else kind
        volume = open_mrc(path, compression=compression, uint8=reading.uint8, axis_order=axis_order)
    depth, height, width = (int(size) for size in volume.source.shape)
    if axis_order is None and (depth > max(height, width) or height < min(depth, width)):
        text = (
            f"its size is {width} × {height} × {depth} (x, y, z), and tomograms are thinnest along "
            "z: if y and z are swapped, as in an IMOD volume that was not rotated, give "
            "--axis-order yzx"
        )
        return replace(volume, warnings=(*volume.warnings, text))
    return volume


def _open_half(path: str | os.PathLike[str], reading: Reading) -> FileVolume:
    """Open one of two half maps, or their sum."""
    plain = replace(reading, half=None)
    pair = half_maps(path)
    if reading.half in ("1", "2"):
        chosen = pair[int(reading.half) - 1]
        volume = open_volume(chosen, plain)
        return replace(volume, notes=(*volume.notes, f"the half map {chosen.name} is read"))
    if reading.half != "sum":
        raise InputError(f"--half must be 1, 2 or sum, not {reading.half!r}.")
    first, second = (open_volume(one, plain) for one in pair)
    if first.source.shape != second.source.shape or first.voxel_sizes != second.voxel_sizes:
        raise InputError(f"{pair[0]} and {pair[1].name}: have other sizes; they are no pair.")
    return replace(
        first,
        source=SummedVoxels(first.source, second.source),
        warnings=tuple(dict.fromkeys((*first.warnings, *second.warnings))),
        notes=(*first.notes, f"the sum of {pair[0].name} and {pair[1].name} is read"),
    )


def file_kind(path: str | os.PathLike[str]) -> FileKind:
    """Tell a volume's format by its first bytes, not by its suffix; ``mrc`` if by nothing else.

    Refused is what cannot be read, is empty or a folder, or is of a format that is known and not
    read.
    """
    where, path = str(path), Path(path)
    if is_reference(path):
        return "zarr"
    if os.path.isdir(path):
        if is_zarr(path):
            return "zarr"
        raise InputError(f"{where}: is a folder, where a file (or a Zarr folder) is needed.")
    if os.path.islink(path) and not os.path.exists(path):
        raise InputError(f"{where}: is a link to {os.readlink(path)}, which does not exist.")
    try:
        if not os.path.isfile(path) and os.path.exists(path):
            raise InputError(f"{where}: is not a regular file.")
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror}).") from error
    if not head:
        raise InputError(f"{where}: is empty.")
    magic = head[:4]
    if magic in _TIFF_MAGIC:
        return "tiff"
    if magic.startswith(b"\x1f\x8b\x08"):
        return "gzip"
    if magic.startswith(b"BZh"):
        return "bzip2"
    if magic.startswith(b"PK") and is_zipped_zarr(path):
        return "zarr"
    if magic in _FOREIGN:
        raise InputError(f"{where}: is {_FOREIGN[magic]}, not a volume that slabkit reads.")
    named = path.suffix.lower() == ".em" and head[208:212] != b"MAP "
    return "em" if named or is_em(head, size) else "mrc"


def sampled_planes(source: VoxelSource) -> list[npt.NDArray[Any]]:
    """Read up to 16 planes, evenly spread and about a million voxels, always the same ones."""
    depth, height, width = (int(size) for size in source.shape)
    planes = np.unique(np.linspace(0, depth - 1, _SAMPLED_PLANES).round().astype(int)).tolist()
    step = 1
    while len(planes) * (height // step) * (width // step) > _SAMPLED_VOXELS:
        step += 1
    return [source[z : z + 1, 0:height, 0:width][0, ::step, ::step] for z in planes]


def _sampled_median(source: VoxelSource, where: str) -> float | None:
    if np.dtype(source.dtype).kind != "f":
        return None
    values = np.concatenate([plane.ravel() for plane in sampled_planes(source)]).astype(float)
    values = values[np.isfinite(values)]
    if not values.size:
        raise InputError(f"{where}: has no finite voxel in a sample of it, so there is no median.")
    return float(np.median(values))
