"""The commands of `slabkit`, in the order of the pipeline, and how they end."""

from __future__ import annotations

import codecs
import contextlib
import functools
import importlib
import json
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

import slabkit
from slabkit.cli.console import WARNINGS, emit, say, sentence
from slabkit.cli.help import Panels, write_commands
from slabkit.cli.quick import Quick
from slabkit.errors import SlabkitError, SlabkitWarning, TryAgainError, may_pass
from slabkit.formats.tables.paths import pipes_read_once

# In the order of the pipeline; the command is the last word of its name, in the module of that name
# (underscores for spaces). What `--help` of a command says begins with its summary here.
_COMMANDS = {
    "slab": "Project tomograms along z into slabs, one MRC micrograph each, and slabs.star.",
    "pick": "Pick particles on slabs.",
    "pick blob": "Find blobs on slabs, with one noise scale a tomogram, so that scores compare "
    "across slabs.",
    "pick template": "Find particles on slabs by their shape: correlate with templates at all "
    "in-plane angles.",
    "pick segmentation": "Turn segmentations into 3D picks: one at the centre of each object "
    "of a particle's size.",
    "inspect": "Make a page to choose a threshold on: slabs with their picks, the scores, and "
    "a slider.",
    "view": "Make a page of picks in their tomograms: sections in three directions, a click says "
    "what a pick is.",
    "map": "Turn 2D picks on slabs into 3D picks: find z, and merge the hits of overlapping slabs.",
    "minislab": "Project the box about each pick; galleries of tiles, minislabs.star, stacks "
    "on request.",
    "classify": "Sort minislabs into 2D classes, whatever their in-plane rotation and shift.",
    "name": "Name picks, or classes, by density maps: which of them each one looks like.",
    "label": "Turn results on minislabs and galleries into labels: accepted, rejected or "
    "undecided.",
    "learn": "Learn species from labelled minislabs, and say what to expect of the model.",
    "predict": "Name minislabs by a model: a probability for each species and for none.",
    "curate": "Apply labels to a pick list, and say where every pick went.",
    "agree": "Compare what raters say: Cohen's kappa of two, Fleiss' of more, and their "
    "contradictions.",
    "rescue": "Choose picks of which people are to look at minislabs again.",
    "suggest": "Say which minislabs to show a person next: those whose labels should improve the "
    "list most.",
    "review": "Decide minislabs, classes and picks in the browser, alone or as a team.",
    "merge": "Pool pick lists and keep one of the picks that are the same particle.",
    "conflicts": "Find positions that picks of more than one species claim, and make minislabs "
    "of them.",
    "history": "Tell what happened to a pick: voxel, slab, pick, tile, each label, merges, "
    "verdicts.",
    "stats": "Count picks by tomogram, species, decision and source; measure distances and depths.",
    "report": "Show all that a folder of results holds on one page: slabs with picks, classes, "
    "scores.",
    "score": "Compare picks with the truth: precision, recall and F-beta, by species and in all.",
    "split": "Share tomograms out to subsets, to train and test with, that have all species alike.",
    "convert": "Convert pick lists from any format to any other, exactly.",
    "export": "Write what RELION, CryoSPARC or Topaz import: micrographs, coordinates, particles.",
    "export relion": "Write STAR files for RELION 3.1 and later; call it from the folder of "
    "the RELION project.",
    "export cryosparc": "Write what CryoSPARC imports; import.txt in the folder says what to "
    "type into which job.",
    "export topaz": "Write a training set for Topaz, and the script that runs it: topaz.sh.",
    "import": "Take over a project of another program mid-way: its slabs, picks and galleries.",
    "import slabpick": "Make slabkit's tables of slabpick's maps; its images stay where they are.",
    "simulate": "Simulate tomograms of known particles, protein dark, with truth.star and "
    "truth.csv.",
    "info": "Say what a file is: kind, size, voxel size, values, columns and rows, warnings.",
    "tomogram": "Run the chain on one tomogram up to its minislabs and names; run again, it "
    "goes on where it stopped.",
    "workflow": "Run the chain over a data set on Snakemake: here, or on a cluster.",
    "workflow init": "Write the files of a data set: config.yaml, Snakefile and profiles.",
    "workflow run": "Run what is not done: snakemake, with a profile.",
    "workflow status": "Say what is done, failed and why, waiting or stale.",
    "workflow choose": "Keep which classes are accepted; the next run goes on with them.",
    "gather": "Pool what slabkit tomogram made of many tomograms, with one threshold for all.",
    "auto": "Run the whole chain on tomograms, with defaults that follow from what is known.",
    "demo": "Simulate tomograms, run the whole chain on them, score it, and write report.html.",
}


