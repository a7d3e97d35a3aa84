"""Normalising minislabs, so that tiles side by side have one grey level and RELION is content."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError


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
    diameter = float(box) if diameter_px is None else diameter_px
    offsets = np.arange(box) - box // 2
    outside = offsets[:, np.newaxis] ** 2 + offsets**2 > (diameter / 2) ** 2
    if not outside.any():
        raise InputError(
            f"a particle circle of {diameter:g} pixels leaves nothing outside it in a box of "
            f"{box} pixels; give a smaller --diameter or a larger --box."
        )
    result = np.empty(images.shape, dtype=np.float32)
    for index, image in enumerate(images.astype(np.float64, copy=False)):
        background = image[outside]
        mean, spread = background.mean(), background.std()
        # Rounding leaves a little variation in an image that has none.
        smallest = 1e-6 * max(abs(image.max()), abs(image.min()))
        if not spread > smallest:
            mean, spread = image.mean(), image.std()
        if spread > smallest:
            result[index] = (image - mean) * (sign / spread)
        else:
            result[index] = 0.0
    return result
