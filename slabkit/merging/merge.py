"""Pool pick lists and keep one pick of those that are the same particle."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from slabkit.arrays.assignment import pair_one_to_one
from slabkit.arrays.neighbours import group_neighbours
from slabkit.errors import InputError, warn
from slabkit.merging.keeping import (
    Floats,
    Indices,
    Position,
    kind_ranks,
    mean_positions,
    position_weights,
    record_merges,
)
from slabkit.tables import LEDGER, PICKS, TOMOGRAMS, places_left, require_unique, validate_table
from slabkit.units import voxel_sizes_equal

if TYPE_CHECKING:
    import pandas as pd

Between = Literal["one-to-one", "groups"]

PRESETS = {"czii": {"thyroglobulin": 185.0, "beta-galactosidase": 125.0}}
"""Distances in Å by species; ``czii`` are those with which the challenge's lists were merged."""

_DECISION_RANK = {"accepted": 2.0, "undecided": 1.0, "rejected": 0.0}
_PLACE = ("slabkitX", "slabkitY", "slabkitZ")
_SAME_PLACE = 1e-3  # Å; positions that were written and read again
FILL: dict[str, Any] = {"i": 0, "u": 0, "b": False, "f": np.nan, "O": "", "U": "", "T": ""}


@dataclass(frozen=True)
class MergeCounts:
    """What became of the picks: ``given - duplicates - merged == picks``."""

    given: tuple[int, ...]  # picks of each list
    duplicates: int  # the same pick (id and position) in a second list
    merged: int  # picks that are the same particle as a better one
    kept: tuple[int, ...]  # picks of each list in the result
    picks: int  # rows of the result
    shared: int = 0  # rows of the result that represent picks of more than one list


def merge_picks(
    lists: Sequence[pd.DataFrame],
    distance: float | Mapping[str, float],
    *,
    between: Between = "one-to-one",
    position: Position = "best",
    weights: Mapping[str, float] | None = None,
    names: Sequence[str] = (),
) -> tuple[pd.DataFrame, MergeCounts]:
    """Pool pick lists and merge picks of one species that lie too close together.

    Within a list, picks are taken best first and those closer than the distance to one taken
    before are merged into it. What is left of the lists is paired, list by list: as many pairs as
    there can be that are closer than the distance, each pick in one pair at most, with the
    smallest sum of distances; so one pick of a list never swallows two of another.

    Of picks that are the same particle, the one that stays is: an accepted before an undecided
    before a rejected one (of one pick, by its id, in several lists: a rejected before an undecided
    one); of different kinds of score, whose values mean nothing to each other, the one
    whose kind comes first in the order of the lists; of one kind, one that is not at the border
    of its search in z, then the best score. Picks without a species are merged with each other
    only. Picks without a kind of score count as a kind of their list. The ledger of the one that
    stays holds the others, with what they were and all that had happened to them.

    Parameters
    ----------
    lists : sequence of DataFrame
        Columns of `slabkit.tables.PICKS`; any number of tomograms, which are told by their names.
    distance : float or mapping of str to float
        Picks closer than this are the same, in Å; a mapping gives it by species, the key ``""``
        for all others. 0 merges nothing. `slabkit.merging.PRESETS` has those of the challenge.
    between : {"one-to-one", "groups"}, optional
        How picks of different lists are merged; ``groups``: as those within one, so that no two
        that are left are closer than the distance.
    position : {"best", "score", "rank", "source"}, optional
        Where the pick that stays is put: where it was; or at the mean of those that are the same
        and have its decision, weighted by the score (of one kind only), by the share of picks of
        its kind that score no better, or by ``weights``.
    weights : mapping of str to float, optional
        For ``source``: by ``slabkitSource`` or by the name of the list; others weigh 1.
    names : sequence of str, optional
        Of the lists, for the ledger and the weights; default: their numbers, from 1.

    Returns
    -------
    picks : DataFrame
        Columns of `slabkit.tables.PICKS`, in the order given, ids kept. Where any were merged,
        ``slabkitMembers`` and ``slabkitLists`` count the picks, and lists, that each represents.
    counts : MergeCounts

    Raises
    ------
    InputError
        A distance is negative, a species has none, one id means two different picks, or
        scores cannot be weights.
    """
    _check_choices(between, position, weights)
    tables = [validate_table(table, PICKS, f"list {i}") for i, table in enumerate(lists, 1)]
    for number, table in enumerate(tables, 1):
        require_unique(table, "slabkitPickId", f"list {number}")
    names = list(names) or [str(number) for number in range(1, len(tables) + 1)]
    return merge_part(tables, distance, between, names, position, weights)


