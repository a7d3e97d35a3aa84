"""Locally normalised cross-correlation of an image with a bank of templates under one mask.

For a template ``t`` and an image ``I`` under weights ``w`` (a soft circle, sum 1) the coefficient
at a place is the weighted covariance of the two over the product of their weighted standard
deviations (Roseman 2003, Ultramicroscopy 94:225, there with a sharp mask). The image's local mean
and standard deviation depend on the mask alone, so rotated templates share them.

The image is correlated with the basis of the bank by FFT, tile by tile, and what is left for each
template is a product of small matrices. The first coordinates hold most of each template;
the others are used where the bound that the Cauchy-Schwarz inequality sets to them says that the
coefficient can still reach the floor.

What takes the time runs on a `Backend`: transforming back, these products, and the highest of them.
The bank goes there once. What is done once an image stays in NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.backends import Backend
from slabkit.arrays.exact import times
from slabkit.arrays.peaks import parabola
from slabkit.arrays.template_bank import Floats, Singles, TemplateBank

Indices = npt.NDArray[np.int64]

_LARGEST_TILE = 256  # pixels a side
_LANCZOS = 4  # pixels either way
_ASIDE = 0.25  # pixels between the places through which a parabola is laid
_PAIRS = 2**14  # of templates and places
_CHUNK = 1024  # places that are worked on at a time; they fit in a processor's cache
_DEVICE_BYTES = 32  # of a value that a device makes: spectra, their product, what its FFT takes


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
    backend : Backend, optional
        Where the heavy work is done. Default: NumPy.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        bank: TemplateBank,
        softening: float = 0.0,
        backend: Backend | None = None,
    ) -> None:
        from scipy.fft import next_fast_len

        self.shape, self.bank, self._softening = shape, bank, softening
        self._backend = Backend() if backend is None else backend
        reach = bank.reach_px
        room = max(_LARGEST_TILE - 2 * reach, 2 * reach, 1)
        tiles = [-(-n // room) for n in shape]
        self._valid = [-(-n // count) for n, count in zip(shape, tiles, strict=True)]
        self._sides = [next_fast_len(n + 2 * reach, real=True) for n in self._valid]
        put = self._backend.put
        self._spectra = put(self._kernel_spectra(bank.kernels))
        self._kernels = self._backend.operand(bank.kernels.reshape(len(bank.kernels), -1).T)
        self._coefficients = put(bank.coefficients)
        self._on_processor = type(self._backend) is Backend
        self._parities: list[tuple[Indices, Any, Any]] = []
        if bank.odd is not None:
            pairs = bank.coefficients.reshape(-1, 2, bank.turns // 2, len(bank.odd))
            half = pairs[:, 0].reshape(-1, len(bank.odd))
            for odd in (False, True):
                own = np.flatnonzero(bank.odd == odd)
                self._parities.append((own, put(own), put(np.ascontiguousarray(half[:, own]))))
        self._weight_spectrum = self._kernel_spectra(bank.weights[None])[0]

    def _kernel_spectra(self, kernels: npt.NDArray[np.floating]) -> npt.NDArray[np.complexfloating]:
        from scipy.fft import rfft2

        return np.stack([np.conj(rfft2(kernel, s=self._sides)) for kernel in kernels])

    def _chunks(self, count: int, values: int, on_processor: int) -> Iterator[slice]:
        """Split items that make ``values`` values each into batches."""
        on_device = max(1, int(self._backend.memory / _DEVICE_BYTES) // values)
        step = on_processor if self._on_processor else on_device
        return (slice(start, min(start + step, count)) for start in range(0, count, step))

    def image(self, image: Singles) -> MatchedImage:
        """Prepare a finite image of float32, shape (y, x)."""
        from scipy.fft import irfft2, rfft2

        reach = self.bank.reach_px
        padded = _mirrored(image, reach)
        spectra, variance = [], np.empty(self.shape)
        for rows, columns, tile in self._tiles(padded):
            spectra.append(rfft2(tile, s=self._sides))
            height, width = rows.stop - rows.start, columns.stop - columns.start
            double = tile.astype(np.float64)
            mean, square = (
                irfft2(times(rfft2(part, s=self._sides), self._weight_spectrum), s=self._sides)
                for part in (double, double**2)
            )
            variance[rows, columns] = (square - mean**2)[:height, :width]
        middle = float(np.median(variance))
        # Rounding leaves a little variance in a constant surround, which must not be divided by.
        smallest = max(1e-6 * float(variance.max()), 1e-30)
        deviation = np.sqrt(np.maximum(variance + self._softening**2 * middle, smallest))
        return MatchedImage(self, padded, spectra, deviation.astype(np.float32))

    def _highest_bounded(self, planes: Any, floor: Singles) -> Singles:
        """Give the highest coefficients of a tile by its coordinates, (dimensions, y, x)."""
        bank, backend, first = self.bank, self._backend, self.bank.first
        count, *shape = planes.shape
        coordinates = planes.reshape(count, -1)
        floor = floor.ravel()
        # No coefficient exceeds the length of the coordinates.
        length = np.sqrt(backend.get(backend.sum_of_products(coordinates, coordinates, 0)))
        places = np.flatnonzero(length + np.float32(1e-5) >= floor)
        if first < count and len(places):
            some = coordinates if len(places) == len(floor) else coordinates[:, backend.put(places)]
            bound = backend.get(self._highest(some[:first]))
            others = some[first:]
            rest = np.sqrt(backend.get(backend.sum_of_products(others, others, 0)))
            bound += np.float32(bank.tail) * rest + np.float32(1e-5)
            places = places[bound >= floor[places]]
        if len(places) < len(floor):
            places = _with_neighbours(places, shape)
        result = np.full(coordinates.shape[1], -2.0, dtype=np.float32)
        some = coordinates[:, backend.put(places)]
        result[places] = backend.get(self._highest(some, exact=self._on_processor))
        return result.reshape(shape)

    def _highest(self, coordinates: Any, exact: bool = False) -> Any:
        """Give the highest product with a template, by its first coordinates.

        ``exact``, on the processor: the same on every one.
        """
        used, count = coordinates.shape
        result = self._backend.empty((count,))
        # Half a turn changes the sign of odd coordinates only, and the better half has the higher
        # sum: the even part and the size of the odd one.
        banks = [
            (own[:kept], coefficients[:, :kept])
            for kept, own, coefficients in (
                (int(np.searchsorted(numbers, used)), own, coefficients)
                for numbers, own, coefficients in self._parities
            )
        ] or [(slice(None), self._coefficients[:, :used])]
        for part in self._chunks(count, len(banks[0][1]), _CHUNK):
            some = (
                coordinates[:, part].astype(np.float32, copy=False)
                if exact
                else coordinates[:, part]
            )
            products = banks[0][1] @ some[banks[0][0]]
            for own, of_odd in banks[1:]:
                others = of_odd @ some[own]
                self._backend.absolute(others)
                products += others
            if exact:
                _, place, value = _settled(products, coordinates[:, part], banks)
                result[part] = -np.inf
                np.maximum.at(result[part], place, value.astype(np.float32))
            else:
                result[part] = self._backend.highest(products, 0)
        return result

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

    def highest_at(self, y: npt.ArrayLike, x: npt.ArrayLike) -> Singles:
        """Give the highest coefficients that `at` gives."""
        matcher = self._matcher
        highest = [
            matcher._backend.get(matcher._highest(coordinates.T, exact=matcher._on_processor))
            for _, coordinates in self._coordinates(y, x)
        ]
        found: Singles = np.concatenate([np.empty(0, np.float32), *highest])
        return found / self._deviation_at(y, x)

    def _deviation_at(self, y: npt.ArrayLike, x: npt.ArrayLike) -> Singles:
        row, column = (
            _whole_and_part(place, n)[0]
            for place, n in zip((y, x), self.deviation.shape, strict=True)
        )
        return np.asarray(self.deviation[row, column])

    def at(self, y: npt.ArrayLike, x: npt.ArrayLike) -> tuple[Singles, Indices]:
        """Give the highest coefficient over all templates at places (pixels), and whose it is.

        Between pixels the image is interpolated (Lanczos), and its standard deviation that of the
        nearest pixel. Of equal templates the first counts.
        """
        backend = self._matcher._backend
        deviation = self._deviation_at(y, x)
        highest = np.empty(len(deviation), dtype=np.float32)
        template = np.empty(len(deviation), dtype=np.int64)
        matcher = self._matcher
        for part, coordinates in self._coordinates(y, x):
            some = coordinates.T
            if matcher._on_processor:
                some = some.astype(np.float32)
            values = matcher._coefficients @ some
            if matcher._on_processor:
                bank = [(slice(None), matcher._coefficients)]
                which, place, value = _settled(values, coordinates.T, bank)
                order = np.lexsort((which, -value, place))
                _, first = np.unique(place[order], return_index=True)
                template[part], highest[part] = which[order][first], value[order][first]
            else:
                template[part] = backend.get(values.argmax(0))
                highest[part] = backend.get(backend.highest(values, 0))
        return highest / deviation, template

    def refined(
        self, y: npt.ArrayLike, x: npt.ArrayLike, template: Indices
    ) -> tuple[Floats, Floats]:
        """Give where, within half a pixel of places, a template correlates best, by parabolas."""
        from scipy.ndimage import map_coordinates

        backend, coefficients = self._matcher._backend, self._matcher._coefficients
        start_y, start_x = (np.asarray(place, dtype=np.float64) for place in (y, x))

        def values(down: float, right: float) -> Floats:
            places = start_y + down, start_x + right
            result = np.empty(len(start_y))
            for part, coordinates in self._coordinates(*places):
                own = coefficients[backend.put(template[part])]
                result[part] = backend.get(backend.sum_of_products(coordinates, own, 1))
            return np.asarray(
                result / map_coordinates(self.deviation, places, order=1, mode="nearest"),
                dtype=np.float64,
            )

        centre = values(0, 0)
        moved = []
        for down, right in ((_ASIDE, 0.0), (0.0, _ASIDE)):
            shift, _, _ = parabola(values(-down, -right), centre, values(down, right))
            moved.append(np.clip(_ASIDE * shift, -0.5, 0.5))
        return start_y + moved[0], start_x + moved[1]

    def _coordinates(self, y: npt.ArrayLike, x: npt.ArrayLike) -> Iterator[tuple[slice, Any]]:
        """Give coordinates in the bank's basis, by chunks of shape (places, dimensions)."""
        matcher = self._matcher
        backend, bank = matcher._backend, matcher.bank
        side = len(bank.weights)
        (row, down), (column, right) = (
            _whole_and_part(place, n) for place, n in zip((y, x), self.deviation.shape, strict=True)
        )
        between = bool(down.any() or right.any())
        around = _LANCZOS if between else 0
        wide = side + 2 * around
        continued = np.pad(self._padded, around, mode="edge")
        windows = backend.windows(backend.put(continued), wide)
        values = max(wide**2, len(bank.coefficients))
        for part in matcher._chunks(len(row), values, _CHUNK):
            patches = windows[backend.put(row[part]), backend.put(column[part])]
            if between:
                for axis, away in ((1, down[part]), (2, right[part])):
                    patches = _moved(patches, backend.put(_lanczos_weights(away)), axis)
            yield part, backend.product(patches.reshape(-1, side * side), matcher._kernels)

    def highest(self, floor: float | Singles = -np.inf) -> Singles:
        """Give the highest coefficient over all templates at every place, shape (y, x).

        Right wherever it is ``floor`` or more, and next to such a place; elsewhere right or -2.
        """
        matcher = self._matcher
        backend, sides, count = matcher._backend, matcher._sides, len(matcher.bank.kernels)
        result = np.empty(matcher.shape, dtype=np.float32)
        floors = np.broadcast_to(np.float32(floor), matcher.shape)
        pieces = zip(matcher._tiles(self._padded), self._spectra, strict=True)
        for (rows, columns, _), spectrum in pieces:
            height, width = rows.stop - rows.start, columns.stop - columns.start
            spectrum = backend.put(spectrum)
            planes = backend.empty((count, height, width))
            for part in matcher._chunks(count, math.prod(sides), 1):
                whole = backend.irfft2(spectrum, matcher._spectra[part], sides)
                planes[part] = whole[:, :height, :width]
            planes /= backend.put(self.deviation[rows, columns])
            result[rows, columns] = matcher._highest_bounded(planes, floors[rows, columns])
        return result


