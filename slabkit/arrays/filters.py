"""Radial filters for finding blobs, and the cosine transforms that apply them.

An image is taken to continue beyond its border as its own mirror image, the border pixel repeated
(``d c b a | a b c d``). Its discrete cosine transform (type 2) then is its Fourier transform, so
that a radially symmetric filter is one real factor a frequency, nothing wraps around, and nothing
is padded. Leaving out high frequencies gives the image on a coarser grid of the same extent: pixel
``j`` of ``m`` covers the place ``(j + 1/2) n / m - 1/2`` of ``n``.

Filters are given by their transfer functions in ``q``, the angular frequency in radians an Å.
Distances are in Å, responses in the units of the image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import exp, log

Image: TypeAlias = npt.NDArray[np.float32]

_LOG_STEP = 1.5e-3  # between the entries of tables of transfer functions

BALL_SIGMA = 0.3010
"""Where the scale-normalised Laplacian of Gaussian answers a projected ball most strongly:
sigma = 0.3010 diameters (for a flat disc it is 1/sqrt(8) = 0.3536, for a Gaussian its own sigma).
"""

RIM_RADIUS = 0.8
"""Radius of the ring of the rim and shell filters, in radii of the particle."""

SURROUND_RADIUS = 1.8
"""Outer radius of the surround that rim and shell filters compare with, in radii of the particle;
its inner radius is the particle's."""

CORE_RADIUS = 0.5
"""Radius of the core that the shell filter compares with, in radii of the particle."""

RIM_SOFTNESS = 0.08
"""Standard deviation of the Gaussian by which rim and shell filters are softened, in diameters."""


def binned_shape(shape: tuple[int, int], factor: float) -> tuple[int, int]:
    """Give a size ``(y, x)`` that transforms quickly, pixels about ``factor`` times coarser.

    Not smaller than asked and never larger than ``shape``; a factor below 1 counts as 1.
    """
    from scipy.fft import next_fast_len

    factor = max(factor, 1.0)
    y, x = (min(n, next_fast_len(max(1, int(np.ceil(n / factor))), real=True)) for n in shape)
    return y, x


def cosine_spectrum(image: Image, binned: tuple[int, int]) -> Image:
    """Transform an image (y, x), keeping the frequencies that a coarser grid ``binned`` can hold.

    Best with its mean taken off, for precision. The result, of shape ``binned``, is for
    `filtered_image`.
    """
    from scipy.fft import dct

    # Column by column, and what is kept of that row by row.
    spectrum = dct(image, axis=0, norm="forward", orthogonalize=True)[: binned[0]]
    spectrum = dct(spectrum, axis=1, norm="backward", orthogonalize=True)[:, : binned[1]]
    height, width = image.shape
    scale = np.sqrt(binned[0] * binned[1] / image.size) * np.sqrt(height / width)
    return np.asarray(spectrum * np.float32(scale), dtype=np.float32)


