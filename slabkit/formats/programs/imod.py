"""IMOD points: the text that model2point writes and point2model reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.rows import (
    file_a_tomogram,
    number_lines,
    number_rows,
    numbers,
    placed,
    points_in_voxels,
)
from slabkit.formats.source import Source

if TYPE_CHECKING:
    from slabkit.formats.tables.native import PickList

# Model coordinates have 0, 0 at the lower-left corner of the first pixel, but z = 0 at the centre
# of the first section.
CORNER_PX = np.array([0.5, 0.5, 0.0])

_EXTRA = {3: (), 4: ("imodContour",), 5: ("imodObject", "imodContour")}


def read(source: Source, context: Context) -> ParsedPicks:
    """Read points, with or without object and contour numbers in front."""
    where = source.where
    what = "IMOD points have x y z, with the contour or object and contour number in front"
    columns = number_rows(source, 3, 5, what)
    width = len(columns)
    xyz = numbers(columns[width - 3 :], "x y z", where)
    names = context.names(None, len(xyz), where, "IMOD text")
    unit = context.voxel_sizes(names, where)
    zero = -CORNER_PX * unit[:, None]
    kept = dict(zip(_EXTRA[width], columns, strict=False))
    return ParsedPicks(placed(names, xyz * unit[:, None] + zero) | kept, unit, zero)


def write(picks: PickList, context: Context) -> str:
    """Write ``x y z``, one pick a line."""
    return number_lines(points_in_voxels(picks, context, "imod") + CORNER_PX)


FORMAT = FileFormat(
    name="imod",
    title="IMOD model2point text",
    unit="voxels",
    origin="x, y: corner of the first pixel = 0 (its centre 0.5); z: centre of the first section",
    lost="everything but x, y, z; one tomogram a file; never detected, say --from imod",
    read=read,
    write=write,
    keeps=frozenset({"slabkitTomogram"}),
    in_corner_unit="px",
    **file_a_tomogram(".txt"),
)
