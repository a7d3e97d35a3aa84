"""``slabkit report auto``: everything that a folder of results holds, on one page to look at."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options.declare import argument, option
from slabkit.cli.options.values import parse_pairs
from slabkit.cli.running import command
from slabkit.steps.report import Options, run

report = command(
    run,
    Options,
    """The folder of slabkit auto or demo, or the one where the commands were typed: what is there
    is told by the tables themselves, whatever their names. One HTML file with everything inside,
    for any browser; pictures can be enlarged. What is missing is said, with the command that
    makes it.
    """,
    folder=argument("The folder that holds the results.", "DIR"),
    out=option("The page; default: report.html in the folder.", "PAGE.html", flags="--out -o"),
    truth=option(
        "Known particles, in any format: adds the score and the missed particles. Default: what a "
        "simulation or a score in the folder used, or a file called truth there.",
        "TRUTH",
    ),
    radii=option(
        "Radius of the particle, where it is not the challenge's. May be repeated.",
        "SPECIES=Å",
        flags="--radius",
        parse=parse_pairs,
    ),
    **common.FRAME,
)
