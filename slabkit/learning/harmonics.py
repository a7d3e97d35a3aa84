"""Boxes as harmonics about the z axis: rotating a box in the plane is multiplying by phases.

A box is sampled on rings about its axis, plane by plane, and each ring is expanded in angular
orders. Few components of each order hold most of what all minislabs, labelled or not, vary by.
Two boxes are compared at all in-plane rotations, and mirrored, by one product an order: the
largest correlation is a similarity that neither rotation nor mirroring changes, and unlike power
spectra it keeps the phases. Steerable components are those of Zhao, Shkolnisky and Singer (2016,
IEEE Trans. Comput. Imaging 2:1), here of cylinders; classifying by similarities to known examples
is Balcan, Blum and Srebro (2008, Machine Learning 72:89).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import eigenvectors, exp, product, squared_size

Floats = npt.NDArray[np.float64]
Coefficients = npt.NDArray[np.complex64]

SIDE, PLANES = 33, 15
"""Samples of a box in the plane, and planes; an image has one plane."""

STEPS_A_BOX = 40
"""A step between samples is the side of the minislab over this; planes are two steps apart."""

_RINGS, _ANGLES, _ORDERS = 15, 32, 9
_SCALES = (5.0, 9.0)  # widths in steps of the Gaussian that weighs the box about its centre
_COMPONENTS = 12  # of each order; of order 0 twice as many
_FLATTER = 0.25  # components are scaled by their variance to the power of minus this
_ROTATIONS = 24
_EVEN_FIRST = np.array([*range(0, _ORDERS, 2), *range(1, _ORDERS, 2)])
_GRID = float(2**24)  # whole numbers up to this have exact sums of products
_AT_ONCE, _OTHERS_AT_ONCE = 24, 128  # boxes, so that what they share stays in the cache


def transform(boxes: npt.NDArray[np.float32]) -> Coefficients:
    """Expand boxes (n, planes, y, x) into (n, orders, planes, rings)."""
    count, planes = boxes.shape[:2]
    found = np.empty((count, _ORDERS, planes, _RINGS), dtype=np.complex64)
    for start in range(0, count, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        pixels = boxes[part].reshape(-1, SIDE * SIDE).T.astype(np.float64, order="C")
        waves = (_sampler() @ pixels).reshape(_RINGS, 2, _ORDERS, -1, planes)
        found.real[part] = waves[:, 0].transpose(2, 1, 3, 0)
        found.imag[part] = waves[:, 1].transpose(2, 1, 3, 0)
    return found


@functools.cache
def _sampler() -> Any:
    """Give the matrix that makes the waves of an image on each ring: real parts, imaginary parts.

    Sparse products cost less here than interpolation and Fourier transform one after the other.
    """
    from scipy.sparse import block_diag, csr_array

    angle = 2 * np.pi * np.arange(_ANGLES) / _ANGLES
    radius = _radii()[:, np.newaxis]
    y, x = SIDE // 2 + radius * np.sin(angle), SIDE // 2 + radius * np.cos(angle)
    low_y, low_x = np.floor(y).astype(int), np.floor(x).astype(int)
    rings = csr_array((y.size, SIDE * SIDE))
    for down in (0, 1):
        for right in (0, 1):
            weight = (1 - np.abs(y - low_y - down)) * (1 - np.abs(x - low_x - right))
            place = (low_y + down) * SIDE + low_x + right
            where = (np.arange(y.size), place.ravel())
            rings = rings + csr_array((weight.ravel(), where), shape=rings.shape)
    turn = np.arange(_ORDERS)[:, np.newaxis] * angle
    wave = np.concatenate([np.cos(turn), -np.sin(turn)]) / _ANGLES
    return csr_array(block_diag([wave] * _RINGS, format="csr") @ rings)


def _radii() -> Floats:
    return np.arange(_RINGS, dtype=np.float64) + 0.75


@dataclass(frozen=True)
class Components:
    """What boxes of one kind are described by: for each scale and order, an orthogonal basis.

    ``mean`` has one vector a scale, of order 0; ``basis`` and ``variance`` one a scale and order.
    """

    planes: int
    mean: list[Floats]
    basis: list[list[Floats]]
    variance: list[list[Floats]]

    @classmethod
    def fit(cls, coefficients: Coefficients) -> Components:
        """Find the principal components of boxes of all rotations, and of their mirror images."""
        planes = coefficients.shape[2]
        means, bases, variances = [], [], []
        for weight in _weights(planes):
            basis, variance = [], []
            for order in range(_ORDERS):
                values = (coefficients[:, order] * weight).reshape(len(coefficients), -1)
                parts = [values.real.astype(np.float64), values.imag.astype(np.float64)]
                if order == 0:  # real
                    means.append(parts[0].mean(axis=0))
                    parts = [parts[0] - means[-1]]
                # Those of the mirror image are the conjugates, so that the covariance is real.
                covariance = sum((product(part.T, part) for part in parts), np.zeros(1))
                value, vector = eigenvectors(covariance / len(values))
                count = min(len(value), _COMPONENTS * (2 if order == 0 else 1))
                basis.append(vector[:, ::-1][:, :count])
                variance.append(value[::-1][:count].clip(0))
            bases.append(basis)
            variances.append(variance)
        return cls(planes, means, bases, variances)

    def describe(self, coefficients: Coefficients) -> Descriptions:
        """Project boxes on the components; unit vectors, on a grid."""
        scales, sizes = [], []
        for weight, mean, basis, variance in zip(
            _weights(self.planes), self.mean, self.basis, self.variance, strict=True
        ):
            most = max(float(variance[0].max(initial=0)), 1e-30)
            found = []
            for order in range(_ORDERS):
                values = (coefficients[:, order] * weight).reshape(len(coefficients), -1)
                flatter = np.float_power(np.maximum(variance[order] / most, 1e-6), -_FLATTER)
                real = values.real.astype(np.float64) - (mean if order == 0 else 0)
                parts = product(real, basis[order]) * flatter
                other = product(values.imag.astype(np.float64), basis[order]) * flatter
                found.append(parts + 1j * other * (order > 0))
            square = sum(
                ((1 if order == 0 else 2) * squared_size(part).sum(axis=1))
                for order, part in enumerate(found)
            )
            size = np.sqrt(square)
            sizes.append(size)
            inverse = np.divide(_GRID, size, out=np.zeros_like(size), where=size > 0)
            scales.append([np.rint(part * inverse[:, np.newaxis]) for part in found])
        return Descriptions(scales, np.stack(sizes, axis=1))

    def shapes_fit(self, examples: Descriptions) -> bool:
        """Tell whether the parts, as read from a file, belong together."""
        size = self.planes * _RINGS
        if not len(self.mean) == len(self.basis) == len(examples.scales) == len(_SCALES):
            return False
        return all(
            mean.shape == (size,)
            and len(bases) == _ORDERS
            and all(
                basis.shape == (size, len(variance)) == (size, part.shape[1])
                and len(part) == len(examples)
                for basis, variance, part in zip(bases, variances, parts, strict=True)
            )
            for mean, bases, variances, parts in zip(
                self.mean, self.basis, self.variance, examples.scales, strict=True
            )
        )


def _weights(planes: int) -> Iterator[npt.NDArray[np.float32]]:
    """Give the weight of each sample (planes, rings) at each scale."""
    z = 2.0 * (np.arange(planes) - planes // 2)[:, np.newaxis]
    for width in _SCALES:
        fall = exp(-0.5 * (z**2 + _radii() ** 2) / width**2)
        yield (np.sqrt(_radii()) * fall).astype(np.float32)


@dataclass(frozen=True)
class Descriptions:
    """Boxes as unit vectors of components: whole numbers of 2**-24, one array a scale and order.

    ``size`` (n, scales) is the length of each vector before.
    """

    scales: list[list[npt.NDArray[np.complex128]]]
    size: Floats

    def __len__(self) -> int:
        return len(self.size)

    def __getitem__(self, rows: npt.NDArray[np.intp] | slice) -> Descriptions:
        """Give some of them."""
        return Descriptions(
            [[part[rows] for part in scale] for scale in self.scales], self.size[rows]
        )

    @classmethod
    def joined(cls, parts: Sequence[Descriptions]) -> Descriptions:
        """Give those of several batches as one."""
        scales = [
            [np.concatenate(order) for order in zip(*scale, strict=True)]
            for scale in zip(*(part.scales for part in parts), strict=True)
        ]
        return cls(scales, np.concatenate([part.size for part in parts]))


def similarities(ones: Descriptions, others: Descriptions) -> npt.NDArray[np.float32]:
    """Give the correlation of each box with each other one at its best rotation, mirrored or not.

    Shape (ones, others), 1 at most; the mean over the scales.
    """
    found = np.zeros((len(ones), len(others)))
    room = np.empty((2 * 2 * _ORDERS + _ROTATIONS) * _AT_ONCE * _OTHERS_AT_ONCE)
    for one, other in zip(ones.scales, others.scales, strict=True):
        weights = [(1.0 if order == 0 else 2.0) / _GRID for order in range(_ORDERS)]
        mine = [(a.real * weight, a.imag * weight) for a, weight in zip(one, weights, strict=True)]
        for start in range(0, len(others), _OTHERS_AT_ONCE):
            columns = slice(start, start + _OTHERS_AT_ONCE)
            theirs = [part[columns].T for part in other]
            pairs = [(part.real.copy(), part.imag.copy()) for part in theirs]
            for first in range(0, len(ones), _AT_ONCE):
                rows = slice(first, first + _AT_ONCE)
                own = [(real[rows], imaginary[rows]) for real, imaginary in mine]
                found[rows, columns] += _at_best_turn(own, pairs, room) / len(ones.scales)
    return found.astype(np.float32)


def _at_best_turn(
    ones: Sequence[tuple[Floats, Floats]], others: Sequence[tuple[Floats, Floats]], room: Floats
) -> Floats:
    """Give the largest correlation of few boxes with few others, from each order's two parts."""
    count, number = len(ones[0][0]), others[0][0].shape[1]
    size = count * number
    waves = room[: 4 * _ORDERS * size].reshape(2, 2 * _ORDERS, count, number)
    turned = room[4 * _ORDERS * size :][: _ROTATIONS * size].reshape(_ROTATIONS, size)
    # The four real products of each order, of which both hands are made.
    even, odd = _turns()
    for place, order in enumerate(_EVEN_FIRST):
        one, other = ones[order], others[order]
        cc, ss = one[0] @ other[0], one[1] @ other[1]
        sc, cs = one[1] @ other[0], one[0] @ other[1]
        np.add(cc, ss, out=waves[0, 2 * place])
        np.subtract(cc, ss, out=waves[1, 2 * place])
        np.subtract(sc, cs, out=waves[0, 2 * place + 1])
        np.add(sc, cs, out=waves[1, 2 * place + 1])
    np.rint(waves, out=waves)
    best = np.full(size, -np.inf)
    upper, lower = turned.reshape(2, _ROTATIONS // 2, size)
    for hand in waves.reshape(2, 2 * _ORDERS, -1):
        # Half a turn further even orders are the same, and odd ones change their sign.
        np.matmul(even, hand[: even.shape[1]], out=upper)
        np.matmul(odd, hand[even.shape[1] :], out=lower)
        upper += np.abs(lower, out=lower)
        np.maximum(best, upper.max(axis=0), out=best)
    return best.reshape(count, number) / (_GRID * _GRID)


@functools.cache
def _turns() -> tuple[Floats, Floats]:
    """Give what the waves of even and of odd orders are worth at half of the rotations."""
    angle = 2 * np.pi * np.arange(_ROTATIONS // 2)[:, np.newaxis] / _ROTATIONS * _EVEN_FIRST
    pairs = np.stack([np.cos(angle), -np.sin(angle)], axis=2).reshape(len(angle), -1)
    first = 2 * ((_ORDERS + 1) // 2)
    worth = np.rint(_GRID * pairs)
    return worth[:, :first].copy(), worth[:, first:].copy()
