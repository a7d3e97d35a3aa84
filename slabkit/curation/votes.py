"""Votes on picks: the decided rows of label tables, how those on one pick combine, confidence.

Confidence comes from rounds of labelling passed one after the other. The rule of the ground truth's
authors gives a particle 1 that was accepted in 2D classification and kept in the correct one of
several ab-initio reconstructions, 0.5 if it was accepted in 2D only, and 0 if it was rejected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError, warn
from slabkit.tables import (
    LABELS,
    LEDGER,
    MODEL_SOURCE,
    ROTATION,
    TIME,
    empty_table,
    label_entries,
    ledger_of,
    persons_labels,
    recorded_labels,
    validate_table,
)

if TYPE_CHECKING:
    import pandas as pd

Policy = Literal["latest", "all", "any", "majority", "weighted"]

POLICIES: tuple[str, ...] = get_args(Policy)

_WHO = ("slabkitRound", "slabkitAuthor", "slabkitSource")

Objects = npt.NDArray[np.object_]
Rule = dict[str, float]


def pool_labels(
    picks: pd.DataFrame, label_tables: Sequence[pd.DataFrame]
) -> tuple[pd.DataFrame, int]:
    """Pool the rows of label tables that are of picks in the list; count the others.

    Added to a label's columns: ``pick``, the row of its pick; ``entry``, what a ledger says of it;
    ``known``, whether the ledger of its pick does already. A row that a table has twice is one.
    """
    import pandas as pd

    checked = [validate_table(table, LABELS, "labels") for table in label_tables]
    extra = [name for name in (TIME, ROTATION) if any(name in one.columns for one in checked)]
    names = [*LABELS.names, *extra]
    checked = [_once(one.reindex(columns=names)) for one in checked]
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


def _once(labels: pd.DataFrame) -> pd.DataFrame:
    """Keep the last of the rows of one table that say the same of one pick; warn of the others."""
    again = labels.duplicated(keep="last")
    if again.any():
        first = labels.loc[again, "slabkitPickId"].iloc[0]
        warn(
            f"{int(again.sum())} rows of a label table repeat another one of it in all they say "
            f"(the first: pick {first}); they are not votes of their own."
        )
    return labels[~again]


def with_recorded(picks: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Put the labels that the ledgers hold before those that they do not; columns as before."""
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


def deciding(
    votes: pd.DataFrame, decision: Objects, weight: npt.NDArray[np.float64] | None = None
) -> pd.DataFrame:
    """Give the latest vote on each pick that agrees with what was decided.

    With weights, of votes for several species, one for that which weighs most.
    """
    agrees = votes["slabkitDecision"].to_numpy() == decision[votes["pick"].to_numpy()]
    agreeing = votes[agrees]
    if weight is not None:
        said = np.where(agreeing["slabkitSpecies"] == "", -1.0, weight[agrees])
        by_species = agreeing.assign(said=said).groupby(["pick", "slabkitSpecies"])["said"]
        sums = by_species.transform("sum").round(9)  # 0.1 + 0.2 against 0.3
        agreeing = agreeing[sums == sums.groupby(agreeing["pick"]).transform("max")]
    return agreeing.drop_duplicates("pick", keep="last")


def of_several_species(votes: pd.DataFrame, decision: Objects) -> int:
    """Count the picks that were accepted and of which votes say more than one species."""
    pick = votes["pick"].to_numpy()
    named = votes[
        (votes["slabkitDecision"] == "accepted")
        & (votes["slabkitSpecies"] != "")
        & (decision[pick] == "accepted")
    ]
    return int((named.groupby("pick")["slabkitSpecies"].nunique() > 1).sum())


