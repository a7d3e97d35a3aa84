"""TIFF volumes: ImageJ and OME voxel sizes, BigTIFF, contiguous or page by page."""

from __future__ import annotations

import logging
import math
import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import FormatError, InputError, MissingDependencyError
from slabkit.formats.volumes.decoded_cache import ChunkedVoxels
from slabkit.formats.volumes.voxel_size import angstrom_per_unit
from slabkit.formats.volumes.voxels import (
    FileVolume,
    FileVoxels,
    Slices,
    check_axis_order,
    in_axis_order,
)
from slabkit.tomogram import VoxelSource

if TYPE_CHECKING:
    import tifffile

Sizes = tuple[float, float, float]


def open_tiff(
    path: str | os.PathLike[str], *, axis_order: str | None = None, single_image: bool = False
) -> FileVolume:
    """Open the volume in a TIFF file; no voxel is read.

    Contiguous voxels are read as asked for, others decoded page by page, each page once.
    ``axis_order`` names the file's axes, slowest first (default zyx); with ``single_image`` one
    image is a volume of one plane, which is refused otherwise, as colours, channels and time points
    are.
    """
    import tifffile

    logging.getLogger("tifffile").addHandler(logging.NullHandler())  # an error says enough
    where = str(path)
    axes = "zyx" if axis_order is None else check_axis_order(axis_order)
    try:
        with tifffile.TiffFile(where) as tif:
            return _describe(tif, where, axes, single_image)
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror or error}).") from error
    except InputError:
        raise
    except Exception as error:  # tifffile raises many kinds on damaged files
        raise FormatError(f"{where}: is no TIFF file that can be read ({error}).") from error


def _describe(tif: tifffile.TiffFile, where: str, axes: str, single_image: bool) -> FileVolume:
    warnings: list[str] = []
    notes: list[str] = []
    if not tif.series:
        raise FormatError(f"{where}: is a TIFF file without an image.")
    series = tif.series[0]
    if len(tif.series) > 1:
        warnings.append(f"holds {len(tif.series)} series of images; the first is read")
    names = [axis for axis, size in zip(series.axes, series.shape, strict=True) if size > 1]
    shape = tuple(int(size) for size in series.shape if size > 1)
    _check_whole(tif, where, shape)
    if "S" in names:
        raise InputError(f"{where}: is a colour image, where a volume of densities is needed.")
    if len(shape) == 2 and single_image:
        shape, names = (1, *shape), ["Z", *names]
    if len(shape) < 3:
        raise InputError(f"{where}: is a single image {shape}, where a volume is needed.")
    if len(shape) > 3:
        raise InputError(
            f"{where}: has the axes {''.join(names)} of size {shape}, where a volume (z, y, x) is "
            "needed; split it into files."
        )
    if names[0] in "CT":
        what = {"C": "channels", "T": "time points"}[names[0]]
        warnings.append(f"calls its {shape[0]} images {what}; they are read as the planes of z")
    if axes != "zyx":
        notes.append(f"the file's axes are taken as {axes}, slowest first, as was asked")
    sizes, reason = _voxel_sizes(tif, where)
    kind = "OME-TIFF" if tif.is_ome else "ImageJ TIFF" if tif.is_imagej else "TIFF"
    source = _source(tif, series, where, (shape[0], shape[1], shape[2]))
    contiguous = "" if isinstance(source, FileVoxels) else ", decoded page by page"
    return FileVolume(
        source=in_axis_order(source, axes),
        voxel_sizes=sizes,
        stored_as=f"{kind} ({np.dtype(series.dtype).newbyteorder('=')}{contiguous})",
        unset_reason=reason,
        warnings=tuple(warnings),
        notes=tuple(notes),
    )


def _check_whole(tif: tifffile.TiffFile, where: str, shape: tuple[int, ...]) -> None:
    # A file cut off ends its chain of pages early, and would pass for a smaller one.
    announced = (tif.imagej_metadata or {}).get("images", 1) if tif.is_imagej else 1
    found = math.prod(shape[:-2])
    if found < int(announced):
        raise FormatError(
            f"{where}: is truncated: its ImageJ metadata announce {announced} images, {found} are "
            "there."
        )


