"""``slabkit workflow init DATASET --tomograms 'data/*.mrc' --diameter 100:350``: its files."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options.declare import argument, option
from slabkit.cli.options.values import named_maps, parse_range
from slabkit.cli.running import command
from slabkit.steps import workflow

init = command(
    workflow.init,
    workflow.InitOptions,
    """config.yaml has every option of the commands that the workflow runs, with what it means.
    Paths in it start at the folder.
    """,
    dataset=argument("Folder of the data set, new or not.", "DATASET"),
    tomograms=option(
        "Volumes, folders, quoted patterns. May be repeated.", "VOLUME|FOLDER", kind=list[str]
    ),
    diameter=option(
        "Longest extent of the particles (Å), or of the smallest and the largest.",
        "D|MIN:MAX",
        parse=parse_range,
    ),
    maps=option(
        "Density map; picks are named by it, as slabkit auto --map does; once for each species.",
        "[NAME=]MAP.mrc",
        flags="--map",
        parse=named_maps,
        kind=list[str],
    ),
    overwrite=common.OVERWRITE,
    quiet=common.QUIET,
    json_=common.JSON,
)
