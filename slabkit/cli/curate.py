"""``slabkit curate picks.star labels.star -o curated.star``: labels into the pick list."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options.declare import argument, option
from slabkit.cli.options.values import parse_pairs
from slabkit.cli.running import command
from slabkit.steps.curate import Options, run
from slabkit.steps.shared.names import species_name

curate = command(
    run,
    Options,
    """A pick without a label keeps the decision it has: no decision is not a rejection. Every label
    is recorded in the pick list, once, and stays there: slabkit history shows them.
    """,
    picks=argument("The pick list; - for a pipe.", "PICKS"),
    labels=argument(
        "Label tables, oldest first. Without any, the decisions and labels that the list has are "
        "used.",
        "LABELS...",
    ),
    out=common.OUT_TABLE,
    policy=option(
        "Where labels contradict: the last one counts; accepted if all say so; if any does; if "
        "more do than do not; if those that do weigh more (--weights)."
    ),
    keep=option("Which picks stay; all, between rounds, keeps one list with its decisions."),
    rejected=option("Write all picks that do not stay here, with the reason.", "TABLE"),
    species=option("Species of the picks that stay.", "NAME", parse=species_name),
    weights=option(
        "Weights by author, round or source, as kim=2,class2d=0.5; others weigh 1. With --policy "
        "weighted.",
        "NAME=W,...",
        parse=parse_pairs,
    ),
    recorded=option("Labels that the list has from earlier rounds vote again too."),
    confidence=option(
        "Score the picks by the rounds they passed, first to last: class2d,abinitio gives 1 to "
        "what both accepted, 0.5 to what the first did only, 0 to the rejected; or say the "
        "numbers, class2d=0.5,abinitio=1. Above 0 is accepted, unless a label of another round "
        "decides.",
        "ROUND,...",
    ),
    min_confidence=option(
        "Reject picks of lower confidence, unless a label of another round decides.", "C"
    ),
    conflicts=option(
        "conflicts.star of slabkit conflicts: labels of conflicts decide between the species "
        "that claim a position.",
        "TABLE",
    ),
    recentre=option(
        "Move the picks that stay to where the labels say the particle is (by the shifts of a 2D "
        "classification, in the plane of the image)."
    ),
    added=option(
        "Picks that people added or moved in slabkit review, as slabkit label --additions wrote "
        "them: new ones join the list, moved ones go to their new place.",
        "PICKS",
        flags="--additions",
    ),
    **common.FRAME,
)
