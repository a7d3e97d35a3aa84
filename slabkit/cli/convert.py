"""``slabkit convert curated.star curated.csv``: any pick format to any other."""

from __future__ import annotations

from typing import Annotated

import typer

from slabkit.cli.options import common
from slabkit.cli.options import picks as pick_options
from slabkit.cli.running import execute
from slabkit.errors import InputError
from slabkit.steps.convert import Options, run


def convert(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="IN... OUT",
            help="Pick lists to read and the one to write; - for standard input or output, "
            "copick:CONFIG.json for the picks of a copick project.",
            show_default=False,
        ),
    ],
    from_: pick_options.From = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="Format of OUT; default by its suffix: .star (native), .csv, .ndjson, .json "
            "(copick), .tbl (dynamo), .coords (artiax).",
        ),
    ] = None,
    tomograms: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VOLUME|TABLE",
            help="Volumes, a folder, a quoted glob, a table of slabkit or RELION, or "
            "copick:CONFIG.json: sizes and voxel sizes. May be repeated.",
        ),
    ] = None,
    voxel_size: common.VoxelSizeOption = None,
    tomo_type: common.TomoType = None,
    object_: Annotated[
        list[str] | None,
        typer.Option(
            "--object",
            metavar="NAME",
            help="From a copick project: only picks of this object. May be repeated.",
        ),
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="From a copick project: only picks by this user (may be repeated); to one: the "
            "user of what is written, default slabkit.",
        ),
    ] = None,
    session: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="As --user; of what is written: default 1."),
    ] = None,
    binning: pick_options.Binning = None,
    centre: pick_options.Centre = "size/2",
    tomogram: pick_options.TomogramName = None,
    species: Annotated[
        str | None, typer.Option(metavar="NAME", help="Species of every pick.")
    ] = None,
    unit: pick_options.Unit = None,
    index_base: pick_options.IndexBase = None,
    tomogram_index: pick_options.TomogramIndex = None,
    check_bounds: Annotated[
        bool,
        typer.Option(
            "--check-bounds/--no-check-bounds",
            help="Refuse picks of which more than 5 % lie outside their tomograms.",
        ),
    ] = True,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Convert pick lists from any format to any other, exactly.

    Several IN files become one list. A format of which one file holds a single tomogram or
    species (copick, ndjson, eman, imod, artiax, tomotwin) is written to a folder: give a name
    without suffix, and --to.

    Into a copick project only new files are written: picks that are there are never replaced.
    """
    if len(paths) < 2:
        raise InputError("convert takes at least two names: IN OUT.")
    *sources, target = paths
    options = Options(
        tuple(sources),
        target,
        to=to,
        reading=pick_options.pick_reading(
            from_, binning, centre, tomogram, unit, index_base, tomogram_index
        ),
        tomograms=tuple(tomograms or ()),
        voxel_size=voxel_size,
        tomo_type=tomo_type,
        species=species,
        check_bounds=check_bounds,
        object=tuple(object_ or ()),
        user=tuple(user or ()),
        session=tuple(session or ()),
    )
    execute(run, options, overwrite=overwrite, quiet=quiet, json_=json_)
