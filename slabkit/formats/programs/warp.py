"""Warp's STAR files, which name ``.tomostar`` files: template matching, and particles in pixels."""

from __future__ import annotations

import numpy as np

from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.relion.subtomograms import (
    MICROGRAPH,
    NEEDED,
    USED,
    in_voxels,
    said_pixels,
)
from slabkit.formats.programs.shared.relion_star import (
    CORNER,
    SCORES,
    Columns,
    RelionStar,
)
from slabkit.formats.programs.shared.rows import placed
from slabkit.formats.source import Source

_COLUMNS = Columns(needed=NEEDED, used=USED, scores=(SCORES[1], SCORES[0], *SCORES[2:]))


def read_fractions(source: Source, context: Context) -> ParsedPicks:
    """Read matches: fractions of the volume, 0 its first voxel, 1 one after its last."""
    star = RelionStar.read(source, _COLUMNS)
    names = star.names(context, MICROGRAPH)
    voxel_size = context.voxel_sizes(names, star.where)
    unit = context.sizes(names, star.where) * voxel_size[:, None]
    said = star.image_pixels()
    of_images = voxel_size if said is None else np.where(np.isnan(said), voxel_size, said)
    found = placed(names, star.numbers(CORNER) * unit - star.shift(of_images)) | star.score()
    return ParsedPicks(found | star.kept(found, found.get("slabkitScoreKind", [])[:1]), unit)


def read_px(source: Source, context: Context) -> ParsedPicks:
    """Read particles in pixels: of the size that the file says, else voxels of the tomogram."""
    star = RelionStar.read(source, _COLUMNS)
    names = star.names(context, MICROGRAPH)
    return in_voxels(star, names, context, said_pixels(star, context))


def sniff(source: Source) -> bool:
    """Tell by Warp's file names; not whether they are fractions or pixels."""
    labels = source.labels
    named = {*_COLUMNS.needed} <= labels and "rlnTomoName" not in labels
    return named and ".tomostar" in source.text


FRACTIONS = FileFormat(
    name="warp",
    title="Warp template matching (.tomostar names), normalised",
    unit="fraction of the volume's size",
    origin="centre of the first voxel = 0; 1 is one size on",
    lost="only read; write `relion4` or `relion5`",
    sniff=sniff,
    read=read_fractions,
    in_corner_unit="fraction",
)
PIXELS = FileFormat(
    name="warp-px",
    title="Warp particles (.tomostar names) in pixels",
    unit="pixels whose size the file has, else voxels (--binning N: pixels N times smaller)",
    origin="centre of the first voxel = 0",
    lost="only read; write `relion4` or `relion5`",
    sniff=sniff,
    read=read_px,
    in_corner_unit="px",
)
