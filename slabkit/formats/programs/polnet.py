"""PolNet's lists of the molecules it placed: tab-separated though called .csv, in Å."""

from __future__ import annotations

from typing import Any

from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.csv_columns import csv_columns
from slabkit.formats.programs.shared.rows import names_of_file, numbers, placed, series_name
from slabkit.formats.source import Source

_NEEDED = ("Type", "Label", "Code", "X", "Y", "Z")
_PATHS = ("Density", "Micrographs", "PolyData")


def read(source: Source, context: Context) -> ParsedPicks:
    """Read motifs; their code becomes the species."""
    where = source.where
    columns = csv_columns(source.text, _NEEDED, "PolNet's motif list", where, "\t")
    xyz = numbers([columns[axis] for axis in "XYZ"], "X Y Z", where)
    if "Tomo3D" in columns:
        named = [series_name(text) for text in columns["Tomo3D"]]
        names = context.names(named, len(xyz), where)
    else:
        names = names_of_file(source, context, len(xyz), "_motif_list")
    unit: Any = context.voxel_sizes(names, where) if context.unit == "px" else 1.0
    found: dict[str, Any] = placed(names, xyz * (unit[:, None] if context.unit == "px" else 1.0))
    found["slabkitSpecies"] = columns["Code"]
    for name, values in columns.items():
        if name not in ("X", "Y", "Z", "Code", "Tomo3D", *_PATHS):
            found[f"polnet{name}"] = values
    return ParsedPicks(found, unit)


FORMAT = FileFormat(
    name="polnet",
    title="PolNet motif list (tab-separated, `_motif_list.csv`)",
    unit="Å (voxels with --unit px)",
    origin="centre of the first voxel = 0",
    lost="only read; quaternions are kept but not turned into orientations",
    sniff=lambda source: set(_NEEDED) <= set(source.header),
    read=read,
    units=("angstrom", "px"),
)
