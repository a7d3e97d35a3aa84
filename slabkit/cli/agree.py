"""``slabkit agree kim.star lee.star``: how well raters agree, and where they contradict."""

from __future__ import annotations

from typing import Annotated

import typer

from slabkit.cli.options import common
from slabkit.cli.running import execute
from slabkit.steps.agree import By, Options, run


def agree(
    labels: Annotated[
        list[str],
        typer.Argument(
            metavar="LABELS...",
            help="Label tables, or pick lists of curate, which hold the labels of their rounds.",
        ),
    ],
    by: Annotated[
        str | None,
        typer.Option(
            metavar="author|round|source", help="What makes a rater. Default: each table is one."
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="TABLE",
            help="Write the picks on which raters contradict each other here, with what each said "
            "and the tile; - for standard output.",
        ),
    ] = None,
    minislabs: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="minislabs.star: -o becomes its rows of those picks, to look at and label again.",
        ),
    ] = None,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Compare what raters say: Cohen's kappa of two, Fleiss' of more, and their contradictions.

    Kappa is 1 for raters who always agree and 0 for raters who agree as often as chance would.
    What a rater left undecided does not count; of two verdicts on one pick the later one does.
    """
    options = Options(tuple(labels), common.choice(by, "--by", By), out, minislabs)
    execute(run, options, overwrite=overwrite, quiet=quiet, json_=json_)
