"""The whole chain on one machine: tomograms to a curated pick list and a page to look at."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError, SlabkitError
from slabkit.execution.frame import Frame, parameters
from slabkit.execution.reporting import Progress, Reporter
from slabkit.formats.picks.context import PickReading
from slabkit.steps import classify, curate, label, minislab, pick_blob, pick_template, slab
from slabkit.steps import map as map_picks
from slabkit.steps.shared.galleries import GalleryOptions
from slabkit.tomogram import Reading
from slabkit.units import Contrast

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Iterable, Iterator

    import pandas as pd

    from slabkit.pictures.loop_page import LoopResult

# What measures best on tomograms with known particles (benchmarks/auto.py).
STEP = 150.0
TARGET_PRECISION = 0.7


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit auto``; ``maps``: species and file, instead of blobs."""

    tomograms: tuple[str, ...]
    out: str
    diameter: tuple[float, float] | None = None
    maps: tuple[tuple[str, str], ...] = ()
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

    def at(name: str) -> str:
        return str(Path(options.out) / name)

    slabs, picks2d, picks = at("slabs/slabs.star"), at("picks2d.star"), at("picks.star")
    minislabs, classified = at("minislabs/minislabs.star"), at("classes/classified.star")
    labels, rejected = at("labels.star"), at("rejected.star")
    rule = ["label", classified, "--minislabs", minislabs, "--auto"]
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
            classify.Options(minislabs, at("classes")),
        ),
        Command(
            shlex.join([*rule, "--picks", picks, "-o", labels]),
            label.run,
            label.Options((classified,), minislabs, labels, auto=True, picks=picks),
        ),
        Command(
            shlex.join(["curate", picks, labels, "-o", at("curated.star"), "--rejected", rejected]),
            curate.run,
            curate.Options(picks, at("curated.star"), (labels,), rejected=rejected),
        ),
    ]


def _picking(options: Options, slabs: str, picks2d: str) -> Command:
    precision = ["--target-precision", f"{TARGET_PRECISION:g}"]
    if options.maps:
        maps = [
            part
            for name, path in options.maps
            for part in ("--map", f"{name}={path}" if name else path)
        ]
        return Command(
            shlex.join(["pick", "template", slabs, "-o", picks2d, *maps, *precision]),
            pick_template.run,
            pick_template.Options(
                slabs=slabs, out=picks2d, maps=options.maps, target_precision=TARGET_PRECISION
            ),
        )
    if options.diameter is None:
        raise InputError("say what to look for: --diameter MIN:MAX in Å, or --map NAME=MAP.mrc.")
    low, high = options.diameter
    size = f"{low:g}" if low == high else f"{low:g}:{high:g}"
    return Command(
        shlex.join(["pick", "blob", slabs, "-o", picks2d, "--diameter", size, *precision]),
        pick_blob.run,
        pick_blob.Options(
            slabs=slabs,
            out=picks2d,
            diameter=options.diameter,
            target_precision=TARGET_PRECISION,
        ),
    )


def run(options: Options, frame: Frame) -> None:
    """Run the commands that are not done yet, and write the page."""
    chain = commands(options)
    folder = Path(options.out)
    failures = run_commands(chain, frame)
    tables = [str(folder / name) for name in ("picks2d.star", "picks.star", "curated.star")]
    with frame.work(
        "auto",
        folder / "report.html",
        inputs=[*tables, str(folder / "classes" / "classified.star")],
        parameters=parameters(options, "out"),
    ) as work:
        work.failures.update(failures)
        if work.finished:
            return
        result = collect(folder, [f"slabkit {command.line}" for command in chain])
        write_page(folder / "report.html", result, "slabkit auto")
        work.summary.update(
            tomograms=len(result.tomograms), picks=len(result.picks), accepted=len(result.curated)
        )
        work.note(f"open {folder / 'report.html'}")


def run_commands(chain: Sequence[Command], frame: Frame) -> dict[str, str]:
    """Run commands, each said before as it would be typed; give what failed in them."""
    failures: dict[str, str] = {}
    for command in chain:
        frame.reporter.note(f"$ slabkit {command.line}")
        inner = Frame(
            frame.overwrite, frame.jobs, _Inner(frame.reporter), shlex.split(command.line)
        )
        try:
            command.run(command.options, inner)
        except SlabkitError as error:
            raise type(error)(f"slabkit {command.line.split(' -')[0]}: {error}") from error
        if inner.result is not None:
            if inner.result.status == "skipped":
                frame.reporter.note("  finished already; skipped")
            failures |= inner.result.failures
    return failures


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


def write_page(path: Path, result: LoopResult, title: str) -> None:
    """Write the page of a chain."""
    from slabkit.formats.tables.atomic import write_text
    from slabkit.pictures.loop_page import loop_page

    write_text(path, loop_page(result, title))


def collect(folder: Path, lines: list[str], truth: pd.DataFrame | None = None) -> LoopResult:
    """Read what the commands wrote to the folder; with scores where the truth is known."""
    from slabkit.formats.picks.reading import read_picks
    from slabkit.formats.tables.classification import read_classes
    from slabkit.formats.tables.native import read_minislabs, read_picks2d, read_slabs
    from slabkit.formats.tables.paths import with_paths_from_here
    from slabkit.formats.tomograms.listing import pick_tomograms
    from slabkit.formats.volumes.mrc import read_image
    from slabkit.pictures.loop_page import LoopResult
    from slabkit.scoring import match_picks, score_picks

    picks, curated = read_picks(folder / "picks.star"), read_picks(folder / "curated.star")
    tiles = folder / "minislabs" / "minislabs.star"
    minislabs, geometry = read_minislabs(tiles)
    quality = read_classes(folder / "classes" / "classes.star")
    slabs = folder / "slabs" / "slabs.star"
    true, scores = None, {}
    if truth is not None:
        true = picks.picks["slabkitPickId"].isin(
            picks.picks["slabkitPickId"].iloc[match_picks(picks.picks, truth)["pick"]]
        )
        for title, table in (("all picks", picks), ("accepted picks", curated)):
            score = score_picks(table.picks, truth)
            scores[title] = (score.table, score.total)
    volumes = pick_tomograms(picks, str(folder / "picks.star"))
    return LoopResult(
        commands=lines,
        tomograms={name: ref.open() for name, ref in volumes.items()},
        slabs=with_paths_from_here(read_slabs(slabs), slabs),
        picks2d=read_picks2d(folder / "picks2d.star"),
        picks=picks.picks,
        curated=curated.picks,
        truth=truth,
        read_image=lambda path: read_image(path)[0],
        galleries=list(dict.fromkeys(with_paths_from_here(minislabs, tiles)["rlnMicrographName"])),
        tile_px=int(geometry["slabkitTileSize"].iloc[0]),
        class_sheet=(folder / "classes" / "classes.png").read_bytes(),
        classes=len(quality),
        good_classes=sum(value >= classify.GOOD_QUALITY for value in quality.values()),
        scores=scores,
        found=None if true is None else true.to_numpy(dtype=bool),
    )
