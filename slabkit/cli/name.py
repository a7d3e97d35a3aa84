"""``slabkit name classes --map ribosome=6qzp.mrc --map ferritin=6pxm.mrc``: what classes show."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options.declare import argument, option
from slabkit.cli.options.values import named_maps, positive, tilts
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
    """,
    classes=argument("The folder of slabkit classify, or classes.star in it.", "CLASSES"),
    maps=option(
        "Density map, protein bright, and its species; once for each.",
        "NAME=MAP.mrc",
        flags="--map",
        parse=named_maps,
        kind=list[str],
    ),
    depth=option("Depth of the minislabs, where their table does not say it.", "Å", parse=positive),
    tilt_range=option(
        "Tilts of the tilt series, for the missing wedge.",
        "MIN:MAX|none",
        parse=tilts,
        default="-45:45",
    ),
    **common.FRAME,
)
