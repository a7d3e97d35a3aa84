"""How likely each pick is to be accepted, given the labels so far: by class and score.

A class is a coin of unknown bias: its share of accepted picks has a Beta distribution, which the
labels of its members narrow. Before there are any, its mean is that of all classes. Where picks
have scores, a class is split by them into cells, and a cell starts from the share of its class,
moved by what picks of such scores do in all classes (on the scale of log odds).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.tables import LABELS, require_unique, validate_table

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_STRENGTH = 2.0  # labels that a prior is worth
_SCORE_GROUPS, _SCORE_GROUPS_ALONE = 3, 12
_EDGE = 1e-3


@dataclass(frozen=True)
class Posterior:
    """What the labels so far say of each cell and pick.

    Parameters
    ----------
    cell : ndarray of int, shape (picks,)
        Of class and score.
    accepted, rejected : ndarray of float, shape (cells,)
        The parameters of the Beta distribution of a cell's share of accepted picks.
    verdict : ndarray of int, shape (picks,)
        1 accepted, 0 rejected by the last label, -1 not labelled.
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


def label_posterior(candidates: pd.DataFrame, labels: pd.DataFrame) -> Posterior:
    """Infer how likely picks are to be accepted.

    Parameters
    ----------
    candidates : DataFrame
        ``slabkitPickId`` and ``slabkitClass`` (text, empty for none) or ``slabkitScore`` or both.
    labels : DataFrame
        Columns of `slabkit.tables.LABELS`, oldest first; the last verdict on a pick counts.

    Returns
    -------
    Posterior

    Raises
    ------
    InputError
        There is neither class nor score, or a pick stands twice.
    """
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
    """Choose which picks to accept so that the F-beta to be expected is largest.

    Parameters
    ----------
    probability : ndarray, shape (picks,)
    beta : float

    Returns
    -------
    accepted : ndarray of bool, shape (picks,)
    expected : float
        F-beta with the expected numbers of picks that are right.
    """
    order = np.argsort(-probability, kind="stable")
    right = np.cumsum(probability[order])
    if not len(order) or not right[-1] > 0:
        return np.zeros(len(order), dtype=bool), 0.0
    f_beta = (1 + beta**2) * right / (np.arange(1, len(order) + 1) + beta**2 * right[-1])
    best = int(np.argmax(f_beta))
    # Equal picks are treated alike.
    return probability >= probability[order[best]], float(f_beta[best])


def _verdicts(candidates: pd.DataFrame, labels: pd.DataFrame) -> Indices:
    table = validate_table(labels, LABELS, "labels")
    table = table[table["slabkitDecision"] != "undecided"]
    table = table.drop_duplicates("slabkitPickId", keep="last")
    said = dict(zip(table["slabkitPickId"], table["slabkitDecision"] == "accepted", strict=True))
    return np.array([int(said.get(name, -1)) for name in candidates["slabkitPickId"]], np.int64)


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
    return np.log(inside / (1 - inside))


def _expit(odds: Floats) -> Floats:
    return np.clip(1 / (1 + np.exp(-odds)), _EDGE, 1 - _EDGE)
