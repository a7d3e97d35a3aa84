"""``slabkit convert curated.star curated.csv``: any pick format to any other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slabkit.cli.options import common
from slabkit.cli.options import picks as pick_options
from slabkit.errors import InputError

if TYPE_CHECKING:
    from slabkit.formats.source import Source
    from slabkit.formats.tables.native import PickList


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
            help="Volumes, a folder, a quoted glob, a slabkit table or copick:CONFIG.json: sizes "
            "and voxel sizes. May be repeated.",
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
    options: dict[str, Any] = {
        "format": from_,
        "tomogram": tomogram,
        "voxel_size": voxel_size,
        "binning": binning,
        "centre": centre,
        "species": species,
        "unit": unit,
        "index_base": index_base,
        "tomogram_index": tomogram_index,
        "check_bounds": check_bounds,
    }
    copick = {
        "object": object_ or [],
        "user": user or [],
        "session": session or [],
        "tomo_type": tomo_type,
    }
    _convert(sources, target, to, tomograms or [], options, copick, (overwrite, quiet, json_))


def _convert(
    sources: list[str],
    target: str,
    to: str | None,
    tomograms: list[str],
    options: dict[str, Any],
    copick: dict[str, Any],
    frame: tuple[bool, bool, bool],
) -> None:
    from slabkit.cli import convert_copick
    from slabkit.formats.picks.reading import companion_file, is_folder, planned_files, write_picks
    from slabkit.formats.registry import format_named, format_to_write
    from slabkit.formats.source import Source
    from slabkit.formats.tomograms.names import is_project

    convert_copick.check_options([*sources, target], tomograms, copick)
    if options["format"] is not None:
        format_named(options["format"])
    if is_project(target):
        piped = Source.load("-") if "-" in sources else None
        given = [piped if piped is not None and path == "-" else path for path in sources]
        picks = _read(given, tomograms, options, copick, False)
        files = [*sources, *_files_of(tomograms, options["voxel_size"], copick["tomo_type"])]
        parameters = {**options, **copick, "tomograms": tomograms}
        with convert_copick.writing(
            target, picks, copick, to, files, parameters, frame, piped
        ) as step:
            step.summary.update(_summary(picks), to="copick")
        return
    chosen = format_named(to) if to is not None else format_to_write(target)
    folder = is_folder(target, chosen.name)
    beside = None if folder else companion_file(target, chosen.name)
    index = options["tomogram_index"]
    piped = Source.load("-") if "-" in sources else None
    given = convert_copick.with_project_files(sources, copick)
    files_in = [path.where if isinstance(path, Source) else path for path in given]
    read_already = {
        path.where: path.text
        for path in (*given, *([piped] if piped is not None else []))
        if isinstance(path, Source) and not Path(path.where).exists()
    }
    overwrite, quiet, json_ = frame
    with common.Step(
        "convert",
        str(Path(target) / "picks.star") if folder else target,
        inputs=[
            *(path for path in files_in if path not in read_already),
            *_files_of(tomograms, options["voxel_size"], copick["tomo_type"]),
            *([index] if index else []),
        ],
        parameters={**options, **copick, "to": chosen.name, "tomograms": tomograms},
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
        text_inputs=read_already,
    ) as step:
        if step.finished:
            return
        given = [piped if piped is not None and path == "-" else path for path in given]
        picks = _read(given, tomograms, options, copick, chosen.index_bases)
        if folder:
            step.check_free(planned_files(Path(target), picks, chosen.name))
        if beside is not None:
            step.check_free([beside])
        step.outputs += write_picks(
            target,
            picks,
            format=chosen.name,
            binning=options["binning"],
            centre=options["centre"],
            species=options["species"],
            index_base=options["index_base"] if chosen.index_bases else None,
        )
        step.summary.update(_summary(picks), to=chosen.name)


def _read(
    sources: Sequence[str | Source],
    tomograms: list[str],
    options: dict[str, Any],
    copick: dict[str, Any],
    base_written: bool,
) -> PickList:
    from slabkit.formats.picks.reading import read_picks
    from slabkit.formats.tables.paths import with_paths_from_here
    from slabkit.formats.tomograms.index import read_tomogram_index
    from slabkit.formats.tomograms.names import is_project
    from slabkit.formats.tomograms.table import read_tomograms

    table, options, index = None, dict(options), options["tomogram_index"]
    if tomograms:
        table = read_tomograms(tomograms, options["voxel_size"], copick["tomo_type"])
        if any(is_project(argument) for argument in tomograms):
            options["voxel_size"] = None  # it said which tomograms are meant; the table has theirs
    options["index_base"] = _base_read(sources, options, base_written)
    options["tomogram_index"] = read_tomogram_index(index) if index else None
    picks = read_picks(sources, tomograms=table, **options)
    if len(sources) == 1 and isinstance(sources[0], str):
        with_paths_from_here(picks.tomograms, sources[0])
    return picks


def _base_read(
    sources: Sequence[str | Source], options: dict[str, Any], written: bool
) -> int | None:
    """Give ``--index-base`` for the input; it may speak of the output alone."""
    names = [path if isinstance(path, str) else path.where for path in sources]
    dynamo = options["format"] == "dynamo" or all(n.lower().endswith(".tbl") for n in names)
    base: int | None = options["index_base"]
    return base if dynamo or not written else None


def _summary(picks: PickList) -> dict[str, Any]:
    from slabkit.formats.picks.bounds import count_outside

    counts = picks.picks["slabkitSpecies"].value_counts(sort=False)
    return {
        "picks": len(picks.picks),
        "tomograms": picks.picks["slabkitTomogram"].nunique(),
        "outside": count_outside(picks.picks, picks.tomograms),
        "species": {name or "none": int(counts[name]) for name in sorted(counts.index)},
    }


def _files_of(tomograms: list[str], voxel_size: float | None, tomo_type: str | None) -> list[Path]:
    from slabkit.formats.tomograms.listing import list_tomograms
    from slabkit.formats.tomograms.names import is_project
    from slabkit.tomogram import Reading

    reading = Reading(voxel_size=voxel_size)
    files: list[Path] = []
    for argument in tomograms:
        path = Path(argument)
        is_table = path.suffix.lower() == ".star"
        if is_table:
            files.append(path)
            continue
        kind = tomo_type if is_project(argument) else None
        found = list_tomograms([argument], reading=reading, tomo_type=kind)
        files += [ref.path for ref in found if ref.path]
    return files