def _settled(
    products: Singles, coordinates: npt.NDArray[np.floating], banks: list[tuple[Any, Any]]
) -> tuple[Indices, Indices, Floats]:
    """Give templates and places whose products may be a place's highest, and the exact products.

    Every processor's linear algebra rounds otherwise, but by far less than 1e-5 of a length.
    """
    length = np.sqrt(np.einsum("ij,ij->j", coordinates, coordinates))
    near = products >= products.max(0) - 1e-5 * length
    near[1:, length == 0] = False
    template, place = np.divmod(np.flatnonzero(near), near.shape[1])
    value = np.empty(len(template))
    for start in range(0, len(value), _PAIRS):
        some = slice(start, start + _PAIRS)
        parts = [
            np.einsum(
                "pk,kp->p",
                coefficients[template[some]].astype(np.float64),
                coordinates[own][:, place[some]].astype(np.float64),
            )
            for own, coefficients in banks
        ]
        value[some] = parts[0] + (np.abs(parts[1]) if len(parts) > 1 else 0)
    return template, place, value


def _with_neighbours(places: Indices, shape: list[int]) -> Indices:
    """Add the places beside some of a tile: peaks are refined from them.

    And those on the border, which another tile may need.
    """
    wanted = np.zeros(math.prod(shape), dtype=bool)
    wanted[places] = True
    wanted = wanted.reshape(shape)
    for axis in (0, 1):
        into, of = np.moveaxis(wanted, axis, 0), np.moveaxis(wanted.copy(), axis, 0)
        into[1:] |= of[:-1]
        into[:-1] |= of[1:]
        into[[0, -1]] = True
    return np.flatnonzero(wanted)


