"""The files of `slabkit minislab`: galleries, stacks, pictures, and what their table needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from slabkit.minislabs import Minislabs
    from slabkit.minislabs.galleries import GalleryLayout
    from slabkit.units import Contrast


@dataclass(frozen=True)
class GalleryPlan:
    """What all galleries of a run have in common.

    Parameters
    ----------
    layout : GalleryLayout
    pixel_size : float
        In Å.
    contrast : {"dark", "bright"}
        Of the tomograms.
    box, depth : float
        In Å, as asked for.
    diameter : float, optional
        Of the particle, in Å.
    invert, stack, png : bool
        Whether to invert the galleries, and to write stacks and pictures too.
    """

    layout: GalleryLayout
    pixel_size: float
    contrast: Contrast
    box: float
    depth: float
    diameter: float | None = None
    invert: bool = False
    stack: bool = False
    png: bool = False


class GalleryFiles:
    """Writes galleries one by one, and makes their table at the end.

    Parameters
    ----------
    folder : Path
    plan : GalleryPlan

    Attributes
    ----------
    written : list of Path
        All files so far.
    """

    def __init__(self, folder: Path, plan: GalleryPlan) -> None:
        self.folder = folder
        self.plan = plan
        self.written: list[Path] = []
        self._rows: list[npt.NDArray[np.int64]] = []
        self._tilts: list[npt.NDArray[np.float64]] = []
        self._fractions: list[npt.NDArray[np.float64]] = []

    def path(self, index: int, suffix: str) -> Path:
        """Name a file of gallery ``index``."""
        return self.folder / f"minislabs_{index:03d}{suffix}"

    def paths(self, galleries: int) -> Iterable[Path]:
        """Name all files of a number of galleries."""
        suffixes = [".mrc", *[".mrcs"] * self.plan.stack, *[".png"] * self.plan.png]
        return [self.path(index, suffix) for index in range(galleries) for suffix in suffixes]

    def write(self, index: int, minislabs: Minislabs) -> None:
        """Write a gallery, and its stack and picture where asked for."""
        from slabkit.formats.volumes.mrc import write_mrc
        from slabkit.minislabs import normalise_minislabs
        from slabkit.units import protein_sign

        plan = self.plan
        tiles = normalise_minislabs(
            minislabs.images,
            diameter_px=None if plan.diameter is None else plan.diameter / plan.pixel_size,
        )
        gallery = plan.layout.assemble(-tiles if plan.invert else tiles) + 0.0  # no -0.0
        what = f"slabkit minislab: {len(tiles)} tiles of {plan.layout.tile_px} px"
        path = self.path(index, ".mrc")
        write_mrc(path, gallery, plan.pixel_size, label=what)
        self.written.append(path)
        if plan.stack:
            light = tiles * protein_sign(plan.contrast) + 0.0
            path = self.path(index, ".mrcs")
            write_mrc(path, light, plan.pixel_size, label=f"{what}, light on dark", stack=True)
            self.written.append(path)
        if plan.png:
            self._write_picture(self.path(index, ".png"), gallery, len(tiles))
        self._rows.append(minislabs.row)
        self._tilts.append(minislabs.tilt)
        self._fractions.append(minislabs.inside_fraction)

    def _write_picture(self, path: Path, gallery: npt.NDArray[np.float32], tiles: int) -> None:
        from slabkit.formats.tables.atomic import atomic_path
        from slabkit.pictures.images import numbered_gallery, png_bytes

        layout = self.plan.layout
        picture = numbered_gallery(gallery, layout.tile_px, border_px=layout.border_px, tiles=tiles)
        with atomic_path(path, sync=False) as temporary:
            temporary.write_bytes(png_bytes(picture))
        self.written.append(path)

    def remove(self) -> None:
        """Remove what was written."""
        for path in self.written:
            path.unlink(missing_ok=True)

    def tables(self, picks: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Make the minislab table and the description of the galleries.

        Parameters
        ----------
        picks : DataFrame
            The pick table whose rows the minislabs count.

        Returns
        -------
        minislabs, geometry : DataFrame
        """
        import numpy as np

        from slabkit.formats.tables.paths import path_for_table
        from slabkit.minislabs.galleries import gallery_set_id, geometry_table, minislab_table
        from slabkit.units import opposite_contrast

        plan = self.plan
        row = np.concatenate([np.empty(0, dtype=np.int64), *self._rows])
        tilts = np.concatenate([np.empty(0), *self._tilts])
        ids = picks["slabkitPickId"].to_numpy(dtype=object)[row].tolist()
        galleries = len(self._rows)
        set_id = gallery_set_id(plan.layout, plan.pixel_size, ids, tilts)
        minislabs = minislab_table(
            plan.layout,
            galleries=[path_for_table(self.path(i, ".mrc")) for i in range(galleries)],
            stacks=[path_for_table(self.path(i, ".mrcs")) for i in range(galleries)]
            if plan.stack
            else None,
            pick_ids=ids,
            tomograms=picks["slabkitTomogram"].to_numpy(dtype=object)[row].tolist(),
            tilts=tilts,
            inside_fraction=np.concatenate([np.empty(0), *self._fractions]),
            set_id=set_id,
            centres=picks[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy()[row],
        )
        geometry = geometry_table(
            plan.layout,
            tiles=len(row),
            pixel_size=plan.pixel_size,
            box=plan.box,
            depth=plan.depth,
            contrast=opposite_contrast(plan.contrast) if plan.invert else plan.contrast,
            set_id=set_id,
        )
        return minislabs, geometry
