"""The whole chain on one machine: tomograms to a curated pick list and a page to look at."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError, SlabkitError
from slabkit.execution.frame import Frame
from slabkit.execution.reporting import Progress, Reporter, StepResult
from slabkit.formats.picks.context import PickReading
from slabkit.steps import classify, curate, label, minislab, name, pick_blob, report, slab
from slabkit.steps import map as map_picks
from slabkit.steps.shared.galleries import GalleryOptions
from slabkit.steps.shared.naming import Maps, check_maps
from slabkit.tomogram import Reading
from slabkit.units import DEFAULT_TILT_RANGE, Contrast, TiltRange

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Iterable, Iterator

# What measures best on tomograms with known particles (benchmarks/auto.py).
STEP = 150.0
TARGET_PRECISION = 0.7


_PICKING = 3  # commands up to the list of picks


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit auto``; ``maps``: species and file, which name the picks."""

    tomograms: tuple[str, ...]
    out: str
    diameter: tuple[float, float] | None = None
    maps: Maps = ()
    tilt_range: TiltRange = DEFAULT_TILT_RANGE  # of the maps
    voxel_size: float | None = None
    contrast: Contrast | None = None


@dataclass(frozen=True)
class Command:
    """A command as a user would type it, and the step and options that it means."""

    line: str
    run: Callable[[Any, Frame], object]
    options: object


def commands(options: Options) -> list[Command]:
    """Give the commands of the chain, in order; their results go to the folder ``out``."""
    options = replace(options, maps=named_by_file(options.maps))

    def at(file: str) -> str:
        return str(Path(options.out) / file)

    slabs, picks2d, picks = at("slabs/slabs.star"), at("picks2d.star"), at("picks.star")
    minislabs, classified = at("minislabs/minislabs.star"), at("classes/classified.star")
    labels, rejected = at("labels.star"), at("rejected.star")
    given = {"--voxel-size": options.voxel_size, "--contrast": options.contrast}
    typed = [part for name, one in given.items() if one is not None for part in (name, f"{one}")]
    return [
        Command(
            shlex.join(
                ["slab", *options.tomograms, "-o", at("slabs"), "--step", f"{STEP:g}", *typed]
            ),
            slab.run,
            slab.Options(
                options.tomograms,
                at("slabs"),
                step=STEP,
                contrast=options.contrast,
                reading=Reading(voxel_size=options.voxel_size),
            ),
        ),
        _picking(options, slabs, picks2d),
        Command(
            shlex.join(["map", picks2d, "--slabs", slabs, "-o", picks]),
            map_picks.run,
            map_picks.Options((picks2d,), slabs, picks),
        ),
        Command(
            shlex.join(["minislab", picks, "-o", at("minislabs"), "--stack"]),
            minislab.run,
            minislab.Options(picks, at("minislabs"), GalleryOptions(stack=True), PickReading()),
        ),
        Command(
            shlex.join(["classify", minislabs, "-o", at("classes")]),
            classify.run,
            classify.Options((minislabs,), at("classes")),
        ),
        _labels(options, picks, minislabs, classified, labels),
        Command(
            shlex.join(["curate", picks, labels, "-o", at("curated.star"), "--rejected", rejected]),
            curate.run,
            curate.Options(picks, at("curated.star"), (labels,), rejected=rejected),
        ),
        Command(
            shlex.join(["report", str(Path(options.out))]),
            report.run,
            report.Options(str(Path(options.out))),
        ),
    ]


def named_by_file(maps: Maps) -> Maps:
    """Name the maps that were given without a species as their files are named; no name twice."""
    named = tuple((species or Path(file).stem, file) for species, file in maps)
    check_maps(named)
    return named


def blob_sizes(diameter: tuple[float, float] | None, maps: Maps) -> tuple[float, float]:
    """Give the sizes of blobs to look for: as said, or the smallest and largest map in whole Å."""
    from slabkit.arrays.density_maps import map_diameter
    from slabkit.steps.shared.maps import read_map

    if diameter is not None:
        return diameter
    if not maps:
        raise InputError("say what to look for: --diameter MIN:MAX in Å, or --map NAME=MAP.mrc.")
    found = []
    for _, file in maps:
        density, voxel_size = read_map(file)
        try:
            found.append(float(round(map_diameter(density, voxel_size, lowpass=40.0))))
        except InputError as error:
            raise InputError(f"{file}: {error}") from error
    return min(found), max(found)


