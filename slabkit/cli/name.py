"""``slabkit name picks.star --map ribosome=6qzp.mrc -o names.star``: what picks or classes show."""

from __future__ import annotations

from slabkit.cli.options import common, picking
from slabkit.cli.options.declare import argument, option
from slabkit.cli.options.values import named_maps, positive
from slabkit.cli.running import command
from slabkit.steps.name import Options, run

name = command(
    run,
    Options,
    """Each average is compared with all views of each map, through the depth of the minislabs and
    the missing wedge, at all in-plane angles. classes.star gets the name, the best map, its
    coefficient and by how much that exceeds the next map's; classes.png the names. A class whose
    coefficient is below 0.6, or less than 0.02 above that of the next map, stays without a name.
    slabkit label takes the names with --species-from-classes.

    With -o it names the picks of a list instead, by what is in the tomogram about each: a label
    table for slabkit curate, with the probability of each species, the place that fits best and the
    map's orientation there.
    """,
    classes=argument(
        "The folder of slabkit classify, or classes.star in it; with -o a pick list.",
        "CLASSES|PICKS",
    ),
    maps=option(
        "Density map, protein bright, and its species; once for each.",
        "NAME=MAP.mrc",
        flags="--map",
        parse=named_maps,
        kind=list[str],
    ),
    out=option("Labels to write, of a pick list.", "LABELS", flags="--out -o"),
    decoys=option(
        "Map of something that gets no name, to be told apart from the others; with a pick list.",
        "NAME=MAP.mrc",
        flags="--decoy",
        parse=named_maps,
        kind=list[str],
    ),
    min_probability=option(
        "Name picks from this probability on; the default is about the best for recall that "
        "counts four times as much as precision.",
        "P",
    ),
    tomograms=option(
        "Take the tomograms of the pick list, by name, from here: a volume, folder, quoted "
        "pattern or table. May be repeated. Default: the files that the list names.",
        "VOLUME|FOLDER",
    ),
    depth=option("Depth of the minislabs, where their table does not say it.", "Å", parse=positive),
    tilt_range=picking.TILT_RANGE,
    **common.FRAME_WITH_JOBS,
)
