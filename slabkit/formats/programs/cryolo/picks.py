"""crYOLO's ``.cbox`` files of tomograms: boxes in voxels, x and y of a corner, z of the centre."""

from __future__ import annotations

from typing import Any

import numpy as np

from slabkit.errors import FormatError
from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.rows import names_of_file, placed, star_table, triples
from slabkit.formats.programs.shared.values import optional_numbers
from slabkit.formats.source import Source

_NEEDED = ("CoordinateX", "CoordinateY", "CoordinateZ", "Width", "Height")
_MISSING = ("", "<NA>", "nan", "none", "None")


def read(source: Source, context: Context) -> ParsedPicks:
    """Read boxes; the confidence becomes the score.

    Parameters
    ----------
    source : Source
    context : Context
        The voxel size is needed; the file is named like the tomogram.

    Returns
    -------
    ParsedPicks

    Raises
    ------
    InputError
        Columns are missing, a number is none, boxes have no z, or the tomogram is not known.
    """
    where = source.where
    table = star_table(source, _NEEDED)
    depths = table["CoordinateZ"].tolist()
    if depths and all(depth in _MISSING for depth in depths):
        raise FormatError(
            f"{where}: its boxes have no z, so they are picks on images, for `slabkit map`."
        )
    values = triples([table[name].tolist() for name in _NEEDED], " ".join(_NEEDED), where)
    xyz = values[:, :3] + np.column_stack([values[:, 3:] / 2, np.zeros(len(values))])
    names = names_of_file(source, context, len(xyz))
    unit = context.voxel_sizes(names, where)
    found: dict[str, Any] = placed(names, xyz * unit[:, None])
    if "Confidence" in table.columns:
        scores = optional_numbers(table["Confidence"].tolist(), "Confidence", where)
        found["slabkitScore"] = scores
        found["slabkitScoreKind"] = ["" if score != score else "cryolo" for score in scores]
    for name in table.columns:
        texts = ["" if text in _MISSING else text for text in table[name].tolist()]
        if name not in (*_NEEDED[:3], "Confidence") and any(texts):
            found[f"cryolo{name}"] = texts
    return ParsedPicks(found, unit)


def sniff(source: Source) -> bool:
    """Tell by crYOLO's block and its boxes."""
    return {"CoordinateX", "Width"} <= set(source.block_labels.get("cryolo", ()))


FORMAT = FileFormat(
    name="cryolo",
    title="crYOLO boxes of a tomogram (.cbox), named like it",
    suffixes=(),
    unit="voxels",
    origin="centre of the first voxel = 0; x and y of the box's corner, z of its centre",
    index_base="0",
    lost="only read; see `cryolo-coords`",
    sniff=sniff,
    read=read,
    write=None,
    folder_glob="*.cbox",
    in_corner_unit="px",
)
