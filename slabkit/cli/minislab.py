"""``slabkit minislab picks.star -o minislabs --box 400 --depth 300``: picks to galleries."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from slabkit.cli.options import common
from slabkit.cli.options import picks as pick_options
from slabkit.cli.running import execute
from slabkit.errors import InputError
from slabkit.steps.minislab import Options, run
from slabkit.steps.shared.galleries import GalleryOptions


def minislab(
    picks: Annotated[
        str,
        typer.Argument(help="Pick list, in any format; - for standard input.", show_default=False),
    ],
    out: common.OutFolder,
    box: Annotated[
        float,
        typer.Option(
            metavar="Å",
            help="Side of the images; rounded to the nearest even number of pixels.",
            show_default=False,
        ),
    ],
    depth: Annotated[
        float, typer.Option(metavar="Å", help="Thickness projected.", show_default=False)
    ],
    tiles: common.Tiles = "16x15",
    stack: Annotated[
        bool,
        typer.Option("--stack", help="Also stacks .mrcs, light on dark, for 2D classification."),
    ] = False,
    tilts: Annotated[
        str,
        typer.Option(
            metavar="DEGREES,...",
            help="Views of each pick, tilted about y; positive: what is higher in z moves to "
            "larger x.",
        ),
    ] = "0",
    tomograms: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VOLUME|FOLDER",
            help="Take the tomograms, by name, from here: a volume, folder, quoted pattern, "
            "table or copick:CONFIG.json. May be repeated. Default: the files that the pick "
            "list names.",
            show_default=False,
        ),
    ] = None,
    voxel_size: common.VoxelSizeOption = None,
    tomo_type: common.TomoType = None,
    from_: pick_options.From = None,
    binning: pick_options.Binning = None,
    centre: pick_options.Centre = "size/2",
    tomogram: pick_options.TomogramName = None,
    unit: pick_options.Unit = None,
    index_base: pick_options.IndexBase = None,
    tomogram_index: pick_options.TomogramIndex = None,
    pixel_size: Annotated[
        float | None,
        typer.Option(metavar="Å", help="Resample the images to this; default: the voxel size."),
    ] = None,
    border: Annotated[
        float,
        typer.Option(
            metavar="Å",
            help="Empty margin round the tiles, for programs that drop picks near an edge; "
            "rounded to whole pixels.",
        ),
    ] = 0.0,
    diameter: Annotated[
        float | None,
        typer.Option(
            metavar="Å",
            help="Of the particle: images get mean 0, deviation 1 outside it; default: --box.",
            show_default=False,
        ),
    ] = None,
    invert: Annotated[
        bool, typer.Option("--invert", help="Invert the contrast of the galleries.")
    ] = False,
    contrast: common.ContrastOption = None,
    fill_nonfinite: common.FillNonfinite = None,
    png: Annotated[bool, typer.Option("--png", help="Also a picture of each gallery.")] = False,
    overwrite: common.Overwrite = False,
    jobs: common.Jobs = 0,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Project the box about each pick; galleries of tiles, minislabs.star, stacks on request.

    Galleries (and stacks, one a gallery) fill in the order of the pick list, across tomograms.
    Every tile is normalised; where a box is outside its tomogram, with its own mean. Galleries keep
    the tomograms' contrast. Lengths are in Å.
    """
    if out == "-":
        raise InputError("-o takes a folder here: galleries are files.")
    rows, columns = common.parse_tiles(tiles)
    gallery = GalleryOptions(
        common.positive(box, "--box"),
        common.positive(depth, "--depth"),
        rows,
        columns,
        tilts=common.parse_numbers(tilts, "--tilts"),
        pixel_size=common.positive(pixel_size, "--pixel-size"),
        border=common.positive(border, "--border") if border else 0.0,
        diameter=common.positive(diameter, "--diameter"),
        invert=invert,
        stack=stack,
        png=png,
        contrast=common.parse_contrast(contrast),
        voxel_size=common.positive(voxel_size, "--voxel-size"),
        fill_nonfinite=common.choice(fill_nonfinite, "--fill-nonfinite", Literal["median"]),
    )
    options = Options(
        picks,
        out,
        gallery,
        pick_options.pick_reading(
            from_, binning, centre, tomogram, unit, index_base, tomogram_index
        ),
        tomograms=None if tomograms is None else tuple(tomograms),
        tomo_type=tomo_type,
    )
    execute(run, options, overwrite=overwrite, jobs=jobs, quiet=quiet, json_=json_)
