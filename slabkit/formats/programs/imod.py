"""IMOD points: the text that model2point writes and point2model reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.errors import FormatError
from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.values import coordinates
from slabkit.formats.source import Source
from slabkit.formats.tables.star import real_text

if TYPE_CHECKING:
    from slabkit.formats.tables.native import PickList

# Model coordinates have 0, 0 at the lower-left corner of the first pixel, but z = 0 at the centre
# of the first section.
_CORNER_PX = np.array([0.5, 0.5, 0.0])

_EXTRA = {3: (), 4: ("imodContour",), 5: ("imodObject", "imodContour")}


def read(source: Source, context: Context) -> ParsedPicks:
    """Read points, with or without object and contour numbers in front.

    Parameters
    ----------
    source : Source
    context : Context
        The tomogram's name and voxel size are needed.

    Returns
    -------
    ParsedPicks

    Raises
    ------
    InputError
        A row has not 3, 4 or 5 numbers like the others, or the tomogram is not known.
    """
    where = source.where
    rows: list[list[str]] = []
    for number, line in enumerate(source.text.split("\n"), 1):
        values = line.split()
        if not values or values[0].startswith("#"):
            continue
        if len(values) not in _EXTRA or len(values) != len(rows[0] if rows else values):
            raise FormatError(
                f"{where}, line {number}: {len(values)} values; IMOD points have x y z, with the "
                "contour or object and contour number in front, alike in every row."
            )
        rows.append(values)
    width = len(rows[0]) if rows else 3
    columns = list(zip(*rows, strict=True)) or [()] * width
    xyz = np.column_stack(
        [coordinates(columns[width - 3 + i], axis, where) for i, axis in enumerate("xyz")]
    )
    names = context.names(None, len(xyz), where, "IMOD text")
    unit = context.voxel_sizes(names, where)
    zero = -_CORNER_PX * unit[:, None]
    found: dict[str, Any] = {"slabkitTomogram": names}
    for axis, values in zip("XYZ", (xyz * unit[:, None] + zero).T, strict=True):
        found[f"slabkit{axis}"] = values
    found |= {name: list(columns[i]) for i, name in enumerate(_EXTRA[width])}
    return ParsedPicks(found, unit, zero)


def write(picks: PickList, context: Context) -> str:
    """Write ``x y z``, one pick a line."""
    table = picks.picks
    voxel_size = context.voxel_sizes(table["slabkitTomogram"].tolist(), "imod")[:, None]
    points = table[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy() / voxel_size + _CORNER_PX
    return "".join(" ".join(map(real_text, point)) + "\n" for point in points.tolist())


def sniff(source: Source) -> bool:
    """Never: bare numbers do not say whose they are."""
    return False


def _file_name(picks: PickList) -> str:
    return f"{picks.picks['slabkitTomogram'].iloc[0]}.txt"


FORMAT = FileFormat(
    name="imod",
    title="IMOD model2point text",
    suffixes=(),
    unit="voxels",
    origin="x, y: corner of the first pixel = 0 (its centre 0.5); z: centre of the first section",
    index_base="0",
    lost="everything but x, y, z; one tomogram a file; never detected, say --from imod",
    sniff=sniff,
    read=read,
    write=write,
    keeps=frozenset({"slabkitTomogram"}),
    one_file_per=("slabkitTomogram",),
    file_name=_file_name,
    in_corner_unit="px",
)
