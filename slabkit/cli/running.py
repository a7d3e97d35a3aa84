"""Steps run from the command line: what they say goes to the console, how they end to the shell."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import typer

from slabkit.cli.console import WARNINGS, emit, format_table, say, sentence, short
from slabkit.cli.options.declare import Declared, declare
from slabkit.errors import InputError
from slabkit.execution.files import files_named
from slabkit.execution.frame import Frame
from slabkit.execution.reporting import Progress, Reporter, StepResult

T = TypeVar("T")
O = TypeVar("O")  # noqa: E741
R = TypeVar("R")


class ConsoleReporter(Reporter):
    """Says things on standard error; a JSON summary goes to standard output."""

    def __init__(
        self,
        quiet: bool = False,
        json_: bool = False,
        show: Callable[[Any], str] | None = None,
    ) -> None:
        super().__init__()
        self.quiet = quiet
        self.json = json_
        self.show = show
        self.warnings = WARNINGS
        self._failures: list[str] = []
        self._shown = False  # a table, which has the counts that the last line would have
        self._printed = False  # the result itself

    def note(self, text: str) -> None:
        """Say something, unless ``--quiet``."""
        if not self.quiet:
            say(text)

    def failure(self, item: str, message: str) -> None:
        """Keep what failed, to say it last."""
        self._failures.append(f"failed: {item}: {sentence(message)}")

    def say_failures(self) -> None:
        """Say what failed, always."""
        for text in self._failures:
            say(text)
        self._failures.clear()

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Show a small table, unless ``--quiet``."""
        if not self.quiet:
            say("\n" * self._shown + format_table(title, columns, rows))
            self._shown = True

    def result(self, value: Any) -> None:
        """Print the result on standard output, unless ``--json``."""
        if self.show is not None and not self.json:
            emit(self.show(value))
            self._printed = True

    def track(self, items: Iterable[T], total: int | None, what: str) -> Iterator[T]:
        """Show a progress bar where a person watches."""
        if self.quiet or not sys.stderr.isatty():
            yield from items
            return
        from rich.console import Console
        from rich.progress import track

        yield from track(items, what, total=total, console=Console(stderr=True), transient=True)

    @contextlib.contextmanager
    def progress(self) -> Iterator[Progress]:
        """Show a progress bar, one stage after the other, where a person watches."""
        if self.quiet or not sys.stderr.isatty():
            yield lambda *_: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        tasks: dict[str, Any] = {}
        with Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        ) as bars:

            def show(stage: str, done: int, total: int, text: str) -> None:
                if stage not in tasks:
                    for earlier in tasks.values():
                        bars.update(earlier, visible=False)
                    tasks[stage] = bars.add_task(stage, total=total)
                bars.update(tasks[stage], completed=done, total=total, description=text)

            yield show

    def done(self, result: StepResult) -> None:
        """Say the counts: one JSON object, or one line; after a table, where the result is."""
        if self.json:
            report = {
                "command": result.name,
                "status": result.status,
                "out": None if result.out is None else str(result.out),
                **result.summary,
                "warnings": list(self.warnings),
                "failures": result.failures,
            }
            emit(json.dumps(report, default=_json_value, ensure_ascii=False))
        elif result.status == "skipped":
            self.note(
                f"{result.name}: {result.out} is finished already, inputs and parameters are the "
                f"same; skipped ({result.again})."
            )
        elif not self.quiet and not (self._printed and result.out is None):
            kinds = (float, str) if self._shown else (int, float, str)  # tables have the counts
            counts = ", ".join(
                _COUNTS.get(key, f"{key.replace('_', ' ')} {{}}").format(short(value))
                for key, value in result.summary.items()
                if isinstance(value, kinds) and not isinstance(value, bool)
            )
            said = f" {counts}" if counts else "" if self._shown else " done"
            where = f" → {result.out}" if result.out is not None else ""
            if said or where:
                say(f"{result.name}:{said}{where}")
        several = len(self._failures) > 1
        self.say_failures()
        if several:
            names = ", ".join(list(result.failures)[:5])
            more = ", ..." if len(result.failures) > 5 else ""
            say(f"{result.name}: {len(result.failures)} failed: {names}{more}")


# Counts that are said otherwise than by their name and number.
_COUNTS = {
    "tile_px": "tiles of {} px",
    "pixel_size": "pixel size {} Å",
    "megabytes": "{} MB",
    "expected_f_beta": "expected F-beta {}",
}


def execute(
    run: Callable[[O, Frame], R],
    options: O,
    *,
    overwrite: bool = False,
    update: bool = False,
    jobs: int = 0,
    quiet: bool = False,
    json_: bool = False,
    show: Callable[[Any], str] | None = None,
) -> R:
    """Run a step as a command, and give what it returned: `Exit` with 1 if some items failed.

    ``show`` makes the text to print of what the step gives to `Reporter.result`.
    """
    for name, flag in (("out", "-o"), ("rejected", "--rejected")):
        if json_ and getattr(options, name, None) == "-":
            raise InputError(
                f"--json and {flag} - both want standard output; give a file to {flag}."
            )
    reporter = ConsoleReporter(quiet, json_, show)
    reads = files_named(options) if dataclasses.is_dataclass(options) else []
    frame = Frame(overwrite, jobs, reporter, sys.argv[1:], reads=reads, update=update)
    try:
        returned = run(options, frame)
    finally:
        reporter.say_failures()
    if frame.result is not None and frame.result.failures:
        raise typer.Exit(1)
    return returned


def command(
    run: Callable[[O, Frame], R],
    make: Callable[..., O],
    help: str,
    show: Callable[[Any], str] | None = None,
    /,
    **declared: Declared,
) -> Callable[..., None]:
    """Make the function of a command that runs a step; see `execute` and `declare`."""

    def act(options: O, **settings: Any) -> None:
        execute(run, options, show=show, **settings)

    return declare(act, make, help, **declared)


def _json_value(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)
