"""The pick lists of many tomograms to one, with one threshold for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from slabkit.errors import InputError, warn
from slabkit.execution.frame import Frame, Work, parameters
from slabkit.steps.shared.done import DONE, NAMES, PICKS, read_answer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from slabkit.formats.tables.native import PickList


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit gather``: folders of ``slabkit tomogram``, or pick lists."""

    sources: tuple[str, ...]
    out: str
    threshold: float | Literal["auto"] = "auto"
    target_precision: float | None = None
    names: str | None = None  # the label table of the picks' names
    most_failed: float = 0.1
    failed: str | None = None


def run(options: Options, frame: Frame) -> None:
    """Fit the threshold to the scores of all lists, and write the picks that reach it.

    Lists are read twice, one at a time, so that memory does not grow with their number.
    """
    from slabkit.formats.tables.atomic import write_pieces
    from slabkit.formats.tables.paths import check_given_once

    if not 0 <= options.most_failed <= 1:
        raise InputError(f"--most-failed must be from 0 to 1, not {options.most_failed:g}.")
    if options.target_precision is not None and options.threshold != "auto":
        raise InputError("--threshold and --target-precision both say where to cut; give one.")
    check_given_once(options.sources, "tomogram")
    lists, failed = _lists(options.sources)
    named = _named(lists) if options.names is not None else []
    answers = [Path(one) / DONE for one in options.sources if (Path(one) / DONE).is_file()]
    with frame.work(
        "gather",
        options.out,
        inputs=[*answers, *lists, *named],
        parameters={
            **parameters(options, "sources", "out", "failed", "names"),
            "sources": sorted(options.sources),
            "failed": options.failed,
            **({"names": options.names} if named else {}),
        },
    ) as work:
        if work.finished:
            return
        _stop_above(options.most_failed, failed, len(options.sources))
        if options.failed is not None:
            work.check_free([Path(options.failed)])
            _write_failed(Path(options.failed), failed)
            work.outputs.append(Path(options.failed))
        if options.names is not None:
            work.check_free([Path(options.names)])
        threshold = _gather(work, lists, options)
        if options.names is not None:
            write_pieces(options.names, _name_rows(named, lists, threshold))
            work.outputs.append(Path(options.names))
        for name, reason in list(failed.items())[:20]:
            work.note(f"left out: {name}: {reason}")
        work.summary["left_out"] = len(failed)


def _lists(given: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    """Give the pick lists, and what failed with the reason, by folder."""
    lists: list[str] = []
    failed: dict[str, str] = {}
    for one in given:
        folder = Path(one)
        if not folder.is_dir() and folder.suffix == ".star":
            lists.append(one)
            continue
        if not folder.exists():
            failed[one] = "is not there."
            continue
        answer = read_answer(folder)
        if answer.get("status") == "done":
            lists.append(str(folder / PICKS))
        else:
            reason = answer.get("error", f"has no {DONE}; slabkit tomogram has not finished it.")
            failed[one] = str(reason)
    return lists, failed


def _named(lists: list[str]) -> list[str]:
    """Give the tables of names beside the pick lists."""
    tables = [Path(one).with_name(NAMES) for one in lists]
    for table in tables:
        if not table.is_file():
            raise InputError(
                f"{table}: is not there; slabkit tomogram --map makes it, so leave --names out, or "
                "give folders that were made with --map."
            )
    return [str(one) for one in tables]


def _name_rows(named: list[str], lists: list[str], threshold: float) -> Iterator[bytes]:
    """Give one label table of the picks that are kept, a tomogram at a time."""
    from slabkit.formats.tables.native import read_labels
    from slabkit.formats.tables.star_writing import star_pieces
    from slabkit.tables import LABELS, empty_table

    first, columns, end = "", empty_table(LABELS), b""
    for path, listed in zip(named, lists, strict=True):
        names = read_labels(path)
        picks = _read(listed).picks
        kept = picks.loc[picks["slabkitScore"] >= threshold, "slabkitPickId"]
        names = names[names["slabkitPickId"].isin(kept)]
        if not len(names):
            continue
        if first and [*names.columns] != [*columns.columns]:
            raise InputError(
                f"{path}: was made with other maps than {first}; make all with the same ones."
            )
        *text, end = star_pieces({LABELS.block: names})
        yield from text[3 if first else 0 :]
        first, columns = first or path, names
    if not first:
        yield from star_pieces({LABELS.block: columns})
    yield end


def _stop_above(most: float, failed: dict[str, str], count: int) -> None:
    if len(failed) <= most * count and len(failed) < count:
        return
    name, reason = next(iter(failed.items()))
    raise InputError(
        f"{len(failed)} of {count} tomograms failed, more than --most-failed {most:g} allows; the "
        f"first is {name}: {reason}"
    )


def _write_failed(path: Path, failed: dict[str, str]) -> None:
    import csv
    import io

    from slabkit.formats.tables.atomic import write_text

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("tomogram", "error"), *failed.items()])
    write_text(path, text.getvalue())


