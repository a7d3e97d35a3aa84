"""Which volumes are meant: what users name and what tables list, as `TomogramRef`s."""

from __future__ import annotations

import difflib
import functools
import glob
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.errors import InputError, SlabkitError, warn
from slabkit.formats.programs.shared.values import check_names
from slabkit.formats.tables.paths import is_star_file, is_there, path_for_table, resolve_path
from slabkit.formats.tomograms.names import (
    PACKED,
    SUFFIXES,
    is_project,
    is_reference,
    split_reference,
    split_suffix,
    tomogram_name,
)
from slabkit.formats.volumes.em import is_em_volume
from slabkit.formats.volumes.opening import check_size, file_kind, open_reference, open_volume
from slabkit.formats.volumes.voxel_size import UnsetVoxelSizeError
from slabkit.formats.volumes.zarr_folders import is_zarr
from slabkit.names import composed
from slabkit.tomogram import Reading, Tomogram, TomogramRef
from slabkit.units import Contrast

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.tables.native import PickList

_HALF = re.compile(r"[_.-](evn|odd|even|half[_-]?[12])(_vol)?$", re.IGNORECASE)
_MASK = re.compile(r"(^|[_.-])(masks?|seg|segmentation|labels?|lbl|multilabel)$", re.IGNORECASE)
_MOST_LABELS = 32


def list_tomograms(
    arguments: Sequence[str | os.PathLike[str]],
    *,
    reading: Reading = Reading(),
    contrast: Contrast | None = None,
    tomo_type: str | None = None,
    masks: bool = False,
    trust_tables: bool = False,
) -> list[TomogramRef]:
    """Find the tomograms that the arguments of a command mean, with what tables say of them.

    Parameters
    ----------
    arguments : sequence of str or path-like
        Each a file; a folder (its tomograms, not those in folders below; a Zarr folder is a
        tomogram itself); a glob pattern; a STAR table with a ``tomograms`` block;
        RELION's ``tomograms.star`` or ``optimisation_set.star``; or
        ``copick:CONFIG.json``, a copick project (one tomogram a run, named as the run). Half maps
        and masks are left out of folders and patterns, with a warning that lists them.
    reading : Reading, optional
        How the user says that they are read; wins over what tables say. In a copick project the
        voxel size says which tomograms are meant, and the files' own holds.
    contrast : {"dark", "bright"}, optional
        Of all; by default as tables say.
    tomo_type : str, optional
        ``wbp``, ``denoised``...: which tomograms of a copick project.
    masks : bool, optional
        Whether masks and labels are what is looked for, so that folders give them too.
    trust_tables : bool, optional
        Whether a table's voxel size wins over the file's instead of being checked against it.

    Returns
    -------
    list of TomogramRef
        In the order given, sorted by name within a folder or pattern.

    Raises
    ------
    InputError
        Something does not exist or holds no tomogram, two tomograms have the same name (or names
        that differ only in case), or a name cannot be used.
    """
    if tomo_type is not None and not any(is_project(argument) for argument in arguments):
        raise InputError("--tomo-type is for copick projects, given as copick:CONFIG.json.")
    found: list[TomogramRef] = []
    for argument in [os.fspath(given) for given in arguments]:
        if is_project(argument):
            found += _from_project(argument, reading, tomo_type)
        else:
            for ref in _listed(argument, masks, reading.half):
                trusted = Reading(voxel_size=ref.voxel_size if trust_tables else None)
                found.append(ref.but(reading=trusted).but(reading=reading))
    _check_names(found)
    return [ref.but(contrast=contrast) for ref in found]


def slab_tomograms(
    slabs: pd.DataFrame, *, reading: Reading = Reading(), contrast: Contrast | None = None
) -> dict[str, TomogramRef]:
    """Find the tomograms that a slab table was made of, by name, read as they were then.

    The table's paths are to be found from here
    (`slabkit.formats.tables.paths.with_paths_from_here`). ``reading`` and ``contrast`` win over
    what it says; of a file that is not there the ``problem`` says so.
    """
    found = {}
    for row in slabs.drop_duplicates("rlnTomoName").itertuples(index=False):
        path = Path(row.slabkitTomogramFile)
        problem = ""
        if not is_there(path):
            problem = (
                f"{path}: the tomogram that the slab table names is not there; call slabkit from "
                "the folder where the slabs were made, or make them anew."
            )
        ref = TomogramRef(
            str(row.rlnTomoName),
            path,
            float(row.slabkitVoxelSize),
            contrast=row.slabkitTomogramContrast,
            reading=Reading.parse(row.slabkitTomogramReading),
            problem=problem,
            opener=open_reference,
        )
        found[ref.name] = ref.but(contrast=contrast, reading=reading)
    return found


