"""What steps say of themselves, wherever it is shown."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from slabkit.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")

Progress: TypeAlias = Callable[[str, int, int, str], None]
"""Called with the stage, how much of it is done, of how much, and the text to show."""


class Reporter:
    """Where a step says what it does; this one says nothing.

    Attributes
    ----------
    warnings : list of str
        Warnings shown so far, each once; they go into records.
    json : bool
        Standard output is for one JSON summary, and for nothing else.
    """

    json = False

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def note(self, text: str) -> None:
        """Say something that a person may want to know."""

    def failure(self, item: str, message: str) -> None:
        """Say that one item of several could not be done."""

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Show a small table."""

    def result(self, value: Any) -> None:
        """Show what a step found whose result is not a file."""

    def track(self, items: Iterable[T], total: int | None, what: str) -> Iterator[T]:
        """Pass items through, showing how far they are."""
        yield from items

    def progress(self) -> contextlib.AbstractContextManager[Progress]:
        """Give what shows how far a computation of several stages is."""
        return contextlib.nullcontext(lambda *_: None)

    def done(self, result: StepResult) -> None:
        """Say how a step ended."""


@dataclass(frozen=True)
class StepResult:
    """How a step ended."""

    name: str  # the command, ``pick blob`` for instance
    # ``partial``: some items failed; ``skipped``: the result was there already
    status: Literal["done", "partial", "skipped"]
    out: Path | None  # the main file
    summary: dict[str, Any]  # the counts
    failures: dict[str, str]  # item to error
    again: str  # how finished work is made again, for the message that it was skipped


def raise_if_all_failed(failures: Mapping[str, str], items: int) -> None:
    """Raise an error if all of so many items failed; ``failures``: item to error."""
    if items and len(failures) == items:
        first = next(iter(failures.values()))
        raise InputError(first if items == 1 else f"none of {items} could be done; {first}")


def summary_rows(table: pd.DataFrame) -> list[dict[str, object]]:
    """Give the rows of a table for a summary: NaN is None, and names have no ``slabkit``."""
    return [
        {
            str(name).removeprefix("slabkit"): None if value != value else value
            for name, value in row.items()
        }
        for row in table.astype(object).to_dict("records")
    ]
