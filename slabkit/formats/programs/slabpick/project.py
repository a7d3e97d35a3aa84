"""A project of slabpick taken over: its slab map and its particle map, as slabkit's tables.

``slab_map.csv`` has a row a slab: the tomogram's file, the slab's file, first plane and number of
planes in voxels. ``particle_map.csv`` has a row a minislab: tomogram, which of its particles (from
0, in the order of the coordinates the minislabs were made of), tilt, and where it is: gallery, row
and column from 0, row 0 at the first row of the file; or, where a stack was made, nothing more, and
the row is the number of its image, from 0. The particle's voxel, its position rounded towards 0, is
at pixel ``tile // 2`` of its tile; tilts turn as slabkit's do; slabs and galleries keep the
tomogram's contrast unless inverted.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.arrays.tiling import GalleryLayout
from slabkit.errors import FormatError, InputError
from slabkit.formats.programs.shared.csv_columns import csv_columns, whole_numbers
from slabkit.formats.programs.shared.values import coordinates
from slabkit.formats.tables.blocks import read_text
from slabkit.formats.tables.paths import path_for_table, resolve_path
from slabkit.formats.tomograms.names import known_names, tomogram_name
from slabkit.formats.volumes.mrc import read_header
from slabkit.formats.volumes.opening import open_tomogram
from slabkit.tables import MINISLABS, SLABS, make_table
from slabkit.units import opposite_contrast, voxel_sizes_equal

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.tables.native import PickList
    from slabkit.tomogram import Tomogram
    from slabkit.units import Contrast

PathLike = str | os.PathLike[str]

_SLAB_COLUMNS = ("tomogram", "slab", "zstart", "zdepth")
_PARTICLE_COLUMNS = ("tomogram", "particle", "tilt")
_PLACE = ("gallery", "row", "col")
POSITIONS = ("slabkitX", "slabkitY", "slabkitZ")
CENTRES = ("slabkitCentreX", "slabkitCentreY", "slabkitCentreZ")


@dataclass(frozen=True)
class ParticleMap:
    """What `read_particle_map` found."""

    minislabs: pd.DataFrame  # columns of `slabkit.tables.MINISLABS`; no gallery set yet
    layout: GalleryLayout
    pixel_size: float  # this and the next two in Å
    box: float
    depth: float
    contrast: Contrast  # of the images


def read_slab_map(
    path: PathLike, *, voxel_size: float | None = None, contrast: Contrast = "dark"
) -> pd.DataFrame:
    """Read ``slab_map.csv`` as a slab table.

    ``voxel_size``, in Å, is of every tomogram and wins over the files'; ``contrast`` is of the
    tomograms, and so of the slabs, which are sums of their planes. Refused where a tomogram cannot
    be opened, or a slab is not in its tomogram or not as wide.
    """
    where = str(path)
    columns = csv_columns(read_text(path), _SLAB_COLUMNS, "slabpick's slab_map.csv", where)
    starts = whole_numbers(columns["zstart"], "zstart", where)
    depths = whole_numbers(columns["zdepth"], "zdepth", where)
    if len(set(columns["slab"])) < len(starts):
        raise FormatError(f"{where}: a slab appears twice.")
    opened: dict[str, Tomogram] = {}
    for written, slab, start, depth in zip(
        columns["tomogram"], columns["slab"], starts, depths, strict=True
    ):
        if written not in opened:
            opened[written] = open_tomogram(
                resolve_path(written, path),
                voxel_size=voxel_size,
                contrast=contrast,
                allow_missing_chunks=True,  # which change no size
            )
            _check_width(resolve_path(slab, path), opened[written])
        planes = opened[written].shape[0]
        if depth < 1 or start < 0 or start + depth > planes:
            raise InputError(
                f"{where}: {slab} has planes {start} to {start + depth - 1} of a tomogram with "
                f"{planes}."
            )
    files = {written: resolve_path(written, path) for written in opened}
    if len(set(map(tomogram_name, files.values()))) < len(files):
        raise InputError(f"{where}: two tomograms have the same name; rename one.")
    own = [opened[written] for written in columns["tomogram"]]
    sizes = np.array([tomogram.voxel_size for tomogram in own])
    shapes = np.array([tomogram.shape for tomogram in own], dtype=np.int64).reshape(-1, 3)
    return make_table(
        SLABS,
        {
            "rlnMicrographName": [
                path_for_table(resolve_path(slab, path)) for slab in columns["slab"]
            ],
            "rlnTomoName": [tomogram_name(files[written]) for written in columns["tomogram"]],
            "slabkitTomogramFile": [path_for_table(files[name]) for name in columns["tomogram"]],
            "slabkitZStart": starts,
            "slabkitZCount": depths,
            "slabkitThickness": np.array(depths) * sizes,
            "slabkitVoxelSize": sizes,
            "slabkitContrast": [contrast] * len(own),
            "slabkitTomogramContrast": [contrast] * len(own),
            **{f"slabkitTomogramSize{axis}": shapes[:, n] for n, axis in enumerate("ZYX")},
        },
    )


def read_particle_map(
    path: PathLike,
    picks: PickList,
    *,
    tiles: tuple[int, int] | None = None,
    contrast: Contrast | None = None,
) -> ParticleMap:
    """Read ``particle_map.csv`` as a minislab table.

    Parameters
    ----------
    path : path-like
        Beside it are the galleries ``particles_NNN.mrc`` or the stack ``particles.mrcs``, and
        perhaps ``make_minislabs.json``, which says how they were made.
    picks : PickList
        The coordinates the minislabs were made of, all of them and in their order.
    tiles : (int, int), optional
        Rows and columns of a gallery, where nothing else says them.
    contrast : {"dark", "bright"}, optional
        Of the tomograms; default: as the pick list says.

    Raises
    ------
    FormatError, InputError
        It is no such file; the picks are not those it was made of; images are missing, or their
        size does not fit.
    """
    where = str(path)
    columns = csv_columns(read_text(path), _PARTICLE_COLUMNS, "slabpick's particle_map.csv", where)
    settings = _settings(Path(path).parent / "make_minislabs.json")
    tilts = coordinates(columns["tilt"], "tilt", where)
    ids, names = _pick_ids(columns, picks, where)
    places = picks.picks.set_index("slabkitPickId").loc[ids, list(POSITIONS)].to_numpy()
    if all(name in columns for name in _PLACE):
        place = [whole_numbers(columns[name], name, where) for name in _PLACE]
        gallery, row, column = (np.array(values, dtype=np.int64) for values in place)
        layout, files, pixel_size = _galleries(path, gallery, row, column, tiles, settings)
        images: Any = ""
        micrographs: Any = [files[number] for number in gallery.tolist()]
    else:
        layout, stack, pixel_size = _stack(path, len(ids), settings)
        images = [f"{number:06d}@{stack}" for number in range(1, len(ids) + 1)]
        row = column = np.zeros(len(ids), dtype=np.int64)
        micrographs = images  # each image is a gallery of one tile
    x, y = layout.tile_centre(row, column)
    # slabpick cuts positions down to whole voxels; the images are centred on those.
    centres = np.trunc(places / pixel_size) * pixel_size
    minislabs = make_table(
        MINISLABS,
        {
            "rlnMicrographName": micrographs,
            "rlnCoordinateX": x,
            "rlnCoordinateY": y,
            "rlnImageName": images,
            "rlnParticleName": ids,
            "slabkitPickId": ids,
            "slabkitTomogram": names,
            "slabkitTileRow": row,
            "slabkitTileColumn": column,
            "slabkitTilt": tilts,
            **dict(zip(CENTRES, centres.T, strict=True)),
        },
    )
    own = contrast or _contrast(picks, where)
    shape = settings.get("extract_shape")
    box = depth = layout.tile_px * pixel_size
    if isinstance(shape, list) and len(shape) == 3:
        depth = float(coordinates([str(shape[2])], "extract_shape", where)[0])
    return ParticleMap(
        minislabs,
        layout,
        pixel_size,
        box,
        depth,
        opposite_contrast(own) if settings.get("invert_contrast") is True else own,
    )


def _check_width(slab: Path, tomogram: Tomogram) -> None:
    (_, rows, columns), (_, y, x) = read_header(slab).shape, tomogram.shape
    if (rows, columns) != (y, x):
        raise InputError(
            f"{slab}: has {columns} × {rows} pixels, and its tomogram {x} × {y}; they do not "
            "belong together."
        )


def _pick_ids(
    columns: dict[str, list[str]], picks: PickList, where: str
) -> tuple[list[str], list[str]]:
    """Give the pick and the tomogram of each row; both lists must be of the same particles."""
    numbers = whole_numbers(columns["particle"], "particle", where)
    sessions: dict[str, str] = {}
    for name, session in zip(
        columns["tomogram"], columns.get("session", columns["tomogram"]), strict=True
    ):
        if sessions.setdefault(name, session) != session:
            raise InputError(
                f"{where}: tomogram {name} is in two sessions ({sessions[name]}, {session}); make "
                "a map of each."
            )
    groups = picks.picks.groupby("slabkitTomogram", sort=False)["slabkitPickId"]
    ids = {str(name): list(group) for name, group in groups}
    names = known_names(columns["tomogram"], list(ids), where)
    most: dict[str, int] = {}
    for name, number in zip(names, numbers, strict=True):
        if number < 0:
            raise FormatError(f"{where}: particle is {number}; slabpick counts from 0.")
        most[name] = max(most.get(name, 0), number + 1)
    for name, count in most.items():
        if len(ids.get(name, [])) != count:
            raise InputError(
                f"{where}: has {count} particles in {name}, and the picks {len(ids.get(name, []))};"
                " give the very coordinates that the minislabs were made of."
            )
    return [ids[n][number] for n, number in zip(names, numbers, strict=True)], names


def _galleries(
    path: PathLike,
    gallery: Any,
    row: Any,
    column: Any,
    tiles: tuple[int, int] | None,
    settings: dict[str, Any],
) -> tuple[GalleryLayout, dict[int, str], float]:
    """Give the layout, the file of each gallery and the pixel size, which all must share."""
    where = str(path)
    files: dict[int, str] = {}
    sizes: dict[tuple[int, int, float], Path] = {}
    for number in sorted(set(gallery.tolist())):
        file = Path(path).parent / f"particles_{number:03d}.mrc"
        files[number] = path_for_table(file)
        header = read_header(file)
        sizes.setdefault((*header.shape[1:], header.voxel_sizes[0]), file)
    if len(sizes) > 1:
        raise InputError(f"{where}: {' and '.join(map(str, sizes.values()))} differ in size.")
    if not sizes:
        raise InputError(f"{where}: holds no minislabs, so there is no gallery to read.")
    height, width, pixel_size = next(iter(sizes))
    rows, columns = _grid(path, gallery, row, column, tiles, settings)
    if width % columns or height % rows or width // columns != height // rows:
        raise InputError(
            f"{where}: galleries of {width} × {height} pixels do not hold {columns} × {rows} "
            "square tiles; say how many with --tiles ROWSxCOLUMNS."
        )
    layout = GalleryLayout(width // columns, rows, columns)
    number = (gallery * rows + row) * columns + column
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    if not inside.all() or sorted(number.tolist()) != list(range(len(number))):
        raise InputError(
            f"{where}: the tiles are not filled one after the other in {rows} × {columns}; is the "
            "file whole? Say the right number of tiles with --tiles ROWSxCOLUMNS."
        )
    return layout, files, _pixel_size(pixel_size, settings, where)


def _grid(
    path: PathLike,
    gallery: Any,
    row: Any,
    column: Any,
    tiles: tuple[int, int] | None,
    settings: dict[str, Any],
) -> tuple[int, int]:
    said = settings.get("gallery_shape")
    if tiles is not None:
        return tiles
    if isinstance(said, list) and len(said) == 2 and all(type(v) is int and v > 0 for v in said):
        return said[0], said[1]
    if gallery.max() > 0:  # the first gallery is full, so its last row and column are there
        return int(row.max()) + 1, int(column.max()) + 1
    raise InputError(
        f"{path}: neither it nor a make_minislabs.json beside it says how many tiles a gallery "
        "has; give --tiles ROWSxCOLUMNS."
    )


def _stack(
    path: PathLike, count: int, settings: dict[str, Any]
) -> tuple[GalleryLayout, str, float]:
    file = Path(path).parent / "particles.mrcs"
    header = read_header(file)
    sections, rows, columns = header.shape
    if sections != count or columns != rows:
        raise InputError(
            f"{file}: has {sections} images of {columns} × {rows} pixels, and "
            f"{path} {count} rows; they do not belong together."
        )
    pixel_size = _pixel_size(header.voxel_sizes[0], settings, str(path))
    return GalleryLayout(columns, 1, 1), path_for_table(file), pixel_size


def _pixel_size(in_header: float, settings: dict[str, Any], where: str) -> float:
    said = settings.get("voxel_spacing")
    if isinstance(said, (int, float)) and said > 0:
        if in_header > 0 and not voxel_sizes_equal(in_header, float(said)):
            raise InputError(
                f"{where}: the images have {in_header:g} Å pixels, and make_minislabs.json says "
                f"{said:g} Å."
            )
        return float(said)
    if in_header <= 0:
        raise InputError(f"{where}: the images do not say their pixel size.")
    return in_header


def _settings(path: Path) -> dict[str, Any]:
    """Give the parameters that slabpick recorded; none where it did not."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["parameters"].items())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(f"{path}: is not slabpick's record of its parameters.") from error


def _contrast(picks: PickList, where: str) -> Contrast:
    contrasts = set(picks.tomograms["slabkitTomogramContrast"])
    if len(contrasts) > 1:
        raise InputError(f"{where}: protein is dark in some tomograms and bright in others.")
    return "bright" if contrasts == {"bright"} else "dark"