def _gather(work: Work, lists: list[str], options: Options) -> float:
    """Write the picks that reach the threshold, and give it."""
    import numpy as np
    import pandas as pd

    from slabkit.formats.tables.atomic import write_pieces
    from slabkit.merging import merge_tomograms
    from slabkit.steps.shared.pick_lists import pick_list_text, pick_rows
    from slabkit.tables import PICKS as PICKS_TABLE
    from slabkit.tables import empty_table

    scores: list[npt.NDArray[np.float64]] = []
    tomograms: list[pd.DataFrame] = []
    kinds: dict[str, None] = {}
    columns: list[str] = []
    for path in work.track(lists, total=len(lists), what="scores"):
        one = _read(path)
        tomograms.append(one.tomograms)
        scores.append(one.picks["slabkitScore"].to_numpy(float))
        kinds |= dict.fromkeys(one.picks["slabkitScoreKind"])
        if len(one.picks):
            columns = columns or list(one.picks.columns)
            if columns != list(one.picks.columns):
                other = sorted({*columns} ^ {*one.picks.columns}) or ["their order"]
                raise InputError(
                    f"{path}: its columns are not those of {lists[0]} ({', '.join(other)}); make "
                    "the lists with the same options."
                )
    _check_names(lists, tomograms)
    threshold = _threshold(work, np.concatenate([np.zeros(0), *scores]), list(kinds), options)
    pooled = merge_tomograms(tomograms)
    counts = {"picks": 0}

    def rows() -> Iterator[bytes]:
        for path in work.track(lists, total=len(lists), what="picks"):
            picks = _read(path).picks
            kept = picks[picks["slabkitScore"] >= threshold]
            if len(kept):
                counts["picks"] += len(kept)
                yield from pick_rows(kept)

    some = any((one >= threshold).any() for one in scores)
    empty = pd.DataFrame(columns=columns) if some else empty_table(PICKS_TABLE)
    write_pieces(options.out, pick_list_text(pooled, empty, rows()))
    if not counts["picks"]:
        warn(f"no pick reaches the score {threshold:g}; the table is empty.")
    found = int(sum(len(one) for one in scores))
    work.summary.update(tomograms=len(pooled), candidates=found, **counts)
    return threshold


def _read(path: str) -> PickList:
    from slabkit.formats.tables.native import read_native_picks
    from slabkit.formats.tables.paths import with_paths_from_here

    one = read_native_picks(path)
    with_paths_from_here(one.tomograms, path)
    return one


def _check_names(lists: list[str], tomograms: list[pd.DataFrame]) -> None:
    of: dict[str, str] = {}
    for path, table in zip(lists, tomograms, strict=True):
        for name in table["slabkitTomogram"]:
            if of.setdefault(name, path) != path:
                raise InputError(
                    f"{path}: has the tomogram {name}, which {of[name]} has too; slabkit merge "
                    "pools lists of the same tomogram."
                )


def _threshold(
    work: Work, scores: npt.NDArray[np.float64], kinds: list[str], options: Options
) -> float:
    """Give where to cut: as asked for, or by a fit to all scores."""
    from slabkit.picking import blob, template
    from slabkit.picking.thresholds import fit_threshold

    if options.threshold != "auto":
        return options.threshold
    default = {
        "blob-rims": blob.default_threshold("rims", 0.0),
        "blob-laplacian": blob.default_threshold("laplacian", 0.0),
        "template": template.default_threshold(False),
    }
    if len(kinds) > 1 or (kinds and kinds[0] not in default):
        raise InputError(
            f"a threshold is fitted to scores of one picker of slabkit, and these are of the kind "
            f"{' and '.join(kind or 'unnamed' for kind in kinds)}; give --threshold."
        )
    fit = fit_threshold(scores, precision=options.target_precision)
    threshold = fit.threshold if fit.separated else default[kinds[0]] if kinds else 0.0
    work.summary.update(threshold=threshold, separated=fit.separated)
    if not fit.separated:
        warn(
            f"the scores of {len(scores)} picks show one population only, so no threshold can be "
            f"told from them; {threshold:g} is used."
        )
    else:
        work.summary.update(
            expected_false=round(fit.expected_false, 1),
            expected_missed=round(fit.expected_missed, 1),
        )
    return threshold
