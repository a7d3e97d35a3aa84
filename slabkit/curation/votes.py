"""Votes on picks: the decided rows of label tables, and how those on one pick combine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.tables import (
    LABELS,
    LEDGER,
    empty_table,
    label_entries,
    ledger_of,
    recorded_labels,
    validate_table,
)

if TYPE_CHECKING:
    import pandas as pd

Policy = Literal["latest", "all", "any", "majority", "weighted"]

POLICIES = ("latest", "all", "any", "majority", "weighted")

_WHO = ("slabkitRound", "slabkitAuthor", "slabkitSource")

Objects = npt.NDArray[np.object_]


def pool_labels(
    picks: pd.DataFrame, label_tables: Sequence[pd.DataFrame]
) -> tuple[pd.DataFrame, int]:
    """Pool label tables, oldest first.

    Parameters
    ----------
    picks : DataFrame
    label_tables : sequence of DataFrame
        Columns of `slabkit.tables.LABELS`.

    Returns
    -------
    labels : DataFrame
        The rows of picks in the list: columns of `slabkit.tables.LABELS`; ``pick``, the row of
        their pick; ``entry``, what the ledger says of them; ``known``, whether it does already.
    unknown : int
        Rows of other picks.

    Raises
    ------
    InputError
        No row is of a pick in the list.
    """
    import pandas as pd

    checked = [validate_table(table, LABELS, "labels")[LABELS.names] for table in label_tables]
    labels = pd.concat(checked, ignore_index=True) if checked else empty_table(LABELS)
    ids = pd.Index(picks["slabkitPickId"])
    labels["pick"] = ids.get_indexer(pd.Index(labels["slabkitPickId"])).astype(np.int64)
    unknown = (labels["pick"] < 0).to_numpy()
    if len(labels) and len(picks) and unknown.all():
        raise InputError(
            f"none of the {len(labels)} labels is of a pick in the list: they are of "
            f"{labels['slabkitPickId'].iloc[0]!r} and such, the picks are "
            f"{picks['slabkitPickId'].iloc[0]!r} and such; is it the pick list that the minislabs "
            "were made from? (Labels of conflicts need --conflicts.)"
        )
    labels = labels[~unknown].reset_index(drop=True)
    labels["entry"] = np.array(label_entries(labels), dtype=object)
    known = np.zeros(len(labels), dtype=bool)
    if LEDGER in picks.columns:
        ledgers = ledger_of(picks)
        known[:] = [
            entry in ledgers[pick].split(",")
            for pick, entry in zip(labels["pick"], labels["entry"], strict=True)
        ]
    labels["known"] = known
    return labels, int(unknown.sum())


def with_recorded(picks: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Put the labels that the ledgers hold before those that they do not.

    Parameters
    ----------
    picks : DataFrame
    labels : DataFrame
        As `pool_labels` gives them.

    Returns
    -------
    DataFrame
        As `pool_labels` gives them.
    """
    import pandas as pd

    old = recorded_labels(picks)
    ids = pd.Index(picks["slabkitPickId"])
    old["pick"] = ids.get_indexer(pd.Index(old["slabkitPickId"])).astype(np.int64)
    old = old[old["pick"] >= 0].reset_index(drop=True)  # not those of picks merged into these
    old["entry"] = np.array(label_entries(old), dtype=object)
    old["known"] = True
    return pd.concat([old, labels[~labels["known"]]], ignore_index=True)


def decided(labels: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows that say accepted or rejected: the votes."""
    return labels[labels["slabkitDecision"] != "undecided"].reset_index(drop=True)


def check_weights(labels: pd.DataFrame, weights: Mapping[str, float] | None) -> None:
    """Refuse weights that cannot be, or of nobody.

    Parameters
    ----------
    labels : DataFrame
        All there are.
    weights : mapping of str to float, optional

    Raises
    ------
    InputError
        A weight is negative or not finite, or nothing is called so.
    """
    for name, weight in (weights or {}).items():
        if not (np.isfinite(weight) and weight >= 0):
            raise InputError(
                f"the weight of {name} must be finite and not negative, not {weight:g}."
            )
        if len(labels) and not _named(labels, name).any():
            there = sorted({str(v) for column in _WHO for v in labels[column].unique()} - {""})
            raise InputError(
                f"a weight is given for {name}, and no label has that round, author or source; "
                f"there are {', '.join(there) or 'none with a name'}."
            )


def vote_weights(
    labels: pd.DataFrame, weights: Mapping[str, float] | None
) -> npt.NDArray[np.float64]:
    """Give the weight of each vote.

    Parameters
    ----------
    labels : DataFrame
    weights : mapping of str to float, optional
        By round, author or source. A vote whose round and author both have one weighs their
        product; what is not named weighs 1.

    Returns
    -------
    ndarray, shape (rows,)
    """
    factor = np.ones(len(labels))
    for name, weight in (weights or {}).items():
        factor[_named(labels, name)] *= weight
    return factor


def _named(labels: pd.DataFrame, name: str) -> npt.NDArray[np.bool_]:
    named = np.zeros(len(labels), dtype=bool)
    for column in _WHO:
        named |= (labels[column] == name).to_numpy(dtype=bool)
    return named


def tally(votes: pd.DataFrame, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Count the votes for and against each of ``count`` picks."""
    pick = votes["pick"].to_numpy()
    said = votes["slabkitDecision"].to_numpy(dtype=object)
    yes, no = (
        np.bincount(pick[said == word], minlength=count).astype(np.int64)
        for word in ("accepted", "rejected")
    )
    return yes, no


def outcome(
    votes: pd.DataFrame, count: int, policy: Policy, weights: Mapping[str, float] | None = None
) -> Objects:
    """Combine the votes on each pick.

    Parameters
    ----------
    votes : DataFrame
        Oldest first, with a column ``pick``.
    count : int
        Number of picks.
    policy : {"latest", "all", "any", "majority", "weighted"}
    weights : mapping of str to float, optional
        For the policy ``weighted``; see `vote_weights`.

    Returns
    -------
    ndarray of str, shape (count,)
        ``undecided`` where votes balance, and where there are none.
    """
    accepted, rejected = tally(votes, count)
    if policy == "latest":
        result = np.full(count, "undecided", dtype=object)
        last = votes.drop_duplicates("pick", keep="last")
        result[last["pick"].to_numpy()] = last["slabkitDecision"].to_numpy(dtype=object)
        return result
    if policy == "all":
        yes, no = (accepted > 0) & (rejected == 0), rejected > 0
    elif policy == "any":
        yes, no = accepted > 0, (accepted == 0) & (rejected > 0)
    elif policy == "majority":
        yes, no = accepted > rejected, rejected > accepted
    else:
        balance = _balance(votes, count, vote_weights(votes, weights))
        yes, no = balance > 0, balance < 0
    named = np.where(yes, "accepted", np.where(no, "rejected", "undecided"))
    return np.asarray(named, dtype=object)


def _balance(
    votes: pd.DataFrame, count: int, weight: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    said = votes["slabkitDecision"].to_numpy(dtype=object)
    signed = np.where(said == "accepted", weight, -weight)
    pick = votes["pick"].to_numpy()
    balance = np.bincount(pick, signed, minlength=count)
    # 0.1 + 0.2 against 0.3 is a tie, whatever the last bit says.
    size = np.bincount(pick, weight, minlength=count)
    return np.where(np.abs(balance) <= 1e-9 * size, 0.0, balance)
