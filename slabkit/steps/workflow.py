"""The chain over a data set on Snakemake: its folder, its runs, how far it is, what is chosen."""

from __future__ import annotations

import csv
import glob
import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slabkit.errors import (
    InputError,
    MissingDependencyError,
    OutputExistsError,
    SlabkitError,
)
from slabkit.execution.frame import Frame
from slabkit.execution.reporting import StepResult
from slabkit.steps.shared.done import read_answer
from slabkit.steps.shared.naming import Maps

CONFIG, SNAKEFILE, TOMOGRAMS, FOLDERS = "config.yaml", "Snakefile", "tomograms.tsv", "folders.txt"
CHOICE, CLASSIFIED = "choice.txt", "classes/classified.star"
_PROFILES = ("local", "slurm")
_SHOWN = 20  # tomograms in a table
_FOLDER_BYTES = 2_000_000_000  # of an OME-Zarr, whose files are not counted
_INSTALL = (
    "the workflow runs on Snakemake 9, which is not installed; pip install "
    "'slabkit-cryoet[workflow]'."
)


@dataclass(frozen=True)
class InitOptions:
    """The options of ``slabkit workflow init``."""

    dataset: str
    tomograms: tuple[str, ...] = ()
    diameter: tuple[float, float] | None = None
    maps: Maps = ()


@dataclass(frozen=True)
class RunOptions:
    """The options of ``slabkit workflow run``; ``more``: of snakemake, as they are typed."""

    dataset: str
    more: tuple[str, ...] = ()
    profile: str = "local"


@dataclass(frozen=True)
class StatusOptions:
    """The options of ``slabkit workflow status``."""

    dataset: str


@dataclass(frozen=True)
class ChooseOptions:
    """The options of ``slabkit workflow choose``."""

    dataset: str
    classes: str


def init(options: InitOptions, frame: Frame) -> None:
    """Write the files of a data set, for people to change."""
    import importlib.resources

    from slabkit.formats.tables.atomic import write_text
    from slabkit.steps.auto import named_by_file

    if not options.tomograms:
        raise InputError("say which tomograms: --tomograms 'data/*.mrc'.")
    folder = Path(options.dataset)
    named = [CONFIG, SNAKEFILE, *(f"profiles/{name}/config.yaml" for name in _PROFILES)]
    there = [name for name in named if (folder / name).exists()]
    if there and not frame.overwrite:
        raise OutputExistsError(
            f"{folder / there[0]}: is there already; change it by hand, or give --overwrite to "
            "begin with the files as slabkit has them."
        )
    patterns = [
        one if os.path.isabs(one) else os.path.relpath(one, folder) for one in options.tomograms
    ]
    _yaml()
    rows = _meant(patterns, folder)  # before anything is written
    said = []
    if options.diameter is not None:
        low, high = (f"{end:g}" for end in options.diameter)
        said.append(f'  diameter: "{low}:{high}"')
    if options.maps:
        maps = [
            f"{name}={file if os.path.isabs(file) else os.path.relpath(file, folder)}"
            for name, file in named_by_file(options.maps)
        ]
        said.append(f"  map: {json.dumps(maps, ensure_ascii=False)}")
    by_maps = "  threshold: 0                       # maps decide" if options.maps else ""
    filled = {
        "@TOMOGRAMS@": json.dumps(patterns, ensure_ascii=False),
        "@TOMOGRAM_OPTIONS@": "\n".join(said) or "  # diameter and map are not said yet",
        "@CUT@": by_maps or "  target-precision: 0.7",
        "@CHOOSE@": "maps" if options.maps else "classes",
    }
    data = importlib.resources.files("slabkit") / "workflow"
    for name in named:
        text = (data / name).read_text(encoding="utf-8")
        for place, value in filled.items():
            text = text.replace(place, value)
        write_text(folder / name, text)
    _renew(folder, rows)
    if not said:
        frame.reporter.note(f"say in {folder / CONFIG} what to look for, diameter or map.")
    frame.reporter.note(f"then: slabkit workflow run {shlex.quote(options.dataset)}")
    _end(
        frame,
        StepResult("workflow init", "done", folder / CONFIG, {"tomograms": len(rows)}, {}, ""),
    )


