"""``slabkit rescue curated.star rest.star -o again.star``: picks for a second look."""

from __future__ import annotations

from typing import Annotated

import typer

from slabkit.cli.options import common
from slabkit.cli.running import execute
from slabkit.steps.rescue import Options, run


def rescue(
    picks: Annotated[
        list[str],
        typer.Argument(metavar="PICKS...", help="Curated pick lists, what was dropped too."),
    ],
    out: common.OutTable,
    which: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=NUMBER|%]",
            help="rejected, undecided, accepted, or contradictory (labels say both); "
            "accepted=200 or accepted=5% takes so many at random. May be repeated. "
            "Default: rejected.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random choice.")] = 0,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Choose picks of which people are to look at minislabs again.

    Nothing is changed: the picks keep ids, decisions and recorded labels. Make minislabs of what
    is chosen, label them as a round of its own, and curate the whole list with those labels too.
    """
    options = Options(tuple(picks), out, tuple(which or ["rejected"]), seed)
    execute(run, options, overwrite=overwrite, quiet=quiet, json_=json_)
