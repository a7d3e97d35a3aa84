"""Slab images to 2D picks: templates, turned in the plane, by locally normalised correlation.

Slabs and templates are low-passed, evened out in their spectra (`Whitening`) and correlated under a
soft circular mask about as large as the particle, on the coarsest grid that the low-pass allows.
The best of all templates and in-plane angles counts at each place; its peaks are candidates.

The score of a candidate is Fisher's transform of its coefficient in robust standard deviations
(median and 1.4826 times the median absolute deviation) above that of places at large. There is one
median and one deviation a set of templates (a map, a stack of class averages), pooled over all
slabs of a tomogram, so scores compare across slabs and between sets. Of picks of several sets at
one place the best is kept, and its species with it.

Correlation knows shapes, not how much there is of them: faint things and pieces of membrane can
look like a view of a particle. So the score is lowered where the contrast (rim against surround, in
standard deviations too) is less: to their geometric mean. And it is lowered where a line runs past,
as that of a blob is (`slabkit.arrays.ridges`).

Places that cannot reach four fifths of the threshold, by correlation and contrast, are skipped
early. Multiplying a slab by a positive number or adding one changes nothing. Beyond its border an
image continues as its mirror image. Padding of one value does not count as image.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.backends import DEVICE_MEMORY, backend_for, explain_full_memory
from slabkit.arrays.checks import checked_image
from slabkit.arrays.parallel import map_in_order
from slabkit.errors import InputError
from slabkit.picking.slab_images import (
    Limits,
    SlabSet,
    check_max_ridge,
    lowered_by_lines,
)
from slabkit.picking.template_images import Templates, image_templates
from slabkit.picking.template_search import (
    Floats,
    Indices,
    Noise,
    SampledImage,
    TemplateCandidates,
    TemplateSearch,
    Whitening,
    in_plane_angles,
    pooled_noise,
)
from slabkit.picking.template_views import map_templates
from slabkit.tables import PICKS2D, empty_table
from slabkit.units import Contrast, positive_length

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "TemplateLimits",
    "TemplateMatches",
    "Templates",
    "find_templates",
    "image_templates",
    "map_templates",
    "pick_templates",
]

DEFAULT_LOWPASS = 40.0
DEFAULT_ANGULAR_STEP = 10.0

_SPECTRUM_SLABS = 4  # a tomogram's first slabs, whose spectrum is used for all

# What lowers scores lowers those of noise too; so these two let about as much of it pass.
_DEFAULT_THRESHOLD, _DEFAULT_OF_CORRELATION = 2.5, 3.0
DEFAULT_MAX_RIDGE = 1.0

_LEAST_CONTRAST = 1e-3  # in standard deviations, for lines to be compared with
_FEEDERS = 4  # threads that prepare images for a device
_REACH = 0.5  # picks nearer than this share of the larger diameter are one


def default_threshold(correlation_only: bool) -> float:
    """Give the lowest score by default, in standard deviations: lower where tests lower scores."""
    return _DEFAULT_OF_CORRELATION if correlation_only else _DEFAULT_THRESHOLD


@dataclass(frozen=True)
class TemplateLimits(Limits):
    """What is kept of the matches found; see `find_templates`.

    Raises `InputError`: if a limit makes no sense.
    """

    max_ridge: float = DEFAULT_MAX_RIDGE
    correlation_only: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_max_ridge(self.max_ridge)


@dataclass(frozen=True)
class TemplateMatches:
    """Matches in one image, best first; one element each in every array."""

    x_px: Floats  # centres in pixels, 0 = centre of the first pixel
    y_px: Floats
    score: Floats  # in robust standard deviations; see the module
    correlation: Floats  # locally normalised coefficient, -1 to 1
    psi: Floats  # RELION's in-plane angle in degrees, from -180 (not included) to 180
    # Number of the template, from 1; those of a second set count on from the first, and so on
    template: Indices
    set_number: Indices  # which of the sets of templates, from 0
    diameter: Floats  # of that set, Å

    def __len__(self) -> int:
        return len(self.x_px)


def find_templates(
    image: npt.NDArray[Any],
    pixel_size: float,
    *,
    templates: Templates | Sequence[Templates],
    contrast: Contrast = "dark",
    angular_step: float = DEFAULT_ANGULAR_STEP,
    threshold: float | None = None,
    max_count: int | None = None,
    min_distance: float | None = None,
    max_ridge: float = DEFAULT_MAX_RIDGE,
    correlation_only: bool = False,
    device: str = "cpu",
) -> TemplateMatches:
    """Find templates in one image, its noise and its spectrum measured on itself.

    Parameters
    ----------
    image : ndarray of real numbers, shape (y, x)
        Left as it is.
    pixel_size : float
        In Å.
    templates : Templates, or a sequence of them
        From `image_templates` or `map_templates`, all of one low-pass. What matches those with
        ``decoy`` best is left out.
    contrast : {"dark", "bright"}, optional
        How protein looks in the image.
    angular_step : float, optional
        In-plane, degrees; 360 for none.
    threshold : float, optional
        Lowest score, in standard deviations. Default: 2.5; 3 with ``correlation_only``.
    max_count : int, optional
        Keep so many of the best.
    min_distance : float, optional
        Of two matches closer than this (Å) the better is kept. Default: half the larger diameter
        of the two.
    max_ridge : float, optional
        Drop matches on a line that continues on two sides and whose height is this share of their
        contrast; infinite: lines do not matter.
    correlation_only : bool, optional
        Score by the correlation alone, regardless of contrast and lines.
    device : str, optional
        ``cpu``: NumPy; ``cuda`` or another device of PyTorch; ``torch``: PyTorch on the processor.

    Returns
    -------
    TemplateMatches

    Raises
    ------
    InputError
        If the image has not two axes or is not finite, a parameter makes no sense, or PyTorch
        cannot use the device.
    MissingDependencyError
        If the device needs PyTorch, and it is not installed.

    References
    ----------
    Roseman A. M. (2003) Particle finding in electron micrographs using a fast local correlation
    algorithm. Ultramicroscopy 94:225-236.
    """
    threshold = default_threshold(correlation_only) if threshold is None else threshold
    limits = TemplateLimits(threshold, max_count, min_distance, max_ridge, correlation_only)
    sets = _sets(templates)
    backend = backend_for(device)
    pixels = checked_image(image, "the image")
    pixel_size = positive_length(pixel_size, "the pixel size")
    search = TemplateSearch(
        (pixels.shape[0], pixels.shape[1]),
        pixel_size,
        sets,
        contrast,
        angular_step,
        threshold,
        backend,
    )
    with explain_full_memory(device):
        search.prepare(search.whitening([pixels]))
        sampled = search.sampled(pixels)
        noise = pooled_noise([sampled], len(sets), search.rims)
        candidates = search.candidates(sampled, noise, correlation_only)
    return _select_matches(candidates, noise, limits, sets, pixel_size)


def pick_templates(
    images: Iterable[npt.NDArray[Any]],
    slabs: pd.DataFrame,
    *,
    templates: Templates | Sequence[Templates],
    angular_step: float = DEFAULT_ANGULAR_STEP,
    threshold: float | None = None,
    max_per_slab: int | None = None,
    min_distance: float | None = None,
    max_ridge: float = DEFAULT_MAX_RIDGE,
    correlation_only: bool = False,
    contrast: Contrast | None = None,
    device: str = "cpu",
    device_memory: float = DEVICE_MEMORY,
    jobs: int = 1,
) -> pd.DataFrame:
    """Pick with templates on the slabs of one tomogram, with one noise scale for all of them.

    Parameters
    ----------
    images : iterable of ndarray, shape (y, x)
        The slabs' images in the order of the table; taken lazily, each once. The spectrum is
        measured on the first four.
    slabs : DataFrame
        Slab table (`slabkit.tables.SLABS`) of one tomogram. Pixel size and contrast are read here.
    templates, angular_step, threshold, min_distance, max_ridge, correlation_only
        As in `find_templates`.
    max_per_slab : int, optional
        Keep so many of the best on each slab.
    contrast : {"dark", "bright"}, optional
        Of the slabs; overrides that of the table.
    device : str, optional
        As in `find_templates`.
    device_memory : float, optional
        Of a device: about how much of its memory to use, in GB.
    jobs : int, optional
        Threads; of a device at most four. The result is the same for any number.

    Returns
    -------
    DataFrame
        2D picks (`slabkit.tables.PICKS2D`), slab by slab in the table's order, best first.
        ``rlnAnglePsi`` is the in-plane angle, ``rlnClassNumber`` the number of the template, from
        1 over all sets.

    Raises
    ------
    InputError
        If the table is of several tomograms, voxel sizes or contrasts, the images do not fit it,
        an image is not finite, a parameter makes no sense, or PyTorch cannot use the device.
    MissingDependencyError
        If the device needs PyTorch, and it is not installed.

    Warns
    -----
    SlabkitWarning
        Once, if slabs are constant.
    """
    threshold = default_threshold(correlation_only) if threshold is None else threshold
    limits = TemplateLimits(threshold, max_per_slab, min_distance, max_ridge, correlation_only)
    sets = _sets(templates)
    in_plane_angles(angular_step)
    workers = jobs if device == "cpu" else min(jobs, _FEEDERS)
    backend = backend_for(device, device_memory / workers)
    if len(slabs) == 0:
        return empty_table(PICKS2D)
    own = SlabSet.from_table(slabs, contrast)
    checked = own.checked_images(images)
    # Read ahead for the spectrum.
    ahead = list(itertools.islice(checked, _SPECTRUM_SLABS))
    searches: dict[tuple[int, int], TemplateSearch] = {}
    whitening: Whitening | None = None

    def tasks() -> Iterator[tuple[TemplateSearch, npt.NDArray[Any]]]:
        nonlocal whitening
        for pixels in itertools.chain(ahead, checked):
            size = (pixels.shape[0], pixels.shape[1])
            if size not in searches:
                search = TemplateSearch(
                    size, own.pixel_size, sets, own.contrast, angular_step, threshold, backend
                )
                if whitening is None:
                    alike = [one for one in ahead if one.shape == size]
                    whitening = search.whitening(alike)
                search.prepare(whitening)
                searches[size] = search
            yield searches[size], pixels

    def sample(
        task: tuple[TemplateSearch, npt.NDArray[Any]],
    ) -> tuple[TemplateSearch, SampledImage]:
        return task[0], task[0].sampled(task[1])

    def candidates(task: tuple[TemplateSearch, SampledImage]) -> TemplateCandidates:
        return task[0].candidates(task[1], noise, correlation_only)

    with explain_full_memory(device):
        sampled = list(map_in_order(sample, tasks(), workers))
        rims = next(search.rims for search, _ in sampled)
        noise = pooled_noise([one for _, one in sampled], len(sets), rims)
        found = list(map_in_order(candidates, sampled, workers))
    own.warn_of_constant([not one.samples for _, one in sampled])
    picks = [_select_matches(one, noise, limits, sets, own.pixel_size) for one in found]
    return own.picks_table(
        picks,
        rlnAnglePsi=np.concatenate([one.psi for one in picks]),
        rlnClassNumber=np.concatenate([one.template for one in picks]),
        slabkitScoreKind="template",
        slabkitSpecies=[sets[k].species for one in picks for k in one.set_number],
    )


def _sets(templates: Templates | Sequence[Templates]) -> list[Templates]:
    sets = [templates] if isinstance(templates, Templates) else list(templates)
    if not sets:
        raise InputError("there are no templates.")
    return sets


def _select_matches(
    one: TemplateCandidates,
    noise: Noise,
    limits: TemplateLimits,
    sets: list[Templates],
    pixel_size: float,
) -> TemplateMatches:
    """Give the candidates of one image that pass the limits, best first."""
    score = noise.score(one.correlation, one.set_number)
    rows = np.flatnonzero(score >= limits.lowest)
    score = score[rows]
    if not limits.correlation_only:
        rim = one.rim[rows]
        contrast = (one.contrast[rows] - noise.contrast_middle[rim]) / noise.contrast_deviation[rim]
        score *= np.sqrt(np.clip(contrast / score, 0, 1))
        rows, score = rows[score >= limits.lowest], score[score >= limits.lowest]
    diameter = np.array([each.diameter for each in sets])[one.set_number]
    contrast = np.maximum(
        one.contrast[rows], _LEAST_CONTRAST * noise.contrast_deviation[one.rim[rows]]
    )
    beside_lines = None
    if len(rows) and not limits.correlation_only and limits.max_ridge < math.inf:
        ridges = one.ridges(rows)

        def beside_lines(some: Indices) -> Floats:
            return lowered_by_lines(score[some], ridges(some), contrast[some], limits.max_ridge)

    reach = _REACH * diameter[rows]
    all_of_them = replace(limits, max_count=None)
    kept, best = all_of_them.best(
        one.y_px[rows], one.x_px[rows], reach, pixel_size, score, beside_lines
    )
    reported = ~np.array([each.decoy for each in sets])[one.set_number[rows[kept]]]
    kept, best = kept[reported][: limits.max_count], best[reported][: limits.max_count]
    rows = rows[kept]
    psi = one.psi[rows]
    last = np.cumsum([0, *(int(each.numbers.max()) for each in sets[:-1])])
    names = np.concatenate([each.numbers + n for each, n in zip(sets, last, strict=True)])
    return TemplateMatches(
        one.x_px[rows],
        one.y_px[rows],
        best,
        one.correlation[rows],
        np.where(psi > 180, psi - 360, psi),
        names[one.template[rows]],
        one.set_number[rows],
        diameter[rows],
    )