def pick_tomograms(
    picks: PickList,
    source: str | os.PathLike[str],
    arguments: Sequence[str | os.PathLike[str]] | None = None,
    *,
    reading: Reading = Reading(),
    contrast: Contrast | None = None,
    tomo_type: str | None = None,
) -> dict[str, TomogramRef]:
    """Find the volumes of the tomograms that have picks.

    Parameters
    ----------
    picks : PickList
    source : path-like or "-"
        Where the list was read; paths in it may be relative to that.
    arguments : sequence of str or path-like, optional
        As for `list_tomograms`: where to take the tomograms from instead, by name. They may
        have another voxel size than those in which the picks were made. They are read as the
        list's volumes were, unless `reading` or a table says otherwise.
    reading : Reading, optional
        What the user says otherwise; it wins. Without a voxel size in it or the list's own, that
        of the table holds, else the file's.
    contrast : {"dark", "bright"}, optional
        Of all; by default as the tables say.
    tomo_type : str, optional
        Which tomograms of a copick project.

    Returns
    -------
    dict of str to TomogramRef
        By name, in the order of the pick list. `TomogramRef.open` raises `InputError` where the
        volume is not as large as the list says, or is another one that cannot be read as the
        list's was.

    Raises
    ------
    InputError
        As `list_tomograms`.
    """
    given = None
    if arguments is not None:
        found = list_tomograms(arguments, reading=reading, tomo_type=tomo_type, trust_tables=True)
        given = {composed(ref.name): ref for ref in found}
    rows = {row["slabkitTomogram"]: row for row in picks.tomograms.to_dict("records")}
    volumes = {}
    for name in dict.fromkeys(picks.picks["slabkitTomogram"].tolist()):
        own, size_vox = _of_row(rows[name], source)
        if given is None:
            if own.path is None:
                problem = (
                    f"{source}: names no file for the tomogram {name}; give it with --tomograms."
                )
                own = replace(own, problem=problem)
            ref = replace(own, opener=_open_listed).but(reading=reading)
        elif composed(name) in given:
            settled = reading.voxel_size is not None
            ref = _instead(own, given[composed(name)], size_vox, source, settled)
        else:
            close = difflib.get_close_matches(name, given, 3, 0) or ["none"]
            problem = (
                f"{source}: has picks in {name}, and --tomograms has no tomogram of that name; "
                f"the closest: {', '.join(close)}."
            )
            ref = replace(own, path=None, problem=problem)
        volumes[name] = ref.but(contrast=contrast)
    return volumes


def _of_row(
    row: Mapping[str, Any], source: str | os.PathLike[str]
) -> tuple[TomogramRef, tuple[int, ...]]:
    """Give a tomogram as a table has it, and its size in voxels along x, y, z (0: unknown)."""
    stated = float(row["slabkitVoxelSize"])
    edge = stated if math.isfinite(stated) and stated > 0 else None
    x, y, z = (int(row[f"slabkitTomogramSize{axis}"]) for axis in "XYZ")
    written = row["slabkitTomogramFile"]
    ref = TomogramRef(
        row["slabkitTomogram"],
        resolve_path(written, source) if written else None,
        edge,
        expected_size=(x * edge, y * edge, z * edge) if edge and min(x, y, z) > 0 else None,
        contrast=row["slabkitTomogramContrast"],
        reading=Reading.parse(row["slabkitTomogramReading"]),
        opener=open_reference,
    )
    return ref, (x, y, z)


def _open_listed(ref: TomogramRef) -> Tomogram:
    """Open the list's own volume; the list's voxel size holds where the file says none."""
    try:
        return open_reference(ref)
    except UnsetVoxelSizeError:
        if ref.voxel_size is None:
            raise
        return open_reference(ref.but(reading=Reading(voxel_size=ref.voxel_size)))


def _instead(
    own: TomogramRef,
    given: TomogramRef,
    size_vox: tuple[int, ...],
    source: str | os.PathLike[str],
    settled: bool,
) -> TomogramRef:
    """Give a volume that is used instead of the list's, read as that one was."""
    assert given.path is not None
    same = own.path is not None and path_for_table(own.path) == path_for_table(given.path)
    held = own.reading if same else replace(own.reading, half=None)  # the other file is named
    if given.voxel_size is not None and not same:  # as a project says
        held = replace(held, voxel_size=None)
    wins = given.reading.changes()
    kept = {name: value for name, value in held.changes().items() if name not in wins}
    opener = functools.partial(
        _open_as_recorded,
        recorded={} if same else kept,
        size_vox=size_vox,
        source=source,
        stated=None if settled else own.voxel_size,
    )
    return replace(
        own,
        path=given.path,
        voxel_size=None if "level" in kept else given.voxel_size,  # which is of the full volume
        contrast=given.contrast or own.contrast,
        reading=held.but(given.reading),
        opener=opener,
    )


