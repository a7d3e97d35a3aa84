"""Simulated tomograms with the truth about their particles."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import exp, norm
from slabkit.errors import InputError
from slabkit.simulation.imaging import image_volume
from slabkit.simulation.maps import MapModel, PlacedMap
from slabkit.simulation.molecules import Matrix, Model, random_rotation, relion_angles
from slabkit.simulation.sample import Placement, Sample, Vesicle
from slabkit.simulation.species import (
    BACKGROUND_COUNT,
    CZII_COUNTS,
    DECOY_COUNTS,
    built_in_species,
    decoys,
    membrane_protein,
    small_proteins,
)
from slabkit.tables import PICKS, make_table, new_pick_ids
from slabkit.tomogram import Tomogram
from slabkit.units import positive_length

if TYPE_CHECKING:
    import pandas as pd

TILTS = tuple(float(angle) for angle in range(-45, 46, 3))
"""Tilt angles in degrees: the wedge beyond ±45° is missing."""

# Standard deviation (Da/Å³) of the noise before the high frequencies are taken away, at noise 1:
# what leaves the quietest parts of a volume as rough as those of denoised reconstructions.
_NOISE_SD = 0.17

# Share of a species that is put against another copy: polysomes.
_CLUSTERED = {"ribosome": 0.35}

# Vesicles in the area of the preset czii, and membrane proteins in 100,000 Å² of them.
_VESICLES, _MEMBRANE_PROTEINS = 13, 3.0


@dataclass(frozen=True)
class Preset:
    """Size of a simulated tomogram."""

    shape: tuple[int, int, int]  # (z, y, x), in voxels
    voxel_size: float  # in Å

    @property
    def volume(self) -> float:
        """In Å³."""
        return math.prod(self.shape) * self.voxel_size**3

    @property
    def area(self) -> float:
        """Of the x, y plane, in Å²."""
        return self.shape[1] * self.shape[2] * self.voxel_size**2


PRESETS = {"small": Preset((96, 256, 256), 10.0), "czii": Preset((184, 630, 630), 10.0)}


def simulate_tomogram(
    name: str,
    *,
    preset: str = "small",
    shape: tuple[int, int, int] | None = None,
    voxel_size: float | None = None,
    counts: Mapping[str, int] | None = None,
    maps: Mapping[str, PlacedMap] | None = None,
    seed: int = 0,
    noise: float = 1.0,
    crowding: float = 1.0,
    tilts: npt.ArrayLike | None = TILTS,
    smooth: bool = True,
) -> tuple[Tomogram, pd.DataFrame]:
    """Simulate a tomogram with known particles, protein dark.

    Molecules of Gaussian subunits (or density maps), vesicles, unscored complexes and small
    proteins are put into a layer of ice without overlapping, at uniformly random rotations; the
    volume is imaged as weighted back-projection of a noisy tilt series about the y axis would show
    it, and the high frequencies are taken away as denoising does. The same arguments give the same
    voxels; the name counts, so that tomograms of one seed differ.

    Parameters
    ----------
    name : str
        Name of the tomogram.
    preset : {"small", "czii"}, optional
        Size: 256 × 256 × 96 or 630 × 630 × 184 voxels (x, y, z) of 10 Å.
    shape : (z, y, x), optional
        Size in voxels, in place of the preset's.
    voxel_size : float, optional
        In Å, in place of the preset's.
    counts : mapping of str to int, optional
        Copies of the built-in species; those not named are left out. None: as many as the volume
        holds in the proportions of `CZII_COUNTS`, but at least two of each.
    maps : mapping of str to PlacedMap, optional
        Density maps to place, by species; one with the name of a built-in species replaces it.
    seed : int, optional
    noise : float, optional
        1 is as noisy as a good denoised reconstruction; 0 is none.
    crowding : float, optional
        Factor on the numbers of vesicles, unscored complexes and small proteins; 0 is none.
    tilts : array-like of float or None, optional
        Angles in degrees, evenly spaced; None leaves no wedge out.
    smooth : bool, optional
        Take away the high frequencies.

    Returns
    -------
    tomogram : Tomogram
        Voxels float32, in -Da/Å³ against water, before imaging.
    truth : DataFrame
        Columns of `slabkit.tables.PICKS`, decision ``accepted``, score NaN, and ``rlnAngleRot``,
        ``rlnAngleTilt``, ``rlnAnglePsi``: RELION's angles in degrees, of the built-in model or the
        map as it lies in its file (see `slabkit.simulation.molecules.relion_angles`). The position
        is the particle's centre of mass. Sorted by species as asked for, then x, y, z.

    Raises
    ------
    InputError
        If an argument is out of range, or the particles do not fit.
    """
    size = _size(preset, shape, voxel_size)
    _check(name, seed, noise, crowding, tilts)
    placing, imaging = (
        np.random.Generator(np.random.SFC64(child))
        for child in np.random.SeedSequence([seed, *name.encode()]).spawn(2)
    )
    sample = Sample(size.shape, size.voxel_size, placing)
    species = _models(size, counts, maps or {})
    for model, _ in species:
        sample.require_room(model)
    _add_vesicles(sample, size, crowding)
    placed: dict[str, list[Placement]] = {}
    for model, count in sorted(species, key=lambda item: (-item[0].diameter, item[0].name)):
        found = sample.place(model, count, _CLUSTERED.get(model.name, 0.0))
        if len(found) < count:
            raise InputError(
                f"only {len(found)} of {count} {model.name} fit into the sample without "
                "overlapping; ask for fewer or for a larger volume."
            )
        placed[model.name] = found
    _add_unscored(sample, size, crowding)
    truth = _truth_table(name, [place for model, _ in species for place in placed[model.name]])
    volume, sample.occupied = sample.density, np.zeros((0, 0, 0), dtype=bool)
    del sample
    imaged = image_volume(volume, tilts, noise * _NOISE_SD, imaging, smooth=smooth)
    np.negative(imaged, out=imaged)
    return Tomogram(name, imaged, size.voxel_size, "dark"), truth


def scaled_count(count: int, fraction: float) -> int:
    """Scale a number of particles, halves upwards."""
    return math.floor(count * fraction + 0.5)


def _size(preset: str, shape: tuple[int, int, int] | None, voxel_size: float | None) -> Preset:
    if preset not in PRESETS:
        raise InputError(f"preset must be one of {', '.join(PRESETS)}, not {preset!r}.")
    size = PRESETS[preset]
    if shape is not None:
        if len(shape) != 3 or any(int(n) != n or n < 8 for n in shape):
            raise InputError(f"shape must be three whole numbers (z, y, x) from 8, not {shape}.")
        z, y, x = (int(n) for n in shape)
        size = replace(size, shape=(z, y, x))
    if voxel_size is not None:
        size = replace(size, voxel_size=float(positive_length(voxel_size, "the voxel size")))
    return size


def _check(
    name: str, seed: int, noise: float, crowding: float, tilts: npt.ArrayLike | None
) -> None:
    _check_name(name, "a simulated tomogram")
    if seed < 0 or int(seed) != seed:
        raise InputError(f"seed must be a whole number from 0, not {seed}.")
    for what, value in (("noise", noise), ("crowding", crowding)):
        if not (math.isfinite(value) and value >= 0):
            raise InputError(f"{what} must be a number from 0, not {value}.")
    if tilts is not None:
        angles = np.asarray(tilts, dtype=np.float64)
        steps = np.diff(angles)
        if angles.ndim != 1 or len(angles) < 2 or not np.allclose(steps, steps[0]):
            raise InputError("tilts must be two or more evenly spaced angles in degrees.")
        if not (steps[0] > 0 and angles[0] > -90 and angles[-1] < 90):
            raise InputError("tilts must rise, between -90 and 90 degrees.")


def _check_name(name: str, what: str) -> None:
    if not name:
        raise InputError(f"{what} needs a name, not an empty string.")
    if "#" in name or not name.isprintable():
        raise InputError(
            f"{what}: the name {name!r} has a '#' or an unprintable character, which tables "
            "cannot hold."
        )


def _models(
    size: Preset, counts: Mapping[str, int] | None, maps: Mapping[str, PlacedMap]
) -> list[tuple[Model, int]]:
    """Models and their numbers: built-in species in their order, then further maps."""
    built_in = built_in_species()
    if counts is None:
        fraction = size.volume / PRESETS["czii"].volume
        counts = {name: max(2, scaled_count(n, fraction)) for name, n in CZII_COUNTS.items()}
    unknown = sorted(set(counts) - set(built_in))
    if unknown:
        raise InputError(
            f"there is no built-in species {unknown[0]!r}; there are {', '.join(built_in)}, and "
            "maps for others."
        )
    wanted = {**counts, **{name: placed.count for name, placed in maps.items()}}
    for name, count in wanted.items():
        _check_name(name, "a species")
        if int(count) != count or count < 0:
            raise InputError(f"the number of {name} must be a whole number from 0, not {count}.")
    models: list[tuple[Model, int]] = []
    for name in [*built_in, *(name for name in maps if name not in built_in)]:
        if not wanted.get(name):
            continue
        model: Model
        if name not in maps:
            model = built_in[name]
        elif name in built_in:
            known = built_in[name]
            model = MapModel(name, maps[name], size.voxel_size, known.mass, known.diameter)
        else:
            model = MapModel(name, maps[name], size.voxel_size)
        models.append((model, int(wanted[name])))
    return models


def _add_vesicles(sample: Sample, size: Preset, crowding: float) -> None:
    """Add vesicles that lie within the ice and may reach out of the field at its sides."""
    rng = sample.rng
    low, high = sample.ice
    for _ in range(scaled_count(_VESICLES, crowding * size.area / PRESETS["czii"].area)):
        for _ in range(20):
            radius = min(150.0 * math.exp(rng.exponential(0.55)), 0.42 * (high - low))
            rotation = random_rotation(rng)
            semi_axes = radius * exp(rng.normal(0, 0.13, 3))
            place = rng.random(3) * [n * size.voxel_size for n in reversed(size.shape)]
            half_z = Vesicle(place, semi_axes, rotation).half_extents()[2]
            if high - low <= 2 * half_z:
                continue
            place[2] = rng.uniform(low + half_z, high - half_z)
            vesicle = Vesicle(place, semi_axes, rotation)
            if sample.add_vesicle(vesicle):
                _add_membrane_proteins(sample, vesicle)
                break


def _add_membrane_proteins(sample: Sample, vesicle: Vesicle) -> None:
    """Put proteins across a vesicle's membrane."""
    area = 4 * math.pi * float(np.prod(vesicle.semi_axes)) ** (2 / 3)
    model = membrane_protein()
    for _ in range(sample.rng.poisson(_MEMBRANE_PROTEINS * area / 1e5)):
        direction = sample.rng.standard_normal(3)
        point, normal = vesicle.surface_point(direction / norm(direction))
        top = (np.array(sample.shape[::-1]) - 1) * sample.voxel_size
        if (point >= 0).all() and (point <= top).all():
            sample.put_in(model, point, _rotation_onto(normal, sample.rng))


