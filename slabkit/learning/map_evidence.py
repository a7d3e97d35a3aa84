"""How well density maps explain what is at the picks of a tomogram, in all three dimensions.

A map is turned to orientations spread evenly over all rotations. What the missing wedge and a
band-pass (high frequencies raised, as the spectra of molecules fall; low-passed at a sixth of the
particle's diameter) leave of each is compared with the tomogram about the pick, filtered in the
same way, under a soft spherical mask a tenth wider than the particle. The measure is the
correlation coefficient (Roseman 2003, doi:10.1016/S0304-3991(02)00333-9), so that neither grey
levels nor contrast matter. The best orientation and shift count.

All orientations are nearly a sum of a few hundred volumes, found by a randomised singular value
decomposition (Halko, Martinsson, Tropp 2011, doi:10.1137/090771806). The picks are compared with
these, and the orientations put together from the result: one product of matrices for many picks.
A search at half the resolution finds the shift first. What it says of the whole fit, places taken
at random tell; where that is little, it is left at that.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import exp
from slabkit.arrays.parallel import map_in_order
from slabkit.errors import InputError
from slabkit.learning.rotated_maps import Numbers, OrientedViews, RotatedMap, rotate_map
from slabkit.tomogram import Tomogram
from slabkit.units import protein_sign

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

__all__ = ["EVIDENCE", "MapFits", "RotatedMap", "fit_maps", "map_evidence", "rotate_map"]

EVIDENCE = ("coefficient", "coarse-coefficient", "amplitude", "shift")
"""What is said of each map: the coefficient, that at half the resolution, the density in units of
the map's, and how far (Å) from the pick the best place is."""

_AT_ONCE, _VOXELS_AT_ONCE = 48, 2**22  # picks, and voxels of cubes about them
_TOGETHER, _VOXELS_TOGETHER = 16, 2**19  # cubes, so that what is done with them stays in the cache
_FEWEST = 20  # random places from which on they say what is chance
_LIKELY = 2.6  # deviations of random places above their median; nothing is named below that
_CLIMBS, _FARTHEST = 6, 3  # steps of the fine search, and how far in all from the pick

_NEAR = np.array(list(np.ndindex(3, 3, 3))) - 1
_CROSS = _NEAR[(_NEAR**2).sum(axis=1) <= 1]
_STAY = int(np.flatnonzero((_CROSS == 0).all(axis=1))[0])
_AROUND = _NEAR[(_NEAR**2).sum(axis=1) <= 2]


@dataclass(frozen=True, eq=False)
class MapFits:
    """The best place and orientation of each map at each pick; NaN outside of the volume."""

    coefficient: Floats  # (picks, maps)
    coarse_coefficient: Floats  # (picks, maps), at half the resolution
    amplitude: Floats  # (picks, maps): the density in units of the map's
    shift: Floats  # (picks, maps, 3): from the pick to that place, x, y, z in Å
    # (picks, maps, 3, 3): from the map's (x, y, z) to the tomogram's
    rotation: Floats

    @classmethod
    def joined(cls, parts: Sequence[MapFits]) -> MapFits:
        """Put the picks of several together."""
        return cls(
            *(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls))
        )

    def __getitem__(self, rows: Indices) -> MapFits:
        return MapFits(*(getattr(self, one.name)[rows] for one in fields(self)))


def fit_maps(
    tomogram: Tomogram,
    places: Floats,
    maps: Sequence[RotatedMap],
    jobs: int = 1,
    at_random: MapFits | None = None,
) -> MapFits:
    """Fit maps into the tomogram about places, (n, 3), x, y, z in Å; errors as of `map_evidence`.

    With fits ``at_random`` places of the same tomogram, a map that fits no better than there at
    half the resolution is not compared at the full one: its coefficient is estimated, place and
    orientation are the coarse ones. The result is the same for any number of ``jobs`` (threads).
    """
    for one in maps:
        if abs(one.voxel_size / tomogram.voxel_size - 1) > 1e-3:
            raise InputError(
                f"the map of {one.name} was turned for voxels of {one.voxel_size:g} Å, and "
                f"{tomogram.label} has {tomogram.voxel_size:g} Å."
            )
    values = np.full((len(places), len(maps), 6), np.nan)
    rotation = np.full((len(places), len(maps), 3, 3), np.nan)
    middle = np.floor(places[:, ::-1] / tomogram.voxel_size + 0.5)
    inside = np.flatnonzero(((middle >= 0) & (middle < tomogram.shape)).all(axis=1))
    # One after the other in y, so that voxels near each other are read together.
    order = inside[np.lexsort(middle[inside].T[[2, 0, 1]])]
    chance = None if at_random is None else _Chance.of(at_random)

    def compare(task: tuple[Indices, npt.NDArray[np.float32]]) -> tuple[Indices, Floats, Floats]:
        return task[0], *_compare(maps, task[1], chance)

    blocks = _blocks(tomogram, middle.astype(np.int64), order, maps)
    for rows, found, turned in map_in_order(compare, blocks, jobs):
        values[rows], rotation[rows] = found, turned
    moved = middle[:, ::-1] * tomogram.voxel_size - places
    shift = values[:, :, 3:] + moved[:, None]
    return MapFits(values[:, :, 0], values[:, :, 1], values[:, :, 2], shift, rotation)


