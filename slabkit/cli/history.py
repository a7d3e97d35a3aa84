"""``slabkit history 3f2a91 curated.star``: the life of one pick, from voxel to verdict."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from slabkit.cli.console import emit
from slabkit.cli.options import common
from slabkit.cli.options.declare import argument, declare, option
from slabkit.cli.running import execute
from slabkit.steps.history import Options, run

if TYPE_CHECKING:
    import pandas as pd


def _history(options: Options, json_: bool = False) -> None:
    pick, events = execute(run, options, json_=json_)
    if json_:
        report = {"command": "history", "status": "done", "pick": pick}
        rows = events.to_dict("records")
        emit(json.dumps({**report, "events": rows}, ensure_ascii=False))
        return
    emit(f"{pick}\n" + "\n".join(_lines(events)))


history = declare(
    _history,
    Options,
    """The id may be that of a pick that was merged into another.
    """,
    pick_id=argument(
        "The pick's id, or its beginning, with or without the tomogram's name.", "PICK_ID"
    ),
    picks=argument("Pick list; - for standard input.", "PICKS"),
    minislabs=option("minislabs.star: also list tiles that nobody labelled.", "TABLE"),
    json_=common.JSON,
)


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
