"""Particle images of several tables as those of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from slabkit.errors import InputError, warn
from slabkit.formats.particle_images import ParticleImages, read_particle_images
from slabkit.units import Contrast, voxel_sizes_equal

_ALIKE = ("Box", "Depth", "Contrast", "TileSize", "PixelSize")
_LAYOUT = ("GalleryRows", "GalleryColumns", "GalleryBorder")
_SUMS = ("slabkitGalleryCount", "slabkitTileCount")
_JOINED = {"galleries", "optics", "particles", "images", ""}
_GROUP, _GROUP_NAME = "rlnOpticsGroup", "rlnOpticsGroupName"


def read_joined_images(
    sources: Sequence[str],
    *,
    contrast: Contrast | None = None,
    pixel_size: float | None = None,
) -> ParticleImages:
    """Read tables as `read_particle_images`, and put them behind each other.

    Raises InputError too if two have the same pick, or images that were made otherwise.
    """
    parts = [read_particle_images(s, contrast=contrast, pixel_size=pixel_size) for s in sources]
    first, of = parts[0], dict[str, str]()
    if len(parts) == 1:
        return first
    for part, where in zip(parts, sources, strict=True):
        _check_alike(part, first, where, sources[0])
        for pick in part.particles["slabkitPickId"].unique():
            if of.setdefault(pick, where) != where:
                raise InputError(f"{where}: has the pick {pick}, as {of[pick]} has; give one.")
    every = [part.particles.columns for part in parts]
    columns = [name for name in every[0] if all(name in own for own in every)]
    left_out = sorted({name for own in every for name in own} - set(columns))
    if left_out:
        warn(f"{', '.join(left_out)}: not in all {len(parts)} tables, so left out of the result.")
    others = sorted({name for part in parts for name in part.blocks} - _JOINED - {first.name})
    if others:
        warn(f"the blocks {', '.join(others)} of {len(parts)} tables are left out of the result.")
    optics, groups = _optics(parts, sources)
    tables = [part.particles[columns] for part in parts]
    if optics:
        tables = [t.assign(**{_GROUP: g}) for t, g in zip(tables, groups, strict=True)]
    blocks = _geometry(parts) | optics | {first.name: pd.concat(tables, ignore_index=True)}
    before = np.cumsum([0, *(len(part._stacks) for part in parts)])[:-1]
    return ParticleImages(
        blocks,
        first.name,
        first.pixel_size,
        first.box_px,
        [stack for part in parts for stack in part._stacks],
        np.concatenate([part._stack + n for part, n in zip(parts, before, strict=True)]),
        np.concatenate([part._corner for part in parts]),
        np.concatenate([part._sign for part in parts]),
    )


def _check_alike(part: ParticleImages, first: ParticleImages, where: str, first_where: str) -> None:
    if part.box_px != first.box_px or not voxel_sizes_equal(part.pixel_size, first.pixel_size):
        raise InputError(
            f"{where}: its images have {part.box_px} pixels of {part.pixel_size:g} Å a side, those "
            f"of {first_where} {first.box_px} of {first.pixel_size:g} Å; classify them apart."
        )
    geometry, other = (one.blocks.get("galleries") for one in (part, first))
    if (geometry is None) != (other is None):
        raise InputError(
            f"{where}: of this table and {first_where} only one has a galleries block; classify "
            "minislabs and images of other programs apart."
        )
    if geometry is None or other is None:
        return
    for name in (*_ALIKE, *_LAYOUT):
        value, due = (str(one.iloc[0].get(f"slabkit{name}", "")) for one in (geometry, other))
        if value != due:
            raise InputError(
                f"{where}: slabkit{name} is {value}, and {due} in {first_where}; make the "
                "minislabs with the same options, or classify them apart."
            )


def _geometry(parts: Sequence[ParticleImages]) -> dict[str, pd.DataFrame]:
    """Describe the galleries of all as those of the first are; each row names its own set."""
    rows = [part.blocks["galleries"].iloc[0] for part in parts if "galleries" in part.blocks]
    if not rows:
        return {}
    joined = rows[0].copy()
    for name in _SUMS:
        if name in joined:
            joined[name] = str(sum(int(row[name]) for row in rows))
    if "slabkitLastGalleryTiles" in joined:
        joined["slabkitLastGalleryTiles"] = rows[-1]["slabkitLastGalleryTiles"]
    return {"galleries": pd.DataFrame([joined]).reset_index(drop=True)}


def _optics(
    parts: Sequence[ParticleImages], sources: Sequence[str]
) -> tuple[dict[str, pd.DataFrame], list[Any]]:
    """Give one table of the optics groups of all, and the group of each particle in it."""
    kept: dict[tuple[str, ...], dict[str, str]] = {}
    groups = []
    having = [_GROUP in p.particles and _GROUP in p.blocks.get("optics", ()) for p in parts]
    if not any(having):
        return {}, []
    if not all(having):
        where = sources[having.index(False)]
        raise InputError(f"{where}: has no optics groups, as other tables have; classify it apart.")
    for part, where in zip(parts, sources, strict=True):
        numbers = {}
        for row in part.blocks["optics"].to_dict("records"):
            key = tuple(f"{name} {row[name]}" for name in sorted(row) if name != _GROUP)
            if key not in kept:
                names = [other.get(_GROUP_NAME) for other in kept.values()]
                number = str(len(kept) + 1)
                if row.get(_GROUP_NAME) in names:
                    row = {**row, _GROUP_NAME: f"{row[_GROUP_NAME]}_{number}"}
                kept[key] = {**row, _GROUP: number}
            numbers[row[_GROUP]] = kept[key][_GROUP]
        own = part.particles[_GROUP].map(numbers)
        if own.isna().any():
            missing = part.particles[_GROUP][own.isna()].iloc[0]
            raise InputError(
                f"{where}: has particles of optics group {missing}, not in its optics."
            )
        groups.append(own.to_numpy())
    table = pd.DataFrame(list(kept.values()))
    if table.isna().any(axis=None):
        raise InputError(
            f"{sources[0]} and the other tables: their optics have different columns; classify "
            "them apart."
        )
    return {"optics": table}, groups
