"""Hits that are one particle: which of them represents it.

A particle is hit in each of the overlapping slabs that hold it, and not always at one place: a
small dense part of it, or something small next to it, may score higher in one slab than the whole
does in any. Taking the best score first then loses the particle, for the whole lies within its
radius and goes into the part. A blob's score is its contrast over the noise of a mean over its
area, so score times diameter is the contrast summed over the area, the projected mass. The hit
that accounts for most of it gathers the group, and more so the surer its depth is, because spurious
hits have competing peaks along z. Among hits of its size, whose scores are comparable, the best has
the position.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slabkit.arrays.neighbours import group_neighbours
from slabkit.tables import PICKS, new_pick_ids, validate_table

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

# Hits are of one size when their diameters differ by less than this factor: a picker is that unsure
# of a particle, and parts of particles are smaller still.
_ONE_SIZE = 1.3
# Scores that are comparable between species: templates are scored against their own noise.
_COMPARABLE = ("template", "template-3d")
# A hit of sure depth counts up to three times as much as one with an equal peak in its column.
_SURE_DEPTH = 0.5


def merge_hits(
    candidates: pd.DataFrame, min_distance: float | None, all_species: bool = False
) -> tuple[pd.DataFrame, int]:
    """Merge hits of one particle, count their slabs, and put the picks in order with their ids.

    Hits of one species and kind of score are taken one after the other, those at the border of
    their search last, the others by their `weight_of_evidence`; each takes in the later ones that
    are closer than the distance. The best-scored hit of a group, among those as large as the first
    and no more at the border, represents it; groups whose representatives are closer than the
    distance are merged in the same order. The score becomes the best of the group, hits at the
    border left out unless the representative is one; all else is the representative's. Then of
    picks by templates of several species that are closer than the distance the best-scored stays,
    as one place holds one particle; also given is how many picks had a better one of another
    species at their place.

    Besides the columns of `slabkit.tables.PICKS` candidates have ``_border``, whether the hit is at
    the border of its search, ``_prominence``, how far its depth exceeds others (NaN: not known),
    and ``_slab``, the slab's number. The distance is in Å, by default half the larger diameter.
    """
    import pandas as pd

    order = ["slabkitScore", "slabkitZ", "slabkitY", "slabkitX", "rlnMicrographName"]
    order += ["slabkitSpecies", "slabkitScoreKind"]
    ascending = [False] + [True] * 6
    candidates = candidates.sort_values(
        order, ascending=ascending, kind="stable", ignore_index=True
    )
    groups = candidates.groupby(["slabkitSpecies", "slabkitScoreKind"]).ngroup()
    diameter = candidates["slabkitDiameter"].to_numpy(dtype=float)
    score = candidates["slabkitScore"].to_numpy(dtype=float)
    border = candidates["_border"].to_numpy(dtype=bool)
    distance = diameter / 2 if min_distance is None else np.full(len(candidates), min_distance)
    prominence = candidates["_prominence"].to_numpy(dtype=float)
    evidence = weight_of_evidence(score, diameter, prominence)
    priority = np.column_stack([~border, evidence, score])
    keeper = _representatives(
        candidates[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy(),
        distance,
        priority,
        groups.to_numpy(),
        diameter,
    )
    support = pd.DataFrame({"keeper": keeper, "slab": candidates["_slab"]}).drop_duplicates()
    slab_count = support.groupby("keeper").size()
    best = pd.Series(np.where(border & ~border[keeper], np.nan, score)).groupby(keeper).max()
    kept = np.unique(keeper)
    picks = candidates.iloc[kept].drop(columns=["_border", "_prominence", "_slab"])
    picks["slabkitScore"] = best.loc[kept].to_numpy()
    picks.insert(0, "slabkitSlabCount", slab_count.loc[kept].to_numpy())
    picks.insert(0, "slabkitPickId", "")
    picks = picks.sort_values(order, ascending=ascending, kind="stable", ignore_index=True)
    beaten = np.zeros(len(picks), dtype=bool)
    if not all_species:
        beaten = _beaten(picks, min_distance)
        picks = picks[~beaten].reset_index(drop=True)
    ids: list[str] = []
    for (species, kind), rows in sorted(
        picks.groupby(["slabkitSpecies", "slabkitScoreKind"]).indices.items()
    ):
        part = picks.iloc[rows]
        new = new_pick_ids(
            part["slabkitTomogram"],
            part["slabkitX"],
            part["slabkitY"],
            part["slabkitZ"],
            salt=f"{species}\0{kind}",
            taken=ids,
        )
        ids += new
        picks.iloc[rows, 0] = new
    return validate_table(picks, PICKS), int(beaten.sum())


def _beaten(picks: pd.DataFrame, min_distance: float | None) -> npt.NDArray[np.bool_]:
    """Tell which picks by templates have a better-scored one of another species at their place."""
    beaten = np.zeros(len(picks), dtype=bool)
    rows = np.flatnonzero(picks["slabkitScoreKind"].isin(_COMPARABLE))
    own = picks.iloc[rows]
    if own["slabkitSpecies"].nunique() < 2:
        return beaten
    diameter = own["slabkitDiameter"].to_numpy(dtype=float)
    distance = diameter / 2 if min_distance is None else np.full(len(own), min_distance)
    position = own[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy()
    kind = own.groupby("slabkitScoreKind").ngroup().to_numpy()
    better = group_neighbours(position, distance, own["slabkitScore"].to_numpy(dtype=float), kind)
    beaten[rows] = better != np.arange(len(rows))
    return beaten


def _representatives(
    position: Floats, distance: Floats, priority: Floats, groups: Indices, diameter: Floats
) -> Indices:
    """Give each hit the one that represents it; hits come with the best score first."""
    first = group_neighbours(position, distance, priority, groups)
    smaller, larger = np.sort([diameter, diameter[first]], axis=0)
    alike = ~(larger > _ONE_SIZE * smaller) & (priority[:, 0] == priority[first, 0])
    candidate = np.flatnonzero(alike)  # a first hit is like itself, so every group has one
    owner, best = np.unique(first[candidate], return_index=True)
    chosen = np.arange(len(first))
    chosen[owner] = candidate[best]
    kept = np.sort(chosen[owner])
    again = kept[group_neighbours(position[kept], distance[kept], priority[kept], groups[kept])]
    final = np.arange(len(first))
    final[kept] = again
    return np.asarray(final[chosen[first]])


def weight_of_evidence(score: Floats, diameter: Floats, prominence: Floats) -> Floats:
    """Give what ranks hits of different sizes: score × diameter × (1/2 + prominence).

    Negative scores are divided by the rest, so that more of each is still better. Where a diameter
    is not known they do not count for any hit; a prominence not known (NaN) counts as 0.
    """
    factor = _SURE_DEPTH + np.nan_to_num(prominence)
    if not np.isnan(diameter).any():
        factor = factor * diameter
    return np.where(score < 0, score / factor, score * factor)
