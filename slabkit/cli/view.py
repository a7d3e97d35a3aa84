"""``slabkit view picks.star -o page.html``: look at picks in their tomograms."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options import picks as pick_options
from slabkit.cli.options.declare import argument, option
from slabkit.cli.running import command
from slabkit.steps.view import Options, run

view = command(
    run,
    Options,
    """One HTML file with everything inside, for any browser; nothing is fetched. Colours are
    species; accepted picks have thick circles, rejected ones are crossed out. 2D picks are for
    `slabkit inspect`.
    """,
    picks=argument(
        "Pick lists, in any format: curated and rejected picks, say; - for standard input.",
        "PICKS...",
    ),
    out=option("The page.", "PAGE.html", flags="--out -o"),
    tomograms=option(
        "Show the tomograms, by name, of these: a volume, folder, quoted pattern, table or "
        "copick:CONFIG.json. May be repeated. Default: all that the pick list names.",
        "VOLUME|FOLDER",
    ),
    truth=option("Also show true particles, and which were missed.", "PICKS"),
    max_tomograms=option("Tomograms to show, evenly taken from all.", "N", min=1),
    closeups=option("Picks to show at full resolution, evenly taken from all.", "N", min=0),
    sections=option(
        "Sections across z, and twice as many across y and x; default: as many as keep the page "
        "small, 40 at most.",
        "N",
        min=1,
    ),
    side=option("Bin volumes whose longest side is larger than this.", "PX", min=64),
    voxel_size=common.VOXEL_SIZE,
    tomo_type=common.TOMO_TYPE,
    **pick_options.READING,
    contrast=common.CONTRAST,
    allow_missing_chunks=common.ALLOW_MISSING_CHUNKS,
    fill_nonfinite=common.FILL_NONFINITE,
    half=common.HALF,
    **common.FRAME,
)
