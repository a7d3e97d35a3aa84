"""Picks that predictions name though another pick is of the same particle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slabkit.arrays.neighbours import group_neighbours

if TYPE_CHECKING:
    import pandas as pd

# Diameters that two particles of a species are apart at least. What a blob measures is the body,
# about two thirds of the longest extent, and bodies do not overlap.
_APART, _BLOBS_APART = 0.5, 0.75


def same_particle(
    picks: pd.DataFrame,
    winner: pd.DataFrame,
    decision: npt.NDArray[np.object_],
    guess: npt.NDArray[np.bool_],
) -> npt.NDArray[np.int64]:
    """Give for each pick the row of a better one of its particle; its own where there is none.

    Only accepted picks that ``guess`` marks give way, to those of the same name: to what others
    decided, and to likelier ones. ``winner`` has the vote on each that decided. A species is as
    large as its accepted picks are in the middle; one pick alone may be of a part.
    """
    same = np.arange(len(picks))
    rows = np.flatnonzero(decision == "accepted")
    if not guess[rows].any():
        return same
    label = winner.set_index("pick").reindex(rows)
    own = picks.iloc[rows]
    species = label["slabkitSpecies"].fillna("").to_numpy(dtype=object)
    species = np.where(species == "", own["slabkitSpecies"].to_numpy(dtype=object), species)
    diameter = own["slabkitDiameter"].reset_index(drop=True)
    middle = diameter.groupby(species).transform("median")
    diameter = middle.where(species != "", diameter).fillna(0.0).to_numpy()
    place = own[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy(dtype=np.float64)
    centre = label[["slabkitCentreX", "slabkitCentreY", "slabkitCentreZ"]].to_numpy(np.float64)
    score = np.where(guess[rows], label["slabkitScore"].fillna(0.0), np.inf)
    alike = own["slabkitTomogram"].astype(str).to_numpy(dtype=object) + "\n" + species
    groups = np.unique(alike.astype(str), return_inverse=True)[1]
    blob = own["slabkitScoreKind"].str.startswith("blob-").to_numpy(dtype=bool)
    apart = np.where(blob, _BLOBS_APART, _APART) * diameter
    better = group_neighbours(np.where(np.isnan(centre), place, centre), apart, score, groups)
    same[rows] = np.where(guess[rows], rows[better], rows)
    return same
