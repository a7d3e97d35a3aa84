"""Which files are meant: tomograms out of files, folders, patterns and tables, with their names."""

from __future__ import annotations

import glob
import math
import os
import re
import unicodedata
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slabkit.errors import InputError, SlabkitError, SlabkitWarning
from slabkit.formats.tomograms.copick_project import is_project, open_project
from slabkit.formats.tomograms.copick_reference import is_reference, split_reference
from slabkit.formats.volumes.ome_zarr import is_zarr
from slabkit.units import Contrast

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (
    ".ome.tiff",
    ".ome.tif",
    ".ome.zarr",
    ".tiff",
    ".tif",
    ".zarr",
    ".mrcs",
    ".mrc",
    ".rec",
    ".map",
    ".st",
)
"""Suffixes that are no part of a tomogram's name, longest first; ``.gz`` or ``.bz2`` may follow."""

_PACKED = (".gz", ".bz2")
_HALF = re.compile(r"[_.-](evn|odd|even|half[_-]?[12])(_vol)?$", re.IGNORECASE)
_MASK = re.compile(r"(^|[_.-])(masks?|seg|segmentation|labels?|lbl|multilabel)$", re.IGNORECASE)
_MOST_LABELS = 32


@dataclass(frozen=True)
class ListedTomogram:
    """One tomogram that was asked for, not opened.

    Parameters
    ----------
    name : str
    path : Path
    voxel_size : float, optional
        In Å, where a table says so.
    contrast : {"dark", "bright"}, optional
        Where a table says so.
    in_project : bool, optional
        Whether it was chosen out of a copick project by its voxel size, so that the file's own,
        which may be more precise, is still to be read and checked against `voxel_size`.
    """

    name: str
    path: Path
    voxel_size: float | None = None
    contrast: Contrast | None = None
    in_project: bool = False

    def voxel_sizes(self, given: float | None) -> tuple[float | None, float | None]:
        """Give what `open_tomogram` is to be told of the voxel size.

        Parameters
        ----------
        given : float or None
            What the user says, in Å.

        Returns
        -------
        voxel_size, expected_voxel_size : float or None
            What wins over the file, and what the file is checked against.
        """
        if self.in_project:
            return None, self.voxel_size
        return given, self.voxel_size if given is None else None


def tomogram_name(path: str | os.PathLike[str]) -> str:
    """Give a tomogram's name: its file name less a known suffix.

    Parameters
    ----------
    path : path-like
        Symbolic links are not resolved.

    Returns
    -------
    str
        Dots elsewhere stay: ``TS_1_10.00Apx.mrc`` is ``TS_1_10.00Apx``.

    Raises
    ------
    InputError
        The name is empty or has a ``#``, a line break or another unprintable character.
    """
    file_name = Path(path).name
    name, _ = _split(file_name)
    if not name:
        raise InputError(f"{path}: has no name before its suffix; rename it.")
    if "#" in name or not name.isprintable():
        raise InputError(
            f"{str(path)!r}: the name {name!r} has a '#', a line break or another unprintable "
            "character, which tables cannot hold; rename the file or link to it."
        )
    return name


def tomogram_paths(
    arguments: Sequence[str | os.PathLike[str]],
    *,
    voxel_size: float | None = None,
    tomo_type: str | None = None,
) -> list[tuple[str, Path]]:
    """Find the tomograms that the arguments of a command mean.

    Parameters
    ----------
    arguments, voxel_size, tomo_type
        As `list_tomograms`.

    Returns
    -------
    list of (str, Path)
        Name and path.

    Raises
    ------
    InputError
        As `list_tomograms`.
    """
    found = list_tomograms(arguments, voxel_size=voxel_size, tomo_type=tomo_type)
    return [(tomogram.name, tomogram.path) for tomogram in found]


def list_tomograms(
    arguments: Sequence[str | os.PathLike[str]],
    *,
    voxel_size: float | None = None,
    tomo_type: str | None = None,
    masks: bool = False,
) -> list[ListedTomogram]:
    """Find the tomograms that the arguments of a command mean, with what tables say of them.

    Parameters
    ----------
    arguments : sequence of str or path-like
        Each a file; a folder (its tomograms, not those in folders below; a Zarr folder is a
        tomogram itself); a glob pattern; a STAR table with a ``tomograms`` block;
        RELION's ``tomograms.star``; or
        ``copick:CONFIG.json``, a copick project (one tomogram a run, named as the run). Half maps
        and masks are left out of folders and patterns, with a warning that lists them.
    voxel_size : float, optional
        Å: which tomograms of a copick project.
    tomo_type : str, optional
        ``wbp``, ``denoised``...: likewise.
    masks : bool, optional
        Whether masks and labels are what is looked for, so that folders give them too.

    Returns
    -------
    list of ListedTomogram
        In the order given, sorted by name within a folder or pattern.

    Raises
    ------
    InputError
        Something does not exist or holds no tomogram, two tomograms have the same name (or names
        that differ only in case), or a name cannot be used.
    """
    if tomo_type is not None and not any(is_project(argument) for argument in arguments):
        raise InputError("--tomo-type is for copick projects, given as copick:CONFIG.json.")
    found: list[ListedTomogram] = []
    for argument in (os.fspath(given) for given in arguments):
        path = Path(argument)
        if is_project(argument):
            found += [
                ListedTomogram(one.run, one.path, one.spacing, in_project=True)
                for one in open_project(argument).tomograms(voxel_size, tomo_type)
            ]
        elif is_reference(argument):
            found.append(ListedTomogram(split_reference(argument)[1].split("/")[1], path))
        elif path.suffix.lower() == ".star" and path.is_file():
            found += _from_table(path)
        elif path.is_dir() and not is_zarr(path):
            entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
            known = [entry for entry in entries if _split(entry.name)[1] and _usable(entry)]
            found += _chosen(argument, known, [], masks)
        elif os.path.lexists(path):
            found.append(ListedTomogram(tomogram_name(path), path))
            if _HALF.search(found[-1].name):
                _warn(f"{path}: looks like a half map; it is used because it was named.")
        elif glob.has_magic(argument):
            entries = [Path(entry) for entry in glob.glob(argument, recursive=True)]
            known = [entry for entry in entries if _split(entry.name)[1] and _usable(entry)]
            found += _chosen(argument, known, sorted(set(entries) - set(known)), masks)
        else:
            raise InputError(f"{argument}: there is no such file, folder or pattern match.")
    _check_names(found)
    return found


