"""Slab images to 2D picks: blobs by their Laplacian, their rim and their evenness all round.

Blobs are searched over a geometric ladder of diameters with the scale-normalised Laplacian of
Gaussian (Lindeberg 1998, Int. J. Comput. Vis. 30:79) and, because that answers hollow particles
weakly and their walls strongly, with a rim filter (mean along a ring less mean of the surround) and
a shell filter (less mean of the core as well). Maxima over place and scale are candidates.

The score of a candidate is the answer of its rim or shell filter in robust standard deviations
(median and 1.4826 times the median absolute deviation) times its evenness: the lower quartile over
directions of its contrast to the surround, as a share of the mean. So a score is, roughly, how many
standard deviations a blob stands out on its weaker sides. There is one median and one deviation a
filter and diameter, pooled over all slabs of a tomogram.

Where a line runs into the blob on one side and out on another, as a membrane does, its height
(`slabkit.arrays.ridges`) as a share of the filter's answer lowers the score: by the square of the
share over the largest one allowed, so that a faint line, which noise has everywhere, costs little.

Border rule: beyond its border an image continues as its mirror image, and a pick may lie as near to
the border as a fifth of the smallest diameter (a pixel of the grid searched); what is nearer may
be half of something outside. Padding of one value is no image.
"""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError, SlabkitWarning
from slabkit.picking.blob_search import (
    BlobSearch,
    Candidates,
    Method,
    diameter_ladder,
)
from slabkit.picking.blob_selection import (
    DEFAULT_MAX_ELONGATION,
    DEFAULT_MAX_RIDGE,
    BlobLimits,
    Blobs,
    PooledNoise,
    default_threshold,
    select_blobs,
)
from slabkit.tables import PICKS2D, empty_table, make_table
from slabkit.units import Contrast

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")

__all__ = ["BlobLimits", "Blobs", "find_blobs", "pick_blobs"]


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
        Smallest and largest diameter, or the one there is, in Å.
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
        ``laplacian``: only the Laplacian of Gaussian, its answer being the score, whatever lines
        run past.

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
    pixels = _checked_image(image, "the image")
    search = BlobSearch(
        _size(pixels),
        _positive(pixel_size, "pixel size"),
        diameter_ladder(diameter),
        contrast,
        method,
    )
    candidates = search.candidates(pixels)
    return select_blobs(candidates, PooledNoise([candidates]), limits, pixel_size)


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
    for column in ("rlnTomoName", "slabkitVoxelSize", "slabkitContrast"):
        if slabs[column].nunique() > 1:
            raise InputError(
                f"the slabs differ in {column} ({', '.join(map(str, slabs[column].unique()[:3]))});"
                " pick them tomogram by tomogram."
            )
    names = [str(name) for name in slabs["rlnMicrographName"]]
    pixel_size = _positive(float(slabs["slabkitVoxelSize"].iloc[0]), "voxel size")
    sign_of = slabs["slabkitContrast"].iloc[0] if contrast is None else contrast
    searches: dict[tuple[int, int], BlobSearch] = {}

    def tasks() -> Iterator[Callable[[], Candidates]]:
        for image, name in _zipped(images, names):
            pixels = _checked_image(image, name)
            size = _size(pixels)
            if size not in searches:
                searches[size] = _search(size, pixel_size, diameters, sign_of, method)
            yield partial(searches[size].candidates, pixels)

    found = list(_in_order(tasks(), jobs))
    constant = [name for name, one in zip(names, found, strict=True) if not one.samples]
    if constant:
        warnings.warn(
            f"{len(constant)} of {len(names)} slabs are constant and have no picks, the first "
            f"{constant[0]}.",
            SlabkitWarning,
            stacklevel=2,
        )
    noise = PooledNoise(found)
    picks = list(
        _in_order((partial(select_blobs, one, noise, limits, pixel_size) for one in found), jobs)
    )
    return make_table(
        PICKS2D,
        {
            "rlnMicrographName": [
                n for n, p in zip(names, picks, strict=True) for _ in range(len(p))
            ],
            "rlnCoordinateX": np.concatenate([p.x_px for p in picks]),
            "rlnCoordinateY": np.concatenate([p.y_px for p in picks]),
            "rlnAutopickFigureOfMerit": np.concatenate([p.score for p in picks]),
            "slabkitDiameter": np.concatenate([p.diameter for p in picks]),
            "slabkitScoreKind": f"blob-{method}",
            "slabkitSpecies": species,
        },
    )


@lru_cache(maxsize=1)  # tomograms are alike as a rule; filters of large images are large
def _search(
    size: tuple[int, int],
    pixel_size: float,
    diameter: tuple[float, float] | float,
    contrast: Contrast,
    method: Method,
) -> BlobSearch:
    return BlobSearch(size, pixel_size, diameter_ladder(diameter), contrast, method)


def _in_order(tasks: Iterator[Callable[[], T]], jobs: int) -> Iterator[T]:
    if jobs <= 1:
        for task in tasks:
            yield task()
        return
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(jobs) as pool:
        for task in tasks:
            waiting.append(pool.submit(task))
            if len(waiting) > jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _zipped(
    images: Iterable[npt.NDArray[Any]], names: list[str]
) -> Iterator[tuple[npt.NDArray[Any], str]]:
    iterator = iter(images)
    for number, name in enumerate(names):
        try:
            yield next(iterator), name
        except StopIteration:
            raise InputError(
                f"the slab table has {len(names)} slabs, but there are only {number} images."
            ) from None
    if next(iterator, None) is not None:
        raise InputError(f"there are more images than the {len(names)} slabs of the table.")


def _checked_image(image: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    pixels = np.asarray(image)
    if pixels.ndim != 2 or pixels.size == 0 or pixels.dtype.kind not in "iufb":
        raise InputError(
            f"{name}: blobs are picked on real images (y, x), not on {pixels.dtype} of shape "
            f"{pixels.shape}."
        )
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        bad = np.argwhere(~np.isfinite(pixels))
        raise InputError(
            f"{name}: {len(bad)} pixels are NaN or infinite, the first at y={bad[0][0]}, "
            f"x={bad[0][1]}; make the slab again with --fill-nonfinite median."
        )
    return pixels


def _size(pixels: npt.NDArray[Any]) -> tuple[int, int]:
    return int(pixels.shape[0]), int(pixels.shape[1])


def _positive(value: float, name: str) -> float:
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"the {name} must be a positive number of Å, not {value!r}.")
    return value
