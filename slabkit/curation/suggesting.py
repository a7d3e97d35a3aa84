"""What to label next: the minislabs of which a label changes the pick list most.

Where it is known beforehand how likely picks are particles, labels correct it (`corrected_odds`).
Else a class is a coin of unknown bias: its share of accepted picks has a Beta distribution, which
the labels of its members narrow. Before there are any, its mean is that of all classes. Where picks
have scores, a class is split by them into cells, and a cell starts from the share of its class,
moved by what picks of such scores do in all classes (on the scale of log odds).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import exp, log
from slabkit.curation.corrected_odds import CorrectedOdds
from slabkit.errors import InputError, warn
from slabkit.tables import LABELS, empty_table, make_table, require_unique, validate_table

if TYPE_CHECKING:
    import pandas as pd


Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_STRENGTH = 2.0  # labels that a prior is worth
_SCORE_GROUPS, _SCORE_GROUPS_ALONE = 3, 12
_EDGE = 1e-3


@dataclass(frozen=True)
class Suggestion:
    """Minislabs to label next, and what the labels so far are worth.

    Parameters
    ----------
    order : DataFrame
        The candidates to label, first to last, with ``slabkitSuggestion`` (from 1),
        ``slabkitProbability`` (of being accepted) and ``slabkitGain`` (what the label is expected
        to be worth, in picks decided rightly).
    decisions : DataFrame
        A label for every candidate, columns of `slabkit.tables.LABELS`: what people said, and for
        the others what follows from it, with the probability as score and ``propagated`` as
        source and round.
    expected_f_beta : float
        Of the decisions.
    labelled : int
        How many candidates have a label.
    """

    order: pd.DataFrame
    decisions: pd.DataFrame
    expected_f_beta: float
    labelled: int

    def __repr__(self) -> str:
        return (
            f"<Suggestion of {len(self.order)} minislabs; {self.labelled} of "
            f"{len(self.decisions)} are labelled, expected F {self.expected_f_beta:.3f}>"
        )


def suggest_labels(
    candidates: pd.DataFrame,
    labels: pd.DataFrame | None = None,
    *,
    count: int = 240,
    beta: float = 4.0,
) -> Suggestion:
    """Say which minislabs to show a person next, and what follows from the labels so far.

    Where candidates have a probability beforehand, say of class quality and score, labels shift the
    odds of all, stretch them, move those of their class, and say what a model's odds count. The
    list that is accepted is the one with the largest expected F-beta, so that picks are accepted
    from a certain probability t on. Asked first are those of which a decision without a label loses
    most.

    Without, the share of accepted picks in a class (split by score, where there are scores) has a
    Beta distribution, narrowed by labels. A label is worth more the more picks its class has, the
    less sure it is on which side of t the share lies, and the fewer labels it has already; and it
    settles the pick itself. Within a class, picks are taken from all over the range of scores (or
    of tomograms).

    Parameters
    ----------
    candidates : DataFrame
        One row a pick: ``slabkitPickId``, and ``slabkitClass`` or ``slabkitScore`` or both;
        ``slabkitTomogram`` where known. ``slabkitProbability`` where it is known how likely each
        pick is a particle (NaN: the mean of the others); scores are not looked at then. Beside it
        ``slabkitPredicted``, the probability by a model, of picks with a label by one that had not
        seen it (NaN: unknown).
    labels : DataFrame, optional
        Columns of `slabkit.tables.LABELS`, oldest first; the last verdict on a pick counts, and
        undecided is no verdict.
    count : int, optional
        How many to suggest, a gallery full by default.
    beta : float, optional
        Recall counts this many times as much as precision.

    Raises
    ------
    InputError
        There are neither classes nor scores, a pick is listed twice, a probability is not from 0 to
        1, or a number is not positive.

    Warns
    -----
    SlabkitWarning
        Fewer are left than asked for, or no label is of these picks.
    """
    if count < 1:
        raise InputError(f"the number of suggestions must be 1 or more, not {count}.")
    if not (np.isfinite(beta) and beta > 0):
        raise InputError(f"beta must be a positive number, not {beta!r}.")
    given = empty_table(LABELS) if labels is None else labels
    if "slabkitProbability" in candidates.columns and len(candidates):
        odds, by_id, verdict = _corrected(candidates, given)
        probability = np.empty(len(candidates))
        probability[by_id] = odds.probability
        probability = np.where(verdict < 0, probability, verdict)
        accepted, expected = best_acceptance(probability, beta)
        rows, gains = odds.choose(verdict[by_id] < 0, expected / (1 + beta**2), count)
        rows = by_id[rows]
    else:
        posterior = label_posterior(candidates, given)
        probability, verdict = posterior.probability, posterior.verdict
        accepted, expected = best_acceptance(probability, beta)
        rows, gains = _choose(candidates, posterior, expected / (1 + beta**2), count)
    labelled = int((verdict >= 0).sum())
    if len(given) and not labelled:
        warn(f"none of the {len(given)} labels decides one of the {len(candidates)} minislabs.")
    if not len(rows) and len(candidates):
        warn("all minislabs have labels; none is suggested.")
    elif len(rows) < count:
        warn(f"only {len(rows)} minislabs have no label yet, and {count} were to be suggested.")
    order = candidates.iloc[rows].assign(
        slabkitSuggestion=np.arange(1, len(rows) + 1),
        slabkitProbability=probability[rows],
        slabkitGain=gains,
    )
    decisions = _decisions(candidates, given, probability, verdict, accepted)
    return Suggestion(order.reset_index(drop=True), decisions, expected, labelled)


def _corrected(
    candidates: pd.DataFrame, labels: pd.DataFrame
) -> tuple[CorrectedOdds, Indices, Indices]:
    """Correct probabilities by labels: odds by pick id, the rows in that order, and verdicts."""
    require_unique(candidates, "slabkitPickId", "candidates")
    prior = candidates["slabkitProbability"].to_numpy(dtype=np.float64)
    known = np.isfinite(prior)
    if not known.any() or not ((prior[known] >= 0) & (prior[known] <= 1)).all():
        raise InputError("slabkitProbability: needs values from 0 to 1.")
    prior = np.where(known, prior, prior[known].mean())
    classes = np.zeros(len(prior), dtype=np.int64)
    if "slabkitClass" in candidates.columns:
        classes = candidates["slabkitClass"].factorize(sort=True)[0].astype(np.int64)
    verdict = _verdicts(candidates, labels)
    ids = candidates["slabkitPickId"].to_numpy(dtype=object).astype(str)
    by_id = np.argsort(ids, kind="stable")
    told = None
    if "slabkitPredicted" in candidates.columns:
        told = candidates["slabkitPredicted"].to_numpy(dtype=np.float64)[by_id]
    return CorrectedOdds.learn(prior[by_id], classes[by_id], verdict[by_id], told), by_id, verdict


def _choose(
    candidates: pd.DataFrame, posterior: Posterior, threshold: float, count: int
) -> tuple[Indices, Floats]:
    """Take in turn the pick that is worth most, as if it then got the label to be expected."""
    queues = _queues(candidates, posterior)
    left = np.array([len(queue) for queue in queues], dtype=np.int64)
    yes, no = posterior.accepted.copy(), posterior.rejected.copy()
    gain = _gain(yes, no, left, threshold)
    rows, gains = [], []
    taken = np.zeros(len(queues), dtype=np.int64)
    for _ in range(min(count, int(left.sum()))):
        best = int(np.argmax(gain))
        rows.append(queues[best][taken[best]])
        gains.append(float(gain[best]))
        taken[best] += 1
        left[best] -= 1
        mean = yes[best] / (yes[best] + no[best])
        yes[best] += mean
        no[best] += 1 - mean
        one = slice(best, best + 1)
        gain[one] = _gain(yes[one], no[one], left[one], threshold)
    return np.array(rows, dtype=np.int64), np.array(gains, dtype=np.float64)


def _gain(yes: Floats, no: Floats, left: Indices, threshold: float) -> Floats:
    from scipy.special import betainc

    total = yes + no
    mean = yes / total
    # Expected loss of deciding the cell now rather than knowing its share.
    above = mean * (1 - betainc(yes + 1, no, threshold)) - threshold * (
        1 - betainc(yes, no, threshold)
    )
    regret = np.where(mean >= threshold, above - (mean - threshold), above)
    itself = np.minimum(mean * (1 - threshold), threshold * (1 - mean))
    gain = left * np.maximum(regret, 0) / (total + 1) + itself
    return np.where(left > 0, gain, -np.inf)


def _queues(candidates: pd.DataFrame, posterior: Posterior) -> list[Indices]:
    """Order the picks of each cell so that any number of the first are spread over all."""
    ids = candidates["slabkitPickId"].to_numpy(dtype=object).astype(str)
    tomogram = (
        candidates["slabkitTomogram"].to_numpy(dtype=object).astype(str)
        if "slabkitTomogram" in candidates.columns
        else ids
    )
    score = np.zeros(len(ids))
    if "slabkitScore" in candidates.columns:
        score = np.nan_to_num(candidates["slabkitScore"].to_numpy(dtype=float))
    order = np.lexsort((ids, tomogram, score, posterior.cell))
    ends = np.searchsorted(posterior.cell[order], np.arange(len(posterior.accepted) + 1))
    queues = []
    for first, last in itertools.pairwise(ends.tolist()):
        members = order[first:last][_spread(last - first)]
        queues.append(members[posterior.verdict[members] < 0])
    return queues


def _spread(count: int) -> Indices:
    """Give 0 to count - 1 in the order of van der Corput: the middle, the quarters, the eighths."""
    bits = max(int(count).bit_length(), 1)
    numbers = np.arange(1, 2**bits)
    reverse = np.zeros(len(numbers))
    for bit in range(bits):
        reverse += ((numbers >> bit) & 1) / 2.0 ** (bit + 1)
    places = np.floor(reverse * count).astype(np.int64)
    _, first = np.unique(places, return_index=True)
    return places[np.sort(first)]


def _decisions(
    candidates: pd.DataFrame,
    labels: pd.DataFrame,
    probability: Floats,
    verdict: Indices,
    accepted: npt.NDArray[np.bool_],
) -> pd.DataFrame:
    import pandas as pd

    ids = candidates["slabkitPickId"]
    given = labels[
        labels["slabkitPickId"].isin(set(ids)) & (labels["slabkitDecision"] != "undecided")
    ]
    given = given.drop_duplicates("slabkitPickId", keep="last")
    open_ = verdict < 0
    if not open_.any():
        return make_table(LABELS, {name: given[name] for name in given.columns})
    classes = candidates["slabkitClass"] if "slabkitClass" in candidates.columns else ""
    inferred = make_table(
        LABELS,
        {
            "slabkitPickId": ids[open_].to_numpy(),
            "slabkitDecision": np.where(accepted[open_], "accepted", "rejected"),
            "slabkitClass": classes if isinstance(classes, str) else classes[open_].to_numpy(),
            "slabkitScore": probability[open_],
            "slabkitScoreKind": "probability",
            "slabkitSource": "propagated",
            "slabkitRound": "propagated",
        },
    )
    return pd.concat([given, inferred], ignore_index=True) if len(given) else inferred


@dataclass(frozen=True)
class Posterior:
    """What the labels so far say of each pick and of its cell (of class and score).

    ``accepted`` and ``rejected`` are the parameters of the Beta distribution of each cell's share
    of accepted picks; ``verdict`` of each pick is 1 accepted, 0 rejected by the last label, -1 not
    labelled.
    """

    cell: Indices
    accepted: Floats
    rejected: Floats
    verdict: Indices

    @property
    def probability(self) -> Floats:
        """Of each pick to be accepted, shape (picks,); 0 or 1 where it has a label."""
        mean = (self.accepted / (self.accepted + self.rejected))[self.cell]
        return np.where(self.verdict < 0, mean, self.verdict)


def inferred_probability(candidates: pd.DataFrame, labels: pd.DataFrame) -> tuple[Floats, Indices]:
    """Infer the probability of each pick as if it had no label itself.

    Gives the group too, numbers from 0, that it shares most of it with: its class or cell.
    """
    if "slabkitProbability" in candidates.columns and len(candidates):
        odds, by_id, _ = _corrected(candidates, labels)
        probability, group = np.empty(len(candidates)), np.empty(len(candidates), dtype=np.int64)
        probability[by_id], group[by_id] = odds.probability, odds.known.classes
        return probability, group
    posterior = label_posterior(candidates, labels)
    share = posterior.accepted / (posterior.accepted + posterior.rejected)
    return share[posterior.cell], posterior.cell


def label_posterior(candidates: pd.DataFrame, labels: pd.DataFrame) -> Posterior:
    """Infer how likely picks are to be accepted from their classes (empty for none) and scores."""
    require_unique(candidates, "slabkitPickId", "candidates")
    count = len(candidates)
    scores = np.full(count, np.nan)
    if "slabkitScore" in candidates.columns:
        scores = candidates["slabkitScore"].to_numpy(dtype=float)
    classes = np.zeros(count, dtype=np.int64)
    if "slabkitClass" in candidates.columns:
        classes = candidates["slabkitClass"].factorize()[0].astype(np.int64)
    several = count > 0 and classes.max() > 0
    if count and not several and not np.isfinite(scores).any():
        raise InputError(
            "the minislabs have neither classes nor scores, so nothing tells which to label first."
        )
    group = _groups(scores, _SCORE_GROUPS if several else _SCORE_GROUPS_ALONE)
    verdict = _verdicts(candidates, labels)
    _, first, cell = np.unique(
        np.stack([classes, group], axis=1), axis=0, return_index=True, return_inverse=True
    )
    cell = cell.reshape(-1).astype(np.int64)
    known = verdict >= 0
    yes = np.bincount(cell[known], verdict[known], len(first))
    number = np.bincount(cell[known], minlength=len(first))
    overall, class_yes, class_number = _classes(classes, verdict)
    # Of the class as its other cells have it: the labels of a cell count once.
    own = classes[first]
    share = (_STRENGTH * overall + class_yes[own] - yes) / (_STRENGTH + class_number[own] - number)
    moved = _by_score(classes, group, verdict, overall)
    prior = np.where(_only_cell(own), share, _expit(_logit(share) + moved[group[first]]))
    return Posterior(cell, _STRENGTH * prior + yes, _STRENGTH * (1 - prior) + number - yes, verdict)


def best_acceptance(probability: Floats, beta: float) -> tuple[npt.NDArray[np.bool_], float]:
    """Choose which picks to accept for the largest expected F-beta; give that too.

    Expected is F-beta with the expected numbers of picks that are right.
    """
    order = np.argsort(-probability, kind="stable")
    right = np.cumsum(probability[order])
    if not len(order) or not right[-1] > 0:
        return np.zeros(len(order), dtype=bool), 0.0
    f_beta = (1 + beta**2) * right / (np.arange(1, len(order) + 1) + beta**2 * right[-1])
    best = int(np.argmax(f_beta))
    # Picks of equal probability are all accepted or all not.
    return probability >= probability[order[best]], float(f_beta[best])


def _verdicts(candidates: pd.DataFrame, labels: pd.DataFrame) -> Indices:
    table = validate_table(labels, LABELS, "labels")
    table = table[table["slabkitDecision"] != "undecided"]
    table = table.drop_duplicates("slabkitPickId", keep="last")
    accepted = table["slabkitDecision"] == "accepted"
    known = dict(zip(table["slabkitPickId"], accepted, strict=True))
    return np.array([int(known.get(name, -1)) for name in candidates["slabkitPickId"]], np.int64)


def _groups(scores: Floats, groups: int) -> Indices:
    """Group picks by their score into equal numbers; those without one are a group of their own."""
    result = np.zeros(len(scores), dtype=np.int64)
    known = np.isfinite(scores)
    if known.any():
        values = scores[known]
        edges = np.unique(np.quantile(values, np.arange(1, groups) / groups))
        result[known] = 1 + np.searchsorted(edges, values, side="right")
    return result


def _classes(classes: Indices, verdict: Indices) -> tuple[float, Floats, Floats]:
    """Give the mean share of accepted picks in a class, and each class's accepted and labels."""
    known = verdict >= 0
    size = int(classes.max(initial=0)) + 1
    yes = np.bincount(classes[known], verdict[known], size).astype(np.float64)
    number = np.bincount(classes[known], minlength=size).astype(np.float64)
    # A mean over classes, not over labels, of which uncertain classes have more; one class that is
    # half accepted is known beforehand.
    weight = number / (number + _STRENGTH)
    share = yes / np.maximum(number, 1)
    overall = float((0.5 + (weight * share).sum()) / (1 + weight.sum()))
    return overall, yes, number


def _by_score(classes: Indices, group: Indices, verdict: Indices, overall: float) -> Floats:
    """Give what a group of scores adds to the log odds of a class."""
    known = verdict >= 0
    _, yes, number = _classes(classes, verdict)
    share = (_STRENGTH * overall + yes) / (_STRENGTH + number)
    groups = int(group.max(initial=0)) + 1
    count = np.bincount(group[known], minlength=groups)
    found = np.bincount(group[known], verdict[known], groups)
    expected = np.bincount(group[known], share[classes[known]], groups)
    mean = np.where(count > 0, expected / np.maximum(count, 1), overall)
    return _logit((found + _STRENGTH * mean) / (count + _STRENGTH)) - _logit(mean)


def _only_cell(classes: Indices) -> npt.NDArray[np.bool_]:
    """Tell which cells are the whole of their class, so that scores cannot split it."""
    return np.asarray(np.bincount(classes, minlength=1)[classes] == 1)


def _logit(share: Floats) -> Floats:
    inside = np.clip(share, _EDGE, 1 - _EDGE)
    return np.asarray(log(inside / (1 - inside)))


def _expit(odds: Floats) -> Floats:
    return np.asarray(np.clip(1 / (1 + exp(-odds)), _EDGE, 1 - _EDGE))
