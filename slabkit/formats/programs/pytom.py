"""pytom-match-pick's particles: STAR in voxels of the tomogram searched, with their size in Å.

With ``--relion5-compat`` it writes what `slabkit.formats.programs.relion.particles` reads.
"""

from __future__ import annotations

import numpy as np

from slabkit.errors import FormatError, InputError
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
    DETECTOR_PIXEL,
    MAGNIFICATION,
    SCORES,
    Columns,
    Numbers,
    RelionStar,
)
from slabkit.formats.source import Source
from slabkit.tables import TOMOGRAMS, make_table

_COLUMNS = Columns(
    needed=(*NEEDED, DETECTOR_PIXEL), used=USED, scores=(*SCORES[1:3], SCORES[0], *SCORES[3:])
)


def read(source: Source, context: Context) -> ParsedPicks:
    """Read particles; the file has the voxel size."""
    star = RelionStar.read(source, _COLUMNS)
    names = star.names(context, MICROGRAPH)
    said = said_pixels(star, context)
    settled = context.binning is not None
    sizes = {} if said is None or settled else _voxel_sizes(said, names, context, star.where)
    parsed = in_voxels(star, names, context, said)
    if not sizes:
        return parsed
    columns = {"slabkitTomogram": list(sizes), "slabkitVoxelSize": list(sizes.values())}
    return ParsedPicks(parsed.columns, parsed.unit_length, 0.0, make_table(TOMOGRAMS, columns))


def _voxel_sizes(said: Numbers, names: list[str], context: Context, where: str) -> dict[str, float]:
    """Give the voxel size of each tomogram, which the volume must have as well."""
    sizes: dict[str, float] = {}
    known = context.known_voxel_sizes(names)
    for name, size, other in zip(names, said.tolist(), known.tolist(), strict=True):
        if not np.isfinite(size):
            continue
        if abs(sizes.setdefault(name, size) / size - 1) > 1e-3:
            raise FormatError(f"{where}: {name} has voxels of {sizes[name]:g} and {size:g} Å.")
        if abs(size / other - 1) > 1e-3:
            raise InputError(
                f"{where}: the voxel size of {name} is {size:g} Å in the file and {other:g} Å "
                f"elsewhere. Give --binning {other / size:.9g} where the coordinates are pixels of "
                f"{size:g} Å (the volume was binned since), --binning 1 where they are voxels of "
                f"{other:g} Å, or --voxel-size {size:g} where the volume's header is wrong."
            )
    return sizes


def sniff(source: Source) -> bool:
    """Tell by the pixel size of the detector in Å, z and the micrograph's name."""
    other = {"rlnTomoName", MAGNIFICATION}
    return {*_COLUMNS.needed} <= source.labels and not source.labels & other


FORMAT = FileFormat(
    name="pytom",
    title="pytom-match-pick particles (rlnDetectorPixelSize); with --relion5-compat see `relion5`",
    unit="voxels of the tomogram searched",
    origin="centre of the first voxel = 0",
    lost="only read; write `relion4` or `relion5`",
    sniff=sniff,
    read=read,
    in_corner_unit="px",
    binnings=True,
)
