"""Pool pick lists and keep one pick of those that are the same particle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.neighbours import group_neighbours
from slabkit.errors import InputError
from slabkit.tables import PICKS, TOMOGRAMS, require_unique, validate_table
from slabkit.units import voxel_sizes_equal

if TYPE_CHECKING:
    import pandas as pd

_SAME_PLACE = 1e-3  # Å; positions that were written and read again
_DECISION_RANK = {"accepted": 2.0, "undecided": 1.0, "rejected": 0.0}


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
        Picks closer to a better one of their species than the distance.
    kept : tuple of int
        Picks of each list in the result.
    picks : int
        Rows of the result.
    """

    given: tuple[int, ...]
    duplicates: int
    merged: int
    kept: tuple[int, ...]
    picks: int


def merge_picks(
    lists: Sequence[pd.DataFrame], distance: float | Mapping[str, float]
) -> tuple[pd.DataFrame, MergeCounts]:
    """Pool pick lists and merge picks of one species that lie too close together.

    Of picks that are close, the one that stays is: an accepted before an undecided before a
    rejected one; of different kinds of score, whose values mean nothing to each other, the one
    whose kind comes first in the order of the lists; of one kind, one that is not at the border
    of its search in z, then the best score. Picks without a species are merged with each other
    only. Picks without a kind of score count as a kind of their list.

    Parameters
    ----------
    lists : sequence of DataFrame
        Columns of `slabkit.tables.PICKS`; any number of tomograms, which are told by their names.
    distance : float or mapping of str to float
        Picks closer than this are the same, in Å; a mapping gives it by species, the key ``""``
        for all others. 0 merges nothing.

    Returns
    -------
    picks : DataFrame
        Columns of `slabkit.tables.PICKS`, in the order given, ids kept.
    counts : MergeCounts

    Raises
    ------
    InputError
        A distance is negative, a species has none, or one id stands for two different picks.
    """
    import pandas as pd

    tables = [validate_table(table, PICKS, f"list {i}") for i, table in enumerate(lists, 1)]
    for number, table in enumerate(tables, 1):
        require_unique(table, "slabkitPickId", f"list {number}")
    given = tuple(len(table) for table in tables)
    pooled = _pooled(tables)
    source = np.repeat(np.arange(len(tables)), given)
    reach = _distances(pooled, distance)
    kind_rank = _kind_ranks(pooled, source)
    border = pooled["slabkitFlags"].str.split(",").map(lambda flags: "z-border" in flags)
    priority = np.column_stack(
        [
            pooled["slabkitDecision"].map(_DECISION_RANK).to_numpy(dtype=float),
            -kind_rank.astype(float),
            ~border.to_numpy(dtype=bool),
            pooled["slabkitScore"].to_numpy(dtype=float),
            -source.astype(float),
        ]
    )
    position = pooled[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy()
    first = _duplicates(pooled, position, priority)
    rows = np.unique(first)
    groups = pooled.iloc[rows].groupby(["slabkitTomogram", "slabkitSpecies"]).ngroup().to_numpy()
    keeper = group_neighbours(position[rows], reach[rows], priority[rows], groups)
    kept = rows[np.unique(keeper)]
    picks = pooled.iloc[kept].reset_index(drop=True)
    counts = MergeCounts(
        given=given,
        duplicates=len(pooled) - len(rows),
        merged=len(rows) - len(kept),
        kept=tuple(int(n) for n in np.bincount(source[kept], minlength=len(tables))),
        picks=len(kept),
    )
    return validate_table(pd.DataFrame(picks), PICKS), counts


def merge_tomograms(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Pool the tomogram tables of pick lists.

    Parameters
    ----------
    tables : sequence of DataFrame
        Columns of `slabkit.tables.TOMOGRAMS`.

    Returns
    -------
    DataFrame
        One row a tomogram, in the order of first appearance; what one list does not know (size 0,
        voxel size NaN, no file) is taken from another.

    Raises
    ------
    InputError
        Two lists contradict each other about a size, voxel size or contrast.
    """
    import pandas as pd

    known: dict[str, dict[str, Any]] = {}
    for table in tables:
        for row in validate_table(table, TOMOGRAMS).to_dict("records"):
            name = row["slabkitTomogram"]
            old = known.setdefault(name, row)
            for column, value in row.items():
                if old[column] in ("", 0) or old[column] != old[column]:
                    old[column] = value
                elif column != "slabkitTomogramFile" and not _agree(column, old[column], value):
                    raise InputError(
                        f"tomogram {name}: one list says {column} {old[column]}, another {value}; "
                        "convert them to the same volume first."
                    )
    return validate_table(pd.DataFrame(list(known.values()), columns=TOMOGRAMS.names), TOMOGRAMS)


def _agree(column: str, one: Any, other: Any) -> bool:
    if other in ("", 0) or other != other:
        return True
    if column == "slabkitVoxelSize":
        return voxel_sizes_equal(one, other)
    return bool(one == other)


def _pooled(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Stack the lists; a further column that a list lacks is empty there, not NaN in text."""
    import pandas as pd

    filled = []
    for table in tables:
        missing = {}
        for other in tables:
            for name in other.columns.difference(table.columns, sort=False):
                missing[name] = _FILL[other[name].dtype.kind]
        filled.append(table.assign(**missing))
    pooled = pd.concat(filled, ignore_index=True)
    return validate_table(pooled, PICKS)


_FILL: dict[str, Any] = {"i": 0, "u": 0, "b": False, "f": np.nan, "O": "", "U": "", "T": ""}


def _distances(
    pooled: pd.DataFrame, distance: float | Mapping[str, float]
) -> npt.NDArray[np.float64]:
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


def _kind_ranks(pooled: pd.DataFrame, source: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    kinds = [
        (kind, -1) if kind else ("", int(number))
        for kind, number in zip(pooled["slabkitScoreKind"], source, strict=True)
    ]
    first: dict[tuple[str, int], int] = {}
    for kind, number in zip(kinds, source.tolist(), strict=True):
        first.setdefault(kind, number)
    order = {
        kind: rank for rank, kind in enumerate(sorted(first, key=lambda kind: (first[kind], kind)))
    }
    return np.array([order[kind] for kind in kinds], dtype=np.int64)


def _duplicates(
    pooled: pd.DataFrame, position: npt.NDArray[np.float64], priority: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Give each pick the best one of its id; refuse an id that means two places."""
    import pandas as pd

    best_first = np.lexsort([np.arange(len(pooled)), *(-priority.T[::-1])])
    rank = pd.Series(best_first, index=pooled["slabkitPickId"].to_numpy()[best_first])
    first = rank[~rank.index.duplicated()]
    rows = np.asarray(first.loc[pooled["slabkitPickId"]], dtype=np.int64)
    away = np.abs(position - position[rows]).max(axis=1, initial=0.0) > _SAME_PLACE
    for column in ("slabkitTomogram", "slabkitSpecies"):
        values = pooled[column].to_numpy()
        away |= values != values[rows]
    if away.any():
        one = int(np.flatnonzero(away)[0])
        raise InputError(
            f"pick id {pooled['slabkitPickId'].iloc[one]} stands for two different picks (another "
            "position, tomogram or species); give one of the lists new ids."
        )
    return rows
