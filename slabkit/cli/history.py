"""``slabkit history PICK_ID picks.star``: the life of one pick, from voxel to verdict."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from slabkit.cli.console import emit
from slabkit.cli.options import common
from slabkit.cli.running import execute
from slabkit.steps.history import Options, run

if TYPE_CHECKING:
    import pandas as pd


def history(
    pick_id: Annotated[str, typer.Argument(metavar="PICK_ID", help="The pick's id.")],
    picks: Annotated[str, typer.Argument(metavar="PICKS", help="Pick list; - for standard input.")],
    minislabs: Annotated[
        str | None,
        typer.Option(metavar="TABLE", help="minislabs.star: also list tiles that nobody labelled."),
    ] = None,
    json_: common.Json = False,
) -> None:
    """Tell what happened to a pick: voxel, slab, pick, tile, each label, merges, verdicts.

    The id may be that of a pick that was merged into another.
    """
    events = execute(run, Options(pick_id, picks, minislabs), json_=json_)
    if json_:
        report = {"command": "history", "status": "done", "pick": pick_id}
        rows = events.to_dict("records")
        emit(json.dumps({**report, "events": rows}, ensure_ascii=False))
        return
    emit(f"{pick_id}\n" + "\n".join(_lines(events)))


def _lines(events: pd.DataFrame) -> list[str]:
    lines = []
    for number, event in enumerate(events.to_dict("records"), 1):
        said = [
            event["decision"],
            f"round {event['round']}" if event["round"] else "",
            f"by {event['author']}" if event["author"] else "",
            f"from {event['source']}" if event["source"] else "",
            event["what"],
        ]
        lines.append(
            f"{number:3d}  {event['step']:6s}  " + "  ".join(part for part in said if part)
        )
    return lines
