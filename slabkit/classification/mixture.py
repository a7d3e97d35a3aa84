"""The mixture of rotated and shifted references, fitted by expectation maximisation.

The model is that of Sigworth 1998 (J. Struct. Biol. 122:328) for several references (Scheres et
al. 2005, J. Mol. Biol. 348:139): each image is one of K references, rotated and shifted, plus
noise. Classes, rotations and shifts are not decided but weighed by their probability.

From a random start few images of one kind end in a class with others that look a little like them,
and stay there, while many images of one kind have two classes. So up to a quarter of the classes is
divided, each in place of two that are made one (Ueda et al. 2000, Neural Comput. 12:2109).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from slabkit.arrays.backends import Backend
from slabkit.arrays.exact import eigenvectors, exp, log, product, squared_size, times
from slabkit.classification.expectation import Comparison, Expectation, References
from slabkit.classification.harmonics import (
    CircularHarmonics,
    Coefficients,
    Floats,
    Shifts,
    shift_grid,
)
from slabkit.classification.limits import Limits

_COARSE_SHARE = 0.5  # of the iterations
_COARSE_RINGS = 0.6
_SETTLED = 3  # iterations at the end in which classes are left alone
_EXCHANGED = 4  # one of so many classes is divided in place of two that are alike
_MANY, _IMAGES_A_CLASS = 8, 8  # from which on classes are divided
_DIVIDED = (0.0, 0.12, 0.24)  # of the iterations, after the coarse ones: when
_FEWEST, _LOOKED_AT = 3, 100  # images of a part; and of a class, by which it is divided
PRIOR_IMAGES = 1.0  # of zeros, which shrink averages of few images
_SHARPNESS = 1.0


@dataclass(frozen=True)
class Sampling:
    """How finely poses are sampled at the end; the first iterations are coarser."""

    rotations: int  # evenly spaced
    shift_reach_px: float
    shift_step_px: float


@dataclass
class Mixture:
    """The state of the fit."""

    references: Coefficients  # shape (classes, coefficients); white
    share: Floats  # shape (classes,); prior of each class
    shift_sd_px: float  # of the prior of shifts
    variance: float  # of the noise: what the references leave of an image's unit norm
    log_likelihood: list[float] = field(default_factory=list)  # per image, after each iteration


def fit_mixture(
    images: Coefficients,
    basis: CircularHarmonics,
    classes: int,
    sampling: Sampling,
    *,
    iterations: int,
    seed: int,
    backend: Backend,
    jobs: int = 1,
    progress: Callable[[int, float], None] = lambda iteration, log_likelihood: None,
) -> tuple[Mixture, Comparison, Expectation]:
    """Fit references to white images of unit norm; the expectation is of the final references.

    The result does not depend on ``jobs``; ``progress`` is called after each iteration with its
    number, from 1, and the log-likelihood of an image.
    """
    generator = np.random.default_rng(seed)
    coarse_iterations = int(_COARSE_SHARE * iterations)
    exchanges = _exchanges(len(images), classes, iterations, coarse_iterations)
    mixture = _start(images, classes, sampling, generator)
    coarse_rings = max(3, round(_COARSE_RINGS * basis.rings))
    coarse = CircularHarmonics(basis.box_px, basis.radius_px, min(coarse_rings, basis.rings))
    columns = np.flatnonzero(basis.ring < coarse.rings)
    step = sampling.shift_step_px
    coarse_step = 2 * step if sampling.shift_reach_px >= 2 * step else step
    comparison = _comparison_on(backend)
    jobs = jobs if backend.torch is None else 1  # one thread feeds a device
    first = comparison(
        coarse,
        Shifts(coarse, *shift_grid(sampling.shift_reach_px, coarse_step)),
        max(1, sampling.rotations // 2),
        backend,
        jobs,
    )
    last = comparison(
        basis,
        Shifts(basis, *shift_grid(sampling.shift_reach_px, step)),
        sampling.rotations,
        backend,
        jobs,
    )
    limits = Limits(basis) if backend.torch is None else None
    for iteration in range(iterations):
        stage, chosen = (first, columns) if iteration < coarse_iterations else (last, None)
        # The first fine pass adds the fine rings: until then nothing is known of them.
        kept = limits if iteration > coarse_iterations else None
        found = _expect(stage, images, mixture, chosen, kept)
        means = _maximise(stage, found, mixture, len(images))
        if iteration in exchanges:
            _exchange(means, found, stage, images, mixture, chosen, exchanges[iteration])
        elif iteration < iterations - _SETTLED:
            _reseed(means, found, stage, images, mixture, chosen, generator)
        if chosen is None:
            mixture.references = means
        else:
            # What the coarse basis does not have starts from nothing.
            mixture.references = np.zeros((classes, len(basis.order)), dtype=np.complex64)
            mixture.references[:, chosen] = means
        progress(iteration + 1, mixture.log_likelihood[-1])
    return mixture, last, _expect(last, images, mixture, None, limits)


def _exchanges(images: int, classes: int, iterations: int, coarse: int) -> dict[int, int]:
    """Say after which iterations how many classes are divided at most."""
    divides = classes >= _MANY and images >= _IMAGES_A_CLASS * classes
    most = classes // _EXCHANGED if divides else 0
    last = max(iterations - _SETTLED - 1, 0)
    found: dict[int, int] = {}
    for number, part in enumerate(_DIVIDED):
        count = most * (number + 1) // len(_DIVIDED) - most * number // len(_DIVIDED)
        iteration = min(coarse + round(part * iterations), last)
        if count:
            found[iteration] = found.get(iteration, 0) + count
    return found


def _comparison_on(backend: Backend) -> type[Comparison]:
    if backend.torch is None:
        return Comparison
    from slabkit.classification.device_expectation import DeviceComparison

    return DeviceComparison


def _start(
    images: Coefficients, classes: int, sampling: Sampling, generator: np.random.Generator
) -> Mixture:
    """Average random parts of the images: references that differ little, and grow apart."""
    members = np.array_split(generator.permutation(len(images)), classes)
    return Mixture(
        references=np.stack([images[np.sort(part)].mean(0) for part in members]),
        share=np.full(classes, 1 / classes),
        shift_sd_px=max(sampling.shift_reach_px / 2, 0.5),
        variance=1.0,
    )


def _expect(
    stage: Comparison,
    images: Coefficients,
    mixture: Mixture,
    columns: npt.NDArray[np.intp] | None,
    limits: Limits | None = None,
) -> Expectation:
    def read(batch: slice) -> Coefficients:
        part = images[batch] if columns is None else images[batch][:, columns]
        return np.ascontiguousarray(part)

    return stage.run(read, len(images), references_of(stage, mixture, columns), limits=limits)


def references_of(
    stage: Comparison, mixture: Mixture, columns: npt.NDArray[np.intp] | None = None
) -> References:
    """Give what images are compared with in a state of the fit."""
    shifts = stage.shifts
    shift_prior = -(shifts.y_px**2 + shifts.x_px**2) / (2 * mixture.shift_sd_px**2)
    shift_prior -= log(exp(shift_prior).sum())
    references = mixture.references if columns is None else mixture.references[:, columns]
    prior = log(mixture.share)[:, None] + shift_prior
    precision = _SHARPNESS * stage.basis.independent / mixture.variance
    return References(references, prior, precision)


def _maximise(stage: Comparison, found: Expectation, mixture: Mixture, count: int) -> Coefficients:
    basis, shifts = stage.basis, stage.shifts
    members = found.weights.sum(1)
    sums = shifts.gather(found.sums)
    means = np.asarray(sums / (members + PRIOR_IMAGES)[:, None], dtype=np.complex64)
    weight = basis.weight.astype(float)
    rings = 2 * np.pi * basis.frequency * basis.box_px
    power = float((found.power.sum(0) * rings).sum())
    explained = float(np.einsum("k,kc,c->", members, squared_size(means), weight))
    mixture.variance = max((power - explained) / count, 1e-3 * power / count)
    mixture.share = (members + 1) / (count + len(members))
    squared = shifts.y_px**2 + shifts.x_px**2
    spread = float((found.weights.sum(0) * squared).sum() / (2 * members.sum()))
    most = float(np.sqrt(squared.max(initial=0.0)))
    mixture.shift_sd_px = float(np.clip(np.sqrt(spread), 0.5, max(most, 0.5)))
    mixture.log_likelihood.append(float(found.log_likelihood.mean()))
    return means


def _reseed(
    means: Coefficients,
    found: Expectation,
    stage: Comparison,
    images: Coefficients,
    mixture: Mixture,
    columns: npt.NDArray[np.intp] | None,
    generator: np.random.Generator,
) -> None:
    """Give a class that lost its members half of the largest one, leaning to one of its images."""
    members = found.weights.sum(1)
    fair = len(images) / len(members)
    fewest = max(0.1 * fair, min(2.0, 0.5 * fair))
    for empty in np.flatnonzero(members < fewest):
        largest = int(members.argmax())
        own = np.flatnonzero(found.best_class == largest)
        if members[largest] < 2 * fewest or not len(own):
            return
        image = int(own[generator.integers(len(own))])
        posed = _posed(np.array([image]), found, stage, images, columns)[0]
        means[empty] = 0.5 * (means[largest] + posed)
        members[empty] = members[largest] = members[largest] / 2
        mixture.share[empty] = mixture.share[largest] = mixture.share[largest] / 2


def _exchange(
    means: Coefficients,
    found: Expectation,
    stage: Comparison,
    images: Coefficients,
    mixture: Mixture,
    columns: npt.NDArray[np.intp] | None,
    most: int,
) -> None:
    """Divide classes of two kinds, each in place of the two classes that are most alike.

    Those are divided whose members differ in one way more than in any other. Alike are those of
    which one average for both loses least (Ward 1963, J. Am. Stat. Assoc. 58:236).
    """
    members = found.weights.sum(1)
    divided = []
    for number in range(len(means)):
        own = np.flatnonzero(found.best_class == number)[:_LOOKED_AT]
        if len(own) < 2 * _FEWEST:
            continue
        posed = _posed(own, found, stage, images, columns)
        gap, second = two_kinds(posed * np.sqrt(stage.basis.weight))
        if min(second.sum(), (~second).sum()) >= _FEWEST:
            divided.append((gap, number, posed, second))
    divided.sort(key=lambda one: -one[0])
    # Every average as seen by each, in the pose in which they are most alike.
    level = np.zeros((len(means), len(stage.shifts)))
    precision = stage.basis.independent / mixture.variance
    seen = stage.run_each(means, References(means, level, precision))
    square = np.einsum("kc,c->k", squared_size(means), stage.basis.weight.astype(float))
    agreement = np.stack([one.agreement for one in seen], axis=1).astype(np.float64)
    both = members[:, None] + members
    loss = members[:, None] * members / np.maximum(both, 1e-9)
    loss *= square[:, None] + square - 2 * agreement
    np.fill_diagonal(loss, np.inf)
    for _, number, posed, second in divided:
        if most == 0 or np.isinf(loss[number]).all():  # it took part already
            continue
        loss[number] = loss[:, number] = np.inf
        one, other = (int(place) for place in np.unravel_index(loss.argmin(), loss.shape))
        if np.isinf(loss[one, other]):
            return
        loss[[one, other]] = loss[:, [one, other]] = np.inf
        share = members[one] / max(both[one, other], 1e-9)
        moved = _posed(np.array([one]), seen[other], stage, means, None)[0]
        means[other] = share * moved + (1 - share) * means[other]
        mixture.share[other] += mixture.share[one]
        means[one] = posed[second].sum(0) / (second.sum() + PRIOR_IMAGES)
        means[number] = posed[~second].sum(0) / ((~second).sum() + PRIOR_IMAGES)
        mixture.share[one] = mixture.share[number] * second.mean()
        mixture.share[number] -= mixture.share[one]
        most -= 1


def two_kinds(values: Coefficients) -> tuple[float, npt.NDArray[np.bool_]]:
    """Part rows along the direction in which they vary most.

    Gives by how much that variance (a sum over rows) exceeds the next direction's, and who is on
    the one side.
    """
    parts = np.concatenate([values.real, values.imag], axis=1).astype(np.float64)
    parts -= parts.mean(axis=0)
    power, vectors = eigenvectors(product(parts, parts.T))
    return float(power[-1] - power[-2]), vectors[:, -1] > 0


def _posed(
    numbers: npt.NDArray[np.intp],
    found: Expectation,
    stage: Comparison,
    images: Coefficients,
    columns: npt.NDArray[np.intp] | None,
) -> Coefficients:
    """Turn and shift images back, as they fit their best references."""
    values = images[numbers] if columns is None else images[numbers][:, columns]
    angle = 2 * np.pi * found.best_rotation[numbers] / stage.rotations
    turned = times(values, np.exp(1j * angle[:, None] * stage.basis.order))
    return stage.shifts.back(turned.astype(np.complex64), found.best_shift[numbers])
