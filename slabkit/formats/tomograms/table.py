"""The table of tomograms, out of volumes and tables: sizes and voxel sizes for pick lists."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError
from slabkit.formats.tables.blocks import read_text
from slabkit.formats.tables.paths import is_star_file, path_for_table
from slabkit.formats.tables.star import parse_star
from slabkit.formats.tomograms.listing import list_tomograms, slabkit_tomograms
from slabkit.formats.tomograms.names import is_project
from slabkit.formats.tomograms.relion import (
    SET_TOMOGRAMS,
    file_of_set,
    is_relion_tomograms,
    relion_tomogram_table,
)
from slabkit.tables import TOMOGRAMS, empty_table, make_table, require_unique
from slabkit.tomogram import Reading

if TYPE_CHECKING:
    import pandas as pd

_READING = "slabkitTomogramReading"
_SIZES = [f"slabkitTomogramSize{axis}" for axis in "XYZ"]


def read_tomograms(
    arguments: Sequence[str | os.PathLike[str]],
    voxel_size: float | None = None,
    tomo_type: str | None = None,
) -> pd.DataFrame:
    """Make a table of tomograms.

    Parameters
    ----------
    arguments : sequence of str or path-like
        Volumes, folders, globs (see `list_tomograms`), pick lists or slab tables of slabkit,
        or RELION's ``tomograms.star`` or ``optimisation_set.star``. Only the headers of volumes
        are read, and those that a slabkit table names are not opened where it says their size.
    voxel_size : float, optional
        Å, of every tomogram; wins over what files say, except in a copick project, where it says
        which tomograms are meant.
    tomo_type : str, optional
        Which tomograms of a copick project.

    Returns
    -------
    DataFrame
        Columns of `slabkit.tables.TOMOGRAMS`; from RELION's ``tomograms.star`` also
        `slabkit.formats.tomograms.relion.UNBINNED`.

    Raises
    ------
    InputError
        A file is neither, cannot be read, or two tomograms have the same name.
    """
    import pandas as pd

    tables: list[pd.DataFrame] = []
    for argument in arguments:
        path = Path(argument)
        if is_star_file(path):
            tables.append(_from_table(path, voxel_size))
        else:
            tables.append(_from_volumes(argument, voxel_size, tomo_type))
    if not tables:
        return empty_table(TOMOGRAMS)
    table = pd.concat(tables, ignore_index=True)
    require_unique(table, "slabkitTomogram", "--tomograms")
    return table


def _from_table(path: Path, voxel_size: float | None) -> pd.DataFrame:
    where = str(path)
    blocks = parse_star(read_text(path), where)
    named = file_of_set(blocks, SET_TOMOGRAMS, where)
    if named is not None:
        return _from_table(named, voxel_size)
    if is_relion_tomograms(blocks):
        return relion_tomogram_table(blocks, where, voxel_size)
    table = slabkit_tomograms(blocks, where)
    if voxel_size is not None:
        given = Reading(voxel_size=float(voxel_size))
        readings = [Reading.parse(text).but(given).text() for text in table[_READING]]
        table = table.assign(slabkitVoxelSize=float(voxel_size), **{_READING: readings})
    return make_table(TOMOGRAMS, dict(table[TOMOGRAMS.names].items()))


def _from_volumes(
    argument: str | os.PathLike[str], voxel_size: float | None, tomo_type: str | None
) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    kind = tomo_type if is_project(argument) else None
    reading = Reading(voxel_size=voxel_size)
    for ref in list_tomograms([argument], reading=reading, tomo_type=kind):
        # Missing chunks change no size; whoever reads the voxels is asked about them.
        tomogram = ref.but(reading=Reading(allow_missing_chunks=True)).open()
        rows.append(
            {
                "slabkitTomogram": tomogram.name,
                "slabkitTomogramFile": path_for_table(str(tomogram.path)),
                **dict(zip(_SIZES, reversed(tomogram.shape), strict=True)),
                "slabkitVoxelSize": tomogram.voxel_size,
                "slabkitTomogramContrast": tomogram.contrast,
                _READING: ref.reading.text(),
            }
        )
    if not rows:
        raise InputError(f"{argument}: no tomogram there.")
    return make_table(TOMOGRAMS, {key: [row[key] for row in rows] for key in rows[0]})
