"""Several pick lists as one table: columns, distances, kinds of score, doubled ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.tables import PICKS, validate_table

if TYPE_CHECKING:
    import pandas as pd

_SAME_PLACE = 1e-3  # Å; positions that were written and read again


def pooled_picks(tables: list[pd.DataFrame]) -> pd.DataFrame:
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


def distances_of(
    pooled: pd.DataFrame, distance: float | Mapping[str, float]
) -> npt.NDArray[np.float64]:
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


def kind_ranks(pooled: pd.DataFrame, source: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Rank the kinds of score by the list in which they come first."""
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


def same_ids(
    pooled: pd.DataFrame, position: npt.NDArray[np.float64], priority: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Give each pick the best one of its id; refuse an id that means two places."""
    import pandas as pd

    best_first = np.lexsort([np.arange(len(pooled)), *(-priority.T[::-1])])
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
