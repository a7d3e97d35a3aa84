"""What the prominence of a depth is worth: the share of hits whose z is right.

A depth stands above what else is in its column by its prominence, 0 to 1
(`slabkit.arrays.depths.DepthPeaks`). How often such a depth is within half the particle's radius
was counted on simulated tomograms whose particles are known, by ``benchmarks/depth_confidence.py``,
which prints the table below and checks it on others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

PROMINENCE = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25)
CONFIDENCE = (0.43, 0.74, 0.91, 0.96, 0.98, 0.99)
"""Confidence at each prominence; straight lines between, and the last one beyond."""


def depth_confidence(prominence: npt.ArrayLike) -> Floats:
    """Give the confidence of depths: a lower bound for the share that is right.

    Of hits with confidence c and more, at least the share c has its z within half the particle's
    radius, where there is a particle in the column at all. It is a bound: of hits with the highest
    confidence more are right.

    Parameters
    ----------
    prominence : array_like
        0 to 1; NaN stays NaN.

    Returns
    -------
    ndarray of float64
        Rises with the prominence.
    """
    return np.asarray(np.interp(np.asarray(prominence, dtype=np.float64), PROMINENCE, CONFIDENCE))