def image_moments(image: Image) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Give the cosine spectra of an image and of its square, from which all masks take averages."""
    from scipy.fft import dctn

    exact = image.astype(np.float64)
    return dctn(exact, norm="ortho"), dctn(exact**2, norm="ortho")


def cropped_spectrum(spectrum: Image, binned: tuple[int, int]) -> Image:
    """Give the spectrum (from `cosine_spectrum`) of the same image on a still coarser grid."""
    if binned == spectrum.shape:
        return spectrum
    scale = np.sqrt(binned[0] * binned[1] / spectrum.size)
    return np.asarray(spectrum[: binned[0], : binned[1]] * np.float32(scale), dtype=np.float32)


def filtered_image(spectrum: Image, transfer: Image, out: Image | None = None) -> Image:
    """Filter a spectrum (from `cosine_spectrum`) and transform back to the coarser grid (y, x).

    ``transfer`` is real and holds the transfer function at `angular_frequencies`. ``out`` takes the
    image where it is given.
    """
    from scipy.fft import idctn

    product = np.multiply(spectrum, transfer, out=out)
    image = idctn(product, type=2, norm="ortho", overwrite_x=True)
    if out is None:
        return np.asarray(image, dtype=np.float32)
    if not np.may_share_memory(image, out):
        out[...] = image
    return out


def angular_frequencies(
    shape: tuple[int, int], binned: tuple[int, int], pixel_size: float
) -> npt.NDArray[np.float64]:
    """Give the angular frequency (radians an Å) of each coefficient of `cosine_spectrum`.

    Sizes are ``(y, x)`` in pixels; ``pixel_size``, in Å, is that of the image.
    """
    q_y, q_x = _axis_frequencies(shape, binned, pixel_size)
    return np.asarray(np.hypot(q_y[:, None], q_x[None, :]), dtype=np.float64)


def _axis_frequencies(
    shape: tuple[int, int], binned: tuple[int, int], pixel_size: float
) -> list[npt.NDArray[np.float64]]:
    axes = zip(shape, binned, strict=True)
    return [np.pi * np.arange(m, dtype=np.float64) / (n * pixel_size) for n, m in axes]


def fine_position(index: npt.ArrayLike, n: int, m: int) -> npt.NDArray[np.float64]:
    """Turn places on a coarser grid into pixels of the image, 0 = centre of the first.

    ``n`` and ``m`` are the pixels of the image and of the coarser grid along that axis. Not beyond
    the centres of the first and last pixel.
    """
    place = (np.asarray(index, dtype=np.float64) + 0.5) * (n / m) - 0.5
    return np.clip(place, 0.0, n - 1.0)


def coarse_position(place: npt.ArrayLike, n: int, m: int) -> npt.NDArray[np.float64]:
    """Turn pixels of the image into places on a coarser grid; see `fine_position`."""
    return (np.asarray(place, dtype=np.float64) + 0.5) * (m / n) - 0.5


class LadderFrequencies:
    """Frequencies ``q`` to which costly transfer functions of a ladder of sizes are interpolated.

    A function of frequency times size is the same curve for every size, only shifted along a
    logarithmic scale. So one table of it serves all sizes, and each frequency has one place between
    two entries. Right to about 1e-5 of a transfer function whose largest distance is the size.

    Parameters
    ----------
    q : ndarray of float64, shape (y, x)
        In radians an Å; the first is 0.
    sizes : ndarray of float64, shape (rungs,)
        A geometric series, in Å.
    """

    def __init__(self, q: npt.NDArray[np.float64], sizes: npt.NDArray[np.float64]) -> None:
        growth = math.log(sizes[1] / sizes[0]) if len(sizes) > 1 else 1.0
        self._apart = math.ceil(growth / _LOG_STEP)  # entries between one size and the next
        step = growth / self._apart
        place = log(q.ravel()[1:])
        lowest = float(place.min(initial=0.0))
        place -= lowest
        place /= step
        self._index = place.astype(np.int64)
        place -= self._index
        self._fraction = place.astype(np.float32)
        entries = int(self._index.max(initial=0)) + 2 + self._apart * (len(sizes) - 1)
        self._products = np.asarray(exp(lowest + step * np.arange(entries))) * sizes[0]
        self._shape, self._rungs = q.shape, len(sizes)

    def transfers(
        self, function: Callable[[npt.NDArray[Any], float], Image], factor: float, first: int = 0
    ) -> list[Image]:
        """Give the transfer functions of all sizes from the ``first`` on, times ``factor``.

        ``function`` takes angular frequencies and a diameter, like `rim_transfer`.
        """
        values = function(self._products, factor)
        steps = np.diff(values)
        level = function(np.zeros(1), factor)
        room = np.empty(self._index.shape, dtype=np.float32)
        found = []
        for start in range(first * self._apart, self._rungs * self._apart, self._apart):
            transfer = np.empty(self._shape, dtype=np.float32)
            into = transfer.reshape(-1)
            into[:1] = level
            # Nothing is clipped; otherwise NumPy would not write where it is told at once.
            values[start:].take(self._index, out=into[1:], mode="clip")
            steps[start:].take(self._index, out=room, mode="clip")
            room *= self._fraction
            into[1:] += room
            found.append(transfer)
        return found


def laplacian_transfer(q: npt.NDArray[Any], diameter: float) -> Image:
    """Scale-normalised Laplacian of Gaussian [1]_, sign such that bright blobs answer positively.

    Sigma is `BALL_SIGMA` times the diameter (Å) of the projected ball with the largest answer.

    References
    ----------
    .. [1] T. Lindeberg, Int. J. Comput. Vis. 30 (1998) 79-116.
    """
    square = (BALL_SIGMA * diameter * q) ** 2
    return np.asarray(square * exp(-square / 2), dtype=np.float32)


def gaussian_transfer(
    shape: tuple[int, int], binned: tuple[int, int], pixel_size: float, sigma: float
) -> Image:
    """Gaussian low-pass (sigma in Å) at the frequencies of `angular_frequencies`."""
    y, x = (exp(-((sigma * q) ** 2) / 2) for q in _axis_frequencies(shape, binned, pixel_size))
    return np.asarray(y[:, None] * x, dtype=np.float32)


def rim_transfer(q: npt.NDArray[Any], diameter: float) -> Image:
    """Mean along a particle's rim less the mean of its surround; diameter of the particle in Å.

    Solid and hollow particles both have a rim, whereas the Laplacian of Gaussian responds weakly to
    a hollow one and strongly to its wall.
    """
    ring, surround = _ring_and_surround(q, diameter)
    return np.asarray((ring - surround) * _softening(q, diameter), dtype=np.float32)


def shell_transfer(q: npt.NDArray[Any], diameter: float) -> Image:
    """Mean along a hollow particle's wall less the mean of its core and of its surround."""
    ring, surround = _ring_and_surround(q, diameter)
    core = _disc(q * (diameter / 2) * CORE_RADIUS)
    return np.asarray((ring - (surround + core) / 2) * _softening(q, diameter), dtype=np.float32)


def _ring_and_surround(q: npt.NDArray[Any], diameter: float) -> tuple[Any, Any]:
    """Transfer functions of the means along the ring and over the surround."""
    from scipy.special import j0

    radius = diameter / 2
    ratio = SURROUND_RADIUS**2
    surround = (ratio * _disc(q * radius * SURROUND_RADIUS) - _disc(q * radius)) / (ratio - 1)
    return j0(q * radius * RIM_RADIUS), surround


def _disc(argument: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Transfer function of the mean over a disc, at ``q`` times its radius."""
    from scipy.special import j1

    safe = np.where(argument > 1e-6, argument, 1.0)
    return np.where(argument > 1e-6, 2 * j1(safe) / safe, 1.0)


def _softening(q: npt.NDArray[Any], diameter: float) -> npt.NDArray[Any]:
    return np.asarray(exp(-((RIM_SOFTNESS * diameter * q) ** 2) / 2))
