"""OME-Zarr volumes, versions 0.4 (Zarr 2) and 0.5 (Zarr 3): https://ngff.openmicroscopy.org."""

from __future__ import annotations

import importlib
import math
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from slabkit.errors import FormatError, InputError, MissingDependencyError, SlabkitError
from slabkit.formats.programs.shared.json_values import shown
from slabkit.formats.tomograms.names import is_reference
from slabkit.formats.volumes.decoded_cache import ChunkedVoxels
from slabkit.formats.volumes.voxel_size import angstrom_per_unit
from slabkit.formats.volumes.voxels import FileVolume, Slices, check_axis_order, in_axis_order
from slabkit.formats.volumes.zarr_chunks import PlainChunks, plain_chunks
from slabkit.formats.volumes.zarr_folders import ZippedFolder, files_below, read_json

if TYPE_CHECKING:
    from slabkit.formats.volumes.zarr_folders import Folder

_MOST_CHUNKS = 10_000_000
_TINY_CHUNK = 64  # voxels; so small ones are decoded many at a time
_KINDS = {dict: "an object", list: "a list", str: "text", float: "a number"}


def open_ome_zarr(
    path: str | os.PathLike[str],
    *,
    level: int | str = 0,
    allow_missing_chunks: bool = False,
    axis_order: str | None = None,
) -> FileVolume:
    """Open one level of an OME-Zarr folder; no voxel is read.

    ``path`` is the folder with the ``multiscales`` metadata, or a reference to one in a copick
    project; ``level`` the number (0: the first, the full size) or path of one of its data sets.
    """
    where = str(path)
    if is_reference(path):
        from slabkit.formats.tomograms.copick_remote import remote_folder

        folder: Folder = remote_folder(path)
    elif Path(path).is_file():
        folder = ZippedFolder.root(path)
    else:
        folder = Path(path)
    warnings: list[str] = []
    notes: list[str] = []
    image = _image(folder, where, warnings)
    dataset = _dataset(image, level, where)
    array = _ZarrArray(folder / dataset.path, where)
    layout = array.layout(dataset.path)
    if len(layout.shape) != len(image.axes):
        raise FormatError(
            f"{where}: its metadata name {len(image.axes)} axes, level {dataset.path} has "
            f"{len(layout.shape)}."
        )
    _check_chunks(array.folder, layout, where, allow_missing_chunks, warnings)
    array.spatial = _spatial_axes(image.axes, layout.shape, where)
    order = "".join(image.axes[i].name for i in array.spatial)
    if axis_order is not None:
        order = check_axis_order(axis_order)
        notes.append(f"the store's axes are taken as {order}, slowest first, as was asked")
    elif order != "zyx":
        warnings.append(
            f"its axes are stored in the order {order}, slowest first; it is read transposed to zyx"
        )
    if len(image.datasets) > 1:
        notes.append(f"level {dataset.path} of {len(image.datasets)} is read")
    sizes, reason = _voxel_sizes(image, dataset, order, array.spatial, where, warnings)
    z, y, x = block = _three(layout.chunks, array.spatial)
    if z * y * x < _TINY_CHUNK:
        block = (-(-16 // z) * z, -(-16 // y) * y, -(-16 // x) * x)
    return FileVolume(
        source=in_axis_order(
            ChunkedVoxels(where, _three(layout.shape, array.spatial), block, layout.dtype, array),
            order,
        ),
        voxel_sizes=sizes,
        stored_as=f"OME-Zarr {image.version} ({layout.dtype.newbyteorder('=')}, chunks of "
        f"{x} × {y} × {z})",
        unset_reason=reason,
        warnings=tuple(warnings),
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Axis:
    name: str
    unit: str | None


@dataclass(frozen=True)
class _Transformation:
    kind: str
    values: list[float]


@dataclass(frozen=True)
class _Dataset:
    path: str
    transformations: list[_Transformation]


@dataclass(frozen=True)
class _Image:
    version: str
    axes: list[_Axis]
    datasets: list[_Dataset]
    transformations: list[_Transformation]


@dataclass(frozen=True)
class _Layout:
    shape: tuple[int, ...]
    chunks: tuple[int, ...]  # the unit of storage: a shard, where chunks are in shards
    dtype: np.dtype[Any]
    chunk_name: Callable[[tuple[int, ...]], str]


class _ZarrArray:
    """One array of a store; called, it decodes a block of it."""

    def __init__(self, folder: Folder, where: str, spatial: tuple[int, ...] = ()) -> None:
        self.folder = folder
        self.where = where
        self.spatial = spatial
        self._array: Any = None
        self._plain: PlainChunks | Literal[False] | None = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if not k.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __call__(self, key: Slices, into: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
        try:
            if (decoded := self._chunk(key, into)) is not None:
                return decoded
            array = self._opened()
            selection: list[int | slice] = [0] * len(array.shape)
            for axis, part in zip(self.spatial, key, strict=True):
                selection[axis] = part
            if into is not None and self.spatial == (0, 1, 2) == tuple(range(len(array.shape))):
                shape = [part.stop - part.start for part in key]
                block = into[: math.prod(shape)].reshape(shape)
                array.get_basic_selection(tuple(selection), out=_buffer(block))
                return block
            return np.asarray(array[tuple(selection)])
        except Exception as error:  # stores and codecs raise what they like
            begin = ", ".join(str(part.start) for part in key)
            raise FormatError(
                f"{self.where}: the chunk at ({begin}) of {self.folder.name} cannot be read "
                f"({error})."
            ) from error

    def _chunk(self, key: Slices, into: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
        """Decode what is just one chunk, if that takes no more than one usual codec."""
        with self._lock:
            if self._plain is None:
                self._plain = plain_chunks(self.folder) or False
            plain = self._plain
        if not plain or self.spatial != (0, 1, 2) or len(plain.shape) != 3:
            return None
        sides = list(zip(key, plain.shape, plain.chunks, strict=True))
        if any(k.start % c or k.stop != min(k.start + c, size) for k, size, c in sides):
            return None
        chunk = plain.decode(tuple(k.start // c for k, _, c in sides), into)
        return chunk if chunk is None else chunk[tuple(slice(k.stop - k.start) for k in key)]

    def layout(self, level: str) -> _Layout:
        """Give what the array's metadata say; a store that zarr does not read is refused."""
        plain = self._plain = plain_chunks(self.folder) or False
        if plain and plain.version == 2 and find_spec("zarr"):  # importing it takes 0.3 s
            return _Layout(plain.shape, plain.chunks, plain.dtype, plain.name)
        version = _zarr_version(self.where)
        new = not (self.folder / ".zarray").exists()
        if new and not (self.folder / "zarr.json").exists():
            raise FormatError(
                f"{self.where}: its metadata name the level {level}, but there is no array in that "
                "folder; was the store copied completely?"
            )
        if new and version[0] < "3":
            raise MissingDependencyError(
                f"{self.where}: is in Zarr format 3 (OME-Zarr 0.5), which zarr {version} "
                "does not read; pip install -U 'slabkit-cryoet[zarr]' 'zarr>=3'."
            )
        try:
            array = self._opened()
            chunks = tuple(getattr(array, "shards", None) or array.chunks)
            sides = (*array.shape, *chunks)
            if not sides or not all(0 < side < 2**62 for side in sides):
                raise ValueError(f"shape {array.shape}, chunks {chunks}")
            return _Layout(tuple(array.shape), chunks, np.dtype(array.dtype), _chunk_name(array))
        except SlabkitError:
            raise
        except Exception as error:  # zarr raises what it likes
            raise FormatError(
                f"{self.where}: the metadata of level {level} are not understood ({error})."
            ) from error

    def _opened(self) -> Any:
        with self._lock:
            if self._array is None:
                import zarr

                if isinstance(self.folder, Path):
                    for name in (".zarray", "zarr.json"):  # which zarr opens, and would wait for
                        if (self.folder / name).exists() and not (self.folder / name).is_file():
                            raise FormatError(f"{self.folder / name}: is not a regular file.")
                    self._array = zarr.open_array(str(self.folder), mode="r")
                else:
                    self._array = self.folder.open_array()
            return self._array


def _buffer(array: npt.NDArray[Any]) -> Any:
    """Give what zarr of this version reads into."""
    for module in ("zarr.buffer.cpu", "zarr.core.buffer.cpu"):  # from 3.1 on, and 3.0
        try:
            return importlib.import_module(module).NDBuffer.from_numpy_array(array)
        except ImportError:
            continue
    return array  # zarr 2


def _zarr_version(where: str) -> str:
    try:
        import zarr
    except ImportError as error:
        raise MissingDependencyError(
            f"{where}: reading OME-Zarr needs the zarr package: pip install 'slabkit-cryoet[zarr]'."
        ) from error
    return str(zarr.__version__)


def _chunk_name(array: Any) -> Callable[[tuple[int, ...]], str]:
    if hasattr(array, "_dimension_separator"):  # zarr 2
        separator = str(array._dimension_separator or ".")
        return lambda index: separator.join(map(str, index))
    encode: Callable[[tuple[int, ...]], str] = array.metadata.encode_chunk_key
    return encode


def _image(folder: Folder, where: str, warnings: list[str]) -> _Image:
    """Read the metadata of the first image, every key checked for its type."""
    version, file = "0.4", ".zattrs"
    ome: dict[str, Any] = {}
    if (folder / "zarr.json").exists():
        file = "zarr.json"
        attributes = _value(read_json(folder / file, where), "attributes", dict, f"{where}: {file}")
        ome = _value(attributes or {}, "ome", dict, f"{where}: {file}") or attributes or {}
        version = str(ome.get("version", "0.5"))
    elif (folder / file).exists():
        ome = read_json(folder / file, where)
    said = f"{where}: {file}"
    images = _objects(ome, "multiscales", said)
    layouts = {"bioformats2raw.layout": "0", "plate": "A/1/0", "well": "0"}
    inner = next((folder for key, folder in layouts.items() if key in ome), None)
    if not images and inner is not None:
        raise FormatError(
            f"{where}: holds several images in folders, none itself; give one of them, such as "
            f"{where}/{inner}."
        )
    if not images:
        parents = folder.absolute().parents if isinstance(folder, Path) else ()
        above = [parent for parent in parents if parent.suffix == ".zarr"]
        hint = f"; it may be one level of {above[0]}: give that folder" if above else ""
        raise FormatError(f"{where}: is no OME-Zarr volume: it has no multiscales metadata{hint}.")
    if len(images) > 1:
        warnings.append(f"holds {len(images)} images; the first is read")
    datasets = [
        _Dataset(_text(one, "path", said), _transformations(one, said))
        for one in _objects(images[0], "datasets", said)
    ]
    if not all(one.path for one in datasets) or not datasets:
        raise FormatError(f"{where}: its multiscales metadata list no data sets.")
    listed = _value(images[0], "axes", list, said)
    if not listed:
        raise FormatError(
            f"{where}: its metadata name no axes (OME-Zarr before 0.3); convert it to 0.4."
        )
    named = [{"name": axis} if isinstance(axis, str) else axis for axis in listed]
    axes = [
        _Axis(_text(axis, "name", said).lower(), _text(axis, "unit", said) or None)
        for axis in _objects({"axes": named}, "axes", said)
    ]
    names = [axis.name for axis in axes]
    if any(names.count(name) != 1 for name in "xyz"):
        raise InputError(
            f"{where}: its axes are {', '.join(names)}; a volume needs each of z, y and x once."
        )
    return _Image(
        str(images[0].get("version", version)), axes, datasets, _transformations(images[0], said)
    )


def _value(owner: dict[str, Any], key: str, kind: type, where: str) -> Any:
    """Give a value of JSON that must be of a kind, or None where there is none."""
    if key not in owner:
        return None
    value = owner[key]
    fitting = (int, float) if kind is float else kind
    if isinstance(value, fitting) and not isinstance(value, bool):
        return value
    raise FormatError(f"{where}: {key} is {shown(value, 40)}, where {_KINDS[kind]} belongs.")


def _objects(owner: dict[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    listed = _value(owner, key, list, where) or []
    return [_value({key: one}, key, dict, where) for one in listed]


def _text(owner: dict[str, Any], key: str, where: str) -> str:
    """Give text, also where a number or null is written; empty where there is nothing."""
    value = owner.get(key)
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return str(_value(owner, key, str, where))


def _transformations(owner: dict[str, Any], where: str) -> list[_Transformation]:
    found = []
    for one in _objects(owner, "coordinateTransformations", where):
        kind = _text(one, "type", where)
        values = _value(one, kind, list, where) if kind in ("scale", "translation") else None
        numbers = [_value({kind: one}, kind, float, where) for one in values or ()]
        numbers = [float(str(number)) for number in numbers]  # of what is too large: infinite
        found.append(_Transformation(kind, numbers))
    return found


def _dataset(image: _Image, level: int | str, where: str) -> _Dataset:
    for dataset in image.datasets:
        if isinstance(level, str) and dataset.path == level:
            return dataset
    try:
        number = int(level)
    except ValueError:
        number = -1
    if not 0 <= number < len(image.datasets):
        paths = ", ".join(dataset.path for dataset in image.datasets)
        raise InputError(
            f"{where}: has no level {level!r}; its levels are {paths} (numbers 0 to "
            f"{len(image.datasets) - 1})."
        )
    return image.datasets[number]


def _check_chunks(
    folder: Folder, layout: _Layout, where: str, allow_missing: bool, warnings: list[str]
) -> None:
    # Missing chunks read as the fill value, so that a store copied by half looks valid.
    counts = [-(-size // chunk) for size, chunk in zip(layout.shape, layout.chunks, strict=True)]
    total = math.prod(counts)
    if total > _MOST_CHUNKS:
        raise FormatError(
            f"{where}: level {folder.name} is cut into {total} chunks of "
            f"{' × '.join(map(str, layout.chunks))} voxels, too many to be read one by one; store "
            "it in larger ones."
        )
    present = 0
    for name in files_below(folder, where) if isinstance(folder, Path) else folder.sizes():
        index = tuple(int(part[:9]) for part in re.findall(r"[0-9]+", name))
        inside = len(index) == len(counts) and all(map(int.__lt__, index, counts))
        present += inside and layout.chunk_name(index) == name
    missing = total - present
    if not missing:
        return
    if not allow_missing:
        raise InputError(
            f"{where}: {missing} of {total} chunks of level {folder.name} are missing, so the "
            "store was copied by half or its empty chunks were not written; give "
            "--allow-missing-chunks to read them as empty."
        )
    warnings.append(
        f"{missing} of {total} chunks of level {folder.name} are missing and read as empty"
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
    image: _Image,
    dataset: _Dataset,
    order: str,
    spatial: tuple[int, ...],
    where: str,
    warnings: list[str],
) -> tuple[tuple[float, float, float] | None, str]:
    # Both lists of transformations apply, the data set's first.
    axes = image.axes
    scale = np.ones(len(axes))
    scaled = False
    for one in [*dataset.transformations, *image.transformations]:
        if one.kind in ("scale", "translation") and len(one.values) != len(axes):
            values = ", ".join(f"{value:g}" for value in one.values)
            raise FormatError(
                f"{where}: its {one.kind} [{values}] does not fit its {len(axes)} axes."
            )
        if one.kind == "scale":
            scale *= one.values
            scaled = True
        elif one.kind == "translation" and any(one.values[i] for i in spatial):
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
