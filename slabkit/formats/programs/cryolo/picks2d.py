"""crYOLO's ``.cbox``: a STAR dialect with the corners of boxes, one file a micrograph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slabkit.errors import FormatError, InputError
from slabkit.formats.file_format import FileFormat, Slabs, one_by_one
from slabkit.formats.programs.shared.values import coordinates, optional_numbers
from slabkit.formats.source import Source

if TYPE_CHECKING:
    import pandas as pd

_NEEDED = ("CoordinateX", "CoordinateY", "Width", "Height")


def sniff(source: Source) -> bool:
    """Tell by crYOLO's labels."""
    return set(_NEEDED) <= source.labels


def read(source: Source, slabs: Slabs) -> pd.DataFrame:
    """Read the boxes of one micrograph.

    Parameters
    ----------
    source : Source
        The centre of a box is its corner plus half its width and height.
    slabs : Slabs

    Returns
    -------
    DataFrame
        The score is crYOLO's confidence.

    Raises
    ------
    FormatError
        It has no such block.
    InputError
        A value is no number, the boxes are of a tomogram, or the micrograph is not known.
    """
    import pandas as pd

    where = source.where
    blocks = source.blocks
    block = next((b for b in blocks.values() if set(_NEEDED) <= set(b.columns)), None)
    if block is None:
        raise FormatError(f"{where}: no block has the columns {', '.join(_NEEDED)}.")
    name = slabs.names.of_file(where, (".cbox", ".star"))
    corner_x, corner_y, width, height = (
        coordinates(block[label].tolist(), label, where) for label in _NEEDED
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


CBOX = FileFormat(
    name="cryolo",
    title="crYOLO's boxes of one micrograph (<micrograph>.cbox)",
    unit="pixels",
    origin="corner of the box; its centre is corner + size / 2",
    index_base="0",
    sniff=sniff,
    read_picks2d=one_by_one(read),
)
