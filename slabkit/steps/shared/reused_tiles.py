"""Galleries out of minislabs that exist, made tomogram by tomogram, say."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError
from slabkit.steps.shared.galleries import (
    GalleryFiles,
    GalleryOptions,
    GalleryPlan,
    finish_galleries,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from slabkit.execution.frame import Work
    from slabkit.formats.particle_images import ParticleImages
    from slabkit.formats.tables.native import PickList

_GEOMETRY = ("Box", "Depth", "PixelSize", "TileSize", "Contrast")


def reused_plan(
    tables: Sequence[str], options: GalleryOptions
) -> tuple[GalleryPlan, dict[str, str]]:
    """Give the plan that minislab tables share, and which of them is of which tomogram."""
    from slabkit.formats.tables.native import read_minislabs
    from slabkit.minislabs.galleries import GalleryLayout
    from slabkit.units import length_to_voxels

    if options.diameter is not None:
        raise InputError("--diameter is for images that are made; those of --reuse are normalised.")
    first: dict[str, Any] = {}
    of: dict[str, str] = {}
    for path in tables:
        minislabs, geometry = read_minislabs(path)
        row = {name: geometry.iloc[0].get(f"slabkit{name}", "") for name in _GEOMETRY}
        first = first or row
        for name, value in row.items():
            if value != first[name]:
                raise InputError(
                    f"{path}: slabkit{name} is {value}, and {first[name]} in {tables[0]}; make the "
                    "minislabs with the same options."
                )
        if len(minislabs) and (minislabs["rlnImageName"] == "").any():
            raise InputError(f"{path}: has no stacks; make the minislabs with --stack.")
        for name in minislabs["slabkitTomogram"].unique().tolist():
            if of.setdefault(name, path) != path:
                raise InputError(f"{path}: has minislabs of {name}, as {of[name]} has; give one.")
    if not first:
        raise InputError("--reuse names no table.")
    box, depth, pixel_size = (float(first[name]) for name in _GEOMETRY[:3])
    for flag, asked, made in (
        ("--box", options.box, box),
        ("--depth", options.depth, depth),
        ("--pixel-size", options.pixel_size, pixel_size),
    ):
        if asked is not None and asked != made:
            raise InputError(f"{flag} is {asked:g} Å, and {made:g} Å in the minislabs of --reuse.")
    layout = GalleryLayout(
        int(first["TileSize"]),
        options.rows,
        options.columns,
        length_to_voxels(options.border, pixel_size) if options.border else 0,
    )
    return GalleryPlan(options, box, depth, layout, pixel_size, first["Contrast"]), of


def write_reused(
    work: Work, folder: Path, picks: PickList, plan: GalleryPlan, tables: dict[str, str]
) -> None:
    """Write galleries of picks in their order, a gallery at a time; tiles are not made anew."""
    import numpy as np

    from slabkit.minislabs import FilledGallery, Minislabs, check_tilts
    from slabkit.units import protein_sign

    tilts = np.asarray(check_tilts(plan.options.tilts))
    table = picks.picks
    files = GalleryFiles.of_picks(folder, plan, table)
    rows = np.repeat(np.arange(len(table)), len(tilts))
    tilt = np.tile(tilts, len(table))
    names = table["slabkitTomogram"].to_numpy(dtype=object)
    ids = table["slabkitPickId"].to_numpy(dtype=object)
    _require_tables(names, tables)

    @functools.lru_cache(maxsize=4)
    def opened(name: str) -> _Tiles:
        return _Tiles(tables[name])

    total = plan.layout.galleries(len(rows))
    work.check_free(files.paths(total))
    side, sign = plan.layout.tile_px, np.float32(protein_sign(plan.contrast))

    def filled() -> Iterator[FilledGallery]:
        for index in range(total):
            part = slice(index * plan.layout.tiles, (index + 1) * plan.layout.tiles)
            images = np.empty((len(rows[part]), side, side), dtype=np.float32)
            fraction = np.empty(len(images))
            of = names[rows[part]]
            for name in dict.fromkeys(of):
                here = np.flatnonzero(of == name)
                keys = zip(ids[rows[part][here]], tilt[part][here], strict=True)
                images[here], fraction[here] = opened(str(name)).read(list(keys))
            images *= sign
            yield FilledGallery(index, Minislabs(images, fraction, rows[part], tilt[part]))

    try:
        with closing(files.write_all(filled(), work.frame.workers, normalised=True)) as written:
            for _ in work.track(written, total=total, what="minislab"):
                pass
    except BaseException:
        files.remove()  # nothing half-finished stays
        raise
    finish_galleries(work, files, table)


def _require_tables(names: npt.NDArray[Any], tables: dict[str, str]) -> None:
    missing = [name for name in dict.fromkeys(names) if name not in tables]
    if missing:
        more = f" and {len(missing) - 1} more tomograms" if len(missing) > 1 else ""
        raise InputError(f"{missing[0]}{more}: no table of --reuse has minislabs of its picks.")


class _Tiles:
    """The images of one minislab table, by pick and tilt."""

    def __init__(self, path: str) -> None:
        from slabkit.formats.particle_images import read_particle_images
        from slabkit.formats.tables.native import read_minislabs

        self._path = path
        self._images: ParticleImages = read_particle_images(path)
        table: pd.DataFrame = read_minislabs(path)[0]
        keys = zip(table["slabkitPickId"], table["slabkitTilt"], strict=True)
        self._rows = {key: row for row, key in enumerate(keys)}
        self._fraction = table["slabkitInsideFraction"].to_numpy(dtype=float)

    def read(
        self, keys: list[tuple[str, float]]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """Read images, light on dark, and how much of each box is inside."""
        import numpy as np

        missing = [pick for pick, tilt in keys if (pick, tilt) not in self._rows]
        if missing:
            raise InputError(
                f"{self._path}: has no minislab of pick {missing[0]}; give the tables of the same "
                "picks and tilts."
            )
        rows = np.array([self._rows[key] for key in keys], dtype=np.intp)
        return self._images.read(rows), self._fraction[rows]
