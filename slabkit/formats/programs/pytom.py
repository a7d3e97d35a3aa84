"""pytom-match-pick's particles: STAR in voxels of the tomogram searched, with their size in Å.

With ``--relion5-compat`` it writes what `slabkit.formats.programs.relion.particles` reads.
"""

from __future__ import annotations

from slabkit.errors import FormatError
from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.relion_star import (
    CORNER,
    SHIFTS,
    SHIFTS_PX,
    Columns,
    RelionStar,
)
from slabkit.formats.programs.shared.rows import placed
from slabkit.formats.source import Source
from slabkit.tables import TOMOGRAMS, make_table

_NAME, _PIXEL = "rlnMicrographName", "rlnDetectorPixelSize"
_SCORES = ("rlnLCCmax", "ptmLCCmax", "rlnAutopickFigureOfMerit")
_COLUMNS = Columns(
    needed=(*CORNER, _NAME, _PIXEL), used=(*_SCORES, *SHIFTS, *SHIFTS_PX), scores=_SCORES
)


def read(source: Source, context: Context) -> ParsedPicks:
    """Read particles; the file has the voxel size, over which ``--voxel-size`` wins."""
    star = RelionStar.read(source, _COLUMNS)
    where, said = star.where, star.numbers([_PIXEL])[:, 0]
    if (said <= 0).any():
        raise FormatError(f"{where}: {_PIXEL} is {said.min():g}; it must be positive.")
    names = star.names(context, _NAME)
    unit = said if context.voxel_size is None else context.voxel_sizes(names, where)
    sizes: dict[str, float] = {}
    for name, size in zip(names, said.tolist(), strict=True):
        if abs(sizes.setdefault(name, size) / size - 1) > 1e-3:
            raise FormatError(f"{where}: {name} has voxels of {sizes[name]:g} and {size:g} Å.")
    tomograms = None
    if sizes:
        columns = {"slabkitTomogram": list(sizes), "slabkitVoxelSize": list(sizes.values())}
        tomograms = make_table(TOMOGRAMS, columns)
    positions = star.numbers(CORNER) * unit[:, None] - star.shift(unit)
    found = placed(names, positions) | star.score()
    return ParsedPicks(found | star.kept(found), unit, 0.0, tomograms)


def sniff(source: Source) -> bool:
    """Tell by the pixel size of the detector, z and the micrograph's name."""
    return {*_COLUMNS.needed} <= source.labels and "rlnTomoName" not in source.labels


FORMAT = FileFormat(
    name="pytom",
    title="pytom-match-pick particles (rlnDetectorPixelSize); with --relion5-compat see `relion5`",
    unit="voxels of the tomogram searched",
    origin="centre of the first voxel = 0",
    lost="only read; write `relion4` or `relion5`",
    sniff=sniff,
    read=read,
    in_corner_unit="px",
)
