"""A model of species: learned from labelled minislabs, and what it says of others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.parallel import map_in_order
from slabkit.errors import InputError, warn
from slabkit.learning.boxes import Boxes, Indices, batches
from slabkit.learning.folds import shared_out
from slabkit.learning.harmonics import Components, Descriptions, similarities, transform
from slabkit.learning.judging import (
    NONE,
    Expectation,
    best_thresholds,
    calibrated,
    clearly_better,
    fit_calibration,
    judge,
    named,
    pooled,
)
from slabkit.learning.network import Network
from slabkit.learning.opinions import mixed, opinions, train_folds, training_backend
from slabkit.learning.regression import Codes, Floats, fit_regression, logits_of
from slabkit.learning.rotated_maps import RotatedMap
from slabkit.learning.scaling import relative_scores, scores_alone, weighed

KeptMap = tuple[npt.NDArray[np.float32], float]
Block = tuple[npt.NDArray[np.float32], list[str]]
Further = Callable[[npt.NDArray[np.bool_]], Mapping[str, Block]]
"""Gives further features, those of a block NaN where they are not wanted: they count as 0."""

_STRENGTH, _STRENGTH_OF_SCORES = 1.0, 4.0  # `C` of the two regressions
_TAUGHT = 2000  # labels of a class that the regression is fitted to, at most
_EXAMPLES, _EXAMPLES_OF_NONE = 60, 300  # of each species, and of none, to compare with
_SAMPLE = 3000  # minislabs whose components are found
_SEEN = 200  # minislabs without a label of a tomogram, at most
_ALONE = 12  # tomograms, of up to as many each is left out alone where it costs little
_FEWEST = 3  # labels of a species that is named
_CERTAIN = 0.995  # probability of none, from boxes alone, from which on nothing further is asked


@dataclass(frozen=True)
class Model:
    """What tells species apart.

    Attributes
    ----------
    classes : list of str
        Species in alphabetical order, then ``none``.
    kind : dict
        What minislabs it is for, and how it was made: plain values.
    components : Components
    examples : Descriptions
        Labelled minislabs that others are compared with.
    weights : ndarray of float64, shape (examples + 1, classes)
        Give scores of the similarities to the examples.
    usual : ndarray of float64, shape (2, classes - 1)
        Of the scores in a tomogram; see `slabkit.learning.scaling`.
    second : ndarray of float64, shape (2 × classes - 1 + columns + 1, classes)
        Weights of the scores, of the same on the scale of their tomogram, and of the columns.
    columns : list of str
        Further features, by name.
    calibration : ndarray of float64, shape (tomograms, classes + 2)
    thresholds : ndarray of float64, shape (classes - 1,)
        Probability of each species from which on to accept it.
    maps : mapping of str to (ndarray of float32, float)
        Density maps that features are made with, and their voxel sizes, Å.
    rotated : sequence of RotatedMap
        The same, turned for the voxel size of the tomograms that taught it.
    first : (ndarray of float64, ndarray of float64), optional
        ``second`` and ``calibration`` without further features, which are only asked for where
        these leave a doubt that there is nothing; None where there are none.
    networks : sequence of Network
        One a fold; the mean of what they say is weighed against all else.
    mixing : ndarray of float64, shape (tomograms, classes + 2), optional
        Calibration of the two together; None where there are no networks.
    held_out : mapping of str to float
        Probability of none of the labelled, by pick id, by models that had not seen them.
    """

    classes: list[str]
    kind: dict[str, Any]
    components: Components
    examples: Descriptions
    weights: Floats
    usual: Floats
    second: Floats
    calibration: Floats
    thresholds: Floats
    columns: list[str] = field(default_factory=list)
    maps: Mapping[str, KeptMap] = field(default_factory=dict)
    first: tuple[Floats, Floats] | None = None
    rotated: Sequence[RotatedMap] = ()
    networks: Sequence[Network] = ()
    mixing: Floats | None = None
    held_out: Mapping[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Model {self.id} of {', '.join(self.classes[:-1])}>"

    @property
    def id(self) -> str:
        """Eight characters that are those of no other model."""
        digest = hashlib.blake2b(digest_size=4)
        parts = [self.weights, self.usual, self.second, self.calibration, self.thresholds]
        parts += [self.examples.size, *(self.first or ())]
        parts += [part for one in self.networks for part in one.arrays.values()]
        parts += [] if self.mixing is None else [self.mixing]
        for part in [*parts, *(density for density, _ in self.maps.values())]:
            digest.update(np.ascontiguousarray(part).tobytes())
        digest.update(repr((self.classes, sorted(self.kind.items()))).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Learned:
    """A model, and what is expected of it.

    Attributes
    ----------
    model : Model
    expected : Expectation
    rows : ndarray of intp, shape (labelled,)
        The labelled minislabs.
    codes : ndarray of int64, shape (labelled,)
        What their labels say: the number of the class.
    probability : ndarray of float64, shape (labelled, classes)
        What models say that had not seen any label of the same tomogram.
    """

    model: Model
    expected: Expectation
    rows: Indices
    codes: Codes
    probability: Floats


def learn_species(
    boxes: Boxes,
    species: Sequence[str],
    tomograms: Sequence[str],
    *,
    kind: Mapping[str, Any],
    further: Further | None = None,
    maps: Mapping[str, KeptMap] | None = None,
    network: bool = False,
    device: str = "cpu",
    beta: float = 4.0,
    seed: int = 0,
    jobs: int = 1,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Learned:
    """Learn species from labelled minislabs; those without a label shape the components.

    Parameters
    ----------
    boxes : Boxes
    species : sequence of str
        Of each minislab: a species, ``none``, or empty where it has no label.
    tomograms : sequence of str
        Of each minislab. Calibration and expectations come from models that were taught without
        the labels of the same tomogram.
    kind : mapping
        Kept with the model.
    further : callable, optional
        Takes which minislabs it is wanted for, and gives further features: a mapping of str to
        (ndarray of float32, shape (minislabs, k), list of k str). NaN, where not known, counts as
        0.
    maps : mapping of str to (ndarray of float32, float), optional
        Density maps that they were made with, to be kept with the model.
    network : bool, optional
        Also train small convolutional networks, by PyTorch; `predict_species` does without it.
    device : str, optional
        That trains it, as PyTorch names it.
    beta : float, optional
        Thresholds are those of the best expected F-beta.
    seed : int, optional
        Draws examples, where there are more than are kept.
    jobs : int, optional
    progress : callable, optional

    Raises
    ------
    InputError
        There are no labels of a species, or none of what is no particle, or the device cannot be
        used.
    MissingDependencyError
        A network is asked for, and PyTorch is not installed.

    Warns
    -----
    SlabkitWarning
        A species has too few labels to be named, or all labels are of one tomogram.
    """
    rows, codes, classes = _labelled(species)
    backend = training_backend(device) if network else None
    every = np.concatenate([rows, _others(species, tomograms)])
    told = np.concatenate([codes, np.full(len(every) - len(rows), -1)])
    names = [tomograms[row] for row in every]
    groups = shared_out(names, told)
    owner = np.unique(np.array(names, dtype=str), return_inverse=True)[1].reshape(-1)
    components = _components(boxes, rows, seed, jobs, progress)
    described = _described(boxes, every, components, jobs, progress)
    chosen = _examples(codes, len(classes), seed)
    examples = described[chosen]
    features = similarities(described, examples).astype(np.float64)
    weights, logits = _taught(features, told, len(classes), groups, chosen, jobs, progress)
    scaled, usual = relative_scores(logits, owner)
    count, folds = len(rows), groups[: len(rows)]
    if 1 < len(set(names)) <= _ALONE:  # this is quick
        groups = owner
    logits, scaled, groups, owner = logits[:count], scaled[:count], groups[:count], owner[:count]

    def judged(values: Floats) -> tuple[Floats, Floats]:
        return _judged(weighed(logits, scaled, values), codes, len(classes), groups)

    def sure(held_back: Floats) -> tuple[Floats, Floats]:
        calibration = fit_calibration(held_back, codes, owner)
        return calibration, calibrated(held_back, calibration)

    second, held_back = judged(np.zeros((count, 0)))
    calibration, probability = sure(held_back)
    # Labels of few tomograms, unlike each other, teach how scores are to be weighed badly.
    if further is None and clearly_better(sure(logits)[1], probability, codes):
        alone = scores_alone(len(classes)), logits
        second, held_back = pooled([alone, (second, held_back)], codes)
        calibration, probability = sure(held_back)
    columns: list[str] = []
    first = None
    if further is not None:
        first = (second, calibration)
        doubtful = np.zeros(len(boxes), dtype=bool)
        doubtful[rows] = probability[:, -1] < _CERTAIN
        columns, values = _columns(further(doubtful), rows)
        second, held_back = judged(values)
        calibration, probability = sure(held_back)
    networks: list[Network] = []
    mixing = None
    if backend is not None:
        asked = probability[:, -1] < _CERTAIN
        used = _thinned(np.flatnonzero(asked | (codes < len(classes) - 1)), codes)
        networks, opinion = train_folds(
            backend, boxes, rows, codes, len(classes), folds, asked, used, seed, jobs, progress
        )
        together = mixed(probability, opinion)
        mixing = fit_calibration(together, codes, owner)
        probability = calibrated(together, mixing)
    thresholds = best_thresholds(probability, beta)
    thresholds[np.bincount(codes, minlength=len(classes))[:-1] < _FEWEST] = 1.0
    model = Model(
        classes,
        dict(kind) | {"beta": beta, "seed": seed, "labels": len(rows)},
        components,
        examples,
        weights,
        usual,
        second,
        calibration,
        thresholds,
        columns,
        dict(maps or {}),
        first,
        networks=networks,
        mixing=mixing,
    )
    expected = judge(probability, codes, classes, thresholds, beta, seed)
    return Learned(model, expected, rows, codes, probability)


def predict_species(
    model: Model,
    boxes: Boxes,
    *,
    tomograms: Sequence[str] | None = None,
    further: Further | None = None,
    jobs: int = 1,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> tuple[Floats, Codes]:
    """Say how likely minislabs show each species.

    Parameters
    ----------
    model : Model
    boxes : Boxes
    tomograms : sequence of str, optional
        Of each minislab, one by default: scores are compared with those of the same tomogram.
    further : callable, optional
        As for `learn_species`, the same columns.
    jobs : int, optional
    progress : callable, optional

    Returns
    -------
    probability : ndarray of float64, shape (n, classes)
    code : ndarray of int64, shape (n,)
        The class that each is named, by the thresholds of the model.

    Raises
    ------
    InputError
        The further features are not those of the model.
    """
    if (further is None) != (model.first is None):
        raise InputError("the model has other features than there are now.")

    def score(numbers: Indices) -> Floats:
        described = model.components.describe(transform(boxes.read(numbers)))
        return logits_of(similarities(described, model.examples), model.weights)

    parts = [np.zeros((0, len(model.classes)))]
    for part in map_in_order(score, batches(np.arange(len(boxes))), jobs):
        parts.append(part)
        progress("predicting", sum(map(len, parts)), len(boxes))
    logits = np.concatenate(parts)
    names = np.zeros(len(boxes)) if tomograms is None else np.array(tomograms, dtype=str)
    owner = np.unique(names, return_inverse=True)[1].reshape(-1)
    scaled, _ = relative_scores(logits, owner, model.usual)
    second, calibration = model.first or (model.second, model.calibration)
    told = weighed(logits, scaled, np.zeros((len(boxes), 0)))
    probability = calibrated(logits_of(told, second), calibration)
    if further is not None:
        wanted = probability[:, -1] < _CERTAIN
        columns, values = _columns(further(wanted), np.arange(len(boxes)))
        if columns != model.columns:
            raise InputError(
                "the model has other features than there are now: "
                f"{', '.join(model.columns) or 'none'} and {', '.join(columns) or 'none'}."
            )
        told = weighed(logits, scaled, values)
        probability = calibrated(logits_of(told, model.second), model.calibration)
    if model.mixing is not None:
        asked = np.flatnonzero(probability[:, -1] < _CERTAIN)
        opinion = opinions(model.networks, boxes, asked, jobs, progress)
        probability = calibrated(mixed(probability, opinion), model.mixing)
    return probability, named(probability, model.thresholds)


def _taught(
    features: Floats,
    codes: Codes,
    classes: int,
    groups: Indices,
    inside: Indices,
    jobs: int,
    progress: Callable[[str, int, int], None],
) -> tuple[Floats, Floats]:
    """Fit all labels, and each fold by the others: the weights, and the folds' scores.

    A code of -1 is no label. ``inside`` are the labels with which the features compare; those of a
    fold are not used to judge it.
    """
    labelled = np.flatnonzero(codes >= 0)
    folds = np.unique(groups)
    fits = [labelled, *(labelled[groups[labelled] != k] for k in folds)]

    def fit(taught: Indices) -> tuple[Floats, Indices]:
        used = np.flatnonzero(np.isin(inside, taught))
        own = _thinned(taught, codes)
        return fit_regression(features[np.ix_(own, used)], codes[own], classes, _STRENGTH), used

    logits = np.zeros((len(codes), classes))
    weights = np.zeros(0)
    for number, (found, used) in enumerate(map_in_order(fit, fits, min(jobs, 2))):
        progress("learning", number + 1, len(fits))
        if number == 0:
            weights = found
            continue
        left = np.flatnonzero(groups == folds[number - 1])
        logits[left] = logits_of(features[np.ix_(left, used)], found)
    return weights, logits


def _judged(told: Floats, codes: Codes, classes: int, groups: Indices) -> tuple[Floats, Floats]:
    """Weigh scores: the weights, and the folds' scores."""

    def fit(rows: npt.NDArray[np.bool_]) -> Floats:
        return fit_regression(told[rows], codes[rows], classes, _STRENGTH_OF_SCORES)

    logits = np.zeros((len(codes), classes))
    for fold in np.unique(groups):
        left = groups == fold
        logits[left] = logits_of(told[left], fit(~left))
    return fit(groups >= 0), logits


