"""Pick lists of every format, in and out: what is the same for all formats.

Reading checks names, drops exact duplicates, compares positions with the volumes and gives ids.
Writing is in `slabkit.formats.picks.writing`.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.errors import FormatError, InputError, SlabkitError, SlabkitWarning, warn
from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks import bounds
from slabkit.formats.picks.context import Centre, PickReading, Unit
from slabkit.formats.picks.given import Context
from slabkit.formats.picks.normalise import (
    check_extra_names,
    drop_duplicates,
    give_ids,
    known_tomograms,
    set_species,
)
from slabkit.formats.programs.shared.values import check_names
from slabkit.formats.registry import (
    detect_format,
    fitting_formats,
    folder_formats,
    format_named,
)
from slabkit.formats.source import Source, load_sources
from slabkit.formats.tables.native import PickList
from slabkit.formats.tables.paths import is_pipe
from slabkit.tables import PICKS, has_repeats, require_unique, validate_table

if TYPE_CHECKING:
    import pandas as pd

PathLike = str | os.PathLike[str]


def read_picks(
    source: PathLike | Source | Sequence[PathLike | Source],
    *,
    format: str | None = None,
    tomograms: pd.DataFrame | None = None,
    tomogram: str | None = None,
    voxel_size: float | None = None,
    binning: float | None = None,
    centre: Centre = "size/2",
    species: str | None = None,
    unit: Unit | None = None,
    index_base: int | None = None,
    tomogram_index: dict[str, str] | None = None,
    columns: Sequence[str] | None = None,
    check_bounds: bool = True,
    keep_duplicates: bool = False,
) -> PickList:
    """Read picks in any known format; several files become one list.

    Parameters
    ----------
    source : path-like, "-", or sequence of path-like
        A file, standard input, or a folder of a format that has folders (copick, ndjson); or a
        `slabkit.formats.source.Source` that was loaded before.
    format : str, optional
        Name of the format; without it told by the content, never by the size of values.
    tomograms : DataFrame, optional
        Columns of `slabkit.tables.TOMOGRAMS`: sizes and voxel sizes. Picks in others are refused.
    tomogram : str, optional
        Where the picks of a format without names are.
    voxel_size : float, optional
        Å, of every tomogram; wins over what tables say.
    binning : float, optional
        Tomogram voxel size over tilt-series pixel size (RELION).
    centre : {"size/2", "size/2-1"}, optional
        Zero of RELION 5 positions.
    species : str, optional
        Set for every pick.
    unit : {"angstrom", "px"}, optional
        Unit of a format that does not fix it (CSV, PolNet).
    index_base : {0, 1}, optional
        Coordinate of the first voxel in a Dynamo table; 1, as Dynamo has it, without it.
    tomogram_index : dict of str to str, optional
        Number to name of the tomograms (Dynamo, DeepFinder); see
        `slabkit.formats.tomograms.index.read_tomogram_index`.
    columns : sequence of str, optional
        Names of the columns of a CSV file without a header line; ``-`` for those left out.
    check_bounds : bool, optional
        Whether to refuse a list of which more than 5 % lies outside known volumes.
    keep_duplicates : bool, optional
        Whether picks that appear twice stay, each with its own id.

    Returns
    -------
    PickList
        Positions in Å. Ids are the file's, or new ones made of tomogram and position.

    Raises
    ------
    InputError
        Something cannot be read, is not known, or contradicts itself; names file and row.

    Warns
    -----
    SlabkitWarning
        Duplicates were dropped, shifts applied, picks lie outside their tomograms, or the list is
        empty.
    """
    sources: Sequence[PathLike | Source]
    if isinstance(source, (str, os.PathLike, Source)):
        sources = [source]
    else:
        sources = list(source)
    context = Context(
        tomograms,
        tomogram,
        voxel_size,
        binning,
        centre,
        species,
        unit,
        index_base,
        tomogram_index,
        None if columns is None else tuple(columns),
    )
    if columns is not None and format is None:
        format = "csv"
    chosen = format_named(format) if format is not None else None
    parts: list[pd.DataFrame] = []
    own: list[tuple[pd.DataFrame, str]] = []  # slabkit's tables: checked, but for doubled ids
    lists: list[pd.DataFrame] = []
    for item in load_sources(sources, folder_formats(chosen)):
        item, context_of_item, listed = _of_set(item, context)
        lists += listed
        reading, pick_format = _read(item, chosen, context_of_item)
        if check_bounds and pick_format.in_corner_unit:
            in_unit = "px" if context.unit == "px" else pick_format.in_corner_unit
            bounds.check_bounds(reading, in_unit, context_of_item, item.where, pick_format.binnings)
        parts.append(_columns(reading, item.where))
        if not pick_format.in_corner_unit and reading.tomograms is not None:
            own.append((parts[-1], item.where))
        if reading.tomograms is not None:
            lists.append(reading.tomograms)
    where = ", ".join(s.where if isinstance(s, Source) else str(s) for s in sources[:3])
    table = _joined(parts)
    if not len(table):
        warn(f"{where}: holds no picks.")
    if species is not None:
        table = set_species(table, species, where)
    unique = "slabkitPickId" in table.columns and not has_repeats(table["slabkitPickId"])
    if not unique:
        for part, name in own:
            require_unique(part, "slabkitPickId", name)
        if not keep_duplicates:
            table = drop_duplicates(table, where)
    table = give_ids(table, where)
    known = known_tomograms(table["slabkitTomogram"].unique(), lists, context, where)
    if len(own) < len(parts):
        table = validate_table(table, PICKS, where)
    picks = PickList(table, known)
    if not unique:
        require_unique(picks.picks, "slabkitPickId", where)
    outside = bounds.count_outside(picks.picks, picks.tomograms) if check_bounds else 0
    if outside:
        warn(
            f"{where}: {outside} of {len(table)} picks lie outside their tomograms; they are kept."
        )
    return picks


def read_pick_list(
    source: PathLike | Source | Sequence[PathLike | Source],
    reading: PickReading,
    *,
    tomograms: Sequence[str] | None = None,
    voxel_size: float | None = None,
    tomo_type: str | None = None,
    **further: Any,
) -> PickList:
    """Read picks as `read_picks` does, told what the options of a command say.

    Parameters
    ----------
    source : path-like, Source, or sequence of these
    reading : PickReading
    tomograms : sequence of str, optional
        Volumes, folders, tables, ``copick:CONFIG.json``; see
        `slabkit.formats.tomograms.table.read_tomograms`.
    voxel_size : float, optional
        Å, of every tomogram; of a copick project: which tomograms are meant.
    tomo_type : str, optional
        Which tomograms of a copick project.
    **further : object
        More keywords of `read_picks`.

    Raises
    ------
    InputError
        As `read_picks` and `read_tomograms` do.
    """
    from slabkit.formats.tomograms.names import is_project
    from slabkit.formats.tomograms.table import read_tomograms

    table = None
    if tomograms:
        table = read_tomograms(tomograms, voxel_size, tomo_type)
        if any(is_project(argument) for argument in tomograms):
            voxel_size = None  # it said which tomograms are meant; the table has theirs
    return read_picks(
        source, tomograms=table, voxel_size=voxel_size, **reading.keywords(), **further
    )


def _of_set(source: Source, context: Context) -> tuple[Source, Context, list[pd.DataFrame]]:
    """Go from RELION's optimisation set to its particles and, where none are given, tomograms."""
    from slabkit.formats.tomograms.relion import SET_PARTICLES, SET_TOMOGRAMS, file_of_set

    if not any(label.encode() in source.beginning for label in (SET_PARTICLES, SET_TOMOGRAMS)):
        return source, context, []
    particles = file_of_set(source.blocks, SET_PARTICLES, source.where)
    if particles is None:
        return source, context, []
    if context.tomograms is not None or SET_TOMOGRAMS not in source.labels:
        return Source.load(particles), context, []
    from slabkit.formats.tomograms.table import read_tomograms

    named = file_of_set(source.blocks, SET_TOMOGRAMS, source.where)
    assert named is not None
    table = read_tomograms([named], context.voxel_size)
    return Source.load(particles), dataclasses.replace(context, tomograms=table), [table]


