"""The expectation step: how probable each class, rotation and shift is for each image.

An image compared with every reference, shift and rotation is, order by order, a matrix product of
circular harmonics, and one more matrix product that sums the orders at every rotation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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

_BATCH_VALUES = 2_000_000
NEGLIGIBLE = 1e-4  # a posterior below this adds nothing to an average
_ROUNDING = 1e-5  # of the numbers that a sum of waves is of
_FAR = 23.0  # below the highest logarithm, all rotations of a class and shift are next to nothing


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
    ) -> Expectation:
        """Compare all images (coefficients of a slice of them, noise white) with all references."""
        return self._run(images, count, *self._weighted(references), references.precision, average)

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
        size = self._batch_size(self.rotations * classes * shifts)
        batches = [slice(a, min(a + size, count)) for a in range(0, count, size)]

        def work(batch: slice) -> tuple[slice, Batch]:
            return batch, self._compare(images(batch), prepared, average)

        for batch, part in map_in_order(work, batches, self._jobs, ahead=4 * self._jobs):
            result.best_class[batch] = part.best_class
            result.best_shift[batch] = part.best_shift
            result.best_rotation[batch] = part.best_rotation
            result.probability[batch] = part.probability
            result.log_likelihood[batch] = part.log_likelihood
            result.agreement[batch] = part.agreement
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

    def _batch_size(self, poses: int) -> int:
        """Give how many images are compared at once; each in so many poses."""
        return max(1, _BATCH_VALUES // poses)

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

    def _compare(self, images: Coefficients, to: Any, average: bool) -> Batch:
        backend, basis = self._backend, self.basis
        count, (classes, shifts) = len(images), to.shape
        on_device = backend.put(images)
        waves = backend.no_waves((self.rotations // 2 + 1, count, classes * shifts), basis.orders)
        for order, (part, bank) in enumerate(zip(basis.slices, to.bank, strict=True)):
            periods = int(self._periods[order])
            # Waves are real: but for the least and the most periods, half of each is its mirror's.
            scale = to.precision * (1.0 if 2 * periods in (0, self.rotations) else 0.5)
            if order < len(waves):
                backend.complex_product(on_device[:, part], bank, scale, waves[order])
            else:
                more = backend.no_waves((count, classes * shifts), count)
                backend.complex_product(on_device[:, part], bank, scale, more)
                waves[periods] += more.conj() if self._mirrored[order] else more
        waves[0] += to.offset
        pair, score, highest = self._near(waves)
        image, column = np.divmod(pair, classes * shifts)
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
        )
        if average:
            share = summed[image, column]
            some = np.flatnonzero(share > NEGLIGIBLE)
            some = some[np.argsort(column[some], kind="stable")]
            score = backend.get(backend.to_orders(backend.columns(score, backend.put(some))))
            self._average(batch, images, score, image[some], column[some], total)
        return batch

    def _near(self, waves: Any) -> tuple[Indices, Any, Singles]:
        """Give the pairs of an image and a reference that are near its best, and all their scores.

        Numbers of pairs, counted over images, then references; scores, shape (rotations, pairs);
        the highest score of each image. No rotation of a pair scores more than its waves' heights
        together, so that most pairs need not be summed at every rotation.
        """
        backend = self._backend
        count, columns = waves.shape[1:]
        bound = backend.get(backend.bounds(waves))
        waves = waves.reshape(len(waves), -1)
        everyone = np.arange(count)

        def scores(pair: Indices) -> Any:
            own = backend.columns(waves, backend.put(pair))
            return backend.from_orders(own, self.rotations)

        reached = backend.get(backend.highest(scores(everyone * columns + bound.argmax(1)), 0))
        least = reached - _FAR - _ROUNDING * np.abs(bound).max(1)
        hopeful = np.flatnonzero(bound >= least[:, None])
        score = scores(hopeful)
        top = backend.get(backend.highest(score, 0))
        highest = np.maximum.reduceat(top, np.searchsorted(hopeful, everyone * columns))
        near = np.flatnonzero(top >= (highest - np.float32(_FAR))[hopeful // columns])
        return hopeful[near], backend.columns(score, backend.put(near)), highest

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
    touched: Indices | None = None
    sums: Coefficients | None = None