@dataclass(frozen=True, eq=False)
class _Chance:
    """What places taken at random say of each map: which coarse coefficients promise nothing."""

    slope: Floats
    intercept: Floats  # of fine coefficients as of coarse ones, both spread
    enough: Floats  # spread fine coefficient from which on a fit is worth a closer look

    @classmethod
    def of(cls, at_random: MapFits) -> _Chance | None:
        known = np.isfinite(at_random.coefficient).all(axis=1)
        if known.sum() < _FEWEST:
            return None
        fine = spread(at_random.coefficient[known])
        coarse = spread(at_random.coarse_coefficient[known])
        away = coarse - coarse.mean(axis=0)
        slope = (away * fine).sum(axis=0) / np.maximum((away**2).sum(axis=0), 1e-12)
        intercept = fine.mean(axis=0) - slope * coarse.mean(axis=0)
        error = (fine - intercept - slope * coarse).std(axis=0)
        low, half = np.percentile(fine, [16, 50], axis=0)
        return cls(slope, intercept, half + _LIKELY * (half - low) - error)

    def expected(self, coarse: Floats) -> Floats:
        """Estimate fine coefficients, spread, from coarse ones (n, maps)."""
        return np.asarray(self.intercept + self.slope * spread(coarse))


def spread(coefficient: Floats) -> Floats:
    """Give Fisher's transform, whose spread hardly depends on the height."""
    from scipy.special import log1p

    clipped = np.clip(coefficient, -0.99, 0.99)
    return np.asarray((log1p(clipped) - log1p(-clipped)) / 2, dtype=np.float64)


