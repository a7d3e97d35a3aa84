"""``slabkit curate picks.star labels.star -o curated.star``: labels into the pick list."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slabkit.cli import shared
from slabkit.errors import InputError

if TYPE_CHECKING:
    from slabkit.curation import Curation


def curate(
    picks: Annotated[
        str,
        typer.Argument(metavar="PICKS", help="The pick list; - for a pipe.", show_default=False),
    ],
    labels: Annotated[
        list[str],
        typer.Argument(metavar="LABELS...", help="Label tables, oldest first.", show_default=False),
    ],
    out: shared.OutTable,
    policy: Annotated[
        str,
        typer.Option(
            metavar="latest|all|any|majority",
            help="Where labels contradict: the last one counts; accepted if all say so; if any "
            "does; if more do than do not.",
        ),
    ] = "latest",
    keep: Annotated[
        str,
        typer.Option(metavar="accepted|rejected|undecided|all", help="Which picks stay."),
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
    overwrite: shared.Overwrite = False,
    quiet: shared.Quiet = False,
    json_: shared.Json = False,
) -> None:
    """Apply labels to a pick list, and say where every pick went.

    A pick without a label keeps the decision it has: no decision is not a rejection.
    """
    from slabkit.curation import curate_picks
    from slabkit.formats.paths import with_paths_from_here
    from slabkit.formats.tables import PickList, read_labels, read_native_picks, write_picks

    sources = [picks, *labels]
    if sources.count("-") > 1 or (out == "-" and rejected == "-"):
        raise InputError("only one table can come from standard input, and one go out (-).")
    twice = [name for name in dict.fromkeys(labels) if labels.count(name) > 1]
    if twice:
        raise InputError(f"{twice[0]}: is given twice, and its votes would count twice.")
    taken = {Path(name).resolve() for name in (out, *sources)}
    if rejected not in (None, "-") and Path(str(rejected)).resolve() in taken:
        raise InputError(f"{rejected}: --rejected is an input or -o already.")
    pick_list = read_native_picks(picks)
    with_paths_from_here(pick_list.tomograms, picks)
    tables = [read_labels(name) for name in labels]
    piped = {}
    if "-" in sources:
        index = sources.index("-")
        piped["-"] = [pick_list.picks, *tables][index].to_csv()
    with shared.Step(
        "curate",
        out,
        inputs=sources,
        parameters={
            "policy": policy,
            "keep": keep,
            "rejected": rejected,
            "species": species,
            "recentre": recentre,
        },
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
        text_inputs=piped,
    ) as step:
        if step.finished:
            return
        if json_ and rejected == "-":
            raise InputError("--json and --rejected - both want standard output.")
        result = curate_picks(
            pick_list.picks,
            tables,
            policy=policy,  # type: ignore[arg-type]
            keep=keep,  # type: ignore[arg-type]
            species=species,
            recentre=recentre,
        )
        if rejected is not None and rejected != "-":
            step.check_free([Path(rejected)])
        if rejected is not None:
            write_picks(rejected, PickList(result.dropped, pick_list.tomograms))
            step.outputs += [Path(rejected)] if rejected != "-" else []
        write_picks(out, PickList(result.kept, pick_list.tomograms))
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


def _moves(result: Curation) -> dict[str, float]:
    return {
        "recentred": result.recentred,
        "mean_move": result.mean_move,
        "largest_move": result.largest_move,
    }
