"""Slab images to 2D picks: templates, turned in the plane, by locally normalised correlation.

Slabs and templates are low-passed, evened out in their spectra (`Whitening`) and correlated under a
soft circular mask about as large as the particle, on the coarsest grid that the low-pass allows.
The best of all templates and in-plane angles counts at each place; its peaks are candidates.

The score of a candidate is Fisher's transform of its coefficient in robust standard deviations
(median and 1.4826 times the median absolute deviation) above that of places at large. There is one
median and one deviation a set of templates (a map, a stack of class averages), pooled over all
slabs of a tomogram, so scores compare across slabs and between sets. Of picks of several sets at
one place the best is kept, and its species with it.

What does not reach half the threshold by the noise of its own slab is not looked at closely.
Multiplying a slab by a positive number or adding one changes nothing. Beyond its border an image
continues as its mirror image. Padding of one value is no image.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.neighbours import group_neighbours
from slabkit.errors import InputError, SlabkitWarning
from slabkit.picking.template_images import Templates, image_templates, map_templates
from slabkit.picking.template_search import (
    Floats,
    Indices,
    TemplateCandidates,
    TemplateSearch,
    Whitening,
    in_plane_angles,
    middle_and_deviation,
    spread,
)
from slabkit.tables import PICKS2D, empty_table, make_table
from slabkit.units import Contrast

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
DEFAULT_THRESHOLD = 3.0

_REACH = 0.5  # picks nearer than this share of the larger diameter are one
_SPECTRUM_SLABS = 4  # so many of a tomogram's first slabs give the spectrum of all


@dataclass(frozen=True)
class TemplateLimits:
    """What is kept of the matches found; see `find_templates`.

    Raises
    ------
    InputError
        If a limit makes no sense.
    """

    threshold: float
    max_count: int | None
    min_distance: float | None

    def __post_init__(self) -> None:
        if not math.isfinite(self.threshold):
            raise InputError(f"--threshold must be a number, not {self.threshold!r}.")
        if self.max_count is not None and self.max_count < 1:
            raise InputError(f"--max-per-slab must be at least 1, not {self.max_count}.")
        if self.min_distance is not None and not (0 <= self.min_distance < math.inf):
            raise InputError(f"--min-distance must be 0 Å or more, not {self.min_distance:g}.")


@dataclass(frozen=True)
class TemplateMatches:
    """Matches in one image, best first; one element each in every array.

    Parameters
    ----------
    x_px, y_px : ndarray of float64
        Centres in pixels, 0 = centre of the first pixel.
    score : ndarray of float64
        In robust standard deviations; see the module.
    correlation : ndarray of float64
        Locally normalised coefficient, -1 to 1.
    psi : ndarray of float64
        RELION's in-plane angle in degrees, from -180 (not included) to 180.
    template : ndarray of int64
        Number of the template, from 1; those of a second set count on from the first, and so on.
    set_number : ndarray of int64
        Which of the sets of templates, from 0.
    diameter : ndarray of float64
        Of that set, Å.
    """

    x_px: Floats
    y_px: Floats
    score: Floats
    correlation: Floats
    psi: Floats
    template: Indices
    set_number: Indices
    diameter: Floats

    def __len__(self) -> int:
        return len(self.x_px)


def find_templates(
    image: npt.NDArray[Any],
    pixel_size: float,
    *,
    templates: Templates | Sequence[Templates],
    contrast: Contrast = "dark",
    angular_step: float = DEFAULT_ANGULAR_STEP,
    threshold: float = DEFAULT_THRESHOLD,
    max_count: int | None = None,
    min_distance: float | None = None,
) -> TemplateMatches:
    """Find templates in one image, its noise and its spectrum measured on itself.

    Parameters
    ----------
    image : ndarray of real numbers, shape (y, x)
        Left as it is.
    pixel_size : float
        In Å.
    templates : Templates, or a sequence of them
        From `image_templates` or `map_templates`, all of one low-pass.
    contrast : {"dark", "bright"}, optional
        How protein looks in the image.
    angular_step : float, optional
        In-plane, degrees; 360 for none.
    threshold : float, optional
        Lowest score, in standard deviations.
    max_count : int, optional
        Keep so many of the best.
    min_distance : float, optional
        Of two matches closer than this (Å) the better is kept. Default: half the larger diameter
        of the two.

    Returns
    -------
    TemplateMatches

    Raises
    ------
    InputError
        If the image has not two axes or is not finite, or a parameter makes no sense.

    References
    ----------
    Roseman A. M. (2003) Particle finding in electron micrographs using a fast local correlation
    algorithm. Ultramicroscopy 94:225-236.
    """
    limits = TemplateLimits(threshold, max_count, min_distance)
    sets = _sets(templates)
    pixels = _checked_image(image, "the image")
    pixel_size = _positive(pixel_size, "pixel size")
    search = TemplateSearch(
        (pixels.shape[0], pixels.shape[1]), pixel_size, sets, contrast, angular_step, threshold
    )
    search.prepare(search.whitening([pixels]))
    candidates = search.candidates(pixels)
    return _select(candidates, _pooled_noise([candidates], len(sets)), limits, sets, pixel_size)


def pick_templates(
    images: Iterable[npt.NDArray[Any]],
    slabs: pd.DataFrame,
    *,
    templates: Templates | Sequence[Templates],
    angular_step: float = DEFAULT_ANGULAR_STEP,
    threshold: float = DEFAULT_THRESHOLD,
    max_per_slab: int | None = None,
    min_distance: float | None = None,
    contrast: Contrast | None = None,
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
    templates, angular_step, threshold, min_distance
        As in `find_templates`.
    max_per_slab : int, optional
        Keep so many of the best on each slab.
    contrast : {"dark", "bright"}, optional
        Of the slabs; overrides that of the table.
    jobs : int, optional
        Threads. The result is the same for any number.

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
        an image is not finite, or a parameter makes no sense.

    Warns
    -----
    SlabkitWarning
        Once, if slabs are constant.
    """
    limits = TemplateLimits(threshold, max_per_slab, min_distance)
    sets = _sets(templates)
    in_plane_angles(angular_step)
    if len(slabs) == 0:
        return empty_table(PICKS2D)
    for column in ("rlnTomoName", "slabkitVoxelSize", "slabkitContrast"):
        if slabs[column].nunique() > 1:
            raise InputError(
                f"the slabs differ in {column} ({', '.join(map(str, slabs[column].unique()[:3]))});"
                " pick them tomogram by tomogram."
            )
    names = [str(name) for name in slabs["rlnMicrographName"]]
    pixel_size = _positive(float(slabs["slabkitVoxelSize"].iloc[0]), "voxel size")
    sign_of: Contrast = slabs["slabkitContrast"].iloc[0] if contrast is None else contrast
    checked = _checked(images, names)
    # Read ahead for the spectrum.
    ahead = list(itertools.islice(checked, _SPECTRUM_SLABS))
    searches: dict[tuple[int, int], TemplateSearch] = {}
    whitening: Whitening | None = None

    def tasks() -> Iterator[tuple[TemplateSearch, npt.NDArray[Any]]]:
        nonlocal whitening
        for pixels in itertools.chain(ahead, checked):
            size = (pixels.shape[0], pixels.shape[1])
            if size not in searches:
                search = TemplateSearch(size, pixel_size, sets, sign_of, angular_step, threshold)
                if whitening is None:
                    alike = [one for one in ahead if one.shape == size]
                    whitening = search.whitening(alike)
                search.prepare(whitening)
                searches[size] = search
            yield searches[size], pixels

    found = list(_in_order(tasks(), jobs))
    constant = [name for name, one in zip(names, found, strict=True) if not one.samples]
    if constant:
        warnings.warn(
            f"{len(constant)} of {len(names)} slabs are constant and have no picks, the first "
            f"{constant[0]}.",
            SlabkitWarning,
            stacklevel=2,
        )
    noise = _pooled_noise(found, len(sets))
    picks = [_select(one, noise, limits, sets, pixel_size) for one in found]
    species = [one.species for one in sets]
    return make_table(
        PICKS2D,
        {
            "rlnMicrographName": [
                n for n, p in zip(names, picks, strict=True) for _ in range(len(p))
            ],
            "rlnCoordinateX": np.concatenate([p.x_px for p in picks]),
            "rlnCoordinateY": np.concatenate([p.y_px for p in picks]),
            "rlnAutopickFigureOfMerit": np.concatenate([p.score for p in picks]),
            "rlnAnglePsi": np.concatenate([p.psi for p in picks]),
            "rlnClassNumber": np.concatenate([p.template for p in picks]),
            "slabkitDiameter": np.concatenate([p.diameter for p in picks]),
            "slabkitScoreKind": "template",
            "slabkitSpecies": [species[k] for p in picks for k in p.set_number],
        },
    )


