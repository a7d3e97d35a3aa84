"""``slabkit curate picks.star labels.star -o curated.star``: labels into the pick list."""

from __future__ import annotations

from typing import Annotated

import typer

from slabkit.cli.options import common
from slabkit.cli.running import execute
from slabkit.errors import InputError
from slabkit.steps.curate import Keep, Options, Policy, run
from slabkit.steps.shared.names import species_option


def curate(
    picks: Annotated[
        str,
        typer.Argument(metavar="PICKS", help="The pick list; - for a pipe.", show_default=False),
    ],
    out: common.OutTable,
    labels: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="LABELS...",
            help="Label tables, oldest first. Without any, the decisions and labels that the list "
            "has are used.",
            show_default=False,
        ),
    ] = None,
    policy: Annotated[
        str,
        typer.Option(
            metavar="latest|all|any|majority|weighted",
            help="Where labels contradict: the last one counts; accepted if all say so; if any "
            "does; if more do than do not; if those that do weigh more (--weights).",
        ),
    ] = "latest",
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=W,...",
            help="Weights by author, round or source, as kim=2,class2d=0.5; others weigh 1. "
            "With --policy weighted.",
            show_default=False,
        ),
    ] = None,
    recorded: Annotated[
        bool,
        typer.Option(
            "--recorded", help="Labels that the list has from earlier rounds vote again too."
        ),
    ] = False,
    confidence: Annotated[
        str | None,
        typer.Option(
            metavar="ROUND,...",
            help="Score the picks by the rounds they passed, first to last: class2d,abinitio gives "
            "1 to what both accepted, 0.5 to what the first did only, 0 to the rejected; or say "
            "the numbers, class2d=0.5,abinitio=1. Above 0 is accepted, unless a label of another "
            "round decides.",
            show_default=False,
        ),
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(
            metavar="C",
            help="Reject picks of lower confidence, unless a label of another round decides.",
            show_default=False,
        ),
    ] = None,
    conflicts: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="conflicts.star of slabkit conflicts: labels of conflicts decide between the "
            "species that claim a position.",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        str,
        typer.Option(
            metavar="accepted|rejected|undecided|all",
            help="Which picks stay; all, between rounds, keeps one list with its decisions.",
        ),
    ] = "accepted",
    rejected: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="Write all picks that do not stay here, with the reason.",
            show_default=False,
        ),
    ] = None,
    species: Annotated[
        str, typer.Option(metavar="NAME", help="Species of the picks that stay.")
    ] = "",
    recentre: Annotated[
        bool,
        typer.Option(
            "--recentre",
            help="Move the picks that stay to where the labels say the particle is (by the shifts "
            "of a 2D classification, in the plane of the image).",
        ),
    ] = False,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Apply labels to a pick list, and say where every pick went.

    A pick without a label keeps the decision it has: no decision is not a rejection. Every label
    is recorded in the pick list, once, and stays there: slabkit history shows them.
    """
    if json_ and rejected == "-":
        raise InputError("--json and --rejected - both want standard output.")
    options = Options(
        picks,
        out,
        tuple(labels or ()),
        policy=common.choice(policy, "--policy", Policy),
        weights=common.parse_pairs(weights or [], "--weights"),
        recorded=recorded,
        confidence=confidence,
        min_confidence=min_confidence,
        conflicts=conflicts,
        keep=common.choice(keep, "--keep", Keep),
        rejected=rejected,
        species=species_option(species),
        recentre=recentre,
    )
    execute(run, options, overwrite=overwrite, quiet=quiet, json_=json_)
