"""Small tables with a header line and separators, read by column names."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

import numpy as np

from slabkit.errors import FormatError
from slabkit.formats.programs.shared.values import coordinates
from slabkit.tables import check_width


def csv_rows(text: str, delimiter: str, where: str) -> Iterator[tuple[int, list[str]]]:
    """Give the rows of a table with their lines; none that are blank or begin with ``#``."""
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            first = row[0].lstrip() if row else ""
            if first[0] != "#" if first else any(map(str.strip, row)):
                check_width(len(row), where)
                yield reader.line_num, row
    except csv.Error as error:
        raise FormatError(
            f"{where}, line {reader.line_num}: is not well-formed CSV ({error})."
        ) from error


def delimiter_of(header: str) -> str:
    """Tell what separates the names in a header line: tabs, semicolons, commas, else bars."""
    bars = "|" if "," not in header else ""
    return next((mark for mark in f"\t;{bars}" if mark in header), ",")


def csv_columns(
    text: str, needed: Sequence[str], what: str, where: str, delimiter: str = ","
) -> dict[str, list[str]]:
    """Split a table, ``what`` for messages, into its columns by name, without blanks at their ends.

    A missing or doubled column and a short or long row are refused.
    """
    if "\0" in text:  # csv passes it on, and no path may have it
        raise FormatError(f"{where}: is not well-formed (it has a NUL character).")
    rows = [[value.strip() for value in row] for _, row in csv_rows(text, delimiter, where)]
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
