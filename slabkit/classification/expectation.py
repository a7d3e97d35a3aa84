"""The expectation step: how probable each class, rotation and shift is for each image.

An image compared with every reference, shift and rotation is, order by order, a matrix product of
circular harmonics, and one more matrix product that sums the orders at every rotation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.backends import Backend
from slabkit.arrays.exact import log, squared_size
from slabkit.arrays.parallel import map_in_order
from slabkit.classification.harmonics import (
    CircularHarmonics,
    Coefficients,
    Floats,
    Indices,
    Shifts,
    Singles,
)
from slabkit.classification.limits import FAR, Limits

_BATCH_VALUES = 2_000_000
_MOST_IMAGES = 1000  # in a batch
_MOST = 0.5  # of classes: where more are needed, comparing all takes no longer
NEGLIGIBLE = 1e-4  # a posterior below this adds nothing to an average
_ROUNDING = 1e-5  # of the numbers that a sum of waves is of


@dataclass(frozen=True)
class References:
    """What images are compared with in one expectation step."""

    coefficients: Coefficients  # shape (classes, coefficients): class averages, noise white
    log_prior: Floats  # shape (classes, shifts): of class and shift
    # Inverse variance of the noise, times the share of values that are independent
    precision: float


@dataclass
class Expectation:
    """What one pass over images gives."""

    # Shape (images,); the most probable class; and the most probable shift and rotation within it
    best_class: Indices
    best_shift: Indices
    best_rotation: Indices
    # Shape (images,); posterior of the best class, summed over its rotations and shifts
    probability: Singles
    log_likelihood: Floats  # shape (images,); less terms that do not depend on the references
    agreement: Singles  # shape (images,); product of image and best reference, posed
    # Shape (classes, shifts, coefficients); images weighted by their posteriors and turned back,
    # still shifted
    sums: npt.NDArray[np.complex128]
    weights: Floats  # shape (classes, shifts); posteriors, summed
    power: Floats  # shape (classes, rings); power of the images, weighted likewise


class Comparison:
    """Rotations (evenly spaced) and shifts that are compared, on one device."""

    def __init__(
        self,
        basis: CircularHarmonics,
        shifts: Shifts,
        rotations: int,
        backend: Backend,
        jobs: int = 1,
    ) -> None:
        self.basis, self.shifts, self.rotations = basis, shifts, rotations
        self._backend, self._jobs = backend, jobs
        # At few places a wave of many periods looks like one of few, or like its mirror image.
        periods = np.arange(basis.orders) % rotations
        self._mirrored = 2 * periods > rotations
        self._periods = np.where(self._mirrored, rotations - periods, periods)

    def run(
        self,
        images: Callable[[slice], Coefficients],
        count: int,
        references: References,
        *,
        average: bool = True,
        limits: Limits | None = None,
    ) -> Expectation:
        """Compare all images (coefficients of a slice of them, noise white) with all references.

        With limits, which learn from each pass, references are left out that are next to nothing.
        """
        weighted, offset = self._weighted(references)
        precision, needed = references.precision, None
        if limits is not None:
            needed = limits.needed(images, count, references.coefficients, offset, precision)
        return self._run(images, count, weighted, offset, precision, average, limits, needed)

    def run_each(self, images: Coefficients, references: References) -> list[Expectation]:
        """Compare few images with each reference alone; nothing is averaged."""
        weighted, offset = self._weighted(references)
        banks = weighted.reshape(*offset.shape, -1)
        read, count, precision = images.__getitem__, len(images), references.precision
        return [
            self._run(read, count, bank, own[None], precision, average=False)
            for bank, own in zip(banks, offset, strict=True)
        ]

    def _run(
        self,
        images: Callable[[slice], Coefficients],
        count: int,
        weighted: Coefficients,
        offset: Floats,
        precision: float,
        average: bool,
        limits: Limits | None = None,
        needed: npt.NDArray[np.bool_] | None = None,
    ) -> Expectation:
        classes, shifts = offset.shape
        nb, rings = len(self.basis.order), self.basis.rings
        result = Expectation(
            best_class=np.zeros(count, dtype=np.intp),
            best_shift=np.zeros(count, dtype=np.intp),
            best_rotation=np.zeros(count, dtype=np.intp),
            probability=np.zeros(count, dtype=np.float32),
            log_likelihood=np.zeros(count),
            agreement=np.zeros(count, dtype=np.float32),
            sums=np.zeros((classes, shifts, nb) if average else (0, 0, 0), dtype=np.complex128),
            weights=np.zeros((classes, shifts)),
            power=np.zeros((classes, rings)),
        )
        prepared = self._prepare(weighted, offset, precision)
        compared = np.full(count, classes) if needed is None else needed.sum(1)
        most = count if needed is None else _MOST_IMAGES
        batches = self._batches(compared * (self.rotations * shifts), most)

        def work(batch: slice) -> tuple[slice, Batch]:
            own = None if needed is None else needed[batch]
            return batch, self._compare(images(batch), prepared, average, own)

        for batch, part in map_in_order(work, batches, self._jobs, ahead=4 * self._jobs):
            result.best_class[batch] = part.best_class
            result.best_shift[batch] = part.best_shift
            result.best_rotation[batch] = part.best_rotation
            result.probability[batch] = part.probability
            result.log_likelihood[batch] = part.log_likelihood
            result.agreement[batch] = part.agreement
            if limits is not None and part.reached is not None:
                limits.learn(batch, *part.reached)
            result.weights += part.weights
            result.power += part.power
            if part.sums is not None:
                flat = result.sums.reshape(classes * shifts, nb)
                flat[part.touched] += part.sums
        if average:
            self._finish(result, prepared)
        return result

    def _finish(self, result: Expectation, prepared: Any) -> None:
        """Add sums that batches did not give."""

    def _batches(self, poses: Indices, most: int) -> list[slice]:
        """Part images, each of which is compared in so many poses, into batches of so many."""
        ends, values = np.cumsum(poses), self._most_values()
        batches, start = [], 0
        while start < len(poses):
            done = int(ends[start - 1]) if start else 0
            stop = int(np.searchsorted(ends, done + values, side="right"))
            stop = min(max(stop, start + 1), start + most)
            batches.append(slice(start, stop))
            start = stop
        return batches

    def _most_values(self) -> int:
        """Give how many poses of images are compared at once."""
        return _BATCH_VALUES

    def _weighted(self, references: References) -> tuple[Coefficients, Floats]:
        """Give what images are multiplied with, shifted, and what is added: priors and norms."""
        basis = self.basis
        flat = self.shifts.apply(references.coefficients).reshape(-1, len(basis.order))
        weighted = np.asarray(np.conj(flat) * basis.weight, dtype=np.complex64)
        square = squared_size(references.coefficients)
        norm = np.einsum("kc,c->k", square, basis.weight.astype(float))[:, None]
        return weighted, references.log_prior - 0.5 * references.precision * norm

    def _prepare(self, weighted: Coefficients, offset: Floats, precision: float) -> Any:
        return _Prepared(
            [
                self._backend.complex_operand(np.ascontiguousarray(weighted[:, s].T))
                for s in self.basis.slices
            ],
            self._backend.put(offset.ravel().astype(np.float32)),
            offset.shape,
            precision,
            offset,
        )

    def _compare(
        self,
        images: Coefficients,
        to: Any,
        average: bool,
        needed: npt.NDArray[np.bool_] | None = None,
    ) -> Batch:
        """Compare some images with all classes, or with those at least that they need.

        Where it is said what they need, the highest scores in the classes are given too.
        """
        backend, basis = self._backend, self.basis
        count, (classes, shifts) = len(images), to.shape
        column = np.arange(classes * shifts)
        if needed is None:
            image = np.repeat(np.arange(count), len(column))
            column = np.tile(column, count)
            place, score, highest = self._near(self._waves(images, to), image)
            told = None
        else:
            if needed.mean() > _MOST:
                own, number = np.nonzero(np.ones_like(needed))
                waves = self._waves(images, to)
            else:
                number, own = np.nonzero(needed.T)  # class by class
                waves = self._some_waves(images, to, own, number)
            image = np.repeat(own, shifts)
            place, score, highest, top = self._near_of_all(waves, image)
            told = own, number, top.reshape(-1, shifts).max(1)
            column = column.reshape(to.shape)[number].ravel()
        image, column = image[place], column[place]
        score -= backend.put(highest[image])
        backend.exponentiate(score)
        summed = np.zeros((count, classes * shifts))
        summed[image, column] = backend.get(score.sum(0))  # over rotations
        total = summed.sum(1)
        summed /= total[:, None]
        by_class = summed.reshape(count, classes, shifts)
        per_class = by_class.sum(2)
        best_class = per_class.argmax(1)
        everyone = np.arange(count)
        best_shift = by_class[everyone, best_class].argmax(1)
        best = best_class * shifts + best_shift
        pair = image * (classes * shifts) + column
        place = np.searchsorted(pair, everyone * (classes * shifts) + best)
        chosen = backend.get(score[:, backend.put(place)])
        best_rotation = chosen.argmax(0)
        # What the best pose scored, without priors and norms: the product of image and reference.
        reached = log(np.maximum(chosen.max(0), 1e-30)) + highest
        agreement = (reached - to.offset_host.ravel()[best]) / to.precision
        powers = basis.ring_power(images)
        batch = Batch(
            best_class=best_class,
            best_shift=best_shift,
            best_rotation=best_rotation,
            probability=per_class[everyone, best_class].astype(np.float32),
            log_likelihood=highest.astype(np.float64) + log(total),
            agreement=agreement.astype(np.float32),
            weights=by_class.sum(0),
            power=np.einsum("nk,nr->kr", per_class, powers),
            reached=told,
        )
        if average:
            share = summed[image, column]
            some = np.flatnonzero(share > NEGLIGIBLE)
            some = some[np.argsort(column[some], kind="stable")]
            score = backend.get(backend.to_orders(backend.columns(score, backend.put(some))))
            self._average(batch, images, score, image[some], column[some], total)
        return batch

    def _scale(self, order: int, precision: float) -> float:
        """Give what products of an order are multiplied with."""
        # Waves are real: but for the least and the most periods, half of each is its mirror's.
        whole = 2 * int(self._periods[order]) in (0, self.rotations)
        return precision * (1.0 if whole else 0.5)

    def _waves(self, images: Coefficients, to: _Prepared) -> Any:
        """Compare images with all references: waves over rotations, (periods, columns).

        Columns are images, in these classes, in these shifts.
        """
        backend, basis = self._backend, self.basis
        shape = (len(images), to.offset.size)
        rows = backend.complex_rows(backend.put(images))
        waves = backend.no_waves((self.rotations // 2 + 1, *shape), basis.orders)
        for order, (part, bank) in enumerate(zip(basis.slices, to.bank, strict=True)):
            own = rows[:, 2 * part.start : 2 * part.stop]
            scale = self._scale(order, to.precision)
            if order < len(waves):
                backend.complex_product(own, bank, scale, waves[order])
            else:
                more = backend.no_waves(shape, len(images))
                backend.complex_product(own, bank, scale, more)
                waves[self._periods[order]] += more.conj() if self._mirrored[order] else more
        waves[0] += to.offset
        return waves.reshape(len(waves), -1)

    def _some_waves(
        self, images: Coefficients, to: _Prepared, image: Indices, number: Indices
    ) -> Any:
        """Give what `_waves` gives of images with classes of these numbers, which ascend."""
        basis, (classes, shifts) = self.basis, to.shape
        rows = self._backend.complex_rows(images)
        waves = self._backend.no_waves((self.rotations // 2 + 1, len(image), shifts), basis.orders)
        simple = min(basis.orders, len(waves))
        parts = [slice(2 * part.start, 2 * part.stop) for part in basis.slices]
        scale = np.array(
            [self._scale(order, to.precision) * unit for order, (_, unit) in enumerate(to.bank)]
        )
        ends = np.cumsum(np.bincount(number, minlength=classes))
        for own, stop in enumerate(ends.tolist()):
            pairs = slice(int(ends[own - 1]) if own else 0, stop)
            if pairs.start == stop:
                continue
            given = rows[image[pairs]]
            found = np.empty((basis.orders, len(given), 2 * shifts))
            for order, (part, bank) in enumerate(zip(parts, to.by_class, strict=True)):
                np.matmul(given[:, part], bank[own], out=found[order])
            found *= scale[:, None, None]
            waves[:simple, pairs].view(np.float32)[...] = found[:simple]
            for order in range(simple, basis.orders):
                more = found[order].astype(np.float32).view(np.complex64)
                more = more.conj() if self._mirrored[order] else more
                waves[self._periods[order], pairs] += more
        waves[0] += to.offset.reshape(to.shape)[number]
        return waves.reshape(len(waves), -1)

    def _near(self, waves: Any, image: Indices) -> tuple[Indices, Any, Singles]:
        """Give the columns of waves that are near the best of their image, and all their scores.

        Numbers of columns; scores, shape (rotations, columns); the highest score of each image.
        No rotation of a column scores more than its waves' heights together, so that most columns
        need not be summed at every rotation. ``image``, of each column, ascends.
        """
        backend = self._backend
        everyone = np.arange(int(image[-1]) + 1)
        starts = np.searchsorted(image, everyone)

        def scores(place: Indices) -> Any:
            own = backend.columns(waves, backend.put(place))
            return backend.from_orders(own, self.rotations)

        bound = backend.get(backend.bounds(waves))
        most = np.maximum.reduceat(bound, starts)
        leading = np.flatnonzero(bound == most[image])
        leading = leading[np.searchsorted(image[leading], everyone)]
        reached = backend.get(backend.highest(scores(leading), 0))
        least = reached - FAR - _ROUNDING * np.maximum.reduceat(np.abs(bound), starts)
        hopeful = np.flatnonzero(bound >= least[image])
        score = scores(hopeful)
        top = backend.get(backend.highest(score, 0))
        highest = np.maximum.reduceat(top, np.searchsorted(hopeful, starts))
        near = np.flatnonzero(top >= (highest - np.float32(FAR))[image[hopeful]])
        return hopeful[near], backend.columns(score, backend.put(near)), highest

    def _near_of_all(self, waves: Any, image: Indices) -> tuple[Indices, Any, Singles, Singles]:
        """Give what `_near` gives, and the highest score of each column."""
        backend = self._backend
        score = backend.from_orders(waves, self.rotations)
        top = backend.get(backend.highest(score, 0))
        highest = np.full(int(image.max()) + 1, -np.inf, dtype=np.float32)
        np.maximum.at(highest, image, top)
        near = np.flatnonzero(top >= (highest - np.float32(FAR))[image])
        near = near[np.argsort(image[near], kind="stable")]
        return near, backend.columns(score, backend.put(near)), highest, top

    def _average(
        self,
        batch: Batch,
        images: Coefficients,
        waves: Coefficients,
        image: Indices,
        column: Indices,
        total: Floats,
    ) -> None:
        """Turn images back and add them up, by the waves of their posteriors over rotations."""
        from scipy.sparse import csr_array

        basis = self.basis
        waves /= total[image].astype(np.float32)
        touched, starts = np.unique(column, return_index=True)
        shape = (len(touched), len(images))
        shares = csr_array((waves[0], image, np.append(starts, len(image))), shape)
        sums = np.empty((len(touched), len(basis.order)), dtype=np.complex64)
        # The adjoint of the comparison: an image rotated by θ is turned back by exp(imθ).
        for order, part in enumerate(basis.slices):
            wave = waves[self._periods[order]]
            shares.data = wave if self._mirrored[order] else wave.conj()
            sums[:, part] = shares @ images[:, part]
        batch.touched, batch.sums = touched, sums


@dataclass
class _Prepared:
    bank: list[Any]
    offset: Any
    shape: tuple[int, int]
    precision: float
    offset_host: Floats

    @cached_property
    def by_class(self) -> list[Floats]:
        """The bank class by class: for each order (classes, 2 * coefficients, 2 * shifts)."""
        classes, shifts = self.shape
        parts = [matrix.reshape(-1, classes, 2 * shifts).swapaxes(0, 1) for matrix, _ in self.bank]
        return [np.ascontiguousarray(part) for part in parts]


@dataclass
class Batch:
    """What the comparison of some images gives; as `Expectation`."""

    best_class: Indices
    best_shift: Indices
    best_rotation: Indices
    probability: Singles
    log_likelihood: Floats
    agreement: Singles
    weights: Floats
    power: Floats
    # Which images were compared with which classes, and the highest scores in these
    reached: tuple[Indices, Indices, Singles] | None = None
    touched: Indices | None = None
    sums: Coefficients | None = None