def _sets(templates: Templates | Sequence[Templates]) -> list[Templates]:
    sets = [templates] if isinstance(templates, Templates) else list(templates)
    if not sets:
        raise InputError("there are no templates.")
    return sets


def _pooled_noise(found: list[TemplateCandidates], sets: int) -> list[tuple[float, float]]:
    """Give median and deviation of each set's transformed coefficients, over all images."""
    pools: list[list[Any]] = [
        [one.samples[number] for one in found if one.samples] for number in range(sets)
    ]
    return [middle_and_deviation(np.concatenate(pool) if pool else []) for pool in pools]


def _select(
    one: TemplateCandidates,
    noise: list[tuple[float, float]],
    limits: TemplateLimits,
    sets: list[Templates],
    pixel_size: float,
) -> TemplateMatches:
    middle, deviation = (np.array(part)[one.set_number] for part in zip(*noise, strict=True))
    score = (spread(one.correlation) - middle) / deviation
    diameter = np.array([each.diameter for each in sets])[one.set_number]
    rows = np.flatnonzero((score >= limits.threshold) & (score > 0))
    if limits.min_distance is None:
        reach = _REACH * diameter[rows]
    else:
        reach = np.full(len(rows), limits.min_distance)
    places = np.column_stack([one.x_px[rows], one.y_px[rows]]) * pixel_size
    stands_for = group_neighbours(places, reach, priority=score[rows])
    rows = rows[stands_for == np.arange(len(rows))]
    order = np.lexsort([one.y_px[rows], one.x_px[rows], -score[rows]])
    rows = rows[order][: limits.max_count]
    psi = one.psi[rows]
    last = np.cumsum([0, *(int(each.numbers.max()) for each in sets[:-1])])
    names = np.concatenate([each.numbers + n for each, n in zip(sets, last, strict=True)])
    return TemplateMatches(
        one.x_px[rows],
        one.y_px[rows],
        score[rows],
        one.correlation[rows],
        np.where(psi > 180, psi - 360, psi),
        names[one.template[rows]],
        one.set_number[rows],
        diameter[rows],
    )


