"""Which pick is which particle: pairs within reach, and the best one-to-one choice of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from slabkit.arrays.assignment import pair_one_to_one
from slabkit.scoring.species import known_species_radii, with_known_species

if TYPE_CHECKING:
    import pandas as pd

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

MATCH_FRACTION = 0.5
"""A pick matches a particle within this fraction of the particle's radius."""

_XYZ = ["slabkitX", "slabkitY", "slabkitZ"]


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
    """Find all pairs of a pick and a particle that may go together.

    Parameters
    ----------
    picks, truth : DataFrame
        Columns of `slabkit.tables.PICKS`; a pick without a species may be any.
    radii : mapping of str to float
        Particle radius in Å by species.

    Returns
    -------
    pick, particle : ndarray of int, shape (pairs,)
        Row numbers, from 0.
    distance : ndarray of float, shape (pairs,)
        In Å, at most `MATCH_FRACTION` of the particle's radius.
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
