"""Turning the text of foreign pick files into numbers and names, or saying which rows are wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.tables import rows_named

_NOT_A_VALUE = {"", "nan", "<na>", "na", "none", "null"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_FORBIDDEN_IN_NAMES = "#/\\"

TEXT_NAMES = {
    "slabkitPickId": "pick_id",
    "slabkitTomogram": "tomogram",
    "slabkitSpecies": "species",
    "slabkitX": "x",
    "slabkitY": "y",
    "slabkitZ": "z",
    "slabkitScore": "score",
    "slabkitScoreKind": "score_kind",
    "slabkitDiameter": "diameter",
    "slabkitDecision": "decision",
    "slabkitConfidence": "confidence",
    "slabkitZConfidence": "z_confidence",
    "slabkitFlags": "flags",
    "slabkitSource": "source",
    "slabkitSlabCount": "slab_count",
}
"""How CSV and JSON files call the columns of `slabkit.tables.PICKS`."""


def coordinates(values: Sequence[str], name: str, where: str) -> npt.NDArray[np.float64]:
    """Read coordinates: finite numbers with a decimal point; rows without one are refused."""
    numbers = parse_numbers(values)
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        value = values[int(np.flatnonzero(wrong)[0])]
        raise InputError(
            f"{where}: {name} is {value!r} in {rows_named(wrong)}; it must be a finite number "
            "with a decimal point."
        )
    return numbers


def optional_numbers(values: Sequence[str], name: str, where: str) -> npt.NDArray[np.float64]:
    """Read numbers that may be missing (empty, ``nan``, ``<NA>``, ``none``): NaN there."""
    numbers = parse_numbers(values)
    wrong = ~np.isfinite(numbers)
    for row in np.flatnonzero(wrong).tolist():
        wrong[row] = values[row].strip().lower() not in _NOT_A_VALUE
    if wrong.any():
        value = values[int(np.flatnonzero(wrong)[0])]
        raise InputError(
            f"{where}: {name} is {value!r} in {rows_named(wrong)}; it must be a number."
        )
    return numbers


def parse_numbers(values: Sequence[str]) -> npt.NDArray[np.float64]:
    """Read decimal numbers; NaN for anything else."""
    try:
        numbers = np.array(list(map(float, values)), dtype=float)
        # Python takes 1_000 and the digits of other scripts for numbers, and no other program does.
        together = "".join(values)
        if "_" not in together and together.isascii():
            return numbers
    except ValueError:
        pass
    plain = (_NUMBER.fullmatch(value.strip()) for value in values)
    return np.array([float(m[0]) if m else np.nan for m in plain], dtype=float)


def check_names(names: Iterable[str], what: str, where: str, empty: bool = False) -> None:
    """Refuse names that tables or file names cannot hold; ``what`` they name is for the message.

    These are ``.``, ``..``, those with ``#``, a path separator, a line break or another unprintable
    character, and, unless allowed, the empty one.
    """
    for name in dict.fromkeys(names):
        wrong = not name.isprintable() or any(c in name for c in _FORBIDDEN_IN_NAMES)
        if wrong or name in (".", "..") or name != name.strip() or not (name or empty):
            raise InputError(
                f"{where}: {what} {name!r} cannot be used as a name: it must not be empty and have "
                "no '#', '/', '\\', line break, or space at its ends; rename it."
            )


def typed_columns(extras: dict[str, list[str]], where: str) -> dict[str, Any]:
    """Pick out of extra columns those that are slabkit's own (`TEXT_NAMES`), typed."""
    from slabkit.tables import PICKS

    found: dict[str, Any] = {}
    for column in PICKS.columns:
        name = TEXT_NAMES[column.name]
        if name in "xyz" or name not in extras:
            continue
        values = extras.pop(name)
        if column.kind == "string":
            default = str(column.default or "")
            found[column.name] = [value or default for value in values]
        else:
            numbers = optional_numbers(values, name, where)
            if column.kind == "integer":
                numbers = np.where(np.isnan(numbers), float(column.default or 0), numbers)
            found[column.name] = numbers
    return found