def run(options: RunOptions, frame: Frame) -> None:
    """Run snakemake in the folder, and say what came of it."""
    from slabkit.execution.locks import output_lock

    folder = _dataset(options.dataset)
    command = [*_snakemake(), *_arguments(options, frame.jobs, folder)]
    environment = dict(os.environ)
    # The jobs call `slabkit`, which is where this Python is.
    here = str(Path(sys.executable).parent)
    environment["PATH"] = os.pathsep.join([here, environment.get("PATH", os.defpath)])
    with output_lock(folder / SNAKEFILE) as lock:
        _renew(folder, _tomograms(folder))
        frame.reporter.note(f"$ cd {shlex.quote(str(folder))} && {shlex.join(command)}")
        # The lock is Snakemake's too, so that it ends with the later of the two: its own would
        # outlive a run that was killed.
        out = 2 if frame.reporter.json else None  # a dry run is printed to standard output
        process = subprocess.Popen(
            command, cwd=folder, env=environment, pass_fds=(lock,), stdout=out
        )
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if "-n" in options.more or "--dry-run" in options.more or "--dryrun" in options.more:
        if code:
            raise SlabkitError(f"snakemake ended with code {code}; see what it says above.")
        _end(frame, StepResult("workflow run", "done", None, {}, {}, ""))
        return
    state = _state(folder)
    failures = dict(state.failures)
    if code:
        failures["snakemake"] = (
            f"ended with code {code}; what failed is above and in {folder}/.snakemake/log, and the "
            "same command goes on where it stopped"
        )
    _show(state, frame)
    if not code and state.asks:
        frame.reporter.note(state.asks)
    status: Any = "partial" if failures else "done"
    _say_failures(failures, frame)
    _end(frame, StepResult("workflow run", status, folder, state.summary, failures, ""))


def status(options: StatusOptions, frame: Frame) -> int:
    """Say how far a data set is; 0: all is done, 1: but for what failed, 75: something is left."""
    folder = _dataset(options.dataset)
    state = _state(folder)
    _show(state, frame)
    summary = {**state.summary, "states": state.tomograms, "steps": state.steps}
    left = not state.complete
    if state.asks:
        frame.reporter.note(state.asks)
    elif left:
        frame.reporter.note(
            f"not all is done; slabkit workflow run {shlex.quote(options.dataset)} goes on."
        )
    kind: Any = "partial" if state.failures or left else "done"
    _say_failures(state.failures, frame)
    frame.reporter.done(StepResult("workflow status", kind, folder, summary, state.failures, ""))
    return 75 if left else int(bool(state.failures))


def choose(options: ChooseOptions, frame: Frame) -> None:
    """Keep which classes a person accepts, and of which classification."""
    from slabkit.formats.particle_images import read_particle_images
    from slabkit.formats.tables.atomic import write_text
    from slabkit.labels.deciding import species_of_classes
    from slabkit.steps.shared.choice import choice_text

    folder = _dataset(options.dataset)
    classified = folder / CLASSIFIED
    if not classified.is_file():
        raise InputError(f"{classified}: is not there; slabkit workflow run makes it first.")
    present = set(read_particle_images(classified).particles["rlnClassNumber"])
    accepted = species_of_classes(options.classes, present - {"0"})
    write_text(folder / CHOICE, choice_text(options.classes, classified))
    frame.reporter.note(f"then: slabkit workflow run {shlex.quote(options.dataset)}")
    summary = {"classes": len(accepted)}
    _end(frame, StepResult("workflow choose", "done", folder / CHOICE, summary, {}, ""))


def _end(frame: Frame, result: StepResult) -> None:
    frame.result = result
    frame.reporter.done(result)


def _dataset(given: str) -> Path:
    folder = Path(given)
    if not (folder / SNAKEFILE).is_file() or not (folder / CONFIG).is_file():
        raise InputError(f"{folder}: has no {SNAKEFILE} and {CONFIG}; slabkit workflow init first.")
    return folder


