"""slabpick's coordinate lists: STAR files with the labels of RELION 4, but in Å.

``cs_map_slabs`` and ``cs_map_particles`` write Å unless they are told another scale, and slabpick
divides them by the voxel size to get an array index. The file itself says nothing of it: by its
columns it may be RELION's too, so it is read only on request.
"""

from __future__ import annotations

from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.orientations import RELION_ANGLES
from slabkit.formats.programs.shared.relion_star import (
    CORNER,
    SCORES,
    SHIFTS,
    SHIFTS_PX,
    Columns,
    RelionStar,
)
from slabkit.formats.programs.shared.rows import placed
from slabkit.formats.source import Source

_COLUMNS = Columns(
    needed=("rlnTomoName", *CORNER),
    used=SHIFTS,
    scores=("rlnScore", *SCORES[:-1]),
    refused=SHIFTS_PX,
)


def read(source: Source, context: Context) -> ParsedPicks:
    """Read coordinates in Å."""
    star = RelionStar.read(source, _COLUMNS)
    found = placed(star.names(context), star.numbers(CORNER) - star.shift())
    found |= star.score("slabpick" if star.has("rlnScore") else "")
    used = ["rlnScore", *found.get("slabkitScoreKind", [])[:1]]
    return ParsedPicks(found | star.kept(found, used))


def sniff(source: Source) -> bool:
    """Tell what may be slabpick's: just its columns, in a block without name."""
    own = {"rlnTomoName", *CORNER, *RELION_ANGLES, "rlnTomoManifoldIndex", "rlnTomoParticleId"}
    return source.labels - {"rlnScore"} == own and set(source.block_labels) == {""}


FORMAT = FileFormat(
    name="slabpick",
    title="slabpick coordinates (STAR of its cs_map_* commands); its maps: `slabkit import`",
    unit="Å",
    origin="centre of the first voxel = 0",
    lost="only read; looks like RELION's, say --from slabpick",
    sniff=sniff,
    read=read,
)