def _thinned(rows: Indices, codes: Codes) -> Indices:
    """Leave out labels of a class, evenly, where there are more than the regression needs."""
    parts = [rows[codes[rows] == code] for code in np.unique(codes[rows])]
    kept = [own[np.linspace(0, len(own) - 1, min(len(own), _TAUGHT)).astype(int)] for own in parts]
    return np.sort(np.concatenate(kept))


def _labelled(species: Sequence[str]) -> tuple[Indices, Codes, list[str]]:
    names, counts = np.unique(np.array(species, dtype=object).astype(str), return_counts=True)
    number = dict(zip(names.tolist(), counts.tolist(), strict=True))
    few = [name for name in number if name not in ("", NONE) and number[name] < _FEWEST]
    kept = [name for name in number if name not in ("", NONE)]
    if len(kept) == len(few):
        raise InputError(
            f"a species needs {_FEWEST} accepted labels to be learned, and none has as many; "
            "label more minislabs."
        )
    if number.get(NONE, 0) < _FEWEST:
        raise InputError(
            f"{number.get(NONE, 0)} labels say rejected, and {_FEWEST} are needed: what is no "
            "particle has to be shown too."
        )
    if few:
        listed = ", ".join(f"{name} ({number[name]})" for name in few)
        warn(f"fewer than {_FEWEST} labels, so suggested but never named: {listed}.")
    classes = [*kept, NONE]
    code = {name: k for k, name in enumerate(classes)}
    codes = np.array([code.get(name, -1) for name in species], dtype=np.int64)
    rows = np.flatnonzero(codes >= 0)
    return rows, codes[rows], classes


