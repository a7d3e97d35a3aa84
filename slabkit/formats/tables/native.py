"""slabkit's own tables on disk: STAR in the shapes that RELION reads.

The optics block that RELION wants is made on writing from what the rows say, and folded back into
the rows on reading, so that in memory each table is one `DataFrame`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError
from slabkit.formats.tables.blocks import read_block, read_text, table_block, write_blocks
from slabkit.formats.tables.paths import path_for_table, resolve_path
from slabkit.formats.tables.star import parse_star
from slabkit.tables import (
    LABELS,
    MINISLABS,
    PICKS,
    PICKS2D,
    SLABS,
    TOMOGRAMS,
    require_unique,
    validate_table,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "PickList",
    "check_pick_list",
    "parse_native_picks",
    "path_for_table",
    "read_labels",
    "read_minislabs",
    "read_native_picks",
    "read_picks2d",
    "read_slabs",
    "read_text",
    "resolve_path",
    "write_labels",
    "write_minislabs",
    "write_picks",
    "write_picks2d",
    "write_slabs",
]

# RELION refuses optics without a microscope; a projection of a reconstruction has none, and no
# contrast transfer function is applied to it, so these values matter to nobody.
_VOLTAGE, _SPHERICAL_ABERRATION, _AMPLITUDE_CONTRAST = 300.0, 2.7, 0.1


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


def write_slabs(
    target: str | os.PathLike[str], slabs: pd.DataFrame | Mapping[str, list[Any]]
) -> None:
    """Write a slab table as a RELION micrograph STAR.

    Parameters
    ----------
    target : path-like or "-"
    slabs : DataFrame or dict of str to list
        Columns of `slabkit.tables.SLABS`; one optics group a voxel size is made. A dict, as
        `slabkit.slabs.projection.slab_columns` gives it, is taken as it is.

    Raises
    ------
    InputError
        If the table is not a slab table.
    """
    if isinstance(slabs, Mapping):
        columns = dict(slabs)
    else:
        table = validate_table(slabs, SLABS)
        columns = {str(name): table[name].tolist() for name in table.columns}
    sizes = sorted(set(columns["slabkitVoxelSize"]))
    columns["rlnOpticsGroup"] = [sizes.index(s) + 1 for s in columns["slabkitVoxelSize"]]
    optics = _optics_columns(sizes)
    optics["rlnMicrographPixelSize"] = optics["rlnMicrographOriginalPixelSize"] = sizes
    write_blocks(target, {"optics": optics, "micrographs": columns})


def read_slabs(source: str | os.PathLike[str]) -> pd.DataFrame:
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
    slabs = read_block(source, "micrographs", SLABS, "`slabkit slab` writes one")
    require_unique(slabs, "rlnMicrographName", str(source))
    return slabs


def write_picks2d(target: str | os.PathLike[str], picks2d: pd.DataFrame) -> None:
    """Write 2D picks.

    Parameters
    ----------
    target : path-like or "-"
    picks2d : DataFrame
        Columns of `slabkit.tables.PICKS2D`.

    Raises
    ------
    InputError
        If the table is not one of 2D picks.
    """
    write_blocks(target, {"particles": validate_table(picks2d, PICKS2D)})


def read_picks2d(source: str | os.PathLike[str]) -> pd.DataFrame:
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
    return read_block(source, "particles", PICKS2D, "`slabkit pick` writes one")


def write_picks(target: str | os.PathLike[str], picks: PickList) -> None:
    """Write a pick list: blocks ``tomograms`` and ``picks``.

    Parameters
    ----------
    target : path-like or "-"
    picks : PickList

    Raises
    ------
    InputError
        If a table is not what it should be, an id is doubled, or a tomogram is unknown.
    """
    checked = check_pick_list(picks)
    write_blocks(target, {"tomograms": checked.tomograms, "picks": checked.picks})


def check_pick_list(picks: PickList, where: str = "pick list") -> PickList:
    """Check both tables of a pick list and that they fit together.

    Parameters
    ----------
    picks : PickList
    where : str, optional
        What the message begins with.

    Returns
    -------
    PickList
        In canonical form.

    Raises
    ------
    InputError
        If a table is not what it should be, an id is doubled, or a tomogram is unknown.
    """
    table = validate_table(picks.picks, PICKS, where)
    tomograms = validate_table(picks.tomograms, TOMOGRAMS, where)
    require_unique(table, "slabkitPickId", where)
    require_unique(tomograms, "slabkitTomogram", where)
    unknown = sorted(set(table["slabkitTomogram"]) - set(tomograms["slabkitTomogram"]))
    if unknown:
        raise InputError(
            f"{where}: picks in {', '.join(unknown[:3])}, which the tomograms block does not have."
        )
    return PickList(table, tomograms)


def read_native_picks(source: str | os.PathLike[str]) -> PickList:
    """Read a pick list in slabkit's own format.

    Parameters
    ----------
    source : path-like or "-"

    Returns
    -------
    PickList

    Raises
    ------
    FormatError, InputError
        Not STAR, not a pick list, a doubled id, or a tomogram that is not in the list.
    """
    return parse_native_picks(read_text(source), str(source))


def parse_native_picks(text: str, where: str) -> PickList:
    """Parse the text of a pick list in slabkit's own format.

    Parameters
    ----------
    text : str
    where : str
        What messages begin with.

    Returns
    -------
    PickList

    Raises
    ------
    FormatError, InputError
        As `read_native_picks`.
    """
    blocks = parse_star(text, where)
    hint = "`slabkit map` and `slabkit convert` write one"
    picks = table_block(blocks, "picks", PICKS, where, hint)
    tomograms = table_block(blocks, "tomograms", TOMOGRAMS, where, hint)
    return check_pick_list(PickList(picks, tomograms), where)


def write_labels(target: str | os.PathLike[str], labels: pd.DataFrame) -> None:
    """Write a label table.

    Parameters
    ----------
    target : path-like or "-"
    labels : DataFrame
        Columns of `slabkit.tables.LABELS`.

    Raises
    ------
    InputError
        If the table is not one of labels.
    """
    write_blocks(target, {"labels": validate_table(labels, LABELS)})


def read_labels(source: str | os.PathLike[str]) -> pd.DataFrame:
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
    return read_block(source, "labels", LABELS, "`slabkit label` writes one")


def write_minislabs(
    target: str | os.PathLike[str], minislabs: pd.DataFrame, geometry: pd.DataFrame
) -> None:
    """Write a minislab table as a RELION particle STAR.

    Parameters
    ----------
    target : path-like or "-"
    minislabs : DataFrame
        Columns of `slabkit.tables.MINISLABS`.
    geometry : DataFrame
        One row: how the galleries are laid out (``slabkitPixelSize`` in Å, ``slabkitTileSize`` in
        pixels, and what `slabkit.minislabs.galleries` adds); written as block ``galleries``.

    Raises
    ------
    InputError
        If the table is not one of minislabs.
    """
    import pandas as pd

    minislabs = validate_table(minislabs, MINISLABS)
    row = geometry.iloc[0]
    optics = optics_table([float(row["slabkitPixelSize"])])
    optics["rlnImagePixelSize"] = optics["pixel_size"]
    optics["rlnMicrographPixelSize"] = optics["pixel_size"]
    optics["rlnImageSize"] = int(row["slabkitTileSize"])
    optics["rlnImageDimensionality"] = 2
    minislabs = minislabs.assign(rlnOpticsGroup=1)
    if not (minislabs["rlnImageName"] != "").any():
        minislabs = minislabs.drop(columns="rlnImageName")
    # RELION takes the last table of a name it does not know for nothing at all, so the gallery
    # block goes first where a person sees it.
    blocks = {
        "galleries": pd.DataFrame(geometry),
        "optics": optics.drop(columns="pixel_size"),
        "particles": minislabs,
    }
    write_blocks(target, blocks, lists=("galleries",))


def read_minislabs(source: str | os.PathLike[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
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
    where = str(source)
    blocks = parse_star(read_text(source), where)
    hint = "`slabkit minislab` writes one"
    minislabs = table_block(blocks, "particles", MINISLABS, where, hint)
    if "galleries" not in blocks or len(blocks["galleries"]) != 1:
        raise InputError(f"{where}: has no galleries block, so it is not a minislab table; {hint}.")
    return minislabs, blocks["galleries"]


def optics_table(pixel_sizes: list[float]) -> pd.DataFrame:
    """Make the optics block that RELION wants, one group a pixel size.

    Parameters
    ----------
    pixel_sizes : list of float
        In Å.

    Returns
    -------
    DataFrame
        With a column ``pixel_size``, to be renamed to what it is the pixel size of.
    """
    import pandas as pd

    return pd.DataFrame({**_optics_columns(pixel_sizes), "pixel_size": pixel_sizes})


def _optics_columns(pixel_sizes: list[float]) -> dict[str, list[Any]]:
    groups = list(range(1, len(pixel_sizes) + 1))
    return {
        "rlnOpticsGroupName": [f"opticsGroup{group}" for group in groups],
        "rlnOpticsGroup": groups,
        "rlnVoltage": [_VOLTAGE] * len(groups),
        "rlnSphericalAberration": [_SPHERICAL_ABERRATION] * len(groups),
        "rlnAmplitudeContrast": [_AMPLITUDE_CONTRAST] * len(groups),
    }
