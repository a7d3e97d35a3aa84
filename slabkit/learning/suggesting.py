"""What to label next under a model: labels that are expected to improve the named list most."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slabkit.learning.boxes import Boxes, Indices
from slabkit.learning.harmonics import similarities, transform
from slabkit.learning.judging import best_thresholds
from slabkit.learning.model import Model
from slabkit.learning.regression import Floats

_CONSIDERED = 6  # times as many as are asked for, of which varied ones are taken


def label_gains(probability: Floats, thresholds: Floats) -> Floats:
    """Give what the label of each minislab is expected to be worth, in F-beta summed over species.

    Accepting a pick as a species gains its probability less the threshold, in particles; knowing
    what it is gains 1 less the threshold where it is one. The difference, over how many particles
    of the species there are expected to be, is what a label is worth.
    """
    own = probability[:, :-1]
    share = 1 / np.maximum(own.sum(axis=0), 1.0)
    now = np.maximum(((own - thresholds) * share).max(axis=1), 0)
    return np.asarray((own * (1 - thresholds) * share).sum(axis=1) - now)


def choose_labels(
    model: Model,
    boxes: Boxes,
    probability: Floats,
    labelled: npt.NDArray[np.bool_],
    count: int,
    beta: float,
) -> tuple[Indices, Floats]:
    """Choose minislabs without a label, those worth most first, unlike each other.

    Parameters
    ----------
    model : Model
    boxes : Boxes
    probability : ndarray of float64, shape (n, classes)
        As `slabkit.predict_species` gives it.
    labelled : ndarray of bool, shape (n,)
        Those that have a label already.
    count : int
    beta : float

    Returns
    -------
    rows : ndarray of intp
        ``count`` at most.
    gains : ndarray of float64
        What each label is worth, less what it has in common with those before it.
    """
    gain = label_gains(probability, best_thresholds(probability, beta))
    open_ = np.flatnonzero(~labelled)
    best = open_[np.argsort(-gain[open_], kind="stable")][: _CONSIDERED * count]
    described = model.components.describe(transform(boxes.read(best)))
    unlike = np.ones(len(best))
    rows, gains = [], []
    for _ in range(min(count, len(best))):
        worth = np.where(unlike < 0, -np.inf, gain[best] * unlike)
        at = int(worth.argmax())
        rows.append(best[at])
        gains.append(worth[at])
        alike = similarities(described, described[np.array([at])])[:, 0]
        unlike = np.minimum(unlike, np.maximum(1 - alike.astype(np.float64), 0))
        unlike[at] = -1
    return np.array(rows, dtype=np.intp), np.array(gains, dtype=np.float64)


def choose_by_probability(
    probability: Floats, labelled: npt.NDArray[np.bool_], count: int, beta: float
) -> tuple[Indices, Floats]:
    """Choose minislabs without a label by probabilities alone, for a model that is to be learned.

    Every second is the likeliest of a species, in turn: a model needs examples of each, the plain
    ones too. The others are those whose label is worth most (`label_gains`).
    As `choose_labels`, ``probability`` and what is returned.
    """
    gain = label_gains(probability, best_thresholds(probability, beta))
    own = probability[:, :-1]
    queues = [iter(np.argsort(-gain, kind="stable").tolist())]
    queues += [iter(np.argsort(-own[:, k], kind="stable").tolist()) for k in range(own.shape[1])]
    taken = labelled.copy()
    rows: list[int] = []
    most = min(count, int((~labelled).sum()))
    turn = 0
    while len(rows) < most:
        # By worth, of the first species, by worth, of the second, ...
        queue = queues[0 if turn % 2 == 0 else 1 + turn // 2 % own.shape[1]]
        row = next((one for one in queue if not taken[one]), None)
        turn += 1
        if row is not None:
            taken[row] = True
            rows.append(row)
    chosen = np.array(rows, dtype=np.intp)
    return chosen, gain[chosen]
