"""Smoothed images of a slab, to measure what surrounds candidates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slabkit.arrays.filters import (
    RIM_RADIUS,
    LadderFrequencies,
    angular_frequencies,
    binned_shape,
    coarse_position,
    cropped_spectrum,
    filtered_image,
    fine_position,
    gaussian_transfer,
    rim_transfer,
)
from slabkit.arrays.peaks import evenness
from slabkit.arrays.ridges import LINE_SIGMA, MirroredImage, Ridges

Floats: TypeAlias = npt.NDArray[np.float64]
Indices: TypeAlias = npt.NDArray[np.int64]
Image: TypeAlias = npt.NDArray[np.float32]

RIM_FILTER_DIAMETER = 1 / 1.15
"""Diameter of the rim filter that answers a particle of diameter 1 most strongly: the middle
between a solid ball (1.25), a flat disc (1.07) and a shell whose wall is 0.15 diameters thick
(1.10)."""


def finer_shape(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """Give the size ``(y, x)`` of the coarsest grid that holds two others."""
    return max(one[0], other[0]), max(one[1], other[1])


@dataclass(frozen=True)
class SearchGrid:
    """The coarser grid on which images of one size are searched."""

    shape: tuple[int, int]  # pixels ``(y, x)`` of the images and of the grid
    binned: tuple[int, int]

    def on_image(self, y: npt.ArrayLike, x: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Turn places on the grid into pixels of the image."""
        return (
            fine_position(y, self.shape[0], self.binned[0]),
            fine_position(x, self.shape[1], self.binned[1]),
        )

    def nearest_pixels(self, y: npt.ArrayLike, x: npt.ArrayLike) -> tuple[Indices, Indices]:
        """Turn places on the grid into the nearest pixels of the image."""
        rows, columns = (np.floor(at + 0.5).astype(np.int64) for at in self.on_image(y, x))
        return rows, columns

    def sample_places(
        self, padding: npt.NDArray[np.bool_] | None, count: int
    ) -> tuple[Indices, Indices]:
        """Give about ``count`` regular places (y, x) of the grid that are not padding."""
        height, width = self.binned
        every = max(1, math.isqrt(height * width // count))
        lines = np.arange(every // 2, height, every), np.arange(every // 2, width, every)
        rows, columns = (grid.ravel() for grid in np.meshgrid(*lines, indexing="ij"))
        if padding is None:
            return rows, columns
        keep = ~padding[self.nearest_pixels(rows, columns)]
        return rows[keep], columns[keep]


@dataclass(frozen=True)
class Smoothed:
    """A smoothed image on a coarser grid."""

    image: Image  # shape (y, x); on the coarser grid
    shape: tuple[int, int]  # pixels ``(y, x)`` of the image that it is of
    pixel_size: float  # of that image, in Å

    def at(self, y_px: Floats, x_px: Floats) -> Floats:
        """Give linearly interpolated values at places of the image (pixels)."""
        y, x, _ = self._on_grid(y_px, x_px)
        return MirroredImage(self.image, 1.0).at(y, x)

    def highest_on_lines(self, y_px: Floats, x_px: Floats, reach: float) -> Image:
        """Give what `at` does not exceed within ``reach`` of where rows and columns meet."""
        y, x, _ = self._on_grid(y_px, x_px)
        highest = self.image
        for axis, place in ((1, x), (0, y)):
            last = highest.shape[axis] - 1
            away = reach * (last + 1) / self.shape[axis]
            first, end = np.floor(place - away).astype(int), np.ceil(place + away).astype(int)
            steps = range(int((end - first).max()) + 1)
            each = (highest.take(np.clip(np.minimum(first + k, end), 0, last), axis) for k in steps)
            highest = reduce(np.maximum, each)
        return highest

    def highest_near(self, y_px: Floats, x_px: Floats, reach: float) -> Floats:
        """Give what `at` does not exceed within ``reach`` (pixels) of places, down and across."""
        from scipy.ndimage import maximum_filter

        y, x, _ = self._on_grid(y_px, x_px)
        size, nearest = [], []
        for place, n, m in zip((y, x), self.shape, self.image.shape, strict=True):
            size.append(2 * math.ceil(0.5 + reach * m / n) + 1)
            nearest.append(np.clip(np.floor(place + 0.5), 0, m - 1).astype(np.int64))
        highest = maximum_filter(self.image, size)[nearest[0], nearest[1]]
        return np.asarray(highest, dtype=np.float64)

    def evenness(self, y_px: Floats, x_px: Floats, diameter: Floats) -> Floats:
        """Give `slabkit.arrays.peaks.evenness` at blobs (Å) at places of the image (pixels)."""
        y, x, pixel_size = self._on_grid(y_px, x_px)
        radius = diameter * RIM_FILTER_DIAMETER / 2 / pixel_size
        return evenness(self.image, y, x, RIM_RADIUS * radius, (1.25 * radius, 1.5 * radius))

    def ridges(self, y_px: Floats, x_px: Floats, diameter: Floats) -> Callable[[Indices], Floats]:
        """Prepare to give `slabkit.arrays.ridges.ridge_heights` at any of some blobs."""
        y, x, pixel_size = self._on_grid(y_px, x_px)
        radius = diameter / 2
        ridges = Ridges(self.image, pixel_size, float(radius.max(initial=0.0)))
        return lambda some: ridges.heights(y[some], x[some], radius[some])

    def _on_grid(self, y_px: Floats, x_px: Floats) -> tuple[Floats, Floats, float]:
        """Give places on the coarser grid, and its pixel, whose sides may differ a little."""
        (height, width), (rows, columns) = self.shape, self.image.shape
        pixel_size = self.pixel_size * math.sqrt(height * width / (rows * columns))
        y, x = coarse_position(y_px, height, rows), coarse_position(x_px, width, columns)
        return y, x, pixel_size


class GridFilter:
    """Filters images of one size ``(y, x)``, on a coarser grid.

    ``transfer`` is a transfer function at the grid's `slabkit.arrays.filters.angular_frequencies`;
    spectra must be as large as the grid at least.
    """

    def __init__(self, shape: tuple[int, int], pixel_size: float, transfer: Image) -> None:
        self.grid = (transfer.shape[0], transfer.shape[1])
        self._shape, self._pixel_size, self._transfer = shape, pixel_size, transfer

    def __call__(self, spectrum: Image) -> Smoothed:
        """Filter an image, given by its `slabkit.arrays.filters.cosine_spectrum`."""
        filtered = filtered_image(cropped_spectrum(spectrum, self.grid), self._transfer)
        return Smoothed(filtered, self._shape, self._pixel_size)


def line_filter(shape: tuple[int, int], pixel_size: float) -> GridFilter:
    """Make what smooths images such that membranes show as lines."""
    grid = binned_shape(shape, LINE_SIGMA / pixel_size)
    return GridFilter(shape, pixel_size, gaussian_transfer(shape, grid, pixel_size, LINE_SIGMA))


def rim_filter(
    shape: tuple[int, int], pixel_size: float, grid: tuple[int, int], diameter: float
) -> GridFilter:
    """Make what compares the rim of a particle of a diameter (Å) with its surround."""
    on_grid = LadderFrequencies(angular_frequencies(shape, grid, pixel_size), np.array([diameter]))
    return GridFilter(shape, pixel_size, on_grid.transfers(rim_transfer, RIM_FILTER_DIAMETER)[0])
