"""Images as circular harmonics: rotating one is multiplying by phases, comparing a matrix product.

The Fourier transform of an image on rings about the origin, expanded in angular orders, is the
Hankel transform: the coefficient of order m at the frequency k is the sum over pixels of value
times J_m(2π k r) exp(-i m φ). Steerable expansions of this kind are usual in single-particle
analysis (Zhao, Shkolnisky and Singer 2016, IEEE Trans. Comput. Imaging 2:1).
"""

from __future__ import annotations

import itertools
import math
from functools import cached_property

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import arctan2, complex_product, on_grid, squared_size, times

Singles = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Coefficients = npt.NDArray[np.complex64]
Indices = npt.NDArray[np.intp]

_LARGEST_GRID = 128  # pixels a side; finer images are averaged in blocks first
_SOFT_EDGE = 0.15  # of the mask's radius


class CircularHarmonics:
    """Basis for square images of one size.

    The mask begins to fall off ``radius_px`` from the centre at index ``box_px // 2``; Fourier
    rings are at 1, 2, ... periods in a box. ``order`` and ``ring`` are the angular order m ≥ 0 and
    the ring (from 0) of each coefficient, sorted by order; those of order -m follow, images being
    real. With ``weight``, the sum of squared magnitudes is that over the plane's coefficients.
    """

    def __init__(self, box_px: int, radius_px: float, rings: int) -> None:
        self.box_px = box_px
        self.radius_px = radius_px
        self.block_px = max(1, -(-box_px // _LARGEST_GRID))
        self.frequency = np.arange(1, rings + 1) / box_px
        count = box_px // self.block_px
        position = (np.arange(count) + 0.5) * self.block_px - 0.5 - box_px // 2
        y, x = np.meshgrid(position, position, indexing="ij")
        radius = np.hypot(y, x)
        edge = max(_SOFT_EDGE * radius_px, 1.0)
        fall = np.clip((radius - radius_px) / edge, 0, 1)
        mask = np.where(radius < radius_px + edge, 0.5 + 0.5 * np.cos(np.pi * fall), 0.0)
        self._pixels = np.flatnonzero(mask)
        self.mask = mask.ravel()[self._pixels].astype(np.float32)
        self._radius = radius.ravel()[self._pixels]
        self._angle = arctan2(y, x).ravel()[self._pixels]
        # Beyond order 2π k r a Bessel function is next to nothing.
        highest = np.ceil(2 * np.pi * self.frequency * (radius_px + edge / 2)).astype(int) + 1
        pairs = sorted((m, q) for q, top in enumerate(highest) for m in range(top + 1))
        self.order: Indices = np.array([m for m, _ in pairs], dtype=np.intp)
        self.ring: Indices = np.array([q for _, q in pairs], dtype=np.intp)
        both = np.where(self.order > 0, 2, 1)
        self.weight = (2 * np.pi * self.frequency[self.ring] * box_px * both).astype(np.float32)
        self.orders = int(self.order.max()) + 1
        starts = np.searchsorted(self.order, np.arange(self.orders + 1))
        self.slices = [slice(a, b) for a, b in itertools.pairwise(starts)]

    @property
    def rings(self) -> int:
        """Number of Fourier rings."""
        return len(self.frequency)

    @property
    def independent(self) -> float:
        """Number of independent values: Fourier coefficients times the masked share of the box."""
        coefficients = (2 * np.pi * self.frequency * self.box_px).sum()
        area = float((self.mask**2).sum()) * self.block_px**2
        return float(coefficients * area / self.box_px**2)

    @cached_property
    def _transform(self) -> tuple[Floats, Floats]:
        """Real and imaginary parts beside each other, (pixels, 2 * coefficients), on a grid."""
        from scipy.special import jv

        radial = jv(
            self.order[None], 2 * np.pi * self.frequency[self.ring][None] * self._radius[:, None]
        )
        turn = np.exp(-1j * self.order[None] * self._angle[:, None])
        both = np.asarray(radial * turn, dtype=np.complex64)
        return on_grid(both.view(np.float32), -2)

    def masked(self, images: npt.NDArray[np.floating]) -> Singles:
        """Average blocks, take the masked mean off, apply the mask: (n, pixels under the mask)."""
        images = np.asarray(images, dtype=np.float32)
        if self.block_px > 1:
            side = self.box_px // self.block_px
            images = images[:, : side * self.block_px, : side * self.block_px]
            images = images.reshape(len(images), side, self.block_px, side, self.block_px)
            images = images.mean((2, 4))
        inside = images.reshape(len(images), -1)[:, self._pixels]
        mean = np.einsum("np,p->n", inside, self.mask / self.mask.sum())
        return np.asarray((inside - mean[:, None]) * self.mask, dtype=np.float32)

    def transform(self, images: npt.NDArray[np.floating]) -> Coefficients:
        """Expand images (n, y, x) into (n, coefficients)."""
        (rows, unit), (columns, column_unit) = on_grid(self.masked(images), -1), self._transform
        found = rows @ columns
        found *= unit
        found *= column_unit
        return found.astype(np.float32).view(np.complex64)

    def ring_power(self, coefficients: npt.NDArray[np.complexfloating]) -> Floats:
        """Give the mean power on each ring, (n, rings), -m counted with m."""
        square = squared_size(coefficients).astype(np.float64)
        return np.asarray(np.einsum("nc,cr->nr", square, self.ring_members), dtype=np.float64)

    @cached_property
    def ring_members(self) -> Floats:
        """How often each coefficient counts on each ring, (coefficients, rings): -m with m."""
        member = np.zeros((len(self.order), self.rings))
        member[np.arange(len(self.order)), self.ring] = np.where(self.order > 0, 2.0, 1.0)
        return member


class Shifts:
    """Shifted copies of an image, and their adjoint, on its harmonics.

    A positive shift moves the content to larger indices.
    """

    def __init__(self, basis: CircularHarmonics, y_px: Floats, x_px: Floats) -> None:
        self.y_px, self.x_px = np.asarray(y_px, dtype=float), np.asarray(x_px, dtype=float)
        self._basis = basis
        top = basis.orders - 1
        self._m = np.arange(-top, top + 1)
        # A shift by d adds orders up to 2π k d.
        reach = float(np.hypot(self.y_px, self.x_px).max(initial=0.0))
        count = 2 * (top + math.ceil(2 * np.pi * basis.frequency[-1] * reach) + 1)
        angles = 2 * np.pi * np.arange(count) / count
        waves = np.exp(1j * self._m[:, None] * angles)
        turn = (-1j) ** self._m[:, None]
        self._to_samples = (turn * waves).astype(np.complex64)
        self._from_samples = (np.conj(turn * waves) / len(angles)).T.astype(np.complex64)
        along = self.x_px[:, None] * np.cos(angles) + self.y_px[:, None] * np.sin(angles)
        phase = -2j * np.pi * basis.frequency[None, :, None] * along[:, None, :]
        self._phase = np.exp(phase).astype(np.complex64)  # (shifts, rings, angles)

    def __len__(self) -> int:
        return len(self.y_px)

    def _samples(self, coefficients: Coefficients) -> Coefficients:
        basis = self._basis
        top = basis.orders - 1
        full = np.zeros((len(coefficients), basis.rings, 2 * top + 1), dtype=np.complex64)
        full[:, basis.ring, top + basis.order] = coefficients
        sign = np.where(basis.order % 2, -1, 1)
        full[:, basis.ring, top - basis.order] = sign * np.conj(coefficients)
        zero = basis.order == 0
        full[:, basis.ring[zero], top] = coefficients[:, zero]
        return complex_product(full, self._to_samples).astype(np.complex64)

    def _coefficients(self, samples: Coefficients) -> Coefficients:
        basis = self._basis
        full = complex_product(samples, self._from_samples).astype(np.complex64)
        return np.asarray(full[..., basis.ring, basis.orders - 1 + basis.order])

    def apply(self, coefficients: Coefficients) -> Coefficients:
        """Shift each image by every shift: (n, shifts, coefficients)."""
        samples = self._samples(coefficients)
        return np.stack(
            [self._coefficients(times(samples, phase)) for phase in self._phase], axis=1
        )

    def gather(self, coefficients: npt.NDArray[np.complexfloating]) -> Coefficients:
        """Shift images (n, shifts, coefficients) back by their shifts, and add them up."""
        total = np.zeros(1, dtype=np.complex64)
        for number, phase in enumerate(self._phase):
            moved = np.ascontiguousarray(coefficients[:, number], dtype=np.complex64)
            total = total + times(self._samples(moved), np.conj(phase))
        return self._coefficients(total)

    def back(self, coefficients: Coefficients, number: npt.NDArray[np.intp]) -> Coefficients:
        """Shift each image (n, coefficients) back by the shift of its number (n,)."""
        moved = np.empty_like(coefficients)
        for one in np.unique(number):
            own = np.flatnonzero(number == one)
            samples = self._samples(coefficients[own])
            moved[own] = self._coefficients(times(samples, np.conj(self._phase[one])))
        return moved


def shift_grid(reach_px: float, step_px: float) -> tuple[Floats, Floats]:
    """Give the shifts (y, x) of a square grid within a circle, the smallest, which is 0, first."""
    most = math.floor(reach_px / step_px + 1e-6)
    line = np.arange(-most, most + 1) * step_px
    y, x = (part.ravel() for part in np.meshgrid(line, line, indexing="ij"))
    inside = y**2 + x**2 <= (reach_px + 1e-6) ** 2
    y, x = y[inside], x[inside]
    first = np.lexsort((x, y, y**2 + x**2))
    return y[first], x[first]
