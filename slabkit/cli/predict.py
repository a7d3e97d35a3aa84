"""``slabkit predict minislabs/minislabs.star --model model -o predicted.star``: name minislabs."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options.declare import argument, option
from slabkit.cli.running import command
from slabkit.steps.predict import Options, run

predict = command(
    run,
    Options,
    """TABLE gets a label for every pick: accepted with the species whose probability is farthest
    above its threshold, or rejected; and slabkitProbability_SPECIES for each species and for none.
    The source of the labels is model:ID. slabkit curate takes them where no person decided.
    """,
    minislabs=argument("minislabs.star, of the kind that the model was learned from.", "MINISLABS"),
    model=option("Folder of slabkit learn.", "DIR"),
    out=common.OUT_TABLE,
    picks=option(
        "The pick list, which knows the volumes; default: that which the minislabs were made from.",
        "PICKS",
    ),
    tomograms=option("Take the volumes from here instead. May be repeated.", "TOMOGRAM"),
    **common.FRAME_WITH_JOBS,
)
