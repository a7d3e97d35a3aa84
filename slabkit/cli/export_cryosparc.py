"""``slabkit export cryosparc minislabs/minislabs.star -o cryosparc``: what CryoSPARC imports."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options.declare import option
from slabkit.cli.running import command
from slabkit.steps.export_cryosparc import Options, run

cryosparc = command(
    run,
    Options,
    """Of minislabs: micrographs (the galleries), tiles (one place a tile) and, where there are
    stacks, particles. Of slabs: micrographs. Each as images with STAR files and as a result
    group (.csg with its .cs). Images are linked, not copied: keep them where they are.
    """,
    table=common.TILES_OR_SLABS,
    out=common.OUT_FOLDER,
    exposures=option(
        "The galleries as your project has imported them already (J1/imported_micrographs.cs); "
        "the places are linked to those.",
        "CS",
    ),
    y_axis=option(
        "How y counts in the places of tiles: down from the first row of the file, or up from "
        "the last. Give up only where label says so of your server.",
        "up|down",
    ),
    **common.FRAME,
)
