"""``slabkit convert curated.star curated.csv``: any pick format to any other."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options import picks as pick_options
from slabkit.cli.options.completion import WRITTEN
from slabkit.cli.options.declare import Several, argument, option
from slabkit.cli.running import command
from slabkit.errors import InputError
from slabkit.steps.convert import Options, run


def _in_out(paths: list[str], _: str) -> Several:
    if len(paths) < 2:
        raise InputError("convert takes at least two names: IN OUT.")
    *sources, out = paths
    return Several(sources=tuple(sources), out=out)


convert = command(
    run,
    Options,
    """Several IN files become one list. A format of which one file holds a single tomogram or
    species (copick, ndjson, eman, imod, artiax, tomotwin) is written to a folder: give a name
    without suffix, and --to.

    Into a copick project only new files are written: picks that are there are never replaced.
    """,
    paths=argument(
        "Pick lists to read and the one to write; - for standard input or output, "
        "copick:CONFIG.json for the picks of a copick project.",
        "IN... OUT",
        parse=_in_out,
        kind=list[str],
    ),
    to=option(
        f"Format of OUT: {WRITTEN}; default by its suffix: .star (native), .csv, "
        ".ndjson, .json (copick), .tbl (dynamo), .em (em), .mod (imod-model), .coords (artiax).",
        "FORMAT",
    ),
    tomograms=option(
        "Volumes, a folder, a quoted glob, a table of slabkit or RELION, or copick:CONFIG.json: "
        "sizes and voxel sizes. May be repeated.",
        "VOLUME|TABLE",
    ),
    species=option("Species of every pick.", "NAME"),
    tomo_type=common.TOMO_TYPE,
    voxel_size=common.VOXEL_SIZE,
    plain=option("CSV with tomogram, species, x, y, z and score only."),
    object=option("From a copick project: only picks of this object. May be repeated.", "NAME"),
    user=option(
        "From a copick project: only picks by this user (may be repeated); to one: the user of "
        "what is written, default slabkit.",
        "NAME",
    ),
    session=option("As --user; of what is written: default 1.", "NAME"),
    **pick_options.READING,
    check_bounds=option("Refuse picks of which more than 5 % lie outside their tomograms."),
    **common.FRAME,
)