def _read(
    source: Source, chosen: FileFormat | None, context: Context
) -> tuple[ParsedPicks, FileFormat]:
    if source.empty and is_pipe(source.where):  # the program before it in the pipe has failed
        what = "standard input" if source.where == "-" else source.where
        raise InputError(f"{what}: is empty, not even a table without picks.")
    pick_format = chosen or _told(source, context)
    if source.empty:
        nothing: dict[str, Any] = {column.name: [] for column in PICKS.columns if column.required}
        return ParsedPicks(nothing), pick_format
    return pick_format.reading(source, context), pick_format


def _told(source: Source, context: Context) -> FileFormat:
    """Tell the format by the content; of several that fit, say where each puts the first pick."""
    try:
        return detect_format(source)
    except FormatError as error:
        fitting = fitting_formats(source, "picks")
        if len(fitting) < 2:
            raise
        places = [f"{known.name}: {_first_place(source, known, context)}" for known in fitting]
        raise FormatError(f"{error} The first pick would be at: {'; '.join(places)}.") from error


def _first_place(source: Source, pick_format: FileFormat, context: Context) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SlabkitWarning)
            columns = pick_format.reading(source, context).columns
    except SlabkitError as error:
        return str(error).removeprefix(f"{source.where}: ").rstrip(".")
    if not len(columns["slabkitX"]):
        return "none"
    return ", ".join(f"{columns[f'slabkit{axis}'][0]:.6g}" for axis in "XYZ") + " Å"


def _columns(reading: ParsedPicks, where: str) -> pd.DataFrame:
    import pandas as pd

    # Lists of texts stay plain objects until the whole table is checked.
    typed = (np.ndarray, pd.Series)
    table = pd.DataFrame(
        {
            name: values if isinstance(values, typed) else np.array(values, dtype=object)
            for name, values in reading.columns.items()
        },
        copy=False,
    )
    check_names(table["slabkitTomogram"].unique(), "tomogram", where)
    if "slabkitSpecies" in table.columns:
        check_names(table["slabkitSpecies"].unique(), "species", where, empty=True)
    return check_extra_names(table, where)


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    if len(parts) == 1:
        return parts[0]
    missing: dict[str, Any] = {
        column.name: np.nan if column.kind == "real" else column.default or ""
        for column in PICKS.columns
    }
    names = list(dict.fromkeys(name for part in parts for name in part.columns))
    whole = [
        part.assign(**{n: missing.get(n, "") for n in names if n not in part.columns})[names]
        for part in parts
        if len(part)
    ]
    return pd.concat(whole, ignore_index=True) if whole else parts[0]
