"""``slabkit map picks2d.star --slabs slabs/slabs.star -o picks.star``: 2D picks to 3D."""

from __future__ import annotations

from slabkit.cli.options import common, picking
from slabkit.cli.options.declare import argument, option
from slabkit.cli.running import command
from slabkit.steps.map import Options, run

map = command(
    run,
    Options,
    """z is where a ball or shell of about the pick's diameter fits the tomogram best, within the
    slab and half a diameter beyond. Lengths are in Å.
    """,
    picks2d=argument(
        "2D picks on the slabs, any number of files: of slabkit, RELION (particles, one file a "
        "micrograph, lists of such files), CryoSPARC, Topaz, EMAN, crYOLO; - for standard input.",
        "PICKS2D...",
    ),
    slabs=picking.SLAB_TABLE,
    out=common.OUT_TABLE,
    min_distance=option(
        "Hits closer than this in 3D are one particle; default half the larger diameter.", "Å"
    ),
    diameter=option("Diameter of picks that have none.", "Å"),
    y_axis=option(
        "Whether y counts from the last row of the images upwards or from the first row down; "
        "default: down."
    ),
    refine_z=option("Search for z, or take the middle of the slab."),
    single=option("Never two particles stacked in one slab."),
    all_species=option(
        "Keep the picks of all species that templates find at a place; otherwise the best alone."
    ),
    margin=option("Search so far beyond the slab; default half the particle's diameter.", "Å"),
    mask=picking.MASK,
    contrast=common.CONTRAST,
    voxel_size=common.VOXEL_SIZE,
    allow_missing_chunks=common.ALLOW_MISSING_CHUNKS,
    fill_nonfinite=common.FILL_NONFINITE,
    **common.FRAME_WITH_JOBS,
)
