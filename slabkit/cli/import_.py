"""``slabkit import slabpick -o DIR ...``: a project of another program, taken over mid-way."""

from __future__ import annotations

from typing import Annotated

import typer

from slabkit.cli.options import common
from slabkit.cli.running import execute
from slabkit.steps.import_slabpick import Options, run

app = typer.Typer(
    help="Take over a project of another program mid-way: its slabs, picks and galleries.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _group() -> None:
    """Make `slabpick` a command that must be typed, though it is the only one."""


@app.command(name="slabpick")
def slabpick(
    out: common.OutFolder,
    slab_map: Annotated[
        str | None,
        typer.Option(metavar="CSV", help="slab_map.csv, becomes slabs.star.", show_default=False),
    ] = None,
    particle_map: Annotated[
        str | None,
        typer.Option(
            metavar="CSV",
            help="particle_map.csv, becomes picks.star and minislabs.star; needs --picks.",
            show_default=False,
        ),
    ] = None,
    picks: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="The coordinates that the minislabs were made of: copick files or folder, or any "
            "other format. May be repeated.",
            show_default=False,
        ),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="FORMAT", help="Format of --picks, as in convert."),
    ] = None,
    tomograms: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VOLUME|TABLE",
            help="The tomograms of --picks, for their sizes. May be repeated.",
            show_default=False,
        ),
    ] = None,
    tiles: Annotated[
        str | None,
        typer.Option(
            metavar="ROWSxCOLUMNS", help="Tiles in a gallery, where make_minislabs.json is missing."
        ),
    ] = None,
    voxel_size: common.VoxelSizeOption = None,
    contrast: common.ContrastOption = None,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Make slabkit's tables of slabpick's maps; its images stay where they are.

    slabs.star goes to map with picks made on the slabs, minislabs.star to label with results made
    on the galleries, picks.star to curate.
    """
    options = Options(
        out,
        slab_map=slab_map,
        particle_map=particle_map,
        picks=tuple(picks or ()),
        format=from_,
        tomograms=tuple(tomograms or ()),
        tiles=None if tiles is None else common.parse_tiles(tiles),
        voxel_size=voxel_size,
        contrast=common.parse_contrast(contrast),
    )
    execute(run, options, overwrite=overwrite, quiet=quiet, json_=json_)
