"""Locally normalised cross-correlation of an image with a bank of templates under one mask.

For a template ``t`` and an image ``I`` under weights ``w`` (a soft circle, sum 1) the coefficient
at a place is the weighted covariance of the two over the product of their weighted standard
deviations (Roseman 2003, Ultramicroscopy 94:225, there with a sharp mask). The image's local mean
and standard deviation depend on the mask alone, so rotated templates share them.

What is looked for is peaks that reach a floor. First the image is correlated with the few most
important dimensions of the bank's basis, by FFT, tile by tile. By the inequality of Cauchy and
Schwarz the other dimensions add to a coefficient no more than the product of the two lengths that
the first ones leave: most places cannot reach the floor, and the rest are bounded more closely by
more dimensions, place by place. What may be a peak then is computed by products that are the same
on every processor; the bounds allow for rounding (`_ROUNDING`).

What takes the time runs on a `Backend`: transforming back, these products, and the highest of them.
The bank goes there once. What is done once an image stays in NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.backends import Backend
from slabkit.arrays.exact import median, product
from slabkit.arrays.filters import image_moments
from slabkit.arrays.lanczos import LANCZOS, lanczos_weights, moved_windows, whole_and_part
from slabkit.arrays.peaks import EIGHT, FOUR, highest_beside, lowest_beside, parabola
from slabkit.arrays.template_bank import Floats, Singles, TemplateBank

Indices = npt.NDArray[np.int64]

_LARGEST_TILE = 256  # pixels a side
_ASIDE = 0.25  # pixels between the places through which a parabola is laid
REFINED = _ASIDE / 2
"""How far `MatchedImage.refined` moves a place at most, in pixels, down and across."""
_NOTHING = 1e-6  # of the softened variance
# Places whose templates are compared at a time, and values (pixels under the mask, or products with
# templates) that are worked on at a time; they fit in a processor's cache
_PLACES, _PATCHES = 1024, 2**18
_MOST = 0.75  # of places: where more stay, copying those costs more than keeping all
_ROUNDING = 1e-5  # of a coefficient, where an image is as strong as it is on the whole
# How long things take: to transform back, a pixel and dimension; to fetch what is under the mask,
# a place and pixel; to multiply that, a place, pixel and dimension
_TRANSFORM, _FETCH, _MULTIPLY = 6.0, 0.6, 0.02
_DEVICE_BYTES = 32  # of a value that a device makes: spectra, their product, what its FFT takes


@dataclass(frozen=True)
class _Stage:
    """Some more of a bank's dimensions, and what bounds the coefficients by all up to them."""

    own: Indices  # which are new; those that change sign with half a turn (odd ones) before others
    # Where they belong if all odd ones up to here are before all others
    places: tuple[slice, slice]
    kernels: Any  # of the new ones, (pixels, dimensions)
    # What coordinates count for which templates: of the odd ones; of the others and, last, of the
    # length of what is left
    odd_coefficients: Any
    coefficients: Any
    tail: float  # the largest length of a template in what is left


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
        self._on_processor = type(self._backend) is Backend
        flat = bank.kernels.reshape(len(bank.kernels), -1)
        starts = (0, *bank.stages)
        self._stages = [
            self._stage(flat, start, stop) for start, stop in zip(starts, bank.stages, strict=False)
        ]
        all_in_order = self._stage(flat, 0, len(flat))
        self._flat = all_in_order.kernels
        self._coefficients = put(bank.coefficients[:, all_in_order.own])
        self._spectra: dict[int, Any] = {}
        # What to correlate an image with for each template, (templates, pixels)
        self._templates = put(product(bank.coefficients, flat).astype(np.float32))
        # Of the mask, for images that continue as their mirror images; see `slabkit.arrays.filters`
        line = np.arange(-reach, reach + 1)
        waves = [np.cos(np.pi / n * np.outer(np.arange(n), line)) for n in shape]
        self._weight_transfer = product(product(waves[0], bank.weights), waves[1].T)

    def _stage(self, flat: Singles, start: int, stop: int) -> _Stage:
        bank, put = self.bank, self._backend.put
        own, others = bank.coefficients[:, :stop], bank.coefficients[:, stop:]
        if stop < len(bank.kernels):
            others = np.linalg.norm(others, axis=1, keepdims=True)
        longest = float(others.max(initial=0.0))
        odd = np.zeros(stop, dtype=bool)
        if bank.odd is not None:
            # Half a turn changes the sign of odd coordinates only, and the better half has the
            # higher sum: the even part and the size of the odd one.
            first = np.arange(len(own)).reshape(-1, 2, bank.turns // 2)[:, 0].ravel()
            own, others, odd = own[first], others[first], bank.odd[:stop]
        new = start + np.argsort(~odd[start:], kind="stable")
        before, count = int(odd[:start].sum()), int(odd.sum())
        return _Stage(
            new,
            (slice(before, count), slice(count + start - before, stop)),
            put(flat[new].T),
            put(own[:, odd]),
            put(np.concatenate([own[:, ~odd], others], axis=1)),
            longest,
        )

    def _spectra_of(self, stage: _Stage) -> Any:
        """Give the spectra of pairs of a stage's kernels; made when they are first asked for."""
        first = int(stage.own.min())
        if first not in self._spectra:
            spectra = self._kernel_spectra(self.bank.kernels[stage.own])
            self._spectra[first] = self._backend.put(spectra)
        return self._spectra[first]

    def _kernel_spectra(self, kernels: Singles) -> npt.NDArray[np.complex64]:
        """Transform kernels such that an image's spectrum times one holds two correlations.

        They are the real and the imaginary part; two real transforms would take longer.
        """
        from scipy.fft import fft

        pairs = kernels[::2].astype(np.complex64)
        pairs[: len(kernels) // 2].imag = -kernels[1::2]
        spectra = fft(fft(pairs, self._sides[1]), self._sides[0], axis=-2)
        return np.asarray(np.conj(spectra), dtype=np.complex64)

    def _chunks(self, count: int, values: int, on_processor: int) -> Iterator[slice]:
        """Split items that make ``values`` values each into batches."""
        on_device = max(1, int(self._backend.memory / _DEVICE_BYTES) // values)
        step = on_processor if self._on_processor else on_device
        return (slice(start, min(start + step, count)) for start in range(0, count, step))

    def image(self, image: Singles, moments: tuple[Floats, Floats] | None = None) -> MatchedImage:
        """Prepare a finite image of float32, shape (y, x); ``moments``: its `image_moments`."""
        from scipy.fft import idctn

        mean, square = (
            idctn(spectrum * self._weight_transfer, norm="ortho", overwrite_x=True)
            for spectrum in moments or image_moments(image)
        )
        variance = square - mean**2
        middle = float(median(variance))
        # Rounding leaves a little variance in a constant surround, which must not be divided by.
        smallest = max(1e-6 * float(variance.max()), 1e-30)
        deviation = np.sqrt(np.maximum(variance + self._softening**2 * middle, smallest))
        # Again and again, should it be small
        padded = np.pad(image, self.bank.reach_px, mode="symmetric")
        rms = math.sqrt(float(np.einsum("ij,ij->", image, image, dtype=np.float64)) / image.size)
        strength = np.sqrt(np.maximum(square, 0)) + rms
        return MatchedImage(
            self,
            padded,
            deviation.astype(np.float32),
            np.maximum(variance / deviation**2, 0).astype(np.float32),
            (_ROUNDING * (1 + strength / deviation)).astype(np.float32),
        )

    def _highest(self, coordinates: Any, stage: _Stage) -> Any:
        """Give what no product exceeds; the last row is the length of the other coordinates."""
        products, _ = self._products(coordinates, stage)
        return self._backend.highest(products, 0)

    def _products(self, coordinates: Any, stage: _Stage) -> tuple[Any, Any]:
        """Give products with templates, or the higher of half a turn; and of these the odd part."""
        odd = stage.places[0].stop
        products = stage.coefficients @ coordinates[odd:]
        if self.bank.odd is None:
            return products, None
        others = stage.odd_coefficients @ coordinates[:odd]
        products += self._backend.absolute(others)
        return products, others

    def _best(self, patches: Singles, margin: Singles) -> tuple[Indices, Floats]:
        """Give each patch's best template and its product, the same on every processor.

        Linear algebra, which each rounds otherwise (by less than ``margin``), only says which may
        be the best. Of equal ones the first counts.
        """
        products, odd = self._products((patches @ self._flat).T, self._stages[-1])
        near = np.flatnonzero(products >= products.max(0) - 2 * margin)
        template, place = np.divmod(near, len(patches))
        if odd is not None:
            odd, half = odd.ravel()[near], self.bank.turns // 2
            template += template // half * half
            turned = np.flatnonzero(odd <= margin[place])
            kept = np.flatnonzero(odd >= -margin[place])
            template = np.concatenate([template[kept], template[turned] + half])
            place = np.concatenate([place[kept], place[turned]])
        order = np.argsort(place)
        template, place = template[order], place[order]
        alone = len(place) == len(patches)  # one a place, as most often
        value = np.empty(len(template))
        for start in range(0, len(value), step := _PATCHES // patches.shape[1] + 1):
            some = slice(start, start + step)
            pair = self._templates[template[some]], patches[some if alone else place[some]]
            value[some] = np.einsum("ij,ij->i", *pair, dtype=np.float64)
        if alone:
            return template, value
        order = np.lexsort((template, -value, place))
        first = order[np.unique(place[order], return_index=True)[1]]
        return template[first], value[first]

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
        deviation: Singles,
        square: Singles,
        rounding: Singles,
    ) -> None:
        self._matcher, self._padded = matcher, padded
        self.deviation = deviation
        # What is under the mask has this squared length, of which the bank's basis shows a part
        self._square = square
        self._rounding = rounding  # how far other sums of products may lie from those of `at`

    def highest_at(self, y: npt.ArrayLike, x: npt.ArrayLike) -> Singles:
        """Give the highest coefficients that `at` gives."""
        return self.at(y, x)[0]

    def at(self, y: npt.ArrayLike, x: npt.ArrayLike) -> tuple[Singles, Indices]:
        """Give the highest coefficient over all templates at places (pixels), and whose it is.

        Between pixels the image is interpolated (Lanczos), and its standard deviation that of the
        nearest pixel. Of equal templates the first counts.
        """
        matcher = self._matcher
        backend = matcher._backend
        (row, down), (column, right) = (
            whole_and_part(place, n) for place, n in zip((y, x), self.deviation.shape, strict=True)
        )
        between = bool(down.any() or right.any())
        around = LANCZOS if between else 0
        deviation = self.deviation[row, column]
        margin = self._rounding[row, column] * deviation
        # Where nothing stands out, all templates correlate as well.
        something = self._square[row, column] > _NOTHING
        highest = np.zeros(len(row), dtype=np.float32)
        template = np.zeros(len(row), dtype=np.int64)
        for part, patches in self._patches(row, column, around, len(matcher.bank.coefficients)):
            if between:
                for axis, away in ((1, down[part]), (2, right[part])):
                    patches = moved_windows(patches, backend.put(lanczos_weights(away)), axis)
            flat = patches.reshape(len(patches), -1)
            if matcher._on_processor:
                some = slice(None) if something[part].all() else np.flatnonzero(something[part])
                best, value = matcher._best(flat[some], margin[part][some])
                template[part][some], highest[part][some] = best, value
            else:
                values = matcher._coefficients @ (flat @ matcher._flat).T
                template[part] = backend.get(values.argmax(0))
                highest[part] = backend.get(backend.highest(values, 0))
        return highest / deviation, template

    def refined(
        self, y: npt.ArrayLike, x: npt.ArrayLike, template: Indices
    ) -> tuple[Floats, Floats]:
        """Give where, within `REFINED` of places, a template correlates best, by parabolas."""
        from scipy.ndimage import map_coordinates

        matcher = self._matcher
        backend, side = matcher._backend, len(matcher.bank.weights)
        start_y, start_x = (np.asarray(place, dtype=np.float64) for place in (y, x))
        (row, down), (column, right) = (
            whole_and_part(place, n) for place, n in zip((y, x), self.deviation.shape, strict=True)
        )
        tried = [(0.0, 0.0), (-_ASIDE, 0.0), (_ASIDE, 0.0), (0.0, -_ASIDE), (0.0, _ASIDE)]
        values = np.empty((len(tried), len(row)))
        for part, patches in self._patches(row, column, LANCZOS + 1, 0):
            some = patches.shape[0]
            kernels = matcher._templates[backend.put(template[part])].reshape(some, side, side)
            if matcher._on_processor:
                kernels = kernels.astype(np.float64)
            # Moved along one axis once for all; sums for whole pixels along the other serve all
            # places there.
            for own, other, numbers in ((down, right, (0, 1, 2)), (right, down, (3, 4))):
                weights = backend.put(lanczos_weights(other[part]))
                if own is down:
                    rows = moved_windows(patches[:, :, 1:-1], weights, 2)
                else:
                    rows = moved_windows(patches[:, 1:-1], weights, 1).swapaxes(1, 2)
                    kernels = kernels.swapaxes(1, 2)
                if matcher._on_processor:
                    rows = rows.astype(np.float64)
                rows, flat = rows.reshape(some, -1), kernels.reshape(some, -1)
                taps = [
                    lanczos_weights(own[part] + sum(tried[number]), LANCZOS + 1)
                    for number in numbers
                ]
                found = np.zeros((len(numbers), some))
                for tap in np.flatnonzero(np.any(taps, axis=(0, 1))).tolist():
                    moved = rows[:, tap * side : (tap + side) * side]
                    sums = backend.get(backend.sum_of_products(flat, moved, 1))
                    found += [each[:, tap] * sums for each in taps]
                values[numbers, part] = found
        for number, (below, beside) in enumerate(tried):
            places = start_y + below, start_x + beside
            values[number] /= map_coordinates(self.deviation, places, order=1, mode="nearest")
        centre, *others = values
        moves = []
        for before, after in (others[:2], others[2:]):
            shift, _, _ = parabola(before, centre, after)
            moves.append(_ASIDE * shift)
        return start_y + moves[0], start_x + moves[1]

    def _patches(
        self, row: Indices, column: Indices, around: int, values: int
    ) -> Iterator[tuple[slice, Any]]:
        """Give what is under the mask and ``around`` it, (places, y, x), by chunks.

        Of each place ``values`` values are made.
        """
        matcher = self._matcher
        backend = matcher._backend
        wide = len(matcher.bank.weights) + 2 * around
        continued = np.pad(self._padded, around, mode="edge") if around else self._padded
        windows = backend.windows(backend.put(continued), wide)
        for part in matcher._chunks(len(row), max(wide**2, values), _PATCHES // wide**2 + 1):
            yield part, windows[backend.put(row[part]), backend.put(column[part])]

    def highest(self, floor: float | Singles = -np.inf) -> Singles:
        """Give the highest coefficient over all templates at every place, shape (y, x).

        Right at peaks (of eight neighbours) that reach ``floor``, and beside them in row and
        column; elsewhere it may be lower than right, so that no other place is such a peak. Right
        everywhere without a floor.
        """
        floors = np.broadcast_to(np.asarray(floor, dtype=np.float32), self.deviation.shape)
        if np.isneginf(floors).all():
            return self.highest_at(*np.indices(floors.shape).reshape(2, -1)).reshape(floors.shape)
        upper = np.sqrt(self._square) + self._rounding
        lower = np.full(floors.shape, -2.0, dtype=np.float32)
        for rows, columns, tile in self._matcher._tiles(self._padded):
            self._bound((rows, columns), tile, upper, lower, floors)
        known = np.zeros(floors.shape, dtype=bool)

        def settle(wanted: npt.NDArray[np.bool_]) -> None:
            places = np.nonzero(wanted & ~known)
            upper[places] = lower[places] = self.highest_at(*places)
            known[places] = True

        settle((lower > -2) & (upper >= floors) & (upper >= highest_beside(lower)))
        peaks = known & (lower >= floors) & (lower >= highest_beside(lower))
        settle(lowest_beside(peaks, lower, EIGHT) <= upper)
        peaks &= lower >= highest_beside(lower)
        settle(lowest_beside(peaks, lower, FOUR) < np.inf)
        return lower

    def _bound(
        self,
        where: tuple[slice, slice],
        tile: Singles,
        upper: Singles,
        lower: Singles,
        floors: Singles,
    ) -> None:
        """Bound the coefficients of a tile, more closely where they still may reach the floor."""
        matcher = self._matcher
        backend = matcher._backend
        row, column = np.nonzero(upper[where] >= floors[where])
        deviation, square, rounding, floor = (
            each[where][row, column]
            for each in (self.deviation, self._square, self._rounding, floors)
        )
        # From here on in the units of the image, as coordinates are.
        least, square = (floor - rounding) * deviation, square * deviation**2
        slack = np.float32(1e-6) * deviation**2  # rounding must not hide what is left
        used = np.zeros(len(row), dtype=np.float32)  # of the squared length, by coordinates known
        known: Any = None
        for stage in matcher._stages:
            highest = np.empty(len(row), dtype=np.float32)
            kept, left = [], []
            for part, every in self._coordinates_in_tile(tile, row, column, stage, known):
                if not stage.tail:
                    highest[part] = backend.get(matcher._highest(every[:-1], stage))
                    continue
                for own in stage.places:
                    used[part] += backend.get(backend.sum_of_products(every[own], every[own], 0))
                rest = np.sqrt(np.maximum(square[part] - used[part], 0) + slack[part])
                every[-1] = backend.put(rest)
                most = np.sqrt(used[part]) + stage.tail * rest
                some = np.flatnonzero(most >= least[part])
                if len(some) > _MOST * len(most):
                    some = np.arange(len(most))
                else:
                    every = backend.columns(every, backend.put(some))
                most[some] = backend.get(matcher._highest(every, stage))
                highest[part] = most
                keep = np.flatnonzero(most[some] >= least[part][some])
                kept.append(some[keep] + part.start)
                left.append(backend.columns(every[:-1], backend.put(keep)))
            upper[where][row, column] = highest / deviation + rounding
            if not kept:
                lower[where][row, column] = highest / deviation - rounding
                return
            keep, known = np.concatenate(kept), backend.joined(*left, axis=1)
            row, column, deviation, square = row[keep], column[keep], deviation[keep], square[keep]
            rounding, least, slack, used = rounding[keep], least[keep], slack[keep], used[keep]

    def _coordinates_in_tile(
        self, tile: Singles, row: Indices, column: Indices, stage: _Stage, known: Any
    ) -> Iterator[tuple[slice, Any]]:
        """Give coordinates, times deviations, by chunks of places: (dimensions + 1, places).

        They are those known and a stage's own; the last row is free for what is left.
        """
        matcher = self._matcher
        backend, sides, pixels = matcher._backend, matcher._sides, matcher.bank.weights.size
        count, templates = len(stage.own), len(matcher.bank.coefficients)
        odd, even = stage.places
        odd_count = odd.stop - odd.start

        def joined(own: Any, part: slice) -> Any:
            every = backend.empty((even.stop + 1, part.stop - part.start))
            if known is not None:
                every[: odd.start] = known[: odd.start, part]
                every[odd.stop : even.start] = known[odd.start :, part]
            every[odd], every[even] = own[:odd_count], own[odd_count:count]
            return every

        if count * math.prod(sides) * _TRANSFORM < len(row) * pixels * (_FETCH + _MULTIPLY * count):
            from scipy.fft import fft2

            spectrum = backend.put(fft2(tile, s=sides))
            spectra = matcher._spectra_of(stage)
            place = backend.put(row * sides[1] + column)
            rows = int(row.max()) + 1
            found = backend.empty((2 * len(spectra) + 1, len(row)))
            pairs, found = found[:-1].reshape(-1, 2, len(row)), found[: count + 1]
            for part in matcher._chunks(len(spectra), math.prod(sides), 1):
                whole = backend.ifft2(spectrum, spectra[part], rows)
                values = backend.columns(whole.reshape(len(whole), -1), place)
                pairs[part, 0], pairs[part, 1] = values.real, values.imag
            together = min(_PLACES, _PATCHES // templates + 1)
            for part in matcher._chunks(len(row), templates, together):
                yield part, found[:, part] if known is None else joined(found[:, part], part)
            return
        windows = backend.windows(backend.put(tile), len(matcher.bank.weights))
        values = max(pixels, templates)
        for part in matcher._chunks(len(row), values, min(_PLACES, _PATCHES // values + 1)):
            patches = windows[backend.put(row[part]), backend.put(column[part])]
            yield part, joined((patches.reshape(-1, pixels) @ stage.kernels).T, part)
