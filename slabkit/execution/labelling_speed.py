"""How fast labels were made, as far as files tell.

Label tables have no times, so that the same input gives the same bytes. The records beside them
say when the images were made and when the labels were, which bounds the time that the work took.
Where the tool in which people labelled wrote a column ``time`` into its CSV, its times are used.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slabkit.errors import InputError
from slabkit.execution.records import Record, describe_input, load_record
from slabkit.formats.tables.blocks import read_text
from slabkit.formats.tables.native import read_labels

if TYPE_CHECKING:
    import pandas as pd

TIME_COLUMNS = ("time", "timestamp", "labelled_at")
"""Names of the column of times in a CSV file."""


def labelling_pace(
    label_files: Sequence[str | os.PathLike[str]], *, pause: float = 300.0
) -> pd.DataFrame:
    """Say how fast the labels of label tables were made.

    Parameters
    ----------
    label_files : sequence of path-like
        Label tables with their records beside them.
    pause : float, optional
        In seconds: a longer time between two labels is a pause and does not count.

    Returns
    -------
    DataFrame
        One row a table: ``table``, ``author``, ``round``, ``labels``; ``made``, when the table was
        made (ISO 8601), and ``hours_since_images``, how long after the minislabs' table, so that
        ``labels_per_hour_at_least`` follows; of result files with times, unchanged since:
        ``timed_labels``, ``hours`` of work without the pauses, ``labels_per_hour``. NaN or an empty
        text for what is not known, and no speed of labels that a rule gave.

    Raises
    ------
    InputError
        A table cannot be read, a time is not one, or the pause is not positive.
    """
    import pandas as pd

    if not (math.isfinite(pause) and pause > 0):
        raise InputError(f"a pause is a positive number of seconds, not {pause:g}.")
    return pd.DataFrame([_row(path, pause) for path in label_files], columns=_COLUMNS)


_COLUMNS = [
    "table",
    "author",
    "round",
    "labels",
    "made",
    "hours_since_images",
    "labels_per_hour_at_least",
    "timed_labels",
    "hours",
    "labels_per_hour",
]


def _row(path: str | os.PathLike[str], pause: float) -> tuple[object, ...]:
    labels = read_labels(path)
    names = [
        ", ".join(dict.fromkeys(name for name in labels[column] if name))
        for column in ("slabkitAuthor", "slabkitRound")
    ]
    decided = int((labels["slabkitDecision"] != "undecided").sum())
    record = load_record(path)
    made, since, least = "", math.nan, math.nan
    timed, hours, rate = 0, math.nan, math.nan
    if record is not None and record.finished:
        made = record.finished
        base = Path(path).parent / record.working_directory
        images = [load_record(base / str(entry["name"])) for entry in record.inputs]
        before = [one.finished for one in images if one is not None and one.step == "minislab"]
        by_rule = _is_rule(record)
        if any(before) and not by_rule:
            since = (_time(made) - max(_time(time) for time in before if time)) / 3600
            # A script that labels at once tells nothing.
            least = decided / since if since > 0 else math.nan
        inputs = [] if by_rule else record.inputs
        times = [_times(base / str(entry["name"]), entry) for entry in inputs]
        timed, hours, rate = _pace(np.concatenate([np.zeros(0), *times]), pause)
    return (str(path), *names, decided, made, since, least, timed, hours, rate)


def _is_rule(record: Record) -> bool:
    """Tell labels that a threshold, a quality or `slabkit suggest` gave, not a person."""
    given = record.parameters  # label records a quality with --auto only
    return record.step != "label" or any(given.get(n) is not None for n in ("quality", "threshold"))


def _times(path: Path, entry: dict[str, object]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Read the times of a CSV file in seconds; none if it has no such column or was changed."""
    nothing = np.zeros(0)
    if path.suffix.lower() not in (".csv", ".tsv", ".txt") or not os.path.isfile(path):
        return nothing
    if describe_input(path)["hash"] != entry["hash"]:
        return nothing
    text = read_text(path)
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    if not lines:
        return nothing
    mark = next((mark for mark in "\t;," if mark in lines[0]), ",")
    rows = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=mark))
    header = [name.strip().lower() for name in rows[0]]
    column = next((header.index(name) for name in TIME_COLUMNS if name in header), None)
    if column is None:
        return nothing
    found = []
    for number, row in enumerate(rows[1:], 1):
        value = row[column].strip() if column < len(row) else ""
        if not value:
            continue
        try:
            found.append(_time(value))
        except ValueError:
            raise InputError(
                f"{path}, row {number}: {rows[0][column].strip()} is {value!r}; it must be a time "
                "as 2026-05-01T14:03:20 or in seconds."
            ) from None
    return np.array(found)


def _time(text: str) -> float:
    """Read ISO 8601 or seconds."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = datetime.fromisoformat(text).timestamp()
    if not math.isfinite(seconds):
        raise ValueError(text)
    return seconds


def _pace(
    times: np.ndarray[tuple[int], np.dtype[np.float64]], pause: float
) -> tuple[int, float, float]:
    gaps = np.diff(np.sort(times))
    gaps = gaps[gaps <= pause]
    hours = float(gaps.sum()) / 3600
    if not hours > 0:
        return len(times), math.nan, math.nan
    return len(times), hours, len(gaps) / hours
