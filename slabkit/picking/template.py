"""Slab images to 2D picks: templates, turned in the plane, by locally normalised correlation.

Slabs and templates are low-passed, evened out in their spectra (`Whitening`) and correlated under a
soft circular mask about as large as the particle, on the coarsest grid that the low-pass allows.
The best of all templates and in-plane angles counts at each place; its peaks are candidates.

The score of a candidate is Fisher's transform of its coefficient in robust standard deviations
(median and 1.4826 times the median absolute deviation) above that of places at large. There is one
median and one deviation a set of templates (a map, a stack of class averages), pooled over all
slabs of a tomogram, so scores compare across slabs and between sets. It is lowered where the place
is fainter than its correlation is sure, and where a membrane runs past
(`slabkit.picking.template_selection`). Of picks of several sets at one place the best is kept, and
its species with it.

What cannot reach four fifths of the threshold, by correlation and contrast, is not looked at
closely.
Multiplying a slab by a positive number or adding one changes nothing. Beyond its border an image
continues as its mirror image. Padding of one value is no image.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.backends import NumpyBackend, backend_for, full_memory_told
from slabkit.errors import InputError, SlabkitWarning
from slabkit.picking.template_candidates import pooled_noise
from slabkit.picking.template_images import Templates, image_templates
from slabkit.picking.template_search import (
    TemplateSearch,
    Whitening,
    in_plane_angles,
)
from slabkit.picking.template_selection import (
    DEFAULT_MAX_RIDGE,
    TemplateLimits,
    TemplateMatches,
    default_threshold,
    select_matches,
)
from slabkit.picking.template_views import map_templates
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

_SPECTRUM_SLABS = 4  # so many of a tomogram's first slabs give the spectrum of all


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
        From `image_templates` or `map_templates`, all of one low-pass.
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
        Drop matches on a line that goes on at two sides and is so high as a share of their
        contrast; infinite: lines do not matter.
    correlation_only : bool, optional
        Score by the correlation alone, however faint the place, and whatever runs past.
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
    pixels = _checked_image(image, "the image")
    pixel_size = _positive(pixel_size, "pixel size")
    search = TemplateSearch(
        (pixels.shape[0], pixels.shape[1]),
        pixel_size,
        sets,
        contrast,
        angular_step,
        threshold,
        backend,
    )
    with full_memory_told(device):
        search.prepare(search.whitening([pixels]))
        sampled = search.sampled(pixels)
        noise = pooled_noise([sampled], len(sets), search.rims)
        candidates = search.candidates(sampled, noise, correlation_only)
    return select_matches(candidates, noise, limits, sets, pixel_size)


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
    jobs : int, optional
        Threads; a device is fed by one. The result is the same for any number.

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
    backend = backend_for(device)
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
                search = TemplateSearch(
                    size, pixel_size, sets, sign_of, angular_step, threshold, backend
                )
                if whitening is None:
                    alike = [one for one in ahead if one.shape == size]
                    whitening = search.whitening(alike)
                search.prepare(whitening)
                searches[size] = search
            yield searches[size], pixels

    workers = jobs if isinstance(backend, NumpyBackend) else 1
    with full_memory_told(device):
        sampled = list(_in_order(((s, (s.sampled, image)) for s, image in tasks()), workers))
        rims = next(search.rims for search, _ in sampled)
        noise = pooled_noise([one for _, one in sampled], len(sets), rims)
        again = ((s, (s.candidates, one, noise, correlation_only)) for s, one in sampled)
        found = [one for _, one in _in_order(again, workers)]
    constant = [name for name, (_, one) in zip(names, sampled, strict=True) if not one.samples]
    if constant:
        warnings.warn(
            f"{len(constant)} of {len(names)} slabs are constant and have no picks, the first "
            f"{constant[0]}.",
            SlabkitWarning,
            stacklevel=2,
        )
    picks = [select_matches(one, noise, limits, sets, pixel_size) for one in found]
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


def _in_order(tasks: Iterator[tuple[Any, tuple[Any, ...]]], jobs: int) -> Iterator[Any]:
    """Give each task's first part with what its call (function, arguments) gives, in order."""
    if jobs <= 1:
        for key, (call, *arguments) in tasks:
            yield key, call(*arguments)
        return
    waiting: deque[Any] = deque()
    with ThreadPoolExecutor(jobs) as pool:
        for key, (call, *arguments) in tasks:
            waiting.append((key, pool.submit(call, *arguments)))
            if len(waiting) > jobs:
                first, result = waiting.popleft()
                yield first, result.result()
        while waiting:
            first, result = waiting.popleft()
            yield first, result.result()


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
