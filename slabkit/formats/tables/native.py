"""slabkit's own tables on disk: STAR in the shapes that RELION reads.

The optics block that RELION wants is made on writing from what the rows say, and folded back into
the rows on reading, so that in memory each table is one `DataFrame`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError
from slabkit.formats.tables.blocks import (
    read_blocks,
    read_table,
    table_block,
    write_blocks,
    write_table,
)
from slabkit.formats.tables.star import pieces_of, string_table
from slabkit.tables import (
    LABELS,
    MINISLABS,
    PICKS,
    PICKS2D,
    SLABS,
    TOMOGRAMS,
    recorded_labels,
    require_unique,
    validate_table,
)

if TYPE_CHECKING:
    import pandas as pd

PathLike = str | os.PathLike[str]
Blocks = Mapping[str, "pd.DataFrame"]


@dataclass(frozen=True)
class PickList:
    """A pick table with the tomograms it speaks of.

    Parameters
    ----------
    picks : DataFrame
        Columns of `slabkit.tables.PICKS`.
    tomograms : DataFrame
        Columns of `slabkit.tables.TOMOGRAMS`; every tomogram of the picks, perhaps more.
    """

    picks: pd.DataFrame
    tomograms: pd.DataFrame

    def __repr__(self) -> str:
        return f"<PickList: {len(self.picks)} picks in {len(self.tomograms)} tomograms>"


def write_slabs(target: PathLike, slabs: pd.DataFrame | Mapping[str, Any]) -> None:
    """Write a slab table as a RELION micrograph STAR.

    Parameters
    ----------
    target : path-like or "-"
    slabs : DataFrame, dict of str to DataFrame, or dict of str to list
        Columns of `slabkit.tables.SLABS`; one optics group a voxel size is made. A dict of lists,
        as `slabkit.slabs.projection.slab_columns` gives it, is taken as it is.

    Raises
    ------
    InputError
        If the table is not a slab table.
    """
    if isinstance(slabs, Mapping) and "rlnMicrographName" in slabs:
        columns = dict(slabs)  # without importing pandas
    else:
        table = validate_table(slabs, SLABS)
        columns = {str(name): table[name].tolist() for name in table.columns}
    sizes = sorted(set(columns["slabkitVoxelSize"]))
    columns["rlnOpticsGroup"] = [sizes.index(s) + 1 for s in columns["slabkitVoxelSize"]]
    optics = optics_columns(sizes, "rlnMicrographPixelSize", "rlnMicrographOriginalPixelSize")
    write_blocks(target, {"optics": optics, "micrographs": columns})


def read_slabs(source: PathLike) -> pd.DataFrame:
    """Read a slab table.

    Parameters
    ----------
    source : path-like or "-"

    Returns
    -------
    DataFrame
        Columns of `slabkit.tables.SLABS`.

    Raises
    ------
    FormatError, InputError
        Not STAR, not a slab table, or a micrograph named twice.
    """
    slabs = read_table(source, SLABS)
    require_unique(slabs, "rlnMicrographName", str(source))
    return slabs


def write_picks2d(target: PathLike, picks2d: pd.DataFrame | Blocks) -> None:
    """Write 2D picks.

    Parameters
    ----------
    target : path-like or "-"
    picks2d : DataFrame or dict of str to DataFrame
        Columns of `slabkit.tables.PICKS2D`.

    Raises
    ------
    InputError
        If the table is not one of 2D picks.
    """
    write_table(target, picks2d, PICKS2D)


def read_picks2d(source: PathLike) -> pd.DataFrame:
    """Read 2D picks that slabkit (or a program with the same columns) wrote.

    Parameters
    ----------
    source : path-like or "-"

    Returns
    -------
    DataFrame
        Columns of `slabkit.tables.PICKS2D`.

    Raises
    ------
    FormatError, InputError
        Not STAR or not such a table.
    """
    return read_table(source, PICKS2D)


def write_picks(target: PathLike, picks: PickList | Blocks) -> None:
    """Write a pick list: blocks ``tomograms`` and ``picks``.

    Parameters
    ----------
    target : path-like or "-"
    picks : PickList or dict of str to DataFrame

    Raises
    ------
    InputError
        If a table is not what it should be, an id is doubled, or a tomogram is unknown.
    """
    checked = check_pick_list(picks)
    write_blocks(target, {"tomograms": checked.tomograms, "picks": checked.picks})


def check_pick_list(picks: PickList | Blocks, where: str = "pick list") -> PickList:
    """Give a pick list in canonical form; refuse doubled ids and tomograms that are not listed."""
    parts = picks if isinstance(picks, Mapping) else vars(picks)
    table = validate_table(parts, PICKS, where)
    tomograms = validate_table(parts, TOMOGRAMS, where)
    require_unique(table, "slabkitPickId", where)
    return _fitting(table, tomograms, where)


def _fitting(picks: pd.DataFrame, tomograms: pd.DataFrame, where: str) -> PickList:
    require_unique(tomograms, "slabkitTomogram", where)
    unknown = sorted(set(picks["slabkitTomogram"].unique()) - set(tomograms["slabkitTomogram"]))
    if unknown:
        raise InputError(
            f"{where}: picks in {', '.join(unknown[:3])}, which the tomograms block does not have."
        )
    return PickList(picks, tomograms)


def read_native_picks(source: PathLike) -> PickList:
    """Read a pick list in slabkit's own format, or standard input for ``-``.

    Refused where it is another table, an id is doubled or a tomogram is not in its list.
    """
    picks = parse_native_picks(pieces_of(source), str(source))
    require_unique(picks.picks, "slabkitPickId", str(source))
    return picks


def parse_native_picks(pieces: Iterator[bytes], where: str) -> PickList:
    """Parse a pick list as `read_native_picks` does; whether ids are doubled is not looked at."""
    blocks = read_blocks(pieces, PICKS, TOMOGRAMS, where=where)
    picks = table_block(blocks, PICKS, where)
    return _fitting(picks, table_block(blocks, TOMOGRAMS, where), where)


def write_labels(target: PathLike, labels: pd.DataFrame | Blocks) -> None:
    """Write a label table.

    Parameters
    ----------
    target : path-like or "-"
    labels : DataFrame or dict of str to DataFrame
        Columns of `slabkit.tables.LABELS`.

    Raises
    ------
    InputError
        If the table is not one of labels.
    """
    write_table(target, labels, LABELS)


def read_labels(source: PathLike) -> pd.DataFrame:
    """Read a label table.

    Parameters
    ----------
    source : path-like or "-"

    Returns
    -------
    DataFrame
        Columns of `slabkit.tables.LABELS`.

    Raises
    ------
    FormatError, InputError
        Not STAR or not a label table.
    """
    return read_table(source, LABELS)


def read_any_labels(source: PathLike) -> pd.DataFrame:
    """Read a label table, or the labels that a pick list has recorded; ``-``: standard input."""
    blocks, where = read_blocks(source, LABELS, PICKS, TOMOGRAMS), str(source)
    if "labels" not in blocks and "picks" in blocks:
        picks = table_block(blocks, PICKS, where)
        require_unique(picks, "slabkitPickId", where)
        return recorded_labels(_fitting(picks, table_block(blocks, TOMOGRAMS, where), where).picks)
    return table_block(blocks, LABELS, where)


def write_minislabs(
    target: PathLike, minislabs: pd.DataFrame | Blocks, geometry: pd.DataFrame
) -> None:
    """Write a minislab table as a RELION particle STAR.

    Parameters
    ----------
    target : path-like or "-"
    minislabs : DataFrame or dict of str to DataFrame
        Columns of `slabkit.tables.MINISLABS`.
    geometry : DataFrame
        One row: how the galleries are laid out (``slabkitPixelSize`` in Å, ``slabkitTileSize`` in
        pixels, and what `slabkit.minislabs.galleries` adds); written as block ``galleries``.

    Raises
    ------
    InputError
        If the table is not one of minislabs.
    """
    table = validate_table(minislabs, MINISLABS).assign(rlnOpticsGroup=1)
    row = geometry.iloc[0]
    pixel_size = float(row["slabkitPixelSize"])
    optics = optics_columns([pixel_size], "rlnImagePixelSize", "rlnMicrographPixelSize")
    optics |= {"rlnImageSize": [int(row["slabkitTileSize"])], "rlnImageDimensionality": [2]}
    if not (table["rlnImageName"] != "").any():
        table = table.drop(columns="rlnImageName")
    # RELION takes the last table of a name it does not know for nothing at all, so the gallery
    # block goes first where a person sees it.
    blocks = {"galleries": geometry, "optics": optics, "particles": table}
    write_blocks(target, blocks, lists=("galleries",))


def read_minislabs(source: PathLike) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a minislab table and its gallery geometry.

    Parameters
    ----------
    source : path-like or "-"

    Returns
    -------
    minislabs : DataFrame
        Columns of `slabkit.tables.MINISLABS`.
    geometry : DataFrame
        One row, values as strings.

    Raises
    ------
    FormatError, InputError
        Not STAR or not a minislab table.
    """
    blocks, where = read_blocks(source, MINISLABS), str(source)
    minislabs = table_block(blocks, MINISLABS, where)
    geometry = string_table(blocks.get("galleries", {}))
    if len(geometry) != 1:
        raise InputError(
            f"{where}: has no galleries block, so it is not a minislab table; "
            f"{MINISLABS.written_by}."
        )
    return minislabs, geometry


def optics_columns(pixel_sizes: list[float], *labels: str) -> dict[str, list[Any]]:
    """Make the optics block that RELION wants, one group a pixel size (Å), under the labels given.

    RELION refuses optics without a microscope; a projection of a reconstruction has none, and no
    contrast transfer function is applied to it, so voltage and the like matter to nobody.
    """
    groups = list(range(1, len(pixel_sizes) + 1))
    columns: dict[str, list[Any]] = {
        "rlnOpticsGroupName": [f"opticsGroup{group}" for group in groups],
        "rlnOpticsGroup": groups,
        "rlnVoltage": [300.0] * len(groups),
        "rlnSphericalAberration": [2.7] * len(groups),
        "rlnAmplitudeContrast": [0.1] * len(groups),
    }
    return columns | dict.fromkeys(labels, pixel_sizes)