def _snakemake() -> list[str]:
    import importlib.util
    import shutil

    if importlib.util.find_spec("snakemake") is not None:
        return [sys.executable, "-m", "snakemake"]
    found = shutil.which("snakemake")
    if found is None:
        raise MissingDependencyError(_INSTALL)
    return [found]


def _arguments(options: RunOptions, jobs: int, folder: Path) -> list[str]:
    """Give the arguments of snakemake; on this machine jobs are cores, else jobs in the queue."""
    profile = Path("profiles") / options.profile
    if not (folder / profile).is_dir():
        names = sorted(path.name for path in (folder / "profiles").glob("*"))
        raise InputError(
            f"{folder / profile}: there is no such profile; there are {', '.join(names) or 'none'}."
        )
    arguments = ["--profile", str(profile), "--nolock"]
    if options.profile == "local":
        arguments += ["--cores", str(jobs or "all")]
    elif jobs:
        arguments += ["--jobs", str(jobs)]
    return [*arguments, *options.more]


def _yaml() -> Any:
    try:
        import yaml
    except ImportError:
        raise MissingDependencyError(_INSTALL) from None
    return yaml


def _config(folder: Path) -> dict[str, Any]:
    yaml = _yaml()
    path = folder / CONFIG
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read ({said}).") from error
    if not isinstance(read, dict):
        raise InputError(f"{path}: has no options.")
    sizes = read.get("tomogram") or {}
    if isinstance(sizes.get("diameter"), int) and sizes["diameter"] > 5000:
        raise InputError(
            f'{path}: put the diameter in quotation marks, "100:350": to YAML it is a time.'
        )
    return read


def _tomograms(folder: Path) -> list[dict[str, str]]:
    """Find the volumes that the patterns of the configuration mean now, and their state."""
    given = _config(folder).get("tomograms") or []
    patterns = [given] if isinstance(given, str) else [str(one) for one in given]
    try:
        return _meant(patterns, folder)
    except InputError as error:
        raise InputError(f"{folder / CONFIG}: {error}") from error


def _meant(patterns: Sequence[str], folder: Path) -> list[dict[str, str]]:
    """Find the volumes that patterns mean from a folder, and their state."""
    from slabkit.formats.tables.paths import check_given_once
    from slabkit.formats.tomograms.listing import list_tomograms
    from slabkit.formats.tomograms.names import is_project, tomogram_name

    rows = []
    for pattern in patterns:
        path = os.path.join(folder, pattern)
        if not folder.exists():  # `workflow init` makes it
            path = os.path.normpath(path)
        if is_project(pattern) or pattern.endswith(".star"):
            raise InputError(f"{pattern}: tomograms are volumes, folders or patterns here.")
        if glob.has_magic(path) or os.path.lexists(path):
            matches = not glob.has_magic(path) or bool(glob.glob(path, recursive=True))
            refs = list_tomograms([path]) if matches else []
            rows += [_row(ref.name, Path(os.fspath(ref.path or "")), folder) for ref in refs]
        else:  # its job will say that it is not there
            rows.append(_row(tomogram_name(Path(path)), Path(path), folder))
    if not rows:
        said = ", ".join(patterns) or "tomograms"
        raise InputError(f"{said}: no tomogram there.")
    check_given_once([row["tomogram"] for row in rows], "tomogram")
    return rows


def _row(name: str, path: Path, folder: Path) -> dict[str, str]:
    try:
        there = os.stat(path)
        size = _FOLDER_BYTES if path.is_dir() else there.st_size
        state = f"{there.st_size}-{there.st_mtime_ns}"
    except OSError:
        size, state = 0, "missing"
    file = str(path) if path.is_absolute() else os.path.relpath(path, folder)
    return {"tomogram": name, "file": file, "bytes": str(size), "state": state}


