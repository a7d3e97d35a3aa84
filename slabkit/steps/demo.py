"""The whole chain on simulated tomograms, scored, with a page to look at."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from slabkit.errors import OutputExistsError, SlabkitError
from slabkit.execution.frame import Frame, parameters
from slabkit.steps import auto, score, simulate
from slabkit.steps.auto import Command

DIAMETER = (100.0, 350.0)


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit demo``."""

    out: str
    count: int = 3
    seed: int = 0


def commands(count: int, seed: int) -> list[Command]:
    """Give the commands of the demo, in order."""
    return [
        Command(
            f"simulate -o tomograms --preset small --count {count} --seed {seed}",
            simulate.run,
            simulate.Options("tomograms", "small", count, seed),
        ),
        *auto.commands(auto.Options(("tomograms",), "", DIAMETER)),
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
        from slabkit.formats.picks.reading import read_picks

        chain = commands(options.count, options.seed)
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.chdir(folder):  # so that the lines can be typed there again
            inner = Frame(True, frame.jobs, frame.reporter)
            if failures := auto.run_commands(chain, inner):
                raise SlabkitError(f"the chain failed for {next(iter(failures))}.")
            lines = [f"slabkit {command.line}" for command in chain]
            truth = read_picks("tomograms/truth.star").picks
            result = auto.collect(Path(), lines, truth)
            auto.write_page(Path("report.html"), result, "slabkit demo")
        totals = list(result.scores.values())[-1][1]
        work.summary.update(
            tomograms=options.count,
            picks=len(result.picks),
            accepted=len(result.curated),
            recall=totals["recall"],
            precision=totals["precision"],
        )
        work.note(f"open {report}")
