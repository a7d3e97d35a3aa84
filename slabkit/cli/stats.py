"""``slabkit stats curated.star -o stats``: numbers and pictures of a curation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slabkit.cli.options import common
from slabkit.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.curation import PickStatistics


def stats(
    picks: Annotated[
        list[str],
        typer.Argument(
            metavar="PICKS...",
            help="Pick lists in any format, what was dropped too; - for standard input.",
            show_default=False,
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Folder for stats.html, the plots as PNG, and stats.star. Without it the numbers "
            "are printed only.",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TABLE",
            help="Label tables: their labels count too, and the records beside them say how fast "
            "they were made. May be repeated.",
            show_default=False,
        ),
    ] = None,
    pause: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", help="A longer time between two labels is a pause, not work."
        ),
    ] = 300.0,
    title: Annotated[str, typer.Option(metavar="TEXT", help="Of the page.")] = "Curation",
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Count picks by tomogram, species, decision and source; measure distances and depths.

    Also who labelled how much, from the labels that the lists have recorded and from --labels.
    How fast: label tables have no times, but the records beside those given with --labels say when
    images and labels were made; where the CSV that a person filled in has a column time, its times
    are used.
    """
    from slabkit.cli.read_many import read_pooled
    from slabkit.formats.source import Source
    from slabkit.formats.tables.paths import check_given_once

    if out == "-":
        raise InputError("-o takes a folder here: the plots are files.")
    given = list(labels or [])
    check_given_once(picks, "pick list")
    check_given_once(given, "label table")
    if "-" in given:
        raise InputError("--labels takes files: their records stand beside them.")
    piped = Source.load("-") if "-" in picks else None
    with common.Step(
        "stats",
        None if out is None else str(Path(out) / "stats.html"),
        inputs=[*picks, *given],
        parameters={"picks": picks, "labels": given, "pause": pause, "title": title},
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
        text_inputs={} if piped is None else {"-": piped.text},
    ) as step:
        if step.finished:
            return
        from slabkit.curation import pick_statistics
        from slabkit.execution.labelling_speed import labelling_pace
        from slabkit.formats.tables.native import read_labels

        pooled = read_pooled([piped if piped and name == "-" else name for name in picks], picks)
        found = pick_statistics(
            pooled.picks, pooled.tomograms, [read_labels(name) for name in given]
        )
        pace = labelling_pace(given, pause=pause)
        if out is not None:
            _write(step, Path(out), found, pace, title)
        _report(step, found, pace)


def _write(
    step: common.Step, folder: Path, found: PickStatistics, pace: pd.DataFrame, title: str
) -> None:
    from slabkit.formats.tables.atomic import write_bytes, write_text
    from slabkit.formats.tables.blocks import write_blocks
    from slabkit.pictures.images import png_bytes
    from slabkit.pictures.statistics_page import statistics_drawings, statistics_page

    drawings = statistics_drawings(found.counts, found.picks, found.labelling, pace)
    table = folder / "stats.star"
    paths = {name: folder / f"{name}.png" for name in drawings}
    step.check_free([table, *paths.values()])
    for name, path in paths.items():
        write_bytes(path, png_bytes(drawings[name].picture()))
    blocks = {
        "counts": found.counts,
        "neighbours": found.neighbours,
        "labelling": found.labelling,
        "measured": found.picks,
    }
    write_blocks(table, {name: block.replace("", "none") for name, block in blocks.items()})
    page = statistics_page(
        found.counts, found.picks, found.neighbours, found.labelling, pace, title
    )
    write_text(folder / "stats.html", page)
    step.outputs += [table, *paths.values()]
    step.note(f"open {folder / 'stats.html'}")


def _report(step: common.Step, found: PickStatistics, pace: pd.DataFrame) -> None:
    words = ("accepted", "rejected", "undecided")
    counted: dict[str, Any] = {}
    for name, column in (
        ("tomogram", "slabkitTomogram"),
        ("species", "slabkitSpecies"),
        ("source", "slabkitSource"),
    ):
        sums = found.counts.groupby([column, "slabkitDecision"])["slabkitPicks"].sum()
        wide = sums.unstack(fill_value=0).reindex(columns=list(words), fill_value=0)
        rows = [
            (key or "(none)", *(int(row[word]) for word in words), int(row.sum()))
            for key, row in wide.iterrows()
        ]
        step.table("", (name, *words, "all"), rows)
        counted[f"by_{name}"] = {row[0]: dict(zip((*words, "all"), row[1:], strict=True))
                                 for row in rows}  # fmt: skip
    near = [(name or "(none)", *rest) for name, *rest in found.neighbours.itertuples(index=False)]
    step.table("", ("nearest of the species, Å", "picks", "least", "5 %", "median", "close"), near)
    who = [
        (f"{author or '(none)'}, {round_name}" if round_name else author or "(none)", *rest)
        for author, round_name, *rest in found.labelling.itertuples(index=False)
    ]
    if who:
        step.table("", ("author, round", "labels", "picks", *words), who)
    if len(pace):
        step.table(
            "",
            ("label table", "labels", "hours since images", "an hour, at least", "an hour"),
            [
                (row["table"], row["labels"], row["hours_since_images"],
                 row["labels_per_hour_at_least"], row["labels_per_hour"])
                for row in pace.to_dict("records")
            ],
        )  # fmt: skip
    said = found.picks["slabkitDecision"].value_counts()
    step.summary.update(
        picks=len(found.picks),
        tomograms=int(found.counts["slabkitTomogram"].nunique()),
        **{word: int(said.get(word, 0)) for word in words},
        labels=int(found.labelling["slabkitLabels"].sum()),
        **counted,
        neighbours=_plain(found.neighbours),
        labelling=_plain(found.labelling),
        pace=_plain(pace),
    )


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Give rows as JSON has them, without NaN."""
    return [
        {str(key).removeprefix("slabkit"): None if value != value else value
         for key, value in row.items()}
        for row in table.astype(object).to_dict("records")
    ]  # fmt: skip
