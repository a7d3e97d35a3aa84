"""``slabkit auto tomograms --diameter 100:350 -o auto``: the whole chain in one command."""

from __future__ import annotations

from slabkit.cli.options import common, picking
from slabkit.cli.options.declare import argument
from slabkit.cli.running import command
from slabkit.steps.auto import Options, run

auto = command(
    run,
    Options,
    """Every step is printed as the command that a user would type. Run again, it goes on where it
    stopped: what is done is skipped. DIR gets curated.star, report.html and the results of each
    step. Lengths are in Å.
    """,
    tomograms=argument("Volumes, folders, globs, tables of tomograms, copick:CONFIG.json."),
    out=common.OUT_FOLDER,
    diameter=picking.SIZES,
    maps=picking.MAPS_TO_NAME,
    tilt_range=picking.TILT_RANGE,
    voxel_size=common.VOXEL_SIZE,
    contrast=common.CONTRAST,
    **common.FRAME_WITH_JOBS,
)
