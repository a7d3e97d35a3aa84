"""Small tables with a header line and separators, read by column names."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np

from slabkit.errors import FormatError
from slabkit.formats.programs.shared.values import coordinates


def csv_columns(
    text: str, needed: Sequence[str], what: str, where: str, delimiter: str = ","
) -> dict[str, list[str]]:
    """Split a table; values lose the blanks at their ends, blank lines pass."""
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise FormatError(f"{where}: is not well-formed ({error}).") from error
    rows = [[value.strip() for value in row] for row in rows if any(map(str.strip, row))]
    header = rows[0] if rows else []
    missing = [name for name in needed if name not in header]
    if missing or len(set(header)) < len(header):
        wrong = f"has no column {missing[0]}" if missing else "has a column twice"
        raise FormatError(f"{where}: {wrong}; {what} has {', '.join(needed)}.")
    for number, row in enumerate(rows[1:], 1):
        if len(row) != len(header):
            raise FormatError(
                f"{where}: row {number} has {len(row)} values for {len(header)} columns."
            )
    columns = list(zip(*rows[1:], strict=True)) or [()] * len(header)
    return {name: list(values) for name, values in zip(header, columns, strict=True)}


def whole_numbers(values: list[str], name: str, where: str) -> list[int]:
    """Read whole numbers."""
    numbers = coordinates(values, name, where)
    if (numbers != np.round(numbers)).any() or (abs(numbers) > 1e9).any():
        raise FormatError(f"{where}: {name} must be whole numbers.")
    return [int(number) for number in numbers]
