"""The page of a folder that commands wrote to: what was found, to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError
from slabkit.execution.frame import Frame, parameters
from slabkit.steps.score import defined
from slabkit.steps.shared.project_files import find_files
from slabkit.steps.shared.project_truth import truth_file

if TYPE_CHECKING:
    from slabkit.pictures.project import Project


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit report``."""

    folder: str
    out: str | None = None  # report.html in the folder
    truth: str | None = None  # where none in the folder says it
    radii: Mapping[str, float] = field(default_factory=dict)


def run(options: Options, frame: Frame) -> None:
    """Look what is there, and write the page."""
    folder = Path(options.folder)
    out = folder / "report.html" if options.out is None else Path(options.out)
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; report wants the one that holds the results.")
    if options.out == "-" or out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{out}: report writes a page; name it .html.")
    if options.truth == "-":
        raise InputError("--truth takes a file here, not standard input (-).")
    found = find_files(folder)
    if not found.files:
        raise InputError(
            f"{folder}: holds no table that a command of slabkit wrote (slabs, picks, minislabs, "
            "classes, labels); give the folder of slabkit auto, or where you typed the commands."
        )
    truth, radii = truth_file(found, options.truth, options.radii)
    tables = list(
        dict.fromkeys([*(str(file.path) for file in found.files), *([truth] if truth else [])])
    )
    with frame.work(
        "report",
        out,
        inputs=tables,
        parameters=parameters(options, "folder", "out", "truth"),
        renew=True,
    ) as work:
        if work.finished:
            return
        from slabkit.formats.tables.atomic import write_text
        from slabkit.pictures.project_page import project_page
        from slabkit.steps.shared.project_reading import read_project

        project = read_project(found, truth, radii, must=options.truth is not None)
        write_text(out, project_page(project))
        work.summary.update(_counts(project))


def _counts(project: Project) -> dict[str, Any]:
    picks = project.picks
    counts: dict[str, Any] = {"tomograms": len(project.tomograms)}
    if picks is not None:
        counts["picks"] = len(picks)
        counts["accepted"] = int((picks["slabkitDecision"] == "accepted").sum())
    if project.truth is not None:
        total = list(project.truth.scores.values())[-1][1]
        counts |= {name: defined(total[name]) for name in ("recall", "precision")}
    return counts
