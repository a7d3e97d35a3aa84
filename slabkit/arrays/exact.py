"""Products and functions that come out the same, bit by bit, on every processor.

A matrix product of the linear algebra library adds up in an order that depends on the processor
and the number of threads, and NumPy's own ``exp``, ``log``, ``arctan2``, powers and complex
products round as the vector instructions do that it finds. A last digit moves a pick, and with it
its id. What else may be used, and why: docs/reliability.md.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_PART = 32768  # numbers that `exponentiate` works on at a time
_TO_WHOLE = np.float32(1.5 * 2**23)
# (2**x - 1) / x from -1/2 to 1/2, the highest power of x first
_POWER_OF_TWO = [
    np.float32(c) for c in (0.00133908674, 0.00966637369, 0.055503571, 0.240223489, 0.693147188)
]

_BITS = 26  # of the length of a row or column: a sum of products then has 53 at most, and is exact


def on_grid(values: npt.ArrayLike, axis: int) -> tuple[Floats, Floats]:
    """Round rows (axis -1) or columns (-2) to whole numbers of a unit each: the numbers, the units.

    By the inequality of Cauchy and Schwarz a product of such rows and columns, and every part of
    its sum, stays below 2**53: float64 holds it exactly, in whatever order it is added up. The
    rounding takes less than 1e-8 of the product of their lengths.
    """
    values = np.asarray(values, dtype=np.float64)
    square = np.einsum("...ij,...ij->...i" if axis == -1 else "...ij,...ij->...j", values, values)
    exponent = np.expand_dims(np.frexp(np.sqrt(square))[1], axis).clip(-900, 900) - _BITS
    grid = values * np.ldexp(1.0, -exponent)
    return np.rint(grid, out=grid), np.ldexp(1.0, exponent)


def product(one: npt.ArrayLike, other: npt.ArrayLike) -> Floats:
    """Multiply (stacks of) matrices, of float64; see `on_grid`."""
    rows, row_unit = on_grid(one, -1)
    columns, column_unit = on_grid(other, -2)
    found: Floats = rows @ columns
    found *= row_unit
    found *= column_unit
    return found


def complex_product(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[np.complex128]:
    """Multiply (stacks of) complex matrices; see `on_grid`."""
    real, imaginary = other.real, other.imag
    upper = np.concatenate([real, imaginary], axis=-1)
    lower = np.concatenate([-imaginary, real], axis=-1)
    rows = np.concatenate([one.real, one.imag], axis=-1)
    found = product(rows, np.concatenate([upper, lower], axis=-2))
    half = other.shape[-1]
    return found[..., :half] + 1j * found[..., half:]


def fine_product(one: Floats, other: Floats) -> Floats:
    """Multiply matrices as `product`, and add what its rounding leaves out."""
    (rows, row_unit), (columns, column_unit) = on_grid(one, -1), on_grid(other, -2)
    found: Floats = rows @ columns * row_unit * column_unit
    near = rows * row_unit
    return found + product(one - near, other) + product(near, other - columns * column_unit)


def eigenvectors(matrix: Floats, left_out: float = 0.0) -> tuple[Floats, Floats]:
    """Give the eigenvalues of a symmetric matrix, ascending, and the vectors in columns.

    The smallest, that sum up to less than ``left_out``, may be missing.

    Householder's reduction to three diagonals, by sums of one order; what LAPACK does with those
    is plain loops, no linear algebra of the processor's own.
    """
    from scipy.linalg import eigh_tridiagonal

    left = np.array(matrix, dtype=np.float64)
    size = len(left)
    beside = np.zeros(max(size - 1, 0))
    mirrors = []
    room = np.empty_like(left)
    for k in range(size - 2):
        mirror = left[k + 1 :, k].copy()
        length = math.sqrt(float(np.einsum("i,i->", mirror, mirror)))
        beside[k] = -math.copysign(length, mirror[0])
        mirror[0] -= beside[k]
        square = float(np.einsum("i,i->", mirror, mirror))
        mirror *= math.sqrt(2 / square) if square > 0 else 0.0
        mirrors.append(mirror)
        rest = left[k + 1 :, k + 1 :]
        moved = np.einsum("ij,j->i", rest, mirror)
        moved -= (float(np.einsum("i,i->", moved, mirror)) / 2) * mirror
        outer = room[k + 1 :, k + 1 :]
        rest -= np.multiply(mirror[:, None], moved, out=outer)
        rest -= np.multiply(moved[:, None], mirror, out=outer)
    if size > 1:
        beside[-1] = left[-1, -2]
    values, vectors = eigh_tridiagonal(np.diag(left), beside, lapack_driver="stemr")
    first = min(int(np.searchsorted(np.cumsum(values), left_out)), size - 1) if left_out else 0
    values, vectors = values[first:], np.ascontiguousarray(vectors[:, first:])
    for k in range(size - 3, -1, -1):
        part = vectors[k + 1 :]
        part -= mirrors[k][:, None] * np.einsum("i,ij->j", mirrors[k], part)
    return values, vectors


def exp(values: npt.ArrayLike) -> Any:
    """Give e to the power of each value."""
    from scipy.special import inv_boxcox

    return inv_boxcox(values, 0.0)


def exponentiate(values: npt.NDArray[np.float32]) -> None:
    """Replace numbers of float32 (contiguous, up to 80) by their exponentials, within 5e-6.

    Less than 1e-37 counts as that. As 2**k * 2**f, k whole: 2**f is a polynomial, and k is added to
    its exponent's bits. A part that the cache holds at a time.
    """
    flat = values.reshape(-1)
    room = np.empty((3, min(_PART, len(flat))), dtype=np.float32)
    for start in range(0, len(flat), _PART):
        part = flat[start : start + _PART]
        power, whole, found = room[:, : len(part)]
        np.multiply(part, np.float32(1 / math.log(2)), out=power)
        np.maximum(power, np.float32(-123), out=power)
        np.add(power, _TO_WHOLE, out=whole)  # rounds; the last bits are then the whole number
        np.subtract(whole, _TO_WHOLE, out=found)
        power -= found
        np.multiply(power, _POWER_OF_TWO[0], out=found)
        for coefficient in _POWER_OF_TWO[1:]:
            found += coefficient
            found *= power
        found += np.float32(1)
        bits = whole.view(np.int32)
        np.left_shift(bits, 23, out=bits)
        np.add(found.view(np.int32), bits, out=part.view(np.int32))


def log(values: npt.ArrayLike) -> Any:
    """Give the natural logarithm of each value."""
    from scipy.special import xlogy

    return xlogy(1.0, values)


def median(values: npt.NDArray[np.floating[Any]]) -> Any:
    """Give what ``np.median`` gives of finite numbers, some times as fast: one place is sorted out.

    NumPy's looks for two at once, without vector instructions.
    """
    middle = values.size // 2
    parted = np.partition(values, middle, axis=None)
    if values.size % 2:
        return parted[middle]
    return (parted[:middle].max() + parted[middle]) / 2


def norm(vector: Floats) -> float:
    """Give the length of one vector."""
    return math.sqrt(float((vector * vector).sum()))


def arctan2(y: Floats, x: Floats) -> Floats:
    """Give the angles from the x axis towards the y axis."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(x + 1j * y).imag, dtype=np.float64)


def times(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Multiply complex numbers, one by one."""
    return np.asarray(np.einsum("...,...->...", one, other))


def squared_size(values: npt.NDArray[np.complexfloating[Any, Any]]) -> npt.NDArray[Any]:
    """Give the squared magnitude of complex numbers."""
    return values.real**2 + values.imag**2


def geometric(low: float, high: float, count: int) -> Floats:
    """Give numbers from ``low`` to ``high``, each the same multiple of the one before."""
    steps = np.linspace(math.log(low), math.log(high), count)
    result = np.asarray(exp(steps), dtype=np.float64)
    result[0], result[-1] = low, high
    return result


def gaussian_filter(
    values: npt.NDArray[np.floating[Any]], sigma: float, mode: str = "reflect"
) -> npt.NDArray[Any]:
    """Smooth as SciPy's filter of this name, whose weights depend on the processor."""
    from scipy.ndimage import correlate1d

    place = np.arange(-int(4 * sigma + 0.5), int(4 * sigma + 0.5) + 1)
    weights = exp(-0.5 / sigma**2 * place.astype(np.float64) ** 2)
    weights /= weights.sum()
    for axis in range(values.ndim):
        values = correlate1d(values, weights, axis, mode=mode)
    return values
