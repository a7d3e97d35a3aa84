"""Values out of JSON, strictly, and picks into it: what the JSON dialects share."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import FormatError, InputError
from slabkit.formats.programs.shared.values import TEXT_NAMES, parse_numbers
from slabkit.tables import PICKS, ROTATION, check_width

if TYPE_CHECKING:
    import pandas as pd

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_POSITION = ("slabkitX", "slabkitY", "slabkitZ")


def load_json(text: str, where: str) -> Any:
    """Parse JSON strictly: no ``NaN``, no ``Infinity``, no key twice.

    ``where`` is the file, and the line if there is one.
    """
    try:
        content = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique_keys)
        if _HALF.search(text):
            json.dumps(content, ensure_ascii=False).encode()  # no table can hold half a character
        return content
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise FormatError(f"{where}: is not valid JSON ({reason}); perhaps cut short.") from error


def json_number(value: Any, name: str, where: str) -> float:
    """Take a finite number out of JSON; text, true, null and NaN are none."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise FormatError(f"{where}: {name} is {shown(value)}; it must be a finite number.")


def json_matrix(value: Any, side: int, name: str, where: str) -> npt.NDArray[np.float64]:
    """Take a square matrix out of JSON."""
    rows = value if isinstance(value, list) else []
    if len(rows) != side or any(not isinstance(r, list) or len(r) != side for r in rows):
        raise FormatError(f"{where}: {name} must be a {side} × {side} matrix.")
    return np.array([[json_number(v, name, where) for v in row] for row in rows], dtype=float)


def json_location(value: Any, where: str) -> tuple[float, float, float]:
    """Take ``{"x": …, "y": …, "z": …}`` out of JSON."""
    if not isinstance(value, dict) or not {"x", "y", "z"} <= value.keys():
        raise FormatError(f"{where}: location must have x, y and z, not {shown(value)}.")
    x, y, z = (json_number(value[axis], axis, where) for axis in "xyz")
    return x, y, z


def json_text(value: Any, name: str, where: str) -> str:
    """Take a text out of JSON (null is the empty text)."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise FormatError(f"{where}: {name} is {shown(value)}; it must be text.")
    return value


def rotation_matrix(text: str, where: str) -> list[list[float]]:
    """Read what `rotation_text` wrote: three rows of three."""
    matrix: list[list[float]] = rotation_matrices([text], where)[0].tolist()
    return matrix


def rotation_matrices(texts: Sequence[str], where: str) -> npt.NDArray[np.float64]:
    """Read a column of what `rotation_text` wrote, shape (picks, 3, 3)."""
    rows = [text.split(",") for text in texts]
    whole = all(len(row) == 9 for row in rows)
    numbers = parse_numbers([value for row in rows for value in row]) if whole else np.empty(0)
    if not whole or not np.isfinite(numbers).all():
        for text, row in zip(texts, rows, strict=True):
            if len(row) != 9 or not np.isfinite(parse_numbers(row)).all():
                raise InputError(f"{where}: {ROTATION} {text!r} is not nine numbers.")
    return numbers.reshape(-1, 3, 3)


def extra_columns(rows: Sequence[dict[str, Any]], where: str) -> dict[str, list[str]]:
    """Make columns of what JSON objects have beyond what their format says."""
    keys = dict.fromkeys(key for row in rows for key in row)
    check_width(len(keys), where)
    return {key: [_as_text(row[key]) if key in row else "" for row in rows] for key in sorted(keys)}


def pick_objects(table: pd.DataFrame, taken: Collection[str] = ()) -> Iterator[dict[str, Any]]:
    """Give each pick's columns, but for its position, as a dict that JSON can hold."""
    names = [name for name in table.columns if name not in _POSITION and name not in taken]
    defaults = {column.name: column.default for column in PICKS.columns}
    keys = [TEXT_NAMES.get(name, name) for name in names]
    columns = [table[name].tolist() for name in names]
    nothing = [("", None, defaults.get(name)) for name in names]
    for row in zip(*columns, strict=True):
        yield {
            key: value
            for key, value, none in zip(keys, row, nothing, strict=True)
            if value == value and value not in none
        }


def whole_number(text: object, name: str) -> int:
    """Read a whole number that travelled as text."""
    try:
        return int(str(text))
    except ValueError as error:
        raise InputError(f"{name} is {text!r}; it must be a whole number.") from error


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    try:
        return value if isinstance(value, str) else json.dumps(value)
    except RecursionError as error:
        raise FormatError("a value is nested too deeply.") from error


def shown(value: Any, longest: int = 60) -> str:
    """Write a value of JSON for a message, cut short."""
    try:
        text = json.dumps(value)
    except RecursionError:
        text = "[" * longest + "..."
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key appears twice in one object")
    return result
