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
            self._add_rows(chunk[np.newaxis])
            self.least = min(self.least, least)
            self.greatest = max(self.greatest, greatest)

    def add_each(self, images: npt.NDArray[Any]) -> None:
        """Add images one by one, as `add` would; faster where they are small."""
        rows = images.reshape(len(images), -1)
        if not 0 < rows.shape[1] <= _CHUNK:
            for image in images:
                self.add(image)
            return
        many = _CHUNK // rows.shape[1]
        for first in range(0, len(rows), many):
            part = rows[first : first + many]
            least, greatest = float(part.min()), float(part.max())
            if not (math.isfinite(least) and math.isfinite(greatest)):
                for row in part:
                    self.add(row)
                continue
            self._add_rows(part)
            self.least = min(self.least, least)
            self.greatest = max(self.greatest, greatest)

    def _add_rows(self, rows: npt.NDArray[Any]) -> None:
        """Add rows of finite values, one after another."""
        # About a value of their own, sums of squares lose nothing to a large mean.
        near, size = rows[:, 0].tolist(), rows.shape[1]
        deviations = self._room[: rows.size].reshape(rows.shape)
        np.subtract(rows, rows[:, :1], out=deviations, dtype=np.float64)
        sums = deviations.sum(axis=1).tolist()
        np.multiply(deviations, deviations, out=deviations)  # a dot product would wake BLAS threads
        for value, total, squares in zip(near, sums, deviations.sum(axis=1).tolist(), strict=True):
            offset = total / size
            # Chan, Golub & LeVeque (1983): no difference of large sums
            count = self.count + size
            shift = float(value) + offset - self.mean
            within = max(0.0, squares - size * offset * offset)
            self._squares += within + shift * shift * self.count * size / count
            self.mean += shift * size / count
            self.count = count

    @property
    def deviation(self) -> float:
        """Standard deviation of the values (0 while there is none)."""
        return math.sqrt(self._squares / self.count) if self.count else 0.0
