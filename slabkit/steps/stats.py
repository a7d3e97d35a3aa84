"""Pick lists and labels to numbers and pictures of a curation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError
from slabkit.execution.frame import Frame, Work, parameters
from slabkit.execution.reporting import summary_rows

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.curation import PickStatistics

_DECISIONS = ("accepted", "rejected", "undecided")


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit stats``; see also `slabkit.pick_statistics`."""

    picks: tuple[str, ...]
    out: str | None = None
    labels: tuple[str, ...] = ()
    pause: float = 300.0  # seconds
    title: str = "Curation"


def run(options: Options, frame: Frame) -> None:
    """Count and measure the picks, report it, and write page, plots and table."""
    from slabkit.formats.tables.paths import check_given_once
    from slabkit.steps.shared.pick_lists import PickFiles

    if options.out == "-":
        raise InputError("-o takes a folder here: the plots are files.")
    if "-" in options.labels:
        raise InputError("--labels takes files: their records are beside them.")
    files = PickFiles.given(options.picks)
    check_given_once(options.labels, "label table")
    with frame.work(
        "stats",
        None if options.out is None else Path(options.out) / "stats.html",
        inputs=[*options.picks, *options.labels],
        parameters=parameters(options, "out"),
        text_inputs=files.texts,
    ) as work:
        if work.finished:
            return
        from slabkit.curation import pick_statistics
        from slabkit.execution.labelling_speed import labelling_pace
        from slabkit.formats.tables.native import read_labels

        pooled = files.read_as_one()
        labels = [read_labels(name) for name in options.labels]
        found = pick_statistics(pooled.picks, pooled.tomograms, labels)
        pace = labelling_pace(options.labels, pause=options.pause)
        if options.out is not None:
            _write(work, Path(options.out), found, pace, options.title)
        _report(work, found, pace)


def _write(work: Work, folder: Path, found: PickStatistics, pace: pd.DataFrame, title: str) -> None:
    from slabkit.formats.tables.atomic import write_bytes, write_text
    from slabkit.formats.tables.blocks import write_blocks
    from slabkit.pictures.images import png_bytes
    from slabkit.pictures.statistics_page import statistics_drawings, statistics_page

    drawings = statistics_drawings(found.counts, found.picks, found.labelling, pace)
    table = folder / "stats.star"
    paths = {name: folder / f"{name}.png" for name in drawings}
    work.check_free([table, *paths.values()])
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
    work.outputs += [table, *paths.values()]


def _report(work: Work, found: PickStatistics, pace: pd.DataFrame) -> None:
    counted: dict[str, dict[str, dict[str, int]]] = {}
    for what in ("tomogram", "species", "source"):
        by = [f"slabkit{what.capitalize()}", "slabkitDecision"]
        wide = found.counts.groupby(by)["slabkitPicks"].sum().unstack(fill_value=0)
        wide = wide.reindex(columns=list(_DECISIONS), fill_value=0).assign(all=wide.sum(axis=1))
        rows = {
            str(name or "(none)"): {word: int(count) for word, count in row.items()}
            for name, row in wide.iterrows()
        }
        counted[f"by_{what}"] = rows
        work.table("", (what, *_DECISIONS, "all"), [(n, *row.values()) for n, row in rows.items()])
    near = [
        (name or "(none)", *rest)
        for name, *rest in found.neighbours.round(1).itertuples(index=False)
    ]
    work.table("", ("nearest of the species, Å", "picks", "least", "5 %", "median", "close"), near)
    who = [
        (f"{author or '(none)'}, {round_name}" if round_name else author or "(none)", *rest)
        for author, round_name, *rest in found.labelling.itertuples(index=False)
    ]
    if who:
        work.table("", ("author, round", "labels", "picks", *_DECISIONS), who)
    speed = ["hours_since_images", "labels_per_hour_at_least", "labels_per_hour"]
    known = pace[pace[speed].notna().any(axis=1)]  # not of a rule
    if len(known):
        work.table(
            "",
            ("label table", "labels", "hours since images", "an hour, at least", "an hour"),
            known[["table", "labels", *speed]].itertuples(index=False, name=None),
        )
    decisions = found.picks["slabkitDecision"].value_counts()
    tables = {"neighbours": found.neighbours, "labelling": found.labelling, "pace": pace}
    summary: dict[str, Any] = {
        "picks": len(found.picks),
        "tomograms": int(found.counts["slabkitTomogram"].nunique()),
        **{word: int(decisions.get(word, 0)) for word in _DECISIONS},
        "labels": int(found.labelling["slabkitLabels"].sum()),
        **counted,
        **{name: summary_rows(table) for name, table in tables.items()},
    }
    work.summary.update(summary)
