"""``slabkit conflicts merged.star -o conflicts``: positions that several species claim."""

from __future__ import annotations

from typing import Annotated

import typer

from slabkit.cli.options import common
from slabkit.cli.running import execute
from slabkit.steps.conflicts import Options, run
from slabkit.steps.shared.galleries import GalleryOptions


def conflicts(
    picks: Annotated[
        list[str],
        typer.Argument(metavar="PICKS...", help="Pick lists, of several species together."),
    ],
    out: common.OutFolder,
    distance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="Å|SPECIES=Å",
            help="Claims of two species closer than this are of one position; by species, the "
            "larger counts. Default: half the larger of the two diameters.",
        ),
    ] = None,
    box: Annotated[float, typer.Option(metavar="Å", help="Side of the images.")] = 400.0,
    depth: Annotated[float, typer.Option(metavar="Å", help="Thickness projected.")] = 300.0,
    tiles: common.Tiles = "16x15",
    tomograms: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VOLUME|FOLDER",
            help="Take the tomograms, by name, from here. May be repeated. Default: the files "
            "that the pick lists name.",
        ),
    ] = None,
    voxel_size: common.VoxelSizeOption = None,
    contrast: common.ContrastOption = None,
    png: Annotated[bool, typer.Option("--png", help="Also a picture of each gallery.")] = False,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Find positions that picks of more than one species claim, and make minislabs of them.

    DIR gets conflicts.star (the claims), minislabs.star with galleries (one tile a conflict) and
    decide.csv. Write into decide.csv, for each conflict, accepted and the species whose position
    it is, or rejected if it is of none; what stays undecided changes nothing. Then: slabkit label
    DIR/decide.csv --minislabs DIR/minislabs.star -o LABELS, and slabkit curate PICKS LABELS
    --conflicts DIR/conflicts.star. Picks outside the conflicts are not touched.
    """
    rows, columns = common.parse_tiles(tiles)
    gallery = GalleryOptions(
        common.positive(box, "--box"),
        common.positive(depth, "--depth"),
        rows,
        columns,
        png=png,
        contrast=common.parse_contrast(contrast),
        voxel_size=common.positive(voxel_size, "--voxel-size"),
    )
    options = Options(
        tuple(picks),
        out,
        gallery,
        distance=common.parse_distances(distance or []),
        tomograms=None if tomograms is None else tuple(tomograms),
    )
    execute(run, options, overwrite=overwrite, quiet=quiet, json_=json_)
