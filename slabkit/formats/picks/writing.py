"""Pick lists out, in every format: splits where a format wants a file a tomogram or species."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from slabkit.errors import InputError, warn
from slabkit.formats.file_format import FileFormat, in_pieces
from slabkit.formats.picks.context import Centre
from slabkit.formats.picks.given import Context
from slabkit.formats.picks.normalise import set_species
from slabkit.formats.programs.shared.values import TEXT_NAMES, check_names
from slabkit.formats.registry import format_named, format_to_write
from slabkit.formats.tables.atomic import write_pieces
from slabkit.formats.tables.native import PickList, check_pick_list
from slabkit.formats.tables.paths import file_inside
from slabkit.tables import PICKS

PathLike = str | os.PathLike[str]


def write_picks(
    target: PathLike,
    picks: PickList,
    *,
    format: str | None = None,
    binning: float | None = None,
    centre: Centre = "size/2",
    species: str | None = None,
    index_base: int | None = None,
    plain: bool = False,
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
    plain : bool, optional
        Of CSV: only tomogram, species, x, y, z and score.

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
    chosen = _chosen(target, format)
    picks = check_pick_list(picks)
    if species is not None:
        picks = PickList(set_species(picks.picks, species, "pick list"), picks.tomograms)
    context = Context(
        picks.tomograms,
        binning=binning,
        centre=centre,
        species=species,
        index_base=index_base,
        plain=plain,
    )
    chosen.require_meant(context, str(target))
    check_names(picks.picks["slabkitTomogram"].unique(), "tomogram", "pick list")
    if chosen.binary and str(target) == "-":
        raise InputError(f"{chosen.name} is no text, so it cannot go to standard output.")
    _say_what_is_lost(picks, chosen)
    # Everything is made before anything is written, so that an error leaves nothing half done.
    if is_folder(target, chosen.name):
        files = _files(Path(target), picks, chosen, context)
    else:
        _require_one_file(target, picks, chosen)
        files = {str(target): chosen.written(picks, context)}
        files |= _companion(target, picks, chosen, context)
    for path in sorted(files, key=lambda path: path == str(target)):  # the main file last
        write_pieces(path, files[path])
    return [] if str(target) == "-" else [Path(path) for path in files]


def _chosen(target: PathLike, format: str | None) -> FileFormat:
    return format_to_write(target) if format is None else format_named(format, to_write=True)


def is_folder(target: PathLike, format: str | None = None) -> bool:
    """Tell whether picks written to this target become a folder of files.

    Only for formats of which one file holds a single tomogram or species, where the target has no
    suffix or is a folder.

    Raises `InputError`: there is no such format, or the name does not say one.
    """
    chosen = _chosen(target, format)
    if not chosen.one_file_per or str(target) == "-":
        return False
    return Path(target).is_dir() or not Path(target).suffix


def companion_file(target: PathLike, format: str) -> Path | None:
    """Give the second file that `write_picks` makes next to a file; None if the format has none."""
    companion = format_named(format).companion
    if companion is None or str(target) == "-":
        return None
    return Path(target).with_suffix(companion[0])


def planned_files(folder: PathLike, picks: PickList, format: str) -> list[Path]:
    """Give the files that `write_picks` would make in a folder, which must all be different."""
    return [Path(path) for path in _parts(Path(folder), picks, format_named(format))]


def _require_one_file(target: PathLike, picks: PickList, chosen: FileFormat) -> None:
    columns = list(chosen.one_file_per)
    count = len(picks.picks[columns].drop_duplicates()) if columns else 0
    if count > 1:
        what = " and ".join(TEXT_NAMES[column] for column in columns)
        raise InputError(
            f"{target}: the picks need {count} files, because a {chosen.name} file holds one "
            f"{what}; give a folder (a name without suffix) and --to {chosen.name}."
        )


def _parts(folder: Path, picks: PickList, chosen: FileFormat) -> dict[str, PickList]:
    assert chosen.file_name is not None
    parts: dict[str, PickList] = {}
    for column in chosen.one_file_per:
        check_names(picks.picks[column].unique(), TEXT_NAMES[column], "pick list", empty=True)
    for _, rows in picks.picks.groupby(list(chosen.one_file_per), sort=True):
        part = PickList(rows.reset_index(drop=True), picks.tomograms)
        path = str(file_inside(folder, *chosen.file_name(part).split("/")))
        if path in parts:
            raise InputError(
                f"{path}: two names become the same when written as {chosen.name}; rename one."
            )
        parts[path] = part
    return parts


_Files = dict[str, Iterable[bytes]]


def _files(folder: Path, picks: PickList, chosen: FileFormat, context: Context) -> _Files:
    parts = _parts(folder, picks, chosen)
    files = {path: list(chosen.written(part, context)) for path, part in parts.items()}
    whole = list(format_named("native").written(picks, context))
    return {**files, str(folder / "picks.star"): whole}


def _companion(target: PathLike, picks: PickList, chosen: FileFormat, context: Context) -> _Files:
    path = companion_file(target, chosen.name)
    if path is None or chosen.companion is None:
        return {}
    if path == Path(target):
        raise InputError(f"{target}: is the name of the table of tomograms; give another suffix.")
    return {str(path): in_pieces(chosen.companion[1](picks, context))}


def _say_what_is_lost(picks: PickList, chosen: FileFormat) -> None:
    defaults = {column.name: column.default for column in PICKS.columns}
    lost = []
    for name in picks.picks.columns:
        if name in chosen.keeps or (name in TEXT_NAMES and name[-1] in "XYZ"):
            continue
        if name not in TEXT_NAMES and chosen.keeps_extra:
            continue
        column = picks.picks[name]
        nothing = (column.isna() | column.isin(["", defaults.get(name, "")])).all()
        if not nothing:
            lost.append(TEXT_NAMES.get(name, name))
    if lost:
        warn(f"{chosen.name} cannot hold {', '.join(lost)}; left out of what is written.")
