"""Density maps at all orientations, as tomograms show them, in a compressed basis.

See `slabkit.learning.map_evidence`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
from slabkit.arrays.exact import eigenvectors, exp, product
from slabkit.errors import InputError
from slabkit.units import DEFAULT_TILT_RANGE, TiltRange, check_tilt_range, positive_length

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]

_ACROSS = 16  # grid steps in a particle's diameter
_BAND = 2.6  # grid steps in the low-pass
_WIDER = 1.1  # the mask than the particle
_ROOM = 10.0  # grid steps that what is cut out is wider: shifts of 3, and what the filter reaches
_FINE_ANGLE, _COARSE_ANGLE = 18.0, 24.0  # degrees between orientations
_FIRST, _CLOSELY = 64, 3  # volumes of the basis by which orientations are chosen; how many
_SAME = 0.97  # orientations that correlate so are one, as those of symmetric particles are
_SHARE, _MOST, _SPARE = 0.995, 200, 40  # of the orientations' variance; volumes of the basis
_ROUND_UP = 0.25  # of a voxel, to a whole number of voxels that can be averaged before all else
_FINER = 6  # than the grid is a map drawn, of which the nearest values are then taken
_BLUR = 0.19  # grid steps; a tomogram is never as sharp as a map
_AT_ONCE = 16  # orientations
_LARGEST_DIAMETER = 1000.0
_BITS = 12  # of the length of a row; of a column one less, so that sums are below 2**24


@dataclass(frozen=True, eq=False)
class _Operand:
    """The second matrix of many products, rounded once; see `slabkit.arrays.exact`.

    As float32, products take half the time, and correlations are off by about 1e-4. Columns are
    whole numbers of a unit each, which is a power of two: products are as exact as of the numbers.
    """

    matrix: Numbers
    unit: Numbers

    @classmethod
    def of(cls, matrix: Numbers) -> _Operand:
        grid, unit = _on_coarse_grid(matrix, -2, _BITS - 1)
        grid *= unit
        return cls(grid, unit)

    def times(
        self, rows: Numbers, square: Numbers | None = None, divisor: Numbers | None = None
    ) -> Numbers:
        """Multiply rows, and divide each; their squared lengths need not be found again."""
        left, unit = _on_coarse_grid(rows, -1, _BITS, square)
        found: Numbers = left @ self.matrix
        if divisor is None:
            found *= unit
        else:  # the quotient is that of the product, as units are powers of two
            found /= divisor[:, None] / unit
        return found


def _on_coarse_grid(
    values: Numbers, axis: int, bits: int, square: Numbers | None = None
) -> tuple[Numbers, Numbers]:
    """Round rows (axis -1) or columns (-2) so that float32 holds sums of their products."""
    if square is None:
        square = np.einsum("ij,ij->i" if axis == -1 else "ij,ij->j", values, values)
    exponent = np.expand_dims(np.frexp(np.sqrt(square))[1], axis).clip(-90, 90) - bits
    grid = values * np.ldexp(np.float32(1), -exponent)
    return np.rint(grid, out=grid), np.ldexp(np.float32(1), exponent)


@dataclass(frozen=True, eq=False)
class OrientedViews:
    """A map at all orientations on one grid, centre at index ``side // 2`` of a cube."""

    side: int
    transfer: npt.NDArray[np.float32]  # (side, side, side // 2 + 1)
    places: Indices  # (voxels,): flat indices of what is under the mask
    root: Numbers  # (voxels,): square root of the mask's weights, whose sum is 1
    basis: _Operand  # (voxels, volumes)
    views: _Operand  # (volumes, orientations)
    length: Floats  # (orientations,): standard deviation of the filtered map under the mask
    rotations: Floats  # (orientations, 3, 3): from the tomogram's (x, y, z) to the map's

    def coefficients(self, cubes: Numbers, shifts: Indices) -> tuple[Numbers, Numbers]:
        """Correlate filtered cubes (n, side³), shifted alike (s, 3): (n, s, orientations).

        Also the cubes' standard deviation under the mask, (n, s).
        """
        rows = self.samples(cubes, np.zeros((len(cubes), 3), dtype=np.int64), shifts)
        count, each = rows.shape[:2]
        rows = rows.reshape(count * each, -1)
        square, deviation = self.deviations(rows)
        found = self.views.times(self.basis.times(rows, square), divisor=_positive(deviation))
        return found.reshape(count, each, -1), deviation.reshape(count, each)

    def samples(self, cubes: Numbers, places: Indices, shifts: Indices) -> Numbers:
        """Give what of filtered cubes is under the mask about places (n, 3) and shifts from them.

        Weighed, shape (n, shifts, voxels).
        """
        along = np.array([self.side**2, self.side, 1])
        around = (shifts @ along)[:, None] + self.places
        first = int(around.min())
        around -= first
        rows = np.empty((len(cubes), *around.shape), dtype=self.root.dtype)
        starts = (places @ along + first).tolist()
        for one, cube, start in zip(rows, cubes.reshape(len(cubes), -1), starts, strict=True):
            np.take(cube[start:], around, out=one, mode="clip")  # which needs no buffer
            one *= self.root
        return rows

    def deviations(self, rows: Numbers) -> tuple[Numbers, Numbers]:
        """Give the squared length and the standard deviation of rows of `samples`."""
        mean = np.einsum("...j,j->...", rows, self.root)  # the orientations have none
        square = np.einsum("...j,...j->...", rows, rows)
        return square, np.asarray(np.sqrt(np.maximum(square - mean**2, 0)))

    def nearest(self, samples: Numbers) -> tuple[Numbers, Indices, Numbers]:
        """Correlate samples (n, s, voxels) with the orientation that is best at one of the shifts.

        Gives the coefficients (n, s), the orientation (n,) and the samples' deviations (n, s).
        The first volumes of the basis say which few orientations are looked at closely.
        """
        count, each = samples.shape[:2]
        rows = samples.reshape(count * each, -1)
        square, deviation = self.deviations(rows)
        scale = _positive(deviation)
        near = self._first_views.times(self._first_basis.times(rows, square), divisor=scale)
        near = near.reshape(count, each, -1).max(axis=1)
        every = np.arange(count)
        likely = np.empty((count, min(_CLOSELY, near.shape[1])), dtype=np.int64)
        for k in range(likely.shape[1]):
            likely[:, k] = near.argmax(axis=1)
            near[every, likely[:, k]] = -np.inf
        found = np.einsum("nsj,nkj->nsk", samples, self._drawn[likely])
        found /= scale.reshape(count, each, 1)
        best = found.max(axis=1).argmax(axis=1)
        return found[every, :, best], likely[every, best], deviation.reshape(count, each)

    @functools.cached_property
    def pairs(self) -> npt.NDArray[np.float32]:
        """The transfer for the two parts of each complex number."""
        return self.transfer.repeat(2, axis=2)

    @functools.cached_property
    def _first_basis(self) -> _Operand:
        return _Operand(self.basis.matrix[:, :_FIRST].copy(), self.basis.unit[:, :_FIRST])

    @functools.cached_property
    def _first_views(self) -> _Operand:
        return _Operand(self.views.matrix[:_FIRST], self.views.unit)

    @functools.cached_property
    def _drawn(self) -> Numbers:
        """The orientations, (orientations, voxels)."""
        volumes = _Operand.of(np.ascontiguousarray(self.basis.matrix.T))
        return volumes.times(np.ascontiguousarray(self.views.matrix.T))