def _rotation_onto(normal: npt.NDArray[np.float64], rng: np.random.Generator) -> Matrix:
    """Give a rotation that turns z to a normal, at a random angle about it."""
    side = np.cross(normal, rng.standard_normal(3))
    side /= norm(side)
    return np.stack([side, np.cross(normal, side), normal], axis=1)


def _add_unscored(sample: Sample, size: Preset, crowding: float) -> None:
    """Add complexes and small proteins that are not in the truth, as many as find room."""
    fraction = crowding * size.volume / PRESETS["czii"].volume
    for name, model in decoys().items():
        sample.place(model, scaled_count(DECOY_COUNTS[name], fraction))
    proteins = small_proteins()
    for model in proteins:
        sample.place(model, scaled_count(BACKGROUND_COUNT, fraction / len(proteins)))


def _truth_table(name: str, placed: list[Placement]) -> pd.DataFrame:
    order = list(dict.fromkeys(place.name for place in placed))
    placed = sorted(placed, key=lambda p: (order.index(p.name), *p.position.tolist()))
    x, y, z = np.array([place.position for place in placed]).reshape(-1, 3).T
    angles = np.array([relion_angles(place.rotation) for place in placed]).reshape(-1, 3)
    return make_table(
        PICKS,
        {
            "slabkitPickId": new_pick_ids([name] * len(placed), x, y, z, salt="truth"),
            "slabkitTomogram": [name] * len(placed),
            "slabkitX": x,
            "slabkitY": y,
            "slabkitZ": z,
            "slabkitSpecies": [place.name for place in placed],
            "slabkitDiameter": [place.diameter for place in placed],
            "slabkitDecision": ["accepted"] * len(placed),
            "slabkitSource": ["simulate"] * len(placed),
            "rlnAngleRot": angles[:, 0],
            "rlnAngleTilt": angles[:, 1],
            "rlnAnglePsi": angles[:, 2],
        },
    )