def _renew(folder: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write the list of the tomograms, where it is another one."""
    from slabkit.formats.tables.atomic import write_text

    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    folders = "".join(f"tomograms/{row['tomogram']}\n" for row in rows)
    for name, new in ((TOMOGRAMS, text.getvalue()), (FOLDERS, folders)):
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != new:
            write_text(path, new)


@dataclass(frozen=True)
class _State:
    """How far a data set is."""

    tomograms: dict[str, str]  # done, failed, waiting or stale
    steps: dict[str, str]  # done, waiting or stale, by output
    failures: dict[str, str]
    asks: str  # what a person is asked to do

    @property
    def complete(self) -> bool:
        """Whether nothing waits, neither for a run nor for a person."""
        states = {*self.tomograms.values(), *self.steps.values()}
        return not self.asks and not states & {"waiting", "stale"}

    @property
    def summary(self) -> dict[str, Any]:
        """The counts."""
        states = list(self.tomograms.values())
        return {name: states.count(name) for name in ("done", "failed", "waiting", "stale")}


def _state(folder: Path) -> _State:
    """Ask the engine what it would make again, and each tomogram how it ended."""
    engine = _summary(folder)
    known = {}
    if (folder / TOMOGRAMS).is_file():
        with (folder / TOMOGRAMS).open(newline="", encoding="utf-8") as file:
            known = {row["tomogram"]: row for row in csv.DictReader(file, delimiter="\t")}
    tomograms, failures = {}, {}
    for row in _tomograms(folder):
        name = row["tomogram"]
        answer = read_answer(folder / "tomograms" / name)
        said = engine.pop(f"tomograms/{name}/done.json", "waiting")
        if not answer:
            said = "waiting"
        elif known.get(name) != row and (row["state"], answer["status"]) != ("missing", "failed"):
            said = "stale"
        if said == "done" and answer["status"] == "failed":
            said, failures[name] = "failed", str(answer["error"])
        tomograms[name] = said
    steps = {out: said for out, said in engine.items() if not out.startswith("tomograms/")}
    if any(state in ("waiting", "stale") for state in tomograms.values()):
        steps = {out: "stale" if said == "done" else said for out, said in steps.items()}
    asks = ""
    if "curated.star" not in steps and all(said == "done" for said in steps.values()):
        asks = (
            f"look at {folder}/classes/classes.png, then slabkit workflow choose "
            f"{shlex.quote(str(folder))} CLASSES, as 1-7,12 or ribosome=1-7,apo-ferritin=12, and "
            "run again."
        )
        if (_config(folder).get("choose") or "classes") == "review":
            asks = (
                "decide with slabkit review minislabs/minislabs.star --picks picks.star -o "
                f"reviews.sqlite, called in {folder}, and run again."
            )
    return _State(tomograms, steps, failures, asks)


def _summary(folder: Path) -> dict[str, str]:
    """Give the state of every output by `snakemake --summary`."""
    command = [*_snakemake(), "--summary", "--nolock", "--quiet", "all"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    lines = ended.stdout.splitlines()
    if ended.returncode or not lines:
        said = (ended.stderr.strip() or ended.stdout.strip()).splitlines()
        raise SlabkitError(
            f"{folder}: snakemake --summary ended with code {ended.returncode}"
            f"{': ' + said[-1] if said else ''}"
        )
    states = {}
    for line in lines:
        parts = line.split("\t")
        if len(parts) != 6 or parts[0] == "output_file":
            continue
        out, _, _, _, status, plan = parts
        states[out] = (
            "waiting" if status == "missing" else "stale" if plan != "no update" else "done"
        )
    return states


def _show(state: _State, frame: Frame) -> None:
    open_ = [row for row in state.tomograms.items() if row[1] in ("waiting", "stale")]
    counts = ", ".join(f"{count} {name}" for name, count in state.summary.items() if count)
    more = f"; the first {_SHOWN} that are left" if len(open_) > _SHOWN else ""
    if open_:
        frame.reporter.table(f"{counts}{more}", ("tomogram", "state"), open_[:_SHOWN])
    else:
        frame.reporter.note(f"tomograms: {counts}")
    frame.reporter.table("", ("step", "state"), list(state.steps.items()))


def _say_failures(failures: Mapping[str, str], frame: Frame) -> None:
    """Say why each failed; of very many the last, and snakemake itself."""
    for name, reason in list(failures.items())[-_SHOWN:]:
        frame.reporter.failure(name, reason)
    if len(failures) > _SHOWN:
        frame.reporter.note(
            f"{len(failures)} failed; the last {_SHOWN} are listed, --json has all."
        )
