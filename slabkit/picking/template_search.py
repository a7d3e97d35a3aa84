"""Candidates for templates in one slab image: peaks of the highest correlation with any of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slabkit.arrays.backends import Backend
from slabkit.arrays.correlation import REFINED, TemplateMatcher
from slabkit.arrays.exact import exp, log, median
from slabkit.arrays.filters import (
    angular_frequencies,
    binned_shape,
    cosine_spectrum,
    cropped_spectrum,
    filtered_image,
    image_moments,
)
from slabkit.arrays.padding import without_padding
from slabkit.arrays.peaks import Peaks, find_peaks
from slabkit.arrays.template_bank import compress_templates, soft_disc
from slabkit.errors import InputError
from slabkit.picking.slab_images import LOWEST_SCORE
from slabkit.picking.surroundings import SearchGrid, Smoothed, finer_shape, line_filter, rim_filter
from slabkit.picking.template_images import FALL, Templates, rim_diameters
from slabkit.units import Contrast, protein_sign

Floats: TypeAlias = npt.NDArray[np.float64]
Indices: TypeAlias = npt.NDArray[np.int64]
Image: TypeAlias = npt.NDArray[np.float32]

_SMALLEST_NOISE = 1e-3  # of the strongest contrast: images without noise have finite scores


@dataclass(frozen=True)
class SampledImage:
    """An image made ready, with coefficients and contrasts at places at large."""

    spectrum: Image | None  # `slabkit.arrays.filters.cosine_spectrum`; None for a constant image
    unit: float  # the units of ``spectrum``, in those of the image
    padding: npt.NDArray[np.bool_] | None  # pixels of the image that are none
    # For each set of templates the highest coefficients on a regular grid of places that are no
    # padding. Empty for a constant image.
    samples: list[Image]
    # For each rim the contrast (see `TemplateCandidates`) at these places
    contrast_samples: list[Floats]


@dataclass(frozen=True)
class TemplateCandidates:
    """Peaks of one image; one element each in every array but ``rim_diameter``."""

    x_px: Floats  # place in pixels of the image
    y_px: Floats
    correlation: Floats  # locally normalised coefficient, -1 to 1
    psi: Floats  # in degrees
    template: Indices  # from 0, over all sets of templates
    set_number: Indices  # which set of templates, from 0
    # How much brighter a particle's rim is there than its surround; in the units of the image,
    # protein positive
    contrast: Floats
    rim: Indices  # which rim, from 0, over all sets
    rim_diameter: Floats  # shape (rims,); of a particle with such a rim, in Å
    lines: Smoothed | None  # where membranes show; None for a constant image
    unit: float  # the units of ``lines``, in those of the image

    def ridges(self, rows: Indices) -> Callable[[Indices], Floats]:
        """Prepare to tell how high lines run past any of some candidates."""
        assert self.lines is not None
        diameter = self.rim_diameter[self.rim[rows]]
        heights = self.lines.ridges(self.y_px[rows], self.x_px[rows], diameter)
        return lambda some: heights(some) * self.unit


@dataclass(frozen=True)
class Noise:
    """Medians and robust standard deviations at places at large."""

    # shape (sets,): of Fisher's transforms of the coefficients of each set of templates
    middle: Floats
    deviation: Floats
    # shape (rims,): of the contrast at each rim, in the units of the images
    contrast_middle: Floats
    contrast_deviation: Floats

    def score(self, correlation: Floats, set_number: int | Indices) -> Floats:
        """Give coefficients of sets of templates in standard deviations."""
        middle, deviation = self.middle[set_number], self.deviation[set_number]
        return np.asarray((spread(np.minimum(correlation, 1.0)) - middle) / deviation)


def pooled_noise(sampled: Sequence[SampledImage], sets: int, rims: int) -> Noise:
    """Measure the noise of each set of templates and each rim, over all images."""
    own = [one for one in sampled if one.samples]
    nothing = np.zeros(0)
    coefficients, contrasts = [], []
    for number in range(sets):
        values = spread(np.concatenate([nothing, *(one.samples[number] for one in own)]))
        middle, deviation = _middle_and_deviation(values) if len(values) else (0.0, 1.0)
        coefficients.append((middle, max(deviation, 1e-3)))
    for number in range(rims):
        values = np.concatenate([nothing, *(one.contrast_samples[number] for one in own)])
        middle, deviation = _middle_and_deviation(values) if len(values) else (0.0, 0.0)
        tiny = float(np.finfo(np.float64).tiny)
        smallest = max(_SMALLEST_NOISE * float(values.max(initial=0.0)), tiny)
        contrasts.append((middle, max(deviation, smallest)))
    return Noise(*np.array(coefficients).T, *np.array(contrasts).T)


def spread(correlation: npt.ArrayLike) -> Floats:
    """Give Fisher's transform of coefficients (Biometrika 1915): noise is nearly normal in it."""
    inside = np.clip(np.asarray(correlation, np.float64), -0.9999, 0.9999)
    return np.asarray(log((1 + inside) / (1 - inside)) / 2)


