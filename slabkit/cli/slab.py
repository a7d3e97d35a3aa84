"""``slabkit slab tomograms/*.mrc -o slabs --step 150``: tomograms to mock micrographs."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options.declare import argument, option
from slabkit.cli.options.values import parse_z_range, positive
from slabkit.cli.running import command
from slabkit.steps.slab import Options, run

slab = command(
    run,
    Options,
    """Without --step or --cover: as many slabs as fit side by side, centred; the margins left over
    are reported. Lengths are in Å.
    """,
    tomograms=argument("Volumes, folders, globs, tables of tomograms, copick:CONFIG.json."),
    out=common.OUT_FOLDER,
    thickness=option("Thickness of a slab.", "Å", parse=positive),
    step=option("Sliding window: at most this far from slab to slab.", "Å", parse=positive),
    cover=option("Cover the whole depth with the fewest slabs."),
    z_range=option(
        "Project these depths only (Å; either may be empty); auto: from one face of the sample "
        "to the other, where the planes vary more than outside.",
        "MIN:MAX|auto",
        parse=parse_z_range,
    ),
    reduce=option("What projecting means."),
    voxel_size=common.VOXEL_SIZE,
    tomo_type=common.TOMO_TYPE,
    contrast=common.CONTRAST,
    invert=option("Invert the images' contrast."),
    fill_nonfinite=common.FILL_NONFINITE,
    axis_order=common.AXIS_ORDER,
    flip_z=common.FLIP_Z,
    uint8=common.UINT8,
    level=common.LEVEL,
    allow_missing_chunks=common.ALLOW_MISSING_CHUNKS,
    half=common.HALF,
    png=option("Also a contact sheet, <tomogram>_slabs.png."),
    **common.FRAME_WITH_JOBS,
)
