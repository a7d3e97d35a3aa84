"""Galleries: which pick is in which tile, on disk and back.

The geometry of tiles is `GalleryLayout`; here are the tables that say what the tiles hold.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.tiling import GalleryLayout
from slabkit.errors import InputError
from slabkit.tables import MINISLABS, make_table

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.units import Angstrom, Contrast

__all__ = [
    "GalleryLayout",
    "gallery_name",
    "gallery_set_id",
    "geometry_table",
    "layout_of",
    "minislab_table",
]


def gallery_set_id(
    layout: GalleryLayout,
    pixel_size: Angstrom,
    pick_ids: Sequence[str],
    tilts: npt.ArrayLike,
) -> str:
    """Name a set of galleries by what decides which pick is where: ``set-`` and 16 digits.

    A position marked on a gallery means a pick only together with this: the pick and the tilt
    (degrees) of each tile in order, and the layout. It is in every row of the table, and so comes
    back with labels made elsewhere; labels made for another set are recognised by it.
    """
    digest = hashlib.blake2b(digest_size=8)
    sizes = (layout.rows, layout.columns, layout.tile_px, layout.border_px)
    digest.update(f"{sizes} {float(pixel_size):.6g}\0".encode())
    for pick_id in pick_ids:
        digest.update(f"{pick_id}\0".encode())
    digest.update(np.asarray(tilts, dtype="<f8").tobytes())
    return f"set-{digest.hexdigest()}"


def gallery_name(set_id: str, index: int) -> str:
    """Name gallery ``index`` of a set: ``minislabs_3f9a2c_000``.

    Some programs return nothing but file names, so the names say which set they are of.
    """
    return f"minislabs_{set_id.removeprefix('set-')[:6]}_{index:03d}"


def minislab_table(
    layout: GalleryLayout,
    *,
    galleries: Sequence[str],
    stacks: Sequence[str] | None = None,
    pick_ids: Sequence[str],
    tomograms: Sequence[str],
    tilts: npt.ArrayLike,
    inside_fraction: npt.ArrayLike,
    set_id: str,
    centres: npt.ArrayLike = math.nan,
) -> pd.DataFrame:
    """Make the table that says which pick is in which tile.

    Parameters
    ----------
    layout : GalleryLayout
    galleries : sequence of str
        Path of each gallery, in order.
    stacks : sequence of str, optional
        Path of the stack with the images of each gallery; none: no stacks were written.
    pick_ids, tomograms : sequence of str, length n
        Of each tile, in order.
    tilts, inside_fraction : array-like of float, shape (n,)
    set_id : str
        As `gallery_set_id` gives it.
    centres : array-like of float, shape (n, 3), optional
        x, y, z in Å of the place in the tomogram that is at the centre of each tile.

    Returns
    -------
    DataFrame
        Columns of `slabkit.tables.MINISLABS`, one row a tile.
    """
    import pandas as pd

    numbers = np.arange(len(pick_ids))
    gallery, row, column = layout.place(numbers)
    x, y = layout.tile_centre(row, column)
    ids = np.array(pick_ids, dtype=object)
    centre = np.broadcast_to(np.asarray(centres, dtype=np.float64), (len(numbers), 3))
    names = pd.Series(galleries, dtype=object).reindex(gallery).to_numpy()
    images: Any = ""
    if stacks is not None:
        images = [
            f"{number % layout.tiles + 1:06d}@{stacks[index]}"
            for number, index in zip(numbers.tolist(), gallery.tolist(), strict=True)
        ]
    return make_table(
        MINISLABS,
        {
            "rlnMicrographName": names,
            "rlnCoordinateX": x,
            "rlnCoordinateY": y,
            "rlnImageName": images,
            "rlnOpticsGroup": np.ones(len(numbers), dtype=np.int64),
            "rlnParticleName": ids,
            "slabkitPickId": ids,
            "slabkitTomogram": np.array(tomograms, dtype=object),
            "slabkitTileRow": row,
            "slabkitTileColumn": column,
            "slabkitTilt": np.asarray(tilts, dtype=np.float64),
            "slabkitInsideFraction": np.asarray(inside_fraction, dtype=np.float64),
            "slabkitGallerySet": set_id,
            **{f"slabkitCentre{axis}": centre[:, i] for i, axis in enumerate("XYZ")},
        },
    )


def geometry_table(
    layout: GalleryLayout,
    *,
    tiles: int,
    pixel_size: Angstrom,
    box: Angstrom,
    depth: Angstrom,
    contrast: Contrast,
    set_id: str,
) -> pd.DataFrame:
    """Make the one-row table that describes a set of galleries, of which ``tiles`` are filled.

    Lengths are in Å, box and depth as asked for; ``contrast`` is that of the galleries.
    """
    import pandas as pd

    galleries = layout.galleries(tiles)
    return pd.DataFrame(
        {
            "slabkitGallerySet": [set_id],
            "slabkitGalleryCount": [galleries],
            "slabkitGalleryRows": [layout.rows],
            "slabkitGalleryColumns": [layout.columns],
            "slabkitGalleryBorder": [layout.border_px],
            "slabkitTileSize": [layout.tile_px],
            "slabkitTileCount": [tiles],
            "slabkitLastGalleryTiles": [tiles - max(0, galleries - 1) * layout.tiles],
            "slabkitPixelSize": [float(pixel_size)],
            "slabkitBox": [float(box)],
            "slabkitDepth": [float(depth)],
            "slabkitContrast": [str(contrast)],
        }
    )


def layout_of(geometry: pd.DataFrame, where: str = "minislab table") -> GalleryLayout:
    """Read the layout from a geometry table of one row: the inverse of `geometry_table`."""
    if len(geometry) != 1:
        raise InputError(f"{where}: the galleries block has {len(geometry)} rows instead of 1.")
    return GalleryLayout.from_table(geometry.iloc[0].to_dict(), where)
