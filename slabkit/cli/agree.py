"""``slabkit agree kim.star lee.star``: how well raters agree, and where they contradict."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options.declare import argument, option
from slabkit.cli.running import command
from slabkit.steps.agree import Options, run

agree = command(
    run,
    Options,
    """Kappa is 1 for raters who always agree and 0 for raters who agree as often as chance would.
    What a rater left undecided does not count; of two verdicts on one pick the later one does.
    """,
    labels=argument(
        "Label tables, or pick lists of curate, which hold the labels of their rounds.", "LABELS..."
    ),
    by=option("What makes a rater. Default: each table is one.", "author|round|source"),
    out=option(
        "Write the picks on which raters contradict each other here, with what each said and the "
        "tile; - for standard output.",
        "TABLE",
        flags="--out -o",
    ),
    minislabs=option(
        "minislabs.star: -o becomes its rows of those picks, to look at and label again.", "TABLE"
    ),
    **common.FRAME,
)