def _others(species: Sequence[str], tomograms: Sequence[str]) -> Indices:
    """Choose minislabs without a label, some of each tomogram with labels, to know its scores."""
    said = np.array([bool(name) for name in species])
    names = np.array(tomograms, dtype=str)
    parts = [np.zeros(0, dtype=np.intp)]
    for name in np.unique(names[said]):
        own = np.flatnonzero(~said & (names == name))
        parts.append(own[np.linspace(0, len(own) - 1, min(len(own), _SEEN)).astype(int)])
    return np.concatenate(parts)


def _components(
    boxes: Boxes, rows: Indices, seed: int, jobs: int, progress: Callable[[str, int, int], None]
) -> Components:
    """Find components of a sample of all minislabs, labelled or not."""
    count = len(boxes)
    sample = np.arange(count)
    if count > _SAMPLE:
        sample = np.sort(np.random.default_rng(seed).choice(count, _SAMPLE, replace=False))
    found = []
    for part in map_in_order(lambda n: transform(boxes.read(n)), batches(sample), jobs):
        found.append(part)
        progress("reading", sum(map(len, found)), len(sample))
    return Components.fit(np.concatenate(found))


def _described(
    boxes: Boxes,
    rows: Indices,
    components: Components,
    jobs: int,
    progress: Callable[[str, int, int], None],
) -> Descriptions:
    def describe(numbers: Indices) -> Descriptions:
        return components.describe(transform(boxes.read(numbers)))

    parts = []
    for part in map_in_order(describe, batches(rows), jobs):
        parts.append(part)
        progress("describing", sum(map(len, parts)), len(rows))
    return Descriptions.joined(parts)


def _examples(codes: Codes, classes: int, seed: int) -> Indices:
    random = np.random.default_rng(seed)
    chosen = []
    for code in range(classes):
        own = np.flatnonzero(codes == code)
        most = _EXAMPLES_OF_NONE if code == classes - 1 else _EXAMPLES
        chosen.append(random.permutation(own)[:most])
    return np.sort(np.concatenate(chosen))


def _columns(blocks: Mapping[str, Block], rows: Indices) -> tuple[list[str], Floats]:
    columns = [f"{name}/{column}" for name, (_, own) in blocks.items() for column in own]
    values = [np.nan_to_num(values[rows].astype(np.float64)) for values, _ in blocks.values()]
    return columns, np.hstack(values) if values else np.zeros((len(rows), 0))
