"""Slab tables and the images of slabs, checked against each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def parse_slab_table(text: str, source: str) -> pd.DataFrame:
    """Read a slab table out of its text, paths as from here."""
    from slabkit.formats.tables.blocks import table_block
    from slabkit.formats.tables.paths import with_paths_from_here
    from slabkit.formats.tables.star import parse_star
    from slabkit.tables import SLABS, require_unique

    blocks = parse_star(text, source)
    table = table_block(blocks, SLABS, source)
    require_unique(table, "rlnMicrographName", source)
    return with_paths_from_here(table, source)


def slab_paths(table: pd.DataFrame, source: str) -> list[Path]:
    """Give the files of the slabs of a table."""
    from slabkit.formats.tables.paths import resolve_path

    return [resolve_path(str(name), source) for name in table["rlnMicrographName"]]


def slab_images(table: pd.DataFrame, source: str) -> Iterator[Any]:
    """Read the slabs of a table one by one."""
    for row, path in zip(table.itertuples(index=False), slab_paths(table, source), strict=True):
        yield slab_image(path, row)


def slab_image(path: Path, row: Any) -> Any:
    """Read a slab ``(y, x)``, and check that it is as its row of the table says."""
    from slabkit.formats.volumes.mrc import read_image
    from slabkit.units import voxel_sizes_equal

    image, pixel_size = read_image(path)
    size = (row.slabkitTomogramSizeY, row.slabkitTomogramSizeX)
    if image.shape != size:
        raise InputError(
            f"{path}: has {image.shape[1]} × {image.shape[0]} pixels, its table says "
            f"{size[1]} × {size[0]}; picks would be misplaced."
        )
    if pixel_size > 0 and not voxel_sizes_equal(pixel_size, row.slabkitVoxelSize):
        raise InputError(
            f"{path}: has pixels of {pixel_size:g} Å, its table says {row.slabkitVoxelSize:g} Å; "
            "make the slabs again."
        )
    return image
