"""``slabkit slab tomograms/*.mrc -o slabs --step 75``: tomograms to mock micrographs."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from slabkit.cli.options import common
from slabkit.cli.running import execute
from slabkit.steps.slab import Options, run
from slabkit.tomogram import Reading


def slab(
    tomograms: Annotated[
        list[str],
        typer.Argument(
            help="Volumes, folders, globs, tables of tomograms, copick:CONFIG.json.",
            show_default=False,
        ),
    ],
    out: common.OutFolder,
    thickness: Annotated[float, typer.Option(metavar="Å", help="Thickness of a slab.")] = 300.0,
    step: Annotated[
        float | None,
        typer.Option(metavar="Å", help="Sliding window: at most this far from slab to slab."),
    ] = None,
    cover: Annotated[
        bool, typer.Option("--cover", help="Cover the whole depth with the fewest slabs.")
    ] = False,
    reduce: Annotated[
        str, typer.Option(metavar="mean|sum", help="What projecting means.")
    ] = "mean",
    z_range: Annotated[
        str | None,
        typer.Option(
            metavar="MIN:MAX|auto",
            help="Project these depths only (Å; either may be empty); auto: from one face of the "
            "sample to the other, where the planes vary more than outside.",
        ),
    ] = None,
    voxel_size: common.VoxelSizeOption = None,
    tomo_type: common.TomoType = None,
    contrast: common.ContrastOption = None,
    invert: Annotated[bool, typer.Option("--invert", help="Invert the images' contrast.")] = False,
    fill_nonfinite: common.FillNonfinite = None,
    axis_order: common.AxisOrder = None,
    flip_z: common.FlipZ = False,
    uint8: common.Uint8 = None,
    level: common.Level = 0,
    allow_missing_chunks: common.AllowMissingChunks = False,
    png: Annotated[
        bool, typer.Option("--png", help="Also a contact sheet, <tomogram>_slabs.png.")
    ] = False,
    overwrite: common.Overwrite = False,
    jobs: common.Jobs = 0,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Project tomograms along z into slabs, one MRC micrograph each, and slabs.star.

    Without --step or --cover: as many slabs as fit side by side, centred; the margins left over
    are reported. Lengths are in Å.
    """
    options = Options(
        tuple(tomograms),
        out,
        thickness=common.positive(thickness, "--thickness"),
        step=common.positive(step, "--step"),
        cover=cover,
        z_range=common.parse_z_range(z_range),
        reduce=common.choice(reduce, "--reduce", Literal["mean", "sum"]),
        invert=invert,
        contrast=common.parse_contrast(contrast),
        reading=Reading(
            voxel_size=voxel_size,
            axis_order=axis_order,
            uint8=uint8,
            flip_z=flip_z,
            level=level,
            allow_missing_chunks=allow_missing_chunks,
            fill_nonfinite=common.choice(fill_nonfinite, "--fill-nonfinite", Literal["median"]),
        ),
        tomo_type=tomo_type,
        png=png,
    )
    execute(run, options, overwrite=overwrite, jobs=jobs, quiet=quiet, json_=json_)
