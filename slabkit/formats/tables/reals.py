"""Floats as the shortest text that reads back equal, many at once, byte for byte as ``repr``.

A decimal of at most 15 digits is found by scaling with a power of ten, which is exact to half a
unit, and proved by the division, which is exact where both numbers are exact. For 16 and 17 digits
the product is taken with its rounding error (Dekker's product), so that the nearest decimal and
its distance are known; the few cases too close to call are left to ``repr``.
T. J. Dekker, Numer. Math. 18, 224 (1971); W. D. Clinger, PLDI (1990).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_POWERS = np.array([float(f"1e{n}") for n in range(23)])  # exact
_BOUNDS = np.array([float(f"1e{n}") for n in range(-5, 18)])
_LEAST, _MOST = 1e-4, 1e15  # repr writes these without an exponent; 1e15 to 1e16 are rare
_DIGITS = 17
_SPLITTER = 2.0**27 + 1
_PLAIN = [b"%04d" % number for number in range(10_000)]
# Then without the last zeros; numpy 2.0's own rstrip takes too many off.
_FOUR = np.array([*_PLAIN, *(four.rstrip(b"0") for four in _PLAIN)], dtype="S4")


def real_text(value: float) -> str:
    """Write a float as short as it reads back equal, whole numbers with a decimal."""
    return repr(float(value))


def real_texts(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bytes_]:
    """Write floats as `real_text` does each of them."""
    texts = np.zeros(len(values), dtype="S26")
    size = np.abs(values)
    texts[values == 0] = b"0.0"
    texts[np.isnan(values)] = b"nan"
    plain = np.flatnonzero((size >= _LEAST) & (size < _MOST))
    whole, exponent, sure = _decimals(size[plain])
    _lay_out(texts, plain, whole, exponent, values[plain] < 0)
    rest = np.isinf(values) | ((size > 0) & (size < _LEAST)) | (size >= _MOST)
    rest |= np.signbit(values) & (values == 0)
    rest[plain[~sure]] = True
    for row in np.flatnonzero(rest).tolist():
        texts[row] = repr(float(values[row])).encode()
    return texts


def _decimals(
    size: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Give shortest decimals: as 17-digit integers, exponents of first digits, which are proved."""
    exponent = np.floor(np.log10(size)).astype(np.intp)
    exponent += size >= _BOUNDS[exponent + 6]
    exponent -= size < _BOUNDS[exponent + 5]
    scale = _POWERS[14 - exponent]
    nearest = np.rint(size * scale)
    short = (nearest / scale == size) & (nearest < 1e15)
    whole = nearest.astype(np.int64) * 100
    sure = short.copy()
    long = np.flatnonzero(~short)
    if len(long):
        whole[long], sure[long] = _long_decimals(size[long], exponent[long])
    return whole, exponent, sure


def _long_decimals(
    size: npt.NDArray[np.float64], exponent: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Give the nearest decimals of 16 digits where those read back equal, else of 17."""
    product, error = _exact_product(size, _POWERS[15 - exponent])
    below = np.floor(product)
    above = (product - below) + error
    step = np.rint(above)
    distance = np.abs(step - above)
    reach = 0.5 * np.spacing(size) * _POWERS[15 - exponent]  # within it a decimal reads back equal
    sixteen = distance < reach
    whole = (below.astype(np.int64) + step.astype(np.int64)) * 10
    sure = (np.abs(distance - reach) > 1e-6) & ((distance < 0.499999) | ~sixteen)
    product, error = _exact_product(size, _POWERS[16 - exponent])
    step = np.rint(error)
    sure &= sixteen | (np.abs(step - error) < 0.499999)
    whole = np.where(sixteen, whole, product.astype(np.int64) + step.astype(np.int64))
    sure &= (whole >= 10**16) & (whole < 10**17)
    sure &= np.frexp(size)[0] != 0.5  # below a power of two the floats lie twice as close
    return whole, sure


def _exact_product(
    a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Give the product of floats and its rounding error."""
    product = a * b
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, error


def _split(a: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    scaled = a * _SPLITTER
    high = scaled - (scaled - a)
    return high, a - high


def _lay_out(
    texts: npt.NDArray[np.bytes_],
    rows: npt.NDArray[np.intp],
    whole: npt.NDArray[np.int64],
    exponent: npt.NDArray[np.intp],
    negative: npt.NDArray[np.bool_],
) -> None:
    """Put the decimals into texts, those of one sign and exponent at a time."""
    digits = np.empty((len(whole), 5), dtype="S4")
    rest = whole
    last = np.full(len(whole), 10_000)  # 0 once a figure but zero was behind
    for place in range(4, -1, -1):
        quotient = rest // 10_000
        four = rest - quotient * 10_000
        digits[:, place] = _FOUR[four + last]
        last *= four == 0
        rest = quotient
    figures = digits.view(np.uint8).reshape(-1, 20)[:, 20 - _DIGITS :]
    width = texts.dtype.itemsize
    by_layout = exponent * 2 + negative
    for layout in np.unique(by_layout).tolist():
        own = np.flatnonzero(by_layout == layout)
        first, minus = layout // 2, layout % 2
        out = np.zeros((len(own), width), dtype=np.uint8)
        part = figures.take(own, axis=0)
        part[:, : max(first + 2, 0)] |= ord("0")  # zeros up to the first decimal stay
        lead = b"-" * minus + (b"" if first >= 0 else b"0." + b"0" * (-first - 1))
        out[:, : len(lead)] = np.frombuffer(lead, dtype=np.uint8)
        if first < 0:
            out[:, len(lead) : len(lead) + _DIGITS] = part
        else:
            point = len(lead) + first + 1
            out[:, len(lead) : point] = part[:, : first + 1]
            out[:, point] = ord(".")
            out[:, point + 1 : len(lead) + _DIGITS + 1] = part[:, first + 1 :]
        texts[rows[own]] = out.view(texts.dtype)[:, 0]
