"""Which 2D picks stay: masks, thresholds out of scores or labels, the best of each slab."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from slabkit.errors import InputError, warn
from slabkit.steps.shared.masks import slab_masks

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.execution.frame import Work
    from slabkit.formats.tomograms.masks import MaskFiles
    from slabkit.picking.thresholds import LabelledThreshold, ThresholdFit


@dataclass(frozen=True)
class ThresholdChoice:
    """How the threshold is found: ``value``, or by a fit, or ``default`` where none can be made."""

    value: float | None
    default: float
    precision: float | None = None
    labels: LabelledThreshold | None = None

    @property
    def to_find(self) -> float:
        """The lowest score that peaks must have to be found."""
        from slabkit.picking.thresholds import FIT_FLOOR

        return FIT_FLOOR if self.value is None else self.value


def choose_threshold(
    threshold: float | Literal["auto"] | None,
    precision: float | None,
    labelled: str | None,
    kind: str,
    default: float,
) -> ThresholdChoice:
    """Read the options on thresholds; ``kind`` is the picker's kind of score."""
    if labelled is not None and precision is None:
        raise InputError("--labelled needs --target-precision.")
    value = None if threshold == "auto" else default if threshold is None else threshold
    if precision is None:
        return ThresholdChoice(value, default)
    if not 0 < precision < 1:
        raise InputError(f"--target-precision must be between 0 and 1, not {precision:g}.")
    if value not in (None, default):
        raise InputError("--threshold and --target-precision both say where to cut; give one.")
    if labelled is None:
        return ThresholdChoice(None, default, precision)
    if threshold == "auto":
        raise InputError("--threshold auto and --labelled both say where to cut; give one.")
    found = _from_labels(labelled, precision, kind)
    return ThresholdChoice(found.threshold, default, precision, found)


def _from_labels(labelled: str, precision: float, kind: str) -> LabelledThreshold:
    from slabkit.formats.tables.native import read_native_picks
    from slabkit.picking.thresholds import threshold_for_precision

    picks = read_native_picks(labelled).picks
    judged = picks[picks["slabkitDecision"].isin(["accepted", "rejected"])]
    if not len(judged):
        raise InputError(f"{labelled}: has no accepted or rejected pick to find a threshold with.")
    kinds = sorted(set(judged["slabkitScoreKind"]))
    if kinds != [kind]:
        raise InputError(
            f"{labelled}: its scores are of the kind {', '.join(kinds) or 'none'}, those to be "
            f"found {kind}; they do not compare."
        )
    accepted = (judged["slabkitDecision"] == "accepted").to_numpy()
    return threshold_for_precision(judged["slabkitScore"].to_numpy(), accepted, precision)


def limit_picks(
    work: Work,
    parts: dict[str, pd.DataFrame],
    slabs: pd.DataFrame,
    choice: ThresholdChoice,
    masks: MaskFiles | None,
    max_per_slab: int | None,
) -> dict[str, pd.DataFrame]:
    """Drop what is outside the masks, below the threshold, or beyond the best of a slab.

    ``parts``: all peaks from `ThresholdChoice.to_find` on, by tomogram, not yet cut by slab. What
    was found goes into the summary.
    """
    import numpy as np

    from slabkit.picking.thresholds import fit_threshold, picks_above

    if masks is not None:
        parts = _inside(work, parts, slabs, masks)
    threshold = choice.to_find
    fit: ThresholdFit | None = None
    if choice.value is None:
        scores = [one["rlnAutopickFigureOfMerit"].to_numpy(dtype=float) for one in parts.values()]
        every = np.concatenate(scores) if scores else np.zeros(0)
        fit = fit_threshold(every, precision=choice.precision)
        threshold = fit.threshold if fit.separated else choice.default
        if not fit.separated:
            warn(
                f"the scores of {len(every)} peaks show one population only, so no threshold can "
                f"be told from them; {choice.default:g} is used."
            )
        elif odd := [n for n, own in zip(parts, scores, strict=True) if not fit.suits(own)]:
            warn(
                f"the scores of {', '.join(odd)} are distributed otherwise than those of all "
                f"tomograms, to which the threshold {threshold:.4g} was fitted; look at "
                f"{'its' if len(odd) == 1 else 'their'} picks (slabkit inspect), or pick there "
                "with a threshold of its own."
            )
            work.summary["not_fitted"] = odd
    kept = {name: picks_above(one, threshold, max_per_slab) for name, one in parts.items()}
    if fit is not None:
        _report_fit(work, kept, fit, threshold)
    if choice.labels is not None:
        work.summary.update(
            threshold=threshold,
            labelled_precision=choice.labels.precision,
            labelled_low=choice.labels.low,
            labelled_high=choice.labels.high,
            labelled_recall=choice.labels.recall,
            labelled_picks=choice.labels.judged,
        )
    return kept


def expected_columns(work: Work) -> tuple[tuple[str, ...], Callable[[str], tuple[object, ...]]]:
    """Give further columns of the table shown, and their values for a tomogram or, by "", all."""
    known = dict(work.summary)
    expected, outside = known.get("expected", {}), known.get("outside_mask_by_tomogram", {})
    names: tuple[str, ...] = ("outside mask",) if outside else ()
    names += ("expected false", "expected true") if expected else ()

    def values(name: str) -> tuple[object, ...]:
        row: tuple[object, ...] = ()
        if outside:
            row = (outside[name] if name else known["outside_mask"],)
        if expected:
            row += expected[name] if name else (known["expected_false"], known["expected_true"])
        return row

    return names, values


def _inside(
    work: Work, parts: Mapping[str, pd.DataFrame], slabs: pd.DataFrame, masks: MaskFiles
) -> dict[str, pd.DataFrame]:
    from slabkit.picking.masking import picks2d_inside

    kept, outside = {}, {}
    mask_of = slab_masks(masks)
    for name, picks in parts.items():
        own = slabs[slabs["rlnTomoName"] == name]
        inside = picks2d_inside(picks, own, mask_of)
        kept[name] = picks[inside].reset_index(drop=True)
        outside[name] = int((~inside).sum())
    work.summary["outside_mask"] = sum(outside.values())
    work.summary["outside_mask_by_tomogram"] = outside
    return kept


def _report_fit(
    work: Work, kept: dict[str, pd.DataFrame], fit: ThresholdFit, threshold: float
) -> None:
    work.summary.update(threshold=threshold, separated=fit.separated, fitted_peaks=fit.fitted)
    if not fit.separated:
        return
    expected = {}
    for name, picks in kept.items():
        false = float(fit.false_probability(picks["rlnAutopickFigureOfMerit"]).sum())
        expected[name] = (round(false, 1), round(len(picks) - false, 1))
    work.summary.update(
        expected_false=round(sum(false for false, _ in expected.values()), 1),
        expected_true=round(sum(true for _, true in expected.values()), 1),
        expected_missed=round(fit.expected_missed, 1),
        expected=expected,
        fit={
            "floor": fit.floor,
            "share_of_background": fit.share,
            "background_scale": fit.scale,
            "background_shape": fit.shape,
            "log_middle": fit.middle,
            "log_width": fit.width,
        },
    )
