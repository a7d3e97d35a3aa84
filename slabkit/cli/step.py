"""The frame of the commands that are not steps yet."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

import typer

from slabkit.cli.running import ConsoleReporter
from slabkit.errors import InputError
from slabkit.execution.frame import Frame, Work


class Step(Work):
    """`Work` with a frame of its own."""

    def __init__(
        self,
        name: str,
        out: str | None,
        *,
        inputs: Iterable[Any] = (),
        parameters: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        quiet: bool = False,
        json_: bool = False,
        text_inputs: Mapping[str, str] | None = None,
        again: str = "--overwrite makes it again",
    ) -> None:
        if out == "-" and json_:
            raise InputError("--json and -o - both want standard output; give a file to -o.")
        frame = Frame(overwrite, 0, ConsoleReporter(quiet, json_), sys.argv[1:])
        super().__init__(frame, name, out, inputs, parameters, text_inputs, again)

    def __enter__(self) -> Step:
        super().__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        if error is None and self.failures:
            raise typer.Exit(1)
