"""Which pick is which particle: species by name, pairs in reach, the best choice of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from slabkit.arrays.assignment import pair_one_to_one
from slabkit.errors import InputError
from slabkit.tables import PICKS, validate_table

if TYPE_CHECKING:
    import pandas as pd

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

MATCH_FRACTION = 0.5
"""A pick matches a particle within this fraction of the particle's radius."""

_XYZ = ["slabkitX", "slabkitY", "slabkitZ"]


CZII_RADII = {
    "ribosome": 150.0,
    "virus-like-particle": 135.0,
    "thyroglobulin": 130.0,
    "beta-galactosidase": 90.0,
    "apo-ferritin": 60.0,
    "beta-amylase": 65.0,
}
"""Particle radius of each species in Å, as the challenge has it."""

CZII_WEIGHTS = {
    "ribosome": 1.0,
    "virus-like-particle": 1.0,
    "thyroglobulin": 2.0,
    "beta-galactosidase": 2.0,
    "apo-ferritin": 1.0,
    "beta-amylase": 0.0,
}
"""Weight of each species in the challenge's score; a species that is not here weighs 1."""

_ALIASES = {
    "ribosome": ("80s", "80s-ribosome", "cytosolic-ribosome", "ribo", "ribosome-80s", "ribosomes"),
    "virus-like-particle": ("vlp", "pp7", "pp7-vlp", "virus-like-particles"),
    "thyroglobulin": ("thg", "tg"),
    "beta-galactosidase": ("beta-gal", "betagal", "bgal", "b-gal", "b-galactosidase"),
    "apo-ferritin": ("apoferritin", "apof", "ferritin", "ferritin-complex"),
    "beta-amylase": ("amylase", "b-amylase", "beta-amy", "bamylase"),
}
_CANONICAL = {alias: name for name, aliases in _ALIASES.items() for alias in (name, *aliases)}


def match_picks(
    picks: pd.DataFrame, truth: pd.DataFrame, *, radii: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Pair picks and particles one to one within half a particle radius.

    Parameters
    ----------
    picks, truth : DataFrame
        Tables of `slabkit.tables.PICKS`.
    radii : mapping of str to float, optional
        Particle radius in Å by species, on top of `CZII_RADII`.

    Returns
    -------
    DataFrame
        One row a pair, in the order of the truth: ``pick`` and ``particle`` (row numbers, from 0,
        of the two tables), ``species`` (the particle's), ``distance`` (Å). The number of pairs is
        the largest possible; of equal numbers the sum of distances is smallest.

    Raises
    ------
    InputError
        A species of unknown radius.
    """
    import pandas as pd

    known_radii = known_species_radii(radii)
    picks = with_known_species(picks, known_radii, "picks")
    truth = with_known_species(truth, known_radii, "truth")
    # Both in an order of their own, so that the rows' order cannot decide between equal pairings.
    order = ["slabkitTomogram", "slabkitSpecies", *_XYZ]
    pick_order = picks.sort_values(order, kind="stable").index.to_numpy()
    particle_order = truth.sort_values(order, kind="stable").index.to_numpy()
    picks, truth = picks.loc[pick_order], truth.loc[particle_order]
    pick, particle, distance = pairs_in_reach(picks, truth, known_radii)
    chosen = pair_one_to_one(pick, particle, distance)
    pick, particle, distance = pick[chosen], particle[chosen], distance[chosen]
    result = pd.DataFrame(
        {
            "pick": pick_order[pick],
            "particle": particle_order[particle],
            "species": truth["slabkitSpecies"].to_numpy()[particle],
            "distance": distance,
        }
    )
    return result.sort_values("particle", ignore_index=True)


def pairs_in_reach(
    picks: pd.DataFrame, truth: pd.DataFrame, radii: Mapping[str, float]
) -> tuple[Integers, Integers, Floats]:
    """Find all pairs of a pick and a particle within `MATCH_FRACTION` of the particle's radius.

    Gives their row numbers (from 0) and distances in Å; a pick without a species may be any.
    """
    from scipy.spatial import cKDTree

    found: list[tuple[Integers, Integers, Floats]] = []
    picks_at = _groups(picks, ["slabkitTomogram", "slabkitSpecies"])
    positions, particles = picks[_XYZ].to_numpy(), truth[_XYZ].to_numpy()
    for (tomogram, species), rows in _groups(truth, ["slabkitTomogram", "slabkitSpecies"]).items():
        nothing = np.empty(0, dtype=np.int64)
        named = picks_at.get((tomogram, species), nothing)
        candidates = np.concatenate([named, picks_at.get((tomogram, ""), nothing)])
        if not len(candidates):
            continue
        tree = cKDTree(particles[rows])
        pairs = cKDTree(positions[candidates]).sparse_distance_matrix(
            tree, MATCH_FRACTION * radii[species], output_type="ndarray"
        )
        found.append((candidates[pairs["i"]], rows[pairs["j"]], pairs["v"]))
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    pick, particle, distance = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((particle, pick))
    return pick[order], particle[order], distance[order]


def _groups(table: pd.DataFrame, columns: list[str]) -> dict[tuple[str, ...], Integers]:
    """Row numbers (from 0, ascending) of each combination of values."""
    indices = table.reset_index(drop=True).groupby(columns, sort=True).indices
    return {tuple(key): np.asarray(rows, dtype=np.int64) for key, rows in indices.items()}


def canonical_species(name: str, known: Collection[str] = ()) -> str:
    """Give a species its usual name: ``THG`` and ``Thyro_globulin`` spellings become one.

    That is the challenge's identifier; names that are ``known``, or no alias of one, stay.
    """
    if not name or name in known:
        return name
    plain = name.strip().lower().replace("_", "-").replace(" ", "-").replace("β", "beta")
    if plain in known:
        return plain
    return _CANONICAL.get(plain) or _CANONICAL.get(plain.removesuffix("s")) or name


def known_species_radii(radii: Mapping[str, float] | None = None) -> dict[str, float]:
    """Put given radii (Å; aliases are understood) on top of the challenge's."""
    known = dict(CZII_RADII)
    for name, radius in (radii or {}).items():
        if not (math.isfinite(radius) and radius > 0):
            raise InputError(f"the radius of {name} must be a positive number of Å, not {radius}.")
        known[canonical_species(name)] = float(radius)
    return known


def with_known_species(table: pd.DataFrame, radii: Mapping[str, float], where: str) -> pd.DataFrame:
    """Check a pick table and give its species their usual names; each must have a radius.

    Only in the ``truth`` every row needs a species.
    """
    table = validate_table(table, PICKS, where)
    names = {name: canonical_species(name, radii) for name in table["slabkitSpecies"].unique()}
    unknown = sorted(
        name or "(none)"
        for name, usual in names.items()
        if usual not in radii and (usual or where == "truth")
    )
    if unknown:
        raise InputError(
            f"{where}: no radius is known for the species {', '.join(unknown)}; known are "
            f"{', '.join(radii)}; give --radius {unknown[0]}=Å."
            if unknown != ["(none)"]
            else f"{where}: there are particles without a species, so no radius is known for them."
        )
    table["slabkitSpecies"] = table["slabkitSpecies"].map(names).astype("str")
    return table
