"""What images score in classes at most, from one pass of the expectation to the next.

Between two passes a reference moves a little. An image's product with it, whatever the rotation
and the shift, then changes by no more than the lengths of image and movement multiplied, ring by
ring (the inequality of Cauchy and Schwarz; rotations and shifts change no length on a ring). So
most classes cannot come near an image's best and need not be compared again, as in the k-means of
Elkan 2003 (Proc. 20th Int. Conf. on Machine Learning, 147).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import product
from slabkit.classification.harmonics import CircularHarmonics, Coefficients, Floats, Singles

FAR = 23.0  # below the highest logarithm, all rotations of a class and shift are next to nothing
_SLACK = 1e-4  # of the numbers that scores are sums of: more than rounding makes
_PART = 4096  # images at a time


class Limits:
    """Keeps what images may score in classes; of one basis, one set of shifts and rotations.

    A score is the logarithm of a posterior, but for what all classes have in common. It is kept
    without what all shifts of a class have in common.
    """

    def __init__(self, basis: CircularHarmonics) -> None:
        self._basis = basis
        self._area = 2 * np.pi * basis.frequency * basis.box_px
        self._upper: Singles | None = None  # shape (images, classes)
        self._reached = np.zeros((0, 0), dtype=bool)  # where that is what the last pass found
        self._lengths = np.zeros((0, 0), dtype=np.float32)  # of images, shape (images, rings)
        self._references = np.zeros((0, 0), dtype=np.complex64)
        self._precision, self._shift_prior, self._own = 0.0, np.zeros(0), np.zeros(0)

    def needed(
        self,
        images: Callable[[slice], Coefficients],
        count: int,
        references: Coefficients,
        offset: Floats,
        precision: float,
    ) -> npt.NDArray[np.bool_]:
        """Say which images to compare with which references, (images, classes).

        All that are left out are so far below the image's best that they are next to nothing.
        `learn` has to follow for all images. ``offset``, shape (classes, shifts), is what is added
        to products: priors of class and shift, and the reference's norm.
        """
        own = offset.max(1)
        prior = offset[0] - own[0]  # of shifts: the same for all classes
        needed = np.ones((count, len(references)), dtype=bool)
        parts = [slice(start, start + _PART) for start in range(0, count, _PART)]
        if self._upper is None:
            self._upper = np.empty(needed.shape, dtype=np.float32)
            self._lengths = np.concatenate([self._on_rings(images(part)) for part in parts])
        else:
            ratio = precision / self._precision
            drift = prior - ratio * self._shift_prior
            moved = precision * self._on_rings(references - self._references).T
            slack = _SLACK * (precision + float(np.abs(own).max()))
            for part in parts:
                middle = ratio * self._upper[part]
                reach = product(self._lengths[part], moved)
                upper = middle + (drift.max() + slack) + reach
                lower = np.where(
                    self._reached[part], middle + (drift.min() - slack) - reach, -np.inf
                )
                best = (lower + own).max(1, keepdims=True)
                needed[part] = upper + own >= best - FAR
                self._upper[part] = upper
        self._references, self._precision = references, precision
        self._shift_prior, self._own, self._reached = prior, own, needed
        return needed

    def learn(
        self, batch: slice, image: npt.NDArray[np.intp], number: npt.NDArray[np.intp], best: Singles
    ) -> None:
        """Take the highest scores of images (of a batch) in the classes of these numbers."""
        assert self._upper is not None
        self._upper[batch][image, number] = best - self._own[number]

    def _on_rings(self, coefficients: Coefficients) -> Singles:
        power = self._basis.ring_power(coefficients) * self._area
        return np.sqrt(power).astype(np.float32)
