"""Annotations of the CryoET Data Portal: one JSON object a line, in voxels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.errors import FormatError
from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.json_values import (
    extra_columns,
    json_location,
    json_matrix,
    load_json,
    pick_objects,
    rotation_matrix,
    whole_number,
)
from slabkit.formats.programs.shared.orientations import with_rotations
from slabkit.formats.programs.shared.rows import file_a_tomogram, placed, points_in_voxels
from slabkit.formats.programs.shared.values import typed_columns
from slabkit.formats.source import Source
from slabkit.tables import (
    PICKS,
    ROTATION,
    rotation_text,
)

if TYPE_CHECKING:
    from slabkit.formats.tables.native import PickList

_TYPES = ("point", "orientedPoint", "instancePoint")
_OWN_KEYS = ("type", "location", "xyz_rotation_matrix")


def read(source: Source, context: Context) -> ParsedPicks:
    """Read one object a line; blank lines pass."""
    locations: list[tuple[float, float, float]] = []
    rotations: list[str] = []
    others: list[dict[str, Any]] = []
    for number, line in enumerate(source.text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{source.where}, line {number}"
        item = load_json(line, where)
        if not isinstance(item, dict) or item.get("type") not in _TYPES:
            raise FormatError(f"{where}: is not an object with type {', '.join(_TYPES)}.")
        locations.append(json_location(item.get("location"), where))
        matrix = item.get("xyz_rotation_matrix")
        if item["type"] == "orientedPoint" and matrix is None:
            raise FormatError(f"{where}: an orientedPoint needs an xyz_rotation_matrix.")
        rotation = None if matrix is None else json_matrix(matrix, 3, "xyz_rotation_matrix", where)
        rotations.append("" if rotation is None else rotation_text(rotation))
        others.append({key: value for key, value in item.items() if key not in _OWN_KEYS})
    xyz = np.array(locations, dtype=float).reshape(-1, 3)
    extras = extra_columns(others, source.where)
    named = extras.pop("tomogram", None)
    if named is not None and not all(named):
        row = named.index("") + 1
        raise FormatError(f"{source.where}: some lines have a tomogram, but not pick {row}.")
    names = context.names(named, len(xyz), source.where, "the portal's ndjson")
    unit = context.voxel_sizes(names, source.where)
    found = placed(names, xyz * unit[:, None])
    if any(rotations):
        found[ROTATION] = rotations
    found |= typed_columns(extras, source.where)
    return ParsedPicks(found | extras, unit)


def write(picks: PickList, context: Context) -> str:
    """Write one object a line; what the portal does not know is in further keys."""
    return "".join(json.dumps(item) + "\n" for item in _items(picks, context))


def _items(picks: PickList, context: Context) -> Iterator[dict[str, Any]]:
    table = with_rotations(picks.picks)
    points = points_in_voxels(picks, context, "ndjson").tolist()
    for (x, y, z), others in zip(points, pick_objects(table, _OWN_KEYS), strict=True):
        item: dict[str, Any] = {"type": "point", "location": {"x": x, "y": y, "z": z}}
        rotation = others.pop(ROTATION, "")
        if "instance_id" in others:
            item["type"] = "instancePoint"
            others["instance_id"] = whole_number(others["instance_id"], "instance_id")
        if rotation:
            item["type"] = "orientedPoint"
            item["xyz_rotation_matrix"] = rotation_matrix(rotation, "ndjson")
        yield item | others


def sniff(source: Source) -> bool:
    """Tell by a first line that is an object with a type and a location."""
    first = source.first_line
    return first.startswith("{") and '"type"' in first and '"location"' in first


FORMAT = FileFormat(
    name="ndjson",
    title="CryoET Data Portal annotation, one JSON object a line",
    suffixes=(".ndjson", ".jsonl"),
    unit="voxels of the annotated tomogram",
    origin="centre of the first voxel = 0",
    lost="tomogram sizes and voxel sizes; one tomogram a file; ids, species and scores are in "
    "keys that only slabkit reads",
    sniff=sniff,
    read=read,
    write=write,
    keeps=frozenset(PICKS.names),
    keeps_extra=True,
    folder_glob="*.ndjson",
    in_corner_unit="px",
    **file_a_tomogram(".ndjson"),
)
