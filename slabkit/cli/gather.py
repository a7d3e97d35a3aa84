"""``slabkit gather 'tomograms/*' -o picks.star --target-precision 0.7``: one list of many."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options.declare import argument, option
from slabkit.cli.options.values import parse_threshold
from slabkit.cli.running import command
from slabkit.steps.gather import Options, run

gather = command(
    run,
    Options,
    """The lists are read one at a time, in the order given, whatever their number.
    """,
    sources=argument(
        "Folders of slabkit tomogram, or pick lists of one picker; patterns; @FILE: one a line.",
        "FOLDER...",
    ),
    out=common.OUT_TABLE,
    threshold=option(
        "Lowest score, in noise standard deviations; auto: where half of the picks stand out of "
        "the background, by a fit to the scores of all tomograms.",
        "SD|auto",
        parse=parse_threshold,
        kind=str,
        default="auto",
    ),
    target_precision=option(
        "Instead of --threshold: the lowest one above which this share is expected to stand out.",
        "P",
    ),
    names=option(
        "Also one label table of the names that maps gave the picks (slabkit tomogram --map).",
        "LABELS",
    ),
    most_failed=option("Stop if more than this share of the tomograms failed.", "SHARE"),
    failed=option("Also list the tomograms that failed, with the reasons (CSV).", "FILE"),
    **common.FRAME,
)
