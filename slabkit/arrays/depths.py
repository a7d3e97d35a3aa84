"""From matched profiles along z to depths, how sure they are, and stacked pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

# A particle that lies wholly in the slab made the 2D hit rather than one that reaches into it.
_OUTSIDE_WEIGHT = 0.5
# The rise of something beyond the search counts only where nothing within is half as good.
_BORDER_WEIGHT = 0.5
# A second particle: nearly as good as the first, a diameter away, a gap between.
_SECOND_HEIGHT = 0.7
_SECOND_DISTANCE = 0.9
_GAP_HEIGHT = 0.5


@dataclass(frozen=True)
class DepthPeaks:
    """The depths found in some profiles."""

    # shape (profiles,): depth in voxels, to sub-voxel precision; NaN where the profile is flat
    z_vox: Floats
    # shape (profiles,): one less the highest score more than half a diameter away (not below zero)
    # over the score at the peak; 0 (another place is as good) to 1 (nothing else in reach)
    prominence: Floats
    # shape (profiles,): the scores still rise where the search ends. Where the volume ends they end
    # too.
    at_border: Booleans
    # shape (profiles,): depth of a second particle stacked on the first; NaN where there is none
    second_z_vox: Floats
    # shape (profiles,): the same for the second, each particle's own surroundings left out; NaN
    # where none
    second_prominence: Floats


def find_depths(
    scores: npt.NDArray[np.float32],
    start: Indices,
    low_vox: Indices,
    high_vox: Indices,
    slab_low_vox: Floats,
    slab_high_vox: Floats,
    diameter_vox: Floats,
) -> DepthPeaks:
    """Choose the depth in each profile.

    Of the maxima between ``low`` and ``high`` the one is taken whose score, less up to a half for
    the part of the particle that would lie outside the slab, is largest; a parabola through it and
    its neighbours gives the fraction of a voxel.

    Parameters
    ----------
    scores : ndarray, shape (profiles, depths)
        As `slabkit.arrays.profiles.depth_profiles` gives them, positive where a particle may be.
    start : ndarray of int64, shape (profiles,)
        Plane of the first score; one below ``low``.
    low_vox, high_vox : ndarray of int64, shape (profiles,)
        First and last plane of the search; ``high - start + 1`` is within the scores.
    slab_low_vox, slab_high_vox : ndarray of float64, shape (profiles,)
        The slab's two faces; a slab of planes 10 to 39 has 9.5 and 39.5.
    diameter_vox : ndarray of float64, shape (profiles,)
        Diameter of the particle.
    """
    count, length = scores.shape
    every = np.arange(count)
    z = start[:, None] + np.arange(length)[None, :]
    within = (z >= low_vox[:, None]) & (z <= high_vox[:, None])
    value = scores.astype(np.float64)
    before = np.pad(value, ((0, 0), (1, 0)), constant_values=-np.inf)[:, :-1]
    after = np.pad(value, ((0, 0), (0, 1)), constant_values=-np.inf)[:, 1:]
    peak = within & (value > 0) & (value >= before) & (value > after)
    rising = ((z == low_vox[:, None]) & (before > value)) | (
        (z == high_vox[:, None]) & (after >= value)
    )
    border = within & ~peak & rising & (value > 0)

    half = diameter_vox[:, None] / 2
    inside = np.minimum(z + half, slab_high_vox[:, None]) - np.maximum(
        z - half, slab_low_vox[:, None]
    )
    most = np.minimum(diameter_vox, slab_high_vox - slab_low_vox)[:, None]
    inside = np.clip(inside / most, 0, 1)
    weighted = value * (1 - _OUTSIDE_WEIGHT * (1 - inside))
    choice_value = np.where(peak, weighted, -np.inf)
    choice_value[border] = weighted[border] * _BORDER_WEIGHT
    choice = np.argmax(choice_value, axis=1)
    found = np.isfinite(choice_value[every, choice])
    at_border = found & border[every, choice]

    z_vox = np.where(at_border, z[every, choice], z[every, choice] + _vertex(value, choice))
    apart = np.abs(z - z[every, choice][:, None])
    highest = value[every, choice]
    prominence = _prominence(value, highest, within & (apart > half))

    # A second particle must lie in the slab; outside, another slab finds it.
    in_slab = (z > slab_low_vox[:, None]) & (z < slab_high_vox[:, None])
    second_value = np.where(
        peak & in_slab & (apart >= _SECOND_DISTANCE * diameter_vox[:, None]), weighted, -np.inf
    )
    second = np.argmax(second_value, axis=1)
    second_height = value[every, second]
    between = (z > np.minimum(choice, second)[:, None] + start[:, None]) & (
        z < np.maximum(choice, second)[:, None] + start[:, None]
    )
    gap = np.where(between, value, np.inf).min(axis=1, initial=np.inf)
    stacked = (
        found
        & ~at_border
        & in_slab[every, choice]
        & np.isfinite(second_value[every, second])
        & (second_value[every, second] >= _SECOND_HEIGHT * choice_value[every, choice])
        & (gap <= _GAP_HEIGHT * np.minimum(highest, second_height))
    )
    apart_second = np.abs(z - z[every, second][:, None])
    rest = within & (apart > half) & (apart_second > half)
    prominence = np.where(stacked, _prominence(value, highest, rest), prominence)
    second_prominence = _prominence(value, second_height, rest)
    return DepthPeaks(
        np.where(found, z_vox, np.nan),
        np.where(found, prominence, 0.0),
        at_border,
        np.where(stacked, z[every, second] + _vertex(value, second), np.nan),
        np.where(stacked, second_prominence, np.nan),
    )


def _vertex(value: Floats, index: Indices) -> Floats:
    """Give the vertex of the parabola through a maximum and its neighbours, from its index."""
    every = np.arange(len(value))
    last = value.shape[1] - 1
    left = value[every, np.maximum(index - 1, 0)]
    middle = value[every, index]
    right = value[every, np.minimum(index + 1, last)]
    with np.errstate(invalid="ignore"):
        curvature = left - 2 * middle + right
    proper = (curvature < 0) & np.isfinite(curvature) & (index > 0) & (index < last)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(proper, np.clip(0.5 * (left - right) / curvature, -0.5, 0.5), 0.0)


def _prominence(value: Floats, height: Floats, rest: Booleans) -> Floats:
    competing = np.where(rest, value, 0.0).max(axis=1, initial=0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.clip(np.where(height > 0, 1 - competing / height, 0.0), 0.0, 1.0)
