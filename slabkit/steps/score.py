"""Picks against truth: precision, recall and F-beta, their intervals and curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from slabkit.errors import InputError
from slabkit.execution.frame import Frame, parameters
from slabkit.formats.picks.context import PickReading

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.scoring import Score, ScoreIntervals

Mode = Literal["strict", "czii", "both"]
Scored = tuple["Score", "ScoreIntervals | None"]

MEASURES = (
    "radius",
    "truth",
    "picks",
    "true_positives",
    "false_positives",
    "false_negatives",
    "precision",
    "recall",
    "f_beta",
    "weight",
)


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit score``; see also `slabkit.score_picks`."""

    picks: str
    truth: str
    radii: Mapping[str, float] = field(default_factory=dict)
    beta: float = 4.0
    mode: Mode = "strict"
    bootstrap: int = 0  # 0: no intervals
    seed: int = 0
    curve: str | None = None
    plot: str | None = None
    reading: PickReading = field(default_factory=PickReading)
    tomograms: tuple[str, ...] = ()
    voxel_size: float | None = None


def run(options: Options, frame: Frame) -> list[Scored]:
    """Score the picks by each rule; intervals are None unless they are asked for."""
    from slabkit.formats.picks.reading import read_picks
    from slabkit.formats.source import Source
    from slabkit.formats.tomograms.table import read_tomograms
    from slabkit.scoring import score_intervals, score_picks
    from slabkit.steps.shared.pick_lists import read_plainly

    if options.picks == options.truth == "-":
        raise InputError("only one table can come from standard input (-).")
    _check_suffix(options.curve, "--curve", (".star", ".csv"))
    _check_suffix(options.plot, "--plot", (".png",))
    given = {
        path: Source.load(path) if path == "-" else path for path in (options.picks, options.truth)
    }
    beside = [Path(options.plot)] if options.curve and options.plot else []
    inputs = [options.picks, options.truth, *options.tomograms]
    with frame.work(
        "score",
        options.curve or options.plot,
        inputs=[path for path in inputs if Path(path).exists()],
        parameters=parameters(options, "picks", "truth", "curve", "plot"),
        text_inputs={path: one.text for path, one in given.items() if isinstance(one, Source)},
    ) as work:
        drawn = work.finished  # what is printed is computed all the same
        if not drawn:
            work.check_free(beside)
        size = options.voxel_size
        table = read_tomograms(options.tomograms, size) if options.tomograms else None
        picks = read_picks(
            given[options.picks],
            tomograms=table,
            voxel_size=size,
            **options.reading.keywords(),
        ).picks
        # A particle that appears twice makes every recall wrong; scoring says where.
        truth = read_plainly(given[options.truth], tomograms=table, keep_duplicates=True)
        same: dict[str, Any] = {
            "radii": options.radii,
            "beta": options.beta,
            "truth_tomograms": truth.tomograms["slabkitTomogram"].tolist(),
        }
        modes: tuple[Literal["strict", "czii"], ...]
        modes = ("strict", "czii") if options.mode == "both" else (options.mode,)
        results: list[Scored] = []
        for mode in modes:
            if options.bootstrap:
                spread = score_intervals(
                    picks,
                    truth.picks,
                    mode=mode,
                    resamples=options.bootstrap,
                    seed=options.seed,
                    **same,
                )
                results.append((spread.score, spread))
            else:
                results.append((score_picks(picks, truth.picks, mode=mode, **same), None))
        if (options.curve or options.plot) and not drawn:
            work.outputs += beside
            _write_curve(picks, truth.picks, {"mode": modes[0], **same}, options)
        frame.reporter.result(results)
        for score, intervals in results:
            counts = _summary(score, intervals)
            work.summary.update({score.mode: counts} if options.mode == "both" else counts)
    return results


def _check_suffix(path: str | None, option: str, suffixes: Sequence[str]) -> None:
    if path is not None and Path(path).suffix not in suffixes:
        raise InputError(f"{option} writes {' or '.join(suffixes)}, not {path}.")


def _write_curve(
    picks: pd.DataFrame, truth: pd.DataFrame, scoring: dict[str, Any], options: Options
) -> None:
    from slabkit.formats.tables.atomic import write_bytes, write_text
    from slabkit.formats.tables.blocks import write_blocks
    from slabkit.pictures.figures import curve_drawing, score_label
    from slabkit.pictures.images import png_bytes
    from slabkit.scoring import score_curve

    table = score_curve(picks, truth, **scoring)
    if options.curve is not None and options.curve.endswith(".csv"):
        write_text(options.curve, table.to_csv(index=False, lineterminator="\n"))
    elif options.curve is not None:
        names = {
            name: "slabkit" + "".join(word.capitalize() for word in name.split("_"))
            for name in table.columns
        }
        write_blocks(options.curve, {"curve": table.rename(columns=names)})
    if options.plot is not None:
        kinds = picks["slabkitScoreKind"].unique()
        chart = curve_drawing(table, options.beta, score_label(kinds[0]) if len(kinds) == 1 else "")
        write_bytes(options.plot, png_bytes(chart.picture()))


def _summary(score: Score, intervals: ScoreIntervals | None) -> dict[str, Any]:
    found = {
        "mode": score.mode,
        "beta": score.beta,
        "weighted_f_beta": defined(score.weighted_f_beta),
        "total": {name: defined(value) for name, value in score.total.items()},
        "species": {
            row["species"]: {name: defined(row[name]) for name in MEASURES}
            for row in score.table.to_dict("records")
        },
        "ignored_picks": sum(score.ignored.values()),
        "ignored_tomograms": score.ignored,
    }
    return {**found, "intervals": interval_ends(intervals)} if intervals else found


def interval_ends(intervals: ScoreIntervals | None) -> dict[str, dict[str, list[float | None]]]:
    """Give the ends of each interval by species and measure; None where they are not defined."""
    return {
        row["species"]: {
            name: [defined(row[f"{name}_low"]), defined(row[f"{name}_high"])]
            for name in ("precision", "recall", "f_beta")
        }
        for row in (intervals.table.to_dict("records") if intervals else [])
    }


def defined(value: Any) -> Any:
    """Give None for NaN, which JSON does not have."""
    return None if isinstance(value, float) and math.isnan(value) else value
