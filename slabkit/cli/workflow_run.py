"""``slabkit workflow run DATASET --jobs 8``: what is not done."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options.declare import argument, option
from slabkit.cli.running import command
from slabkit.steps import workflow

run = command(
    workflow.run,
    workflow.RunOptions,
    """The line that is run is printed. Options that are not listed here are snakemake's, --dry-run
    or --quiet for one.
    """,
    dataset=argument("Folder of slabkit workflow init.", "DATASET"),
    more=argument("Options of snakemake.", "SNAKEMAKE-OPTION..."),
    profile=option("Where it runs: a folder in profiles.", "local|slurm|NAME"),
    jobs=option(
        "With the profile local: processor cores, 0 for all; otherwise: jobs in the queue at a "
        "time, 0 for what the profile says.",
        min=0,
    ),
    json_=common.JSON,
)
