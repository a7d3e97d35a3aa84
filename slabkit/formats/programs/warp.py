"""Warp's STAR files, which name ``.tomostar`` files: template matching, and particles in pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.relion.optics import is_around
from slabkit.formats.programs.relion.subtomograms import (
    MICROGRAPH,
    NEEDED,
    USED,
    in_voxels,
    said_pixels,
)
from slabkit.formats.programs.shared import relion_star
from slabkit.formats.programs.shared.orientations import (
    RELION_ANGLES,
    SUBTOMOGRAM_ANGLES,
    relion_angles,
    rotations,
)
from slabkit.formats.programs.shared.relion_star import (
    CENTRED,
    CORNER,
    IMAGE_PIXEL,
    MAGNIFICATION,
    SCORES,
    SHIFTS,
    SHIFTS_PX,
    Columns,
    RelionStar,
)
from slabkit.formats.programs.shared.rows import POSITIONS, placed
from slabkit.formats.source import Source
from slabkit.formats.tables.star_writing import format_star
from slabkit.tables import (
    PICKS,
    ROTATION,
)

if TYPE_CHECKING:
    from slabkit.formats.tables.native import PickList

_ID = "slabkitPickId"
# What positions, angles and pixel sizes were made of, and what names tomograms otherwise.
_LEFT_OUT = {
    *CENTRED,
    *SHIFTS,
    *SHIFTS_PX,
    *relion_star.PIXELS,
    *SUBTOMOGRAM_ANGLES,
    MAGNIFICATION,
    ROTATION,
}
_LEFT_OUT |= {*PICKS.names, "rlnTomoName", "rlnTomoParticleName", "rlnTomoParticleId"}
_COLUMNS = Columns(needed=NEEDED, used=USED, scores=(SCORES[1], SCORES[0], *SCORES[2:]))


def read_fractions(source: Source, context: Context) -> ParsedPicks:
    """Read matches: fractions of the volume, 0 its first voxel, 1 one after its last."""
    star = RelionStar.read(source, _COLUMNS)
    names = star.names(context, MICROGRAPH)
    sizes = context.sizes(names, star.where)  # first: --tomograms, which it asks for, has both
    voxel_size = context.voxel_sizes(names, star.where)
    unit = sizes * voxel_size[:, None]
    said = star.image_pixels()
    of_images = voxel_size if said is None else np.where(np.isnan(said), voxel_size, said)
    found = placed(names, star.numbers(CORNER) * unit - star.shift(of_images)) | star.score()
    return ParsedPicks(found | star.kept(found, found.get("slabkitScoreKind", [])[:1]), unit)


def read_px(source: Source, context: Context) -> ParsedPicks:
    """Read particles in pixels: of the size that the file says, else voxels of the tomogram."""
    star = RelionStar.read(source, _COLUMNS)
    names = star.names(context, MICROGRAPH)
    return in_voxels(star, names, context, said_pixels(star, context))


def write_px(picks: PickList, context: Context) -> str:
    """Write particles in pixels of one size, as Warp takes them, and M from the first row.

    M wants angles, so all are 0 where no pick has an orientation.
    """
    import pandas as pd

    table = picks.picks
    names = table["slabkitTomogram"].tolist()
    pixel_size = context.voxel_sizes(names, "warp-px")[:1] / (context.binning or 1.0)
    columns: dict[str, Any] = {
        MICROGRAPH: [f"{name}.tomostar" for name in names],
        **dict(zip(CORNER, table[list(POSITIONS)].to_numpy().T / pixel_size, strict=True)),
    }
    turned = rotations(table, "warp-px")
    angles = np.zeros((len(table), 3)) if turned is None else relion_angles(turned)
    if len(table):
        columns |= dict(zip(RELION_ANGLES, angles.T, strict=True))
    columns |= {IMAGE_PIXEL: np.repeat(pixel_size, len(table)), _ID: table[_ID].to_numpy()}
    if len(table) and table["slabkitScore"].notna().all():
        columns[SCORES[0]] = table["slabkitScore"].to_numpy()
    for name in table.columns:
        if name not in (*columns, *_LEFT_OUT) and not is_around(name):
            columns[name] = table[name].to_numpy()
    return format_star({"particles": pd.DataFrame(columns)})


def sniff(source: Source) -> bool:
    """Tell by Warp's file names; not whether they are fractions or pixels."""
    labels = source.labels
    named = {*_COLUMNS.needed} <= labels and "rlnTomoName" not in labels
    return named and b".tomostar" in source.data


FRACTIONS = FileFormat(
    name="warp",
    title="Warp template matching (.tomostar names), normalised",
    unit="fraction of the volume's size",
    origin="centre of the first voxel = 0; 1 is one size on",
    lost="only read; write `warp-px`",
    sniff=lambda source: sniff(source) and _ID not in source.labels,  # which slabkit writes in px
    read=read_fractions,
    in_corner_unit="fraction",
)
PIXELS = FileFormat(
    name="warp-px",
    title="Warp particles (.tomostar names) in pixels",
    unit="pixels whose size the file has, else voxels (--binning N: pixels N times smaller)",
    origin="centre of the first voxel = 0",
    lost="tomogram sizes, species, decisions; columns of RELION and Warp are kept",
    sniff=sniff,
    read=read_px,
    write=write_px,
    keeps=frozenset({"slabkitTomogram", "slabkitScore", "slabkitScoreKind", _ID}),
    keeps_extra=True,
    in_corner_unit="px",
    binnings=True,
)