def _middle_and_deviation(values: Floats) -> tuple[float, float]:
    middle = float(median(values))
    return middle, 1.4826 * float(median(np.abs(values - middle)))


_MASK = 1.1  # radius of the mask in radii of the particle
_EDGE = 0.2  # of the mask's radius: how far its edge falls off, outwards
_SOFTENING = 0.5  # see `TemplateMatcher`
_WHITENING = 0.5  # power of the slabs' amplitudes that is divided by
_NOISE_SAMPLES = 4096  # an image
_LOOSE = 0.8  # of the threshold: what a place must be able to reach to be a candidate
_ROUNDED = 1 - 1e-4
_CERTAIN = 9.0  # in Fisher's transform: a coefficient of 1, in single precision
_RINGS = 64  # of the spectrum


@dataclass(frozen=True)
class Whitening:
    """Radial filter that evens out the spectrum of slabs.

    A slab is strongest at low frequencies, where all its contents look similar; dividing by a power
    of its amplitudes gives finer detail more weight.
    """

    frequency: Floats  # in cycles an Å, ascending
    factor: Floats

    def __call__(self, frequency: Floats) -> Floats:
        """Give the factor at some frequencies."""
        return np.asarray(np.interp(frequency, self.frequency, self.factor), dtype=np.float64)


def in_plane_angles(step: float) -> Floats:
    """Give angles from 0 to 360 degrees, evenly spaced, ``step`` apart or a little less."""
    if not (math.isfinite(step) and 0 < step <= 360):
        raise InputError(f"--angular-step must be above 0 and at most 360 degrees, not {step:g}.")
    count = math.ceil(360 / step - 1e-9)
    return np.arange(count, dtype=np.float64) * (360 / count)