def predicted(labels: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Tell which rows are predictions of a model."""
    return np.asarray(labels["slabkitSource"].str.startswith(MODEL_SOURCE), dtype=bool)


def without_overruling(
    votes: pd.DataFrame, labels: pd.DataFrame, picks: pd.DataFrame
) -> pd.DataFrame:
    """Leave out predictions of picks that a person decided: in ``labels``, or earlier."""
    guessed = predicted(votes)
    if not guessed.any():
        return votes
    said = decided(with_recorded(picks, labels))
    person = np.zeros(len(picks), dtype=bool)
    person[said["pick"].to_numpy()[persons_labels(said)]] = True
    # What was decided before and says not by whom counts as a person's.
    has_label = np.array(["label:" in ledger for ledger in ledger_of(picks)], dtype=bool)
    person |= (picks["slabkitDecision"] != "undecided").to_numpy() & ~has_label
    return votes[~(guessed & person[votes["pick"].to_numpy()])].reset_index(drop=True)


def check_weights(labels: pd.DataFrame, weights: Mapping[str, float] | None) -> None:
    """Refuse weights that are negative or not finite, or that no round, author or source has."""
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
    """Give each vote the product of the weights of its round, author and source; 1 without one."""
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
    decision = votes["slabkitDecision"].to_numpy(dtype=object)
    yes, no = (
        np.bincount(pick[decision == word], minlength=count).astype(np.int64)
        for word in ("accepted", "rejected")
    )
    return yes, no


def outcome(
    votes: pd.DataFrame, count: int, policy: Policy, weights: Mapping[str, float] | None = None
) -> Objects:
    """Combine the votes (oldest first) on each pick; undecided where they balance or are none."""
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
    decision = votes["slabkitDecision"].to_numpy(dtype=object)
    signed = np.where(decision == "accepted", weight, -weight)
    pick = votes["pick"].to_numpy()
    balance = np.bincount(pick, signed, minlength=count)
    # 0.1 + 0.2 against 0.3 is a tie, in spite of rounding.
    size = np.bincount(pick, weight, minlength=count)
    return np.where(np.abs(balance) <= 1e-9 * size, 0.0, balance)


def confidence_rule(rounds: str | Sequence[str] | Mapping[str, float]) -> Rule:
    """Read a rule of confidence: the rounds that a particle passes, first to last.

    Each may have the confidence of a particle that passed up to there, above 0, at most 1 and
    rising. Without numbers the steps are equal and the last round gives 1: ``class2d,abinitio`` is
    ``class2d=0.5,abinitio=1``, the rule of the authors.
    """
    if isinstance(rounds, str):
        rounds = [part.strip() for part in rounds.split(",")]
    if isinstance(rounds, Mapping):
        pairs = [(str(name), str(value)) for name, value in rounds.items()]
    else:
        split = [str(part).partition("=") for part in rounds]
        pairs = [(name.strip(), value.strip() if equals else "") for name, equals, value in split]
    names = [name for name, _ in pairs]
    if not names or "" in names:
        raise InputError("the confidence takes names of rounds, as class2d,abinitio.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"the confidence names the round {twice[0]} twice.")
    given = [value for _, value in pairs]
    if any(given) and not all(given):
        raise InputError("the confidence takes a number for every round, or for none.")
    if not any(given):
        return {name: (step + 1) / len(names) for step, name in enumerate(names)}
    try:
        values = [float(value) for value in given]
    except ValueError:
        raise InputError(
            f"the confidence takes ROUND=NUMBER, as class2d=0.5,abinitio=1, not {given}."
        ) from None
    rising = all(low < high for low, high in zip([0.0, *values], values, strict=False))
    if not rising or values[-1] > 1:
        raise InputError(
            "the confidences of the rounds must be above 0, at most 1, and rise from one round to "
            f"the next, not {', '.join(given)}."
        )
    return dict(zip(names, values, strict=True))


def check_rounds(rule: Rule, labels: pd.DataFrame) -> None:
    """Refuse a rule of rounds that no label is of."""
    there = set(labels["slabkitRound"])
    lacking = [name for name in rule if name not in there]
    if lacking and len(labels):
        named = ", ".join(sorted(there - {""})) or "none with a name (label --round names them)"
        raise InputError(
            f"the confidence is to come from the round {lacking[0]}, and no label is of that "
            f"round; there are {named}."
        )


def confidences(
    votes: pd.DataFrame,
    count: int,
    rule: Rule,
    policy: Policy,
    weights: Mapping[str, float] | None = None,
) -> tuple[npt.NDArray[np.float64], int]:
    """Score each pick by the rounds that it passed; count those that lack the first.

    The score is that of the last round passed without failing one before; 0 for what the first
    round rejected; NaN where the first round has no verdict.
    """
    score = np.full(count, np.nan)
    passed = np.ones(count, dtype=bool)
    later = np.zeros(count, dtype=bool)
    for step, (name, value) in enumerate(rule.items()):
        of_round = votes[votes["slabkitRound"] == name]
        verdict = outcome(of_round, count, policy, weights)
        passed &= verdict == "accepted"
        score[passed] = value
        if step == 0:
            score[verdict == "rejected"] = 0.0
        else:
            later |= verdict != "undecided"
    return score, int((later & np.isnan(score)).sum())
