"""Label tables to how well their raters agree, and to the picks on which they contradict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from slabkit.errors import InputError
from slabkit.execution.frame import Frame, Work, parameters
from slabkit.execution.reporting import summary_rows

if TYPE_CHECKING:
    from slabkit.curation import Agreement

By = Literal["author", "round", "source"]


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit agree``; see also `slabkit.measure_agreement`."""

    labels: tuple[str, ...]
    by: By | None = None  # None: each table is a rater
    out: str | None = None
    minislabs: str | None = None


def run(options: Options, frame: Frame) -> None:
    """Measure the agreement of raters and write the picks on which they contradict."""
    from slabkit.curation import measure_agreement
    from slabkit.formats.tables.native import read_any_labels
    from slabkit.formats.tables.paths import check_given_once

    check_given_once(options.labels, "label table")
    inputs = [*options.labels, *([options.minislabs] if options.minislabs else [])]
    if options.minislabs is not None and options.out is None:
        raise InputError("--minislabs is for -o: it says of which images the rows are written.")
    if inputs.count("-") > 1:
        raise InputError("only one table can come from standard input (-).")
    tables = {name: read_any_labels(name) for name in options.labels}
    with frame.work(
        "agree",
        options.out,
        inputs=inputs,
        parameters=parameters(options, "out"),
        text_inputs={"-": tables["-"].to_csv()} if "-" in tables else {},
    ) as work:
        if work.finished:
            return
        result = measure_agreement(tables, options.by)
        _write(result, options)
        _report(work, result)


def _write(result: Agreement, options: Options) -> None:
    from slabkit.formats.tables.blocks import write_table
    from slabkit.formats.tables.native import read_minislabs, write_minislabs
    from slabkit.tables import CONTRADICTIONS

    found = result.contradictions
    if options.out is not None and options.minislabs is not None:
        table, geometry = read_minislabs(options.minislabs)
        rows = table.merge(found.drop(columns="slabkitTile"), on="slabkitPickId")
        write_minislabs(options.out, rows, geometry)
    elif options.out is not None:
        write_table(options.out, found, CONTRADICTIONS)


def _report(work: Work, result: Agreement) -> None:
    raters = list(result.raters.itertuples(index=False, name=None))
    what = f"{result.picks} picks, {len(result.contradictions)} contradictions"
    work.table(what, ("rater", "picks", "accepted", "rejected"), raters)
    work.table(
        "",
        ("pair", "common picks", "agree", "Cohen's kappa"),
        [
            (f"{one} : {two}", *rest)
            for one, two, *rest in result.pairs.itertuples(index=False, name=None)
        ],
    )
    kind = "cohen_kappa" if len(raters) == 2 else "fleiss_kappa"
    work.summary.update(
        {
            "raters": len(raters),
            kind: None if result.kappa != result.kappa else result.kappa,
            "picks": result.picks,
            "contradictions": len(result.contradictions),
            "pairs": summary_rows(result.pairs),
        }
    )
