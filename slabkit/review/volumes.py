"""Parts of tomograms as pictures: sections through a pick, and whole sections."""

from __future__ import annotations

import functools
import math
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.review.listing import Listing
from slabkit.tomogram import Tomogram
from slabkit.units import protein_sign

_OPEN = 8  # tomograms kept open
_CUBE = 128  # most voxels of a cube's side
_WIDTH = 1024  # most pixels of a whole section

Bytes = npt.NDArray[np.uint8]


class Volumes:
    """The tomograms of a listing, opened when they are looked at."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._lock = threading.Lock()
        self._open = functools.lru_cache(_OPEN)(lambda name: listing.refs[name].open())

    def tomogram(self, name: str) -> Tomogram:
        """Open a tomogram. Raises `InputError`: it cannot be opened, or the list names no file."""
        if name not in self._listing.refs:
            raise InputError(f"{name}: the pick list with its tomograms was not given (--picks).")
        with self._lock:
            return self._open(name)

    def cube(self, name: str, place: tuple[float, float, float]) -> tuple[dict[str, Any], Bytes]:
        """Cut a cube about a place (x, y, z in Å), protein bright: what it is, and its bytes."""
        tomogram = self.tomogram(name)
        box = 1.5 * self._listing.box
        edge = tomogram.voxel_size
        bins = max(1, math.ceil(box / edge / _CUBE))
        side = max(8, 2 * round(box / edge / bins / 2))
        centre = [round(value / edge) for value in place[::-1]]
        start = [middle - side * bins // 2 for middle in centre]
        cube = _binned(tomogram, start, [side] * 3, bins)
        return {"side": side, "voxel": edge * bins, "place": list(place)}, _bytes(tomogram, cube)

    def slab(self, name: str, place: tuple[float, float, float]) -> tuple[dict[str, Any], Bytes]:
        """Project a slab as deep as the minislabs, four boxes wide, about a place."""
        tomogram = self.tomogram(name)
        edge = tomogram.voxel_size
        wide = 4 * self._listing.box
        bins = max(1, math.ceil(wide / edge / (2 * _CUBE)))
        side = max(8, 2 * round(wide / edge / bins / 2))
        deep = max(1, round(self._listing.depth / edge))
        x, y, z = place
        start = [
            round(z / edge) - deep // 2,
            round(y / edge) - side * bins // 2,
            round(x / edge) - side * bins // 2,
        ]
        image = _mean(tomogram, start, (deep, side * bins, side * bins), bins)
        return {"side": side, "voxel": edge * bins, "place": list(place)}, _bytes(tomogram, image)

    def section(self, name: str, z: float, thickness: float) -> tuple[dict[str, Any], Bytes]:
        """Average the planes about a depth (Å) over a thickness (Å), the whole of x and y."""
        tomogram = self.tomogram(name)
        edge = tomogram.voxel_size
        depth, height, width = tomogram.shape
        count = min(depth, max(1, round(thickness / edge)))
        first = min(max(0, round(z / edge) - count // 2), depth - count)
        bins = max(1, math.ceil(max(height, width) / _WIDTH))
        rows, columns = height // bins * bins, width // bins * bins
        total = np.zeros((rows // bins, columns // bins), dtype=np.float64)
        for plane in range(first, first + count):
            block = tomogram.read((plane, 0, 0), (plane + 1, rows, columns))[0]
            total += _bin(np.nan_to_num(np.asarray(block, dtype=np.float32)), bins)
        about = {
            "width": columns // bins,
            "height": rows // bins,
            "pixel": edge * bins,
            "first": first * edge,
            "planes": count,
            "voxel": edge,
            "depth": (depth - 1) * edge,
        }
        return about, _bytes(tomogram, total.astype(np.float32))

    def depth_of(self, name: str, x: float, y: float, z: float, diameter: float) -> float:
        """Find the depth (Å) of a particle by its x and y as `slabkit map` does, near a depth."""
        from slabkit.mapping.refinement import refine_depths

        tomogram = self.tomogram(name)
        edge = tomogram.voxel_size
        planes = tomogram.shape[0]
        count = min(planes, max(1, round(max(self._listing.depth, 2 * diameter) / edge)))
        start = min(max(0, round(z / edge) - count // 2), planes - count)
        found = refine_depths(
            tomogram,
            np.array([x / edge]),
            np.array([y / edge]),
            np.array([min(diameter, max(tomogram.shape) * edge)]),
            np.array([start]),
            np.array([count]),
            tomogram.contrast,
        )
        return float(found.z_vox[0] * edge)

    def check_inside(self, name: str, place: tuple[float, float, float]) -> None:
        """Refuse a place outside its tomogram."""
        tomogram = self.tomogram(name)
        for value, size, axis in zip(place[::-1], tomogram.shape, "zyx", strict=True):
            if not -0.5 <= value / tomogram.voxel_size <= size - 0.5:
                raise InputError(f"{name}: {axis} = {value:g} Å is outside the tomogram.")


def _binned(tomogram: Tomogram, start: list[int], size: list[int], bins: int) -> Any:
    """Read ``size`` bins of ``bins`` voxels from ``start`` (z, y, x); outside is the mean."""
    planes = [
        _mean(
            tomogram, [start[0] + bins * z, *start[1:]], (bins, *(bins * n for n in size[1:])), bins
        )
        for z in range(size[0])
    ]
    cube = np.stack(planes)
    return np.where(np.isnan(cube), np.nanmean(cube) if not np.isnan(cube).all() else 0, cube)


def _mean(tomogram: Tomogram, start: list[int], size: tuple[int, ...], bins: int) -> Any:
    """Average planes from ``start`` on, binned in the plane; NaN outside the volume."""
    low = [max(0, one) for one in start]
    high = [
        min(end, first + count)
        for end, first, count in zip(tomogram.shape, start, size, strict=True)
    ]
    image = np.full(size[1:], np.nan, dtype=np.float32)
    if all(a < b for a, b in zip(low, high, strict=True)):
        block = np.asarray(tomogram.read(tuple(low), tuple(high)), dtype=np.float32)  # type: ignore[arg-type]
        y, x = low[1] - start[1], low[2] - start[2]
        image[y : y + block.shape[1], x : x + block.shape[2]] = block.mean(axis=0)
    return _bin(image, bins)


def _bin(image: npt.NDArray[np.float32], bins: int) -> npt.NDArray[np.float32]:
    if bins == 1:
        return image
    height, width = image.shape[0] // bins, image.shape[1] // bins
    cut = image[: height * bins, : width * bins].reshape(height, bins, width, bins)
    return np.asarray(cut.mean(axis=(1, 3)), dtype=np.float32)


def _bytes(tomogram: Tomogram, values: Any) -> Bytes:
    """Stretch values between percentiles to one byte each, protein bright."""
    values = values * np.float32(protein_sign(tomogram.contrast))
    known = np.isfinite(values)
    if not known.any():
        return np.full(values.shape, 128, dtype=np.uint8)
    low, high = np.percentile(values[known], (0.3, 99.7))
    scaled = (values - low) * (255.0 / (high - low if high > low else 1.0))
    return np.asarray(np.clip(np.nan_to_num(scaled, nan=96.0), 0, 255), dtype=np.uint8)
