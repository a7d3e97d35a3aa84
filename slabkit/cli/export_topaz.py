"""``slabkit export topaz slabs/slabs.star -o topaz --radius 100``: a training set for Topaz."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options.declare import option
from slabkit.cli.running import command
from slabkit.steps.export_topaz import Options, run

topaz = command(
    run,
    Options,
    """Of minislabs with labels: images.txt (the galleries with decisions), targets.txt (accepted
    tiles, in pixels of the shrunk images), and in topaz.sh the radius in such pixels and the number
    of particles to expect in a gallery. label reads the scores that come back.

    Of slabs: topaz.sh runs the detector that Topaz ships; map reads its picks.

    Images are linked under names that Topaz keeps, names.txt says which is which; label and map
    know them too.
    """,
    table=common.TILES_OR_SLABS,
    out=common.OUT_FOLDER,
    labels=option("With minislabs: which are particles.", "LABELS"),
    downsample=option(
        "Topaz shrinks the images by this; default 4, for slabs what comes nearest to 20 Å a "
        "pixel.",
        "N",
    ),
    radius=option(
        "With minislabs: how far about the middle of a tile is particle, default a fifth of the "
        "box. With slabs: the particles' radius.",
        "Å",
    ),
    **common.FRAME,
)
