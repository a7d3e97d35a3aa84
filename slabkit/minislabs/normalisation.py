"""Normalise minislabs: one grey level for tiles side by side, as RELION requires."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError

_AT_ONCE = 32


def normalise_minislabs(
    images: npt.NDArray[Any], *, diameter_px: float | None = None, sign: int = 1
) -> npt.NDArray[np.float32]:
    """Bring each image to mean 0 and standard deviation 1 outside the particle circle.

    That is what RELION asks of particle images and checks. All pixels outside the circle count,
    those outside the volume too. An image that varies only inside the circle is scaled by its
    whole variation; one that does not vary at all becomes 0.

    Parameters
    ----------
    images : ndarray of real numbers, shape (n, y, x)
        Left as they are.
    diameter_px : float, optional
        Of the particle circle about pixel ``box // 2``; by default the inscribed circle.
    sign : {1, -1}, optional
        -1 inverts the contrast.

    Returns
    -------
    ndarray of float32, shape (n, y, x)

    Raises
    ------
    InputError
        If the circle leaves no pixel outside it.
    """
    images = np.asarray(images)
    box = images.shape[-1]
    outside = np.flatnonzero(outside_circle(box, diameter_px))
    result = np.empty(images.shape, dtype=np.float32)
    for start in range(0, len(images), _AT_ONCE):
        given = images[start : start + _AT_ONCE].reshape(-1, box * box)
        part = given.astype(np.float64)
        background = part.take(outside, axis=1)
        mean = background.mean(axis=1)
        background -= mean[:, np.newaxis]
        background *= background
        spread = np.sqrt(background.mean(axis=1))
        # Rounding leaves a little variation in an image that has none.
        least, greatest = (found.astype(np.float64) for found in (given.min(1), given.max(1)))
        smallest = 1e-6 * np.maximum(greatest, -least)
        varied = spread > smallest
        if not varied.all():
            rest = part[~varied]
            mean[~varied], spread[~varied] = rest.mean(axis=1), rest.std(axis=1)
            varied = spread > smallest
        scale = np.divide(sign, spread, out=np.zeros_like(spread), where=varied)
        part -= mean[:, np.newaxis]
        part *= scale[:, np.newaxis]
        part[~varied] = 0.0
        result[start : start + _AT_ONCE] = part.reshape(-1, box, box)
    return result


def outside_circle(box_px: int, diameter_px: float | None = None) -> npt.NDArray[np.bool_]:
    """Give the pixels of a box that are outside the particle circle about pixel ``box_px // 2``.

    By default the inscribed circle. Raises InputError if there is none.
    """
    diameter = float(box_px) if diameter_px is None else diameter_px
    offsets = np.arange(box_px) - box_px // 2
    outside: npt.NDArray[np.bool_] = offsets[:, np.newaxis] ** 2 + offsets**2 > (diameter / 2) ** 2
    if not outside.any():
        raise InputError(
            f"a particle circle of {diameter:g} pixels leaves nothing outside it in a box of "
            f"{box_px} pixels; give a smaller --diameter or a larger --box."
        )
    return outside
