"""Medians of many values, without sorting most of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_SAMPLE = 2048
_SHARE = 0.05  # of the sample on either side of its median; far more than chance moves it


def exact_median(values: npt.NDArray[np.float32]) -> np.float32:
    """Give the median of finite values, the mean of the two middle ones of an even number.

    Two values of a sample enclose it almost always, and only what lies between them is sorted
    (Floyd and Rivest 1975, Commun. ACM 18:165).
    """
    count = len(values)
    sample = np.sort(values[:: count // _SAMPLE + 1])
    low = sample[int(len(sample) * (0.5 - _SHARE))]
    high = sample[min(int(len(sample) * (0.5 + _SHARE)), len(sample) - 1)]
    between = values[(values >= low) & (values <= high)]
    below = int(np.count_nonzero(values < low))
    first, last = (count - 1) // 2 - below, count // 2 - below
    if first < 0 or last >= len(between):
        return np.float32(np.median(values))
    between.partition((first, last))
    return np.float32(np.mean(between[first : last + 1]))
