"""Pick lists of every format, in and out: what no dialect has to think about stands here.

Reading checks names, drops exact duplicates, compares positions with the volumes and gives ids;
writing says what the format cannot hold, and splits where a format wants a file a tomogram.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.errors import InputError, SlabkitWarning
from slabkit.formats.atomic import write_text
from slabkit.formats.bounds import check_bounds
from slabkit.formats.pick_finish import (
    check_extra_names,
    drop_duplicates,
    give_ids,
    known_tomograms,
    set_species,
)
from slabkit.formats.pick_format import CENTRES, Centre, Context, PickFormat, Reading, Unit
from slabkit.formats.pick_source import Source, load_sources
from slabkit.formats.pick_values import TEXT_NAMES, check_names
from slabkit.formats.registry import (
    detect_format,
    folder_formats,
    format_named,
    format_to_write,
)
from slabkit.formats.tables import PickList, check_pick_list
from slabkit.tables import PICKS

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
    check_bounds: bool = True,
    keep_duplicates: bool = False,
) -> PickList:
    """Read picks in any known format; several files become one list.

    Parameters
    ----------
    source : path-like, "-", or sequence of path-like
        A file, standard input, or a folder of a format that has folders (copick, ndjson); or a
        `slabkit.formats.pick_source.Source` that was loaded before.
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
        `slabkit.formats.tomogram_index.read_tomogram_index`.
    check_bounds : bool, optional
        Whether to refuse a list of which more than 5 % lies outside known volumes.
    keep_duplicates : bool, optional
        Whether picks that stand there twice stay, each with an id of its own.

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
        Duplicates were dropped, shifts applied, or the list is empty.
    """
    sources: Sequence[PathLike | Source]
    if isinstance(source, (str, os.PathLike, Source)):
        sources = [source]
    else:
        sources = list(source)
    context = _context(
        tomograms, tomogram, voxel_size, binning, centre, species, unit, index_base, tomogram_index
    )
    chosen = format_named(format) if format is not None else None
    parts: list[pd.DataFrame] = []
    lists: list[pd.DataFrame] = []
    for item in load_sources(sources, folder_formats(chosen)):
        reading, pick_format = _read(item, chosen, context)
        if check_bounds and pick_format.in_corner_unit:
            _check_bounds(reading, item.where, pick_format, context)
        parts.append(_columns(reading, item.where))
        if reading.tomograms is not None:
            lists.append(reading.tomograms)
    where = ", ".join(s.where if isinstance(s, Source) else str(s) for s in sources[:3])
    table = _joined(parts)
    if not len(table):
        warnings.warn(f"{where}: holds no picks.", SlabkitWarning, stacklevel=2)
    if species is not None:
        table = set_species(table, species, where)
    if not keep_duplicates:
        table = drop_duplicates(table, where)
    table = give_ids(table, where)
    known = known_tomograms(table["slabkitTomogram"].unique(), lists, context, where)
    return check_pick_list(PickList(table, known), where)


def write_picks(
    target: PathLike,
    picks: PickList,
    *,
    format: str | None = None,
    binning: float | None = None,
    centre: Centre = "size/2",
    species: str | None = None,
    index_base: int | None = None,
) -> list[Path]:
    """Write picks in any known format.

    Parameters
    ----------
    target : path-like or "-"
        A file, or a folder for a format of which one file holds a single tomogram or species when
        the picks are of several. A folder also gets the whole list as ``picks.star``.
    picks : PickList
    format : str, optional
        Name of the format; without it the suffix says it (``.star``: slabkit's own).
    binning : float, optional
        Tomogram voxel size over tilt-series pixel size (RELION).
    centre : {"size/2", "size/2-1"}, optional
        Zero of RELION 5 positions.
    species : str, optional
        Set for every pick.
    index_base : {0, 1}, optional
        Coordinate of the first voxel in a Dynamo table.

    Returns
    -------
    list of Path
        What was written; nothing for ``-``.

    Raises
    ------
    InputError
        The format needs something that is not known, or a folder.

    Warns
    -----
    SlabkitWarning
        The format cannot hold all there is; says what was left out.
    """
    chosen = format_named(format) if format is not None else format_to_write(target)
    picks = check_pick_list(picks)
    if species is not None:
        picks = PickList(set_species(picks.picks, species, "pick list"), picks.tomograms)
    context = _context(picks.tomograms, None, None, binning, centre, species, None, index_base)
    _require_meant(chosen, context, str(target))
    check_names(picks.picks["slabkitTomogram"].unique(), "tomogram", "pick list")
    _say_what_is_lost(picks, chosen)
    # Everything is made before anything is written, so that an error leaves nothing half done.
    if is_folder(target, chosen.name):
        files = _files(Path(target), picks, chosen, context)
    else:
        _require_one_file(target, picks, chosen)
        files = {str(target): chosen.written(picks, context)}
        files |= _companion(target, picks, chosen, context)
    for path, text in files.items():
        write_text(path, text)
    return [] if str(target) == "-" else [Path(path) for path in files]


def is_folder(target: PathLike, format: str | None = None) -> bool:
    """Tell whether picks written to this target become a folder of files.

    Parameters
    ----------
    target : path-like or "-"
        A name with a suffix is a file, unless a folder of that name is there.
    format : str, optional
        As for `write_picks`.

    Returns
    -------
    bool
        Only for formats of which one file holds a single tomogram or species.

    Raises
    ------
    InputError
        There is no such format, or the name does not say one.
    """
    chosen = format_named(format) if format is not None else format_to_write(target)
    if chosen.write is None:
        raise InputError(f"slabkit reads {chosen.name} but does not write it; give another --to.")
    if not chosen.one_file_per or str(target) == "-":
        return False
    return Path(target).is_dir() or not Path(target).suffix


def companion_file(target: PathLike, format: str) -> Path | None:
    """Give the second file that `write_picks` makes beside a file, if the format has one.

    Parameters
    ----------
    target : path-like or "-"
    format : str

    Returns
    -------
    Path or None
    """
    companion = format_named(format).companion
    if companion is None or str(target) == "-":
        return None
    return Path(target).with_suffix(companion[0])


def planned_files(folder: PathLike, picks: PickList, format: str) -> list[Path]:
    """Give the files that `write_picks` would make in a folder.

    Parameters
    ----------
    folder : path-like
    picks : PickList
    format : str

    Returns
    -------
    list of Path

    Raises
    ------
    InputError
        Two parts of the list would have the same file.
    """
    return [Path(path) for path in _parts(Path(folder), picks, format_named(format))]


def _require_one_file(target: PathLike, picks: PickList, chosen: PickFormat) -> None:
    columns = list(chosen.one_file_per)
    count = len(picks.picks[columns].drop_duplicates()) if columns else 0
    if count > 1:
        what = " and ".join(TEXT_NAMES[column] for column in columns)
        raise InputError(
            f"{target}: the picks need {count} files, because a {chosen.name} file holds one "
            f"{what}; give a folder (a name without suffix) and --to {chosen.name}."
        )


def _parts(folder: Path, picks: PickList, chosen: PickFormat) -> dict[str, PickList]:
    assert chosen.file_name is not None
    parts: dict[str, PickList] = {}
    for _, rows in picks.picks.groupby(list(chosen.one_file_per), sort=True):
        part = PickList(rows.reset_index(drop=True), picks.tomograms)
        path = str(folder / chosen.file_name(part))
        if path in parts:
            raise InputError(
                f"{path}: two names become the same when written as {chosen.name}; rename one."
            )
        parts[path] = part
    return parts


def _files(folder: Path, picks: PickList, chosen: PickFormat, context: Context) -> dict[str, str]:
    parts = _parts(folder, picks, chosen)
    files = {path: chosen.written(part, context) for path, part in parts.items()}
    files[str(folder / "picks.star")] = format_named("native").written(picks, context)
    return files


def _companion(
    target: PathLike, picks: PickList, chosen: PickFormat, context: Context
) -> dict[str, str]:
    path = companion_file(target, chosen.name)
    if path is None or chosen.companion is None:
        return {}
    if path == Path(target):
        raise InputError(f"{target}: is the name of the table of tomograms; give another suffix.")
    return {str(path): chosen.companion[1](picks, context)}


def _context(
    tomograms: pd.DataFrame | None,
    tomogram: str | None,
    voxel_size: float | None,
    binning: float | None,
    centre: Centre,
    species: str | None,
    unit: Unit | None,
    index_base: int | None = None,
    tomogram_index: dict[str, str] | None = None,
) -> Context:
    from slabkit.tables import TOMOGRAMS, require_unique, validate_table

    for option, value in (("--voxel-size", voxel_size), ("--binning", binning)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"{option} must be a positive number, not {value!r}.")
    if centre not in CENTRES:
        raise InputError(f"--centre must be {' or '.join(CENTRES)}, not {centre!r}.")
    if unit not in (None, "angstrom", "px"):
        raise InputError(f"--unit must be angstrom or px, not {unit!r}.")
    if index_base not in (None, 0, 1):
        raise InputError(f"--index-base must be 0 or 1, not {index_base!r}.")
    if tomogram is not None:
        check_names([tomogram], "tomogram", "--tomogram")
    if species is not None:
        check_names([species], "species", "--species")
    if tomograms is not None:
        tomograms = validate_table(tomograms, TOMOGRAMS)
        require_unique(tomograms, "slabkitTomogram", "table of tomograms")
        if voxel_size is not None:
            tomograms = tomograms.assign(slabkitVoxelSize=float(voxel_size))
    return Context(
        tomograms,
        tomogram,
        voxel_size,
        binning,
        centre,
        species,
        unit,
        index_base,
        tomogram_index,
    )


def _require_meant(pick_format: PickFormat, context: Context, where: str) -> None:
    """Refuse options that a format has no use for, before they are believed to have worked."""
    if context.unit is not None and context.unit not in pick_format.units:
        raise InputError(
            f"{where}: --unit is for formats that do not fix it, CSV for one; the unit of "
            f"{pick_format.name} is {pick_format.unit}."
        )
    if context.index_base is not None and not pick_format.index_bases:
        raise InputError(
            f"{where}: --index-base is for Dynamo tables; the first voxel of {pick_format.name} "
            f"is {pick_format.index_base}."
        )
    if context.tomogram_index is not None and not pick_format.numbered:
        raise InputError(
            f"{where}: --tomogram-index is for formats that number their tomograms, and "
            f"{pick_format.name} does not."
        )


def _read(
    source: Source, chosen: PickFormat | None, context: Context
) -> tuple[Reading, PickFormat]:
    if source.empty and source.where != "-" and not source.where.lower().endswith(".star"):
        pick_format = chosen or detect_format(source)
        nothing: dict[str, Any] = {column.name: [] for column in PICKS.columns if column.required}
        return Reading(nothing), pick_format
    if source.empty:
        raise InputError(f"{source.where}: is empty, not even a table without picks.")
    pick_format = chosen or detect_format(source)
    _require_meant(pick_format, context, source.where)
    return pick_format.read(source, context), pick_format


def _columns(reading: Reading, where: str) -> pd.DataFrame:
    import pandas as pd

    # Texts stay plain objects until the whole table is checked.
    table = pd.DataFrame(
        {
            name: values if isinstance(values, np.ndarray) else np.array(values, dtype=object)
            for name, values in reading.columns.items()
        }
    )
    check_names(table["slabkitTomogram"].unique(), "tomogram", where)
    if "slabkitSpecies" in table.columns:
        check_names(table["slabkitSpecies"].unique(), "species", where, empty=True)
    return check_extra_names(table, where)


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    if len(parts) == 1:
        return parts[0]
    defaults: dict[str, Any] = {column.name: column.default for column in PICKS.columns}
    names = dict.fromkeys(name for part in parts for name in part.columns)
    whole = [
        part.assign(
            **{
                n: defaults.get(n) or "" if n not in _REAL else np.nan
                for n in names
                if n not in part.columns
            }
        )
        for part in parts
        if len(part)
    ]
    if not whole:
        return parts[0]
    return pd.concat([part[list(names)] for part in whole], ignore_index=True)


_REAL = {column.name for column in PICKS.columns if column.kind == "real"}


def _check_bounds(reading: Reading, where: str, pick_format: PickFormat, context: Context) -> None:
    names = list(reading.columns["slabkitTomogram"])
    if not names:
        return
    positions = np.column_stack([reading.columns[f"slabkit{axis}"] for axis in "XYZ"])
    sizes = np.zeros((len(names), 3))
    if context.tomograms is not None:
        rows = context.tomograms.set_index("slabkitTomogram")
        known = np.array([name in rows.index for name in names])
        inside = [name for name in names if name in rows.index]
        columns = [f"slabkitTomogramSize{axis}" for axis in "XYZ"]
        sizes[known] = rows.loc[inside, columns].to_numpy()
    unit = "px" if context.unit == "px" else pick_format.in_corner_unit
    check_bounds(
        positions,
        sizes,
        context.known_voxel_sizes(names),
        reading.unit_length,
        reading.zero,
        unit,
        where,
    )


def _say_what_is_lost(picks: PickList, chosen: PickFormat) -> None:
    defaults = {column.name: column.default for column in PICKS.columns}
    lost = []
    for name in picks.picks.columns:
        if name in TEXT_NAMES and (name[-1] in "XYZ" or name in chosen.keeps):
            continue
        if name not in TEXT_NAMES and chosen.keeps_extra:
            continue
        column = picks.picks[name]
        nothing = (column.isna() | column.isin(["", defaults.get(name, "")])).all()
        if not nothing:
            lost.append(TEXT_NAMES.get(name, name))
    if lost:
        warnings.warn(
            f"{chosen.name} cannot hold {', '.join(lost)}; left out of what is written.",
            SlabkitWarning,
            stacklevel=3,
        )
