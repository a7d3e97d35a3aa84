"""``slabkit label good.csv --minislabs minislabs.star -o labels.star``: results to labels."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from slabkit.cli.options import common
from slabkit.cli.running import execute
from slabkit.steps.classify import GOOD_QUALITY
from slabkit.steps.label import Options, run
from slabkit.steps.shared.names import species_option


def label(
    results: Annotated[
        list[str],
        typer.Argument(
            metavar="RESULT...",
            help="CSV, particle STAR of RELION, classified.star, table of Topaz, or .cs and .csg "
            "of CryoSPARC.",
            show_default=False,
        ),
    ],
    minislabs: Annotated[
        str, typer.Option(metavar="TABLE", help="The minislabs' table.", show_default=False)
    ],
    out: common.OutTable,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Classes to accept, as 1,3-5, with their species, as "
            "ribosome=1-2,apo-ferritin=4, or all; the other classes are rejected.",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="Accept scores of S and more, reject those below.",
            show_default=False,
        ),
    ] = None,
    auto: Annotated[
        bool,
        typer.Option(
            "--auto",
            help="Accept the classes of slabkit classify whose quality is --quality or more, as "
            "classes.star beside the result says. This is a rule, not a judgement: look at "
            "classes.png.",
        ),
    ] = False,
    quality: Annotated[
        float | None,
        typer.Option(
            metavar="Q",
            help=f"With --auto: least quality, from 0 to 1; default: {GOOD_QUALITY:g}.",
            show_default=False,
        ),
    ] = None,
    unlisted: Annotated[
        str | None,
        typer.Option(
            metavar="rejected|undecided",
            help="What a minislab is that the result does not list. Default: rejected for a "
            "selection from our table or stacks (without --classes or --threshold), else "
            "undecided.",
            show_default=False,
        ),
    ] = None,
    views: Annotated[
        str,
        typer.Option(
            metavar="majority|any|all",
            help="Tilted views of one pick: accept it if more views are accepted than rejected, "
            "if any is, or if all are.",
        ),
    ] = "majority",
    species: Annotated[str, typer.Option(metavar="NAME", help="Species of what is accepted.")] = "",
    y_axis: Annotated[
        str | None,
        typer.Option(
            metavar="up|down",
            help="How y counts in coordinates: down from the first row of the file, or up from "
            "the last. Default: down, checked against the empty tiles of the galleries.",
            show_default=False,
        ),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(metavar="F", help="How far from a tile's centre a hit may be, in tile sides."),
    ] = 0.3,
    round_: Annotated[
        str,
        typer.Option("--round", metavar="NAME", help="Round of labelling, recorded: class2d, say."),
    ] = "",
    author: Annotated[
        str, typer.Option(metavar="NAME", help="The person who decided, recorded.")
    ] = "",
    source: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="What the verdicts come from, recorded; default: the file's name."
        ),
    ] = None,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Turn results on minislabs and galleries into labels: accepted, rejected or undecided.

    Rows are joined by pick id, else by image name and number, else by the gallery's tile, never
    by their order. Several results are read as one; label them apart to have each vote in curate.

    A CSV file has the columns pick_id, decision[, class, score] or gallery, row, column, decision
    (rows and columns from 0).

    A particle STAR of RELION is a selection from minislabs.star: listed is accepted, missing is
    rejected.

    Of CryoSPARC, give the .csg of an output, or its .cs and the passthrough .cs with it: listed is
    accepted; excluded particles, if given too, are rejected. Classes count from 0 there.

    classified.star of slabkit classify takes --classes 1,3-5, or --auto; without them it stops,
    because it lists all images.

    Results are tied to the set of galleries that their names say; those of another set are refused.

    A Topaz table has image_name, x_coord, y_coord, score on galleries: the nearest tile is
    accepted; a tile without a hit gets no decision.
    """
    options = Options(
        tuple(results),
        minislabs,
        out,
        classes=classes,
        threshold=threshold,
        auto=auto,
        quality=quality,
        unlisted=common.choice(unlisted, "--unlisted", Literal["rejected", "undecided"]),
        views=common.choice(views, "--views", Literal["majority", "any", "all"]),
        y_axis=common.choice(y_axis, "--y-axis", Literal["up", "down"]),
        tolerance=tolerance,
        species=species_option(species),
        source=source,
        round_name=round_,
        author=author,
    )
    execute(run, options, overwrite=overwrite, quiet=quiet, json_=json_)
