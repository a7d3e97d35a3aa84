"""TomoTwin's picks of one reference: text of bare ``x y z``, in voxels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from slabkit.errors import warn
from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.rows import placed, read_bare_points, write_bare_points
from slabkit.formats.source import Source

if TYPE_CHECKING:
    from slabkit.formats.tables.native import PickList

_HALF_FLOAT = 2048  # from here on TomoTwin's 16-bit numbers are even only


def read(source: Source, context: Context) -> ParsedPicks:
    """Read ``x y z`` of a file that has the reference's name, which becomes the species."""
    xyz, where = read_bare_points(source), source.where
    names = context.names(None, len(xyz), where, "a list of bare coordinates")
    unit = context.voxel_sizes(names, where)
    found = placed(names, xyz * unit[:, None])
    if where != "-" and len(xyz):
        found["slabkitSpecies"] = [Path(where).stem] * len(xyz)
    large = int((xyz >= _HALF_FLOAT).sum())
    if large:
        warn(
            f"{where}: {large} coordinates are {_HALF_FLOAT} or more, where TomoTwin's "
            "16-bit numbers are known to the nearest even voxel only."
        )
    return ParsedPicks(found, unit)


def _file_name(picks: PickList) -> str:
    first = picks.picks.iloc[0]
    return f"{first['slabkitTomogram']}/{first['slabkitSpecies'] or 'unknown'}.coords"


FORMAT = FileFormat(
    name="tomotwin",
    title="TomoTwin picks of one reference (.coords), named like it",
    unit="voxels",
    origin="centre of the first voxel = 0",
    lost="everything but x, y, z; one tomogram and species a file; say --from tomotwin; "
    ".tloc is refused",
    sniff=lambda source: source.suffix == ".coords",
    read=read,
    write=write_bare_points,
    keeps=frozenset({"slabkitTomogram", "slabkitSpecies"}),
    one_file_per=("slabkitTomogram", "slabkitSpecies"),
    file_name=_file_name,
    folder_glob="*.coords",
    in_corner_unit="px",
)