def merge_part(
    tables: list[pd.DataFrame],
    distance: float | Mapping[str, float],
    between: Between,
    names: Sequence[str],
    position: Position = "best",
    weights: Mapping[str, float] | None = None,
    *,
    numbers: Sequence[int] = (),
    kinds: Mapping[str, int] | None = None,
    any_merged: bool | None = None,
) -> tuple[pd.DataFrame, MergeCounts]:
    """Merge lists as `merge_picks` does, or those of many that have some tomograms.

    Then ``numbers`` are those of the lists among all, ``kinds`` says in which of all each kind of
    score comes first, and ``any_merged`` whether picks were merged in any of them.
    """
    import pandas as pd

    tables = _where_moved(tables)
    given = tuple(len(table) for table in tables)
    pooled = _stacked(tables)
    source = np.repeat(np.arange(len(tables)), given)
    reach = _distances(pooled, distance)
    number = np.asarray(numbers or range(len(tables)), dtype=np.int64)[source]
    priority = _priority(pooled, number, kinds)
    place = pooled[list(_PLACE)].to_numpy()
    first = _best_of_id(pooled, place, priority)
    rows = np.unique(first)
    codes = pooled.iloc[rows].groupby(["slabkitTomogram", "slabkitSpecies"]).ngroup().to_numpy()
    if between == "groups" or len(tables) < 2:
        keeper = group_neighbours(place[rows], reach[rows], priority[rows], codes)
    else:
        within = codes * len(tables) + source[rows]
        keeper = group_neighbours(place[rows], reach[rows], priority[rows], within)
        left = np.unique(keeper)
        pair = _pair_lists(place[rows][left], reach[rows][left], source[rows][left], codes[left])
        keeper = _best_of(pair, priority[rows][left], place[rows][left], left)[
            np.searchsorted(left, keeper)
        ]
    kept_for = rows[keeper]  # for each of `rows`, the row kept for it
    kept = np.unique(kept_for)
    everyone = kept_for[np.searchsorted(rows, first)]  # the same for each pick given
    moved = place
    if position != "best":
        weight = position_weights(pooled, source, kept_for, rows, position, weights, names)
        moved = mean_positions(pooled, place, kept_for, rows, weight)
    picks = record_merges(pooled, source, names, everyone, first, kept, moved)
    lists_of = pd.Series(source).groupby(everyone).nunique().loc[kept].to_numpy()
    if len(pooled) > len(kept) if any_merged is None else any_merged:
        picks = picks.assign(**{LEDGER: picks.get(LEDGER, "")})
        picks["slabkitMembers"] = _members(pooled, rows, kept_for)[kept]
        picks["slabkitLists"] = lists_of.astype(np.int64)
    counts = MergeCounts(
        given=given,
        duplicates=len(pooled) - len(rows),
        merged=len(rows) - len(kept),
        kept=tuple(int(n) for n in np.bincount(source[kept], minlength=len(tables))),
        picks=len(kept),
        shared=int((lists_of > 1).sum()),
    )
    return validate_table(picks, PICKS), counts


def _check_choices(between: str, position: str, weights: Mapping[str, float] | None) -> None:
    if between not in get_args(Between):
        raise InputError(f"between must be {' or '.join(get_args(Between))}, not {between!r}.")
    if position not in get_args(Position):
        known = ", ".join(get_args(Position))
        raise InputError(f"position must be one of {known}, not {position!r}.")
    if weights and position != "source":
        raise InputError(f"weights are for the position source, and it is {position}.")


def _priority(pooled: pd.DataFrame, source: Indices, kinds: Mapping[str, int] | None) -> Floats:
    border = pooled["slabkitFlags"].str.split(",").map(lambda flags: "z-border" in flags)
    return np.column_stack(
        [
            pooled["slabkitDecision"].map(_DECISION_RANK).to_numpy(dtype=float),
            -kind_ranks(pooled, source, kinds).astype(float),
            ~border.to_numpy(dtype=bool),
            pooled["slabkitScore"].to_numpy(dtype=float),
            -source.astype(float),
        ]
    )


