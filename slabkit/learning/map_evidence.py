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
A search at half the resolution finds the shift first.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slabkit.arrays.parallel import map_in_order
from slabkit.errors import InputError
from slabkit.learning.rotated_maps import Numbers, RotatedMap, rotate_map
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

_AT_ONCE = 24  # picks
_CLIMBS, _FARTHEST = 3, 3  # steps of the fine search, and how far in all from the pick

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
    tomogram: Tomogram, places: Floats, maps: Sequence[RotatedMap], jobs: int = 1
) -> MapFits:
    """Fit maps into the tomogram about places, (n, 3), x, y, z in Å; errors as of `map_evidence`.

    The result is the same for any number of ``jobs`` (threads).
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
    # One after the other in z, so that voxels near each other are read together.
    order = inside[np.lexsort(middle[inside].T[::-1])]

    def compare(
        task: tuple[Indices, npt.NDArray[np.float32]],
    ) -> tuple[Indices, list[tuple[Floats, Indices]]]:
        return task[0], [_compare(one, task[1]) for one in maps]

    blocks = _blocks(tomogram, middle.astype(np.int64), order, maps)
    for rows, found in map_in_order(compare, blocks, jobs):
        for number, (one, (best, view)) in enumerate(zip(maps, found, strict=True)):
            values[rows, number] = best
            rotation[rows, number] = one.fine.rotations[view].transpose(0, 2, 1)
    moved = middle[:, ::-1] * tomogram.voxel_size - places
    shift = values[:, :, 3:] + moved[:, None]
    return MapFits(values[:, :, 0], values[:, :, 1], values[:, :, 2], shift, rotation)


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
    sign = np.float32(protein_sign(tomogram.contrast))
    size = np.array(tomogram.shape)
    for first in range(0, len(order), _AT_ONCE):
        rows = order[first : first + _AT_ONCE]
        blocks = np.zeros((len(rows), *(2 * half,) * 3), dtype=np.float32)
        for block, place in zip(blocks, middle[rows], strict=True):
            low, high = np.maximum(place - half, 0), np.minimum(place + half, size)
            start, stop = tuple(low.tolist()), tuple(high.tolist())
            read = tomogram.check_finite(tomogram.read(start, stop), start).astype(np.float32)
            read = sign * (read - read.mean(dtype=np.float64).astype(np.float32))
            (z, y, x), (a, b, c) = low - place + half, high - place + half
            block[z:a, y:b, x:c] = read
        yield rows, blocks


def _compare(one: RotatedMap, blocks: npt.NDArray[np.float32]) -> tuple[Floats, Indices]:
    """Give of one map for cubes the coefficients, amplitude and shift (n, 6), and the view."""
    fine, coarse = _cubes(one, blocks)
    count = len(blocks)
    every = np.arange(count)
    around = np.broadcast_to(_AROUND, (count, *_AROUND.shape))
    best = one.coarse.coefficients(coarse, around)[0].max(axis=2)
    at = best.argmax(axis=1)
    guess = np.rint(2 * (_AROUND[at] + _rise(best, at, _AROUND))).astype(np.int64)
    along, deviation = np.empty((2, count, len(_CROSS)))
    place, view = np.zeros((2, count), dtype=np.int64)
    rows = every
    for climb in range(1, _CLIMBS + 1):
        found, deviation[rows] = one.fine.coefficients(fine[rows], guess[rows, None] + _CROSS)
        place[rows], view[rows] = np.divmod(
            found.reshape(len(rows), -1).argmax(axis=1), found.shape[2]
        )
        along[rows] = found[np.arange(len(rows)), :, view[rows]]
        ahead = guess[rows] + _CROSS[place[rows]]
        moves = (place[rows] != _STAY) & (np.abs(ahead) < _FARTHEST).all(axis=1)
        rows = rows[moves]
        if climb == _CLIMBS or not len(rows):
            break
        guess[rows] = ahead[moves]
    peak = along[every, place]
    offset = _rise(along, place, _CROSS)
    amplitude = peak * deviation[every, place] / one.fine.length[view]
    amplitude *= (one.fine.side / one.side_vox) ** 3  # as the grid is coarser
    shift = (guess + _CROSS[place] + offset)[:, ::-1] * one.step
    peak = peak + _gain(along, place, _CROSS)
    return np.column_stack([peak, best[every, at], amplitude, shift]), view


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


def _cubes(one: RotatedMap, blocks: npt.NDArray[np.float32]) -> tuple[Numbers, Numbers]:
    """Filter cubes and bring them to the two grids of a map."""
    from scipy import fft

    count, bins, side, whole = len(blocks), one.bin_vox, one.side_vox, one.fine.side
    middle, half = blocks.shape[1] // 2, side * bins // 2
    inner = slice(middle - half, middle + half)
    cut = blocks[:, inner, inner, inner]
    if bins > 1:
        cut = cut.reshape(count, side, bins, side, bins, side, bins)
        for axis in (1, 2, 3):  # each is gone once it is added up
            parts = [cut[(slice(None),) * (axis + 1) + (k,)] for k in range(bins)]
            cut = functools.reduce(np.add, parts) * np.float32(1 / bins)
    spectrum = fft.rfft(cut, axis=3)[..., : whole // 2 + 1]
    for axis in (2, 1):
        spectrum = np.take(fft.fft(spectrum, axis=axis), _lowest(side, whole), axis=axis)
    results = []
    for views in (one.fine, one.coarse):
        kept = _lowest(whole, views.side)
        part = spectrum[:, kept[:, None], kept, : views.side // 2 + 1]
        pairs = np.ascontiguousarray(part).view(np.float32).reshape(*part.shape, 2)
        pairs *= views.transfer[..., None]
        cubes = fft.irfftn(pairs.view(np.complex64)[..., 0], s=(views.side,) * 3, axes=(1, 2, 3))
        results.append(cubes.astype(views.root.dtype, copy=False))
    return results[0], results[1]


def _lowest(side: int, count: int) -> Indices:
    """Give where the lowest ``count`` (even) frequencies of ``side`` are."""
    return np.asarray(np.r_[0 : count // 2, side - count // 2 : side])
