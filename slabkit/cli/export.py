"""``slabkit export PROGRAM TABLE -o DIR``: what another program imports."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from slabkit.cli.options import common
from slabkit.cli.running import execute
from slabkit.steps import export_cryosparc, export_relion, export_topaz

app = typer.Typer(
    help="Write what RELION, CryoSPARC or Topaz import: micrographs, coordinates, particles.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Table = Annotated[
    str,
    typer.Argument(
        metavar="TABLE", help="The minislabs' table, or a slab table.", show_default=False
    ),
]


@app.command(name="relion")
def relion(
    table: Table,
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
    options = export_relion.Options(table, out, suffix)
    execute(export_relion.run, options, overwrite=overwrite, quiet=quiet, json_=json_)


@app.command(name="cryosparc")
def cryosparc(
    table: Table,
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
    options = export_cryosparc.Options(
        table, out, exposures, common.choice(y_axis, "--y-axis", Literal["up", "down"])
    )
    execute(export_cryosparc.run, options, overwrite=overwrite, quiet=quiet, json_=json_)


@app.command(name="topaz")
def topaz(
    table: Table,
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
    options = export_topaz.Options(table, out, labels, downsample, radius)
    execute(export_topaz.run, options, overwrite=overwrite, quiet=quiet, json_=json_)
