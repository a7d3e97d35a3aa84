"""Values between the pixels of an image that continues beyond its border as its mirror image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class MirroredImage:
    """An image made ready for looking up many places, also a little beyond its border.

    Parameters
    ----------
    image : ndarray of float32, shape (y, x)
        Continues as ``d c b a | a b c d | d c b a``.
    margin : float
        How far beyond the outermost pixels' centres places may lie, in pixels.
    """

    def __init__(self, image: npt.NDArray[np.float32], margin: float) -> None:
        self._margin = int(np.ceil(margin)) + 1
        padded = np.pad(image, self._margin, mode="symmetric")
        self._width = padded.shape[1]
        self._values = padded.astype(np.float64).ravel()

    def at(self, rows: Floats, columns: Floats) -> Floats:
        """Interpolate linearly at places in pixels, quickest for some thousand at a time.

        Rounded as the image is, so that equal places have equal values.
        """
        above, left = np.floor(rows), np.floor(columns)
        down, across = rows - above, columns - left
        above += self._margin
        above *= self._width
        above += left
        above += self._margin
        index = above.astype(np.int64)
        top = self._values.take(index)
        index += 1
        step = self._values.take(index)
        step -= top
        step *= across
        top += step
        index += self._width
        step = self._values.take(index)
        index -= 1
        bottom = self._values.take(index)
        step -= bottom
        step *= across
        bottom += step
        bottom -= top
        bottom *= down
        top += bottom
        return top.astype(np.float32).astype(np.float64)
