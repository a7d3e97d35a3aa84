"""How things are said: standard error for people, standard output for data."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Sequence

from slabkit.formats.tables.atomic import print_text

WARNINGS: list[str] = []
"""Warnings shown so far, each once; `slabkit.cli.commands` fills it."""


def say(text: str = "") -> None:
    """Print to standard error, where progress, tables and warnings go."""
    with contextlib.suppress(OSError):  # nobody listens: the exit code still tells
        print(text, file=sys.stderr, flush=True)  # noqa: T201


def emit(text: str) -> None:
    """Print data to standard output."""
    print_text(f"{text}\n")


def sentence(text: str) -> str:
    """Give a message without its middle where that is longer than a person reads."""
    return text if len(text) <= 1500 else f"{text[:1000]} … {text[-400:]}"


def format_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Lay out a table in plain text, the title (if any) above: first column left, others right."""
    cells = [list(columns)] + [[short(value) for value in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    lines.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join(([title] if title else []) + lines)


def short(value: object) -> str:
    """Write a value as a table shows it: the digits it has, at most three; a dash for nothing."""
    if value is None or (isinstance(value, float) and value != value):
        return "–"
    if isinstance(value, float):
        text = f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"
        return text.rstrip("0").rstrip(".") if float(text) else "0"  # not -0
    return str(value)
