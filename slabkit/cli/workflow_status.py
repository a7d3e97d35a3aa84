"""``slabkit workflow status DATASET``: by tomogram and step."""

from __future__ import annotations

from typing import Any

import typer

from slabkit.cli.options import common
from slabkit.cli.options.declare import argument, declare
from slabkit.cli.running import execute
from slabkit.steps import workflow


def _act(options: workflow.StatusOptions, **settings: Any) -> None:
    if code := execute(workflow.status, options, **settings):
        raise typer.Exit(code)


status = declare(
    _act,
    workflow.StatusOptions,
    """Exit code 0: all is done; 1: all is done but tomograms that failed; 75: something waits, for
    a run or for a person.
    """,
    dataset=argument("Folder of slabkit workflow init.", "DATASET"),
    quiet=common.QUIET,
    json_=common.JSON,
)
