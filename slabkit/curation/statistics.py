"""What a pick list holds: counts, distances to nearest neighbours, depths, and who labelled it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slabkit.tables import LABELS, PICKS, TOMOGRAMS, recorded_labels, validate_table

if TYPE_CHECKING:
    import pandas as pd

_XYZ = ["slabkitX", "slabkitY", "slabkitZ"]


@dataclass(frozen=True)
class PickStatistics:
    """Numbers of a pick list.

    Parameters
    ----------
    counts : DataFrame
        ``slabkitTomogram``, ``slabkitSpecies``, ``slabkitDecision``, ``slabkitSource`` and
        ``slabkitPicks``: how many have all of these. A tomogram without picks has a row with 0.
    picks : DataFrame
        One row a pick: id, tomogram, species, decision, score and its kind, and
        ``slabkitNearest`` (Å, to the nearest pick that is not rejected, of any species),
        ``slabkitNearestSame`` (of its species); NaN where there is no other, and for rejected
        picks. ``slabkitDepth``: z as a share of the tomogram's depth, 0 the first voxel's centre
        and 1 the last's; NaN where the size is not known.
    neighbours : DataFrame
        By species, of picks that are not rejected: ``slabkitPicks``, then of
        ``slabkitNearestSame`` the least, the 5th percentile and the median
        (``slabkitLeast``, ``slabkitPercentile5``, ``slabkitMedian``), and ``slabkitTooClose``: how
        many are closer than half their diameter to one of their species.
    labelling : DataFrame
        By ``slabkitAuthor`` and ``slabkitRound``: ``slabkitLabels``, ``slabkitPicks``,
        ``slabkitAccepted``, ``slabkitRejected``, ``slabkitUndecided``.
    """

    counts: pd.DataFrame
    picks: pd.DataFrame
    neighbours: pd.DataFrame
    labelling: pd.DataFrame

    def __repr__(self) -> str:
        return (
            f"<PickStatistics: {len(self.picks)} picks in "
            f"{self.counts['slabkitTomogram'].nunique()} tomograms, "
            f"{int(self.labelling['slabkitLabels'].sum())} labels>"
        )


def pick_statistics(
    picks: pd.DataFrame, tomograms: pd.DataFrame | None = None, labels: Sequence[pd.DataFrame] = ()
) -> PickStatistics:
    """Count and measure a pick list.

    Parameters
    ----------
    picks : DataFrame
        Columns of `slabkit.tables.PICKS`; with a ledger, the labels in it count.
    tomograms : DataFrame, optional
        Columns of `slabkit.tables.TOMOGRAMS`: sizes, and tomograms without picks.
    labels : sequence of DataFrame, optional
        Label tables that are not in the ledger; a label that is there already counts once.

    Raises
    ------
    InputError
        A table is not what it should be.
    """
    table = validate_table(picks, PICKS, "picks")
    known = None if tomograms is None else validate_table(tomograms, TOMOGRAMS, "tomograms")
    names = [] if known is None else known["slabkitTomogram"].tolist()
    measured = _measured(table, known)
    tables = [recorded_labels(table), *(validate_table(one, LABELS, "labels") for one in labels)]
    return PickStatistics(
        _counts(table, names), measured, _by_species(measured), _labelling(tables)
    )


def _counts(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    import pandas as pd

    keys = ["slabkitTomogram", "slabkitSpecies", "slabkitDecision", "slabkitSource"]
    counts = table.groupby(keys).size().rename("slabkitPicks").reset_index()
    used = set(table["slabkitTomogram"].unique())
    bare = [name for name in names if name not in used]
    empty = pd.DataFrame({key: [""] * len(bare) for key in keys}).assign(
        slabkitTomogram=bare, slabkitDecision="undecided", slabkitPicks=0
    )
    return pd.concat([counts, empty], ignore_index=True).sort_values(keys, ignore_index=True)


def _measured(table: pd.DataFrame, tomograms: pd.DataFrame | None) -> pd.DataFrame:
    columns = [
        "slabkitPickId",
        "slabkitTomogram",
        "slabkitSpecies",
        "slabkitDecision",
        "slabkitDiameter",
        "slabkitScore",
        "slabkitScoreKind",
    ]
    good = table[table["slabkitDecision"] != "rejected"]
    depth = np.full(len(table), np.nan)
    if tomograms is not None:
        last = (tomograms["slabkitTomogramSizeZ"] - 1) * tomograms["slabkitVoxelSize"]
        known = dict(zip(tomograms["slabkitTomogram"], last.where(last > 0), strict=True))
        depth = table["slabkitZ"].to_numpy() / table["slabkitTomogram"].map(known).to_numpy(float)
    nearest = _nearest(good, ["slabkitTomogram"]).reindex(table.index)
    same = _nearest(good, ["slabkitTomogram", "slabkitSpecies"]).reindex(table.index)
    return table[columns].assign(
        slabkitNearest=nearest, slabkitNearestSame=same, slabkitDepth=depth
    )


def _nearest(table: pd.DataFrame, keys: list[str]) -> pd.Series:
    """Give the distance of each pick to the nearest other with the same keys."""
    import pandas as pd
    from scipy.spatial import cKDTree

    result = pd.Series(np.nan, index=table.index, dtype=float)
    for _, rows in table.groupby(keys):
        if len(rows) > 1:
            points = rows[_XYZ].to_numpy()
            distance, _ = cKDTree(points).query(points, k=[2])
            result.loc[rows.index] = np.asarray(distance)[:, 0]
    return result


def _by_species(measured: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    rows = []
    good = measured[measured["slabkitDecision"] != "rejected"]
    for species, group in good.groupby("slabkitSpecies"):
        distance = group["slabkitNearestSame"]
        close = int((distance < group["slabkitDiameter"] / 2).sum())
        quantiles = distance.quantile([0.0, 0.05, 0.5]).tolist()
        rows.append((species, len(group), *quantiles, close))
    columns = ["Species", "Picks", "Least", "Percentile5", "Median", "TooClose"]
    return pd.DataFrame(rows, columns=[f"slabkit{name}" for name in columns])


def _labelling(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    labels = pd.concat(tables, ignore_index=True)[LABELS.names].drop_duplicates()
    keys = ["slabkitAuthor", "slabkitRound"]
    rows = []
    for (author, round_name), group in labels.groupby(keys):
        decisions = group["slabkitDecision"].value_counts()
        words = (int(decisions.get(word, 0)) for word in ("accepted", "rejected", "undecided"))
        rows.append((author, round_name, len(group), group["slabkitPickId"].nunique(), *words))
    columns = ["Author", "Round", "Labels", "Picks", "Accepted", "Rejected", "Undecided"]
    return pd.DataFrame(rows, columns=[f"slabkit{name}" for name in columns])
