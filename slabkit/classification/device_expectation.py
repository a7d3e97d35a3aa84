"""The expectation step on a device of PyTorch.

Here every pose of every image is weighed, as products of large matrices, where NumPy leaves out
those that are next to nothing: a device waits longer for a list of places than it works. What
comes back from a batch is a few numbers an image; the sums of the classes come at the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slabkit.classification.expectation import (
    NEGLIGIBLE,
    Batch,
    Comparison,
    Expectation,
)
from slabkit.classification.harmonics import Coefficients, Floats

_BYTES = 24  # a pose: scores, their waves, and what the Fourier transform takes beside


class DeviceComparison(Comparison):
    """As `Comparison`, dense, in PyTorch and single precision; for one job."""

    @property
    def _single(self) -> bool:
        """Whether the device knows no double precision."""
        return self._backend.name.startswith("mps")

    def _most_values(self) -> int:
        return int(self._backend.memory / _BYTES)

    def _prepare(self, weighted: Coefficients, offset: Floats, precision: float) -> _OnDevice:
        basis, put = self.basis, self._backend.put
        # Waves are real: but for the least and the most periods, half is the mirror's.
        whole = 2 * self._periods % self.rotations == 0
        scale = (precision * np.where(whole, 1.0, 0.5)).astype(np.float32)
        bank = zip(basis.slices, scale, strict=True)
        return _OnDevice(
            [put((weighted[:, part] * factor).T) for part, factor in bank],
            put(offset.ravel().astype(np.float32)),
            put(basis.ring_members.astype(np.float32)),
            put(np.zeros(weighted.shape, np.complex64 if self._single else np.complex128)),
            offset.shape,
            precision,
        )

    def _compare(
        self, images: Coefficients, to: _OnDevice, average: bool, needed: Any = None
    ) -> Batch:
        # ``needed`` is of limits, which no device is given.
        torch, put, get = self._backend.torch, self._backend.put, self._backend.get
        basis, precision = self.basis, to.precision
        count, (classes, shifts) = len(images), to.shape
        given = put(images)
        shape = (self.rotations // 2 + 1, count, classes * shifts)
        waves = torch.empty(shape, dtype=torch.complex64, device=given.device)
        waves[basis.orders :] = 0
        for order, (part, bank) in enumerate(zip(basis.slices, to.bank, strict=True)):
            if order < len(waves):
                torch.mm(given[:, part], bank, out=waves[order])
            else:
                product = given[:, part] @ bank
                waves[self._periods[order]] += product.conj() if self._mirrored[order] else product
        waves[0] += to.offset
        score = torch.fft.irfft(waves, self.rotations, dim=0, norm="forward")
        del waves
        highest = score.amax((0, 2))
        score -= highest[:, None]
        score.exp_()
        summed = score.sum(0)
        total = summed.sum(1)
        summed /= total[:, None]
        by_class = summed.reshape(count, classes, shifts)
        per_class = by_class.sum(2)
        everyone = torch.arange(count, device=given.device)
        best_class = per_class.argmax(1)
        best_shift = by_class[everyone, best_class].argmax(1)
        best = best_class * shifts + best_shift
        chosen, best_rotation = score[:, everyone, best].max(0)
        reached = torch.log(chosen.clamp_min(1e-30)) + highest
        power = (given.real**2 + given.imag**2) @ to.member
        batch = Batch(
            best_class=get(best_class),
            best_shift=get(best_shift),
            best_rotation=get(best_rotation),
            probability=get(per_class[everyone, best_class]),
            log_likelihood=get(highest).astype(np.float64) + np.log(get(total)),
            agreement=get((reached - to.offset[best]) / precision),
            weights=get(by_class.sum(0)),
            power=get(per_class.T @ power),
        )
        if average:
            score *= (summed > NEGLIGIBLE) / total[:, None]
            waves = torch.fft.rfft(score, dim=0)
            del score
            # The adjoint of the comparison: an image rotated by θ is turned back by exp(imθ). A
            # conjugate of the images is smaller than one of the waves.
            turned = given.conj().resolve_conj()
            sums = [
                wave.T @ given[:, part] if mirrored else (wave.T @ turned[:, part]).conj()
                for part, wave, mirrored in zip(
                    basis.slices, (waves[p] for p in self._periods), self._mirrored, strict=True
                )
            ]
            to.sums += torch.cat(sums, 1)
        return batch

    def _finish(self, result: Expectation, prepared: _OnDevice) -> None:
        result.sums += self._backend.get(prepared.sums).reshape(result.sums.shape)


class _OnDevice:
    def __init__(
        self,
        bank: list[Any],
        offset: Any,
        member: Any,
        sums: Any,
        shape: tuple[int, ...],
        precision: float,
    ) -> None:
        self.bank, self.offset, self.member, self.sums = bank, offset, member, sums
        self.shape, self.precision = shape, precision
