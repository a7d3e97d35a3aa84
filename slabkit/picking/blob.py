"""Slab images to 2D picks: blobs by their Laplacian, their rim and their evenness all round.

Blobs are searched over a geometric ladder of diameters with the scale-normalised Laplacian of
Gaussian (Lindeberg 1998, Int. J. Comput. Vis. 30:79) and, because that answers hollow particles
weakly and their walls strongly, with a rim filter (mean along a ring less mean of the surround) and
a shell filter (less mean of the core as well). Maxima over place and scale are candidates.

The score of a candidate is the answer of its rim or shell filter in robust standard deviations
(median and 1.4826 times the median absolute deviation) times its evenness: the lower quartile over
directions of its contrast to the surround, as a share of the mean. So a score is, roughly, the
contrast of a blob on its weaker sides in standard deviations. There is one median and one deviation
a filter and size, pooled over all slabs of a tomogram.

A particle's diameter is its longest extent; a band of sizes about it is searched
(`slabkit.picking.blob_search.diameter_ladder`). The score of a blob whose best size lies beyond the
band is lowered by a power of the ratio.

Where a line runs into the blob on one side and out on another, as a membrane does, its height
(`slabkit.arrays.ridges`) as a share of the filter's answer lowers the score: by the square of the
share over the largest one allowed, so that a faint line, which noise has everywhere, costs little.

Border rule: beyond its border an image continues as its mirror image, and a pick may lie as near to
the border as a fifth of the smallest diameter (a pixel of the grid searched); what is nearer may
be half of something outside. Padding of one value does not count as image.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.checks import checked_image
from slabkit.arrays.exact import exp, log, median
from slabkit.arrays.parallel import map_in_order
from slabkit.errors import InputError
from slabkit.picking.blob_search import (
    SHELL,
    BlobSearch,
    Candidates,
    Floats,
    Indices,
    Method,
    diameter_ladder,
)
from slabkit.picking.slab_images import (
    Limits,
    SlabSet,
    check_max_ridge,
    lowered_by_lines,
)
from slabkit.tables import PICKS2D, empty_table
from slabkit.units import Contrast, positive_length

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BlobLimits", "Blobs", "find_blobs", "pick_blobs"]

# Lines that noise draws lower most scores by a third; so these two let as many picks pass.
_DEFAULT_THRESHOLD, _DEFAULT_WITHOUT_LINES = 2.0, 3.0
DEFAULT_MAX_ELONGATION = 4.0
DEFAULT_MAX_RIDGE = 0.7

_REACH = 0.5  # picks nearer than this share of the larger diameter are one
_SHELL_REACH = 0.6  # a shell also suppresses the peaks along its own wall
_SMALLEST_NOISE = 1e-3  # of the strongest answer: images without noise have finite scores


@dataclass(frozen=True)
class Blobs:
    """Blobs of one image, best first; one element each in every array.

    Parameters
    ----------
    x_px, y_px : ndarray of float64
        Centres in pixels, 0 = centre of the first pixel.
    score : ndarray of float64
        In robust standard deviations; see the module.
    response : ndarray of float64
        Answer of the filter in the units of the image, protein positive.
    diameter : ndarray of float64
        Estimated diameter in Å. By rims: about 8 % too small for a solid ball, as much too large
        for a flat disc, right for a shell. By the Laplacian: right for a solid ball, 17 % too
        large for a disc.
    elongation : ndarray of float64
        Ratio of principal curvatures, 1 = round.
    """

    x_px: Floats
    y_px: Floats
    score: Floats
    response: Floats
    diameter: Floats
    elongation: Floats

    def __len__(self) -> int:
        return len(self.x_px)


@dataclass(frozen=True)
class BlobLimits(Limits):
    """What is kept of the blobs found; see `find_blobs`.

    Raises `InputError`: if a limit makes no sense.
    """

    max_elongation: float
    max_ridge: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.max_elongation >= 1:
            raise InputError(
                f"--max-elongation must be 1 (round) or more, not {self.max_elongation:g}."
            )
        check_max_ridge(self.max_ridge)


class PooledNoise:
    """Median and robust standard deviation of every filter and rung, pooled over images."""

    def __init__(self, found: list[Candidates]) -> None:
        self._median: dict[int, Floats] = {}
        self._deviation: dict[int, Floats] = {}
        for kind in sorted({kind for one in found for kind in one.samples}):
            pooled = np.concatenate([one.samples[kind] for one in found if one.samples], axis=1)
            if pooled.shape[1] == 0:  # all padding
                pooled = np.zeros((len(pooled), 1), dtype=np.float32)
            middle = np.array([median(rung) for rung in pooled])
            pooled -= middle[:, None]
            spread = np.array([median(rung) for rung in np.abs(pooled, out=pooled)])
            answers = [one.response[one.scored_by == kind] for one in found]
            strongest = float(np.concatenate(answers).max(initial=0.0))
            tiny = float(np.finfo(np.float32).tiny)
            self._median[kind] = middle.astype(np.float64)
            self._deviation[kind] = np.maximum(
                1.4826 * spread.astype(np.float64), max(_SMALLEST_NOISE * strongest, tiny)
            )

    def score(self, one: Candidates) -> Floats:
        """Give the weighted answers at one image's candidates in standard deviations."""
        score = np.zeros(len(one.response))
        for kind, middle in self._median.items():
            rows = one.scored_by == kind
            rungs = np.arange(len(middle)) + one.first_rung.get(kind, 0)
            centre = np.interp(one.rung[rows], rungs, middle)
            deviation = exp(np.interp(one.rung[rows], rungs, log(self._deviation[kind])))
            score[rows] = (one.response[rows] - centre) / deviation
        return score * one.weight


