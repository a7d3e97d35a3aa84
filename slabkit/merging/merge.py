"""Pool pick lists and keep one pick of those that are the same particle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from slabkit.arrays.neighbours import group_neighbours
from slabkit.errors import InputError
from slabkit.merging.pairing import pair_lists
from slabkit.merging.placing import Position, mean_positions, position_weights
from slabkit.merging.pooling import distances_of, kind_ranks, pooled_picks, same_ids
from slabkit.merging.recording import record_merges
from slabkit.tables import PICKS, require_unique, validate_table

if TYPE_CHECKING:
    import pandas as pd

Between = Literal["one-to-one", "groups"]

BETWEEN = ("one-to-one", "groups")
POSITIONS = ("best", "score", "rank", "source")
PRESETS = {"czii": {"thyroglobulin": 185.0, "beta-galactosidase": 125.0}}
"""Distances in Å by species; ``czii`` are those with which the challenge's lists were merged."""

_DECISION_RANK = {"accepted": 2.0, "undecided": 1.0, "rejected": 0.0}
_PLACE = ("slabkitX", "slabkitY", "slabkitZ")


@dataclass(frozen=True)
class MergeCounts:
    """What became of the picks: ``given - duplicates - merged == picks``.

    Parameters
    ----------
    given : tuple of int
        Picks of each list.
    duplicates : int
        The same pick (id and position) in a second list.
    merged : int
        Picks that are the same particle as a better one.
    kept : tuple of int
        Picks of each list in the result.
    picks : int
        Rows of the result.
    shared : int
        Rows of the result that stand for picks of more than one list.
    """

    given: tuple[int, ...]
    duplicates: int
    merged: int
    kept: tuple[int, ...]
    picks: int
    shared: int = 0


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

    Of picks that are the same, the one that stays is: an accepted before an undecided before a
    rejected one; of different kinds of score, whose values mean nothing to each other, the one
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
        ``slabkitMembers`` and ``slabkitLists`` count the picks, and lists, that each stands for.
    counts : MergeCounts

    Raises
    ------
    InputError
        A distance is negative, a species has none, one id stands for two different picks, or
        scores cannot be weights.
    """
    import pandas as pd

    _check_choices(between, position, weights)
    tables = [validate_table(table, PICKS, f"list {i}") for i, table in enumerate(lists, 1)]
    for number, table in enumerate(tables, 1):
        require_unique(table, "slabkitPickId", f"list {number}")
    names = list(names) or [str(number) for number in range(1, len(tables) + 1)]
    given = tuple(len(table) for table in tables)
    pooled = pooled_picks(tables)
    source = np.repeat(np.arange(len(tables)), given)
    reach = distances_of(pooled, distance)
    priority = _priority(pooled, source)
    place = pooled[list(_PLACE)].to_numpy()
    first = same_ids(pooled, place, priority)
    rows = np.unique(first)
    codes = pooled.iloc[rows].groupby(["slabkitTomogram", "slabkitSpecies"]).ngroup().to_numpy()
    if between == "groups" or len(tables) < 2:
        keeper = group_neighbours(place[rows], reach[rows], priority[rows], codes)
    else:
        within = codes * len(tables) + source[rows]
        keeper = group_neighbours(place[rows], reach[rows], priority[rows], within)
        left = np.unique(keeper)
        pair = pair_lists(place[rows][left], reach[rows][left], source[rows][left], codes[left])
        keeper = _best_of(pair, priority[rows][left], place[rows][left], left)[
            np.searchsorted(left, keeper)
        ]
    stands = rows[keeper]  # for each of `rows`, the row that stands for it
    kept = np.unique(stands)
    everyone = stands[np.searchsorted(rows, first)]  # the same for each pick given
    moved = place
    if position != "best":
        weight = position_weights(pooled, source, stands, rows, position, weights, names)
        moved = mean_positions(pooled, place, stands, rows, weight)
    picks = record_merges(pooled, source, names, everyone, first, kept, moved)
    lists_of = pd.Series(source).groupby(everyone).nunique().loc[kept].to_numpy()
    if len(pooled) > len(kept):
        picks["slabkitMembers"] = _members(pooled, rows, stands)[kept]
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
    if between not in BETWEEN:
        raise InputError(f"between must be {' or '.join(BETWEEN)}, not {between!r}.")
    if position not in POSITIONS:
        raise InputError(f"position must be one of {', '.join(POSITIONS)}, not {position!r}.")
    if weights and position != "source":
        raise InputError(f"weights are for the position source, and it is {position}.")


def _priority(pooled: pd.DataFrame, source: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    border = pooled["slabkitFlags"].str.split(",").map(lambda flags: "z-border" in flags)
    return np.column_stack(
        [
            pooled["slabkitDecision"].map(_DECISION_RANK).to_numpy(dtype=float),
            -kind_ranks(pooled, source).astype(float),
            ~border.to_numpy(dtype=bool),
            pooled["slabkitScore"].to_numpy(dtype=float),
            -source.astype(float),
        ]
    )


def _members(
    pooled: pd.DataFrame, rows: npt.NDArray[np.int64], stands: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Count the picks that each stands for, with those of an earlier merge."""
    before = np.ones(len(pooled), dtype=np.int64)
    if "slabkitMembers" in pooled.columns:
        before = np.maximum(_whole_numbers(pooled["slabkitMembers"]), 1)
    return np.bincount(stands, before[rows], minlength=len(pooled)).astype(np.int64)


def _whole_numbers(column: pd.Series) -> npt.NDArray[np.int64]:
    """Read a column that comes as text from a file; what is no number counts 0."""
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce").fillna(0)
    return np.asarray(numbers, dtype=np.float64).astype(np.int64)


def _best_of(
    pair: npt.NDArray[np.int64],
    priority: npt.NDArray[np.float64],
    place: npt.NDArray[np.float64],
    left: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Give each pick the best of those that it is paired with."""
    order = np.lexsort([*place.T, *(-priority.T[::-1])])
    best = np.full(len(pair), -1, dtype=np.int64)
    for_pair = pair[order]
    firsts = np.unique(for_pair, return_index=True)[1]
    best[for_pair[firsts]] = order[firsts]
    return np.asarray(left[best[pair]], dtype=np.int64)
