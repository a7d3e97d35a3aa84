"""``slabkit suggest minislabs/minislabs.star --picks picks.star -o next.star``: what to label."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options.declare import argument, option
from slabkit.cli.running import command
from slabkit.steps.suggest import Options, run

suggest = command(
    run,
    Options,
    """From classes (--classified), scores (--picks) or both, and the labels so far, TABLE gets the
    rows of the minislabs in the order in which to label them: a particle STAR like any other. The
    more a label is expected to improve F-beta of the list, the earlier its minislab comes.
    """,
    minislabs=argument("minislabs.star.", "MINISLABS"),
    out=common.OUT_TABLE,
    classified=option(
        "Classes of the minislabs: classified.star of slabkit classify, or RELION's or "
        "CryoSPARC's result. The quality of slabkit's classes (classes.star beside it), with "
        "scores of slabkit's pickers, says what is likely before any label.",
        "STAR",
    ),
    picks=option("The pick list, for its scores.", "PICKS"),
    model=option(
        "Go by a model of slabkit learn: what it is unsure of and what is unlike the others. With "
        "--classified or --picks too, every fifth is by these: a species that the model was never "
        "shown is found so.",
        "DIR",
    ),
    predicted=option(
        "Go by the probabilities of slabkit name or predict; every second is the likeliest of a "
        "species, in turn. For the first round, where density maps are at hand.",
        "TABLE",
    ),
    labels=option(
        "Label tables so far, oldest first, or a curated pick list. May be repeated.", "TABLE"
    ),
    number=option("How many; a gallery full.", "N", flags="--number -n", min=1),
    beta=option("Recall counts this many times as much as precision."),
    decide=option(
        "Also write a label for every minislab, for slabkit curate: those of people, and for the "
        "others what follows from them.",
        "TABLE",
    ),
    gallery=option(
        "Also write the suggested tiles as galleries with a table of their own and pictures, to "
        "look at and to label.",
        "DIR",
    ),
    **common.FRAME,
)
