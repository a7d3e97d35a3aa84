"""What result files of all kinds have in common: words for decisions, columns, their types."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from slabkit.errors import InputError
from slabkit.formats.programs.shared.values import coordinates, optional_numbers
from slabkit.tables import rows_named

_ACCEPTED = ["accepted", "accept", "1", "1.0", "yes", "y", "true", "t"]
_ACCEPTED += ["good", "keep", "kept", "selected", "+"]
_REJECTED = ["rejected", "reject", "0", "0.0", "no", "n", "false", "f"]
_REJECTED += ["bad", "junk", "discard", "drop", "-"]
_UNDECIDED = ["", "undecided", "unsure", "maybe", "unknown", "none", "nan", "na", "<na>", "?"]
DECISION_WORDS = {
    **dict.fromkeys(_ACCEPTED, "accepted"),
    **dict.fromkeys(_REJECTED, "rejected"),
    **dict.fromkeys(_UNDECIDED, "undecided"),
}
"""How people write decisions, in small letters."""

_WHOLE = ("slabkitTileRow", "slabkitTileColumn")
_REAL = ("rlnCoordinateX", "rlnCoordinateY", "slabkitTilt")


def require_key(found: dict[str, list[str]], where: str, names: Sequence[str]) -> None:
    """Refuse a result in which nothing says which minislab a row means.

    Parameters
    ----------
    found : dict of str to list of str
        The columns, by their names in `slabkit.tables.MINISLABS`.
    where : str
        What the message begins with.
    names : sequence of str
        How the file calls its columns.

    Raises
    ------
    InputError
    """
    gallery = "rlnMicrographName" in found
    if not (
        {"slabkitPickId", "rlnParticleName", "rlnImageName"} & set(found)
        or (gallery and {"slabkitTileRow", "slabkitTileColumn"} <= set(found))
        or (gallery and {"rlnCoordinateX", "rlnCoordinateY"} <= set(found))
    ):
        raise InputError(
            f"{where}: nothing in it says which minislab a row means (its columns are "
            f"{', '.join(names) or 'none'}); it needs pick_id, or gallery with row and column or "
            "with x and y (RELION: rlnParticleName, rlnImageName, or rlnMicrographName with "
            "coordinates)."
        )


def typed_results(found: dict[str, list[str]], where: str) -> dict[str, Any]:
    """Make numbers and decisions of the texts of a result file.

    Parameters
    ----------
    found : dict of str to list of str
        Columns named as in `slabkit.tables.MINISLABS` and `slabkit.tables.LABELS`.
    where : str

    Returns
    -------
    dict of str to array-like

    Raises
    ------
    InputError
        A value is not understood; names the rows, counted from 1.
    """
    columns: dict[str, Any] = dict(found)
    for column in _REAL:
        if column in found:
            columns[column] = coordinates(found[column], column, where)
    for column in _WHOLE:
        if column in found:
            numbers = coordinates(found[column], column, where)
            wrong = numbers != np.round(numbers)
            if wrong.any():
                value = found[column][int(np.flatnonzero(wrong)[0])]
                raise InputError(f"{where}: {column} is {value!r} in {rows_named(wrong)}.")
            columns[column] = numbers.astype(np.int64)
    if "slabkitScore" in found:
        columns["slabkitScore"] = optional_numbers(found["slabkitScore"], "score", where)
    if "slabkitDecision" in found:
        columns["slabkitDecision"] = _decisions(found["slabkitDecision"], where)
    if "slabkitClass" in found:
        # Spreadsheets make 3.0 of class 3.
        columns["slabkitClass"] = [re.sub(r"(?<=\d)\.0+$", "", c) for c in found["slabkitClass"]]
    return columns


def _decisions(values: Sequence[str], where: str) -> list[str]:
    decisions = [DECISION_WORDS.get(value.strip().lower(), "?") for value in values]
    wrong = np.array([decision == "?" for decision in decisions], dtype=bool)
    if wrong.any():
        value = values[int(np.flatnonzero(wrong)[0])]
        raise InputError(
            f"{where}: the decision is {value!r} in {rows_named(wrong)}; it must be one of "
            f"{', '.join(_ACCEPTED)} or {', '.join(_REJECTED)}, or empty."
        )
    return decisions
