"""Statistics of images as they come, in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

_CHUNK = 1 << 15  # values that stay in the cache from one pass to the next


class RunningStatistics:
    """Least, greatest, mean value and standard deviation of the finite values added so far.

    Attributes
    ----------
    count : int
        Finite values.
    nonfinite : int
        NaN and infinite values, which count nowhere else.
    least, greatest, mean : float
        Infinite (and 0) while there is no value.
    """

    def __init__(self) -> None:
        self.count = 0
        self.nonfinite = 0
        self.least = math.inf
        self.greatest = -math.inf
        self.mean = 0.0
        self._squares = 0.0  # sum of squared deviations from the mean

    def add(self, values: npt.NDArray[Any]) -> None:
        """Add the values of an array.

        Parameters
        ----------
        values : ndarray
            Real numbers, any shape.
        """
        flat = values.reshape(-1)
        for first in range(0, flat.size, _CHUNK):
            self._add_chunk(flat[first : first + _CHUNK])

    def _add_chunk(self, values: npt.NDArray[Any]) -> None:
        size = values.size
        deviations = values.astype(np.float64)
        mean = float(deviations.mean())
        if not math.isfinite(mean):  # rare, and dearer to look for than to stumble on
            deviations = deviations[np.isfinite(deviations)]
            self.nonfinite += size - deviations.size
            if not deviations.size:
                return
            mean = float(deviations.mean())
        least, greatest = float(deviations.min()), float(deviations.max())
        deviations -= mean
        # Chan, Golub & LeVeque (1983): no difference of large sums
        total = self.count + deviations.size
        shift = mean - self.mean
        np.multiply(deviations, deviations, out=deviations)  # a dot product would wake BLAS threads
        self._squares += float(deviations.sum())
        self._squares += shift * shift * self.count * deviations.size / total
        self.mean += shift * deviations.size / total
        self.count = total
        self.least = min(self.least, least)
        self.greatest = max(self.greatest, greatest)

    @property
    def deviation(self) -> float:
        """Standard deviation of the values (0 while there is none)."""
        return math.sqrt(self._squares / self.count) if self.count else 0.0
