"""crYOLO: ``.cbox`` files of tomograms and micrographs, and its folder ``coords``.

A ``.cbox`` is a STAR dialect with the corners of boxes, one file a tomogram or micrograph; x and y
are of the corner, z is of the centre.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.errors import FormatError, InputError
from slabkit.formats.file_format import FileFormat, ParsedPicks, Slabs, one_by_one
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.relion_star import Columns, RelionStar
from slabkit.formats.programs.shared.rows import (
    file_a_tomogram,
    names_of_file,
    placed,
    read_bare_points,
    write_bare_points,
)
from slabkit.formats.programs.shared.values import coordinates, optional_numbers
from slabkit.formats.source import Source

if TYPE_CHECKING:
    import pandas as pd

_PLACE = ("CoordinateX", "CoordinateY", "CoordinateZ")
_SIZE = ("Width", "Height")
_NEEDED_2D = (*_PLACE[:2], *_SIZE)
_MISSING = ("", "<NA>", "nan", "none", "None")


def read(source: Source, context: Context) -> ParsedPicks:
    """Read the boxes of a tomogram, named like the file; the confidence becomes the score."""
    where = source.where
    star = RelionStar.read(source, Columns(needed=(*_PLACE, *_SIZE), scores=("Confidence",)))
    depths = star.table[_PLACE[2]]
    if len(depths) and depths.isin(_MISSING).all():
        raise FormatError(
            f"{where}: its boxes have no z, so they are picks on images, for `slabkit map`."
        )
    xyz = star.numbers(_PLACE)
    xyz[:, :2] += star.numbers(_SIZE) / 2
    names = names_of_file(source, context, len(xyz))
    unit = context.voxel_sizes(names, where)
    found: dict[str, Any] = placed(names, xyz * unit[:, None]) | star.score()
    if "slabkitScore" in found:
        scores = found["slabkitScore"]
        found["slabkitScoreKind"] = ["" if score != score else "cryolo" for score in scores]
    for name in star.table.columns:
        texts = ["" if text in _MISSING else text for text in star.table[name].tolist()]
        if name not in (*_PLACE, "Confidence") and any(texts):
            found[f"cryolo{name}"] = texts
    return ParsedPicks(found, unit)


def read_picks2d(source: Source, slabs: Slabs) -> pd.DataFrame:
    """Read the boxes of one micrograph, named like the file."""
    import pandas as pd

    where = source.where
    found = [block for block in source.blocks.values() if set(_NEEDED_2D) <= set(block.columns)]
    if not found:
        raise FormatError(f"{where}: no block has the columns {', '.join(_NEEDED_2D)}.")
    block = found[0]
    name = slabs.names.of_file(where, (".cbox", ".star"))
    corner_x, corner_y, width, height = (
        coordinates(block[label].tolist(), label, where) for label in _NEEDED_2D
    )
    if "Depth" in block.columns and "CoordinateZ" in block.columns:
        depth = optional_numbers(block["Depth"].tolist(), "Depth", where)
        if (depth > 1).any():
            raise InputError(
                f"{where}: its boxes have a depth of {np.nanmax(depth):g} voxels, so they were "
                "picked in a tomogram, not on a slab; give them to convert or score."
            )
    columns: dict[str, object] = {
        "rlnMicrographName": [name] * len(block),
        "rlnCoordinateX": corner_x + width / 2,
        "rlnCoordinateY": corner_y + height / 2,
    }
    if "Confidence" in block.columns:
        columns["rlnAutopickFigureOfMerit"] = optional_numbers(
            block["Confidence"].tolist(), "Confidence", where
        )
        columns["slabkitScoreKind"] = ["cryolo-confidence"] * len(block)
    return pd.DataFrame(columns)


def read_coords(source: Source, context: Context) -> ParsedPicks:
    """Read ``x y z`` of a file that has the tomogram's name."""
    xyz = read_bare_points(source)
    names = names_of_file(source, context, len(xyz))
    unit = context.voxel_sizes(names, source.where)
    return ParsedPicks(placed(names, xyz * unit[:, None]), unit)


BOXES_3D = FileFormat(
    name="cryolo",
    title="crYOLO boxes of a tomogram (.cbox), named like it",
    unit="voxels",
    origin="centre of the first voxel = 0; x and y of the box's corner, z of its centre",
    lost="only read; see `cryolo-coords`",
    sniff=lambda source: {*_PLACE[:1], "Width"} <= set(source.block_labels.get("cryolo", ())),
    read=read,
    folder_glob="*.cbox",
    in_corner_unit="px",
)
BOXES_2D = FileFormat(
    name="cryolo",
    title="crYOLO's boxes of one micrograph (<micrograph>.cbox)",
    unit="pixels",
    origin="corner of the box; its centre is corner + size / 2",
    sniff=lambda source: set(_NEEDED_2D) <= source.labels,
    read_picks2d=one_by_one(read_picks2d),
)
COORDS = FileFormat(
    name="cryolo-coords",
    title="crYOLO's folder coords of a tomogram: x y z of a file named like it",
    unit="voxels",
    origin="centre of the first voxel = 0",
    lost="everything but x, y, z; one tomogram a file; say --from cryolo-coords",
    sniff=lambda source: source.suffix == ".coords",
    read=read_coords,
    write=write_bare_points,
    keeps=frozenset({"slabkitTomogram"}),
    folder_glob="*.coords",
    in_corner_unit="px",
    **file_a_tomogram(".coords"),
)
