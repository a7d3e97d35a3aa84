"""Warp's STAR files, which name ``.tomostar`` files: template matching, and particles in pixels."""

from __future__ import annotations

from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.relion_star import (
    CORNER,
    SHIFTS,
    SHIFTS_PX,
    Columns,
    Numbers,
    RelionStar,
)
from slabkit.formats.programs.shared.rows import placed
from slabkit.formats.source import Source

_NAME = "rlnMicrographName"
_SCORES = ("rlnLCCmax", "rlnAutopickFigureOfMerit")
_COLUMNS = Columns(needed=(*CORNER, _NAME), used=(*_SCORES, *SHIFTS, *SHIFTS_PX), scores=_SCORES)


def read_fractions(source: Source, context: Context) -> ParsedPicks:
    """Read matches: fractions of the volume, 0 its first voxel, 1 one after its last."""
    star = RelionStar.read(source, _COLUMNS)
    names = star.names(context, _NAME)
    voxel_size = context.voxel_sizes(names, star.where)
    unit = context.sizes(names, star.where) * voxel_size[:, None]
    return _parsed(star, names, unit, voxel_size)


def read_px(source: Source, context: Context) -> ParsedPicks:
    """Read particles in pixels: voxels of the tomogram, or smaller by ``--binning``."""
    star = RelionStar.read(source, _COLUMNS)
    names = star.names(context, _NAME)
    unit = context.voxel_sizes(names, star.where) / (context.binning or 1.0)
    return _parsed(star, names, unit, unit)


def _parsed(star: RelionStar, names: list[str], unit: Numbers, pixel_size: Numbers) -> ParsedPicks:
    length = unit if unit.ndim == 2 else unit[:, None]
    positions = star.numbers(CORNER) * length - star.shift(pixel_size)
    found = placed(names, positions) | star.score()
    return ParsedPicks(found | star.kept(found), unit)


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
    unit="voxels (with --binning N: pixels N times smaller)",
    origin="centre of the first voxel = 0",
    lost="only read; write `relion4` or `relion5`",
    sniff=sniff,
    read=read_px,
    in_corner_unit="px",
)