def _members(pooled: pd.DataFrame, rows: Indices, kept_for: Indices) -> Indices:
    """Count the picks that each represents, with those of an earlier merge."""
    before = np.ones(len(pooled), dtype=np.int64)
    if "slabkitMembers" in pooled.columns:
        before = np.maximum(_whole_numbers(pooled["slabkitMembers"]), 1)
    return np.bincount(kept_for, before[rows], minlength=len(pooled)).astype(np.int64)


def _whole_numbers(column: pd.Series) -> Indices:
    """Read a column that comes as text from a file; what is no number counts 0."""
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce").fillna(0)
    return np.asarray(numbers, dtype=np.float64).astype(np.int64)


def _best_of(pair: Indices, priority: Floats, place: Floats, left: Indices) -> Indices:
    """Give each pick the best of those that it is paired with."""
    order = np.lexsort([*place.T, *(-priority.T[::-1])])
    best = np.full(len(pair), -1, dtype=np.int64)
    for_pair = pair[order]
    firsts = np.unique(for_pair, return_index=True)[1]
    best[for_pair[firsts]] = order[firsts]
    return np.asarray(left[best[pair]], dtype=np.int64)


def _stacked(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Stack the lists; a further column that a list lacks is empty there, not NaN in text."""
    import pandas as pd

    filled = []
    for table in tables:
        missing = {}
        for other in tables:
            for name in other.columns.difference(table.columns, sort=False):
                missing[name] = FILL[other[name].dtype.kind]
        filled.append(table.assign(**missing))
    pooled = pd.concat(filled, ignore_index=True)
    return validate_table(pooled, PICKS)


def _distances(pooled: pd.DataFrame, distance: float | Mapping[str, float]) -> Floats:
    """Give each pick the distance of its species in Å."""
    by_species = dict(distance) if isinstance(distance, Mapping) else {"": float(distance)}
    for name, value in by_species.items():
        if not (np.isfinite(value) and value >= 0):
            what = f"distance of {name}" if name else "distance"
            raise InputError(f"the {what} must be finite and not negative, not {value:g} Å.")
    species = pooled["slabkitSpecies"]
    lacking = sorted(set(species) - set(by_species)) if "" not in by_species else []
    if lacking:
        named = ", ".join(name or "picks without a species" for name in lacking)
        raise InputError(
            f"no distance is given for {named}; add --distance {lacking[0] or 'Å'}"
            f"{'=Å' if lacking[0] else ''}, or one number for all."
        )
    values = [by_species.get(name, by_species.get("")) for name in species]
    return np.array(values, dtype=np.float64)


def _where_moved(tables: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """Leave out picks that another list has where a person moved them in a review."""
    moved = [places_left(table) for table in tables]
    left = {name: places for one in moved for name, places in one.items()}
    if not left:
        return tables
    kept = []
    for table, own in zip(tables, moved, strict=True):
        rows = zip(table["slabkitPickId"], *(table[name] for name in _PLACE), strict=True)
        old = [
            name in left
            and name not in own
            and any(np.allclose(place, one, rtol=0, atol=_SAME_PLACE) for one in left[name])
            for name, *place in rows
        ]
        kept.append(table[~np.array(old, dtype=bool)].reset_index(drop=True))
    return kept


def _best_of_id(pooled: pd.DataFrame, position: Floats, priority: Floats) -> Indices:
    """Give each pick the best one of its id; refuse an id that means two places."""
    import pandas as pd

    # Of one and the same pick a verdict counts more than none.
    decided = np.where(priority[:, 0] == _DECISION_RANK["undecided"], -1.0, priority[:, 0])
    keys = [decided, *priority.T[1:]]
    best_first = np.lexsort([np.arange(len(pooled)), *(-key for key in keys[::-1])])
    rank = pd.Series(best_first, index=pooled["slabkitPickId"].to_numpy()[best_first])
    first = rank[~rank.index.duplicated()]
    rows = np.asarray(first.loc[pooled["slabkitPickId"]], dtype=np.int64)
    away = np.abs(position - position[rows]).max(axis=1, initial=0.0) > _SAME_PLACE
    tomogram, species = (pooled[name].to_numpy() for name in ("slabkitTomogram", "slabkitSpecies"))
    away |= tomogram != tomogram[rows]
    if away.any():
        one = int(np.flatnonzero(away)[0])
        raise InputError(
            f"pick id {pooled['slabkitPickId'].iloc[one]} stands for two different picks (another "
            "position or tomogram); give one of the lists new ids."
        )
    away = species != species[rows]
    if away.any():
        one = int(np.flatnonzero(away)[0])
        named = " and ".join(
            name or "no species" for name in sorted({species[one], species[rows[one]]})
        )
        count = int(pooled["slabkitPickId"][away].nunique())
        raise InputError(
            f"pick id {pooled['slabkitPickId'].iloc[one]} has two species in the lists ({named}; "
            f"{count} such ids in all); decide for one of them, or leave the pick out of a list."
        )
    return rows


def _pair_lists(place: Floats, reach: Floats, source: Indices, group: Indices) -> Indices:
    """Pair the picks of each list with those of the lists before it; gives each its first pick.

    ``reach`` (Å) is the same within a group, which is of one tomogram and species. Distances are
    measured to the first pick of a particle, so that it does not drift from list to list.
    """
    anchor = np.arange(len(place))
    for rows in _split(group):
        here = source[rows]
        anchors = rows[here == here.min()]
        for number in np.unique(here)[1:]:
            new = rows[here == number]
            one, two = _pair(place[anchors], place[new], float(reach[rows[0]]))
            anchor[new[two]] = anchors[one]
            anchors = np.concatenate([anchors, np.delete(new, two)])
    return anchor


def _split(group: Indices) -> list[Indices]:
    order = np.argsort(group, kind="stable")
    edges = np.flatnonzero(np.diff(group[order])) + 1
    return [part for part in np.split(order, edges) if len(part)]


def _pair(first: Floats, second: Floats, reach: float) -> tuple[Indices, Indices]:
    from scipy.spatial import cKDTree

    nothing = np.empty(0, dtype=np.int64)
    if not reach > 0:
        return nothing, nothing
    near = cKDTree(first).sparse_distance_matrix(cKDTree(second), reach, output_type="ndarray")
    near = near[near["v"] < reach]
    if not len(near):
        return nothing, nothing
    # A tree finds pairs in any order; ties go by the order of the lists.
    near = near[np.lexsort([near["j"], near["i"]])]
    one, two = near["i"].astype(np.int64), near["j"].astype(np.int64)
    chosen = pair_one_to_one(one, two, near["v"])
    return one[chosen], two[chosen]


def merge_tomograms(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Pool the tomogram tables of pick lists: one row a tomogram, in the order of first appearance.

    What one list does not know (size 0, voxel size NaN, no file) is taken from another; lists that
    contradict each other about a size, voxel size or contrast are refused, and other files of one
    name are warned of.
    """
    import pandas as pd

    known: dict[str, dict[str, Any]] = {}
    others: dict[str, tuple[str, str]] = {}
    for table in tables:
        for row in validate_table(table, TOMOGRAMS).to_dict("records"):
            name = row["slabkitTomogram"]
            old = known.setdefault(name, row)
            for column, value in row.items():
                if old[column] in ("", 0) or old[column] != old[column]:
                    old[column] = value
                elif column == "slabkitTomogramFile":
                    if value and os.path.realpath(value) != os.path.realpath(old[column]):
                        others.setdefault(name, (old[column], value))
                elif not _agree(column, old[column], value):
                    raise InputError(
                        f"tomogram {name}: one list says {column} {old[column]}, another {value}; "
                        "convert them to the same volume first."
                    )
    if others:
        name, files = next(iter(others.items()))
        warn(
            f"{len(others)} tomograms are other files in other lists, as {name} "
            f"({' and '.join(files)}): by name they are one; if they are not, rename one."
        )
    return validate_table(pd.DataFrame(list(known.values()), columns=TOMOGRAMS.names), TOMOGRAMS)


def _agree(column: str, one: Any, other: Any) -> bool:
    if other in ("", 0) or other != other:
        return True
    if column == "slabkitVoxelSize":
        return voxel_sizes_equal(one, other)
    return bool(one == other)
