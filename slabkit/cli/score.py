"""``slabkit score curated.star truth.star``: picks against truth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from slabkit.cli.console import format_table
from slabkit.cli.options import common
from slabkit.cli.options import picks as pick_options
from slabkit.cli.options.declare import argument, option
from slabkit.cli.options.values import parse_pairs
from slabkit.cli.running import command
from slabkit.steps.score import MEASURES, Options, Scored, defined, interval_ends, run

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


score = command(
    run,
    Options,
    """A pick is right within half a particle radius. Picks without a species are candidates for
    any: then recall is by species and precision pooled. Picks in tomograms without truth are
    ignored and counted.

    The options on how pick lists are read are for PICKS. --tomograms is for TRUTH too;
    a truth that needs more is for `slabkit convert`.
    """,
    lambda results: score_text(results),
    picks=argument("Picks, in any format.", "PICKS"),
    truth=argument("The truth, in any format.", "TRUTH"),
    radii=option(
        "Radius of the particle, where it is not the challenge's. May be repeated.",
        "SPECIES=Å",
        flags="--radius",
        parse=parse_pairs,
    ),
    mode=option("strict: one pick, one particle; czii: the rule of the CZII challenge."),
    beta=option("Recall counts this many times as much as precision."),
    bootstrap=option(
        "Intervals that hold 95 % of N scores of tomograms drawn with replacement; 1000 is usual.",
        "N",
        min=0,
    ),
    curve=option(
        "Write precision, recall and F-beta over thresholds of the pick score, by species, as "
        ".star or .csv.",
        "TABLE",
    ),
    seed=option("Of the draws.", min=0),
    plot=option("Draw F-beta over thresholds.", "PNG"),
    overwrite=common.OVERWRITE,
    tomograms=option(
        "Volumes, a folder, a quoted glob or a table: sizes and voxel sizes, for formats that "
        "count in voxels or from the centre. May be repeated.",
        "VOLUME|TABLE",
    ),
    voxel_size=common.VOXEL_SIZE,
    **pick_options.READING,
    quiet=common.QUIET,
    json_=common.JSON,
)


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
    return text


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
