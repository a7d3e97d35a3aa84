"""``slabkit tomogram data/TS_01.mrc -o tomograms/TS_01 --diameter 100:350``: one of many."""

from __future__ import annotations

from slabkit.cli.options import common, picking
from slabkit.cli.options.declare import argument, option
from slabkit.cli.options.values import parse_z_range, positive
from slabkit.cli.running import command
from slabkit.steps.tomogram import Options, run

tomogram = command(
    run,
    Options,
    """Runs slab, pick, map and minislab, and with --map name, as slabkit auto does, each printed as
    a user would type it, into one folder; what is done is skipped, by content. done.json comes last
    and says what was made, or of bad data what is wrong (exit code 2). Exit code 75 is for what may
    work when tried again; then there is no done.json. Without --map, picks are kept down to a low
    score, so that slabkit gather can fit one threshold to all tomograms. Lengths are in Å.
    """,
    tomogram=argument("Volume: a file, or an OME-Zarr folder.", "VOLUME"),
    out=common.OUT_FOLDER,
    diameter=picking.SIZES,
    maps=picking.MAPS_TO_NAME,
    picker=option(
        "With --map. blob: find blobs, and name them in names.star; template: look for the maps, "
        "as pick template does."
    ),
    refine=option("With --picker template: compare what is found with the maps once more, in 3D."),
    tilt_range=picking.TILT_RANGE,
    box=option(
        "Side of the minislabs; default: a third larger than the largest diameter.",
        "Å",
        parse=positive,
    ),
    depth=option(
        "Thickness projected to minislabs; default: the largest diameter.", "Å", parse=positive
    ),
    thickness=option("Thickness of a slab.", "Å", parse=positive),
    step=option("From slab to slab, at most.", "Å", parse=positive),
    z_range=option(
        "Project these depths only (Å; either may be empty); auto: the sample, from face to face.",
        "MIN:MAX|auto",
        parse=parse_z_range,
    ),
    threshold=option(
        "Lowest score of a pick that is kept, in noise standard deviations; default: 1; where maps "
        "name or refine the picks that of the picker.",
        "SD",
    ),
    min_distance=picking.MIN_DISTANCE,
    max_ridge=picking.MAX_RIDGE,
    mask=picking.MASK,
    pixel_size=option(
        "Resample the minislabs to this, where voxel sizes differ.", "Å", parse=positive
    ),
    contrast=common.CONTRAST,
    voxel_size=common.VOXEL_SIZE,
    fill_nonfinite=common.FILL_NONFINITE,
    axis_order=common.AXIS_ORDER,
    flip_z=common.FLIP_Z,
    uint8=common.UINT8,
    level=common.LEVEL,
    allow_missing_chunks=common.ALLOW_MISSING_CHUNKS,
    half=common.HALF,
    **common.FRAME_WITH_JOBS,
)
