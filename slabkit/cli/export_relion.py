"""``slabkit export relion minislabs/minislabs.star -o relion``: tables for a RELION project."""

from __future__ import annotations

from typing import Annotated

import typer

from slabkit.cli.options import common
from slabkit.errors import InputError


def relion(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="The minislabs' table, or a slab table.",
            show_default=False,
        ),
    ],
    out: common.OutFolder,
    suffix: Annotated[
        str,
        typer.Option(metavar="NAME", help="Ending of the coordinate files' names."),
    ] = "slabkit",
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Write STAR files for RELION 3.1 and later; call it from the folder of the RELION project.

    Of minislabs: galleries.star (the galleries as micrographs), a coordinate file a gallery with
    one place a tile and its pick id, and coordinates.star, the list of those for RELION 4 and 5.
    The stack route needs none of it: minislabs.star is a particle STAR as it is.

    Of slabs: micrographs.star, or a file for each image and pixel size where there are several,
    because RELION picks in micrographs of one size at a time.
    """
    from slabkit.formats.programs.relion.export import export_relion
    from slabkit.formats.tables.atomic import write_text

    if "-" in (table, out):
        raise InputError("export reads a file and writes to a folder; - is neither.")
    exported = export_relion(table, out, suffix)
    first, *others = exported.files
    with common.Step(
        "export relion",
        str(first),
        inputs=[table],
        parameters={"suffix": suffix},
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
    ) as step:
        if not step.finished:
            step.check_free(others)
            for path, text in exported.files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_text(path, text)
            step.outputs += others
            step.summary.update(exported.counts)
        step.note(f"next: {exported.next_command}")
