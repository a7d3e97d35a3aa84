"""The built-in molecules: six species of the challenge, unscored complexes, small proteins.

The shapes are drawn from the published sizes, masses and symmetries, not from coordinates: lobes
filled with Gaussian subunits about 25 Å apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from slabkit.arrays.exact import norm
from slabkit.simulation.molecules import Molecule, Subunits

Point = tuple[float, float, float]

CZII_COUNTS = {
    "ribosome": 80,
    "virus-like-particle": 6,
    "thyroglobulin": 13,
    "beta-galactosidase": 6,
    "apo-ferritin": 47,
    "beta-amylase": 5,
}
"""How many of each species a tomogram of the size of the preset ``czii`` holds."""

DECOY_COUNTS = {
    "large-subunit": 6,
    "synthase": 3,
    "proteasome": 4,
    "ring": 6,
    "dimer": 40,
    "arch": 45,
}
"""Complexes that are not in the truth, for the same size."""

BACKGROUND_COUNT = 5000
"""Small proteins, for the same size."""


@lru_cache
def built_in_species() -> dict[str, Molecule]:
    """Give the six species, by name."""
    large, small = _ribosome_lobes()
    ribosome = Molecule("ribosome", 4.3e6, "C1", 300, _joined(large, small))
    # Six subunits a part make a shell of 360; the genome is a thin
    # layer within.
    shell = _joined(
        *(
            _bead(direction, 122, 9, 1)
            for direction in (
                (0.10, 0.16, 0.98),
                (0.31, 0.08, 0.95),
                (0.24, 0.33, 0.91),
                (0.46, 0.22, 0.86),
                (0.45, 0.47, 0.76),
                (0.02, 0.38, 0.92),
            )
        ),
        _bead((0.35, 0.2, 0.9), 65, 16, 0.5),
    )
    particle = Molecule("virus-like-particle", 3.4e6, "I", 270, shell)
    thyroglobulin = Molecule(
        "thyroglobulin",
        6.6e5,
        "C2",
        260,
        _joined(
            _lobe((17, 16, 2), (28, 28, 34), 12, 16, 1),
            _lobe((54, 12, -4), (28, 30, 32), 9, 16, 2),
            _lobe((86, -4, 4), (20, 24, 22), 4, 16, 3),
        ),
    )
    galactosidase = Molecule(
        "beta-galactosidase",
        5.4e5,
        "D2",
        180,
        _joined(
            _lobe((30, 24, 15), (32, 26, 16), 13, 14, 4), _lobe((64, 14, 8), (16, 14, 10), 2, 14, 5)
        ),
    )
    ferritin = Molecule(
        "apo-ferritin",
        4.5e5,
        "O",
        120,
        _joined(
            _bead((0.30, 0.20, 0.93), 51, 7, 1),
            _bead((0.55, 0.25, 0.80), 50, 7, 1),
            _bead((0.50, 0.62, 0.62), 52, 7, 1),
        ),
    )
    amylase = Molecule(
        "beta-amylase", 2.68e5, "D2", 130, _lobe((27, 25, 15), (22, 19, 17), 8, 13, 6)
    )
    found = (ribosome, particle, thyroglobulin, galactosidase, ferritin, amylase)
    return {molecule.name: molecule for molecule in found}


@lru_cache
def decoys() -> dict[str, Molecule]:
    """Give the complexes that are placed and are not in the truth, by name."""
    large, _ = _ribosome_lobes()
    ring = _joined(_bead((1, 0.1, 0.5), 58, 13, 1), _bead((1, 0.5, 0.3), 38, 13, 1))
    barrel = _joined(*(_bead((40, 10, z), float(np.hypot(41, z)), 11, 1) for z in (16, 48)))
    synthase = _joined(
        _lobe((70, 0, 60), (26, 40, 26), 10, 13, 7),
        _lobe((95, 30, 0), (22, 35, 30), 9, 13, 8),
        _lobe((25, 10, 95), (25, 20, 14), 4, 13, 9),
    )
    arch = _joined(
        *(_lobe(c, (20, 16, 16), 3, 12, 10) for c in ((-42, -14, 0), (0, 24, 0), (42, -14, 8)))
    )
    found = (
        Molecule("large-subunit", 2.6e6, "C1", 245, large),
        Molecule("synthase", 2.6e6, "D3", 265, synthase),
        Molecule("proteasome", 7.0e5, "D7", 165, barrel),
        Molecule("ring", 5.4e5, "D6", 160, ring),
        Molecule("dimer", 1.7e5, "C2", 140, _lobe((34, 12, 6), (30, 18, 20), 6, 14, 11)),
        Molecule("arch", 1.3e5, "C1", 145, arch),
    )
    return {molecule.name: molecule for molecule in found}


@lru_cache
def small_proteins() -> tuple[Molecule, ...]:
    """Give the proteins of 70 to 100 kDa that fill the background."""
    return tuple(
        Molecule("small", mass, symmetry, diameter, _lobe((14, 6, 0), axes, 4, 10, seed))
        for mass, symmetry, diameter, axes, seed in (
            (7.2e4, "C1", 85.0, (30.0, 16.0, 16.0), 12),
            (8.5e4, "C1", 100.0, (38.0, 14.0, 18.0), 13),
            (1.0e5, "C2", 90.0, (18.0, 14.0, 20.0), 14),
        )
    )


@lru_cache
def membrane_protein() -> Molecule:
    """Give the protein that sits on membranes, its long axis along z."""
    return Molecule(
        "membrane-protein", 2.5e5, "C4", 130, _lobe((15, 0, 20), (14, 12, 50), 8, 9, 15)
    )


def _ribosome_lobes() -> tuple[Subunits, Subunits]:
    large = _joined(
        _lobe((-30, 0, 0), (90, 98, 94), 150, 14, 20, 1.0),
        _lobe((-64, 92, 30), (16, 30, 16), 4, 14, 21, 0.8),
        _lobe((-30, -100, -20), (16, 30, 16), 4, 14, 22, 0.8),
    )
    small = _joined(
        _lobe((72, -14, 5), (42, 76, 72), 52, 14, 23, 1.0),
        _lobe((64, 74, 0), (36, 32, 44), 16, 14, 24, 1.0),
    )
    return large, small


def _lobe(
    centre: Point, semi_axes: Point, count: int, width: float, seed: int, weight: float = 1.0
) -> Subunits:
    """Fill an ellipsoid evenly with subunits: the best spread of several random fillings."""
    rng = np.random.default_rng(seed)
    points: list[np.ndarray[tuple[int], np.dtype[np.float64]]] = []
    for _ in range(count):
        # Of a few uniform candidates, keep the one farthest from those placed (Mitchell 1991).
        candidates = rng.standard_normal((60, 3))
        candidates *= (np.float_power(rng.random(60), 1 / 3) / np.linalg.norm(candidates, axis=1))[
            :, None
        ]
        if points:
            away = np.linalg.norm(candidates[:, None] - np.array(points)[None], axis=2).min(axis=1)
            points.append(candidates[int(away.argmax())])
        else:
            points.append(candidates[0])
    centres = np.array(centre) + np.array(points) * np.array(semi_axes)
    return Subunits(centres, np.full(count, float(width)), np.full(count, float(weight)))


def _bead(direction: Point, radius: float, width: float, weight: float) -> Subunits:
    unit = np.array(direction) / norm(np.array(direction))
    return Subunits(radius * unit[None], np.array([float(width)]), np.array([float(weight)]))


def _joined(*parts: Subunits) -> Subunits:
    columns: Sequence[str] = ("centres", "widths", "weights")
    return Subunits(*(np.concatenate([getattr(part, c) for part in parts]) for c in columns))
