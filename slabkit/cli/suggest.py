"""``slabkit suggest minislabs.star --classified classified.star -o next.star``: what next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slabkit.cli.options import common
from slabkit.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.curation import Suggestion


def suggest(
    minislabs: Annotated[
        str,
        typer.Argument(metavar="MINISLABS", help="minislabs.star."),
    ],
    out: common.OutTable,
    classified: Annotated[
        str | None,
        typer.Option(
            metavar="STAR",
            help="Classes of the minislabs: classified.star of slabkit classify, or RELION's or "
            "CryoSPARC's result.",
        ),
    ] = None,
    picks: Annotated[
        str | None,
        typer.Option(metavar="PICKS", help="The pick list, for its scores."),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TABLE",
            help="Label tables so far, oldest first, or a curated pick list. May be repeated.",
        ),
    ] = None,
    number: Annotated[
        int, typer.Option("--number", "-n", min=1, metavar="N", help="How many; a gallery full.")
    ] = 240,
    beta: Annotated[
        float, typer.Option(help="Recall counts this many times as much as precision.")
    ] = 4.0,
    decide: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="Also write a label for every minislab, for slabkit curate: those of people, and "
            "for the others what follows from them.",
        ),
    ] = None,
    gallery: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Also write the suggested tiles as galleries with a table of their own and "
            "pictures, to look at and to label.",
        ),
    ] = None,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Say which minislabs to show a person next: uncertain ones, from large and varied classes.

    From classes (--classified), scores (--picks) or both, and the labels so far, TABLE gets the
    rows of the minislabs in the order in which to label them: a particle STAR like any other. The
    more a label is expected to improve F-beta of the list, the earlier its minislab comes.
    """
    from slabkit.formats.tables.paths import check_given_once

    given = list(labels or [])
    check_given_once(given, "label table")
    if classified is None and picks is None:
        raise InputError("give --classified, --picks or both: classes or scores to go by.")
    sources = [name for name in (minislabs, classified, picks, *given) if name is not None]
    if "-" in sources or decide == "-":
        raise InputError("suggest reads and writes files; only -o may be - here.")
    extra = {"--decide": decide, "--gallery": gallery}
    for option, name in extra.items():
        if name is not None and Path(name).resolve() in {
            Path(other).resolve() for other in (*sources, out) if other != "-"
        }:
            raise InputError(f"{name}: {option} is an input or -o already.")
    with common.Step(
        "suggest",
        out,
        inputs=sources,
        parameters={
            "classified": classified,
            "picks": picks,
            "labels": given,
            "number": number,
            "beta": beta,
            **extra,
        },
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
    ) as step:
        if step.finished:
            return
        import pandas as pd

        from slabkit.curation import suggest_labels
        from slabkit.formats.tables.curation import read_any_labels
        from slabkit.formats.tables.native import read_minislabs
        from slabkit.tables import LABELS, empty_table

        table, geometry = read_minislabs(minislabs)
        # Tilted views of a pick are one decision: the image that was tilted least stands for it.
        upright = table.iloc[table["slabkitTilt"].abs().argsort(kind="stable")]
        upright = upright.drop_duplicates("slabkitPickId").sort_index(ignore_index=True)
        candidates = _candidates(upright, table, geometry, classified, picks)
        tables = [read_any_labels(name) for name in given]
        known = pd.concat(tables, ignore_index=True) if tables else empty_table(LABELS)
        result = suggest_labels(candidates, known, count=number, beta=beta)
        rows = _rows(upright, result)
        _write(step, out, rows, geometry, result, decide, gallery, minislabs)
        _report(step, result)


def _candidates(
    upright: pd.DataFrame,
    minislabs: pd.DataFrame,
    geometry: pd.DataFrame,
    classified: str | None,
    picks: str | None,
) -> pd.DataFrame:
    from slabkit.formats.picks.reading import read_picks
    from slabkit.formats.results import read_results
    from slabkit.labels import join_results
    from slabkit.minislabs.galleries import layout_of

    candidates = upright[["slabkitPickId", "slabkitTomogram"]].copy()
    if classified is not None:
        layout = layout_of(geometry, classified)
        found = read_results([classified], minislabs, layout).table
        if "slabkitClass" not in found.columns:
            raise InputError(f"{classified}: has no classes (rlnClassNumber).")
        tile = join_results(found, minislabs, layout).tile
        ids = minislabs["slabkitPickId"].to_numpy(dtype=object)[tile[tile >= 0]]
        if len(found) and not len(ids):
            raise InputError(f"{classified}: none of its rows is one of the minislabs.")
        names = found["slabkitClass"].to_numpy(dtype=object)[tile >= 0]
        classes = dict(zip(ids[::-1], names[::-1], strict=True))
        candidates["slabkitClass"] = [classes.get(name, "") for name in candidates["slabkitPickId"]]
    if picks is not None:
        table = read_picks(picks, check_bounds=False).picks
        scores = dict(zip(table["slabkitPickId"], table["slabkitScore"], strict=True))
        candidates["slabkitScore"] = [
            scores.get(name, float("nan")) for name in candidates["slabkitPickId"]
        ]
        if len(candidates) and not set(scores) & set(candidates["slabkitPickId"]):
            raise InputError(f"{picks}: has none of the picks of the minislabs.")
    return candidates


def _rows(upright: pd.DataFrame, result: Suggestion) -> pd.DataFrame:
    """Give the rows of the minislab table in the order suggested."""
    columns = ["slabkitSuggestion", "slabkitProbability", "slabkitGain"]
    order = result.order[["slabkitPickId", *columns]]
    return order.merge(upright, on="slabkitPickId", how="left")[[*upright.columns, *columns]]


def _write(
    step: common.Step,
    out: str,
    rows: pd.DataFrame,
    geometry: pd.DataFrame,
    result: Suggestion,
    decide: str | None,
    gallery: str | None,
    source: str,
) -> None:
    from slabkit.formats.tables.native import write_labels, write_minislabs
    from slabkit.steps.shared.galleries import planned_tile_files, write_tiles

    planned = planned_tile_files(len(rows), geometry, Path(gallery)) if gallery else []
    step.check_free([*([Path(decide)] if decide else []), *planned])
    if gallery:
        step.outputs += write_tiles(rows, geometry, Path(gallery), source)
    if decide:
        write_labels(decide, result.decisions)
        step.outputs.append(Path(decide))
    write_minislabs(out, rows, geometry)


def _report(step: common.Step, result: Suggestion) -> None:
    said = result.decisions["slabkitDecision"].value_counts()
    summary: dict[str, Any] = {
        "minislabs": len(result.decisions),
        "labelled": result.labelled,
        "suggested": len(result.order),
        "expected_f_beta": result.expected_f_beta,
        "would_accept": int(said.get("accepted", 0)),
    }
    step.summary.update(summary)
