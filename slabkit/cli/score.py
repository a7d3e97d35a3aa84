"""``slabkit score curated.star truth.star``: picks against truth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slabkit.cli import pick_options, shared
from slabkit.errors import InputError

if TYPE_CHECKING:
    from slabkit.scoring import Score

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
    voxel_size: shared.VoxelSizeOption = None,
    binning: pick_options.Binning = None,
    centre: pick_options.Centre = "size/2",
    tomogram: pick_options.TomogramName = None,
    unit: pick_options.Unit = None,
    index_base: pick_options.IndexBase = None,
    tomogram_index: pick_options.TomogramIndex = None,
    quiet: shared.Quiet = False,
    json_: shared.Json = False,
) -> None:
    """Compare picks with the truth: precision, recall and F-beta, by species and in all.

    A pick is right within half a particle radius. Picks without a species are candidates for any:
    then recall is by species and precision pooled. Picks in tomograms without truth are ignored
    and counted.

    The options from --from on say what PICKS do not say themselves. --tomograms is for TRUTH too;
    a truth that needs more is for `slabkit convert`.
    """
    from slabkit.formats.picks import read_picks
    from slabkit.scoring import score_picks

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
    radii = shared.parse_pairs(radius or [], "--radius")
    with shared.Step("score", None, quiet=quiet, json_=json_) as step:
        table = pick_options.table_of(tomograms, voxel_size)
        found = pick_options.read_with(picks, reading, tomograms=table)
        # A particle that stands twice makes every recall wrong; scoring says where.
        true = read_picks(truth, tomograms=table, keep_duplicates=True)
        for one in ("strict", "czii") if mode == "both" else (mode,):
            result = score_picks(
                found.picks,
                true.picks,
                radii=radii,
                beta=beta,
                mode=one,
                truth_tomograms=true.tomograms["slabkitTomogram"].tolist(),
            )
            if not json_:
                shared.emit(_text(result))
            step.summary.update({one: _plain(result)} if mode == "both" else _plain(result))


def _text(result: Score) -> str:
    rows = [
        (row["species"], *(_shown(name, row[name]) for _, name in _COLUMNS))
        for row in result.table.to_dict("records")
    ]
    total = {"radius": math.nan, "weight": math.nan, **result.total}
    rows.append(("all", *(_shown(name, total[name]) for _, name in _COLUMNS)))
    rule = {"strict": "one pick, one particle", "czii": "the challenge's rule"}[result.mode]
    text = shared.format_table(
        f"{result.mode}: {rule}; within half a radius; beta {result.beta:g}",
        ("species", *(title for title, _ in _COLUMNS)),
        rows,
    )
    if not math.isnan(result.weighted_f_beta):
        text += f"\nweighted F-beta {result.weighted_f_beta:.4f}"
    if result.ignored:
        count = sum(result.ignored.values())
        text += f"\n{count} picks in {len(result.ignored)} tomograms without truth ignored"
    return text + "\n"


def _shown(name: str, value: Any) -> Any:
    """Show weights and counts as short as they are, also where a gap made a column floats."""
    whole = name not in ("precision", "recall", "f_beta") and _value(value) is not None
    return f"{value:.10g}" if whole else value


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