def _in_order(
    tasks: Iterator[tuple[TemplateSearch, npt.NDArray[Any]]], jobs: int
) -> Iterator[TemplateCandidates]:
    if jobs <= 1:
        for search, image in tasks:
            yield search.candidates(image)
        return
    waiting: deque[Future[TemplateCandidates]] = deque()
    with ThreadPoolExecutor(jobs) as pool:
        for search, image in tasks:
            waiting.append(pool.submit(search.candidates, image))
            if len(waiting) > jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _checked(images: Iterable[npt.NDArray[Any]], names: list[str]) -> Iterator[npt.NDArray[Any]]:
    iterator = iter(images)
    for number, name in enumerate(names):
        try:
            image = next(iterator)
        except StopIteration:
            raise InputError(
                f"the slab table has {len(names)} slabs, but there are only {number} images."
            ) from None
        yield _checked_image(image, name)
    if next(iterator, None) is not None:
        raise InputError(f"there are more images than the {len(names)} slabs of the table.")


def _checked_image(image: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    pixels = np.asarray(image)
    if pixels.ndim != 2 or pixels.size == 0 or pixels.dtype.kind not in "iufb":
        raise InputError(
            f"{name}: templates are sought in real images (y, x), not in {pixels.dtype} of shape "
            f"{pixels.shape}."
        )
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        bad = np.argwhere(~np.isfinite(pixels))
        raise InputError(
            f"{name}: {len(bad)} pixels are NaN or infinite, the first at y={bad[0][0]}, "
            f"x={bad[0][1]}; make the slab again with --fill-nonfinite median."
        )
    return pixels


def _positive(value: float, name: str) -> float:
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"the {name} must be a positive number of Å, not {value!r}.")
    return value
