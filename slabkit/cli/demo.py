"""``slabkit demo -o demo``: the whole loop on simulated tomograms, with a report to look at."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slabkit.cli.options import common
from slabkit.errors import OutputExistsError, SlabkitError

if TYPE_CHECKING:
    from slabkit.pictures.loop_page import LoopResult

_PARALLEL = ("simulate", "slab", "pick", "map", "minislab", "classify")


def demo(
    out: common.OutFolder,
    count: Annotated[int, typer.Option(min=1, metavar="N", help="How many tomograms.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other tomograms.")] = 0,
    overwrite: common.Overwrite = False,
    jobs: common.Jobs = 0,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Simulate tomograms, run the whole chain on them, score it, and write report.html.

    Every step is printed as the command that a user would type.
    """
    folder = Path(out)
    report = folder / "report.html"
    if folder.exists() and not overwrite and not report.exists() and any(folder.iterdir()):
        raise OutputExistsError(
            f"{folder}: is not empty and holds no demo; give another -o, or --overwrite."
        )
    with common.Step(
        "demo",
        str(report),
        parameters={"count": count, "seed": seed},
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
    ) as work:
        if work.finished:
            return
        commands = _commands(count, seed)
        with _inside(folder):
            for arguments in commands:
                work.note(f"$ slabkit {shlex.join(arguments)}")
                _run([*arguments, *_extra(arguments[0], jobs)])
            result = _collect([f"slabkit {shlex.join(arguments)}" for arguments in commands])
            from slabkit.formats.tables.atomic import write_text
            from slabkit.pictures.loop_page import loop_page

            write_text("report.html", loop_page(result))
        totals = list(result.scores.values())[-1][1]
        work.summary.update(
            tomograms=count,
            picks=len(result.picks),
            accepted=len(result.curated),
            recall=totals["recall"],
            precision=totals["precision"],
        )
        work.note(f"open {report}")


def _commands(count: int, seed: int) -> list[list[str]]:
    lines = [
        f"simulate -o tomograms --preset small --count {count} --seed {seed}",
        "slab tomograms -o slabs --step 75",
        "pick blob slabs/slabs.star -o picks2d.star --diameter 100:350",
        "map picks2d.star --slabs slabs/slabs.star -o picks.star",
        "minislab picks.star -o minislabs --box 400 --depth 300 --stack",
        "classify minislabs/minislabs.star -o classes --classes 40",
        "label classes/classified.star --minislabs minislabs/minislabs.star --auto -o labels.star",
        "curate picks.star labels.star -o curated.star --rejected rejected.star",
        "score curated.star tomograms/truth.star",
    ]
    return [line.split() for line in lines]


def _extra(command: str, jobs: int) -> list[str]:
    if command == "score":
        return ["--quiet"]
    parallel = ["--jobs", str(jobs)] if command in _PARALLEL else []
    return ["--overwrite", "--quiet", *parallel]


def _run(arguments: list[str]) -> None:
    from slabkit.cli.main import app

    code = app(arguments, standalone_mode=False)
    if code:
        raise SlabkitError(f"slabkit {shlex.join(arguments)} ended with exit code {code}.")


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Work inside the folder, so that the commands printed can be typed there again."""
    folder.mkdir(parents=True, exist_ok=True)
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _collect(commands: list[str]) -> LoopResult:
    import numpy as np

    from slabkit.formats.picks.reading import read_picks
    from slabkit.formats.tables.classification import read_classes
    from slabkit.formats.tables.native import read_minislabs, read_picks2d, read_slabs
    from slabkit.formats.tomograms.listing import pick_tomograms
    from slabkit.formats.volumes.mrc import read_image
    from slabkit.pictures.loop_page import LoopResult
    from slabkit.scoring import match_picks, score_picks
    from slabkit.steps.classify import GOOD_QUALITY

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
        commands=commands,
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
        good_classes=sum(value >= GOOD_QUALITY for value in quality.values()),
        scores={title: (score.table, score.total) for title, score in scores.items()},
        found=found,
    )