def map_evidence(
    tomogram: Tomogram, picks: pd.DataFrame, maps: Sequence[RotatedMap]
) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    """Say how well each map explains what is at each pick.

    Parameters
    ----------
    tomogram : Tomogram
    picks : DataFrame
        Columns ``slabkitX``, ``slabkitY``, ``slabkitZ``, Å; all of this tomogram.
    maps : sequence of RotatedMap
        From `rotate_map`, for this tomogram's voxel size.

    Returns
    -------
    values : ndarray of float32, shape (picks, 4 × maps)
        Of each map `EVIDENCE`, in the order of ``names``. NaN for picks outside of the volume.
    names : tuple of str
        ``coefficient:NAME`` and so on, map after map.

    Raises
    ------
    InputError
        A map is for another voxel size, or there are NaN or infinite voxels.
    """
    places = picks[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy(dtype=np.float64)
    fits = fit_maps(tomogram, places, maps)
    away = np.sqrt((fits.shift**2).sum(axis=2))
    columns = (fits.coefficient, fits.coarse_coefficient, fits.amplitude, away)
    names = tuple(f"{what}:{one.name}" for one in maps for what in EVIDENCE)
    return np.stack(columns, axis=2).reshape(len(picks), -1).astype(np.float32), names


def _blocks(
    tomogram: Tomogram, middle: Indices, order: Indices, maps: Sequence[RotatedMap]
) -> Iterator[tuple[Indices, npt.NDArray[np.float32]]]:
    """Cut cubes about picks, protein bright; what is outside of the volume is their mean."""
    half = max((one.side_vox * one.bin_vox + 1) // 2 for one in maps)
    bright = protein_sign(tomogram.contrast) > 0
    count = min(max(_VOXELS_AT_ONCE // (2 * half) ** 3, 1), _AT_ONCE)

    def read(start: Indices, stop: Indices) -> npt.NDArray[Any]:
        return tomogram.read(tuple(start.tolist()), tuple(stop.tolist()))

    for first in range(0, len(order), count):
        rows = order[first : first + count]
        corner = middle[rows] - half
        low, high = corner.clip(0), np.minimum(corner + 2 * half, tomogram.shape)
        blocks = np.empty((len(rows), *(2 * half,) * 3), dtype=np.float32)
        start, stop = low.min(axis=0), high.max(axis=0)
        together = np.prod(stop - start) <= 2 * blocks.size
        region = read(start, stop) if together else None
        for block, a, b, c in zip(blocks, corner, low, high, strict=True):
            voxels = read(b, c) if region is None else region[_box(b - start, c - start)]
            inside = block[_box(b - a, c - a)]
            if inside.size < block.size:
                block[:] = 0
            inside[:] = voxels
            mean = inside.mean(dtype=np.float64)
            if not np.isfinite(mean):
                inside[:] = tomogram.check_finite(voxels, tuple(b.tolist()))
                mean = inside.mean(dtype=np.float64)
            level = mean.astype(np.float32)
            if bright:
                inside -= level
            else:
                np.subtract(level, inside, out=inside)
        yield rows, blocks


def _box(start: Indices, stop: Indices) -> tuple[slice, ...]:
    return tuple(slice(a, b) for a, b in zip(start.tolist(), stop.tolist(), strict=True))


def _compare(
    maps: Sequence[RotatedMap], blocks: npt.NDArray[np.float32], chance: _Chance | None
) -> tuple[Floats, Floats]:
    """Give for cubes coefficients, amplitude and shift (n, maps, 6), and rotations (.., 3, 3)."""
    count = len(blocks)
    values, rotation = np.empty((count, len(maps), 6)), np.empty((count, len(maps), 3, 3))
    every = np.arange(count)
    spectra: dict[tuple[int, int, int], Numbers] = {}
    coarser: dict[int, npt.NDArray[np.float32]] = {1: blocks}
    guess = np.empty((count, len(maps), 3))
    for number, one in enumerate(maps):
        bins = one.bin_vox * (2 if one.bin_vox == 1 and one.side_vox % 4 == 0 else 1)
        side = one.side_vox * one.bin_vox // bins
        for each in (bins, one.bin_vox):
            if each not in coarser:
                coarser[each] = _binned(blocks, each)
        key = bins, side, one.coarse.side
        if key not in spectra:
            own = _middle(coarser[bins], side)
            parts = [_spectrum(own[part], one.coarse.side) for part in _parts(count, side)]
            spectra[key] = np.concatenate(parts)
        cubes = _filtered(one.coarse, spectra[key])
        found, deviation = one.coarse.coefficients(cubes, _AROUND)
        best = found.max(axis=2)
        at = best.argmax(axis=1)
        view = found[every, at].argmax(axis=1)
        peak = best[every, at]
        guess[:, number] = 2 * (_AROUND[at] + _rise(best, at, _AROUND))
        amplitude = peak * deviation[every, at] / one.coarse.length[view]
        values[:, number, 0] = values[:, number, 1] = peak
        values[:, number, 2] = amplitude * (one.coarse.side / side) ** 3
        values[:, number, 3:] = guess[:, number, ::-1] * one.step + _off_middle(one, bins)
        guess[:, number] += (_off_middle(one, bins) - _off_middle(one, one.bin_vox)) / one.step
        rotation[:, number] = one.coarse.rotations[view].transpose(0, 2, 1)
    likely = np.ones((count, len(maps)), dtype=bool)
    if chance is not None:
        expected = chance.expected(values[:, :, 1])
        likely = expected > chance.enough
        values[:, :, 0] = 1 - 2 / (exp(2 * expected) + 1)  # the inverse of `spread`
    for number, one in enumerate(maps):
        rows = np.flatnonzero(likely[:, number])
        if len(rows):
            own = _middle(coarser[one.bin_vox], one.side_vox)
            cubes = np.empty((len(rows), *(one.fine.side,) * 3), dtype=np.float32)
            for part in _parts(len(rows), one.side_vox):
                cubes[part] = _filtered(one.fine, _spectrum(own[rows[part]], one.fine.side))
            fits, view = _climb(one, cubes, np.rint(guess[rows, number]).astype(np.int64))
            fits[:, 2:] += _off_middle(one, one.bin_vox)
            values[rows[:, None], number, [0, 2, 3, 4, 5]] = fits
            rotation[rows, number] = one.fine.rotations[view].transpose(0, 2, 1)
    return values, rotation


def _off_middle(one: RotatedMap, bins: int) -> float:
    """Say how far (Å) the middle of a cube of averages lies beyond that of the cube's voxels."""
    return (bins - 1) / 2 * one.voxel_size


def _climb(one: RotatedMap, cubes: Numbers, guess: Indices) -> tuple[Floats, Indices]:
    """Search place and orientation from a guess of the place, step by step.

    Gives coefficient, amplitude and shift (n, 5), and the view.
    """
    count = len(guess)
    along, deviation = np.empty((2, count, len(_CROSS)))
    place, view = np.zeros((2, count), dtype=np.int64)
    rows = np.arange(count)
    for climb in range(1, _CLIMBS + 1):
        for first in range(0, len(rows), _TOGETHER):
            some = rows[first : first + _TOGETHER]
            samples = one.fine.samples(cubes[some], guess[some], _CROSS)
            along[some], view[some], deviation[some] = one.fine.nearest(samples)
        place[rows] = along[rows].argmax(axis=1)
        ahead = guess[rows] + _CROSS[place[rows]]
        moves = (place[rows] != _STAY) & (np.abs(ahead) < _FARTHEST).all(axis=1)
        rows = rows[moves]
        if climb == _CLIMBS or not len(rows):
            break
        guess[rows] = ahead[moves]
    every = np.arange(count)
    peak = along[every, place]
    amplitude = peak * deviation[every, place] / one.fine.length[view]
    amplitude *= (one.fine.side / one.side_vox) ** 3  # as the grid is coarser
    shift = (guess + _CROSS[place] + _rise(along, place, _CROSS))[:, ::-1] * one.step
    return np.column_stack([peak + _gain(along, place, _CROSS), amplitude, shift]), view


def _neighbours(values: Floats, at: Indices, shifts: Indices) -> tuple[Floats, Floats, Floats]:
    """Give the values before, at and after places, along each axis, (n, 3); the same outside."""
    every = np.arange(len(values))[:, None]
    here = np.repeat(values[every, at[:, None]], 3, axis=1)
    number = np.full((5, 5, 5), -1)
    number[tuple((shifts + 2).T)] = np.arange(len(shifts))
    sides = []
    for sign in (-1, 1):
        beside = shifts[at][:, None] + sign * np.eye(3, dtype=np.int64) + 2
        index = number[beside[..., 0], beside[..., 1], beside[..., 2]]
        sides.append(np.where(index >= 0, values[every, index], np.nan))
    return sides[0], here, sides[1]


def _rise(values: Floats, at: Indices, shifts: Indices) -> Floats:
    """Say how far from the highest values a parabola along each axis has its top, (n, 3)."""
    before, here, after = _neighbours(values, at, shifts)
    bend = 2 * here - before - after
    with np.errstate(divide="ignore", invalid="ignore"):
        offset = (after - before) / (2 * bend)
    return np.where(np.isfinite(offset) & (bend > 0), np.clip(offset, -0.5, 0.5), 0.0)


def _gain(values: Floats, at: Indices, shifts: Indices) -> Floats:
    """Say how much higher that top is, over all axes, (n,)."""
    before, _, after = _neighbours(values, at, shifts)
    gain = (after - before) * _rise(values, at, shifts) / 4
    return np.asarray(np.where(np.isfinite(gain), gain, 0.0).sum(axis=1))


def _binned(blocks: npt.NDArray[np.float32], bins: int) -> npt.NDArray[np.float32]:
    """Average cubes over so many voxels along each axis; what is left at the borders goes."""
    side = blocks.shape[1] // 2 // bins * 2
    found = _middle(blocks, side * bins)
    found = found.reshape(len(blocks), side, bins, side, bins, side, bins)
    for axis in (1, 2, 3):  # each is gone once it is added up
        parts = [found[(slice(None),) * (axis + 1) + (k,)] for k in range(bins)]
        found = functools.reduce(np.add, parts)
    found *= np.float32(1 / bins**3)
    return found


def _middle(cubes: npt.NDArray[np.float32], side: int) -> npt.NDArray[np.float32]:
    start = cubes.shape[1] // 2 - side // 2
    inner = slice(start, start + side)
    return cubes[:, inner, inner, inner]


def _spectrum(cubes: npt.NDArray[np.float32], whole: int) -> Numbers:
    """Transform cubes to their lowest ``whole`` frequencies along each axis."""
    from scipy import fft

    side = cubes.shape[1]
    if side == whole:
        return np.asarray(fft.rfftn(cubes, axes=(1, 2, 3)))
    found = fft.rfft(cubes, axis=3)[..., : whole // 2 + 1]
    for axis in (2, 1):
        found = np.take(fft.fft(found, axis=axis), _lowest(side, whole), axis=axis)
    return np.asarray(found)


def _filtered(views: OrientedViews, spectrum: Numbers) -> Numbers:
    """Filter as the views are; gives cubes on their grid."""
    from scipy import fft

    passed = (spectrum.view(views.pairs.dtype) * views.pairs).view(spectrum.dtype)
    found = fft.irfftn(passed, s=(views.side,) * 3, axes=(1, 2, 3), overwrite_x=True)
    return np.asarray(found, dtype=views.root.dtype)


def _parts(count: int, side: int) -> Iterator[slice]:
    """Share cubes out, few at a time, so that they stay in the cache while they are transformed."""
    few = max(1, _VOXELS_TOGETHER // side**3)
    return (slice(first, first + few) for first in range(0, count, few))


@functools.cache
def _lowest(side: int, count: int) -> Indices:
    """Give where the lowest ``count`` (even) frequencies of ``side`` are."""
    return np.asarray(np.r_[0 : count // 2, side - count // 2 : side])
