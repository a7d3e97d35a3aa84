"""``slabkit workflow choose DATASET ribosome=1-7,apo-ferritin=12``: after a look at classes.png."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options.declare import argument
from slabkit.cli.running import command
from slabkit.steps import workflow

choose = command(
    workflow.choose,
    workflow.ChooseOptions,
    """Writes choice.txt: the classes, and of which classification. When that is made anew, the
    choice is refused, and a person has to look again.
    """,
    dataset=argument("Folder of slabkit workflow init.", "DATASET"),
    classes=argument(
        "As of label --classes: 1,3-5, or ribosome=1-2,apo-ferritin=4, or all.", "CLASSES"
    ),
    quiet=common.QUIET,
    json_=common.JSON,
)
