"""Locally normalised cross-correlation of an image with a bank of templates under one mask.

For a template ``t`` and an image ``I`` under weights ``w`` (a soft circle, sum 1) the coefficient
at a place is the weighted covariance of the two over the product of their weighted standard
deviations (Roseman 2003, Ultramicroscopy 94:225, there with a sharp mask). The image's local mean
and standard deviation depend on the mask alone, so rotated templates share them.

A bank of rotated templates has far fewer dimensions than members, a low-passed image under a mask
having only so many. A singular value decomposition gives a basis in which every template is held to
a stated tolerance; the image is correlated with the basis by FFT, tile by tile, and what is left
for each template is a product of small matrices. The first coordinates hold most of each template;
the others are used where the bound that the Cauchy-Schwarz inequality sets to them says that the
coefficient can still reach the floor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Singles = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

DEFAULT_TOLERANCE = 0.01
"""Largest error of a coefficient (they lie between -1 and 1) by leaving out dimensions."""

_LARGEST_TILE = 256  # pixels a side
_CHUNK = 1024  # places that are worked on at a time
_FIRST_TOLERANCE = 0.2  # of the coordinates that are used everywhere


@dataclass(frozen=True)
class TemplateBank:
    """Templates under one mask, in a common basis.

    Parameters
    ----------
    weights : ndarray of float64, shape (side, side)
        Sum 1; ``side`` is odd and the centre is in the middle.
    kernels : ndarray of float32, shape (dimensions, side, side)
        What to correlate an image with for its coordinates, the most important first.
    coefficients : ndarray of float32, shape (templates, dimensions)
        Coordinates of the templates, of length 1 less what was left out.
    first : int
        So many dimensions hold every template to `_FIRST_TOLERANCE`.
    tail : float
        Largest length of a template in the other dimensions.
    residual : float
        Largest length of a template in the dimensions left out: the largest error of a
        coefficient.
    """

    weights: Floats
    kernels: Singles
    coefficients: Singles
    first: int
    tail: float
    residual: float

    @property
    def reach_px(self) -> int:
        """Pixels from the centre to the border of the templates."""
        return len(self.weights) // 2


def compress_templates(
    templates: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating],
    tolerance: float = DEFAULT_TOLERANCE,
) -> TemplateBank:
    """Find a basis for templates.

    Parameters
    ----------
    templates : ndarray, shape (templates, side, side)
        ``side`` odd. A template that is constant under the mask correlates with nothing.
    weights : ndarray, shape (side, side)
        Not negative, the same for all templates.
    tolerance : float, optional
        Largest error of a coefficient that leaving out dimensions may make; 0 leaves out none.

    Returns
    -------
    TemplateBank
    """
    weights = np.asarray(weights, dtype=np.float64) / np.sum(weights, dtype=np.float64)
    inside = np.flatnonzero(weights)
    root = np.sqrt(weights.ravel()[inside])
    vectors = np.asarray(templates, dtype=np.float64).reshape(len(templates), -1)[:, inside]
    vectors = (vectors - (vectors @ root**2)[:, None]) * root
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    directions, coordinates = _principal(vectors)
    left = np.maximum(1 - np.cumsum(coordinates**2, axis=1), 0) * (length > 0)
    longest = np.sqrt(left.max(axis=0))  # after 1, 2, ... dimensions

    def enough(limit: float) -> int:
        return min(int(np.count_nonzero(longest > limit)) + 1, len(longest))

    count, first = enough(tolerance), enough(max(_FIRST_TOLERANCE, tolerance))
    kernels = np.zeros((count, weights.size), dtype=np.float32)
    kernels[:, inside] = directions[:, :count].T * root
    coefficients = coordinates[:, :count].astype(np.float32)
    tail = float(np.linalg.norm(coefficients[:, first:], axis=1).max(initial=0.0))
    return TemplateBank(
        weights,
        kernels.reshape(count, *weights.shape),
        coefficients,
        first,
        tail,
        float(longest[count - 1]),
    )


def _principal(vectors: Floats) -> tuple[Floats, Floats]:
    """Give orthonormal directions, the most important first, and the coordinates along them."""
    members, pixels = vectors.shape
    if members < pixels:
        value, mixed = np.linalg.eigh(vectors @ vectors.T)
        keep = value[::-1] > 1e-10 * max(float(value[-1]), 1e-300)
        scale = np.sqrt(np.maximum(value[::-1][keep], 1e-300))
        directions = vectors.T @ mixed[:, ::-1][:, keep] / scale
    else:
        _, mixed = np.linalg.eigh(vectors.T @ vectors)
        directions = mixed[:, ::-1]
    # The sign of an eigenvector is the library's whim.
    largest = np.abs(directions).argmax(axis=0)
    sign = np.where(directions[largest, np.arange(directions.shape[1])] < 0, -1.0, 1.0)
    directions = directions * sign
    return directions, vectors @ directions


class TemplateMatcher:
    """Correlates images of one size with a bank of templates.

    Beyond its border an image continues as its mirror image.

    Parameters
    ----------
    shape : (int, int)
        Size ``(y, x)`` of the images.
    bank : TemplateBank
    softening : float, optional
        To the local variance is added the square of this many times its root's median over the
        image, so that places without any contrast do not count for much.
    """

    def __init__(self, shape: tuple[int, int], bank: TemplateBank, softening: float = 0.0) -> None:
        from scipy.fft import next_fast_len

        self.shape, self.bank, self._softening = shape, bank, softening
        reach = bank.reach_px
        room = max(_LARGEST_TILE - 2 * reach, 2 * reach, 1)
        tiles = [-(-n // room) for n in shape]
        self._valid = [-(-n // count) for n, count in zip(shape, tiles, strict=True)]
        self._sides = [next_fast_len(n + 2 * reach, real=True) for n in self._valid]
        self._spectra = self._kernel_spectra(bank.kernels)
        self._weight_spectrum = self._kernel_spectra(bank.weights[None])[0]

    def _kernel_spectra(self, kernels: npt.NDArray[np.floating]) -> npt.NDArray[np.complexfloating]:
        from scipy.fft import rfft2

        return np.stack([np.conj(rfft2(kernel, s=self._sides)) for kernel in kernels])

    def image(self, image: Singles) -> MatchedImage:
        """Prepare an image.

        Parameters
        ----------
        image : ndarray of float32, shape (y, x)
            Finite.

        Returns
        -------
        MatchedImage
        """
        from scipy.fft import irfft2, rfft2

        reach = self.bank.reach_px
        padded = _mirrored(image, reach)
        spectra, variance = [], np.empty(self.shape)
        for rows, columns, tile in self._tiles(padded):
            spectra.append(rfft2(tile, s=self._sides))
            height, width = rows.stop - rows.start, columns.stop - columns.start
            double = tile.astype(np.float64)
            mean, square = (
                irfft2(rfft2(part, s=self._sides) * self._weight_spectrum, s=self._sides)
                for part in (double, double**2)
            )
            variance[rows, columns] = (square - mean**2)[:height, :width]
        middle = float(np.median(variance))
        # Rounding leaves something of a constant surround; nothing stands out there.
        smallest = max(1e-6 * float(variance.max()), 1e-30)
        deviation = np.sqrt(np.maximum(variance + self._softening**2 * middle, smallest))
        return MatchedImage(self, padded, spectra, deviation.astype(np.float32))

    def _tiles(self, padded: Singles) -> list[tuple[slice, slice, Singles]]:
        reach = self.bank.reach_px
        height, width = self.shape
        tiles = []
        for top in range(0, height, self._valid[0]):
            bottom = min(top + self._valid[0], height)
            for left in range(0, width, self._valid[1]):
                right = min(left + self._valid[1], width)
                tile = padded[top : bottom + 2 * reach, left : right + 2 * reach]
                tiles.append((slice(top, bottom), slice(left, right), tile))
        return tiles


class MatchedImage:
    """One image, ready to be correlated; made by `TemplateMatcher.image`.

    Attributes
    ----------
    deviation : ndarray of float32, shape (y, x)
        Local standard deviation under the mask.
    """

    def __init__(
        self,
        matcher: TemplateMatcher,
        padded: Singles,
        spectra: list[npt.NDArray[np.complex64]],
        deviation: Singles,
    ) -> None:
        self._matcher, self._padded, self._spectra = matcher, padded, spectra
        self.deviation = deviation

    def at(self, y: Indices, x: Indices) -> tuple[Singles, Indices]:
        """Give the highest coefficient over all templates at some places, and whose it is.

        Parameters
        ----------
        y, x : ndarray of int, shape (places,)

        Returns
        -------
        highest : ndarray of float32, shape (places,)
        template : ndarray of int64, shape (places,)
            The first of equal ones.
        """
        bank = self._matcher.bank
        side = len(bank.weights)
        patches = np.lib.stride_tricks.sliding_window_view(self._padded, (side, side))
        kernels = bank.kernels.reshape(len(bank.kernels), -1).T
        highest = np.empty(len(y), dtype=np.float32)
        template = np.empty(len(y), dtype=np.int64)
        for start in range(0, len(y), _CHUNK):
            part = slice(start, start + _CHUNK)
            coordinates = patches[y[part], x[part]].reshape(-1, side * side) @ kernels
            values = coordinates @ bank.coefficients.T
            template[part] = values.argmax(axis=1)
            highest[part] = values.max(axis=1)
        return highest / self.deviation[y, x], template

    def highest(self, floor: float = -np.inf) -> Singles:
        """Give the highest coefficient over all templates at every place.

        Parameters
        ----------
        floor : float, optional
            Lower values need not be known.

        Returns
        -------
        ndarray of float32, shape (y, x)
            Right wherever it is ``floor`` or more, and beside such a place; elsewhere right or
            -2.
        """
        from scipy.fft import irfft2

        matcher = self._matcher
        bank, sides = matcher.bank, matcher._sides
        result = np.empty(matcher.shape, dtype=np.float32)
        pieces = zip(matcher._tiles(self._padded), self._spectra, strict=True)
        for (rows, columns, _), spectrum in pieces:
            height, width = rows.stop - rows.start, columns.stop - columns.start
            coordinates = np.empty((len(bank.kernels), height * width), dtype=np.float32)
            for row, kernel in zip(coordinates, matcher._spectra, strict=True):
                plane = irfft2(spectrum * kernel, s=sides, overwrite_x=True)
                row.reshape(height, width)[:] = plane[:height, :width]
            deviation = self.deviation[rows, columns]
            coordinates /= deviation.ravel()
            result[rows, columns] = _highest_bounded(bank, coordinates, (height, width), floor)
        return result


def _highest_bounded(
    bank: TemplateBank, coordinates: Singles, shape: tuple[int, int], floor: float
) -> Singles:
    """Give the highest coefficients of a tile; see `MatchedImage.highest`."""
    first = bank.first
    if floor > -1 and first < len(bank.kernels):
        bound = _highest(bank.coefficients[:, :first], coordinates[:first])
        rest = np.sqrt(np.einsum("kp,kp->p", coordinates[first:], coordinates[first:]))
        bound += np.float32(bank.tail) * rest + np.float32(1e-5)
        possible = (bound >= floor).reshape(shape)
        # Peaks are refined from their neighbours; on the border another tile may need them.
        wanted = possible.copy()
        for axis in (0, 1):
            into, of = np.moveaxis(wanted, axis, 0), np.moveaxis(wanted.copy(), axis, 0)
            into[1:] |= of[:-1]
            into[:-1] |= of[1:]
            into[[0, -1]] = True
        places = np.flatnonzero(wanted)
    else:
        places = np.arange(coordinates.shape[1])
    result = np.full(coordinates.shape[1], -2.0, dtype=np.float32)
    result[places] = _highest(bank.coefficients, coordinates[:, places])
    return result.reshape(shape)


def _highest(coefficients: Singles, coordinates: Singles) -> Singles:
    result = np.empty(coordinates.shape[1], dtype=np.float32)
    for start in range(0, len(result), _CHUNK):
        part = slice(start, start + _CHUNK)
        np.max(coefficients @ coordinates[:, part], axis=0, out=result[part])
    return result


def _mirrored(image: Singles, reach: int) -> Singles:
    """Continue an image as its mirror image; again and again, should it be small."""
    return np.pad(image, reach, mode="symmetric")


def soft_disc(
    reach_px: int, radius: float, softness: float, pixel_size: tuple[float, float]
) -> Floats:
    """Draw a disc whose edge falls as half a cosine.

    Parameters
    ----------
    reach_px : int
        Pixels from the centre to the border of the image.
    radius : float
        Where the edge begins to fall, Å.
    softness : float
        Width of the edge, Å.
    pixel_size : (float, float)
        Along y and x, Å.

    Returns
    -------
    ndarray of float64, shape (2 reach_px + 1, 2 reach_px + 1)
        1 inside, 0 outside.
    """
    line = np.arange(-reach_px, reach_px + 1)
    away = np.hypot(line[:, None] * pixel_size[0], line[None, :] * pixel_size[1])
    fall = np.clip((away - radius) / softness, 0, 1)
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * fall))
