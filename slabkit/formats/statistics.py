"""Statistics of images as they come, in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt


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
        size = values.size
        if values.dtype.kind == "f":
            finite = np.isfinite(values)
            if not finite.all():
                values = values[finite]
        self.nonfinite += size - values.size
        if not values.size:
            return
        mean = float(values.mean(dtype=np.float64))
        deviations = values.astype(np.float64).ravel() - mean
        # Chan, Golub & LeVeque (1983): no difference of large sums
        total = self.count + values.size
        shift = mean - self.mean
        self._squares += float(deviations @ deviations)
        self._squares += shift * shift * self.count * values.size / total
        self.mean += shift * values.size / total
        self.count = total
        self.least = min(self.least, float(values.min()))
        self.greatest = max(self.greatest, float(values.max()))

    @property
    def deviation(self) -> float:
        """Standard deviation of the values (0 while there is none)."""
        return math.sqrt(self._squares / self.count) if self.count else 0.0
