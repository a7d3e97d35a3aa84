"""``slabkit export topaz minislabs/minislabs.star --labels labels.star -o topaz``."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

from slabkit.cli.options import common
from slabkit.errors import InputError


def topaz(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="The minislabs' table, or a slab table.",
            show_default=False,
        ),
    ],
    out: common.OutFolder,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="LABELS", help="With minislabs: which are particles.", show_default=False
        ),
    ] = None,
    downsample: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Topaz shrinks the images by this; default 4, for slabs what comes nearest to "
            "20 Å a pixel.",
            show_default=False,
        ),
    ] = None,
    radius: Annotated[
        float | None,
        typer.Option(
            metavar="Å",
            help="With minislabs: how far about the middle of a tile is particle, default a fifth "
            "of the box. With slabs: the particles' radius.",
            show_default=False,
        ),
    ] = None,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Write a training set for Topaz, and the script that runs it: topaz.sh.

    Of minislabs with labels: images.txt (the galleries with decisions), targets.txt (accepted
    tiles, in pixels of the shrunk images), and in topaz.sh the radius in such pixels and the number
    of particles to expect in a gallery. label reads the scores that come back.

    Of slabs: topaz.sh runs the detector that Topaz ships; map reads its picks.

    Images are linked under names that Topaz keeps, names.txt says which is which; label and map
    know them too.
    """
    from slabkit.formats.programs.topaz.export import export_topaz
    from slabkit.formats.tables.atomic import write_text

    if "-" in (table, out, labels):
        raise InputError("export reads files and writes to a folder; - is neither.")
    exported = export_topaz(table, out, labels=labels, downsample=downsample, radius=radius)
    first, *others = exported.files
    with common.Step(
        "export topaz",
        str(first),
        inputs=[table, *([] if labels is None else [labels])],
        parameters={"downsample": downsample, "radius": radius},
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
    ) as step:
        if not step.finished:
            step.check_free([*others, *exported.links])
            for link, image in exported.links.items():
                _link(link, image)
            for path, text in exported.files.items():
                write_text(path, text)
            exported.commands.chmod(0o755)
            step.outputs += [*others, *exported.links]
            step.summary.update(exported.counts)
        step.note(f"next: bash {exported.commands}")


def _link(link: Path, image: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    try:
        link.symlink_to(os.path.relpath(os.path.abspath(image), os.path.abspath(link.parent)))
    except OSError:  # a disk without links
        shutil.copyfile(image, link)
