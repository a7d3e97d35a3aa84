"""``slabkit inspect picks2d.star --slabs slabs/slabs.star -o page.html``: choose a threshold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from slabkit.cli.options import common
from slabkit.errors import InputError


def inspect_(
    picks2d: Annotated[
        list[str],
        typer.Argument(
            metavar="PICKS2D...",
            help="2D picks with scores, of slabkit or another program, as map reads them.",
            show_default=False,
        ),
    ],
    slabs: Annotated[
        str, typer.Option(metavar="SLABS", help="The slab table, slabs.star.", show_default=False)
    ],
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="PAGE.html", help="The page.", show_default=False)
    ],
    max_slabs: Annotated[
        int, typer.Option(metavar="N", min=1, help="Slabs to show, evenly taken from all.")
    ] = 12,
    side: Annotated[
        int, typer.Option(metavar="PX", min=64, help="Shrink larger images to this many pixels.")
    ] = 900,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Make a page to choose a threshold on: slabs with their picks, the scores, and a slider.

    One HTML file with everything inside, for any browser; nothing is fetched. Pick with a low
    threshold first, so that there is something to choose from.
    """
    from slabkit.cli.pick_running import slab_image, slab_paths
    from slabkit.formats.picks2d import load_picks2d, read_picks2d_any, referenced_files
    from slabkit.formats.tables.atomic import atomic_path
    from slabkit.formats.tables.native import read_slabs
    from slabkit.formats.tables.paths import with_paths_from_here
    from slabkit.pictures.inspector import inspection_page

    if out == "-" or Path(out).suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{out}: inspect writes a page; name it .html.")
    sources = load_picks2d(picks2d)
    table = with_paths_from_here(read_slabs(slabs), slabs)
    paths = dict(zip(table["rlnMicrographName"], slab_paths(table, slabs), strict=True))
    with common.Step(
        "inspect",
        out,
        inputs=[
            *picks2d,
            *referenced_files(sources),
            slabs,
            *(p for p in paths.values() if p.exists()),
        ],
        parameters={"max_slabs": max_slabs, "side": side},
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
        text_inputs={source.where: source.text for source in sources if source.where == "-"},
    ) as work:
        if work.finished:
            return

        def image(row: Any) -> Any:
            return slab_image(paths[row.rlnMicrographName], row)

        picks = read_picks2d_any(sources, table)
        title = f"Picks of {Path(picks2d[0]).name}" if picks2d[0] != "-" else "Picks"
        page = inspection_page(
            picks, table, image, max_slabs=max_slabs, largest_side=side, title=title
        )
        with atomic_path(Path(out)) as temporary:
            temporary.write_text(page, encoding="utf-8")
        shown = min(max_slabs, len(table))
        work.summary.update(slabs=len(table), shown=shown, left_out=len(table) - shown)
        work.summary.update(picks=len(picks), megabytes=round(len(page) / 1e6, 1))
