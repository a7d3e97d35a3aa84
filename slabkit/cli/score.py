"""``slabkit score curated.star truth.star``: picks against truth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slabkit.cli.console import format_table
from slabkit.cli.options import common
from slabkit.cli.options import picks as pick_options
from slabkit.cli.running import execute
from slabkit.steps.score import MEASURES, Mode, Options, Scored, defined, interval_ends, run

if TYPE_CHECKING:
    from slabkit.scoring import Score

Ends = dict[str, dict[str, list[float | None]]]

_TITLES = {
    "radius": "radius Å",
    "truth": "truth",
    "picks": "picks",
    "true_positives": "right",
    "false_positives": "wrong",
    "false_negatives": "missed",
    "precision": "precision",
    "recall": "recall",
    "f_beta": "F-beta",
    "weight": "weight",
}
_RULES = {"strict": "strict: one pick, one particle", "czii": "czii: the challenge's rule"}


def score(
    picks: Annotated[str, typer.Argument(metavar="PICKS", help="Picks, in any format.")],
    truth: Annotated[str, typer.Argument(metavar="TRUTH", help="The truth, in any format.")],
    radius: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPECIES=Å",
            help="Radius of the particle, where it is not the challenge's. May be repeated.",
        ),
    ] = None,
    beta: Annotated[
        float, typer.Option(help="Recall counts this many times as much as precision.")
    ] = 4.0,
    mode: Annotated[
        str,
        typer.Option(
            metavar="strict|czii|both",
            help="strict: one pick, one particle; czii: the rule of the CZII challenge.",
        ),
    ] = "strict",
    bootstrap: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Intervals that hold 95 % of N scores of tomograms drawn with replacement; 1000 "
            "is usual.",
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    curve: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="Write precision, recall and F-beta over thresholds of the pick score, by "
            "species, as .star or .csv.",
        ),
    ] = None,
    plot: Annotated[
        str | None, typer.Option(metavar="PNG", help="Draw F-beta over thresholds.")
    ] = None,
    overwrite: common.Overwrite = False,
    from_: pick_options.From = None,
    tomograms: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VOLUME|TABLE",
            help="Volumes, a folder, a quoted glob or a table: sizes and voxel sizes, for formats "
            "that count in voxels or from the centre. May be repeated.",
        ),
    ] = None,
    voxel_size: common.VoxelSizeOption = None,
    binning: pick_options.Binning = None,
    centre: pick_options.Centre = "size/2",
    tomogram: pick_options.TomogramName = None,
    unit: pick_options.Unit = None,
    index_base: pick_options.IndexBase = None,
    tomogram_index: pick_options.TomogramIndex = None,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Compare picks with the truth: precision, recall and F-beta, by species and in all.

    A pick is right within half a particle radius. Picks without a species are candidates for any:
    then recall is by species and precision pooled. Picks in tomograms without truth are ignored
    and counted.

    The options from --from on say what PICKS do not say themselves. --tomograms is for TRUTH too;
    a truth that needs more is for `slabkit convert`.
    """
    options = Options(
        picks,
        truth,
        radii=common.parse_pairs(radius or [], "--radius"),
        beta=beta,
        mode=common.choice(mode, "--mode", Mode),
        bootstrap=bootstrap,
        seed=seed,
        curve=curve,
        plot=plot,
        reading=pick_options.pick_reading(
            from_, binning, centre, tomogram, unit, index_base, tomogram_index
        ),
        tomograms=tuple(tomograms or []),
        voxel_size=voxel_size,
    )
    execute(run, options, overwrite=overwrite, quiet=quiet, json_=json_, show=score_text)


def score_text(results: list[Scored]) -> str:
    """Lay out what the step found: one rule, or both side by side."""
    scores = [score for score, _ in results]
    ends = [interval_ends(intervals) for _, intervals in results]
    text = _one_rule(scores[0], ends[0]) if len(results) == 1 else _both_rules(scores, ends)
    for score, of_score in zip(scores, ends, strict=True):
        if not math.isnan(score.weighted_f_beta):
            rule = f" ({score.mode})" if len(scores) > 1 else ""
            spread = _range(of_score, "weighted", "f_beta")
            text += f"\nweighted F-beta{rule} {score.weighted_f_beta:.4f}{spread}"
    ignored = scores[0].ignored
    if ignored:
        count = sum(ignored.values())
        text += f"\n{count} picks in {len(ignored)} tomograms without truth ignored"
    return text + "\n"


def _one_rule(score: Score, ends: Ends) -> str:
    total = {"species": "all", "radius": math.nan, "weight": math.nan, **score.total}
    return format_table(
        f"{_RULES[score.mode]}; within half a radius; beta {score.beta:g}",
        ("species", *(_TITLES[measure] for measure in MEASURES)),
        [
            (
                row["species"],
                *(
                    _shown(measure, row[measure]) + _range(ends, row["species"], measure)
                    for measure in MEASURES
                ),
            )
            for row in [*score.table.to_dict("records"), total]
        ],
    )


def _both_rules(scores: list[Score], ends: list[Ends]) -> str:
    """Lay out both rules in one table; the species that only the challenge counts have dashes."""
    tables = [
        {row["species"]: row for row in score.table.to_dict("records")} | {"all": score.total}
        for score in scores
    ]
    measures = ("true_positives", "false_positives", "precision", "recall", "f_beta")
    names = [name for name in max(tables, key=len) if name != "all"]
    rows = []
    for name in [*names, "all"]:
        cells = [
            _shown(measure, table[name][measure])
            + (_range(of_table, name, measure) if measure == "f_beta" else "")
            if name in table
            else "–"
            for table, of_table in zip(tables, ends, strict=True)
            for measure in measures
        ]
        known = next(table[name] for table in tables if name in table)
        rows.append((name, *(_shown(count, known[count]) for count in ("truth", "picks")), *cells))
    modes = [score.mode for score in scores]
    titles = [f"{mode} {_TITLES[measure]}" for mode in modes for measure in measures]
    return format_table(
        f"{'; '.join(_RULES[mode] for mode in modes)}; within half a radius; "
        f"beta {scores[0].beta:g}",
        ("species", "truth", "picks", *titles),
        rows,
    )


def _range(ends: Ends, species: str, measure: str) -> str:
    low, high = ends.get(species, {}).get(measure, (None, None))
    return "" if low is None else f" ({low:.3f}–{high:.3f})"


def _shown(measure: str, value: Any) -> str:
    """Show weights and counts as short as they are, also where a gap made a column floats."""
    if defined(value) is None:
        return "–"
    return f"{value:.3f}" if measure in ("precision", "recall", "f_beta") else f"{value:.10g}"
