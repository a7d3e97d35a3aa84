"""``slabkit import slabpick -o slabs --slab-map slab_map.csv``: taken over mid-way."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options.declare import option
from slabkit.cli.options.values import parse_tiles
from slabkit.cli.running import command
from slabkit.steps.import_slabpick import Options, run

slabpick = command(
    run,
    Options,
    """slabs.star goes to map with picks made on the slabs, minislabs.star to label with results
    made on the galleries, picks.star to curate.
    """,
    out=common.OUT_FOLDER,
    slab_map=option("slab_map.csv, becomes slabs.star.", "CSV"),
    particle_map=option(
        "particle_map.csv, becomes picks.star and minislabs.star; needs --picks.", "CSV"
    ),
    picks=option(
        "The coordinates that the minislabs were made of: copick files or folder, or any other "
        "format. May be repeated.",
        "FILE",
    ),
    format=option("Format of --picks, as in convert.", "FORMAT", flags="--from"),
    tomograms=option("The tomograms of --picks, for their sizes. May be repeated.", "VOLUME|TABLE"),
    tiles=option(
        "Tiles in a gallery, where make_minislabs.json is missing.",
        "ROWSxCOLUMNS",
        parse=parse_tiles,
    ),
    voxel_size=common.VOXEL_SIZE,
    contrast=common.CONTRAST,
    **common.FRAME,
)
