"""A page to choose a threshold on: slabs with their picks, the scores, and a slider."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slabkit.errors import InputError
from slabkit.execution.frame import Frame, parameters
from slabkit.steps.shared.slabs import slab_image, slab_paths


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit inspect``."""

    picks2d: tuple[str, ...]
    slabs: str
    out: str
    max_slabs: int = 12
    side: int = 900


def run(options: Options, frame: Frame) -> None:
    """Write the page."""
    from slabkit.formats.picks2d import load_picks2d, read_picks2d_any, referenced_files
    from slabkit.formats.tables.atomic import atomic_path
    from slabkit.formats.tables.native import read_slabs
    from slabkit.formats.tables.paths import with_paths_from_here
    from slabkit.pictures.inspector import inspection_page

    out, first = Path(options.out), options.picks2d[0]
    if options.out == "-" or out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{out}: inspect writes a page; name it .html.")
    sources = load_picks2d(options.picks2d)
    table = with_paths_from_here(read_slabs(options.slabs), options.slabs)
    paths = dict(zip(table["rlnMicrographName"], slab_paths(table, options.slabs), strict=True))
    with frame.work(
        "inspect",
        out,
        inputs=[
            *options.picks2d,
            *referenced_files(sources),
            options.slabs,
            *(path for path in paths.values() if os.path.exists(path)),
        ],
        parameters=parameters(options, "picks2d", "slabs", "out"),
        text_inputs={source.where: source.text for source in sources if source.where == "-"},
    ) as work:
        if work.finished:
            return

        def image(row: Any) -> Any:
            return slab_image(paths[row.rlnMicrographName], row)

        picks = read_picks2d_any(sources, table)
        page = inspection_page(
            picks,
            table,
            image,
            max_slabs=options.max_slabs,
            largest_side=options.side,
            title=f"Picks of {Path(first).name}" if first != "-" else "Picks",
        )
        with atomic_path(out) as temporary:
            temporary.write_text(page, encoding="utf-8")
        shown = min(options.max_slabs, len(table))
        work.summary.update(slabs=len(table), shown=shown, left_out=len(table) - shown)
        work.summary.update(picks=len(picks), megabytes=round(len(page) / 1e6, 1))
