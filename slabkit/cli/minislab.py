"""``slabkit minislab picks.star -o minislabs --box 400 --depth 300``: picks to galleries."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options import picks as pick_options
from slabkit.cli.options.declare import argument, option
from slabkit.cli.options.values import parse_numbers, positive, positive_or_zero
from slabkit.cli.running import command
from slabkit.steps.minislab import Options, run

minislab = command(
    run,
    Options,
    """Galleries (and stacks, one a gallery) fill in the order of the pick list, across tomograms.
    Every tile is normalised; where a box is outside its tomogram, with its own mean. Galleries keep
    the tomograms' contrast. Lengths are in Å.
    """,
    picks=argument("Pick list, in any format; - for standard input."),
    out=common.OUT_FOLDER,
    box=option(
        "Side of the images; rounded to the nearest even number of pixels. Default: a third larger "
        "than the largest picks of the list (95 in 100 are smaller).",
        "Å",
        parse=positive,
    ),
    depth=option("Thickness projected; default: the largest picks' diameter.", "Å", parse=positive),
    stack=option("Also stacks .mrcs, light on dark, for 2D classification."),
    tomograms=option(
        "Take the tomograms, by name, from here: a volume, folder, quoted pattern, table or "
        "copick:CONFIG.json. May be repeated. Default: the files that the pick list names.",
        "VOLUME|FOLDER",
    ),
    tiles=common.TILES,
    tilts=option(
        "Views of each pick, tilted about y; positive: what is higher in z moves to larger x.",
        "DEGREES,...",
        parse=parse_numbers,
        default="0",
    ),
    reuse=option(
        "Take the tiles from minislabs that exist: tables with stacks, or folders of slabkit "
        "tomogram. May be repeated.",
        "TABLE|FOLDER",
    ),
    voxel_size=common.VOXEL_SIZE,
    tomo_type=common.TOMO_TYPE,
    **pick_options.READING,
    pixel_size=option("Resample the images to this; default: the voxel size.", "Å", parse=positive),
    border=option(
        "Empty margin round the tiles, for programs that drop picks near an edge; rounded to "
        "whole pixels.",
        "Å",
        parse=positive_or_zero,
    ),
    diameter=option(
        "Of the particle: images get mean 0, deviation 1 outside it; default: --box.",
        "Å",
        parse=positive,
    ),
    invert=option("Invert the contrast of the galleries."),
    contrast=common.CONTRAST,
    allow_missing_chunks=common.ALLOW_MISSING_CHUNKS,
    fill_nonfinite=common.FILL_NONFINITE,
    half=common.HALF,
    png=common.PNG,
    **common.FRAME_WITH_JOBS,
)
