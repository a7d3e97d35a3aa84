"""Folds of labels, by tomogram: what is said of a fold is learned from the others."""

from __future__ import annotations

import numpy as np

from slabkit.errors import warn
from slabkit.learning.boxes import Indices
from slabkit.learning.regression import Codes

_FOLDS = 5


def shared_out(tomograms: list[str], codes: Codes) -> Indices:
    """Share labels out to folds, tomograms whole where there are several."""
    names, number = np.unique(np.array(tomograms, dtype=object).astype(str), return_inverse=True)
    number = number.reshape(-1)
    if len(names) == 1:
        warn(
            "all labels are of one tomogram: what is expected of others is a guess from parts of "
            "it."
        )
        order = np.argsort(codes, kind="stable")
        fold = np.empty(len(codes), dtype=np.intp)
        fold[order] = np.arange(len(codes)) % _FOLDS
        return fold
    size = np.bincount(number)
    filled = np.zeros(min(_FOLDS, len(names)), dtype=np.int64)
    of_tomogram = np.zeros(len(names), dtype=np.intp)
    for name in np.argsort(-size, kind="stable"):
        of_tomogram[name] = filled.argmin()
        filled[of_tomogram[name]] += size[name]
    return of_tomogram[number]
