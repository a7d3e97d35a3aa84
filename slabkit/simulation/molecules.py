"""Molecules as sets of Gaussian subunits, drawn at any place and rotation; point groups."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import exp, norm, product
from slabkit.errors import InputError

Matrix = npt.NDArray[np.float64]


@lru_cache
def symmetry_operators(group: str) -> Matrix:
    """Give all rotations of a point group, the identity first, acting on ``(x, y, z)``.

    ``C<n>`` (n-fold about z), ``D<n>`` (and 2-fold about x), ``O`` (4-folds along the axes) or
    ``I`` (2-folds along the axes).
    """
    generators = _generators(group)
    operators = [np.eye(3)]
    for operator in operators:  # grows while it is walked, until the group is closed
        for generator in generators:
            both = np.einsum("ij,jk->ik", generator, operator)
            if not any(np.allclose(both, known, atol=1e-6) for known in operators):
                operators.append(both)
    result = np.array(operators)
    result.setflags(write=False)
    return result


def random_rotation(rng: np.random.Generator) -> Matrix:
    """Draw a rotation of ``(x, y, z)``, uniformly over all orientations."""
    # A normalised 4D normal deviate is a uniformly distributed unit quaternion.
    quaternion = rng.standard_normal(4)
    w, x, y, z = quaternion / norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def relion_angles(rotation: Matrix) -> tuple[float, float, float]:
    """Give the Euler angles rot, tilt, psi (degrees) that RELION would write for a particle.

    ``rotation`` turns the reference's ``(x, y, z)`` into the tomogram's. With Z and Y the usual
    counter-clockwise rotations, it is ``Z(-psi) @ Y(-tilt) @ Z(-rot)``; tilt is from 0 to 180.
    """
    from scipy.spatial.transform import Rotation

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Gimbal lock")  # psi is 0 then
        rot, tilt, psi = Rotation.from_matrix(rotation.T).as_euler("ZYZ", degrees=True)
    return float(rot), float(tilt), float(psi)


def _generators(group: str) -> list[Matrix]:
    cyclic = re.fullmatch(r"([CD])([1-9][0-9]?)", group)
    if cyclic:
        generators = [_about_z(2 * np.pi / int(cyclic[2]))]
        return generators + ([np.diag([1.0, -1.0, -1.0])] if cyclic[1] == "D" else [])
    cycle = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])  # 3-fold about (1, 1, 1)
    if group == "O":
        return [_about_z(np.pi / 2), cycle]
    if group == "I":
        golden = (1 + np.sqrt(5)) / 2
        half = np.array(
            [[golden, -1, 1 / golden], [1, 1 / golden, -golden], [1 / golden, golden, 1]]
        )
        return [np.diag([-1.0, -1.0, 1.0]), cycle, half / 2]
    raise InputError(f"symmetry must be C<n>, D<n>, O or I, not {group!r}.")


def _about_z(angle: float) -> Matrix:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


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
    """Gaussians: where, how wide, how heavy."""

    centres: Matrix  # shape (subunits, 3); ``x, y, z`` in Å
    widths: npt.NDArray[np.float64]  # shape (subunits,); standard deviations in Å
    weights: npt.NDArray[np.float64]  # shape (subunits,); shares of the mass; need not sum to one


@dataclass(frozen=True, eq=False)
class Molecule:
    """A symmetric arrangement of Gaussian subunits.

    The asymmetric part is multiplied by the symmetry operators, moved to its centre of mass, and
    scaled so that `diameter` is its greatest extent at `EXTENT_LEVEL`.
    """

    name: str
    mass: float  # in Da; the integral of the density
    symmetry: str  # as `symmetry_operators` takes it
    diameter: float  # in Å
    part: Subunits  # the asymmetric part; only its proportions matter

    @cached_property
    def subunits(self) -> Subunits:
        """All subunits, centred and scaled; weights in Da."""
        operators = symmetry_operators(self.symmetry)
        centres = np.einsum("gij,nj->gni", operators, self.part.centres).reshape(-1, 3)
        widths = np.tile(self.part.widths, len(operators))
        weights = np.tile(self.part.weights, len(operators))
        weights = weights * (self.mass / weights.sum())
        centres = centres - (weights[:, None] * centres).sum(axis=0) / self.mass
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
        centres = np.einsum("nj,ij->ni", self.subunits.centres, rotation) / voxel_size + offset_vox
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
        exp(-0.5 * ((axes[i] - centres[:, i, None]) / widths[:, None]) ** 2) for i in range(3)
    )
    area = 2 * np.pi * widths**2
    z = z * (weights / (area * np.sqrt(area)))[:, None]
    plane = (y[:, :, None] * x[:, None, :]).reshape(len(centres), -1)
    return np.asarray(product(z.T, plane).reshape(z.shape[1], y.shape[1], x.shape[1]))


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
