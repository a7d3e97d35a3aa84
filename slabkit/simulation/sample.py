"""A sample: molecules, and vesicles of lipid bilayer, in a layer of ice, none inside another."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import exp, norm
from slabkit.errors import InputError
from slabkit.simulation.molecules import MASK_LEVEL, Matrix, Model, random_rotation

# The heads of the two leaflets lie so far from the middle, with such a spread (Å), and are so dense
# against water (Da/Å³).
_LEAFLET, _SPREAD, _DENSITY = 20.0, 7.0, 0.55

HALF_THICKNESS = 32.0
"""Half the thickness in Å that a membrane occupies."""


@dataclass(frozen=True, eq=False)
class Vesicle:
    """One vesicle."""

    centre: npt.NDArray[np.float64]  # shape (3,); ``x, y, z`` in Å
    semi_axes: npt.NDArray[np.float64]  # shape (3,); of the bilayer's middle, in Å
    rotation: Matrix  # shape (3, 3)

    def half_extents(self) -> npt.NDArray[np.float64]:
        """Give half the size of the box about the bilayer's middle, ``x, y, z`` in Å."""
        return np.asarray(np.sqrt((self.rotation**2 * self.semi_axes**2).sum(axis=1)))

    def surface_point(
        self, direction: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Give the point (Å) of the bilayer's middle in a direction, and its outward normal."""
        point = self.centre + (self.rotation * (self.semi_axes * direction)).sum(axis=1)
        normal = (self.rotation * (direction / self.semi_axes)).sum(axis=1)
        return point, normal / norm(normal)

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
            away = (distance - leaflet) / spread
            near = np.abs(away) < 7
            density[near] += exp(-0.5 * away[near] ** 2)
        density *= np.float32(_DENSITY * _SPREAD / spread)
        box = (slice(low[2], high[2]), slice(low[1], high[1]), slice(low[0], high[0]))
        return box, density.astype(np.float32), np.abs(distance) < HALF_THICKNESS


# Ice is thinner than the volume by this much at either face (Å), but never by more than an eighth.
_ICE_MARGIN = 120.0

# Places tried for one molecule before the sample is taken to be full.
_ROTATIONS, _PLACES = 10, 150


# Distance in diameters of molecules that touch, as ribosomes of a polysome do.
_CONTACT = (0.98, 1.2)


@dataclass(frozen=True)
class Placement:
    """Where a molecule was put."""

    name: str
    diameter: float  # in Å
    position: npt.NDArray[np.float64]  # shape (3,); ``x, y, z`` of the centre of mass in Å
    rotation: Matrix  # shape (3, 3)


@dataclass
class Sample:
    """A volume that fills up."""

    shape: tuple[int, int, int]  # (z, y, x), in voxels
    voxel_size: float  # in Å
    rng: np.random.Generator
    # shape (z, y, x): in Da/Å³ above water
    density: npt.NDArray[np.float32] = field(init=False, repr=False)
    occupied: npt.NDArray[np.bool_] = field(init=False, repr=False)  # shape (z, y, x)

    def __post_init__(self) -> None:
        self.density = np.zeros(self.shape, dtype=np.float32)
        self.occupied = np.zeros(self.shape, dtype=bool)

    @property
    def ice(self) -> tuple[float, float]:
        """Lower and upper face of the ice in Å."""
        top = (self.shape[0] - 1) * self.voxel_size
        margin = min(_ICE_MARGIN, top / 8)
        return margin, top - margin

    def place(self, model: Model, count: int, clustered: float = 0.0) -> list[Placement]:
        """Put molecules at random where nothing else is; fewer than asked if the sample is full.

        ``clustered`` is the share of them that is put against one placed before.
        """
        placed: list[Placement] = []
        for _ in range(count):
            beside = None
            if placed and self.rng.random() < clustered:
                beside = placed[self.rng.integers(len(placed))].position
            found = self._put(model, beside)
            if found is None and beside is not None:
                found = self._put(model, None)
            if found is None:
                break
            placed.append(found)
        return placed

    def require_room(self, model: Model) -> None:
        """Refuse a molecule that is larger than the ice."""
        low, high = self._bounds(model)
        if (low > high).any():
            x, y, z = (high - low + model.diameter).tolist()
            raise InputError(
                f"a {model.name} of {model.diameter:.0f} Å does not fit into the sample, which is "
                f"{x:.0f} × {y:.0f} × {z:.0f} Å (x, y, thickness of the ice); make it larger or "
                "ask for none."
            )

    def put_in(
        self, model: Model, position: npt.NDArray[np.float64], rotation: Matrix
    ) -> Placement:
        """Put a molecule at a place (Å) even if it is occupied (into a membrane)."""
        place_vox = position / self.voxel_size
        middle = np.floor(place_vox + 0.5).astype(int)
        patch = self._patch(model, rotation, place_vox - middle)
        return self._add(model, middle, patch, position, rotation)

    def add_vesicle(self, vesicle: Vesicle) -> bool:
        """Add a vesicle, and tell so, unless something is in its way."""
        drawn = vesicle.draw(self.shape, self.voxel_size)
        if drawn is None:
            return False
        box, density, mask = drawn
        if (self.occupied[box] & mask).any():
            return False
        self.density[box] += density
        self.occupied[box] |= mask
        return True

    def _bounds(self, model: Model) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Lowest and highest ``x, y, z`` in Å at which the molecule is inside the ice."""
        high_x, high_y = ((n - 1) * self.voxel_size for n in (self.shape[2], self.shape[1]))
        low = np.array([0.0, 0.0, self.ice[0]]) + model.diameter / 2
        high = np.array([high_x, high_y, self.ice[1]]) - model.diameter / 2
        return low, high

    def _put(self, model: Model, beside: npt.NDArray[np.float64] | None) -> Placement | None:
        low, high = self._bounds(model)
        for _ in range(_ROTATIONS):
            rotation = random_rotation(self.rng)
            # One drawing serves for many places that differ by whole voxels.
            fraction = self.rng.random(3) - 0.5
            patch = self._patch(model, rotation, fraction)
            mask = patch > MASK_LEVEL * model.peak(self.voxel_size)
            if beside is None:
                places = low + self.rng.random((_PLACES, 3)) * (high - low)
            else:
                direction = self.rng.standard_normal(3)
                steps = np.arange(*_CONTACT, self.voxel_size / model.diameter) * model.diameter
                places = beside + steps[:, None] * (direction / norm(direction))
            for middle in np.floor(places / self.voxel_size + 0.5).astype(int):
                position = (middle + fraction) * self.voxel_size
                if (position < low).any() or (position > high).any():
                    continue
                if not self._collides(middle, mask):
                    return self._add(model, middle, patch, position, rotation)
        return None

    def _patch(
        self, model: Model, rotation: Matrix, offset_vox: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float32]:
        half = int(np.ceil(model.reach(self.voxel_size) / self.voxel_size)) + 1
        return model.draw(rotation, offset_vox, half, self.voxel_size)

    def _collides(self, middle: npt.NDArray[np.int64], mask: npt.NDArray[np.bool_]) -> bool:
        if self.occupied[tuple(np.clip(middle[::-1], 0, np.array(self.shape) - 1))]:
            return True
        box, part = self._overlap(middle, len(mask))
        return bool((self.occupied[box] & mask[part]).any())

    def _add(
        self,
        model: Model,
        middle: npt.NDArray[np.int64],
        patch: npt.NDArray[np.float32],
        position: npt.NDArray[np.float64],
        rotation: Matrix,
    ) -> Placement:
        box, part = self._overlap(middle, len(patch))
        self.density[box] += patch[part]
        self.occupied[box] |= patch[part] > MASK_LEVEL * model.peak(self.voxel_size)
        return Placement(model.name, model.diameter, position, rotation)

    def _overlap(
        self, middle: npt.NDArray[np.int64], size: int
    ) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """Slices (z, y, x) of the volume and of a cube about ``middle`` (x, y, z) that overlap."""
        box, part = [], []
        for centre, length in zip(middle[::-1].tolist(), self.shape, strict=True):
            start = centre - size // 2
            low, high = max(start, 0), min(start + size, length)
            box.append(slice(low, max(low, high)))
            part.append(slice(low - start, max(low, high) - start))
        return tuple(box), tuple(part)
