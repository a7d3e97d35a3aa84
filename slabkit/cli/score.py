"""``slabkit score curated.star truth.star``: picks against truth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slabkit.cli.options import common
from slabkit.cli.options import picks as pick_options
from slabkit.errors import InputError, OutputExistsError

if TYPE_CHECKING:
    from slabkit.scoring import Score, ScoreIntervals

_COLUMNS = (
    ("radius Å", "radius"),
    ("truth", "truth"),
    ("picks", "picks"),
    ("right", "true_positives"),
    ("wrong", "false_positives"),
    ("missed", "false_negatives"),
    ("precision", "precision"),
    ("recall", "recall"),
    ("F-beta", "f_beta"),
    ("weight", "weight"),
)
_RULES = {
    "strict": "strict: one pick, one particle",
    "czii": "czii: the challenge's rule",
}


def score(
    picks: Annotated[
        str,
        typer.Argument(metavar="PICKS", help="Picks, in any format.", show_default=False),
    ],
    truth: Annotated[
        str,
        typer.Argument(metavar="TRUTH", help="The truth, in any format.", show_default=False),
    ],
    radius: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPECIES=Å",
            help="Radius of the particle, where it is not the challenge's. May be repeated.",
            show_default=False,
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
            show_default=False,
        ),
    ] = None,
    plot: Annotated[
        str | None,
        typer.Option(metavar="PNG", help="Draw F-beta over thresholds.", show_default=False),
    ] = None,
    overwrite: common.Overwrite = False,
    from_: pick_options.From = None,
    tomograms: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VOLUME|TABLE",
            help="Volumes, a folder, a quoted glob or a table: sizes and voxel sizes, for formats "
            "that count in voxels or from the centre. May be repeated.",
            show_default=False,
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
    from slabkit.formats.picks.reading import read_picks
    from slabkit.scoring import score_intervals, score_picks

    if mode not in ("strict", "czii", "both"):
        raise InputError(f"--mode must be strict, czii or both, not {mode!r}.")
    if picks == truth == "-":
        raise InputError("only one table can come from standard input (-).")
    reading: dict[str, Any] = {
        "format": from_,
        "voxel_size": voxel_size,
        "binning": binning,
        "centre": centre,
        "tomogram": tomogram,
        "unit": unit,
        "index_base": index_base,
        "tomogram_index": tomogram_index,
    }
    radii = common.parse_pairs(radius or [], "--radius")
    _check_outputs(curve, plot, overwrite)
    with common.Step("score", None, quiet=quiet, json_=json_) as step:
        table = pick_options.table_of(tomograms, voxel_size)
        found = pick_options.read_with(picks, reading, tomograms=table)
        # A particle that stands twice makes every recall wrong; scoring says where.
        true = read_picks(truth, tomograms=table, keep_duplicates=True)
        options: dict[str, Any] = {
            "radii": radii,
            "beta": beta,
            "truth_tomograms": true.tomograms["slabkitTomogram"].tolist(),
        }
        modes: tuple[Any, ...] = ("strict", "czii") if mode == "both" else (mode,)
        results: list[tuple[Score, ScoreIntervals | None]] = []
        for one in modes:
            if bootstrap:
                spread = score_intervals(
                    found.picks, true.picks, mode=one, resamples=bootstrap, seed=seed, **options
                )
                results.append((spread.score, spread))
            else:
                results.append((score_picks(found.picks, true.picks, mode=one, **options), None))
        if curve or plot:
            _curve(found.picks, true.picks, {"mode": modes[0], **options}, curve, plot)
        if not json_:
            common.emit(_text(*results[0]) if len(results) == 1 else _side_by_side(results))
        for result, intervals in results:
            plain = {**_plain(result), **({"intervals": _ranges(intervals)} if intervals else {})}
            step.summary.update({result.mode: plain} if mode == "both" else plain)


def _check_outputs(curve: str | None, plot: str | None, overwrite: bool) -> None:
    for path, option, suffixes in (
        (curve, "--curve", (".star", ".csv")),
        (plot, "--plot", (".png",)),
    ):
        if path is None:
            continue
        if Path(path).suffix not in suffixes:
            raise InputError(f"{option} writes {' or '.join(suffixes)}, not {path}.")
        if Path(path).exists() and not overwrite:
            raise OutputExistsError(
                f"{path}: exists already; name another file, or give --overwrite to replace it."
            )


def _curve(picks: Any, truth: Any, options: Any, curve: str | None, plot: str | None) -> None:
    from slabkit.formats.tables.atomic import write_bytes, write_text
    from slabkit.formats.tables.blocks import write_blocks
    from slabkit.pictures.images import png_bytes
    from slabkit.pictures.score_pictures import curve_drawing
    from slabkit.scoring import score_curve

    table = score_curve(picks, truth, **options)
    if curve is not None and curve.endswith(".csv"):
        write_text(curve, table.to_csv(index=False, lineterminator="\n"))
    elif curve is not None:
        names = {
            name: "slabkit" + "".join(word.capitalize() for word in name.split("_"))
            for name in table.columns
        }
        write_blocks(curve, {"curve": table.rename(columns=names)})
    if plot is not None:
        write_bytes(plot, png_bytes(curve_drawing(table, options["beta"]).picture()))


def _text(result: Score, intervals: ScoreIntervals | None) -> str:
    ranges = _ranges(intervals) if intervals else {}
    total = {"species": "all", "radius": math.nan, "weight": math.nan, **result.total}
    rows = [
        (
            row["species"],
            *(
                _shown(name, row[name]) + _range(ranges, row["species"], name)
                for _, name in _COLUMNS
            ),
        )
        for row in [*result.table.to_dict("records"), total]
    ]
    text = common.format_table(
        f"{_RULES[result.mode]}; within half a radius; beta {result.beta:g}",
        ("species", *(title for title, _ in _COLUMNS)),
        rows,
    )
    return text + _below(result, ranges) + _ignored(result) + "\n"


def _below(result: Score, ranges: Mapping[str, Any], name: str = "") -> str:
    if math.isnan(result.weighted_f_beta):
        return ""
    return (
        f"\nweighted F-beta{name} {result.weighted_f_beta:.4f}"
        f"{_range(ranges, 'weighted', 'f_beta')}"
    )


def _ignored(result: Score) -> str:
    if not result.ignored:
        return ""
    count = sum(result.ignored.values())
    return f"\n{count} picks in {len(result.ignored)} tomograms without truth ignored"


def _side_by_side(results: list[tuple[Score, ScoreIntervals | None]]) -> str:
    """Lay out both rules in one table; the species that only the challenge counts have dashes."""
    ranges = [_ranges(intervals) if intervals else {} for _, intervals in results]
    tables = [
        {row["species"]: row for row in score.table.to_dict("records")} | {"all": score.total}
        for score, _ in results
    ]
    measures = ("true_positives", "false_positives", "precision", "recall", "f_beta")
    titles = ("right", "wrong", "precision", "recall", "F-beta")
    names = [name for name in max(tables, key=len) if name != "all"]
    rows = []
    for name in [*names, "all"]:
        cells = [
            _shown(measure, table[name][measure])
            + (_range(spread, name, measure) if measure == "f_beta" else "")
            if name in table
            else "–"
            for table, spread in zip(tables, ranges, strict=True)
            for measure in measures
        ]
        known = next(table[name] for table in tables if name in table)
        rows.append((name, *(_shown(count, known[count]) for count in ("truth", "picks")), *cells))
    modes = [score.mode for score, _ in results]
    text = common.format_table(
        f"{'; '.join(_RULES[mode] for mode in modes)}; within half a radius; "
        f"beta {results[0][0].beta:g}",
        ("species", "truth", "picks", *(f"{mode} {title}" for mode in modes for title in titles)),
        rows,
    )
    below = [
        _below(score, spread, f" ({score.mode})")
        for (score, _), spread in zip(results, ranges, strict=True)
    ]
    return text + "".join(below) + _ignored(results[0][0]) + "\n"


def _ranges(intervals: ScoreIntervals) -> dict[str, dict[str, list[float | None]]]:
    """Give the ends of each interval by species and measure."""
    return {
        row["species"]: {
            name: [_value(row[f"{name}_low"]), _value(row[f"{name}_high"])]
            for name in ("precision", "recall", "f_beta")
        }
        for row in intervals.table.to_dict("records")
    }


def _range(ranges: Mapping[str, Any], species: str, measure: str) -> str:
    low, high = ranges.get(species, {}).get(measure, (None, None))
    return "" if low is None else f" ({low:.3f}–{high:.3f})"


def _shown(name: str, value: Any) -> str:
    """Show weights and counts as short as they are, also where a gap made a column floats."""
    if _value(value) is None:
        return "–"
    return f"{value:.3f}" if name in ("precision", "recall", "f_beta") else f"{value:.10g}"


def _plain(result: Score) -> dict[str, Any]:
    species = {
        row["species"]: {name: _value(row[name]) for _, name in _COLUMNS}
        for row in result.table.to_dict("records")
    }
    return {
        "mode": result.mode,
        "beta": result.beta,
        "weighted_f_beta": _value(result.weighted_f_beta),
        "total": {name: _value(value) for name, value in result.total.items()},
        "species": species,
        "ignored_picks": sum(result.ignored.values()),
        "ignored_tomograms": result.ignored,
    }


def _value(value: Any) -> Any:
    """Give JSON null for what is not defined; JSON has no NaN."""
    return None if isinstance(value, float) and math.isnan(value) else value
