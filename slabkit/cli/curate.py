"""``slabkit curate picks.star labels.star -o curated.star``: labels into the pick list."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slabkit.cli.options import common
from slabkit.errors import InputError

if TYPE_CHECKING:
    from slabkit.curation import Curation
    from slabkit.formats.tables.native import PickList


def curate(
    picks: Annotated[
        str,
        typer.Argument(metavar="PICKS", help="The pick list; - for a pipe.", show_default=False),
    ],
    out: common.OutTable,
    labels: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="LABELS...",
            help="Label tables, oldest first. Without any, the decisions and labels that the list "
            "has are used.",
            show_default=False,
        ),
    ] = None,
    policy: Annotated[
        str,
        typer.Option(
            metavar="latest|all|any|majority|weighted",
            help="Where labels contradict: the last one counts; accepted if all say so; if any "
            "does; if more do than do not; if those that do weigh more (--weights).",
        ),
    ] = "latest",
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=W,...",
            help="Weights by author, round or source, as kim=2,class2d=0.5; others weigh 1. "
            "With --policy weighted.",
            show_default=False,
        ),
    ] = None,
    recorded: Annotated[
        bool,
        typer.Option(
            "--recorded", help="Labels that the list has from earlier rounds vote again too."
        ),
    ] = False,
    confidence: Annotated[
        str | None,
        typer.Option(
            metavar="ROUND,...",
            help="Score the picks by the rounds they passed, first to last: class2d,abinitio gives "
            "1 to what both accepted, 0.5 to what the first did only, 0 to the rejected; or say "
            "the numbers, class2d=0.5,abinitio=1. Above 0 is accepted, unless a label of another "
            "round decides.",
            show_default=False,
        ),
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(
            metavar="C",
            help="Reject picks of lower confidence, unless a label of another round decides.",
            show_default=False,
        ),
    ] = None,
    conflicts: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="conflicts.star of slabkit conflicts: labels of conflicts decide between the "
            "species that claim a position.",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        str,
        typer.Option(
            metavar="accepted|rejected|undecided|all",
            help="Which picks stay; all, between rounds, keeps one list with its decisions.",
        ),
    ] = "accepted",
    rejected: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="Write all picks that do not stay here, with the reason.",
            show_default=False,
        ),
    ] = None,
    species: Annotated[
        str, typer.Option(metavar="NAME", help="Species of the picks that stay.")
    ] = "",
    recentre: Annotated[
        bool,
        typer.Option(
            "--recentre",
            help="Move the picks that stay to where the labels say the particle is (by the shifts "
            "of a 2D classification, in the plane of the image).",
        ),
    ] = False,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Apply labels to a pick list, and say where every pick went.

    A pick without a label keeps the decision it has: no decision is not a rejection. Every label
    is recorded in the pick list, once, and stays there: slabkit history shows them.
    """
    given = list(labels or [])
    sources = [picks, *given, *([conflicts] if conflicts else [])]
    _check_files(sources, given, out, rejected)
    pick_list, tables, piped = _read(picks, given, conflicts)
    options: dict[str, Any] = {
        "policy": policy,
        "keep": keep,
        "species": species,
        "recentre": recentre,
        "weights": common.parse_pairs(weights or [], "--weights"),
        "recorded": recorded,
        "confidence": confidence,
        "min_confidence": min_confidence,
    }
    with common.Step(
        "curate",
        out,
        inputs=sources,
        parameters={**options, "rejected": rejected, "labels": given},
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
        text_inputs=piped,
    ) as step:
        if step.finished:
            return
        if json_ and rejected == "-":
            raise InputError("--json and --rejected - both want standard output.")
        from slabkit.curation import curate_picks

        result = curate_picks(pick_list.picks, tables, **options)
        _write(step, result, pick_list, out, rejected)
        steps = list(zip(result.funnel["step"], result.funnel["picks"].tolist(), strict=True))
        step.table("", ("funnel", "picks"), steps)
        step.summary.update(
            picks=len(pick_list.picks),
            kept=len(result.kept),
            dropped=len(result.dropped),
            contradictory=result.contradictory,
            unknown_labels=result.unknown_labels,
            funnel=[{"step": name, "picks": count} for name, count in steps],
            **_moves(result) if recentre else {},
        )


def _check_files(sources: list[str], labels: list[str], out: str, rejected: str | None) -> None:
    if sources.count("-") > 1 or (out == "-" and rejected == "-"):
        raise InputError("only one table can come from standard input, and one go out (-).")
    twice = [name for name in dict.fromkeys(labels) if labels.count(name) > 1]
    if twice:
        raise InputError(f"{twice[0]}: is given twice, and its votes would count twice.")
    taken = {Path(name).resolve() for name in (out, *sources)}
    if rejected not in (None, "-") and Path(str(rejected)).resolve() in taken:
        raise InputError(f"{rejected}: --rejected is an input or -o already.")


def _read(
    picks: str, labels: list[str], conflicts: str | None
) -> tuple[PickList, list[Any], dict[str, str]]:
    from slabkit.curation import settle_conflicts
    from slabkit.formats.tables.curation import read_conflicts
    from slabkit.formats.tables.native import read_labels, read_native_picks
    from slabkit.formats.tables.paths import with_paths_from_here

    pick_list = read_native_picks(picks)
    with_paths_from_here(pick_list.tomograms, picks)
    tables = [read_labels(name) for name in labels]
    piped = {}
    if "-" in (picks, *labels):
        piped["-"] = [pick_list.picks, *tables][[picks, *labels].index("-")].to_csv()
    if conflicts is not None:
        claims = read_conflicts(conflicts)
        if conflicts == "-":
            piped["-"] = claims.to_csv()
        tables = [settle_conflicts(claims, table) for table in tables]
    return pick_list, tables, piped


def _write(
    step: common.Step, result: Curation, picks: PickList, out: str, rejected: str | None
) -> None:
    from slabkit.formats.tables.native import PickList, write_picks

    if rejected is not None and rejected != "-":
        step.check_free([Path(rejected)])
    if rejected is not None:
        write_picks(rejected, PickList(result.dropped, picks.tomograms))
        step.outputs += [Path(rejected)] if rejected != "-" else []
    write_picks(out, PickList(result.kept, picks.tomograms))


def _moves(result: Curation) -> dict[str, float]:
    return {
        "recentred": result.recentred,
        "mean_move": result.mean_move,
        "largest_move": result.largest_move,
    }
