"""The `slabkit` command: its sub-commands, in the order of the pipeline."""

from __future__ import annotations

import codecs
import contextlib
import functools
import importlib
import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

import typer
from typer.core import TyperGroup

import slabkit
from slabkit.cli.console import WARNINGS, emit, say
from slabkit.errors import SlabkitError, SlabkitWarning, TryAgainError, may_pass
from slabkit.formats.tables.paths import pipes_read_once

# Command name, and the module and function (or Typer group) it is; in the order of the pipeline.
_COMMANDS = {
    "slab": ("slab", "slab"),
    "pick": ("pick", "app"),
    "inspect": ("inspect_", "inspect_"),
    "map": ("map", "map_"),
    "minislab": ("minislab", "minislab"),
    "classify": ("classify", "classify"),
    "label": ("label", "label"),
    "curate": ("curate", "curate"),
    "agree": ("agree", "agree"),
    "rescue": ("rescue", "rescue"),
    "suggest": ("suggest", "suggest"),
    "merge": ("merge", "merge"),
    "conflicts": ("conflicts", "conflicts"),
    "history": ("history", "history"),
    "stats": ("stats", "stats"),
    "score": ("score", "score"),
    "split": ("split", "split"),
    "convert": ("convert", "convert"),
    "export": ("export", "app"),
    "import": ("import_", "app"),
    "simulate": ("simulate", "simulate"),
    "info": ("info", "info"),
    "demo": ("demo", "demo"),
}


class _Commands(Mapping[str, Any]):
    """The commands by name; a command's module is imported when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        return _load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


@functools.cache
def _load(name: str) -> Any:
    module, attribute = _COMMANDS[name]
    command = getattr(importlib.import_module(f"slabkit.cli.{module}"), attribute)
    holder = typer.Typer(rich_markup_mode=None)
    if isinstance(command, typer.Typer):
        holder.add_typer(command, name=name)
    else:
        holder.command(name=name)(command)
    return typer.main.get_group(holder).commands[name]


class _Group(TyperGroup):
    """Has the commands in the order of the pipeline."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": _Commands()})

    def list_commands(self, ctx: Any) -> list[str]:
        """Give the names in the order of `_COMMANDS`."""
        return command_names()


# Plain help: coloured boxes would double the time to show it.
app = typer.Typer(
    name="slabkit",
    cls=_Group,
    help="Pick particles in cryo-electron tomograms with 2D tools: tomogram to slabs, 2D picks, "
    "x, y, z, minislabs, labels, curated picks. Lengths are in Å.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def command_names() -> list[str]:
    """Name the commands in the order of the pipeline."""
    return list(_COMMANDS)


@functools.cache
def _command() -> Any:
    """Give what parses the command line, built once a process."""
    return typer.main.get_command(app)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    if version:
        emit(f"slabkit {slabkit.__version__}")
        raise typer.Exit


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    text = str(message)
    if text not in WARNINGS:
        WARNINGS.append(text)
        say(f"warning: {text}")


class _Terminated(BaseException):
    """SIGTERM came: it passes through everything that cleans up."""


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not stop the cleaning up
    raise _Terminated


def main() -> None:
    """Run the command line; every foreseen error ends in one sentence and a code of the README."""
    # One thread in linear algebra: --jobs is where work runs side by side, the matrices are small,
    # and sums then come out the same on any number of processors.
    for library in ("OPENBLAS", "OMP", "MKL", "VECLIB_MAXIMUM"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    WARNINGS.clear()
    codecs.register_error("slabkit", _escaped)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # none is there when it is closed
            stream.reconfigure(errors="slabkit")
    with warnings.catch_warnings(), pipes_read_once():
        warnings.showwarning = _show_warning
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", SlabkitWarning)
        if threading.current_thread() is not threading.main_thread():  # has no signals
            sys.exit(_run())
        before = signal.signal(signal.SIGTERM, _terminate)
        try:
            code = _run()
        finally:
            signal.signal(signal.SIGTERM, before)
        sys.exit(code)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """Write what a terminal has no letter for as JSON does."""
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    return "".join(json.dumps(letter)[1:-1] for letter in text), error.end


def _run() -> int:
    try:
        _command()()
    except _Terminated:
        say("terminated; unfinished files were removed.")
        return 143
    except SystemExit as stop:
        if stop.code == 130:  # Typer's for Ctrl-C
            say("interrupted; unfinished files were removed.")
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    except TryAgainError as error:
        return _refuse(str(error), 75)
    except SlabkitError as error:
        return _refuse(str(error))
    except BrokenPipeError:
        # The reader of our pipe has gone: nothing to say, and Python must not say it for us.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        say("interrupted; unfinished files were removed.")
        return 130
    except MemoryError:
        return _refuse("not enough memory; try --jobs 1 or a smaller piece.")
    except OSError as error:
        code = 75 if may_pass(error) else 2
        return _refuse(f"{error.filename or 'a file'}: {error.strerror or error}.", code)
    return 0


def _refuse(message: str, code: int = 2) -> int:
    say(f"error: {message}")
    if "--json" in sys.argv:
        with contextlib.suppress(SlabkitError, OSError):  # stdout may be at fault
            emit(json.dumps({"status": "error", "error": message}, ensure_ascii=False))
    return code


if __name__ == "__main__":
    main()
