"""Where the sample is in depth: its two faces, from how much the planes vary.

Outside the ice a reconstruction holds smeared noise only, and the planes vary less. The measure is
the standard deviation of the means of about 40 Å wide squares of a plane, clipped at its first and
last percentile so that gold beads do not decide. The missing wedge smears particles beyond the
faces, so the profile rises slowly; a face is where it has risen by a quarter from its lowest value
on that side to its level inside, which rather takes in too much than loses particles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slabkit.tomogram import Tomogram

_SQUARE = 40.0  # Å
_MOST_PLANES = 192
_RISE = 0.25
_HIGHEST_OUTSIDE = 0.7  # of the level inside; above it no face is visible
_SHORTEST = 0.1  # of the depth: less is not a sample


@dataclass(frozen=True)
class Faces:
    """The faces of a sample."""

    low: float  # lowest and highest z of the sample in Å; -inf and inf where no face is seen
    high: float
    z: npt.NDArray[np.float64]  # shape (planes,); depths in Å at which the planes were measured
    # Shape (planes,); how much the planes vary, in the volume's units
    spread: npt.NDArray[np.float64]

    @property
    def found(self) -> bool:
        """Whether there is a face on either side."""
        return math.isfinite(self.low) or math.isfinite(self.high)


def find_faces(tomogram: Tomogram) -> Faces:
    """Find the faces of the sample in a tomogram.

    Parameters
    ----------
    tomogram : Tomogram
        Read plane by plane; of deep volumes every second plane or fewer.

    Returns
    -------
    Faces

    Raises
    ------
    InputError
        Voxels are NaN or infinite and the tomogram has no `fill_value`.
    """
    depth, height, width = tomogram.shape
    square = max(1, round(_SQUARE / tomogram.voxel_size))
    planes = np.arange(0, depth, max(1, -(-depth // _MOST_PLANES)))
    spread = np.empty(len(planes), dtype=np.float64)
    for index, plane in enumerate(planes.tolist()):
        start = (plane, 0, 0)
        block = tomogram.check_finite(tomogram.read(start, (plane + 1, height, width)), start)
        means = _square_means(block[0], min(square, height, width))
        low, high = np.percentile(means, [1, 99])
        spread[index] = float(np.clip(means, low, high).std())
    z = planes.astype(np.float64) * float(tomogram.voxel_size)
    low_face, high_face = _faces(z, _smooth(spread))
    return Faces(low_face, high_face, z, spread)


def _square_means(plane: npt.NDArray[np.generic], square: int) -> npt.NDArray[np.float64]:
    rows, columns = (size // square for size in plane.shape)
    cut = plane[: rows * square, : columns * square].astype(np.float64)
    return np.asarray(cut.reshape(rows, square, columns, square).mean(axis=(1, 3)))


def _smooth(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    from scipy.ndimage import median_filter

    return np.asarray(median_filter(values, 3, mode="nearest"))


def _faces(z: npt.NDArray[np.float64], spread: npt.NDArray[np.float64]) -> tuple[float, float]:
    # The upper half of the planes are of the sample, if it fills half of the depth; the level
    # inside is their median, and less where the sample is thinner.
    inside = float(np.quantile(spread, 0.75))
    top = int(np.argmax(spread))
    if not spread[top] > 0:
        return -math.inf, math.inf
    if inside < 0.5 * spread[top]:
        inside = 0.5 * float(spread[top])
    low = _crossing(z[: top + 1][::-1], spread[: top + 1][::-1], inside)
    high = _crossing(z[top:], spread[top:], inside)
    first = low if low is not None else float(z[0])
    last = high if high is not None else float(z[-1])
    if last - first < _SHORTEST * (z[-1] - z[0]):
        return -math.inf, math.inf
    return (-math.inf if low is None else low), (math.inf if high is None else high)


def _crossing(
    z: npt.NDArray[np.float64], spread: npt.NDArray[np.float64], inside: float
) -> float | None:
    """Give where the profile, followed outwards from its top, falls to a face's level for good."""
    outside = float(spread.min())
    if outside > _HIGHEST_OUTSIDE * inside:
        return None
    level = outside + _RISE * (inside - outside)
    last = int(np.flatnonzero(spread > level)[-1])
    if last + 1 == len(spread):
        return None
    part = (spread[last] - level) / (spread[last] - spread[last + 1])
    return float(z[last] + part * (z[last + 1] - z[last]))
