"""Density maps of real molecules as models to place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.checks import checked_density
from slabkit.arrays.exact import gaussian_filter
from slabkit.errors import warn
from slabkit.simulation.molecules import EXTENT_LEVEL, Matrix, greatest_extent

PROTEIN_DENSITY = 0.8
"""Da/Å³ of packed protein (partial specific volume 0.73 cm³/g, with some water between)."""

# Standard deviation of the blur that belongs to a voxel, in voxels.
_BLUR = 0.6

# Density this small a part of the highest one is not drawn.
_EMPTY_LEVEL = 0.01

# A map that has this part of its highest density on a face of its box is cut off there.
_CUT_LEVEL = 0.1


@dataclass(frozen=True, eq=False)
class PlacedMap:
    """A density map to place in a simulated tomogram, and how often.

    The position that the truth reports is the centre of mass of the positive density, whatever the
    box: maps are centred in their boxes only to about a voxel, and a picker finds the mass.

    Parameters
    ----------
    density : ndarray, shape (z, y, x)
        Protein bright; negative values are taken as nothing.
    voxel_size : float
        In Å; need not be that of the tomogram.
    count : int
        Copies in each tomogram.

    Raises
    ------
    InputError
        If the density is not a finite volume with something in it, or a number is out of range.
    """

    density: npt.NDArray[Any]
    voxel_size: float
    count: int

    def __post_init__(self) -> None:
        checked_density(self.density, self.voxel_size, "the density map")


@dataclass(eq=False)
class MapModel:
    """A density map, ready to be drawn at one voxel size.

    Warns with `SlabkitWarning`: if the map is cut off by its box.
    """

    name: str  # the species
    source: PlacedMap
    voxel_size: float  # of the tomogram, in Å; the map is low-passed to what that can show
    mass: float | None = None  # in Da; None: as if the densest voxel held `PROTEIN_DENSITY`
    # In Å; None: the greatest extent at `EXTENT_LEVEL` of the highest density
    known_diameter: float | None = None
    diameter: float = field(init=False)
    _coefficients: npt.NDArray[np.float32] = field(init=False, repr=False)
    _centre: npt.NDArray[np.float64] = field(init=False, repr=False)
    _reach: float = field(init=False)
    _peak: float = field(init=False)

    def __post_init__(self) -> None:
        from scipy import ndimage

        density = np.maximum(self.source.density, 0).astype(np.float64)
        faces = max(float(np.take(density, (0, -1), axis).max()) for axis in range(3))
        if faces > _CUT_LEVEL * density.max():
            warn(
                f"map of {self.name!r}: the density reaches {faces / density.max():.0%} of its "
                "maximum on a face of the box; a larger box would show the molecule whole."
            )
        step = self.source.voxel_size
        density = _low_passed(density, self.voxel_size / step)
        total = density.sum() * step**3
        density *= PROTEIN_DENSITY / density.max() if self.mass is None else self.mass / total
        self._centre = np.array(ndimage.center_of_mass(density))
        self._peak = float(density.max())
        extent = greatest_extent(density, EXTENT_LEVEL) * step
        self.diameter = extent if self.known_diameter is None else self.known_diameter
        away = np.argwhere(density > _EMPTY_LEVEL * density.max()) - self._centre
        self._reach = float(np.linalg.norm(away, axis=1).max() + 1) * step
        self._coefficients = ndimage.spline_filter(density, mode="constant").astype(np.float32)

    def peak(self, voxel_size: float) -> float:
        """Give the highest density in Da/Å³."""
        return self._peak

    def reach(self, voxel_size: float) -> float:
        """Give the radius in Å beyond which nothing is drawn."""
        return self._reach

    def draw(
        self,
        rotation: Matrix,
        offset_vox: npt.NDArray[np.float64],
        half_vox: int,
        voxel_size: float,
    ) -> npt.NDArray[np.float32]:
        """Draw it into a cube, as `Molecule.draw` does; cubic spline interpolation."""
        from scipy import ndimage

        axis = np.arange(-half_vox, half_vox + 1)
        z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
        away = np.stack([x, y, z]).reshape(3, -1) - offset_vox[:, None]
        within = (away**2).sum(axis=0) <= (self._reach / voxel_size) ** 2
        places = np.einsum("ji,jn->in", rotation, away[:, within]) * (
            voxel_size / self.source.voxel_size
        )
        patch = np.zeros(len(axis) ** 3, dtype=np.float32)
        patch[within] = ndimage.map_coordinates(
            self._coefficients,
            places[::-1] + self._centre[:, None],
            order=3,
            prefilter=False,
            mode="constant",
        )
        return patch.reshape(z.shape)


def _low_passed(density: npt.NDArray[np.float64], coarser: float) -> npt.NDArray[np.float64]:
    """Blur away what coarser voxels cannot show, by a Gaussian, which does not ring; pad by 0."""
    width = _BLUR * np.sqrt(max(0.0, coarser**2 - 1))
    padded = np.pad(density, 2 + int(np.ceil(4 * width)))
    return np.asarray(gaussian_filter(padded, width)) if width else padded
