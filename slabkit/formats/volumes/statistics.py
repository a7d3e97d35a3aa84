"""Statistics of images as they come, in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

_CHUNK = 1 << 15  # values that stay in the cache from one pass to the next


class RunningStatistics:
    """Least, greatest, mean value and standard deviation of the finite values added so far.

    ``nonfinite`` counts NaN and infinite values, which count nowhere else. While there is no value,
    the least and greatest are infinite and the mean is 0.
    """

    def __init__(self) -> None:
        self.count = 0
        self.nonfinite = 0
        self.least = math.inf
        self.greatest = -math.inf
        self.mean = 0.0
        self._squares = 0.0  # sum of squared deviations from the mean
        self._room = np.empty(_CHUNK)  # fresh memory for each chunk would take as long as the rest

    def add(self, values: npt.NDArray[Any]) -> None:
        """Add the values of an array of real numbers of any shape."""
        flat = values.reshape(-1)
        for first in range(0, flat.size, _CHUNK):
            chunk = flat[first : first + _CHUNK]
            least, greatest = float(chunk.min()), float(chunk.max())  # NaN if there is one
            if not (math.isfinite(least) and math.isfinite(greatest)):
                finite = chunk[np.isfinite(chunk)]
                self.nonfinite += chunk.size - finite.size
                if not finite.size:
                    continue
                chunk, least, greatest = finite, float(finite.min()), float(finite.max())
            self._add_chunk(chunk)
            self.least = min(self.least, least)
            self.greatest = max(self.greatest, greatest)

    def _add_chunk(self, values: npt.NDArray[Any]) -> None:
        # About a value of their own, sums of squares lose nothing to a large mean.
        near = float(values[0])
        deviations = self._room[: values.size]
        np.subtract(values, near, out=deviations, dtype=np.float64)
        offset = float(deviations.sum()) / values.size
        np.multiply(deviations, deviations, out=deviations)  # a dot product would wake BLAS threads
        squares = float(deviations.sum()) - values.size * offset * offset
        # Chan, Golub & LeVeque (1983): no difference of large sums
        total = self.count + values.size
        shift = near + offset - self.mean
        self._squares += max(0.0, squares) + shift * shift * self.count * values.size / total
        self.mean += shift * values.size / total
        self.count = total

    @property
    def deviation(self) -> float:
        """Standard deviation of the values (0 while there is none)."""
        return math.sqrt(self._squares / self.count) if self.count else 0.0
