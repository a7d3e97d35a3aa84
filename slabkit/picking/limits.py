"""What pickers on slabs keep of what they find, as far as all of them share it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError

Floats: TypeAlias = npt.NDArray[np.float64]

LOWEST_SCORE = float(np.finfo(np.float64).tiny)
"""Picks have positive scores, whatever the threshold."""


@dataclass(frozen=True)
class Limits:
    """Limits that every picker has.

    Parameters
    ----------
    threshold : float
        Lowest score, in standard deviations.
    max_count : int or None
        Of the best of an image.
    min_distance : float or None
        Between picks, Å; None: by their diameters.

    Raises
    ------
    InputError
        If a limit makes no sense.
    """

    threshold: float
    max_count: int | None
    min_distance: float | None

    def __post_init__(self) -> None:
        if not math.isfinite(self.threshold):
            raise InputError(f"--threshold must be a number, not {self.threshold!r}.")
        if self.max_count is not None and self.max_count < 1:
            raise InputError(f"--max-per-slab must be at least 1, not {self.max_count}.")
        if self.min_distance is not None and not (0 <= self.min_distance < math.inf):
            raise InputError(f"--min-distance must be 0 Å or more, not {self.min_distance:g}.")

    @property
    def lowest(self) -> float:
        """The lowest score that is kept."""
        return max(self.threshold, LOWEST_SCORE)


def check_max_ridge(max_ridge: float) -> None:
    """Check the height of a line, as a share of a pick's contrast, at which the pick is dropped."""
    if not max_ridge > 0:
        raise InputError(
            f"--max-ridge must be above 0 (inf: lines do not matter), not {max_ridge:g}."
        )


def lowered_by_lines(score: Floats, height: Floats, contrast: Floats, max_ridge: float) -> Floats:
    """Lower scores by the square of how high lines stand that run past.

    Parameters
    ----------
    score : ndarray of float64
    height : ndarray of float64
        Of the lines, from `slabkit.arrays.ridges`.
    contrast : ndarray of float64
        Of the picks, positive, in the same units.
    max_ridge : float
        Share of the contrast at which nothing is left of the score.

    Returns
    -------
    ndarray of float64
    """
    share = height / contrast / max_ridge
    return np.asarray(score * np.maximum(1 - share**2, 0.0), dtype=np.float64)
