"""Blank margins of an image: padding of one value, told from plain background."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_SHORTEST_RUN = 3


def without_padding(
    image: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_] | None]:
    """Replace the padding of an image by the level of the image beside it.

    Padding is a region of exactly one value, three pixels wide at least, that touches the border
    and does not continue the image's own level: an image without noise whose plain background
    runs to the border has none. Left alone, the step from image to padding would outweigh every
    particle.

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
    from scipy.ndimage import binary_dilation, label, maximum_filter, minimum_filter

    flat = maximum_filter(image, size=3, mode="nearest") == minimum_filter(
        image, size=3, mode="nearest"
    )
    regions, count = label(flat)
    touching = np.zeros(count + 1, dtype=bool)
    for edge in (regions[0], regions[-1], regions[:, 0], regions[:, -1]):
        touching[edge] = True
    touching[0] = False
    filled = image.copy()
    padding = np.zeros(image.shape, dtype=bool)
    square = np.ones((3, 3), dtype=bool)
    for number in np.flatnonzero(touching):
        core = regions == number
        value = image[core][0]
        region = binary_dilation(core, square) & (image == value)
        beside = binary_dilation(region, square, iterations=2) & ~region & ~flat
        level = np.median(image[beside]) if beside.any() else value
        if level != value:
            filled[region] = level
            padding |= region
    return (filled, padding) if padding.any() else (image, None)


def _border_has_runs(image: npt.NDArray[np.float32]) -> bool:
    """Whether three neighbours on the border are equal; spares most images the full search."""
    for line in (image[0], image[-1], image[:, 0], image[:, -1]):
        if (
            len(line) >= _SHORTEST_RUN
            and ((line[2:] == line[1:-1]) & (line[1:-1] == line[:-2])).any()
        ):
            return True
    return False