def _positive(deviation: Numbers) -> Numbers:
    return np.maximum(deviation, np.finfo(deviation.dtype).tiny)


@dataclass(frozen=True, eq=False)
class RotatedMap:
    """A density map, ready to be compared with tomograms of one voxel size."""

    name: str
    diameter: float  # Å
    voxel_size: float  # of the tomograms, Å
    bin_vox: int  # so many voxels of the tomogram are averaged first
    side_vox: int  # of the cubes that are cut out, after that
    fine: OrientedViews
    coarse: OrientedViews

    @property
    def step(self) -> float:
        """Give the fine grid's step in Å."""
        return self.side_vox * self.bin_vox * self.voxel_size / self.fine.side


_NUMBERS = ("diameter", "voxel_size", "bin_vox", "side_vox")
_LEVELS = ("fine", "coarse")
_PLAIN = ("transfer", "places", "root", "length", "rotations")
_OPERANDS = ("basis", "views")


def pack_rotated(one: RotatedMap) -> dict[str, npt.NDArray[Any]]:
    """Give arrays that `unpack_rotated` makes the map of again."""
    numbers = [getattr(one, name) for name in _NUMBERS]
    arrays = {"numbers": np.array([*numbers, one.fine.side, one.coarse.side], dtype=np.float64)}
    for level in _LEVELS:
        views = getattr(one, level)
        for name in _PLAIN:
            arrays[f"{level}_{name}"] = getattr(views, name)
        for name in _OPERANDS:
            matrix, unit = getattr(views, name).matrix, getattr(views, name).unit
            grid = matrix / unit  # whole numbers up to 2**_BITS
            arrays[f"{level}_{name}"] = grid.astype(np.int16)
            arrays[f"{level}_{name}_unit"] = unit
    return arrays


