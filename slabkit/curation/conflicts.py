"""Positions that more than one species claims: found, shown as one image each, and settled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError, warn
from slabkit.tables import (
    LABELS,
    PICKS,
    empty_table,
    make_table,
    new_pick_ids,
    require_unique,
    rows_named,
    validate_table,
)

if TYPE_CHECKING:
    import pandas as pd

_POSITION = ("slabkitX", "slabkitY", "slabkitZ")
_CLAIM = ("slabkitPickId", "slabkitTomogram", *_POSITION, "slabkitScore", "slabkitScoreKind")
_COLUMNS = ("slabkitConflict", *_CLAIM, "slabkitSpecies", "slabkitDecision", "slabkitDistance")


def find_conflicts(
    picks: pd.DataFrame, distance: float | Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Find the positions that more than one species claims.

    Rejected picks and picks without a species claim nothing. Claims that are linked by nearness,
    one to the next, are one conflict.

    Parameters
    ----------
    picks : DataFrame
        Columns of `slabkit.tables.PICKS`, of any number of species.
    distance : float or mapping of str to float, optional
        Claims of two species closer than this are of one position, in Å; a mapping gives it by
        species (the larger of the two counts; the key ``""`` is for all others). Default: half
        the larger of the two diameters.

    Returns
    -------
    DataFrame
        One row a claim: ``slabkitConflict`` (the conflict's id, made of the tomogram and the mean
        position of its claims), the pick's id, tomogram, position, score, kind of score, species
        and decision, and ``slabkitDistance`` in Å to the nearest claim of another species.
        Conflicts in the order of the tomograms in the list, then by z, y, x.

    Raises
    ------
    InputError
        A distance is not positive, or a diameter is needed and missing.

    Warns
    -----
    SlabkitWarning
        Some picks have no species.
    """
    import pandas as pd

    picks = validate_table(picks, PICKS, "picks")
    require_unique(picks, "slabkitPickId", "picks")
    claiming = (picks["slabkitDecision"] != "rejected").to_numpy()
    named = (picks["slabkitSpecies"] != "").to_numpy()
    if (claiming & ~named).any():
        warn(
            f"{int((claiming & ~named).sum())} of {len(picks)} picks have no species and claim "
            "nothing; `slabkit convert --species` or `curate --species` gives one."
        )
    claims = picks[claiming & named].reset_index(drop=True)
    reach = _reach(claims, distance)
    codes, _ = claims["slabkitTomogram"].factorize()
    cluster = np.full(len(claims), -1, dtype=np.int64)
    nearest = np.full(len(claims), np.inf)
    for code in range(int(codes.max(initial=-1)) + 1):
        rows = np.flatnonzero(codes == code)
        _link(claims, reach, rows, cluster, nearest)
    found = claims.assign(slabkitDistance=nearest, _cluster=cluster, _tomogram=codes)
    found = found[cluster >= 0]
    centres = found.groupby("_cluster")[list(_POSITION)].mean()
    first = found.drop_duplicates("_cluster").set_index("_cluster").loc[centres.index]
    x, y, z = (centres[name].to_numpy() for name in _POSITION)
    order = np.lexsort([x, y, z, first["_tomogram"].to_numpy()])
    names = new_pick_ids(
        first["slabkitTomogram"].to_numpy()[order], x[order], y[order], z[order], "conflict",
        taken=picks["slabkitPickId"],
    )  # fmt: skip
    named_by = dict(zip(centres.index.to_numpy()[order].tolist(), names, strict=True))
    rank = {cluster_id: place for place, cluster_id in enumerate(named_by)}
    found = found.assign(
        slabkitConflict=np.array([named_by[one] for one in found["_cluster"]], dtype=str),
        _rank=[rank[one] for one in found["_cluster"]],
    )
    found = found.sort_values(["_rank", "slabkitSpecies", "slabkitPickId"])
    return pd.DataFrame(found[list(_COLUMNS)]).reset_index(drop=True)


def conflict_positions(conflicts: pd.DataFrame, picks: pd.DataFrame) -> pd.DataFrame:
    """Give one position a conflict (`find_conflicts`), for its image, as a table of picks.

    It has the conflict's id, the mean position of its claims and the largest of their diameters.
    """
    if not len(conflicts):
        return empty_table(PICKS)
    diameters = dict(zip(picks["slabkitPickId"], picks["slabkitDiameter"], strict=True))
    table = conflicts.assign(_diameter=[diameters[name] for name in conflicts["slabkitPickId"]])
    by_conflict = table.groupby("slabkitConflict", sort=False)
    return make_table(
        PICKS,
        {
            "slabkitPickId": list(by_conflict.groups),
            "slabkitTomogram": by_conflict["slabkitTomogram"].first().to_numpy(),
            **{name: by_conflict[name].mean().to_numpy() for name in _POSITION},
            "slabkitDiameter": by_conflict["_diameter"].max().to_numpy(),
            "slabkitSource": "conflicts",
        },
    )


