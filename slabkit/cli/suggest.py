"""``slabkit suggest minislabs.star --classified classified.star -o next.star``: what next."""

from __future__ import annotations

from typing import Annotated

import typer

from slabkit.cli.options import common
from slabkit.cli.running import execute
from slabkit.steps.suggest import Options, run


def suggest(
    minislabs: Annotated[str, typer.Argument(metavar="MINISLABS", help="minislabs.star.")],
    out: common.OutTable,
    classified: Annotated[
        str | None,
        typer.Option(
            metavar="STAR",
            help="Classes of the minislabs: classified.star of slabkit classify, or RELION's or "
            "CryoSPARC's result.",
        ),
    ] = None,
    picks: Annotated[
        str | None, typer.Option(metavar="PICKS", help="The pick list, for its scores.")
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TABLE",
            help="Label tables so far, oldest first, or a curated pick list. May be repeated.",
        ),
    ] = None,
    number: Annotated[
        int, typer.Option("--number", "-n", min=1, metavar="N", help="How many; a gallery full.")
    ] = 240,
    beta: Annotated[
        float, typer.Option(help="Recall counts this many times as much as precision.")
    ] = 4.0,
    decide: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="Also write a label for every minislab, for slabkit curate: those of people, and "
            "for the others what follows from them.",
        ),
    ] = None,
    gallery: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Also write the suggested tiles as galleries with a table of their own and "
            "pictures, to look at and to label.",
        ),
    ] = None,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Say which minislabs to show a person next: uncertain ones, from large and varied classes.

    From classes (--classified), scores (--picks) or both, and the labels so far, TABLE gets the
    rows of the minislabs in the order in which to label them: a particle STAR like any other. The
    more a label is expected to improve F-beta of the list, the earlier its minislab comes.
    """
    options = Options(
        minislabs,
        out,
        classified=classified,
        picks=picks,
        labels=tuple(labels or []),
        number=number,
        beta=beta,
        decide=decide,
        gallery=gallery,
    )
    execute(run, options, overwrite=overwrite, quiet=quiet, json_=json_)