def unpack_rotated(name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> RotatedMap:
    """Make a map of `pack_rotated`'s arrays; ValueError or KeyError where they do not fit."""
    numbers = arrays["numbers"].tolist()
    sides = [int(numbers.pop()) for _ in _LEVELS]
    levels = []
    for level in _LEVELS:
        side = sides.pop()
        plain = [arrays[f"{level}_{part}"] for part in _PLAIN]
        transfer, places, root, length, rotations = plain
        operands = []
        for part in _OPERANDS:
            grid, unit = arrays[f"{level}_{part}"], arrays[f"{level}_{part}_unit"]
            if grid.ndim != 2 or unit.shape != (1, grid.shape[1]):
                raise ValueError(level)
            operands.append(_Operand(grid * unit, unit))
        inside = len(places) > 0 and places.min() >= 0 and places.max() < side**3
        size = operands[1].matrix.shape
        if not inside or [transfer.shape, root.shape, length.shape, rotations.shape] != [
            (side, side, side // 2 + 1),
            places.shape,
            size[1:],
            (*size[1:], 3, 3),
        ]:
            raise ValueError(level)
        if operands[0].matrix.shape != (len(places), size[0]):
            raise ValueError(level)
        basis, views = operands
        levels.append(OrientedViews(side, transfer, places, root, basis, views, length, rotations))
    diameter, voxel_size, bin_vox, side_vox = numbers
    return RotatedMap(name, diameter, voxel_size, int(bin_vox), int(side_vox), *levels)


def rotate_map(
    density: npt.NDArray[Any],
    density_voxel_size: float,
    voxel_size: float,
    *,
    name: str,
    tilt_range: TiltRange = DEFAULT_TILT_RANGE,
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
    check_tilt_range(tilt_range)
    diameter = map_diameter(volume, density_voxel_size, lowpass=40.0)
    if diameter > _LARGEST_DIAMETER:
        raise InputError(
            f"the map of {name} is of something {diameter:.0f} Å wide; one particle is needed."
        )
    step = max(diameter / _ACROSS, voxel_size)
    bins = int(step / voxel_size + _ROUND_UP)
    step = max(step, bins * voxel_size)
    side = 4 * math.ceil((_WIDER * diameter / step + _ROOM) / 4)
    side_vox = max(side, _quick_length(side * step / (bins * voxel_size)))
    field = side_vox * bins * voxel_size
    views = (
        _views(volume, density_voxel_size, diameter, n, field / n, tilt_range, angle)
        for n, angle in ((side, _FINE_ANGLE), (side // 2, _COARSE_ANGLE))
    )
    return RotatedMap(name, diameter, voxel_size, bins, side_vox, *views)


def _quick_length(length: float) -> int:
    """Give voxels, at least so many and a multiple of four, of which FFTs are quick."""
    count = 4 * math.ceil(length / 4 - 1e-6)
    while (3 * 5 * 7) ** 9 * 2**30 % count:
        count += 4
    return count


def _frequencies(side: int, step: float) -> tuple[npt.NDArray[Any], ...]:
    whole, half = np.fft.fftfreq(side, step), np.fft.rfftfreq(side, step)
    return whole[:, None, None], whole[None, :, None], half[None, None, :]


def _views(
    volume: Floats,
    voxel_size: float,
    diameter: float,
    side: int,
    step: float,
    tilt_range: TiltRange,
    angle: float,
) -> OrientedViews:
    from scipy import fft, ndimage

    volume, voxel_size = coarsened(volume, voxel_size, _BAND * step)
    smooth, blur = low_passed(volume, voxel_size, step)
    spacing = step / _FINER / voxel_size
    middle = np.array(ndimage.center_of_mass(smooth))
    # A cube about the centre of mass in which every turned place is, zero beyond the map.
    centre = np.full(3, math.ceil(_FINER * (diameter / 2 / step + 2)) + 1)
    lines = [
        (np.arange(2 * n + 1) - n) * spacing + at for n, at in zip(centre, middle, strict=True)
    ]
    drawn = _interpolated(smooth, lines)
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
    seen *= exp(-((np.pi * _BLUR * step * frequency) ** 2))
    if tilt_range is not None:
        low, high = (np.tan(math.radians(tilt)) * fx for tilt in tilt_range)
        inside = np.minimum(fz - low, high - fz) * (side * step) + 0.5
        seen = seen * np.clip(inside, 0, 1)
    seen = seen.astype(np.float32)
    near = np.flatnonzero(away <= diameter / 2 + 2 * step)
    points = np.stack([axis.ravel()[near] for axis in (z, y, x)]) * (_FINER / step)
    rotations = all_rotations(angle)
    turned = np.empty((len(rotations), len(places)), dtype=np.float32)
    for first in range(0, len(rotations), _AT_ONCE):
        part = rotations[first : first + _AT_ONCE, ::-1, ::-1]  # of z, y, x
        cubes = np.zeros((len(part), side**3), dtype=np.float32)
        own = np.einsum("kij,jn->kin", part, points) + (centre + 0.5)[:, None]
        cubes[:, near] = drawn[tuple(own.astype(np.int64).transpose(1, 0, 2))]
        spectra = fft.rfftn(cubes.reshape(-1, side, side, side), axes=(1, 2, 3))
        pairs = spectra.view(np.float32).reshape(*spectra.shape, 2)
        pairs *= seen[..., None]
        cubes = fft.irfftn(spectra, s=(side,) * 3, axes=(1, 2, 3), overwrite_x=True)
        turned[first : first + _AT_ONCE] = cubes.reshape(len(part), -1)[:, places]
    turned -= np.einsum("ij,j->i", turned, weight.astype(np.float32))[:, None]
    turned *= np.sqrt(weight).astype(np.float32)
    length = np.sqrt(np.einsum("ij,ij->i", turned, turned, dtype=np.float64))
    turned /= length[:, None]
    basis, views = _compressed(turned)
    kept = _distinct(views)
    return OrientedViews(
        side,
        transfer.astype(np.float32),
        places,
        np.sqrt(weight).astype(np.float32),
        _Operand.of(basis),
        _Operand.of(np.ascontiguousarray(views[kept].T)),
        length[kept],
        rotations[kept],
    )


def _interpolated(volume: Floats, lines: Sequence[Floats]) -> npt.NDArray[np.float32]:
    """Interpolate by cubic splines at a grid of places along each axis; nothing is outside."""
    from scipy import ndimage, sparse

    found = ndimage.spline_filter(volume, order=3, mode="mirror")
    for places in lines:  # the first axis becomes the last each time
        size = len(found)
        index = np.floor(places).astype(np.int64)[:, None] + np.arange(-1, 3)
        away = np.abs(places[:, None] - index)
        weight = np.where(away < 1, 4 - 6 * away**2 + 3 * away**3, (2 - away).clip(0) ** 3) / 6
        weight *= (index >= 0) & (index < size)
        row = np.arange(len(places)).repeat(4)
        spline = sparse.csr_array(
            (weight.ravel(), (row, index.ravel().clip(0, size - 1))), (len(places), size)
        )
        rest = found.shape[1:]
        found = (spline @ found.reshape(size, -1)).reshape(-1, *rest).transpose(1, 2, 0)
    return np.ascontiguousarray(found, dtype=np.float32)


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


def _compressed(turned: npt.NDArray[np.float32]) -> tuple[Numbers, Numbers]:
    """Give a basis (voxels, volumes), and the rows of unit length in it (rows, volumes)."""
    count, voxels = turned.shape
    most = min(_MOST + _SPARE, count, voxels)
    random = np.random.Generator(np.random.SFC64(0))
    spread = _quick(turned.T, random.standard_normal((count, most)))
    for again in (True, False):
        values, vectors = eigenvectors(product(spread.T, spread))
        used = values > 1e-12 * values[-1]
        basis = product(spread, vectors[:, used] / np.sqrt(values[used]))
        if again:
            spread = _quick(turned.T, _quick(turned, basis))
    views = _quick(turned, basis)
    values, vectors = eigenvectors(product(views.T, views))
    share = np.cumsum(values[::-1]) / count
    keep = min(int(np.searchsorted(share, _SHARE * share[-1])) + 1, _MOST, len(values))
    chosen = vectors[:, ::-1][:, :keep]
    return product(basis, chosen).astype(np.float32), product(views, chosen).astype(np.float32)


def _quick(one: npt.NDArray[np.float32], other: Numbers) -> Numbers:
    return _Operand.of(other.astype(np.float32)).times(one)


def _distinct(views: Numbers) -> Indices:
    """Leave out rows that are nearly the same as one that is kept."""
    size = np.sqrt(np.einsum("ij,ij->i", views, views))[:, None]
    alike = product(views / size, (views / size).T) >= _SAME
    left = np.ones(len(views), dtype=bool)
    for row in range(len(views)):
        if left[row]:
            left[row + 1 :] &= ~alike[row, row + 1 :]
    return np.flatnonzero(left)