def default_threshold(method: Method, max_ridge: float) -> float:
    """Give the lowest score by default (SD): lower where lines that run past lower the scores."""
    if method == "rims" and max_ridge < math.inf:
        return _DEFAULT_THRESHOLD
    return _DEFAULT_WITHOUT_LINES


def find_blobs(
    image: npt.NDArray[Any],
    pixel_size: float,
    *,
    diameter: tuple[float, float] | float,
    contrast: Contrast = "dark",
    threshold: float | None = None,
    max_count: int | None = None,
    min_distance: float | None = None,
    max_elongation: float = DEFAULT_MAX_ELONGATION,
    max_ridge: float = DEFAULT_MAX_RIDGE,
    method: Method = "rims",
) -> Blobs:
    """Find the blobs of one image, its noise measured on itself.

    Parameters
    ----------
    image : ndarray of real numbers, shape (y, x)
        Left as it is.
    pixel_size : float
        In Å.
    diameter : (float, float) or float
        Of the particles, in Å: their longest extent, or the smallest and the largest of several.
        Sizes are searched from 0.9 times the smallest (0.3 times, but at least 100 Å, if it is
        above 111 Å) to 1.2 times the largest; beyond, scores fall.
    contrast : {"dark", "bright"}, optional
    threshold : float, optional
        Lowest score, in standard deviations. Default: 2; 3 where lines do not lower the scores (an
        infinite ``max_ridge``, ``laplacian``).
    max_count : int, optional
        Keep so many of the best.
    min_distance : float, optional
        Of two blobs closer than this (Å) the better is kept. Default: half the larger diameter of
        the two (0.6 for shells).
    max_elongation : float, optional
        Ridges (membranes, edges) with a larger ratio of principal curvatures are dropped.
    max_ridge : float, optional
        Blobs are dropped that lie on a line (a membrane, a filament) as high as this share of the
        blob's own contrast; a lower line lowers the score by the square of its part of that.
        Infinite: lines do not matter, as for particles that sit in membranes.
    method : {"rims", "laplacian"}, optional
        ``laplacian``: only the Laplacian of Gaussian, its response being the score, regardless of
        lines that run past.

    Returns
    -------
    Blobs

    Raises
    ------
    InputError
        If the image has not two axes or is not finite, or a parameter makes no sense.
    """
    threshold = default_threshold(method, max_ridge) if threshold is None else threshold
    limits = BlobLimits(threshold, max_count, min_distance, max_elongation, max_ridge)
    pixels = checked_image(image, "the image")
    search = BlobSearch(
        _size(pixels),
        positive_length(pixel_size, "the pixel size"),
        diameter_ladder(diameter),
        contrast,
        method,
    )
    candidates = search.candidates(pixels)
    return _select_blobs(candidates, PooledNoise([candidates]), limits, pixel_size)


