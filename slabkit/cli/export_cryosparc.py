"""``slabkit export cryosparc minislabs/minislabs.star -o cryosparc``: what CryoSPARC imports."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from slabkit.cli.options import common
from slabkit.errors import InputError


def cryosparc(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE", help="The minislabs' table, or a slab table.", show_default=False
        ),
    ],
    out: common.OutFolder,
    exposures: Annotated[
        str | None,
        typer.Option(
            metavar="CS",
            help="The galleries as your project has imported them already "
            "(J1/imported_micrographs.cs); the places are linked to those.",
            show_default=False,
        ),
    ] = None,
    y_axis: Annotated[
        str,
        typer.Option(
            metavar="up|down",
            help="How y counts in the places of tiles: down from the first row of the file, or up "
            "from the last. Give up only where label says so of your server.",
        ),
    ] = "down",
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Write what CryoSPARC imports; import.txt in the folder says what to type into which job.

    Of minislabs: micrographs (the galleries), tiles (one place a tile) and, where there are stacks,
    particles. Of slabs: micrographs. Each as images with STAR files and as a result group (.csg
    with its .cs). Images are linked, not copied: keep them where they are.
    """
    import os
    from pathlib import Path

    from slabkit.formats.programs.cryosparc.export import export_cryosparc

    if "-" in (table, out):
        raise InputError("export reads a file and writes to a folder; - is neither.")
    options: dict[str, Any] = {"exposures": exposures, "y_axis": y_axis}
    export = export_cryosparc(table, out, **options)
    main = Path(out) / "import.txt"
    others = [path for path in export.paths if path != main]
    with common.Step(
        "export cryosparc",
        str(main),
        inputs=[table, *([exposures] if exposures else [])],
        parameters={"y_axis": y_axis},
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
    ) as step:
        if not step.finished:
            step.check_free(path for path in others if os.path.lexists(path))
            export.write()
            step.outputs += others
            step.summary.update(
                {
                    name.removesuffix(".cs"): len(columns["uid"])
                    for name, columns in export.datasets.items()
                }
            )
        step.note(f"next: do what {main} says")