def _split(file_name: str) -> tuple[str, str]:
    name = file_name
    for packed in _PACKED:
        if name.lower().endswith(packed):
            name = name[: -len(packed)]
            break
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)], suffix
    return name, ""


def _usable(path: Path) -> bool:
    if path.is_dir():
        return is_zarr(path)
    return _split(path.name)[1] not in (".zarr", ".ome.zarr")


def _chosen(
    argument: str, entries: Iterable[Path], others: list[Path], masks: bool
) -> list[ListedTomogram]:
    found = []
    excluded = [f"{path.name} (no tomogram by its suffix)" for path in others]
    for path in sorted(entries, key=str):
        name, suffix = _split(path.name)
        if suffix == ".mrcs":
            excluded.append(f"{path.name} (image stack)")
        elif _HALF.search(name):
            excluded.append(f"{path.name} (half map)")
        elif not masks and (_MASK.search(name) or _holds_labels(path)):
            excluded.append(f"{path.name} (mask or labels)")
        else:
            found.append(ListedTomogram(tomogram_name(path), path))
    listed = ", ".join(excluded[:10]) + (f" and {len(excluded) - 10} more" * (len(excluded) > 10))
    if not found:
        what = f"; left out: {listed}" if excluded else ""
        raise InputError(
            f"{argument}: holds no tomogram ({', '.join(sorted(SUFFIXES))}, also .gz, .bz2){what}."
        )
    if excluded:
        _warn(f"{argument}: left out {listed}; name a file by itself to use it all the same.")
    return found


def _holds_labels(path: Path) -> bool:
    # Three planes tell: a density stored as integers has far more values than a segmentation.
    from slabkit.formats.volumes.opening import open_volume

    if path.is_dir() or path.name.lower().endswith(_PACKED):
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


def _from_table(path: Path) -> list[ListedTomogram]:
    from slabkit.formats.tables.paths import resolve_path
    from slabkit.formats.tables.star import read_star
    from slabkit.formats.tomograms.relion import is_relion_tomograms
    from slabkit.tables import TOMOGRAMS, validate_table

    blocks = read_star(path)
    if is_relion_tomograms(blocks):
        return _from_relion(blocks, path)
    if "tomograms" not in blocks:
        raise InputError(
            f"{path}: has no block data_tomograms (it has {', '.join(blocks)}), so it lists no "
            "tomograms; give the files themselves."
        )
    block = blocks["tomograms"]
    if "slabkitTomogramFile" in block.columns:
        block["slabkitTomogramFile"] = block["slabkitTomogramFile"].replace("none", "")
    table = validate_table(block, TOMOGRAMS, str(path))
    found = []
    for row in table.itertuples(index=False):
        if not row.slabkitTomogramFile:
            raise InputError(f"{path}: has no file for the tomogram {row.slabkitTomogram}.")
        size = float(row.slabkitVoxelSize)
        found.append(
            ListedTomogram(
                str(row.slabkitTomogram),
                resolve_path(str(row.slabkitTomogramFile), path),
                None if math.isnan(size) else size,
                row.slabkitTomogramContrast,
            )
        )
    return found


def _from_relion(blocks: Mapping[str, pd.DataFrame], path: Path) -> list[ListedTomogram]:
    from slabkit.formats.tomograms.relion import list_relion_tomograms

    found = []
    for one in list_relion_tomograms(blocks, str(path)):
        if one.path is None:
            raise InputError(f"{path}: has no reconstructed volume for the tomogram {one.name}.")
        edge = one.voxel_size
        found.append(ListedTomogram(one.name, one.path, None if math.isnan(edge) else edge))
    return found


def _check_names(found: list[ListedTomogram]) -> None:
    seen: dict[str, ListedTomogram] = {}
    for tomogram in found:
        key = unicodedata.normalize("NFC", tomogram.name).casefold()
        other = seen.setdefault(key, tomogram)
        if other is tomogram:
            continue
        if os.path.abspath(other.path) == os.path.abspath(tomogram.path):
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


def _warn(text: str) -> None:
    warnings.warn(text, SlabkitWarning, stacklevel=4)