def settle_conflicts(conflicts: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Turn decisions on conflicts into labels of the picks that claim them.

    Parameters
    ----------
    conflicts : DataFrame
        As `find_conflicts` gives them.
    labels : DataFrame
        Columns of `slabkit.tables.LABELS`. A row whose pick id is that of a conflict decides it:
        accepted with a species means that the claims of that species are right and the others
        wrong; rejected means that none is right; undecided leaves the claims as they are. Other
        rows pass as they are.

    Returns
    -------
    DataFrame
        Columns of `slabkit.tables.LABELS`, of picks only, for `slabkit.curation.curate_picks`.

    Raises
    ------
    InputError
        A decision names no species, or one that does not claim the position.
    """
    import pandas as pd

    table = validate_table(labels, LABELS, "labels")
    of_conflict = table["slabkitPickId"].isin(conflicts["slabkitConflict"]).to_numpy()
    table["_order"] = np.arange(len(table))
    decisions = table[of_conflict]
    accepted = (decisions["slabkitDecision"] == "accepted").to_numpy()
    unnamed = accepted & (decisions["slabkitSpecies"] == "").to_numpy()
    if unnamed.any():
        which = ", ".join(decisions["slabkitPickId"][unnamed].head(3))
        raise InputError(
            f"{int(unnamed.sum())} conflicts are accepted without a species ({which}), which does "
            "not say whose the position is; name one in the column species, or leave it undecided."
        )
    claims = conflicts[["slabkitConflict", "slabkitPickId", "slabkitSpecies"]].rename(
        columns={"slabkitPickId": "_claim", "slabkitSpecies": "_claimed"}
    )
    votes = decisions.merge(claims, left_on="slabkitPickId", right_on="slabkitConflict")
    right = (votes["slabkitSpecies"] == votes["_claimed"]).to_numpy()
    yes = (votes["slabkitDecision"] == "accepted").to_numpy()
    decided = set(votes["_order"][right])
    stray = accepted & ~decisions["_order"].isin(list(decided)).to_numpy()
    if stray.any():
        one = decisions[stray].iloc[0]
        there = votes.loc[votes["_order"] == one["_order"], "_claimed"].unique()
        raise InputError(
            f"conflict {one['slabkitPickId']} ({rows_named(stray)} of the decisions) goes to "
            f"{one['slabkitSpecies']}, which does not claim it; {' and '.join(there)} do."
        )
    decision = np.where(
        yes & right, "accepted", np.where(yes, "rejected", votes["slabkitDecision"])
    )
    votes["slabkitDecision"] = decision.astype(object)
    votes["slabkitPickId"] = votes["_claim"]
    votes["slabkitSpecies"] = np.where(yes & right, votes["_claimed"], "")
    # The image is about the middle of the claims: where it says the particle is moves no claim.
    votes[["slabkitCentreX", "slabkitCentreY", "slabkitCentreZ"]] = np.nan
    both = pd.concat([table[~of_conflict], votes[[*LABELS.names, "_order"]]])
    both = both.sort_values("_order", kind="stable")
    return validate_table(both.drop(columns="_order"), LABELS)


def _reach(
    claims: pd.DataFrame, distance: float | Mapping[str, float] | None
) -> npt.NDArray[np.float64]:
    species = claims["slabkitSpecies"].tolist()
    if distance is None:
        reach = claims["slabkitDiameter"].to_numpy() / 2
        lacking = ~(np.isfinite(reach) & (reach > 0))
        if lacking.any():
            raise InputError(
                f"{int(lacking.sum())} of {len(claims)} picks have no diameter, so it is not known "
                "how close two claims of one position are; give --distance Å."
            )
        return np.asarray(reach, dtype=np.float64)
    by_species = dict(distance) if isinstance(distance, Mapping) else {"": float(distance)}
    for name, value in by_species.items():
        if not (np.isfinite(value) and value > 0):
            what = f"distance of {name}" if name else "distance"
            raise InputError(f"the {what} must be positive and finite, not {value:g} Å.")
    missing = sorted(set(species) - set(by_species)) if "" not in by_species else []
    if missing:
        raise InputError(f"no distance is given for {', '.join(missing)}; add it, or one for all.")
    return np.array([by_species.get(name, by_species.get("", 0.0)) for name in species], float)


def _link(
    claims: pd.DataFrame,
    reach: npt.NDArray[np.float64],
    rows: npt.NDArray[np.int64],
    cluster: npt.NDArray[np.int64],
    nearest: npt.NDArray[np.float64],
) -> None:
    """Give the claims of one tomogram their conflict, called by its first claim, in place."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    position = claims[list(_POSITION)].to_numpy()[rows]
    species = claims["slabkitSpecies"].factorize()[0][rows]
    pairs = cKDTree(position).query_pairs(float(reach[rows].max()), output_type="ndarray")
    one, two = pairs[:, 0], pairs[:, 1]
    away = np.linalg.norm(position[one] - position[two], axis=1)
    rival = (species[one] != species[two]) & (away < np.maximum(reach[rows][one], reach[rows][two]))
    one, two, away = one[rival], two[rival], away[rival]
    for here in (one, two):
        np.minimum.at(nearest, rows[here], away)
    links = coo_array((np.ones(len(one)), (one, two)), shape=(len(rows), len(rows)))
    _, label = connected_components(links, directed=False)
    claimed = np.unique(np.concatenate([one, two]))
    _, first, inverse = np.unique(label[claimed], return_index=True, return_inverse=True)
    cluster[rows[claimed]] = rows[claimed[first[inverse]]]
