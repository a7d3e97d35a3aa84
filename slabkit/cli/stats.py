"""``slabkit stats curated.star -o stats``: numbers and pictures of a curation."""

from __future__ import annotations

from typing import Annotated

import typer

from slabkit.cli.options import common
from slabkit.cli.running import execute
from slabkit.steps.stats import Options, run


def stats(
    picks: Annotated[
        list[str],
        typer.Argument(
            metavar="PICKS...",
            help="Pick lists in any format, what was dropped too; - for standard input.",
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Folder for stats.html, the plots as PNG, and stats.star. Without it the numbers "
            "are printed only.",
        ),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TABLE",
            help="Label tables: their labels count too, and the records beside them say how fast "
            "they were made. May be repeated.",
        ),
    ] = None,
    pause: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", help="A longer time between two labels is a pause, not work."
        ),
    ] = 300.0,
    title: Annotated[str, typer.Option(metavar="TEXT", help="Of the page.")] = "Curation",
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Count picks by tomogram, species, decision and source; measure distances and depths.

    Also who labelled how much, from the labels that the lists have recorded and from --labels.
    How fast: label tables have no times, but the records beside those given with --labels say when
    images and labels were made; where the CSV that a person filled in has a column time, its times
    are used.
    """
    options = Options(tuple(picks), out, tuple(labels or []), pause, title)
    execute(run, options, overwrite=overwrite, quiet=quiet, json_=json_)
