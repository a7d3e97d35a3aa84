"""``slabkit demo -o demo``: the whole loop on simulated tomograms, with a report to look at."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options.declare import option
from slabkit.cli.running import command
from slabkit.cli.score import score_text
from slabkit.steps.demo import Options, run

demo = command(
    run,
    Options,
    """Every step is printed as the command that a user would type.
    """,
    score_text,
    out=common.OUT_FOLDER,
    count=option("How many tomograms.", "N", min=1),
    seed=option("Another seed, other tomograms.", min=0),
    **common.FRAME_WITH_JOBS,
)
