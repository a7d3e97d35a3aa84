"""The whole chain on simulated tomograms, scored, with a page to look at."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.errors import OutputExistsError, SlabkitError
from slabkit.execution.frame import Frame, parameters
from slabkit.execution.reporting import Reporter
from slabkit.formats.picks.context import PickReading
from slabkit.steps import classify, curate, label, minislab, pick_blob, score, simulate, slab
from slabkit.steps import map as map_picks
from slabkit.steps.shared.galleries import GalleryOptions

if TYPE_CHECKING:
    from slabkit.pictures.loop_page import LoopResult


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit demo``."""

    out: str
    count: int = 3
    seed: int = 0


@dataclass(frozen=True)
class Command:
    """A command as a user would type it, and the step and options that it means."""

    line: str
    run: Callable[[Any, Frame], object]
    options: object


def commands(count: int, seed: int) -> list[Command]:
    """Give the commands of the demo, in order."""
    return [
        Command(
            f"simulate -o tomograms --preset small --count {count} --seed {seed}",
            simulate.run,
            simulate.Options("tomograms", "small", count, seed),
        ),
        Command(
            "slab tomograms -o slabs --step 75",
            slab.run,
            slab.Options(("tomograms",), "slabs", step=75.0),
        ),
        Command(
            "pick blob slabs/slabs.star -o picks2d.star --diameter 100:350",
            pick_blob.run,
            pick_blob.Options(
                slabs="slabs/slabs.star", out="picks2d.star", diameter=(100.0, 350.0)
            ),
        ),
        Command(
            "map picks2d.star --slabs slabs/slabs.star -o picks.star",
            map_picks.run,
            map_picks.Options(("picks2d.star",), "slabs/slabs.star", "picks.star"),
        ),
        Command(
            "minislab picks.star -o minislabs --box 400 --depth 300 --stack",
            minislab.run,
            minislab.Options(
                "picks.star", "minislabs", GalleryOptions(400.0, 300.0, stack=True), PickReading()
            ),
        ),
        Command(
            "classify minislabs/minislabs.star -o classes --classes 40",
            classify.run,
            classify.Options("minislabs/minislabs.star", "classes", classes=40),
        ),
        Command(
            "label classes/classified.star --minislabs minislabs/minislabs.star --auto "
            "-o labels.star",
            label.run,
            label.Options(
                ("classes/classified.star",), "minislabs/minislabs.star", "labels.star", auto=True
            ),
        ),
        Command(
            "curate picks.star labels.star -o curated.star --rejected rejected.star",
            curate.run,
            curate.Options(
                "picks.star", "curated.star", ("labels.star",), rejected="rejected.star"
            ),
        ),
        Command(
            "score curated.star tomograms/truth.star",
            score.run,
            score.Options("curated.star", "tomograms/truth.star"),
        ),
    ]


def run(options: Options, frame: Frame) -> None:
    """Run the commands in the folder and write the page."""
    folder = Path(options.out)
    report = folder / "report.html"
    if folder.exists() and not frame.overwrite and not report.exists() and any(folder.iterdir()):
        raise OutputExistsError(
            f"{folder}: is not empty and holds no demo; give another -o, or --overwrite."
        )
    with frame.work("demo", report, parameters=parameters(options, "out")) as work:
        if work.finished:
            return
        from slabkit.formats.tables.atomic import write_text
        from slabkit.pictures.loop_page import loop_page

        chain = commands(options.count, options.seed)
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.chdir(folder):  # so that the lines can be typed there again
            for command in chain:
                work.note(f"$ slabkit {command.line}")
                inner = Frame(True, frame.jobs, _Inner(frame.reporter), shlex.split(command.line))
                command.run(command.options, inner)
                if inner.result is not None and inner.result.failures:
                    raise SlabkitError(f"slabkit {command.line} ended with exit code 1.")
            result = _collect([f"slabkit {command.line}" for command in chain])
            write_text("report.html", loop_page(result))
        totals = list(result.scores.values())[-1][1]
        work.summary.update(
            tomograms=options.count,
            picks=len(result.picks),
            accepted=len(result.curated),
            recall=totals["recall"],
            precision=totals["precision"],
        )
        work.note(f"open {report}")


class _Inner(Reporter):
    """Passes on failures and scores; the steps of the demo say nothing else."""

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


def _collect(lines: list[str]) -> LoopResult:
    import numpy as np

    from slabkit.formats.picks.reading import read_picks
    from slabkit.formats.tables.classification import read_classes
    from slabkit.formats.tables.native import read_minislabs, read_picks2d, read_slabs
    from slabkit.formats.tomograms.listing import pick_tomograms
    from slabkit.formats.volumes.mrc import read_image
    from slabkit.pictures.loop_page import LoopResult
    from slabkit.scoring import match_picks, score_picks

    picks, curated = read_picks("picks.star"), read_picks("curated.star")
    truth = read_picks("tomograms/truth.star").picks
    minislabs, geometry = read_minislabs("minislabs/minislabs.star")
    quality = read_classes("classes/classes.star")
    found = np.zeros(len(picks.picks), dtype=bool)
    found[match_picks(picks.picks, truth)["pick"].to_numpy()] = True
    scores = {
        title: score_picks(table.picks, truth)
        for title, table in (("all picks", picks), ("accepted picks", curated))
    }
    return LoopResult(
        commands=lines,
        tomograms={name: ref.open() for name, ref in pick_tomograms(picks, "picks.star").items()},
        slabs=read_slabs("slabs/slabs.star"),
        picks2d=read_picks2d("picks2d.star"),
        picks=picks.picks,
        curated=curated.picks,
        truth=truth,
        read_image=lambda path: read_image(path)[0],
        galleries=list(dict.fromkeys(minislabs["rlnMicrographName"])),
        tile_px=int(geometry["slabkitTileSize"].iloc[0]),
        class_sheet=Path("classes/classes.png").read_bytes(),
        classes=len(quality),
        good_classes=sum(value >= classify.GOOD_QUALITY for value in quality.values()),
        scores={title: (one.table, one.total) for title, one in scores.items()},
        found=found,
    )
