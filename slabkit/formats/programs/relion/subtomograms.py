"""Subtomograms of RELION 3, and all that counts like them: voxels of one volume, with their size.

`slabkit.formats.programs.warp` and `slabkit.formats.programs.pytom` read by `in_voxels` too.
"""

from __future__ import annotations

import numpy as np

from slabkit.errors import InputError
from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.relion_star import (
    CORNER,
    DETECTOR_PIXEL,
    MAGNIFICATION,
    MICROGRAPH_PIXEL,
    PIXEL,
    SHIFTS,
    SHIFTS_PX,
    Columns,
    Numbers,
    RelionStar,
)
from slabkit.formats.programs.shared.rows import placed
from slabkit.formats.source import Source

MICROGRAPH = "rlnMicrographName"
NEEDED = (*CORNER, MICROGRAPH)
USED = (*SHIFTS, *SHIFTS_PX, DETECTOR_PIXEL, MAGNIFICATION)
_COLUMNS = Columns(needed=NEEDED, used=USED)


def said_pixels(star: RelionStar, context: Context) -> Numbers | None:
    """Give the pixel size that the file says of its coordinates; None where it says none."""
    settled = context.binning is not None
    said = star.image_pixels(MICROGRAPH_PIXEL, settled=settled)
    if said is None and not settled and star.tilt_series_pixels() is not None:
        raise InputError(
            f"{star.where}: says the pixel size of the tilt series ({PIXEL}), but not that of its "
            "coordinates; give --binning, the tomogram's voxel size over that pixel size (1 where "
            "they are voxels), with --tomograms or --voxel-size."
        )
    return said


def in_voxels(
    star: RelionStar, names: list[str], context: Context, said: Numbers | None
) -> ParsedPicks:
    """Read coordinates in pixels of the size said (of each particle, in Å), less the shifts."""
    unit = star.voxel_pixels(names, context, said)
    # Shifts are in pixels of the images, whatever --binning says of the coordinates.
    of_images = unit if said is None else np.where(np.isnan(said), unit, said)
    positions = star.numbers(CORNER) * unit[:, None] - star.shift(of_images)
    found = placed(names, positions) | star.score()
    return ParsedPicks(found | star.kept(found, found.get("slabkitScoreKind", [])[:1]), unit)


def read(source: Source, context: Context) -> ParsedPicks:
    """Read particles whose file has the pixel size."""
    star = RelionStar.read(source, _COLUMNS)
    names = star.names(context, MICROGRAPH)
    said = said_pixels(star, context)
    if context.binning is None and names and (said is None or np.isnan(said).any()):
        raise InputError(
            f"{star.where}: does not say the pixel size of its coordinates; give --binning, the "
            "tomogram's voxel size over that pixel size (1 where they are voxels), with "
            "--tomograms or --voxel-size."
        )
    return in_voxels(star, names, context, said)


def sniff(source: Source) -> bool:
    """Tell by z and the micrograph's name; files of pytom-match-pick and Warp are others."""
    labels = source.labels
    if not {*NEEDED} <= labels or labels & {"rlnTomoName", "slabkitX"}:
        return False
    pytom = DETECTOR_PIXEL in labels and MAGNIFICATION not in labels
    return not pytom and b".tomostar" not in source.data


FORMAT = FileFormat(
    name="relion3",
    title="RELION 3 subtomograms (rlnMicrographName and x, y, z)",
    unit="pixels whose size the file has (rlnImagePixelSize, or rlnMagnification)",
    origin="centre of the first voxel = 0",
    lost="only read; write `relion4` or `relion5`",
    sniff=sniff,
    read=read,
    in_corner_unit="px",
    binnings=True,
)
