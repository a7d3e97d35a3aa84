"""Odds that picks start with, and what labels make of them.

The log odds of a pick are those that it starts with, plus a shift of all, plus a slope times how
far they are from the middle, plus an effect of its class; shift, slope and effects are normal about
0. Labels are learned from by Laplace's approximation (Breslow and Clayton 1993, J. Am. Stat. Assoc.
88:9), and a pick's probability is the mean over what is left open (MacKay 1992, Neural Comput.
4:720). So one label tells of the whole list, of the picks with such odds, and of its class.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import log

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_SHIFT, _SLOPE, _CLASS = 1.0, 0.5, 0.7  # standard deviations before any label
_USUAL, _EVIDENCE = 0.5, 0.5  # what a model's log odds count: mean and standard deviation
_FAINT = 0.01  # no model says more
_SCALE = 2.0  # of log odds, to which the slope applies
_EDGE = 1e-4
_STEPS, _ENOUGH = 40, 1e-9
_BLOCK = 1024


@dataclass(frozen=True)
class CorrectedOdds:
    """Normal distributions of the log odds of picks, correlated by what they have in common.

    ``mean`` is the log odds of each pick; what is uncertain follows from ``known``.
    """

    mean: Floats
    known: _Knowledge

    @classmethod
    def learn(
        cls, prior: Floats, classes: Indices, verdict: Indices, told: Floats | None = None
    ) -> CorrectedOdds:
        """Learn from verdicts (1 accepted, 0 rejected, -1 none) on picks of prior probabilities.

        ``told`` is the probability by a model, of picks with a verdict by one that had not seen it.
        """
        inside = np.clip(prior, _EDGE, 1 - _EDGE)
        odds = np.asarray(log(inside / (1 - inside)), dtype=np.float64)
        along = (odds - np.median(odds)) / _SCALE if len(odds) else odds
        basis = np.stack([np.ones_like(along), along], axis=1)
        precision, usual = np.array([1 / _SHIFT**2, 1 / _SLOPE**2]), np.zeros(2)
        if told is not None:
            basis = np.column_stack([basis, _evidence(told)])
            precision, usual = np.append(precision, 1 / _EVIDENCE**2), np.append(usual, _USUAL)
        # So that the probability before any label is the prior, however much is open.
        start = odds / _shrinkage(_SHIFT**2 + (_SLOPE * along) ** 2 + _CLASS**2)
        rows = np.flatnonzero(verdict >= 0)
        said = verdict[rows].astype(np.float64)
        common, effect = usual.copy(), np.zeros(int(classes.max(initial=-1)) + 1)

        def of(common: Floats, effect: Floats) -> tuple[Floats, float]:
            found = start[rows] + _times(basis[rows], common) + effect[classes[rows]]
            return found, _loss(found, said, (common - usual) * precision**0.5, effect)

        own, loss = of(common, effect)
        for _ in range(_STEPS):
            share = _expit(own)
            known = _Knowledge.of(basis, precision, classes, rows, share * (1 - share))
            slope = np.einsum("i,ij->j", said - share, basis[rows]) - (common - usual) * precision
            of_class = np.bincount(classes[rows], said - share, len(effect)) - effect / _CLASS**2
            left = slope - np.einsum("cj,c->j", known.share, of_class)
            step = _times(known.common, left)
            of_class = of_class / known.own - _times(known.share, step)
            length, better = 1.0, False
            while not better and length > _ENOUGH:
                own, now = of(common + length * step, effect + length * of_class)
                better = now <= loss
                length /= 1 if better else 2
            if not better or loss - now < _ENOUGH:
                break
            common, effect, loss = common + length * step, effect + length * of_class, now
        own, _ = of(common, effect)
        share = _expit(own)
        mean = start + _times(basis, common) + effect[classes]
        return cls(mean, _Knowledge.of(basis, precision, classes, rows, share * (1 - share)))

    @property
    def probability(self) -> Floats:
        """Of each pick to be accepted."""
        return self._probability(self.known, np.arange(len(self.mean)))

    def choose(
        self, open_: npt.NDArray[np.bool_], threshold: float, count: int
    ) -> tuple[Indices, Floats]:
        """Choose picks in turn, of which a decision without a label loses most; gives that too.

        Those chosen count as labelled, but not how: of what they have in common with others less is
        open, so that those lose less.
        """
        rows = np.flatnonzero(open_).astype(np.int64)
        known = self.known.copy()
        # The largest is looked for among blocks' largest: of a million picks much is asked for.
        gain = np.full((-(-len(rows) // _BLOCK), _BLOCK), -np.inf)
        gain.reshape(-1)[: len(rows)] = self._stake(known, rows, threshold)
        most = gain.max(axis=1)
        seen = np.zeros(gain.shape, dtype=np.int64)  # how many were chosen when it was worth that
        chosen: list[int] = []
        gains: list[float] = []
        while len(chosen) < min(count, len(rows)):
            block = int(most.argmax())
            best = block, int(gain[block].argmax())
            row = rows[block * _BLOCK + best[1]][np.newaxis]
            if seen[best] < len(chosen):  # worth less since others were chosen, or the most even so
                gain[best], seen[best] = self._stake(known, row, threshold)[0], len(chosen)
            else:
                chosen.append(int(row[0]))
                gains.append(float(gain[best]))
                share = self._probability(known, row)
                known.add(row, share * (1 - share))
                gain[best] = -np.inf
            most[block] = gain[block].max()
        return np.array(chosen, dtype=np.int64), np.array(gains, dtype=np.float64)

    def _stake(self, known: _Knowledge, rows: Indices, threshold: float) -> Floats:
        """Give what is expected to be lost by deciding picks without a label."""
        share = self._probability(known, rows)
        return np.asarray(np.minimum(share * (1 - threshold), threshold * (1 - share)))

    def _probability(self, known: _Knowledge, rows: Indices) -> Floats:
        return _expit(self.mean[rows] * _shrinkage(known.variance(rows)))


@dataclass
class _Knowledge:
    """The precision of shift and slope, ``whole``, of the classes' effects, ``own``, and of both.

    A class has to do with others only by way of shift and slope, so that nothing larger than 2 × 2
    is inverted: ``common`` is the covariance of these two.
    """

    basis: Floats  # of shift and slope, (picks, 2)
    classes: Indices
    whole: Floats
    mixed: Floats  # (classes, 2)
    own: Floats
    share: Floats  # mixed / own
    common: Floats

    @classmethod
    def of(
        cls, basis: Floats, precision: Floats, classes: Indices, rows: Indices, weight: Floats
    ) -> _Knowledge:
        """Take labels with their weights."""
        count = int(classes.max(initial=-1)) + 1
        none = np.zeros((count, basis.shape[1]))
        own = np.full(count, 1 / _CLASS**2)
        whole = np.diag(precision)
        found = cls(basis, classes, whole, none, own, none, np.zeros_like(whole))
        found.add(rows, weight)
        return found

    def copy(self) -> _Knowledge:
        own = {name: getattr(self, name).copy() for name in ("whole", "mixed", "own")}
        return replace(self, **own)

    def add(self, rows: Indices, weight: Floats) -> None:
        """Add labels."""
        near, number = self.basis[rows], self.classes[rows]
        self.whole += np.einsum("i,ij,ik->jk", weight, near, near)
        np.add.at(self.mixed, number, weight[:, np.newaxis] * near)
        np.add.at(self.own, number, weight)
        self.share = self.mixed / self.own[:, np.newaxis]
        self.common = _inverse(self.whole - np.einsum("cj,ck->jk", self.mixed, self.share))

    def covariance(self, rows: Indices, others: Indices) -> Floats:
        """Of the log odds of picks and of others, (rows, others)."""
        near, far = self._apart(rows), self._apart(others)
        number = self.classes[rows]
        found = np.einsum("ij,kj->ik", _times(self.common, near.T).T, far)
        found += (number[:, np.newaxis] == self.classes[others]) / self.own[number][:, np.newaxis]
        return np.asarray(found)

    def variance(self, rows: Indices) -> Floats:
        """Of the log odds of picks."""
        near = self._apart(rows)
        found = np.einsum("ij,ij->i", _times(self.common, near.T).T, near)
        return np.asarray(found + 1 / self.own[self.classes[rows]])

    def _apart(self, rows: Indices) -> Floats:
        return np.asarray(self.basis[rows] - self.share[self.classes[rows]])


def _evidence(told: Floats) -> Floats:
    """Give how far log odds are above those of the mean of all; 0 where they are not known."""
    inside = np.clip(told, _FAINT, 1 - _FAINT)
    known = np.isfinite(inside)
    mean = np.clip(inside[known].mean() if known.any() else 0.5, _FAINT, 1 - _FAINT)
    odds = log(inside / (1 - inside)) - log(mean / (1 - mean))
    return np.where(known, odds, 0.0)


def _inverse(matrix: Floats) -> Floats:
    """Invert a symmetric matrix, 2 x 2 or 3 x 3; the same on every processor, as LAPACK is not."""
    if len(matrix) == 2:
        (a, b), (_, d) = matrix
        return np.asarray(np.array([[d, -b], [-b, a]]) / (a * d - b * b), dtype=np.float64)
    (a, b, c), (_, d, e), (_, _, f) = matrix.tolist()
    of_a, of_b, of_c = d * f - e * e, c * e - b * f, b * e - c * d
    whole = a * of_a + b * of_b + c * of_c
    of_d, of_e, of_f = a * f - c * c, b * c - a * e, a * d - b * b
    found = np.array([[of_a, of_b, of_c], [of_b, of_d, of_e], [of_c, of_e, of_f]])
    return np.asarray(found / whole, dtype=np.float64)


def _times(matrix: Floats, vector: Floats) -> Floats:
    return np.asarray(np.einsum("ij,j...->i...", matrix, vector))


def _expit(odds: Floats) -> Floats:
    from scipy.special import expit

    return np.asarray(expit(odds))


def _shrinkage(variance: Floats) -> Floats:
    """Give what log odds are multiplied by for the probability that is expected."""
    return np.asarray(1 / np.sqrt(1 + np.pi / 8 * variance))


def _loss(odds: Floats, said: Floats, away: Floats, effect: Floats) -> float:
    from scipy.special import log_expit

    missed = -float(log_expit(np.where(said > 0, odds, -odds)).sum())
    far = float((away**2).sum()) + float((effect**2).sum()) / _CLASS**2
    return missed + far / 2