# The panels of `slabkit --help`.
_PANELS = {
    "The chain, in its order": (
        "slab", "pick", "map", "minislab", "classify", "name", "label", "curate",
        "auto", "demo", "tomogram", "gather", "workflow",
    ),
    "Curation": (
        "learn", "predict", "suggest", "merge", "conflicts", "agree", "rescue", "history", "review",
    ),
    "Judging": ("inspect", "view", "report", "stats", "score", "split"),
    "Files": ("info", "convert", "export", "import", "simulate"),
}  # fmt: skip
_EXAMPLES = {
    "": "slabkit demo -o demo",
    "pick": "slabkit pick blob slabs/slabs.star -o picks2d.star --diameter 100:350",
    "export": "slabkit export relion minislabs/minislabs.star -o relion",
    "workflow": "slabkit workflow init DATASET --tomograms 'data/*.mrc' --diameter 100:350",
    "import": "slabkit import slabpick -o slabkit --slab-map slab_map.csv",
}


class _Command(Panels, Quick, TyperCommand):
    """A command."""


class _Later(TyperCommand):
    """A command whose module is imported when it is called."""

    def __init__(self, path: str) -> None:
        super().__init__(path.split()[-1], help=_COMMANDS[path])
        self._path = path

    def make_context(self, *args: Any, **settings: Any) -> Any:
        """Give the context of the command itself."""
        return _load(self._path).make_context(*args, **settings)


@functools.cache
def _load(path: str) -> Any:
    name = path.split()[-1]
    module = importlib.import_module(f"slabkit.cli.{path.replace(' ', '_')}")
    holder = typer.Typer(add_completion=False, rich_markup_mode=None)
    holder.command(name=name, cls=_Command)(getattr(module, name))
    command: Any = typer.main.get_command(holder)
    command.help = "\n\n".join(filter(None, [_COMMANDS[path], command.help]))
    example = re.search(r"``(slabkit [^`]+)``", module.__doc__ or "")  # of its first line
    command.ignore_unknown_options = path == "workflow run"  # they are snakemake's
    command.epilog = example[1] if example else None
    return command


class _Group(Panels, Quick, TyperGroup):
    """A group of commands."""

    panels: Mapping[str, Sequence[str]] = {"Commands": ()}

    def format_options(self, context: Any, formatter: Any) -> None:
        """Write the commands first, with sentences that are not cut."""
        summaries = {name: one.help or "" for name, one in self.commands.items()}
        write_commands(formatter, self.panels, summaries)
        super().format_options(context, formatter)


class _Root(_Group):
    """Has the commands in the order of the pipeline."""

    panels = _PANELS

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        groups: dict[str, TyperGroup] = {"": self}
        for path, summary in _COMMANDS.items():
            group, _, name = path.rpartition(" ")
            if any(other.startswith(f"{path} ") for other in _COMMANDS):
                groups[path] = _Group(
                    name=name,
                    help=summary,
                    epilog=_EXAMPLES[path],
                    no_args_is_help=True,
                    rich_markup_mode=None,
                )
            groups[group].add_command(groups.get(path) or _Later(path))


# Plain help: coloured boxes would double the time to show it.
app = typer.Typer(
    name="slabkit",
    cls=_Root,
    help="Pick particles in cryo-electron tomograms with 2D tools: tomogram to slabs, 2D picks, "
    "x, y, z, minislabs, labels, curated picks. Lengths are in Å. slabkit COMMAND --help "
    "says more.",
    epilog=_EXAMPLES[""],
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def command_names() -> list[str]:
    """Name the commands in the order of the pipeline."""
    return [name for name in _COMMANDS if " " not in name]


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
        say(f"warning: {sentence(text)}")


class _Terminated(BaseException):
    """SIGTERM came: it passes through everything that cleans up."""


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not stop the cleaning up
    raise _Terminated


class _Interrupted(KeyboardInterrupt):
    """Ctrl-C; of Python's own kind it would remember, and end with the signal although handled."""


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise _Interrupted


@contextlib.contextmanager
def _signals_come_again() -> Iterator[None]:
    """Send a signal again that came where Python drops errors, as while it loads modules."""
    before = sys.unraisablehook

    def hook(dropped: sys.UnraisableHookArgs) -> None:
        if not issubclass(dropped.exc_type, _Terminated | _Interrupted):
            before(dropped)
            return
        number = signal.SIGINT
        if issubclass(dropped.exc_type, _Terminated):
            number = signal.SIGTERM
            signal.signal(number, _terminate)
        # Not at once: here it would be dropped too.
        again = threading.Timer(0.02, signal.pthread_kill, (threading.get_ident(), number))
        again.daemon = True
        again.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def run() -> int:
    """Run what `sys.argv` says and give the exit code."""
    # One thread in linear algebra: --jobs is where work runs side by side, and the matrices are
    # small. Results do not depend on it: see docs/reliability.md.
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
            return _run()
        before = {signal.SIGTERM: signal.signal(signal.SIGTERM, _terminate)}
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored
            before[signal.SIGINT] = signal.signal(signal.SIGINT, _interrupt)
        try:
            with _signals_come_again():
                return _run()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


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
    message = sentence(message)
    say(f"error: {message}")
    if "--json" in sys.argv:
        with contextlib.suppress(SlabkitError, OSError):  # stdout may be at fault
            emit(json.dumps({"status": "error", "error": message}, ensure_ascii=False))
    return code