def _source(
    tif: tifffile.TiffFile, series: Any, where: str, shape: tuple[int, int, int]
) -> VoxelSource:
    dtype = np.dtype(series.dtype)
    if series.dataoffset is not None:
        stored = dtype.newbyteorder(tif.byteorder)
        expected = int(series.dataoffset) + math.prod(shape) * dtype.itemsize
        actual = os.stat(where).st_size
        if actual < expected:
            raise FormatError(
                f"{where}: is truncated: its voxels end at byte {expected}, the file has {actual}."
            )
        return FileVoxels(where, shape, stored, int(series.dataoffset))
    if len(series.pages) != shape[0]:
        raise InputError(
            f"{where}: stores {shape[0]} planes in {len(series.pages)} pages in a compressed form "
            "that is not read; save it uncompressed, or one page a plane."
        )
    dtype = dtype.newbyteorder("=")
    return ChunkedVoxels(where, shape, (1, shape[1], shape[2]), dtype, _Pages(where, dtype))


class _Pages:
    # Decodes pages of a file that is open only while it does.
    def __init__(self, path: str, dtype: np.dtype[Any]) -> None:
        self.path = path
        self.dtype = dtype
        self._tif: tifffile.TiffFile | None = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "dtype": self.dtype}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __call__(self, key: Slices, into: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
        import tifffile

        with self._lock:
            try:
                if self._tif is None:
                    self._tif = tifffile.TiffFile(self.path)
                else:
                    self._tif.filehandle.open()
                page = self._tif.series[0].pages[key[0].start]
                if page is None:
                    raise ValueError("the page is missing")
                image = np.squeeze(page.asarray(maxworkers=1))
            except Exception as error:  # codecs raise what they like
                if "imagecodecs" in str(error):
                    raise MissingDependencyError(
                        f"{self.path}: is compressed in a form that needs the imagecodecs package: "
                        "pip install 'slabkit-cryoet[tiff]'."
                    ) from error
                raise FormatError(
                    f"{self.path}: page {key[0].start + 1} cannot be decoded ({error})."
                ) from error
            finally:
                if self._tif is not None:
                    self._tif.filehandle.close()
        plane: npt.NDArray[Any] = image.astype(self.dtype, copy=False)[np.newaxis]
        return plane


def _voxel_sizes(tif: tifffile.TiffFile, where: str) -> tuple[Sizes | None, str]:
    if tif.is_ome and tif.ome_metadata:
        return _ome_sizes(tif.ome_metadata, where)
    if tif.is_imagej and tif.imagej_metadata is not None:
        return _imagej_sizes(tif.pages[0], tif.imagej_metadata)
    return None, "a plain TIFF has at most dots per inch, which are no voxel size"


def _ome_sizes(xml: str, where: str) -> tuple[Sizes | None, str]:
    from xml.etree import ElementTree

    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise FormatError(f"{where}: its OME metadata are broken ({error}).") from error
    pixels = next((node for node in root.iter() if node.tag.endswith("}Pixels")), None)
    if pixels is None:
        return None, "its OME metadata have no Pixels"
    sizes = []
    for axis in "ZYX":
        text = pixels.get(f"PhysicalSize{axis}")
        unit = pixels.get(f"PhysicalSize{axis}Unit", "µm")  # the schema's default
        factor = angstrom_per_unit(unit)
        if text is None:
            return None, f"its OME metadata have no PhysicalSize{axis}"
        if factor is None:
            return None, f"its OME metadata give PhysicalSize{axis} in {unit!r}"
        try:
            sizes.append(float(text) * factor)
        except ValueError:
            return None, f"its OME metadata give PhysicalSize{axis} as {text!r}"
    return (sizes[0], sizes[1], sizes[2]), ""


def _imagej_sizes(page: Any, metadata: dict[str, Any]) -> tuple[Sizes | None, str]:
    unit = metadata.get("unit")
    factor = angstrom_per_unit(str(unit)) if unit is not None else None
    if factor is None:
        return None, f"its ImageJ metadata have the unit {unit!r}"
    spacing = metadata.get("spacing")
    if spacing is None:
        return None, "its ImageJ metadata have no spacing of the planes"
    try:
        sizes = [float(spacing) * factor]
    except ValueError:
        return None, f"its ImageJ metadata have the spacing {spacing!r}"
    for name in ("YResolution", "XResolution"):
        tag = page.tags.get(name)
        pixels, units = tag.value if tag is not None else (0, 1)
        if not pixels or not units:
            return None, f"its ImageJ metadata have no {name}"
        sizes.append(units / pixels * factor)
    return (sizes[0], sizes[1], sizes[2]), ""
