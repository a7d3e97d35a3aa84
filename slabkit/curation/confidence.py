"""How sure a pick is: rounds of labelling passed one after the other, combined into a score.

The rule of the ground truth's authors gives a particle 1 that was accepted in 2D classification and
kept in the correct one of several ab-initio reconstructions, 0.5 if it was accepted in 2D only, and
0 if it was rejected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slabkit.curation.votes import Policy, outcome
from slabkit.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Rule = dict[str, float]


def confidence_rule(rounds: str | Sequence[str] | Mapping[str, float]) -> Rule:
    """Read a rule of confidence.

    Parameters
    ----------
    rounds : str, sequence of str, or mapping of str to float
        The rounds that a particle passes, first to last, and the confidence of one that passed
        up to there. Without numbers the steps are equal and the last round gives 1:
        ``class2d,abinitio`` is ``class2d=0.5,abinitio=1``, the rule of the authors.

    Returns
    -------
    dict of str to float

    Raises
    ------
    InputError
        No round, a round twice, or numbers that are not above 0, at most 1 and rising.
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
    """Refuse a rule of rounds that no label is of.

    Raises
    ------
    InputError
        Names the rounds that there are.
    """
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
    """Score each pick by the rounds that it passed.

    Parameters
    ----------
    votes : DataFrame
        As `slabkit.curation.votes.decided` gives them, of any rounds.
    count : int
        Number of picks.
    rule : dict of str to float
        See `confidence_rule`.
    policy, weights : optional
        How votes of one round on one pick combine.

    Returns
    -------
    confidence : ndarray, shape (count,)
        That of the last round passed without failing one before; 0 for what the first round
        rejected; NaN where the first round has no verdict.
    skipped : int
        Picks that a later round speaks of and the first does not.
    """
    score = np.full(count, np.nan)
    standing = np.ones(count, dtype=bool)
    later = np.zeros(count, dtype=bool)
    for step, (name, value) in enumerate(rule.items()):
        of_round = votes[votes["slabkitRound"] == name]
        verdict = outcome(of_round, count, policy, weights)
        standing &= verdict == "accepted"
        score[standing] = value
        if step == 0:
            score[verdict == "rejected"] = 0.0
        else:
            later |= verdict != "undecided"
    return score, int((later & np.isnan(score)).sum())