class TemplateSearch:
    """Templates of one low-pass, made ready for images of one size ``(y, x)``.

    ``angular_step`` is in degrees, ``threshold`` the lowest score that will be asked for. Refuses a
    low-pass finer than the pixels allow, and templates that do not fit in an image.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        pixel_size: float,
        templates: Sequence[Templates],
        contrast: Contrast,
        angular_step: float,
        threshold: float,
        backend: Backend | None = None,
    ) -> None:
        if not templates:
            raise InputError("there are no templates.")
        lowpass = templates[0].lowpass
        if any(one.lowpass != lowpass for one in templates):
            raise InputError("the templates were made with different low-passes.")
        finest = 2 * FALL[1] * pixel_size
        if lowpass < finest * (1 - 1e-6):
            raise InputError(
                f"a low-pass of {lowpass:g} Å needs finer pixels than {pixel_size:g} Å; give "
                f"--lowpass {math.ceil(finest)} or more."
            )
        for one in templates:
            if one.diameter > min(shape) * pixel_size:
                raise InputError(
                    f"a template of {one.diameter:.0f} Å does not fit in an image of {shape[1]} × "
                    f"{shape[0]} pixels of {pixel_size:g} Å."
                )
        self.shape, self.pixel_size, self.threshold = shape, pixel_size, threshold
        self.sign, self.lowpass = protein_sign(contrast), lowpass
        self.angles = in_plane_angles(angular_step)
        self.binned = binned_shape(shape, lowpass / finest)
        self.grid = SearchGrid(shape, self.binned)
        # Largest side of a pixel of the grid, in pixels of the image
        self._scale = max(n / m for n, m in zip(shape, self.binned, strict=True))
        self._frequency = angular_frequencies(shape, self.binned, pixel_size) / (2 * np.pi)
        self._templates, self._backend = list(templates), backend
        self._matchers: list[TemplateMatcher] = []
        self._lines = line_filter(shape, pixel_size)
        diameters = [rim_diameters(one) for one in templates]
        self._rim_diameter, rims = np.unique(np.concatenate(diameters), return_inverse=True)
        self._rim_of = np.split(rims, np.cumsum([len(one) for one in templates])[:-1])
        self._rims = [
            rim_filter(shape, pixel_size, self._lines.grid, diameter)
            for diameter in self._rim_diameter.tolist()
        ]

    @property
    def rims(self) -> int:
        """At how many rims contrast is measured."""
        return len(self._rims)

    def whitening(self, images: Sequence[npt.NDArray[Any]]) -> Whitening:
        """Measure the spectrum of some of the images."""
        rings = np.linspace(0.0, FALL[1] / self.lowpass, _RINGS + 1)
        ring = np.digitize(self._frequency.ravel(), rings) - 1
        power = np.zeros(_RINGS)
        for image in images:
            whole = self._spectrum(image)[0]
            if whole is not None:
                spectrum = cropped_spectrum(whole, self.binned)
                own = np.bincount(ring, spectrum.ravel().astype(np.float64) ** 2, _RINGS + 1)
                power += own[:_RINGS] / max(float(own[:_RINGS].sum()), 1e-300)
        power /= np.maximum(np.bincount(ring, minlength=_RINGS + 1)[:_RINGS], 1)
        # Empty rings and noise-free images must not ask for endless factors.
        amplitude = np.sqrt(np.maximum(power, 1e-6 * power.max()))
        middle = (rings[1:] + rings[:-1]) / 2
        if not power.max() > 0:
            return Whitening(middle, np.ones(_RINGS))
        return Whitening(middle, np.float_power(amplitude / amplitude.max(), -_WHITENING))

    def prepare(self, whitening: Whitening) -> None:
        """Draw all templates with the filter of the images, and compress them."""
        pixel_y, pixel_x = (
            n * self.pixel_size / m for n, m in zip(self.shape, self.binned, strict=True)
        )

        def transfer(frequency: Floats) -> Floats:
            part = (frequency * self.lowpass - FALL[0]) / (FALL[1] - FALL[0])
            return whitening(frequency) * (0.5 + 0.5 * np.cos(np.pi * np.clip(part, 0, 1)))

        self._transfer = transfer(self._frequency).astype(np.float32)
        self._matchers = []
        for one in self._templates:
            radius = _MASK * one.diameter / 2
            reach = math.ceil(radius * (1 + _EDGE) / min(pixel_y, pixel_x))
            mask = soft_disc(reach, radius, _EDGE * radius, (pixel_y, pixel_x))
            line = np.arange(-reach, reach + 1)
            y, x = np.meshgrid(line * pixel_y, line * pixel_x, indexing="ij")
            drawn = np.zeros((len(one), len(self.angles), mask.size))
            # Opposite places, (mask.size - 1 - place) of each other, are drawn together
            inside = np.flatnonzero(mask)[: np.count_nonzero(mask) // 2 + 1]
            y, x = y.ravel()[inside], x.ravel()[inside]
            half = len(self.angles) // 2
            reflected = one.half_turn_reflects and len(self.angles) % 2 == 0
            for number, psi in enumerate(self.angles[: half if reflected else None]):
                even, odd = one.drawn_parts(psi, y, x, transfer)
                drawn[:, number, inside] = even - odd
                drawn[:, number, -1 - inside] = even + odd
            if reflected:
                drawn[:, half:] = drawn[:, :half, ::-1]
            bank = compress_templates(drawn.reshape(-1, *mask.shape), mask, turns=len(self.angles))
            self._matchers.append(TemplateMatcher(self.binned, bank, _SOFTENING, self._backend))

    def sampled(self, image: npt.NDArray[Any]) -> SampledImage:
        """Sample a finite image at places at large, `prepare` having been called."""
        spectrum, unit, padding = self._spectrum(image)
        samples: list[Image] = []
        contrasts: list[Floats] = []
        if spectrum is not None:
            filtered = self._filtered(spectrum)
            rows, columns = self.grid.sample_places(padding, _NOISE_SAMPLES)
            moments = image_moments(filtered)
            samples = [
                each.image(filtered, moments).highest_at(rows, columns) for each in self._matchers
            ]
            places = self.grid.on_image(rows, columns)
            contrasts = [rim(spectrum).at(*places) * unit for rim in self._rims]
        return SampledImage(spectrum, unit, padding, samples, contrasts)

    def candidates(
        self, image: SampledImage, noise: Noise, correlation_only: bool
    ) -> TemplateCandidates:
        """Find the peaks of one image that can reach the threshold."""
        if image.spectrum is None:
            return _joined([], self._rim_diameter, None, 1.0)
        filtered = self._filtered(image.spectrum)
        moments = image_moments(filtered)
        contrasts = [rim(image.spectrum) for rim in self._rims]
        parts = []
        first = 0
        for number, (one, matcher, rim_of) in enumerate(
            zip(self._templates, self._matchers, self._rim_of, strict=True)
        ):
            matched = matcher.image(filtered, moments)
            rims = [] if correlation_only else np.unique(rim_of).tolist()
            own = {rim: contrasts[rim] for rim in rims}
            standing_out = self._standing_out(noise, own, image.unit) if own else None
            floor = self._floor(noise, number, standing_out)
            highest = matched.highest(floor)
            peaks = find_peaks(np.stack([highest - 1, highest, highest - 1]), float(floor.min()))
            _, whole_y, whole_x = peaks.whole
            keep = highest[whole_y, whole_x] >= floor[whole_y, whole_x]
            if image.padding is not None:
                keep &= ~image.padding[self.grid.nearest_pixels(whole_y, whole_x)]
            score = noise.score(peaks.value, number)
            most = score if standing_out is None else self._most(standing_out, peaks)
            lowest = max(self.threshold, LOWEST_SCORE)
            keep &= (score >= lowest) & (score * np.clip(most, 0, score) >= _ROUNDED * lowest**2)
            best = matched.at(peaks.y[keep], peaks.x[keep])[1]
            peak_y, peak_x = matched.refined(peaks.y[keep], peaks.x[keep], best)
            y_px, x_px = self.grid.on_image(peak_y, peak_x)
            rim = rim_of[best // len(self.angles)]
            contrast = np.zeros(len(rim))
            for each in np.unique(rim).tolist():
                own = rim == each
                contrast[own] = contrasts[each].at(y_px[own], x_px[own]) * image.unit
            parts.append(
                (
                    x_px,
                    y_px,
                    np.minimum(peaks.value[keep], 1.0),
                    self.angles[best % len(self.angles)],
                    first + best // len(self.angles),
                    np.full(len(best), number),
                    contrast,
                    rim,
                )
            )
            first += len(one)
        return _joined(parts, self._rim_diameter, self._lines(image.spectrum), image.unit)

    def _filtered(self, spectrum: Image) -> Image:
        return filtered_image(cropped_spectrum(spectrum, self.binned), self._transfer)

    def _standing_out(self, noise: Noise, contrasts: dict[int, Smoothed], unit: float) -> Smoothed:
        """Give the contrast (in standard deviations) at the rim where it is the highest."""
        each = [
            (one.image * unit - noise.contrast_middle[rim]) / noise.contrast_deviation[rim]
            for rim, one in contrasts.items()
        ]
        return Smoothed(np.max(each, axis=0).astype(np.float32), self.shape, self.pixel_size)

    def _most(self, standing_out: Smoothed, peaks: Peaks) -> Floats:
        """Give what the contrasts of peaks do not exceed, wherever they will be refined to."""
        places = self.grid.on_image(peaks.y, peaks.x)
        return standing_out.highest_near(*places, REFINED * self._scale)

    def _floor(self, noise: Noise, number: int, standing_out: Smoothed | None) -> Image:
        """Give the coefficients of a set below which a place cannot become a candidate.

        A score is no more than the geometric mean of the coefficient's and the contrast's, in
        standard deviations: where there is little contrast, more correlation is needed. Between
        pixels a peak is higher than the highest of them; `_LOOSE` allows for that.
        """
        lowest = max(self.threshold, 0.0)
        needed = np.full(self.binned, float(lowest))
        if standing_out is not None and lowest > 0:
            y, x = self.grid.on_image(*(np.arange(n, dtype=np.float64) for n in self.binned))
            there = standing_out.highest_on_lines(y, x, (0.5 + REFINED) * self._scale)
            needed = np.maximum(lowest, lowest**2 / np.maximum(there, 1e-6))
        needed *= _LOOSE
        middle, deviation = noise.middle[number], noise.deviation[number]
        # The hyperbolic tangent, which undoes `spread`; 1 by far most often.
        height = middle + needed * deviation
        floor = np.ones(self.binned, dtype=np.float32)
        some = height < _CERTAIN
        floor[some] = 1 - 2 / (exp(2 * height[some]) + 1)
        return floor

    def _spectrum(
        self, image: npt.NDArray[Any]
    ) -> tuple[Image | None, float, npt.NDArray[np.bool_] | None]:
        """Transform an image scaled to 1: gives its spectrum, the scale, and where padding is."""
        if not np.ptp(image) > 0:
            return None, 1.0, None
        level = np.float64(np.mean(image, dtype=np.float64))
        protein = ((image - level) * self.sign).astype(np.float64)
        unit = max(float(np.abs(protein).max()), 1e-300)  # far from float32's limits
        filled, padding = without_padding((protein / unit).astype(np.float32))
        return cosine_spectrum(filled, finer_shape(self.binned, self._lines.grid)), unit, padding


def _joined(
    parts: list[tuple[Any, ...]], rim_diameter: Floats, lines: Smoothed | None, unit: float
) -> TemplateCandidates:
    empty, whole = np.empty(0), np.empty(0, dtype=np.int64)
    columns = zip((empty, empty, empty, empty, whole, whole, empty, whole), *parts, strict=True)
    x, y, correlation, psi, template, number, contrast, rim = (
        np.concatenate(each) for each in columns
    )
    return TemplateCandidates(
        x, y, correlation, psi, template, number, contrast, rim, rim_diameter, lines, unit
    )
