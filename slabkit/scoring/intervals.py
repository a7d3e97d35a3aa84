"""How sure a score is: bootstrap intervals over tomograms."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError, warn
from slabkit.scoring.score import Mode, Score, score_picks

if TYPE_CHECKING:
    import pandas as pd

Floats: TypeAlias = npt.NDArray[np.float64]

_FEW = 5  # tomograms, below which an interval means little
_MEASURES = ("precision", "recall", "f_beta")


@dataclass(frozen=True)
class ScoreIntervals:
    """A score with the range in which it may lie.

    Parameters
    ----------
    score : Score
        Of all tomograms.
    table : DataFrame
        One row a species, then ``all`` (pooled over species) and ``weighted`` (F-beta only):
        ``species`` and, for each of precision, recall and f_beta, its value and its ``_low`` and
        ``_high`` ends; NaN where it is not defined.
    tomograms, resamples : int
    level : float
        Share of resamples between the ends.
    """

    score: Score
    table: pd.DataFrame
    tomograms: int
    resamples: int
    level: float

    def __repr__(self) -> str:
        row = self.table.iloc[-1]
        return (
            f"<ScoreIntervals ({self.score.mode}): weighted F{self.score.beta:g} "
            f"{row['f_beta']:.3f} ({row['f_beta_low']:.3f} to {row['f_beta_high']:.3f})>"
        )


def score_intervals(
    picks: pd.DataFrame,
    truth: pd.DataFrame,
    *,
    radii: Mapping[str, float] | None = None,
    weights: Mapping[str, float] | None = None,
    beta: float = 4.0,
    mode: Mode = "strict",
    truth_tomograms: Iterable[str] | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> ScoreIntervals:
    """Score picks, and say how far the score depends on which tomograms there are.

    Tomograms are drawn with replacement, as many as there are, and scored again; the ends of an
    interval are percentiles of that (B. Efron, Ann. Stat. 7 (1979) 1). Picks and particles of one
    tomogram stay together, because they depend on each other.

    Parameters
    ----------
    picks, truth, radii, weights, beta, mode, truth_tomograms
        As for `score_picks`.
    resamples : int, optional
        How often to draw.
    level : float, optional
        Share of the resamples that an interval holds.
    seed : int, optional

    Raises
    ------
    InputError
        As `score_picks`; or fewer than two tomograms, or numbers that make no sense.

    Warns
    -----
    SlabkitWarning
        There are fewer than five tomograms: the interval is a rough one, too short rather.
    """
    import pandas as pd

    if resamples < 1:
        raise InputError(f"the number of resamples must be 1 or more, not {resamples}.")
    if not 0 < level < 1:
        raise InputError(f"the level of an interval is between 0 and 1, not {level:g}.")
    if seed < 0:
        raise InputError(f"seed must be 0 or more, not {seed}.")
    known = None if truth_tomograms is None else [*truth_tomograms]
    options: dict[str, Any] = {"radii": radii, "weights": weights, "beta": beta, "mode": mode}
    score = score_picks(picks, truth, truth_tomograms=known, **options)
    names = sorted({*truth["slabkitTomogram"], *(known or [] if mode == "strict" else [])})
    if len(names) < 2:
        raise InputError(
            f"an interval over tomograms needs two tomograms with truth or more, not {len(names)}."
        )
    if len(names) < _FEW:
        warn(f"intervals of {len(names)} tomograms are rough, and too short rather than too long.")
    counts = _counts(score, names)
    draws = np.random.default_rng(seed).integers(len(names), size=(resamples, len(names)))
    times = np.stack([np.bincount(draw, minlength=len(names)) for draw in draws])
    resampled = np.einsum("rt,tsk->rsk", times, counts)
    found = _measures(resampled, beta, mode)
    total = _measures(resampled.sum(axis=1), beta, mode)
    weight = score.table["weight"].to_numpy(dtype=float)
    weighted = _weighted(found[:, :, 2], weight, resampled[:, :, 1], mode)
    nothing = np.full(resamples, math.nan)
    samples = [
        *np.moveaxis(found[:, :-1], 1, 0),
        total,
        np.stack([nothing, nothing, weighted], axis=1),
    ]
    values = [
        *(tuple(float(row[name]) for name in _MEASURES) for row in score.table.to_dict("records")),
        tuple(score.total[name] for name in _MEASURES),
        (math.nan, math.nan, score.weighted_f_beta),
    ]
    rows = []
    for name, value, sample in zip(
        [*score.table["species"], "all", "weighted"], values, samples, strict=True
    ):
        row: dict[str, object] = {"species": name}
        for index, measure in enumerate(_MEASURES):
            low, high = _ends(sample[:, index] if value[index] == value[index] else nothing, level)
            row |= {measure: value[index], f"{measure}_low": low, f"{measure}_high": high}
        rows.append(row)
    return ScoreIntervals(score, pd.DataFrame(rows), len(names), resamples, level)


def _counts(score: Score, names: list[str]) -> Floats:
    """Count picks, particles and true positives by tomogram and species; the last has no name."""
    index = {name: row for row, name in enumerate(names)}
    species = {name: column for column, name in enumerate(score.table["species"])}
    counts = np.zeros((len(names), len(species) + 1, 3))
    for row in score.by_tomogram.itertuples(index=False):
        column = species.get(row.species, len(species))
        counts[index[row.tomogram], column] = (row.picks, row.truth, row.true_positives)
    return counts


def _measures(counts: Floats, beta: float, mode: Mode) -> Floats:
    """Give precision, recall and F-beta (last axis) of picks, particles, true positives."""
    picks, truth, found = np.moveaxis(counts, -1, 0)
    undefined = 0.0 if mode == "czii" else math.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(picks > 0, found / picks, undefined)
        recall = np.where(truth > 0, found / truth, undefined)
        both = (1 + beta**2) * precision * recall / (beta**2 * precision + recall)
    f_beta = np.where(found > 0, both, np.where((picks > 0) | (truth > 0), 0.0, undefined))
    return np.stack([precision, recall, f_beta], axis=-1)


def _weighted(f_beta: Floats, weight: Floats, truth: Floats, mode: Mode) -> Floats:
    """Give the weighted mean over species of each resample, as `score_picks` has it."""
    weights = np.broadcast_to(weight, f_beta[:, : len(weight)].shape)
    if mode == "strict":
        weights = weights * (truth[:, : len(weight)] > 0)
    values = np.where(weights > 0, f_beta[:, : len(weight)], 0.0)
    total = weights.sum(axis=1)
    return np.where(total > 0, (weights * values).sum(axis=1) / np.maximum(total, 1e-12), math.nan)


def _ends(values: Floats, level: float) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    if not len(values):
        return math.nan, math.nan
    low, high = np.percentile(values, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)
