"""``slabkit agree kim.star lee.star``: how well raters agree, and where they contradict."""

from __future__ import annotations

from typing import Annotated

import typer

from slabkit.cli.options import common
from slabkit.errors import InputError


def agree(
    labels: Annotated[
        list[str],
        typer.Argument(
            metavar="LABELS...",
            help="Label tables, or pick lists of curate, which hold the labels of their rounds.",
            show_default=False,
        ),
    ],
    by: Annotated[
        str | None,
        typer.Option(
            metavar="author|round|source",
            help="What makes a rater. Default: each table is one.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="TABLE",
            help="Write the picks on which raters contradict each other here, with what each said "
            "and the tile; - for standard output.",
            show_default=False,
        ),
    ] = None,
    minislabs: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="minislabs.star: -o becomes its rows of those picks, to look at and label again.",
            show_default=False,
        ),
    ] = None,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Compare what raters say: Cohen's kappa of two, Fleiss' of more, and their contradictions.

    Kappa is 1 for raters who always agree and 0 for raters who agree as often as chance would.
    What a rater left undecided does not count; of two verdicts on one pick the later one does.
    """
    from slabkit.curation import measure_agreement
    from slabkit.formats.tables.curation import read_any_labels, write_contradictions
    from slabkit.formats.tables.native import read_minislabs, write_minislabs
    from slabkit.formats.tables.paths import check_given_once

    check_given_once(labels, "label table")
    if minislabs is not None and out is None:
        raise InputError("--minislabs is for -o: it says of which images the rows are written.")
    if [*labels, minislabs].count("-") > 1:
        raise InputError("only one table can come from standard input (-).")
    tables = {name: read_any_labels(name) for name in labels}
    piped = {"-": tables["-"].to_csv()} if "-" in tables else {}
    with common.Step(
        "agree",
        out,
        inputs=[*labels, *([minislabs] if minislabs else [])],
        parameters={"labels": labels, "by": by, "minislabs": minislabs},
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
        text_inputs=piped,
    ) as step:
        if step.finished:
            return
        result = measure_agreement(tables, by)  # type: ignore[arg-type]
        found = result.contradictions
        if out is not None and minislabs is not None:
            table, geometry = read_minislabs(minislabs)
            rows = table.merge(found.drop(columns="slabkitTile"), on="slabkitPickId")
            write_minislabs(out, rows, geometry)
        elif out is not None:
            write_contradictions(out, found)
        raters, pairs = (
            [tuple(row) for row in frame.itertuples(index=False)]
            for frame in (result.raters, result.pairs)
        )
        step.table("", ("rater", "picks", "accepted", "rejected"), raters)
        step.table(
            "",
            ("pair", "common picks", "agree", "Cohen's kappa"),
            [(f"{one} : {two}", *rest) for one, two, *rest in pairs],
        )
        kind = "cohen_kappa" if len(result.raters) == 2 else "fleiss_kappa"
        step.summary.update(
            {
                "raters": len(result.raters),
                kind: None if result.kappa != result.kappa else result.kappa,
                "picks": result.picks,
                "contradictions": len(found),
                "pairs": [
                    {**row, "kappa": None if row["kappa"] != row["kappa"] else row["kappa"]}
                    for row in result.pairs.astype(object).to_dict("records")
                ],
            }
        )