def _picking(options: Options, slabs: str, picks2d: str) -> Command:
    """Give the command that picks: what maps name anyway needs no threshold of its own."""
    low, high = diameter = blob_sizes(options.diameter, options.maps)
    words = ["--diameter", f"{low:g}" if low == high else f"{low:g}:{high:g}"]
    if not options.maps:
        words += ["--target-precision", f"{TARGET_PRECISION:g}"]
    return Command(
        shlex.join(["pick", "blob", slabs, "-o", picks2d, *words]),
        pick_blob.run,
        pick_blob.Options(
            slabs=slabs,
            out=picks2d,
            diameter=diameter,
            target_precision=None if options.maps else TARGET_PRECISION,
        ),
    )


def _labels(options: Options, picks: str, minislabs: str, classified: str, labels: str) -> Command:
    """Give the command that says which picks are particles: maps, or else the classes."""
    if options.maps:
        return naming(options.maps, options.tilt_range, picks, labels)
    return Command(
        shlex.join(
            [
                "label",
                classified,
                "--minislabs",
                minislabs,
                "--auto",
                "--picks",
                picks,
                "-o",
                labels,
            ]
        ),
        label.run,
        label.Options((classified,), minislabs, labels, auto=True, picks=picks),
    )


def naming(maps: Maps, tilts: TiltRange, picks: str, labels: str) -> Command:
    """Give the command that names picks by maps."""
    words = [part for name, path in maps for part in ("--map", f"{name}={path}")]
    if tilts != DEFAULT_TILT_RANGE:
        words += ["--tilt-range", "none" if tilts is None else f"{tilts[0]:g}:{tilts[1]:g}"]
    return Command(
        shlex.join(["name", picks, *words, "-o", labels]),
        name.run,
        name.Options(picks, maps, labels, tilt_range=tilts),
    )


def run(options: Options, frame: Frame) -> None:
    """Run the commands that are not done yet; the last one writes the page."""
    chain = commands(options)
    picking, rest = chain[:_PICKING], chain[_PICKING:]
    results = run_commands(picking, frame)
    if not results[-1].summary["picks"]:
        frame.reporter.note("no picks in any tomogram, so there is nothing to classify")
        rest = _without_picks(options)
    finish("auto", run_commands(rest, frame, results), frame)


def _without_picks(options: Options) -> list[Command]:
    """Give the commands that end a run that found nothing: an empty list, and its page."""
    folder = Path(options.out)
    picks, curated = str(folder / "picks.star"), str(folder / "curated.star")
    return [
        Command(
            shlex.join(["curate", picks, "-o", curated]), curate.run, curate.Options(picks, curated)
        ),
        commands(options)[-1],
    ]


def run_commands(
    chain: Sequence[Command], frame: Frame, before: Sequence[StepResult] = ()
) -> list[StepResult]:
    """Run commands, each said before as it would be typed; give how all ended."""
    results = list(before)
    for command in chain:
        frame.reporter.note(f"$ slabkit {command.line}")
        inner = Frame(
            frame.overwrite,
            frame.jobs,
            _Inner(frame.reporter),
            shlex.split(command.line),
            update=frame.update,
        )
        try:
            command.run(command.options, inner)
        except SlabkitError as error:
            raise type(error)(f"slabkit {command.line.split(' -')[0]}: {error}") from error
        except BaseException as error:
            if not isinstance(error, Exception):  # Ctrl-C, or the order to end
                made = ", ".join(str(one.out) for one in results)
                kept = f"kept: {made}" if made else "no step was finished, nothing is kept"
                frame.reporter.note(f"{kept}; the same command goes on from there.")
            raise
        if inner.result is not None:
            if inner.result.status == "skipped":
                frame.reporter.note("  finished already; skipped")
            results.append(inner.result)
    return results


def finish(name: str, results: Sequence[StepResult], frame: Frame, out: Path | None = None) -> None:
    """End a chain as its last step, the page, ended."""
    failures: dict[str, str] = {}
    for result in results:
        failures |= result.failures
    page = replace(results[-1], name=name, failures=failures, out=out or results[-1].out)
    if failures:
        page = replace(page, status="partial")
    frame.result = page
    frame.reporter.done(page)


class _Inner(Reporter):
    """Passes on failures, scores and progress; the steps of a chain say nothing else."""

    def __init__(self, outer: Reporter) -> None:
        super().__init__()
        self.warnings = outer.warnings
        self._outer = outer

    def failure(self, item: str, message: str) -> None:
        """Pass it on."""
        self._outer.failure(item, message)

    def result(self, value: Any) -> None:
        """Pass it on."""
        self._outer.result(value)

    def track(self, items: Iterable[Any], total: int | None, what: str) -> Iterator[Any]:
        """Pass it on."""
        return self._outer.track(items, total, what)

    def progress(self) -> contextlib.AbstractContextManager[Progress]:
        """Pass it on."""
        return self._outer.progress()
