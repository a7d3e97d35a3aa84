"""OME-Zarr volumes, versions 0.4 (Zarr 2) and 0.5 (Zarr 3): https://ngff.openmicroscopy.org."""

from __future__ import annotations

import itertools
import json
import math
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import FormatError, InputError, MissingDependencyError
from slabkit.formats.tomograms.copick_remote import RemoteFolder, remote_folder
from slabkit.formats.tomograms.names import is_reference
from slabkit.formats.volumes.decoded_cache import ChunkedVoxels
from slabkit.formats.volumes.voxel_size import angstrom_per_unit
from slabkit.formats.volumes.voxels import (
    FileVolume,
    Slices,
    check_axis_order,
    in_axis_order,
)

Folder = Path | RemoteFolder
_METADATA_FILES = (".zattrs", ".zgroup", ".zarray", "zarr.json")


def is_zarr(path: str | os.PathLike[str]) -> bool:
    """Tell whether a folder is a Zarr store (or was meant to be one).

    Parameters
    ----------
    path : path-like

    Returns
    -------
    bool
    """
    folder = Path(path)
    return folder.is_dir() and (
        folder.suffix.lower() == ".zarr"
        or any((folder / name).exists() for name in _METADATA_FILES)
    )


def open_ome_zarr(
    path: str | os.PathLike[str],
    *,
    level: int | str = 0,
    allow_missing_chunks: bool = False,
    axis_order: str | None = None,
) -> FileVolume:
    """Open one level of an OME-Zarr folder; no voxel is read.

    Parameters
    ----------
    path : path-like
        The folder with the ``multiscales`` metadata, or a reference to one in a copick project.
    level : int or str, optional
        Number (0: the first, the full size) or path of one of its data sets.
    allow_missing_chunks : bool, optional
        Read missing chunks as the store's fill value instead of stopping.
    axis_order : str, optional
        What the spatial axes are, slowest first, whatever the metadata say.

    Returns
    -------
    FileVolume
        Each chunk is decoded once, see `slabkit.formats.volumes.voxels.ChunkedVoxels`.

    Raises
    ------
    FormatError
        No or broken metadata.
    InputError
        Channels or time points; chunks are missing; there is no such level.
    MissingDependencyError
        The zarr package is missing, or too old for this store.
    """
    folder: Folder = remote_folder(path) if is_reference(path) else Path(path)
    where = str(path)
    warnings: list[str] = []
    notes: list[str] = []
    version, image = _multiscale(folder, where, warnings)
    axes = _axes(image, where)
    dataset = _dataset(image, level, where)
    array_folder = folder / str(dataset["path"])
    layout = _array_layout(array_folder, where, str(dataset["path"]))
    if len(layout.shape) != len(axes):
        raise FormatError(
            f"{where}: its metadata name {len(axes)} axes, level {dataset['path']} has "
            f"{len(layout.shape)}."
        )
    _check_chunks(array_folder, layout, where, allow_missing_chunks, warnings)
    _require_zarr(layout.zarr_format, where)
    spatial = _spatial_axes(axes, layout.shape, where)
    order = "".join(axes[i].name for i in spatial)
    if axis_order is not None:
        order = check_axis_order(axis_order)
        notes.append(f"the store's axes are taken as {order}, slowest first, as was asked")
    elif order != "zyx":
        warnings.append(
            f"its axes are stored in the order {order}, slowest first; it is read transposed to zyx"
        )
    if len(image["datasets"]) > 1:
        notes.append(f"level {dataset['path']} of {len(image['datasets'])} is read")
    sizes, reason = _voxel_sizes(image, dataset, axes, order, spatial, where, warnings)
    source = ChunkedVoxels(
        where,
        _three(layout.shape, spatial),
        _three(layout.chunks, spatial),
        layout.dtype,
        _ZarrArray(array_folder, where, len(axes), spatial),
    )
    return FileVolume(
        source=in_axis_order(source, order),
        voxel_sizes=sizes,
        stored_as=f"OME-Zarr {version} ({layout.dtype.newbyteorder('=')}, chunks of "
        f"{' × '.join(str(n) for n in reversed(_three(layout.chunks, spatial)))})",
        unset_reason=reason,
        warnings=tuple(warnings),
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Axis:
    name: str
    unit: str | None


@dataclass(frozen=True)
class _Layout:
    shape: tuple[int, ...]
    chunks: tuple[int, ...]  # the unit of storage: a shard, where chunks are in shards
    dtype: np.dtype[Any]
    zarr_format: int
    prefix: str
    separator: str


class _ZarrArray:
    # Decodes blocks of one array; the zarr package is asked for when the first one is wanted.
    def __init__(self, folder: Folder, where: str, ndim: int, spatial: tuple[int, ...]) -> None:
        self.folder = folder
        self.where = where
        self.ndim = ndim
        self.spatial = spatial
        self._array: Any = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if not k.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __call__(self, key: Slices) -> npt.NDArray[Any]:
        import zarr

        selection: list[int | slice] = [0] * self.ndim
        for axis, part in zip(self.spatial, key, strict=True):
            selection[axis] = part
        try:
            with self._lock:
                if self._array is None:
                    if isinstance(self.folder, Path):
                        self._array = zarr.open_array(str(self.folder), mode="r")
                    else:
                        self._array = self.folder.open_array()
            return np.asarray(self._array[tuple(selection)])
        except Exception as error:  # stores and codecs raise what they like
            begin = ", ".join(str(part.start) for part in key)
            raise FormatError(
                f"{self.where}: the chunk at ({begin}) of {self.folder.name} cannot be read "
                f"({error})."
            ) from error


def _multiscale(folder: Folder, where: str, warnings: list[str]) -> tuple[str, dict[str, Any]]:
    version = "0.4"
    if (folder / "zarr.json").exists():
        attributes = _json(folder / "zarr.json", where).get("attributes", {})
        ome = attributes.get("ome", attributes)
        version = str(ome.get("version", "0.5"))
    elif (folder / ".zattrs").exists():
        ome = _json(folder / ".zattrs", where)
    else:
        ome = {}
    images = ome.get("multiscales")
    if not isinstance(images, list) or not images or not isinstance(images[0], dict):
        parents = folder.absolute().parents if isinstance(folder, Path) else ()
        above = [parent for parent in parents if parent.suffix == ".zarr"]
        hint = f"; it may be one level of {above[0]}: give that folder" if above else ""
        raise FormatError(f"{where}: is no OME-Zarr volume: it has no multiscales metadata{hint}.")
    if len(images) > 1:
        warnings.append(f"holds {len(images)} images; the first is read")
    image = images[0]
    if not image.get("datasets") or not all("path" in d for d in image["datasets"]):
        raise FormatError(f"{where}: its multiscales metadata list no data sets.")
    return str(image.get("version", version)), image


def _axes(image: dict[str, Any], where: str) -> list[_Axis]:
    listed = image.get("axes")
    if not listed:
        raise FormatError(
            f"{where}: its metadata name no axes (OME-Zarr before 0.3); convert it to 0.4."
        )
    axes = [
        _Axis(str(axis.get("name", "")).lower(), axis.get("unit"))
        if isinstance(axis, dict)
        else _Axis(str(axis).lower(), None)
        for axis in listed
    ]
    names = [axis.name for axis in axes]
    if any(names.count(name) != 1 for name in "xyz"):
        raise InputError(
            f"{where}: its axes are {', '.join(names)}; a volume needs each of z, y and x once."
        )
    return axes


def _dataset(image: dict[str, Any], level: int | str, where: str) -> dict[str, Any]:
    datasets: list[dict[str, Any]] = image["datasets"]
    for dataset in datasets:
        if isinstance(level, str) and dataset["path"] == level:
            return dataset
    try:
        number = int(level)
    except ValueError:
        number = -1
    if not 0 <= number < len(datasets):
        paths = ", ".join(str(dataset["path"]) for dataset in datasets)
        raise InputError(
            f"{where}: has no level {level!r}; its levels are {paths} (numbers 0 to "
            f"{len(datasets) - 1})."
        )
    return datasets[number]


def _array_layout(folder: Folder, where: str, level: str) -> _Layout:
    try:
        if (folder / ".zarray").exists():
            meta = _json(folder / ".zarray", where)
            return _Layout(
                tuple(meta["shape"]),
                tuple(meta["chunks"]),
                np.dtype(meta["dtype"]),
                2,
                "",
                meta.get("dimension_separator", "."),
            )
        if (folder / "zarr.json").exists():
            meta = _json(folder / "zarr.json", where)
            encoding = meta.get("chunk_key_encoding", {"name": "default"})
            default = encoding["name"] == "default"
            configuration = encoding.get("configuration", {})
            return _Layout(
                tuple(meta["shape"]),
                tuple(meta["chunk_grid"]["configuration"]["chunk_shape"]),
                np.dtype(meta["data_type"]),
                3,
                "c" if default else "",
                configuration.get("separator", "/" if default else "."),
            )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(
            f"{where}: the metadata of level {level} are not understood ({error})."
        ) from error
    raise FormatError(
        f"{where}: its metadata name the level {level}, but there is no array in that folder; was "
        "the store copied completely?"
    )


def _check_chunks(
    folder: Folder, layout: _Layout, where: str, allow_missing: bool, warnings: list[str]
) -> None:
    # Missing chunks read as the fill value, so that a store copied by half looks valid.
    present: set[str] = set()
    if isinstance(folder, Path):
        for base, _, files in os.walk(folder):
            inside = os.path.relpath(base, folder).replace(os.sep, "/")
            present.update(name if inside == "." else f"{inside}/{name}" for name in files)
    else:
        present.update(folder.sizes())
    counts = [-(-size // chunk) for size, chunk in zip(layout.shape, layout.chunks, strict=True)]
    missing = 0
    for index in itertools.product(*(range(count) for count in counts)):
        parts = [layout.prefix] * bool(layout.prefix) + [str(i) for i in index]
        missing += layout.separator.join(parts) not in present
    if not missing:
        return
    total = math.prod(counts)
    if not allow_missing:
        raise InputError(
            f"{where}: {missing} of {total} chunks of level {folder.name} are missing, so the "
            "store was copied by half or its empty chunks were not written; give "
            "--allow-missing-chunks to read them as empty."
        )
    warnings.append(
        f"{missing} of {total} chunks of level {folder.name} are missing and read as empty"
    )


def _require_zarr(zarr_format: int, where: str) -> None:
    try:
        import zarr
    except ImportError as error:
        raise MissingDependencyError(
            f"{where}: reading OME-Zarr needs the zarr package: pip install 'slabkit-cryoet[zarr]'."
        ) from error
    if zarr_format == 3 and int(zarr.__version__.split(".")[0]) < 3:
        raise MissingDependencyError(
            f"{where}: is in Zarr format 3 (OME-Zarr 0.5), which zarr {zarr.__version__} does not "
            "read; pip install -U 'slabkit-cryoet[zarr]' 'zarr>=3'."
        )


def _spatial_axes(axes: list[_Axis], shape: tuple[int, ...], where: str) -> tuple[int, ...]:
    for axis, size in zip(axes, shape, strict=True):
        if axis.name not in ("x", "y", "z") and size != 1:
            raise InputError(
                f"{where}: its axis {axis.name} has the size {size}, where a single volume is "
                "needed; split it."
            )
    return tuple(i for i, axis in enumerate(axes) if axis.name in ("x", "y", "z"))


def _voxel_sizes(
    image: dict[str, Any],
    dataset: dict[str, Any],
    axes: list[_Axis],
    order: str,
    spatial: tuple[int, ...],
    where: str,
    warnings: list[str],
) -> tuple[tuple[float, float, float] | None, str]:
    # Both lists of transformations apply, the data set's first.
    scale = np.ones(len(axes))
    scaled = False
    for transformation in [
        *dataset.get("coordinateTransformations", []),
        *image.get("coordinateTransformations", []),
    ]:
        kind = transformation.get("type")
        values = transformation.get(kind)
        if kind in ("scale", "translation") and len(values or ()) != len(axes):
            raise FormatError(f"{where}: its {kind} {values} does not fit its {len(axes)} axes.")
        if kind == "scale":
            scale *= np.asarray(values, dtype=float)
            scaled = True
        elif kind == "translation" and any(values[i] for i in spatial):
            warnings.append(
                "the translation in its metadata is ignored: positions count from the first voxel"
            )
    if not scaled:
        return None, "its metadata have no scale"
    sizes = {}
    for letter, i in zip(order, spatial, strict=True):
        factor = angstrom_per_unit(axes[i].unit)
        if factor is None:
            unit = axes[i].unit
            what = "no unit" if unit is None else f"the unit {unit!r}"
            return None, f"its axis {axes[i].name} has {what}, its scale is {scale[i]:g}"
        sizes[letter] = float(scale[i]) * factor
    return (sizes["z"], sizes["y"], sizes["x"]), ""


def _three(values: tuple[int, ...], spatial: tuple[int, ...]) -> tuple[int, int, int]:
    first, second, third = (int(values[i]) for i in spatial)
    return first, second, third


def _json(path: Folder, where: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{where}: {path.name} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise FormatError(f"{where}: {path.name} is not valid JSON ({error}).") from error
    if not isinstance(content, dict):
        raise FormatError(f"{where}: {path.name} is not a JSON object.")
    return content
