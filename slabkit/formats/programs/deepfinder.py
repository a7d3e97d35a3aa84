"""DeepFinder's object lists: XML, voxels of the array that was segmented."""

from __future__ import annotations

import re
from typing import Any

from slabkit.errors import FormatError
from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.rows import numbered_names, numbers, placed
from slabkit.formats.programs.shared.values import optional_numbers
from slabkit.formats.source import Source

_FIRST = re.compile(r"\s*(<\?xml[^>]*\?>\s*)?<objlist\b")
_KEPT = {
    "class_label": "deepfinderClass",
    "obj_id": "deepfinderObject",
    "psi": "deepfinderPsi",
    "phi": "deepfinderPhi",
    "the": "deepfinderThe",
}


def read(source: Source, context: Context) -> ParsedPicks:
    """Read objects; the size of a cluster becomes the score."""
    where = source.where
    objects = _objects(source)
    for number, item in enumerate(objects, 1):
        missing = [name for name in ("x", "y", "z") if name not in item]
        if missing:
            raise FormatError(f"{where}: object {number} has no {missing[0]}.")
    xyz = numbers([[item[axis] for item in objects] for axis in "xyz"], "x y z", where)
    indices = [item.get("tomo_idx", "").strip() for item in objects]
    if all(indices):
        names = numbered_names(indices, context, where)
    elif any(indices):
        row = indices.index("") + 1
        raise FormatError(f"{where}: some objects have a tomo_idx, but not object {row}.")
    else:
        names = context.names(None, len(objects), where, "this object list, without tomo_idx,")
    unit = context.voxel_sizes(names, where)
    found: dict[str, Any] = placed(names, xyz * unit[:, None])
    sizes = [item.get("cluster_size", "") for item in objects]
    if any(sizes):
        found["slabkitScore"] = optional_numbers(sizes, "cluster_size", where)
        found["slabkitScoreKind"] = ["deepfinder-cluster-size" if size else "" for size in sizes]
    for name, column in _KEPT.items():
        values = [item.get(name, "") for item in objects]
        if any(values):
            found[column] = values
    return ParsedPicks(found, unit)


def _objects(source: Source) -> list[dict[str, str]]:
    text = source.text
    if "<!" in text.replace("<!--", ""):
        # Entities can blow a small file up to gigabytes, and no object list has any.
        raise FormatError(f"{source.where}: has declarations (<!...), which object lists have not.")
    from xml.etree import ElementTree

    try:
        root = ElementTree.fromstring(text.lstrip())
    except (ElementTree.ParseError, ValueError) as error:
        raise FormatError(f"{source.where}: is not well-formed XML ({error}).") from error
    if root.tag != "objlist":
        raise FormatError(f"{source.where}: is no object list: <{root.tag}>, not <objlist>.")
    return [dict(item.attrib) for item in root.iter("object")]


FORMAT = FileFormat(
    name="deepfinder",
    title="DeepFinder object list (XML)",
    unit="voxels",
    origin="centre of the first voxel = 0",
    lost="only read; angles are kept but not turned into orientations",
    sniff=lambda source: _FIRST.match(source.head) is not None,
    read=read,
    in_corner_unit="px",
    numbered=True,
)