def _whole_and_part(place: npt.ArrayLike, length: int) -> tuple[Indices, Floats]:
    """Split places along an axis of ``length`` pixels into the nearest pixel and the rest."""
    exact = np.asarray(place, dtype=np.float64)
    whole = np.clip(np.floor(exact + 0.5), 0, length - 1).astype(np.int64)
    return whole, np.clip(exact - whole, -1, 1)


def _lanczos_weights(part: Floats) -> Singles:
    """Give what each of the pixels about a place counts, as far as it lies from the nearest."""
    away = np.arange(-_LANCZOS, _LANCZOS + 1) - part[:, None]
    weights = np.where(np.abs(away) < _LANCZOS, np.sinc(away) * np.sinc(away / _LANCZOS), 0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


def _moved(windows: Any, weights: Any, axis: int) -> Any:
    """Interpolate windows along an axis; they lose `_LANCZOS` pixels at either end."""
    length = windows.shape[axis] - 2 * _LANCZOS
    total: Any = None
    for tap in range(2 * _LANCZOS + 1):
        shifted = windows[(slice(None),) * axis + (slice(tap, tap + length),)]
        part_of_it = weights[:, tap, None, None] * shifted
        if total is None:
            total = part_of_it
        else:
            total += part_of_it
    return total


def _mirrored(image: Singles, reach: int) -> Singles:
    """Continue an image as its mirror image; again and again, should it be small."""
    return np.pad(image, reach, mode="symmetric")
