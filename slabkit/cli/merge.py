"""``slabkit merge PICKS... -o PICKS --distance 100``: pool pick lists and remove duplicates."""

from __future__ import annotations

from typing import Annotated

import typer

from slabkit.cli.options import common
from slabkit.cli.running import execute
from slabkit.steps.merge import Between, Options, Position, run


def merge(
    picks: Annotated[list[str], typer.Argument(help="Pick lists; - for standard input.")],
    out: common.OutTable,
    distance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="Å|SPECIES=Å",
            help="Picks of one species closer than this are the same; one number for all, or by "
            "species. May be repeated.",
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="czii",
            help="Distances of the challenge: thyroglobulin 185 Å, beta-galactosidase 125 Å; "
            "--distance adds others and wins.",
        ),
    ] = None,
    between: Annotated[
        str,
        typer.Option(
            metavar="one-to-one|groups",
            help="Of two lists: pair each pick with one of the other at most; or merge all that "
            "are close, as within one list.",
        ),
    ] = "one-to-one",
    position: Annotated[
        str,
        typer.Option(
            metavar="best|score|rank|source",
            help="Where merged picks go: where the best was, or to their mean weighted by score, "
            "by the rank of the score within its kind, or by --weights.",
        ),
    ] = "best",
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=W,...",
            help="With --position source: weights by picker (slabkitSource) or file; others 1.",
        ),
    ] = None,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Pool pick lists and keep one of the picks that are the same particle.

    An accepted pick stays before an undecided before a rejected one, then the best score. Scores
    of different kinds are never compared: the kind of the earlier list stays. Only picks of one
    species are merged. The pick that stays records the others: slabkit history shows them.
    """
    options = Options(
        tuple(picks),
        out,
        distance=common.parse_distances(distance or []),
        preset=preset,
        between=common.choice(between, "--between", Between),
        position=common.choice(position, "--position", Position),
        weights=common.parse_pairs(weights or [], "--weights"),
    )
    execute(run, options, overwrite=overwrite, quiet=quiet, json_=json_)
