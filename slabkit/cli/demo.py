"""``slabkit demo -o demo``: the whole loop on simulated tomograms, with a report to look at."""

from __future__ import annotations

from typing import Annotated

import typer

from slabkit.cli.options import common
from slabkit.cli.running import execute
from slabkit.cli.score import score_text
from slabkit.steps.demo import Options, run


def demo(
    out: common.OutFolder,
    count: Annotated[int, typer.Option(min=1, metavar="N", help="How many tomograms.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other tomograms.")] = 0,
    overwrite: common.Overwrite = False,
    jobs: common.Jobs = 0,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Simulate tomograms, run the whole chain on them, score it, and write report.html.

    Every step is printed as the command that a user would type.
    """
    options = Options(out, count, seed)
    execute(run, options, overwrite=overwrite, jobs=jobs, quiet=quiet, json_=json_, show=score_text)
