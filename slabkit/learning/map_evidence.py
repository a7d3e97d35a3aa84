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

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.checks import checked_density
from slabkit.arrays.density_maps import (
    coarsened,
    low_passed,
    map_diameter,
    view_directions,
    view_matrix,
)
from slabkit.arrays.exact import eigenvectors, exp, on_grid, product
from slabkit.arrays.parallel import map_in_order
from slabkit.errors import InputError
from slabkit.tomogram import Tomogram
from slabkit.units import positive_length, protein_sign

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

DEFAULT_TILT_RANGE = (-45.0, 45.0)
EVIDENCE = ("coefficient", "coarse-coefficient", "amplitude", "shift")
"""What is said of each map: the coefficient, that at half the resolution, the density in units of
the map's, and how far (Å) from the pick the best place is."""

_ACROSS = 16  # grid steps in a particle's diameter
_BAND = 2.6  # grid steps in the low-pass
_WIDER = 1.1  # the mask than the particle
_ROOM = 10.0  # grid steps that what is cut out is wider: shifts of 3, and what the filter reaches
_FINE_ANGLE, _COARSE_ANGLE = 18.0, 24.0  # degrees between orientations
_SAME = 0.97  # orientations that correlate so are one, as those of symmetric particles are
_SHARE, _MOST, _SPARE = 0.99, 300, 40  # of the orientations' variance; volumes of the basis
_AT_ONCE = 24  # picks
_ROUND_UP = 0.25  # of a voxel, to a whole number of voxels that can be averaged before all else
_FINER = 3  # than the grid is a map drawn, from which values are then taken linearly
_CLIMBS, _FARTHEST = 3, 3  # steps of the fine search, and how far in all from the pick
_LARGEST_DIAMETER = 1000.0

_NEAR = np.array(list(np.ndindex(3, 3, 3))) - 1
_CROSS = _NEAR[(_NEAR**2).sum(axis=1) <= 1]
_STAY = int(np.flatnonzero((_CROSS == 0).all(axis=1))[0])
_AROUND = _NEAR[(_NEAR**2).sum(axis=1) <= 2]


@dataclass(frozen=True, eq=False)
class _Operand:
    """The second matrix of many products, rounded once; see `slabkit.arrays.exact`."""

    grid: Floats
    unit: Floats

    @classmethod
    def of(cls, matrix: Floats) -> _Operand:
        return cls(*on_grid(matrix, -2))

    def times(self, rows: Floats) -> Floats:
        left, unit = on_grid(rows, -1)
        found: Floats = left @ self.grid
        found *= unit
        found *= self.unit
        return found


@dataclass(frozen=True, eq=False)
class _Views:
    """A map at all orientations on one grid, centre at index ``side // 2`` of a cube."""

    side: int
    transfer: Floats  # (side, side, side // 2 + 1)
    places: Indices  # (voxels,): flat indices of what is under the mask
    root: Floats  # (voxels,): square root of the mask's weights, whose sum is 1
    basis: _Operand  # (voxels, volumes)
    views: _Operand  # (volumes, orientations)
    length: Floats  # (orientations,): standard deviation of the filtered map under the mask
    rotations: Floats  # (orientations, 3, 3): from the tomogram's (x, y, z) to the map's

    def coefficients(self, cubes: Floats, shifts: Indices) -> tuple[Floats, Floats]:
        """Correlate filtered cubes (n, side³), shifted (n, s, 3): (n, s, orientations).

        Also the cubes' standard deviation under the mask, (n, s).
        """
        flat = shifts @ np.array([self.side**2, self.side, 1])
        count, each = flat.shape
        rows = np.empty((count, each, len(self.places)))
        for one, cube, offsets in zip(rows, cubes.reshape(count, -1), flat, strict=True):
            np.take(cube, offsets[:, None] + self.places, out=one)
        rows = rows.reshape(count * each, -1)
        rows *= self.root
        mean = np.einsum("ij,j->i", rows, self.root)  # the orientations have none
        deviation = np.sqrt(np.maximum(np.einsum("ij,ij->i", rows, rows) - mean**2, 0))
        found = self.views.times(self.basis.times(rows))
        found /= np.maximum(deviation, np.finfo(float).tiny)[:, None]
        return found.reshape(count, each, -1), deviation.reshape(count, each)