def _open_as_recorded(
    ref: TomogramRef,
    *,
    recorded: dict[str, Any],
    size_vox: tuple[int, ...],
    source: str | os.PathLike[str],
    stated: float | None,
) -> Tomogram:
    """Open another volume than a list names, if what is recorded of that one can hold for it.

    Another voxel size than the one ``stated`` there is of another binning, and then the number of
    voxels is another too.
    """
    assert ref.path is not None

    def refused(option: str, reason: str, remedy: str = "") -> InputError:
        return InputError(
            f"{ref.path}: cannot be read as {source} records it for {ref.name} "
            f"({Reading(**{option: recorded[option]}).text()}): {reason}; {remedy}give the volume "
            f"that was read so, or take this out of slabkitTomogramReading in the list."
        )

    held = [name for name in recorded if getattr(ref.reading, name) == recorded[name]]
    kind = file_kind(ref.path)
    if "level" in held and kind != "zarr":
        raise refused("level", "it is no OME-Zarr, so it has no resolution levels")
    if "uint8" in held and kind in ("zarr", "tiff"):
        raise refused("uint8", "it is no MRC or EM file")
    tomogram = open_reference(replace(ref, expected_size=None))
    if "uint8" in held and tomogram.data.dtype.itemsize != 1:
        raise refused("uint8", f"its voxels are {tomogram.data.dtype}, not bytes")
    found = tuple(reversed(tomogram.shape))
    different = stated is not None and not math.isclose(tomogram.voxel_size, stated, rel_tol=2e-3)
    if different and (found == size_vox or min(size_vox) == 0):
        count = "for as many voxels" if min(size_vox) else "and not how many voxels there are"
        raise InputError(
            f"{ref.path}: has {tomogram.voxel_size:g} Å per voxel, {source} says {stated:g} Å "
            f"{count}; correct the wrong one, or say which is true with --voxel-size, where the "
            "command has it."
        )
    if min(size_vox) > 0 and found != size_vox:
        for name, remedy in (("axis_order", ""), ("voxel_size", "give --voxel-size, ")):
            if name in held:
                sizes = [" × ".join(map(str, size)) for size in (found, size_vox)]
                reason = f"it has {sizes[0]} voxels (x, y, z), that one {sizes[1]}"
                raise refused(name, reason, remedy)
    check_size(ref, tomogram)
    return tomogram


def _from_project(argument: str, reading: Reading, tomo_type: str | None) -> list[TomogramRef]:
    """Give a tomogram a run; the folder's name is of the full resolution."""
    from slabkit.formats.tomograms.copick_project import open_project  # slow to import

    own = replace(reading, voxel_size=None)
    found = open_project(argument).tomograms(reading.voxel_size, tomo_type)
    if own.level:
        found = [replace(ref, voxel_size=None) for ref in found]
    return [replace(ref, reading=own, opener=open_reference) for ref in found]


def _listed(argument: str, masks: bool, half: str | None) -> list[TomogramRef]:
    path = Path(argument)
    if is_reference(argument):
        return [_ref(split_reference(argument)[1].split("/")[1], path)]
    if is_star_file(path):
        return _from_table(path, half)
    if os.path.isdir(path) and not is_zarr(path):
        entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
        known = [entry for entry in entries if split_suffix(entry.name)[1] and _usable(entry)]
        return _chosen(argument, known, [], masks)
    if os.path.lexists(path):
        name = tomogram_name(path)
        if _HALF.search(name):
            warn(f"{path}: looks like a half map; it is used because it was named.")
        return [_ref(name, path)]
    if glob.has_magic(argument):
        entries = [Path(entry) for entry in glob.glob(argument, recursive=True)]
        known = [entry for entry in entries if split_suffix(entry.name)[1] and _usable(entry)]
        return _chosen(argument, known, sorted(set(entries) - set(known)), masks)
    raise InputError(f"{argument}: there is no such file, folder or pattern match.")


def _ref(name: str, path: Path) -> TomogramRef:
    return TomogramRef(name, path, opener=open_reference)


def _usable(path: Path) -> bool:
    if os.path.isdir(path):
        return is_zarr(path)
    return split_suffix(path.name)[1] not in (".zarr", ".ome.zarr")


