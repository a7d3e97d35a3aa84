"""Tiles side by side in one image, and the way back from a position to a tile.

::

            column 0   column 1   ...           A gallery is an image (y, x) of rows × columns
          ┌──────────┬──────────┬───            square tiles, filled row by row from the top left,
    row 0 │  tile 0  │  tile 1  │               perhaps with a border round them. Tile n of a set
          ├──────────┼──────────┼───            of galleries is in gallery n // tiles, and there
    row 1 │ tile 15  │ tile 16  │               in row (n % tiles) // columns. The pick is at
          ├──────────┼──────────┼───            pixel tile // 2 of its tile, so that a box of a
                                                tile's size about it is the tile exactly.

Row 0 of tiles has the lowest y. `GalleryLayout.tile_centre` and `GalleryLayout.tile_of`,
`GalleryLayout.place` and `GalleryLayout.number`, are inverse to each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class GalleryLayout:
    """How tiles lie in a gallery.

    Parameters
    ----------
    tile_px : int
        Side of a tile in pixels.
    rows, columns : int, optional
        Tiles down and across.
    border_px : int, optional
        Empty margin round all tiles, in pixels, for programs that drop picks near an edge.

    Raises
    ------
    InputError
        If a size is not positive or the border negative.
    """

    tile_px: int
    rows: int = 16
    columns: int = 15
    border_px: int = 0

    def __post_init__(self) -> None:
        if min(self.tile_px, self.rows, self.columns) < 1 or self.border_px < 0:
            raise InputError(
                "a gallery needs at least one row, one column and one pixel a tile, and no "
                f"negative border, not {self.rows} × {self.columns} tiles of {self.tile_px} "
                f"pixels with a border of {self.border_px}."
            )

    @classmethod
    def from_table(cls, values: Mapping[str, object], where: str) -> GalleryLayout:
        """Read the layout from a row of a table, the inverse of what minislab tables say.

        Parameters
        ----------
        values : mapping
            ``slabkitTileSize``, ``slabkitGalleryRows``, ``slabkitGalleryColumns``,
            ``slabkitGalleryBorder``; may be text.
        where : str
            What the message begins with.

        Raises
        ------
        InputError
            If one is missing or not a whole number.
        """
        sizes = []
        for name in ("TileSize", "GalleryRows", "GalleryColumns", "GalleryBorder"):
            column = f"slabkit{name}"
            if column not in values:
                raise InputError(f"{where}: the galleries block has no {column}.")
            try:
                sizes.append(int(str(values[column])))
            except ValueError:
                raise InputError(
                    f"{where}: {column} is {values[column]!r}, not a whole number."
                ) from None
        return cls(*sizes)

    @property
    def tiles(self) -> int:
        """Tiles in a gallery."""
        return self.rows * self.columns

    @property
    def shape(self) -> tuple[int, int]:
        """Size of a gallery in pixels, ``(y, x)``."""
        y, x = (n * self.tile_px + 2 * self.border_px for n in (self.rows, self.columns))
        return y, x

    def galleries(self, tiles: int) -> int:
        """Count the galleries that a number of tiles fills."""
        return -(-tiles // self.tiles)

    def place(self, number: npt.ArrayLike) -> tuple[Integers, Integers, Integers]:
        """Give the places of tiles, by their number in the set of galleries.

        Parameters
        ----------
        number : array-like of int
            From 0.

        Returns
        -------
        gallery, row, column : ndarrays of int64
            From 0.
        """
        gallery, within = np.divmod(np.asarray(number, dtype=np.int64), self.tiles)
        row, column = np.divmod(within, self.columns)
        return gallery, row, column

    def number(self, gallery: npt.ArrayLike, row: npt.ArrayLike, column: npt.ArrayLike) -> Integers:
        """Give the numbers of tiles by their places: the inverse of `place`.

        Returns
        -------
        ndarray of int64
            -1 for a place that no gallery has (such as `tile_of` gives for the border).
        """
        g, r, c = (np.asarray(v, dtype=np.int64) for v in (gallery, row, column))
        exists = (g >= 0) & (r >= 0) & (r < self.rows) & (c >= 0) & (c < self.columns)
        return np.where(exists, (g * self.rows + r) * self.columns + c, -1)

    def tile_centre(self, row: npt.ArrayLike, column: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Give the pixels at which the picks of tiles are.

        Returns
        -------
        x, y : ndarrays of float64
            Pixels of the gallery; a box of ``tile_px`` about them, centre at ``tile_px // 2``, is
            the tile.
        """
        x, y = (
            np.asarray(v, dtype=np.float64) * self.tile_px + self.border_px + self.tile_px // 2
            for v in (column, row)
        )
        return x, y

    def tile_of(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Integers, Integers, Floats]:
        """Give the tiles in which positions lie: the inverse of `tile_centre`.

        Parameters
        ----------
        x, y : array-like of float
            Pixels of the gallery, 0 = centre of the first pixel.

        Returns
        -------
        row, column : ndarrays of int64
            -1, both, for a position outside all tiles or not finite.
        distance : ndarray of float64
            From the tile's centre (where its pick is), in pixels; infinite outside.
        """
        x, y = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (x, y)))
        # The first tile begins at the edge of its first pixel, half a pixel before its centre.
        across, down = ((v + 0.5 - self.border_px) / self.tile_px for v in (x, y))
        inside = (across >= 0) & (across < self.columns) & (down >= 0) & (down < self.rows)
        row, column = (np.where(inside, np.floor(v), -1).astype(np.int64) for v in (down, across))
        centre_x, centre_y = self.tile_centre(row, column)
        distance = np.full(x.shape, np.inf)
        np.hypot(x - centre_x, y - centre_y, out=distance, where=inside)
        return row, column, distance

    def assemble(self, images: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Lay images side by side as one gallery.

        Parameters
        ----------
        images : ndarray of real numbers, shape (n, tile_px, tile_px)
            At most `tiles`. Tiles left over, and the border, are 0.

        Returns
        -------
        ndarray of float32, shape (y, x)

        Raises
        ------
        InputError
            If the images are too many or of another size.
        """
        images = np.asarray(images)
        side = self.tile_px
        if images.ndim != 3 or images.shape[1:] != (side, side) or len(images) > self.tiles:
            raise InputError(
                f"a gallery takes at most {self.tiles} images of {side} × {side} pixels, not an "
                f"array of shape {images.shape}."
            )
        height, width, border = self.rows * side, self.columns * side, self.border_px
        gallery = np.zeros((height + 2 * border, width + 2 * border), dtype=np.float32)
        inner = gallery[border : border + height, border : border + width]
        grid = inner.reshape(self.rows, side, self.columns, side).transpose(0, 2, 1, 3)
        full = len(images) // self.columns
        grid[:full] = images[: full * self.columns].reshape(full, self.columns, side, side)
        rest = images[full * self.columns :]
        grid[full : full + 1, : len(rest)] = rest
        return gallery

    def disassemble(self, gallery: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Cut a gallery into its tiles: the inverse of `assemble`.

        Parameters
        ----------
        gallery : ndarray, shape (y, x)

        Returns
        -------
        ndarray, shape (tiles, tile_px, tile_px)
            Those never filled included.

        Raises
        ------
        InputError
            If the gallery is not of this layout's size.
        """
        gallery = np.asarray(gallery)
        if gallery.shape != self.shape:
            raise InputError(
                f"a gallery of this layout has {self.shape} pixels (y, x), not {gallery.shape}."
            )
        y, x = self.shape
        inner = gallery[self.border_px : y - self.border_px, self.border_px : x - self.border_px]
        grid = inner.reshape(self.rows, self.tile_px, self.columns, self.tile_px)
        return grid.transpose(0, 2, 1, 3).reshape(-1, self.tile_px, self.tile_px)