def pick_blobs(
    images: Iterable[npt.NDArray[Any]],
    slabs: pd.DataFrame,
    *,
    diameter: tuple[float, float] | float,
    threshold: float | None = None,
    max_per_slab: int | None = None,
    min_distance: float | None = None,
    max_elongation: float = DEFAULT_MAX_ELONGATION,
    max_ridge: float = DEFAULT_MAX_RIDGE,
    contrast: Contrast | None = None,
    species: str = "",
    method: Method = "rims",
    jobs: int = 1,
) -> pd.DataFrame:
    """Pick blobs on the slabs of one tomogram, with one noise scale for all of them.

    Parameters
    ----------
    images : iterable of ndarray, shape (y, x)
        The slabs' images in the order of the table; taken lazily, ``jobs`` + 1 at a time, each
        once.
    slabs : DataFrame
        Slab table (`slabkit.tables.SLABS`) of one tomogram. Pixel size and contrast are read here.
    diameter, threshold, min_distance, max_elongation, max_ridge, method
        As in `find_blobs`.
    max_per_slab : int, optional
        Keep so many of the best on each slab.
    contrast : {"dark", "bright"}, optional
        Overrides that of the table.
    species : str, optional
        Name to give to all picks.
    jobs : int, optional
        Threads. The result is the same for any number.

    Returns
    -------
    DataFrame
        2D picks (`slabkit.tables.PICKS2D`), slab by slab in the table's order, best first.

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
    threshold = default_threshold(method, max_ridge) if threshold is None else threshold
    limits = BlobLimits(threshold, max_per_slab, min_distance, max_elongation, max_ridge)
    diameter_ladder(diameter)  # refuses what makes no sense
    diameters = diameter if isinstance(diameter, (int, float)) else tuple(diameter)
    if len(slabs) == 0:
        return empty_table(PICKS2D)
    own = SlabSet.from_table(slabs, contrast)
    searches: dict[tuple[int, int], BlobSearch] = {}

    def tasks() -> Iterator[tuple[BlobSearch, npt.NDArray[Any]]]:
        for pixels in own.checked_images(images):
            size = _size(pixels)
            if size not in searches:
                searches[size] = _search(size, own.pixel_size, diameters, own.contrast, method)
            yield searches[size], pixels

    found = list(map_in_order(lambda task: task[0].candidates(task[1]), tasks(), jobs))
    own.warn_of_constant([not one.samples for one in found])
    noise = PooledNoise(found)

    def select(one: Candidates) -> Blobs:
        return _select_blobs(one, noise, limits, own.pixel_size)

    picks = list(map_in_order(select, found, jobs))
    return own.picks_table(picks, slabkitScoreKind=f"blob-{method}", slabkitSpecies=species)


@lru_cache(maxsize=1)  # tomograms usually have one size; filters of large images are large
def _search(
    size: tuple[int, int],
    pixel_size: float,
    diameter: tuple[float, float] | float,
    contrast: Contrast,
    method: Method,
) -> BlobSearch:
    return BlobSearch(size, pixel_size, diameter_ladder(diameter), contrast, method)


def _select_blobs(
    one: Candidates, noise: PooledNoise, limits: BlobLimits, pixel_size: float
) -> Blobs:
    """Give the candidates of one image that pass the limits, best first."""
    # Evenness and lines only lower a score, and cost more than all else here.
    score = noise.score(one)
    rows = np.flatnonzero((score >= limits.lowest) & (one.elongation <= limits.max_elongation))
    score = score[rows] * one.evenness(rows)
    rows, score = rows[score >= limits.lowest], score[score >= limits.lowest]
    response = one.response[rows]
    ridges = one.ridges(rows) if limits.max_ridge < math.inf else None

    def beside_lines(some: Indices) -> Floats:
        assert ridges is not None
        return lowered_by_lines(score[some], ridges(some), response[some], limits.max_ridge)

    kept, best = limits.best(
        one.y_px[rows],
        one.x_px[rows],
        np.where(one.found_by[rows] == SHELL, _SHELL_REACH, _REACH) * one.diameter[rows],
        pixel_size,
        score,
        beside_lines if ridges else None,
    )
    rows = rows[kept]
    return Blobs(
        one.x_px[rows],
        one.y_px[rows],
        best,
        one.response[rows],
        one.diameter[rows],
        one.elongation[rows],
    )


def _size(pixels: npt.NDArray[Any]) -> tuple[int, int]:
    return int(pixels.shape[0]), int(pixels.shape[1])
