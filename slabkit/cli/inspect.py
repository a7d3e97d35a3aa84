"""``slabkit inspect picks2d.star --slabs slabs/slabs.star -o page.html``: choose a threshold."""

from __future__ import annotations

from slabkit.cli.options import common, picking
from slabkit.cli.options.declare import argument, option
from slabkit.cli.running import command
from slabkit.steps.inspect import Options, run

inspect = command(
    run,
    Options,
    """One HTML file with everything inside, for any browser; nothing is fetched. Pick with a low
    threshold first, so that there is something to choose from.
    """,
    picks2d=argument(
        "2D picks with scores, of slabkit or another program, as map reads them.", "PICKS2D..."
    ),
    slabs=picking.SLAB_TABLE,
    out=option("The page.", "PAGE.html", flags="--out -o"),
    max_slabs=option("Slabs to show, evenly taken from all.", "N", min=1),
    side=option("Shrink larger images to this many pixels.", "PX", min=64),
    **common.FRAME,
)
