"""The whole chain on simulated tomograms, scored, with a page to look at."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from slabkit.errors import OutputExistsError
from slabkit.execution.frame import Frame
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
    *chain, page = auto.commands(auto.Options(("tomograms",), "", DIAMETER))
    return [
        Command(
            f"simulate -o tomograms --preset small --count {count} --seed {seed}",
            simulate.run,
            simulate.Options("tomograms", "small", count, seed),
        ),
        *chain,
        Command(
            "score curated.star tomograms/truth.star",
            score.run,
            score.Options("curated.star", "tomograms/truth.star"),
        ),
        page,
    ]


def run(options: Options, frame: Frame) -> None:
    """Run the commands in the folder and write the page."""
    folder = Path(options.out)
    page = folder / "report.html"
    begun = page.exists() or (folder / "tomograms" / "truth.star.json").exists()
    if folder.exists() and not frame.overwrite and not begun and any(folder.iterdir()):
        raise OutputExistsError(
            f"{folder}: is not empty and holds no demo; give another -o, or --overwrite."
        )
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(folder):  # so that the lines can be typed there again
        results = auto.run_commands(commands(options.count, options.seed), frame)
    auto.finish("demo", results, frame, page)
    frame.reporter.note(
        f"decide its minislabs yourself:\n  cd {folder} && slabkit review minislabs/minislabs.star "
        "--picks picks.star --classified classes/classified.star"
    )
