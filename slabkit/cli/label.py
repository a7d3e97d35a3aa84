"""``slabkit label good.csv --minislabs minislabs.star -o labels.star``: results to labels."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slabkit.cli.options import common
from slabkit.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.labels import LabelReport

_ROWS = (
    ("rows in the result", "rows"),
    ("  matched to a minislab", "matched"),
    ("  unmatched", "unmatched"),
    ("  too far from a tile's centre", "off_centre"),
    ("  on empty tiles, ignored", "filler"),
    ("minislabs", "minislabs"),
    ("  hit more than once, best score kept", "doubly_hit"),
    ("  not listed", "unlisted"),
    ("picks", "picks"),
    ("  accepted", "accepted"),
    ("  rejected", "rejected"),
    ("  no decision", "undecided"),
    ("    of these with views that balance", "tied"),
    ("  with a place (curate --recentre)", "placed"),
)


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
            help="Classes to accept, as 1,3-5; the other classes are rejected.",
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
            "classes.star beside the result says. A rule, no judgement: look at classes.png.",
        ),
    ] = False,
    quality: Annotated[
        float | None,
        typer.Option(
            metavar="Q",
            help=f"With --auto: least quality, from 0 to 1; default: {common.GOOD_QUALITY:g}.",
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

    classified.star of slabkit classify takes --classes 1,3-5, or --auto.

    A Topaz table has image_name, x_coord, y_coord, score on galleries: the nearest tile is
    accepted; a tile without a hit gets no decision.
    """
    from slabkit.formats.results import read_results
    from slabkit.formats.tables.native import read_minislabs, write_labels
    from slabkit.labels import label_minislabs
    from slabkit.minislabs.galleries import layout_of

    if quality is not None and not auto:
        raise InputError("--quality is for --auto; give both, or choose by --classes.")
    least = common.GOOD_QUALITY if quality is None else quality
    if [*results, minislabs].count("-") > 1:
        raise InputError("only one table can come from standard input (-).")
    table, geometry = read_minislabs(minislabs)
    layout = layout_of(geometry, minislabs)
    read = read_results(results, table, layout, y_axis)
    decided = read.table
    qualities: list[str] = []
    if auto:
        if classes is not None or threshold is not None:
            raise InputError("--auto decides by itself; leave --classes and --threshold out.")
        decided, qualities = _by_quality(results, decided, least)
    if unlisted is None:
        by_value = auto or classes is not None or threshold is not None
        unlisted = read.unlisted(by_value=by_value)
    options: dict[str, Any] = {
        "classes": classes,
        "threshold": threshold,
        "unlisted": unlisted,
        "views": views,
        "y_axis": y_axis,
        "tolerance": tolerance,
        "species": species,
        "source": source,
        "round_name": round_,
        "author": author,
    }
    piped = {"-": read.table if "-" in results else table}
    with common.Step(
        "label",
        out,
        inputs=[*results, minislabs, *read.files, *qualities],
        parameters=options | ({"quality": least} if auto else {}),
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
        text_inputs={
            name: content.to_csv()
            for name, content in piped.items()
            if name in (*results, minislabs)
        },
    ) as step:
        if step.finished:
            return
        labels, report = label_minislabs(decided, table, layout, **options)
        write_labels(out, labels)
        _show(step, report)


def _by_quality(
    results: list[str], read: pd.DataFrame, quality: float
) -> tuple[pd.DataFrame, list[str]]:
    from slabkit.formats.tables.classification import read_classes
    from slabkit.labels import decide_by_quality

    if len(results) != 1 or results[0] == "-":
        raise InputError("--auto needs one result, the classified.star of slabkit classify.")
    table = Path(results[0]).with_name("classes.star")
    if not table.is_file():
        raise InputError(
            f"{table}: is not there, and --auto reads the quality of the classes in it; it stands "
            "beside the classified.star of slabkit classify."
        )
    return decide_by_quality(read, read_classes(table), quality), [str(table)]


def _show(step: common.Step, report: LabelReport) -> None:
    values = asdict(report)
    step.table(
        f"joined by {report.joined_by}"
        + (f", y counted {report.y_axis}wards" if report.y_axis else ""),
        ("", "count"),
        [(text, values[name]) for text, name in _ROWS],
    )
    step.summary.update(values)
