"""``slabkit merge a.star b.star -o merged.star --distance 100``: pool pick lists."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options.declare import argument, option
from slabkit.cli.options.values import parse_distances, parse_pairs
from slabkit.cli.running import command
from slabkit.steps.merge import Options, run

merge = command(
    run,
    Options,
    """An accepted pick stays before an undecided before a rejected one, then the best score. Scores
    of different kinds are never compared: the kind of the earlier list stays. Only picks of one
    species are merged. The pick that stays records the others: slabkit history shows them.
    """,
    picks=argument("Pick lists; - for standard input."),
    out=common.OUT_TABLE,
    distance=option(
        "Picks of one species closer than this are the same; one number for all, or by species. "
        "May be repeated.",
        "Å|SPECIES=Å",
        parse=parse_distances,
    ),
    preset=option(
        "Distances of the challenge: thyroglobulin 185 Å, beta-galactosidase 125 Å; --distance "
        "adds others and wins.",
        "czii",
    ),
    between=option(
        "Of two lists: pair each pick with one of the other at most; or merge all that are "
        "close, as within one list."
    ),
    position=option(
        "Where merged picks go: where the best was, or to their mean weighted by score, by the "
        "rank of the score within its kind, or by --weights."
    ),
    weights=option(
        "With --position source: weights by picker (slabkitSource) or file; others 1.",
        "NAME=W,...",
        parse=parse_pairs,
    ),
    **common.FRAME,
)