@dataclass(frozen=True, eq=False)
class RotatedMap:
    """A density map, ready to be compared with tomograms of one voxel size."""

    name: str
    diameter: float  # Å
    voxel_size: float  # of the tomograms, Å
    bin_vox: int  # so many voxels of the tomogram are averaged first
    side_vox: int  # of the cubes that are cut out, after that
    fine: _Views
    coarse: _Views

    @property
    def step(self) -> float:
        """Give the fine grid's step in Å."""
        return self.side_vox * self.bin_vox * self.voxel_size / self.fine.side


def rotate_map(
    density: npt.NDArray[Any],
    density_voxel_size: float,
    voxel_size: float,
    *,
    name: str,
    tilt_range: tuple[float, float] | None = DEFAULT_TILT_RANGE,
) -> RotatedMap:
    """Turn a density map to all orientations, as tomograms show it.

    Parameters
    ----------
    density : ndarray, shape (z, y, x)
        Protein bright; negative values are taken as nothing.
    density_voxel_size, voxel_size : float
        Of the map and of the tomograms, Å.
    name : str
    tilt_range : (float, float), optional
        Lowest and highest tilt in degrees, about y; None: no missing wedge.

    Raises
    ------
    InputError
        The density is no finite volume with something in it, it is of more than one particle (over
        1000 Å), or a number makes no sense.
    """
    checked = checked_density(density, density_voxel_size, f"the map of {name}")
    volume = np.maximum(checked, 0)
    positive_length(voxel_size, "the voxel size")
    if tilt_range is not None and not -90 < tilt_range[0] < tilt_range[1] < 90:
        raise InputError("--tilt-range takes MIN:MAX in degrees between -90 and 90.")
    diameter = map_diameter(volume, density_voxel_size, lowpass=40.0)
    if diameter > _LARGEST_DIAMETER:
        raise InputError(
            f"the map of {name} is of something {diameter:.0f} Å wide; one particle is needed."
        )
    step = max(diameter / _ACROSS, voxel_size)
    bins = int(step / voxel_size + _ROUND_UP)
    step = max(step, bins * voxel_size)
    side = 4 * math.ceil((_WIDER * diameter / step + _ROOM) / 4)
    side_vox = _quick_even(side * step / (bins * voxel_size))
    if side_vox <= side:
        side_vox = side
    field = side_vox * bins * voxel_size
    views = (
        _views(volume, density_voxel_size, diameter, n, field / n, tilt_range, angle)
        for n, angle in ((side, _FINE_ANGLE), (side // 2, _COARSE_ANGLE))
    )
    return RotatedMap(name, diameter, voxel_size, bins, side_vox, *views)


def _quick_even(length: float) -> int:
    """Give an even number of voxels, at least so many, of which FFTs are quick."""
    from scipy.fft import next_fast_len

    return 2 * int(next_fast_len(math.ceil(length / 2 - 1e-6), real=True))


def _frequencies(side: int, step: float) -> tuple[npt.NDArray[Any], ...]:
    whole, half = np.fft.fftfreq(side, step), np.fft.rfftfreq(side, step)
    return whole[:, None, None], whole[None, :, None], half[None, None, :]


def _views(
    volume: Floats,
    voxel_size: float,
    diameter: float,
    side: int,
    step: float,
    tilt_range: tuple[float, float] | None,
    angle: float,
) -> _Views:
    from scipy import fft, ndimage

    volume, voxel_size = coarsened(volume, voxel_size, _BAND * step)
    smooth, blur = low_passed(volume, voxel_size, step)
    spacing = step / _FINER / voxel_size
    sizes = [math.ceil((n - 1) / spacing) + 1 for n in smooth.shape]
    grid = np.meshgrid(*(np.arange(n) * spacing for n in sizes), indexing="ij")
    drawn = ndimage.map_coordinates(smooth, grid, order=3, mode="constant").astype(np.float32)
    centre = np.array(ndimage.center_of_mass(smooth)) / spacing
    line = (np.arange(side) - side // 2) * step
    z, y, x = np.meshgrid(line, line, line, indexing="ij")
    away = np.sqrt(x**2 + y**2 + z**2)
    mask = np.clip((_WIDER * diameter / 2 + step - away) / step, 0, 1)
    places = np.flatnonzero(mask)
    weight = mask.ravel()[places] / mask.sum()
    fz, fy, fx = _frequencies(side, step)
    frequency = np.sqrt(fz**2 + fy**2 + fx**2)
    transfer = _transfer(frequency, step, diameter)
    seen = transfer * exp(np.minimum(2 * (np.pi * blur * frequency) ** 2, 3.0))
    if tilt_range is not None:
        low, high = (np.tan(math.radians(tilt)) * fx for tilt in tilt_range)
        inside = np.minimum(fz - low, high - fz) * (side * step) + 0.5
        seen = seen * np.clip(inside, 0, 1)
    near = away <= diameter / 2 + 2 * step
    points = np.stack([x[near], y[near], z[near]])
    rotations = all_rotations(angle)
    cube = np.zeros((side, side, side), dtype=np.float32)
    turned = np.empty((len(rotations), len(places)), dtype=np.float32)
    for one, rotation in zip(turned, rotations, strict=True):
        own = np.einsum("ij,in->jn", rotation.T * (_FINER / step), points) + centre[::-1, None]
        cube[near] = ndimage.map_coordinates(drawn, own[::-1], order=1, mode="constant")
        values = fft.rfftn(cube)
        values.real *= seen
        values.imag *= seen
        one[:] = fft.irfftn(values, s=cube.shape).ravel()[places]
    turned -= np.einsum("ij,j->i", turned, weight.astype(np.float32))[:, None]
    turned *= np.sqrt(weight).astype(np.float32)
    length = np.sqrt(np.einsum("ij,ij->i", turned, turned, dtype=np.float64))
    turned /= length[:, None]
    basis, views = _compressed(turned)
    kept = _distinct(views)
    return _Views(
        side,
        transfer,
        places,
        np.sqrt(weight),
        _Operand.of(basis),
        _Operand.of(np.ascontiguousarray(views[kept].T)),
        length[kept],
        rotations[kept],
    )


def _transfer(frequency: Floats, step: float, diameter: float) -> Floats:
    """Give the band-pass: the spectra of molecules fall about as the frequency rises."""
    fall = np.clip((1.15 - _BAND * step * frequency) / 0.3, 0, 1)
    return np.asarray(fall * fall * (3 - 2 * fall) * np.hypot(frequency * diameter, 1.0))


def all_rotations(angle: float) -> Floats:
    """Spread rotations evenly, about ``angle`` degrees apart, (n, 3, 3)."""
    turns = max(1, round(360 / angle))
    psi = np.arange(turns) * (2 * np.pi / turns)
    one = np.zeros((turns, 3, 3))
    one[:, 0, 0], one[:, 0, 1] = np.cos(psi), np.sin(psi)
    one[:, 1, 0], one[:, 1, 1] = -np.sin(psi), np.cos(psi)
    one[:, 2, 2] = 1
    seen = np.array([view_matrix(rot, tilt) for rot, tilt in view_directions(angle)])
    return np.asarray(np.einsum("pij,vjk->vpik", one, seen).reshape(-1, 3, 3))


def _compressed(turned: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Give a basis (voxels, volumes), and the rows of unit length in it (rows, volumes)."""
    count, voxels = turned.shape
    most = min(_MOST + _SPARE, count, voxels)
    random = np.random.Generator(np.random.SFC64(0))
    spread = product(turned.T, random.standard_normal((count, most)))
    for again in (True, False):
        values, vectors = eigenvectors(product(spread.T, spread))
        used = values > 1e-12 * values[-1]
        basis = product(spread, vectors[:, used] / np.sqrt(values[used]))
        if again:
            spread = product(turned.T, product(turned, basis))
    views = product(turned, basis)
    values, vectors = eigenvectors(product(views.T, views))
    share = np.cumsum(values[::-1]) / count
    keep = min(int(np.searchsorted(share, _SHARE * share[-1])) + 1, _MOST, len(values))
    chosen = vectors[:, ::-1][:, :keep]
    return product(basis, chosen), product(views, chosen)


def _distinct(views: Floats) -> Indices:
    """Leave out rows that are nearly the same as one that is kept."""
    size = np.sqrt(np.einsum("ij,ij->i", views, views))[:, None]
    alike = product(views / size, (views / size).T) >= _SAME
    left = np.ones(len(views), dtype=bool)
    for row in range(len(views)):
        if left[row]:
            left[row + 1 :] &= ~alike[row, row + 1 :]
    return np.flatnonzero(left)


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
        found, spread = one.fine.coefficients(fine[rows], guess[rows, None] + _CROSS)
        place[rows], view[rows] = np.divmod(
            found.reshape(len(rows), -1).argmax(axis=1), found.shape[2]
        )
        along[rows] = found[np.arange(len(rows)), :, view[rows]]
        deviation[rows] = spread
        ahead = guess[rows] + _CROSS[place[rows]]
        moves = (place[rows] != _STAY) & (np.abs(ahead) < _FARTHEST).all(axis=1)
        rows = rows[moves]
        if climb == _CLIMBS or not len(rows):
            break
        guess[rows] = ahead[moves]
    peak = along[every, place]
    offset = _rise(along, place, _CROSS)
    amplitude = peak * deviation[every, place] / one.fine.length[view]
    shift = (guess + _CROSS[place] + offset)[:, ::-1] * one.step
    peak = peak + _gain(along, place, _CROSS)
    return np.column_stack([peak, best[every, at], amplitude, shift]), view


def _neighbours(values: Floats, at: Indices, shifts: Indices) -> tuple[Floats, Floats, Floats]:
    """Give the values before, at and after places, along each axis, (n, 3); the same outside."""
    every = np.arange(len(values))
    here = np.repeat(values[every, at][:, None], 3, axis=1)
    sides = []
    number = {tuple(shift): k for k, shift in enumerate(shifts.tolist())}
    for sign in (-1, 1):
        table = np.array(
            [
                [number.get(tuple(s + sign * (np.arange(3) == axis)), -1) for axis in range(3)]
                for s in shifts
            ]
        )[at]
        sides.append(np.where(table >= 0, values[every[:, None], table], np.nan))
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


def _cubes(one: RotatedMap, blocks: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Filter cubes and bring them to the two grids of a map."""
    from scipy import fft

    count, bins, side, whole = len(blocks), one.bin_vox, one.side_vox, one.fine.side
    middle, half = blocks.shape[1] // 2, side * bins // 2
    inner = slice(middle - half, middle + half)
    cut = blocks[:, inner, inner, inner]
    if bins > 1:
        cut = cut.reshape(count, side, bins, side, bins, side, bins)
        for axis in (2, 3, 4):
            cut = sum(np.take(cut, k, axis=axis) for k in range(bins)) / np.float32(bins)
    spectrum = fft.rfft(cut, axis=3)[..., : whole // 2 + 1]
    for axis in (2, 1):
        spectrum = np.take(fft.fft(spectrum, axis=axis), _lowest(side, whole), axis=axis)
    results = []
    for views in (one.fine, one.coarse):
        kept = _lowest(whole, views.side)
        part = spectrum[:, kept[:, None], kept, : views.side // 2 + 1]
        part.real *= views.transfer
        part.imag *= views.transfer
        cubes = fft.irfftn(part, s=(views.side,) * 3, axes=(1, 2, 3))
        results.append(cubes.astype(np.float64) * (views.side / side) ** 3)
    return results[0], results[1]


def _lowest(side: int, count: int) -> Indices:
    """Give where the lowest ``count`` (even) frequencies of ``side`` are."""
    return np.asarray(np.r_[0 : count // 2, side - count // 2 : side])
