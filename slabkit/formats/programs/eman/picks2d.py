"""EMAN's 2D boxes: ``.box`` text, and the ``_info.json`` of EMAN2.

A ``.box`` has the lower-left corner of each box and its width and height, y from the first row of
the file; the centre is the corner plus half the size, halves of whole sizes rounded down, as RELION
reads it. EMAN2's JSON has the centres themselves. One file is of one micrograph, which its name
tells.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slabkit.errors import FormatError
from slabkit.formats.file_format import FileFormat, Slabs, one_by_one, pooled
from slabkit.formats.programs.shared.values import coordinates
from slabkit.formats.source import Source

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd


def sniff_box(source: Source) -> bool:
    """Tell by the name: columns of numbers say nothing about themselves."""
    return source.suffix == ".box"


def read_box(source: Source, slabs: Slabs) -> pd.DataFrame:
    """Read the boxes of one micrograph.

    Parameters
    ----------
    source : Source
    slabs : Slabs

    Returns
    -------
    DataFrame

    Raises
    ------
    FormatError
        A row is not ``x y width height``, perhaps with a mode behind.
    InputError
        A value is no number, or the micrograph is not known.
    """
    where = source.where
    name = slabs.names.of_file(where, (".box",))
    rows: list[list[str]] = []
    for number, line in enumerate(source.text.split("\n"), 1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        if len(fields) not in (4, 5):
            raise FormatError(
                f"{where}, line {number}: {len(fields)} values; a box is x, y, width, height and "
                "perhaps a mode."
            )
        rows.append(fields)
    if not rows:
        return pooled([])
    corner_x, corner_y, width, height = (
        coordinates([row[column] for row in rows], what, where)
        for column, what in enumerate(("x", "y", "width", "height"))
    )
    return _table(name, corner_x + _half(width), corner_y + _half(height))


def sniff_info(source: Source) -> bool:
    """Tell by a JSON object with ``boxes``, or by the name."""
    return Path(source.where).name.lower().endswith("_info.json") or "boxes" in source.keys


def read_info(source: Source, slabs: Slabs) -> pd.DataFrame:
    """Read the 2D boxes of one micrograph out of EMAN2's ``info`` folder.

    Parameters
    ----------
    source : Source
    slabs : Slabs

    Returns
    -------
    DataFrame

    Raises
    ------
    FormatError
        It is not such JSON, or holds 3D boxes.
    InputError
        A value is no number, or the micrograph is not known.
    """
    where = source.where
    content = source.json
    if not isinstance(content, dict):
        raise FormatError(f"{where}: is no JSON object, so no EMAN2 info file.")
    if content.get("boxes_3d") and not content.get("boxes"):
        raise FormatError(
            f"{where}: has 3D boxes (boxes_3d) and no 2D ones; give it to convert or score."
        )
    name = slabs.names.of_file(where, ("_info.json", ".json"))
    boxes = content.get("boxes", [])
    if not isinstance(boxes, list):
        raise FormatError(f"{where}: boxes is no list.")
    for number, box in enumerate(boxes, 1):
        if not isinstance(box, list) or len(box) < 2 or any(isinstance(v, bool) for v in box[:2]):
            raise FormatError(f"{where}: box {number} is not [x, y, ...].")
    if not boxes:
        return pooled([])
    x, y = (
        coordinates([str(box[column]) for box in boxes], f"box {what}", where)
        for column, what in enumerate("xy")
    )
    return _table(name, x, y)


def _half(size: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(size == np.round(size), size // 2, size / 2)


def _table(name: str, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"rlnMicrographName": name, "rlnCoordinateX": x, "rlnCoordinateY": y})


BOX = FileFormat(
    name="eman-box",
    title="EMAN's boxes of one micrograph (<micrograph>.box), also crYOLO's",
    unit="pixels",
    origin="corner of the box; its centre is corner + size // 2",
    index_base="0",
    sniff=sniff_box,
    read_picks2d=one_by_one(read_box),
)

INFO = FileFormat(
    name="eman-info",
    title="EMAN2's 2D boxes (info/<micrograph>_info.json)",
    unit="pixels",
    origin="centre of the first pixel = 0, y from the first row",
    index_base="0",
    sniff=sniff_info,
    read_picks2d=one_by_one(read_info),
)
