"""``slabkit conflicts merged.star -o conflicts``: positions that several species claim."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options.declare import argument, option
from slabkit.cli.options.values import parse_distances, positive
from slabkit.cli.running import command
from slabkit.steps.conflicts import Options, run

conflicts = command(
    run,
    Options,
    """DIR gets conflicts.star (the claims), minislabs.star with galleries (one tile a conflict) and
    decide.csv. Write into decide.csv, for each conflict, accepted and the species whose position
    it is, or rejected if it is of none; what stays undecided changes nothing. Then: slabkit label
    DIR/decide.csv --minislabs DIR/minislabs.star -o LABELS, and slabkit curate PICKS LABELS
    --conflicts DIR/conflicts.star. Picks outside the conflicts are not touched.
    """,
    picks=argument("Pick lists, of several species together.", "PICKS..."),
    out=common.OUT_FOLDER,
    distance=option(
        "Claims of two species closer than this are of one position; by species, the larger "
        "counts. Default: half the larger of the two diameters.",
        "Å|SPECIES=Å",
        parse=parse_distances,
    ),
    box=option("Side of the images.", "Å", parse=positive, default=400.0),
    depth=option("Thickness projected.", "Å", parse=positive, default=300.0),
    tiles=common.TILES,
    tomograms=option(
        "Take the tomograms, by name, from here. May be repeated. Default: the files that the "
        "pick lists name.",
        "VOLUME|FOLDER",
    ),
    voxel_size=common.VOXEL_SIZE,
    allow_missing_chunks=common.ALLOW_MISSING_CHUNKS,
    contrast=common.CONTRAST,
    png=common.PNG,
    **common.FRAME,
)
