"""Tiles of galleries that exist, put together as galleries of their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from slabkit.cli.gallery_files import GalleryFiles, GalleryPlan

if TYPE_CHECKING:
    import pandas as pd


def _files(geometry: pd.DataFrame, folder: Path) -> GalleryFiles:
    from slabkit.minislabs.galleries import layout_of

    row = geometry.iloc[0]
    plan = GalleryPlan(
        layout_of(geometry),
        float(row["slabkitPixelSize"]),
        row["slabkitContrast"],
        box=float(row["slabkitBox"]),
        depth=float(row["slabkitDepth"]),
        png=True,
    )
    return GalleryFiles(folder, plan)


def check_tiles(rows: pd.DataFrame, geometry: pd.DataFrame, folder: str) -> list[Path]:
    """Name the files that `write_tiles` will write."""
    files = _files(geometry, Path(folder))
    count = files.plan.layout.galleries(len(rows))
    return [*files.paths(count), Path(folder) / "minislabs.star"]


def write_tiles(
    rows: pd.DataFrame, geometry: pd.DataFrame, folder: Path, source: str
) -> list[Path]:
    """Write the tiles of some minislabs, in their order, as galleries with a table.

    Parameters
    ----------
    rows : DataFrame
        Columns of `slabkit.tables.MINISLABS`.
    geometry : DataFrame
        Of the galleries that they are in.
    folder : Path
    source : str
        The minislab table, beside which its galleries may stand.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    InputError
        A gallery is missing or is not of the size that the table says.
    """
    import numpy as np

    from slabkit.formats.tables.native import write_minislabs
    from slabkit.formats.tables.paths import resolve_path
    from slabkit.formats.volumes.mrc import read_image
    from slabkit.minislabs import Minislabs

    files = _files(geometry, folder)
    layout = files.plan.layout
    side = layout.tile_px
    images = np.zeros((len(rows), side, side), dtype=np.float32)
    place = rows["slabkitTileRow"] * layout.columns + rows["slabkitTileColumn"]
    for name, numbers in rows.reset_index(drop=True).groupby("rlnMicrographName").indices.items():
        tiles = layout.disassemble(read_image(resolve_path(str(name), source))[0])
        images[numbers] = tiles[place.to_numpy()[numbers]]
    fraction, tilt = (rows[f"slabkit{name}"].to_numpy() for name in ("InsideFraction", "Tilt"))
    for index in range(layout.galleries(len(rows))):
        part = np.arange(index * layout.tiles, min((index + 1) * layout.tiles, len(rows)))
        files.write(index, Minislabs(images[part], fraction[part], part, tilt[part]))
    picks = rows.rename(columns={f"slabkitCentre{axis}": f"slabkit{axis}" for axis in "XYZ"})
    table, described = files.tables(picks)
    write_minislabs(folder / "minislabs.star", table, described)
    return [*files.written, folder / "minislabs.star"]
