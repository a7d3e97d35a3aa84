"""Molecules as sets of Gaussian subunits, drawn at any place and rotation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from slabkit.simulation.symmetry import Matrix, symmetry_operators

EXTENT_LEVEL = 0.3
"""A molecule's diameter is its greatest extent where it has this part of its highest density."""

MASK_LEVEL = 0.15
"""A molecule occupies the voxels where it has this part of its highest density."""

# Beyond this many standard deviations a Gaussian is not drawn; the rest of its mass is 1e-5.
_TAIL = 4.5

# A subunit is blurred by this much of a voxel, so that its samples keep its mass and centre.
_VOXEL_BLUR = 0.5


class Model(Protocol):
    """Something that can be drawn into a volume."""

    @property
    def name(self) -> str:
        """The species."""

    @property
    def diameter(self) -> float:
        """Greatest extent in Å."""

    def peak(self, voxel_size: float) -> float:
        """Highest density in Da/Å³ when drawn at this voxel size."""

    def reach(self, voxel_size: float) -> float:
        """Radius in Å beyond which nothing is drawn."""

    def draw(
        self,
        rotation: Matrix,
        offset_vox: npt.NDArray[np.float64],
        half_vox: int,
        voxel_size: float,
    ) -> npt.NDArray[np.float32]:
        """Draw it into a cube of ``2 * half_vox + 1`` voxels, ``(x, y, z)`` off its middle."""


@dataclass(frozen=True)
class Subunits:
    """Gaussians: where, how wide, how heavy.

    Parameters
    ----------
    centres : ndarray of float, shape (subunits, 3)
        ``x, y, z`` in Å.
    widths : ndarray of float, shape (subunits,)
        Standard deviations in Å.
    weights : ndarray of float, shape (subunits,)
        Shares of the mass; need not sum to one.
    """

    centres: Matrix
    widths: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Molecule:
    """A symmetric arrangement of Gaussian subunits.

    The asymmetric part is multiplied by the symmetry operators, moved to its centre of mass, and
    scaled so that `diameter` is its greatest extent at `EXTENT_LEVEL`.

    Parameters
    ----------
    name : str
    mass : float
        In Da; the integral of the density.
    symmetry : str
        As `symmetry_operators` takes it.
    diameter : float
        In Å.
    part : Subunits
        The asymmetric part; only its proportions matter.
    """

    name: str
    mass: float
    symmetry: str
    diameter: float
    part: Subunits

    @cached_property
    def subunits(self) -> Subunits:
        """All subunits, centred and scaled; weights in Da."""
        operators = symmetry_operators(self.symmetry)
        centres = np.einsum("gij,nj->gni", operators, self.part.centres).reshape(-1, 3)
        widths = np.tile(self.part.widths, len(operators))
        weights = np.tile(self.part.weights, len(operators))
        weights = weights * (self.mass / weights.sum())
        centres = centres - weights @ centres / self.mass
        rough = Subunits(centres, widths, weights)
        scale = self.diameter / extent(rough)
        return Subunits(centres * scale, widths * scale, weights)

    def peak(self, voxel_size: float) -> float:
        """Give the highest density in Da/Å³ when drawn at this voxel size."""
        peaks = self.__dict__.setdefault("_peaks", {})
        if voxel_size not in peaks:
            half = int(np.ceil(self.reach(voxel_size) / voxel_size))
            peaks[voxel_size] = float(self.draw(np.eye(3), np.zeros(3), half, voxel_size).max())
        return float(peaks[voxel_size])

    def reach(self, voxel_size: float) -> float:
        """Give the radius in Å beyond which nothing is drawn."""
        widths = _blurred(self.subunits.widths, voxel_size)
        return float((np.linalg.norm(self.subunits.centres, axis=1) + _TAIL * widths).max())

    def draw(
        self,
        rotation: Matrix,
        offset_vox: npt.NDArray[np.float64],
        half_vox: int,
        voxel_size: float,
    ) -> npt.NDArray[np.float32]:
        """Draw it into a cube, in Da/Å³; see `Model.draw`."""
        centres = self.subunits.centres @ rotation.T / voxel_size + offset_vox
        widths = _blurred(self.subunits.widths, voxel_size) / voxel_size
        weights = self.subunits.weights / voxel_size**3
        axis = np.arange(-half_vox, half_vox + 1)
        return sum_of_gaussians(centres, widths, weights, (axis, axis, axis)).astype(np.float32)


def sum_of_gaussians(
    centres: Matrix,
    widths: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    axes: tuple[npt.NDArray[np.int64], ...],
) -> npt.NDArray[np.float64]:
    """Sample a sum of round Gaussians (integrals: weights) on a grid (x, y, z): shape (z, y, x)."""
    # A round Gaussian is the product of three in one dimension, so the sum is a matrix product.
    x, y, z = (
        np.exp(-0.5 * ((axes[i] - centres[:, i, None]) / widths[:, None]) ** 2) for i in range(3)
    )
    z = z * (weights / (np.sqrt(2 * np.pi) * widths) ** 3)[:, None]
    plane = (y[:, :, None] * x[:, None, :]).reshape(len(centres), -1)
    return np.asarray((z.T @ plane).reshape(z.shape[1], y.shape[1], x.shape[1]))


def extent(subunits: Subunits, level: float = EXTENT_LEVEL, steps: int = 72) -> float:
    """Measure `greatest_extent` on a grid of ``steps`` across, in the units of the subunits."""
    half = float((np.abs(subunits.centres).max(axis=1) + 3 * subunits.widths).max())
    step = 2 * half / steps
    axis = np.arange(-steps // 2, steps // 2 + 1)
    density = sum_of_gaussians(
        subunits.centres / step, subunits.widths / step, subunits.weights, (axis, axis, axis)
    )
    return greatest_extent(density, level) * step


def greatest_extent(density: npt.NDArray[np.float64], level: float) -> float:
    """Measure the longest distance (voxels) between points above a part of the maximum."""
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist

    border = level * density.max()
    points = []
    for axis in range(3):
        below, above = np.delete(density, -1, axis), np.delete(density, 0, axis)
        crossing = np.argwhere((below >= border) != (above >= border))
        first, second = below[tuple(crossing.T)], above[tuple(crossing.T)]
        place = crossing.astype(float)
        place[:, axis] += (border - first) / (second - first)
        points.append(place)
    cloud = np.concatenate(points)
    return float(pdist(cloud[ConvexHull(cloud).vertices]).max())


def _blurred(widths: npt.NDArray[np.float64], voxel_size: float) -> npt.NDArray[np.float64]:
    return np.hypot(widths, _VOXEL_BLUR * voxel_size)
