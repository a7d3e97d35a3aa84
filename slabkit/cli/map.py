"""``slabkit map picks2d.star --slabs slabs/slabs.star -o picks.star``: 2D picks to 3D."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from slabkit.cli.options import common, picking
from slabkit.cli.running import execute
from slabkit.steps.map import Options, run


def map_(
    picks2d: Annotated[
        list[str],
        typer.Argument(
            metavar="PICKS2D...",
            help="2D picks on the slabs, any number of files: of slabkit, RELION (particles, one "
            "file a micrograph, lists of such files), CryoSPARC, Topaz, EMAN, crYOLO; - for "
            "standard input.",
            show_default=False,
        ),
    ],
    slabs: picking.SlabTable,
    out: common.OutTable,
    min_distance: Annotated[
        float | None,
        typer.Option(
            metavar="Å",
            help="Hits closer than this in 3D are one particle; default half the larger diameter.",
            show_default=False,
        ),
    ] = None,
    refine_z: Annotated[
        bool,
        typer.Option(
            "--refine-z/--no-refine-z", help="Search for z, or take the middle of the slab."
        ),
    ] = True,
    single: Annotated[
        bool, typer.Option("--single", help="Never two particles stacked in one slab.")
    ] = False,
    all_species: Annotated[
        bool,
        typer.Option(
            "--all-species",
            help="Keep the picks of all species that templates find at a place; otherwise the best "
            "alone.",
        ),
    ] = False,
    margin: Annotated[
        float | None,
        typer.Option(
            metavar="Å",
            help="Search so far beyond the slab; default half the particle's diameter.",
            show_default=False,
        ),
    ] = None,
    diameter: Annotated[
        float | None, typer.Option(metavar="Å", help="Diameter of picks that have none.")
    ] = None,
    y_axis: Annotated[
        str | None,
        typer.Option(
            metavar="up|down",
            help="Whether y counts from the last row of the images upwards or from the first row "
            "down; default: down.",
            show_default=False,
        ),
    ] = None,
    mask: picking.Mask = None,
    contrast: common.ContrastOption = None,
    voxel_size: common.VoxelSizeOption = None,
    fill_nonfinite: common.FillNonfinite = None,
    overwrite: common.Overwrite = False,
    jobs: common.Jobs = 0,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Turn 2D picks on slabs into 3D picks: find z, and merge the hits of overlapping slabs.

    z is where a ball or shell of about the pick's diameter fits the tomogram best, within the slab
    and half a diameter beyond. Lengths are in Å.
    """
    options = Options(
        tuple(picks2d),
        slabs,
        out,
        min_distance=min_distance,
        refine_z=refine_z,
        single=single,
        all_species=all_species,
        margin=margin,
        diameter=diameter,
        y_axis=common.choice(y_axis, "--y-axis", Literal["up", "down"]),
        mask=tuple(mask or ()),
        contrast=common.parse_contrast(contrast),
        voxel_size=voxel_size,
        fill_nonfinite=common.choice(fill_nonfinite, "--fill-nonfinite", Literal["median"]),
    )
    execute(run, options, overwrite=overwrite, jobs=jobs, quiet=quiet, json_=json_)