def _chosen(
    argument: str, entries: Iterable[Path], others: list[Path], masks: bool
) -> list[TomogramRef]:
    found = []
    excluded = [f"{path.name} (no tomogram by its suffix)" for path in others]
    for path in sorted(entries, key=str):
        name, suffix = split_suffix(path.name)
        if suffix == ".mrcs":
            excluded.append(f"{path.name} (image stack)")
        elif suffix == ".em" and not is_em_volume(path):
            excluded.append(f"{path.name} (motive list or image)")
        elif _HALF.search(name):
            excluded.append(f"{path.name} (half map)")
        elif not masks and (_MASK.search(name) or _holds_labels(path)):
            excluded.append(f"{path.name} (mask or labels)")
        else:
            found.append(_ref(tomogram_name(path), path))
    listed = ", ".join(excluded[:10]) + (f" and {len(excluded) - 10} more" * (len(excluded) > 10))
    if not found:
        what = f"; left out: {listed}" if excluded else ""
        raise InputError(
            f"{argument}: holds no tomogram ({', '.join(sorted(SUFFIXES))}, also .gz, .bz2){what}."
        )
    if excluded:
        warn(f"{argument}: left out {listed}; name a file by itself to use it all the same.")
    return found


def _holds_labels(path: Path) -> bool:
    # Three planes tell: a density stored as integers has far more values than a segmentation.
    if os.path.isdir(path) or path.name.lower().endswith(PACKED):
        return False  # would have to be decoded
    try:
        volume = open_volume(path)
    except SlabkitError:
        return False  # said when it is opened
    source = volume.source
    if np.dtype(source.dtype).kind not in "iu" or "page by page" in volume.stored_as:
        return False
    depth = source.shape[0]
    values: set[int] = set()
    for z in sorted({depth // 4, depth // 2, 3 * depth // 4}):
        plane = source[z : z + 1, 0 : source.shape[1], 0 : source.shape[2]]
        values.update(np.unique(plane).tolist())
        if len(values) > _MOST_LABELS:
            return False
    return len(values) > 1 and min(values) == 0


def slabkit_tomograms(blocks: dict[str, pd.DataFrame], where: str) -> pd.DataFrame:
    """Give the tomograms of a pick list or slab table, columns of `slabkit.tables.TOMOGRAMS`."""
    from slabkit.formats.tables.blocks import table_block
    from slabkit.tables import SLABS, TOMOGRAMS, names_listed

    if "tomograms" in blocks:
        return table_block(blocks, TOMOGRAMS, where)[TOMOGRAMS.names]
    if "micrographs" in blocks:
        slabs = table_block(blocks, SLABS, where)
        slabs = slabs.rename(columns={"rlnTomoName": "slabkitTomogram"})
        return slabs[TOMOGRAMS.names].drop_duplicates(ignore_index=True)
    raise InputError(
        f"{where}: has no block data_tomograms (it has {names_listed(blocks)}), so it lists no "
        "tomograms; give the files themselves."
    )


def _from_table(path: Path, half: str | None) -> list[TomogramRef]:
    from slabkit.formats.tables.star import read_star
    from slabkit.formats.tomograms.relion import (
        SET_TOMOGRAMS,
        file_of_set,
        is_relion_tomograms,
        list_relion_tomograms,
    )

    blocks = read_star(path)
    named = file_of_set(blocks, SET_TOMOGRAMS, str(path))
    if named is not None:
        return _from_table(named, half)
    if is_relion_tomograms(blocks):
        found = [one.ref for one in list_relion_tomograms(blocks, str(path), half)]
    else:
        rows = slabkit_tomograms(blocks, str(path)).to_dict("records")
        found = [replace(_of_row(row, path)[0], expected_size=None) for row in rows]
    for ref in found:
        if ref.path is None:
            raise InputError(ref.problem or f"{path}: has no file for the tomogram {ref.name}.")
    return found


def _check_names(found: list[TomogramRef]) -> None:
    for ref in found:
        check_names([ref.name], "tomogram", str(ref.path))
    seen: dict[str, TomogramRef] = {}
    for tomogram in found:
        key = composed(tomogram.name).casefold()
        other = seen.setdefault(key, tomogram)
        if other is tomogram:
            continue
        if os.path.abspath(str(other.path)) == os.path.abspath(str(tomogram.path)):
            raise InputError(f"{tomogram.path}: is given twice.")
        if other.name == tomogram.name:
            raise InputError(
                f"{other.path} and {tomogram.path} have the same name {tomogram.name!r}, and names "
                "tell tomograms apart; rename one, or link to it under another name."
            )
        raise InputError(
            f"{other.path} and {tomogram.path} have names that differ only in case, which some "
            "disks take for the same; rename one."
        )
