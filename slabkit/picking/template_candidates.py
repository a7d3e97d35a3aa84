"""What is known of one slab image when templates are sought in it: samples, then candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slabkit.picking.surroundings import Smoothed

Floats: TypeAlias = npt.NDArray[np.float64]
Indices: TypeAlias = npt.NDArray[np.int64]
Image: TypeAlias = npt.NDArray[np.float32]

_SMALLEST_NOISE = 1e-3  # of the strongest contrast: images without noise have finite scores


@dataclass(frozen=True)
class SampledImage:
    """An image made ready, with coefficients and contrasts at places at large.

    Parameters
    ----------
    spectrum : ndarray of float32 or None
        `slabkit.arrays.filters.cosine_spectrum`; None for a constant image.
    unit : float
        The units of ``spectrum``, in those of the image.
    padding : ndarray of bool or None
        Pixels of the image that are none.
    samples : list of ndarray of float32
        For each set of templates the highest coefficients on a regular grid of places that are no
        padding. Empty for a constant image.
    contrast_samples : list of ndarray of float64
        For each rim the contrast (see `TemplateCandidates`) at these places.
    """

    spectrum: Image | None
    unit: float
    padding: npt.NDArray[np.bool_] | None
    samples: list[Image]
    contrast_samples: list[Floats]


@dataclass(frozen=True)
class TemplateCandidates:
    """Peaks of one image; one element each in every array but ``rim_diameter``.

    Parameters
    ----------
    x_px, y_px : ndarray of float64
        Place in pixels of the image.
    correlation : ndarray of float64
        Locally normalised coefficient, -1 to 1.
    psi : ndarray of float64
        In degrees.
    template : ndarray of int64
        From 0, over all sets of templates.
    set_number : ndarray of int64
        Which set of templates, from 0.
    contrast : ndarray of float64
        How much brighter a particle's rim is there than its surround; in the units of the image,
        protein positive.
    rim : ndarray of int64
        Which rim, from 0, over all sets.
    rim_diameter : ndarray of float64, shape (rims,)
        Of a particle with such a rim, in Å.
    lines : Smoothed or None
        Where membranes show; None for a constant image.
    unit : float
        The units of ``lines``, in those of the image.
    """

    x_px: Floats
    y_px: Floats
    correlation: Floats
    psi: Floats
    template: Indices
    set_number: Indices
    contrast: Floats
    rim: Indices
    rim_diameter: Floats
    lines: Smoothed | None
    unit: float

    def ridges(self, rows: Indices) -> Callable[[Indices], Floats]:
        """Prepare to tell how high lines run past any of some candidates."""
        assert self.lines is not None
        diameter = self.rim_diameter[self.rim[rows]]
        heights = self.lines.ridges(self.y_px[rows], self.x_px[rows], diameter)
        return lambda some: heights(some) * self.unit


@dataclass(frozen=True)
class Noise:
    """Medians and robust standard deviations at places at large.

    Parameters
    ----------
    middle, deviation : ndarray of float64, shape (sets,)
        Of Fisher's transforms of the coefficients of each set of templates.
    contrast_middle, contrast_deviation : ndarray of float64, shape (rims,)
        Of the contrast at each rim, in the units of the images.
    """

    middle: Floats
    deviation: Floats
    contrast_middle: Floats
    contrast_deviation: Floats


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
    return np.asarray(np.arctanh(np.clip(np.asarray(correlation, np.float64), -0.9999, 0.9999)))


def _middle_and_deviation(values: Floats) -> tuple[float, float]:
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(np.abs(values - middle)))
