"""``slabkit stats curated.star -o stats``: numbers and pictures of a curation."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options.declare import argument, option
from slabkit.cli.running import command
from slabkit.steps.stats import Options, run

stats = command(
    run,
    Options,
    """Also who labelled how much, from the labels that the lists have recorded and from --labels.
    How fast: label tables have no times, but the records beside those given with --labels say when
    images and labels were made; where the CSV that a person filled in has a column time, its times
    are used.
    """,
    picks=argument(
        "Pick lists in any format, what was dropped too; - for standard input.", "PICKS..."
    ),
    out=option(
        "Folder for stats.html, the plots as PNG, and stats.star. Without it the numbers are "
        "printed only.",
        "DIR",
        flags="--out -o",
    ),
    labels=option(
        "Label tables: their labels count too, and the records beside them say how fast they "
        "were made. May be repeated.",
        "TABLE",
    ),
    pause=option("A longer time between two labels is a pause, not work.", "SECONDS"),
    title=option("Of the page.", "TEXT"),
    **common.FRAME,
)
