"""Labels from the log of a review."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError, warn
from slabkit.execution.frame import Frame

if TYPE_CHECKING:
    import pandas as pd


def label_reviews(options: Any, frame: Frame) -> None:
    """Write the labels that a log of `slabkit review` holds, and the picks it adds or moves.

    ``options`` are those of `slabkit.steps.label`.
    """
    from slabkit.formats.review_log import read_log
    from slabkit.formats.tables.native import PickList, read_minislabs, write_labels, write_picks
    from slabkit.tables import DECISIONS
    from slabkit.tables.events import SOURCES, event_additions, event_labels, in_force

    if len(options.results) > 1:
        raise InputError(f"{options.results[0]}: label one log of slabkit review at a time.")
    log, more = options.results[0], options.additions
    given = type(options)((log,), options.minislabs, options.out, additions=more)
    if other := [
        one.name for one in fields(given) if vars(given)[one.name] != vars(options)[one.name]
    ]:
        flag = {"round_name": "round"}.get(other[0], other[0].replace("_", "-"))
        raise InputError(f"{log}: the log has its decisions already; leave --{flag} out.")
    if more is not None and (
        more == "-" or os.path.realpath(more) == os.path.realpath(options.out)
    ):
        raise InputError(f"{more}: --additions takes a file of its own.")
    about, events = read_log(log)
    with frame.work(
        "label",
        options.out,
        inputs=[options.minislabs],
        parameters={"additions": more},
        text_inputs={log: "\n".join(map(repr, [about, *events]))},
    ) as work:
        if work.finished:
            return
        table, _ = read_minislabs(options.minislabs)
        sets = set(table["slabkitGallerySet"])
        labels = event_labels(events)
        unknown = ~labels["slabkitPickId"].isin(set(table["slabkitPickId"]))
        if about.get("gallery set") not in sets or unknown.any():
            raise InputError(
                f"{log}: is the log of other minislabs (set {about.get('gallery set')}); give "
                "--minislabs the table that was reviewed."
            )
        additions, tomograms = event_additions(events)
        work.check_free([Path(more)] if more else [])
        write_labels(options.out, labels.assign(slabkitTile=_tiles_of(labels, table)))
        if more:
            write_picks(more, PickList(additions, tomograms))
            work.outputs.append(Path(more))
        elif len(additions):
            warn(
                f"{log}: has {len(additions)} picks that were added or moved; --additions writes "
                "them."
            )
        decisions = labels["slabkitDecision"].value_counts()
        work.summary.update(
            events=len(events),
            taken_back=sum(one.kind not in ("undo", "redo", "lease") for one in events)
            - sum(one.kind != "lease" for one in in_force(events)),
            labels=len(labels),
            picks=int(labels["slabkitPickId"].nunique()),
            reviewers=int(labels["slabkitAuthor"].nunique()),
            **{name: int(decisions.get(name, 0)) for name in DECISIONS},
            by_class=int((labels["slabkitSource"] == SOURCES["class"]).sum()),
            additions=len(additions),
        )


def _tiles_of(labels: pd.DataFrame, minislabs: pd.DataFrame) -> pd.Series:
    """Name the tile of each label's pick as label tables do; of tilted views the least tilted."""
    upright = minislabs.iloc[minislabs["slabkitTilt"].abs().argsort(kind="stable")]
    upright = upright.drop_duplicates("slabkitPickId")
    upright = upright[upright["slabkitPickId"].isin(labels["slabkitPickId"])]
    parts = (upright[f"slabkitTile{name}"].astype(str) for name in ("Row", "Column"))
    row, column = parts
    names = "r" + row + "c" + column + "@" + upright["rlnMicrographName"]
    return labels["slabkitPickId"].map(dict(zip(upright["slabkitPickId"], names, strict=True)))
