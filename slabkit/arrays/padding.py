"""Padding of images: margins of one value, distinguished from plain background."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_SHORTEST_RUN = 3
_LARGEST_ISLAND = 0.9  # of what is not padding
_SMALLEST_IMAGE = 0.1  # of all pixels


def without_padding(
    image: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_] | None]:
    """Replace the padding of an image by the level of the image next to it.

    Padding is a region of exactly one value, three pixels wide at least, that touches the border
    and leaves the rest of the image in one piece. Where the rest is many islands, or one smaller
    than a tenth of the image, the region is the plain background of an image without noise.
    Without this, the step from image to padding would score above every particle.

    Parameters
    ----------
    image : ndarray of float32, shape (y, x)
        Finite; left as it is.

    Returns
    -------
    filled : ndarray of float32, shape (y, x)
        The image itself where there is no padding.
    padding : ndarray of bool, shape (y, x), or None
        Where padding was; None if there is none.
    """
    if min(image.shape) < _SHORTEST_RUN or not _border_has_runs(image):
        return image, None
    flat = _equals_neighbours(image)
    if not any(edge.any() for edge in (flat[0], flat[-1], flat[:, 0], flat[:, -1])):
        return image, None
    from scipy.ndimage import binary_dilation, label

    regions, count = label(flat)
    touching = np.zeros(count + 1, dtype=bool)
    for edge in (regions[0], regions[-1], regions[:, 0], regions[:, -1]):
        touching[edge] = True
    touching[0] = False
    square = np.ones((3, 3), dtype=bool)
    filled = image.copy()
    padding = np.zeros(image.shape, dtype=bool)
    for number in np.flatnonzero(touching):
        core = regions == number
        value = image[core][0]
        region = binary_dilation(core, square) & (image == value)
        beside = binary_dilation(region, square, iterations=2) & ~region & ~flat
        filled[region] = np.median(image[beside]) if beside.any() else value
        padding |= region
    islands, count = label(~padding, square)
    largest = int(np.bincount(islands.ravel(), minlength=2)[1:].max())
    rest = image.size - int(padding.sum())
    in_one_piece = largest >= max(_LARGEST_ISLAND * rest, _SMALLEST_IMAGE * image.size)
    return (filled, padding) if padding.any() and in_one_piece else (image, None)


def _equals_neighbours(image: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Whether each pixel and its neighbours, eight or fewer at the border, have one value."""
    flat = np.ones(image.shape, dtype=bool)
    across = image[:, 1:] == image[:, :-1]
    flat[:, 1:] &= across
    flat[:, :-1] &= across
    rows = flat.copy()
    for one, other in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
        flat[one] &= rows[other]
        flat[one] &= image[one] == image[other]
    return flat


def _border_has_runs(image: npt.NDArray[np.float32]) -> bool:
    """Whether three neighbours on the border are equal; spares most images the full search."""
    for line in (image[0], image[-1], image[:, 0], image[:, -1]):
        if (
            len(line) >= _SHORTEST_RUN
            and ((line[2:] == line[1:-1]) & (line[1:-1] == line[:-2])).any()
        ):
            return True
    return False
