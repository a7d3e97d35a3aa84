"""``slabkit inspect picks2d.star --slabs slabs/slabs.star -o page.html``: choose a threshold."""

from __future__ import annotations

from typing import Annotated

import typer

from slabkit.cli.options import common, picking
from slabkit.cli.running import execute
from slabkit.steps.inspect import Options, run


def inspect_(
    picks2d: Annotated[
        list[str],
        typer.Argument(
            metavar="PICKS2D...",
            help="2D picks with scores, of slabkit or another program, as map reads them.",
            show_default=False,
        ),
    ],
    slabs: picking.SlabTable,
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="PAGE.html", help="The page.", show_default=False)
    ],
    max_slabs: Annotated[
        int, typer.Option(metavar="N", min=1, help="Slabs to show, evenly taken from all.")
    ] = 12,
    side: Annotated[
        int, typer.Option(metavar="PX", min=64, help="Shrink larger images to this many pixels.")
    ] = 900,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Make a page to choose a threshold on: slabs with their picks, the scores, and a slider.

    One HTML file with everything inside, for any browser; nothing is fetched. Pick with a low
    threshold first, so that there is something to choose from.
    """
    options = Options(tuple(picks2d), slabs, out, max_slabs=max_slabs, side=side)
    execute(run, options, overwrite=overwrite, quiet=quiet, json_=json_)
