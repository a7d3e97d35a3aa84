"""``slabkit rescue curated.star rejected.star -o again.star``: picks for a second look."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options.declare import argument, option
from slabkit.cli.running import command
from slabkit.steps.rescue import Options, run

rescue = command(
    run,
    Options,
    """Nothing is changed: the picks keep ids, decisions and recorded labels. Make minislabs of what
    is chosen, label them as a round of its own, and curate the whole list with those labels too.
    """,
    picks=argument("Curated pick lists, what was dropped too.", "PICKS..."),
    out=common.OUT_TABLE,
    which=option(
        "Which picks, contradictory being those of which labels say both; accepted=200 or "
        "accepted=5% takes so many at random. May be repeated. Default: rejected.",
        "rejected|undecided|accepted|contradictory[=NUMBER|%]",
    ),
    seed=option("Of the random choice."),
    **common.FRAME,
)
