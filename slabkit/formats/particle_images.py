"""Images of particles that a table names: minislabs in stacks or galleries, RELION's stacks."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.tiling import GalleryLayout
from slabkit.errors import InputError
from slabkit.formats.programs.shared.values import coordinates
from slabkit.formats.tables.blocks import read_text
from slabkit.formats.tables.paths import path_for_table, resolve_path, with_paths_from_here
from slabkit.formats.tables.star import parse_star
from slabkit.formats.volumes.mrc import ImageStack, open_stack
from slabkit.tables import names_listed, new_pick_ids
from slabkit.units import Contrast, protein_sign, voxel_sizes_equal

if TYPE_CHECKING:
    import pandas as pd

_AT_ONCE = 256  # images of a stack that are read
_IMAGE = re.compile(r"(?:(\d+)@)?(.+)")


@dataclass(frozen=True)
class ParticleImages:
    """Images of a particle table, light on dark, read when asked for.

    Attributes
    ----------
    blocks : dict of str to DataFrame
        The table's blocks, all values as text; the block of particles has ids, and its paths are
        those from the working directory.
    name : str
        Of the block of particles.
    pixel_size : float
        In Å.
    box_px : int
        Side of the images.
    """

    blocks: dict[str, pd.DataFrame]
    name: str
    pixel_size: float
    box_px: int
    _stacks: list[ImageStack] = field(repr=False)
    _stack: npt.NDArray[np.intp] = field(repr=False)
    _corner: npt.NDArray[np.intp] = field(repr=False)  # section, row, column
    _sign: npt.NDArray[np.float32] = field(repr=False)  # of each stack: what makes protein bright

    def __len__(self) -> int:
        return len(self._stack)

    @property
    def particles(self) -> pd.DataFrame:
        """The block of particles."""
        return self.blocks[self.name]

    @property
    def files(self) -> list[str]:
        """Paths of the stacks or galleries."""
        return [stack.path for stack in self._stacks]

    def read(self, numbers: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """Read images by row of the table (from 0), protein bright, shape (n, y, x)."""
        side = self.box_px
        images = np.empty((len(numbers), side, side), dtype=np.float32)
        stack, corner = self._stack[numbers], self._corner[numbers]
        order = np.lexsort((corner[:, 0], stack))
        # Images that follow one another in a stack are read at once
        apart = np.diff(np.column_stack([stack, corner])[order], axis=0) != (0, 1, 0, 0)
        ends = apart.any(axis=1) | (np.arange(1, len(order)) % _AT_ONCE == 0)
        for places in np.split(order, np.flatnonzero(ends) + 1) if len(order) else ():
            section, row, column = corner[places[0]].tolist()
            images[places] = self._stacks[stack[places[0]]].source[
                section : section + len(places), row : row + side, column : column + side
            ]
        dark = self._sign[stack] < 0
        np.negative(images, out=images, where=dark[:, None, None])
        return images


def read_particle_images(
    source: str | os.PathLike[str],
    *,
    contrast: Contrast | None = None,
    pixel_size: float | None = None,
) -> ParticleImages:
    """Open the images of ``minislabs.star`` or of a particle STAR of RELION.

    Parameters
    ----------
    source : path-like or "-"
        Images in stacks (``rlnImageName``) are taken from there, else from the tiles of galleries.
    contrast : {"dark", "bright"}, optional
        How protein looks in the images; default: bright in stacks, in galleries as the table says.
    pixel_size : float, optional
        In Å; default: as the table's optics say.

    Returns
    -------
    ParticleImages
        Rows without a pick id are given one, which the image's name and number decide.

    Raises
    ------
    FormatError, InputError
        It is no such table, has no particles, or an image that it names is not there or has another
        size than the others; pixel sizes differ or are not known.
    """
    where = str(source)
    blocks = parse_star(read_text(source), where)
    name = next((name for name in ("particles", "images", "") if name in blocks), None)
    if name is None:
        raise InputError(
            f"{where}: has no block data_particles (it has {names_listed(blocks)}), so there are "
            "no images to classify; give minislabs.star or a particle STAR of RELION."
        )
    particles = blocks[name] = with_paths_from_here(blocks[name], where)
    if not len(particles):
        raise InputError(f"{where}: has no particles, so there is nothing to classify.")
    unnamed = np.ones(len(particles), dtype=bool)
    if "rlnImageName" in particles.columns:
        unnamed = particles["rlnImageName"].isin(["", "none"]).to_numpy()
    if not unnamed.any():
        return _from_stacks(blocks, name, where, contrast, pixel_size)
    if "galleries" in blocks:
        return _from_galleries(blocks, name, where, contrast, pixel_size)
    if not unnamed.all():
        raise InputError(
            f"{where}, particle {int(unnamed.argmax()) + 1}: rlnImageName names no image "
            f"({int(unnamed.sum())} such particles of {len(unnamed)}); leave them out of the table."
        )
    raise InputError(
        f"{where}: has particles without images: no rlnImageName, and no galleries block either."
    )


def _from_stacks(
    blocks: dict[str, pd.DataFrame],
    name: str,
    where: str,
    contrast: Contrast | None,
    pixel_size: float | None,
) -> ParticleImages:
    particles = blocks[name]
    numbers, paths = [], []
    for row, text in enumerate(particles["rlnImageName"], 1):
        match = _IMAGE.fullmatch(text)
        assert match is not None
        number = (match[1] or "1").lstrip("0")[:18]  # no stack has as many
        if not number:
            raise InputError(f"{where}, particle {row}: {text}: images are numbered from 1.")
        numbers.append(int(number))
        paths.append(match[2])
    names = {path: number for number, path in enumerate(dict.fromkeys(paths))}
    found = {path: resolve_path(path, where) for path in names}
    stacks = [_open(path, where) for path in found.values()]
    stack = np.array([names[path] for path in paths], dtype=np.intp)
    section = np.array(numbers, dtype=np.intp) - 1
    sizes = np.array([len(one) for one in stacks])[stack]
    if (section >= sizes).any():
        row = int(np.flatnonzero(section >= sizes)[0])
        raise InputError(
            f"{where}, particle {row + 1}: image {numbers[row]} of {paths[row]}, which has only "
            f"{sizes[row]}."
        )
    side = _one_side(stacks)
    width = max(6, len(str(max(numbers))))
    named = {path: path_for_table(one) for path, one in found.items()}
    moved = [
        f"{number:0{width}d}@{named[path]}" for number, path in zip(numbers, paths, strict=True)
    ]
    blocks = blocks | {name: _with_ids(particles.assign(rlnImageName=moved), numbers, paths)}
    corner = np.column_stack([section, np.zeros_like(section), np.zeros_like(section)])
    size = pixel_size or _pixel_size(blocks, name, stacks, where)
    sign = np.full(len(stacks), protein_sign(contrast or "bright"), dtype=np.float32)
    return ParticleImages(blocks, name, size, side, stacks, stack, corner, sign)


def _from_galleries(
    blocks: dict[str, pd.DataFrame],
    name: str,
    where: str,
    contrast: Contrast | None,
    pixel_size: float | None,
) -> ParticleImages:
    particles, geometry = blocks[name], blocks["galleries"]
    if len(geometry) != 1:
        raise InputError(f"{where}: the galleries block has {len(geometry)} rows, where 1 is due.")
    row = geometry.iloc[0]
    layout = GalleryLayout.from_table(row.to_dict(), where)
    needed = ("rlnMicrographName", "slabkitTileRow", "slabkitTileColumn", "slabkitPickId")
    missing = [column for column in needed if column not in particles.columns]
    if missing:
        raise InputError(f"{where}: is no minislab table, it has no column {missing[0]}.")
    names = list(dict.fromkeys(particles["rlnMicrographName"]))
    found = {text: resolve_path(text, where) for text in names}
    stacks = [_open(path, where) for path in found.values()]
    for one in stacks:
        if len(one) != 1 or one.image_shape != layout.shape:
            raise InputError(
                f"{one.path}: has {one.image_shape[1]} × {one.image_shape[0]} pixels, galleries "
                f"of {where} have {layout.shape[1]} × {layout.shape[0]}."
            )
    number = {text: i for i, text in enumerate(names)}
    stack = np.array([number[text] for text in particles["rlnMicrographName"]], dtype=np.intp)
    tile_row = _places(particles, "slabkitTileRow", layout.rows, where)
    tile_column = _places(particles, "slabkitTileColumn", layout.columns, where)
    corner = np.column_stack(
        [
            np.zeros(len(stack), dtype=np.intp),
            layout.border_px + tile_row * layout.tile_px,
            layout.border_px + tile_column * layout.tile_px,
        ]
    )
    moved = [path_for_table(found[text]) for text in particles["rlnMicrographName"]]
    blocks = blocks | {name: particles.assign(rlnMicrographName=moved)}
    size = pixel_size or _positive(row.get("slabkitPixelSize", ""), "slabkitPixelSize", where)
    known = str(row.get("slabkitContrast", "dark"))
    if known not in ("dark", "bright"):
        raise InputError(f"{where}: slabkitContrast is {known!r}, not dark or bright.")
    own = protein_sign(contrast or ("dark" if known == "dark" else "bright"))
    sign = np.full(len(stacks), own, dtype=np.float32)
    return ParticleImages(blocks, name, size, layout.tile_px, stacks, stack, corner, sign)


def _places(particles: pd.DataFrame, column: str, count: int, where: str) -> npt.NDArray[np.intp]:
    values = coordinates(particles[column].tolist(), column, where)
    whole = np.rint(values)
    wrong = (whole != values) | (whole < 0) | (whole >= count)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{where}, particle {row + 1}: {column} is {values[row]:g}, not a whole number from 0 "
            f"to {count - 1}."
        )
    return whole.astype(np.intp)


def _open(path: Path, where: str) -> ImageStack:
    if not os.path.isfile(path):
        raise InputError(
            f"{where}: names {path}, which is not there; call slabkit from the folder where its "
            "paths begin."
        )
    return open_stack(path)


def _one_side(stacks: list[ImageStack]) -> int:
    first = stacks[0]
    for one in stacks:
        if one.image_shape[0] != one.image_shape[1]:
            raise InputError(
                f"{one.path}: its images are not square ({one.image_shape[1]} × "
                f"{one.image_shape[0]} pixels)."
            )
        if one.image_shape != first.image_shape:
            raise InputError(
                f"{one.path}: its images have {one.image_shape[0]} pixels a side, those of "
                f"{first.path} {first.image_shape[0]}; classify them apart."
            )
    return first.image_shape[0]


def _pixel_size(
    blocks: dict[str, pd.DataFrame], name: str, stacks: list[ImageStack], where: str
) -> float:
    optics = blocks.get("optics")
    if optics is not None and "rlnImagePixelSize" in optics.columns:
        used = optics
        if {"rlnOpticsGroup"} <= set(optics.columns) & set(blocks[name].columns):
            used = optics[optics["rlnOpticsGroup"].isin(blocks[name]["rlnOpticsGroup"])]
        sizes = [_positive(v, "rlnImagePixelSize", where) for v in used["rlnImagePixelSize"]]
        source = where
    else:
        sizes = [stack.pixel_size for stack in stacks if np.isfinite(stack.pixel_size)]
        source = stacks[0].path
    if not sizes:
        raise InputError(f"{where}: says no pixel size; give --pixel-size Å.")
    for size in sizes:
        if not voxel_sizes_equal(size, sizes[0]):
            raise InputError(
                f"{source}: has images of {sizes[0]:g} and {size:g} Å a pixel; classify them apart."
            )
    return float(sizes[0])


def _positive(text: Any, column: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not (np.isfinite(value) and value > 0):
        raise InputError(
            f"{where}: {column} is {text!r}, not a positive number; give --pixel-size."
        )
    return value


def _with_ids(particles: pd.DataFrame, numbers: list[int], paths: list[str]) -> pd.DataFrame:
    if "slabkitPickId" in particles.columns:
        return particles
    if "rlnParticleName" in particles.columns:
        names = particles["rlnParticleName"]
        if names.is_unique and not names.isin(["", "none"]).any():
            return particles.assign(slabkitPickId=names)
    ids: dict[tuple[str, int], str] = {}
    for path in dict.fromkeys(paths):
        own = sorted(
            {number for number, other in zip(numbers, paths, strict=True) if other == path}
        )
        nothing = np.zeros(len(own))
        made = new_pick_ids([Path(path).stem] * len(own), own, nothing, nothing, salt=path)
        ids |= {(path, number): one for number, one in zip(own, made, strict=True)}
    given = [ids[key] for key in zip(paths, numbers, strict=True)]
    return particles.assign(slabkitPickId=given, rlnParticleName=given)
