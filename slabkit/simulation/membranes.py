"""Vesicles: closed ellipsoidal shells of lipid bilayer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slabkit.simulation.symmetry import Matrix

# The heads of the two leaflets lie so far from the middle, with such a spread (Å), and are so dense
# against water (Da/Å³).
_LEAFLET, _SPREAD, _DENSITY = 20.0, 7.0, 0.55

HALF_THICKNESS = 32.0
"""Half the thickness in Å that a membrane occupies."""


@dataclass(frozen=True, eq=False)
class Vesicle:
    """One vesicle.

    Parameters
    ----------
    centre : ndarray of float, shape (3,)
        ``x, y, z`` in Å.
    semi_axes : ndarray of float, shape (3,)
        Of the bilayer's middle, in Å.
    rotation : ndarray of float, shape (3, 3)
    """

    centre: npt.NDArray[np.float64]
    semi_axes: npt.NDArray[np.float64]
    rotation: Matrix

    def half_extents(self) -> npt.NDArray[np.float64]:
        """Give half the size of the box about the bilayer's middle, ``x, y, z`` in Å."""
        return np.asarray(np.sqrt(self.rotation**2 @ self.semi_axes**2))

    def surface_point(
        self, direction: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Give the point (Å) of the bilayer's middle in a direction, and its outward normal."""
        point = self.centre + self.rotation @ (self.semi_axes * direction)
        normal = self.rotation @ (direction / self.semi_axes)
        return point, normal / np.linalg.norm(normal)

    def draw(
        self, shape: tuple[int, int, int], voxel_size: float
    ) -> tuple[tuple[slice, slice, slice], npt.NDArray[np.float32], npt.NDArray[np.bool_]] | None:
        """Draw what is inside a volume: where it is (z, y, x), density (Da/Å³), mask; or None."""
        reach = self.half_extents() + 2 * HALF_THICKNESS
        low = np.maximum(np.floor((self.centre - reach) / voxel_size), 0).astype(int)
        high = np.ceil((self.centre + reach) / voxel_size).astype(int) + 1
        high = np.minimum(high, shape[::-1])
        if (high <= low).any():
            return None
        x, y, z = (
            (np.arange(low[i], high[i]) * voxel_size - self.centre[i]).astype(np.float32)
            for i in range(3)
        )
        # Along the ellipsoid's own axes, in units of the semi-axes.
        turned = self.rotation.T.astype(np.float32)
        radius2 = np.zeros((len(z), len(y), len(x)), dtype=np.float32)
        slope2 = np.zeros_like(radius2)
        for row, semi_axis in zip(turned, self.semi_axes.astype(np.float32), strict=True):
            along = (
                row[0] * x[None, None, :] + row[1] * y[None, :, None] + row[2] * z[:, None, None]
            )
            along /= semi_axis
            radius2 += along**2
            slope2 += (along / semi_axis) ** 2
        # The distance to first order, which is exact on the surface (Taubin 1991).
        radius = np.sqrt(radius2)
        distance = radius * (radius - 1) / np.sqrt(np.maximum(slope2, np.float32(1e-12)))
        spread = np.hypot(_SPREAD, 0.5 * voxel_size)
        density = np.zeros_like(distance)
        for leaflet in (-_LEAFLET, _LEAFLET):
            density += np.exp(-0.5 * ((distance - leaflet) / spread) ** 2)
        density *= np.float32(_DENSITY * _SPREAD / spread)
        box = (slice(low[2], high[2]), slice(low[1], high[1]), slice(low[0], high[0]))
        return box, density.astype(np.float32), np.abs(distance) < HALF_THICKNESS
