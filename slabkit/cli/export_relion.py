"""``slabkit export relion minislabs/minislabs.star -o relion``: STAR files that RELION imports."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options.declare import option
from slabkit.cli.running import command
from slabkit.steps.export_relion import Options, run

relion = command(
    run,
    Options,
    """Of minislabs: galleries.star (the galleries as micrographs), a coordinate file a gallery with
    one place a tile and its pick id, and coordinates.star, the list of those for RELION 4 and 5.
    The stack route needs none of it: minislabs.star is a particle STAR as it is.

    Of slabs: micrographs.star, or a file for each image and pixel size where there are several,
    because RELION picks in micrographs of one size at a time.
    """,
    table=common.TILES_OR_SLABS,
    out=common.OUT_FOLDER,
    suffix=option("Ending of the coordinate files' names.", "NAME"),
    **common.FRAME,
)
