"""The ledger of a pick: what happened to it after it was picked, in one column of text.

The column ``slabkitLedger`` travels with the pick through every table that keeps unknown columns.
It holds entries, oldest first, with commas between; an entry is a word for what happened and its
fields, with colons between: ``label:round=class2d:author=kim:decision=accepted``. Characters that
have a meaning there, or that STAR could not hold without quotes, stand as ``+`` and two hexadecimal
digits a byte of UTF-8. Fields without a value are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import FormatError
from slabkit.tables.schemas import LABELS, MODEL_SOURCE
from slabkit.tables.validation import empty_table, make_table

if TYPE_CHECKING:
    import pandas as pd

LEDGER = "slabkitLedger"
TIME = "slabkitTime"
"""Column of a label table that says when it was decided; those of `slabkit review` have it."""

LABEL_FIELDS = {
    "slabkitRound": "round",
    "slabkitAuthor": "author",
    "slabkitSource": "source",
    "slabkitDecision": "decision",
    "slabkitClass": "class",
    "slabkitScore": "score",
    "slabkitScoreKind": "kind",
    "slabkitSpecies": "species",
    "slabkitTile": "tile",
    "slabkitCentreX": "x",
    "slabkitCentreY": "y",
    "slabkitCentreZ": "z",
}
"""Column of a label table to the field of an entry ``label``."""

_UNSAFE = re.compile(r"[^A-Za-z0-9./@_-]")
_ESCAPED = re.compile(r"(?:\+[0-9A-F]{2})+")


def ledger_entries(step: str, fields: Mapping[str, Any]) -> list[str]:
    """Write one entry a row of what happened: ``label``, ``curate``, ``merge``, ``move``.

    ``fields`` has the values of each field by row; empty texts and NaN are left out.
    """
    written = [_field(name, values) for name, values in fields.items()]
    return [step + "".join(row) for row in zip(*written, strict=True)]


def _field(name: str, values: Any) -> list[str]:
    plain = values.tolist() if hasattr(values, "tolist") else list(values)
    known: dict[Any, str] = {}
    texts = []
    for value in plain:
        text = known.get(value)
        if text is None:
            text = known[value] = _value(name, value)
        texts.append(text)
    return texts


def _value(name: str, value: Any) -> str:
    if value is None or value != value or value == "":
        return ""
    text = repr(float(value)) if isinstance(value, float) else str(value)  # NumPy's too
    return f":{name}={_UNSAFE.sub(_escape, text)}"


def _escape(match: re.Match[str]) -> str:
    return "".join(f"+{byte:02X}" for byte in match[0].encode())


def _unescape(match: re.Match[str]) -> str:
    return bytes.fromhex(match[0].replace("+", "")).decode(errors="replace")


def label_entries(labels: pd.DataFrame) -> list[str]:
    """Write the entry of each row of a label table.

    Parameters
    ----------
    labels : DataFrame
        Columns of `slabkit.tables.LABELS`.
    """
    fields = {field: labels[name].to_numpy() for name, field in LABEL_FIELDS.items()}
    if TIME in labels.columns:
        fields["time"] = labels[TIME].to_numpy()
    return ledger_entries("label", fields)


def ledger_of(picks: pd.DataFrame) -> list[str]:
    """Give the ledger of each pick; empty where a table has none."""
    if LEDGER not in picks.columns:
        return [""] * len(picks)
    return ["" if text in ("none", "nan") else str(text) for text in picks[LEDGER]]


def with_entries(ledger: str, entries: Iterable[str]) -> str:
    """Append entries to a ledger, less those that it has.

    Parameters
    ----------
    ledger : str
    entries : iterable of str
    """
    have = ledger.split(",") if ledger else []
    known = set(have)
    for entry in entries:
        if entry not in known:
            known.add(entry)
            have.append(entry)
    return ",".join(have)


def parse_ledger(ledger: str, where: str = "ledger") -> list[dict[str, str]]:
    """Read a ledger: its entries, oldest first, each with ``step`` and its fields."""
    return [_parse_entry(entry, where) for entry in ledger.split(",")] if ledger else []


def _parse_entry(entry: str, where: str) -> dict[str, str]:
    step, *fields = entry.split(":")
    parsed = {"step": step}
    for field in fields:
        name, equals, value = field.partition("=")
        if not equals:
            break
        parsed[name] = _ESCAPED.sub(_unescape, value)
    if not step.isalpha() or len(parsed) <= len(fields):
        raise FormatError(f"{where}: {entry!r} is not an entry of a ledger ({LEDGER}).")
    return parsed


def places_left(picks: pd.DataFrame) -> dict[str, list[tuple[float, float, float]]]:
    """Give, by id, the places (x, y, z in Å) from which a person moved picks in a review."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for name, ledger in zip(picks["slabkitPickId"], ledger_of(picks), strict=True):
        if "move:by=review" not in ledger:
            continue
        for entry in parse_ledger(ledger, f"pick {name}"):
            if entry["step"] == "move" and entry.get("by") == "review" and "of" not in entry:
                x, y, z = (float(entry.get(axis, "nan")) for axis in "xyz")
                found.setdefault(name, []).append((x, y, z))
    return found


def persons_labels(labels: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Tell which rows of a label table are of people, and not predicted or propagated.

    Parameters
    ----------
    labels : DataFrame
        With ``slabkitSource``.

    Returns
    -------
    ndarray of bool, shape (rows,)
    """
    source = labels["slabkitSource"]
    machine = source.str.startswith(MODEL_SOURCE) | (source == "propagated")
    return np.asarray(~machine, dtype=bool)


def recorded_labels(picks: pd.DataFrame) -> pd.DataFrame:
    """Give the labels that the ledgers of picks hold.

    A label is of the pick whose image was looked at: those of picks that were merged into another
    are given with the ids that they had.

    Parameters
    ----------
    picks : DataFrame
        Columns of `slabkit.tables.PICKS` and, where anything was recorded, ``slabkitLedger``.

    Returns
    -------
    DataFrame
        Columns of `slabkit.tables.LABELS`; by pick, oldest first.

    Raises
    ------
    FormatError
        A ledger cannot be read.
    """
    columns: dict[str, list[Any]] = {"slabkitPickId": []}
    columns |= {name: [] for name in (*LABEL_FIELDS, TIME)}
    fields = {field: name for name, field in LABEL_FIELDS.items()} | {"time": TIME}
    for name, ledger in zip(picks["slabkitPickId"], ledger_of(picks), strict=True):
        if "label:" not in ledger:
            continue
        for entry in ledger.split(","):
            if not entry.startswith("label:"):
                continue
            parsed = _parse_entry(entry, f"pick {name}")
            columns["slabkitPickId"].append(parsed.get("of", name))
            for field, column in fields.items():
                missing = np.nan if column != TIME and LABELS[column].kind == "real" else ""
                columns[column].append(parsed.get(field, missing))
    if not any(columns[TIME]):
        del columns[TIME]
    return make_table(LABELS, columns) if columns["slabkitPickId"] else empty_table(LABELS)
