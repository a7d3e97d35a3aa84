"""Boxes that models look at, read in batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.intp]

_BATCH = 256


class Boxes(Protocol):
    """Boxes of minislabs, protein bright, as `slabkit.learning.harmonics` samples them."""

    def __len__(self) -> int: ...

    def read(self, numbers: Indices) -> npt.NDArray[np.float32]:
        """Read boxes by number, shape (n, planes, y, x)."""


def batches(numbers: Indices) -> Iterator[Indices]:
    """Share numbers out to batches, in order."""
    starts = range(0, len(numbers), _BATCH)
    return (numbers[a:b] for a, b in itertools.zip_longest(starts, starts[1:]))
