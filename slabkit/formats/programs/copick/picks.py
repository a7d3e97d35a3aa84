"""Picks files of copick: one JSON file a run (tomogram), object, user and session, in Å."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.errors import FormatError, InputError, warn
from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.json_values import (
    extra_columns,
    json_location,
    json_matrix,
    json_number,
    json_text,
    pick_objects,
    rotation_matrix,
    whole_number,
)
from slabkit.formats.programs.shared.orientations import with_rotations
from slabkit.formats.programs.shared.values import typed_columns
from slabkit.formats.source import Source
from slabkit.names import composed
from slabkit.tables import (
    PICKS,
    ROTATION,
    rotation_text,
)

if TYPE_CHECKING:
    from slabkit.formats.tables.native import PickList

_HEADER = ("pickable_object_name", "user_id", "session_id", "run_name", "voxel_spacing", "unit")
_OWN_KEYS = ("location", "transformation_", "score", "points", *_HEADER)
_POINT_KEYS = ("location", "transformation_", "score")
_READ_KEYS = ("pickable_object_name", "run_name", "voxel_spacing", "unit", "points")
_FILE_COLUMNS = ("user_id", "session_id", "trust_orientation")
_FORBIDDEN = re.compile(r'[<>:"/\\|?*_\s]+')
_USER, _SESSION = "slabkit", "0"  # session 0 is copick's word for "made by a program"


def read(source: Source, context: Context) -> ParsedPicks:
    """Read one picks file; a translation in a point's matrix is added to its location."""
    where = source.where
    content = source.json
    if not isinstance(content, dict):
        raise FormatError(f"{where}: is not a copick picks file: it is no JSON object.")
    missing = [key for key in ("pickable_object_name", "points") if key not in content]
    if missing:
        raise FormatError(f"{where}: is not a copick picks file: it has no {missing[0]}.")
    unit = content.get("unit", "angstrom")
    if unit != "angstrom":
        raise FormatError(f"{where}: unit is {unit!r}; copick picks are in 'angstrom'.")
    if content["points"] is not None and not isinstance(content["points"], list):
        raise FormatError(f"{where}: points is no list.")
    points: list[Any] = content["points"] or []
    xyz, rotations, scores, others = _points(points, where)
    extras = extra_columns(others, where)
    found: dict[str, Any] = {
        "slabkitTomogram": context.names(_run(content, source, len(points)), len(points), where),
        "slabkitSpecies": [json_text(content["pickable_object_name"], "name", where)] * len(points),
        "slabkitScore": scores,
    }
    for axis, values in zip("XYZ", xyz.T, strict=True):
        found[f"slabkit{axis}"] = values
    if any(rotations):
        found[ROTATION] = rotations
    found = typed_columns(extras, where) | found
    if "slabkitScoreKind" not in found:
        found["slabkitScoreKind"] = ["copick" if score == score else "" for score in scores]
    further = {key: value for key, value in content.items() if key not in _READ_KEYS}
    extras |= extra_columns([further] * len(points), where)
    return ParsedPicks(found | extras)


def _points(points: list[Any], where: str) -> tuple[Any, list[str], Any, list[dict[str, Any]]]:
    xyz = np.empty((len(points), 3))
    scores = np.full(len(points), np.nan)
    matrices: dict[int, Any] = {}
    others: list[dict[str, Any]] = []
    for number, point in enumerate(points):
        place = f"{where}, point {number + 1}"
        if not isinstance(point, dict):
            raise FormatError(f"{place}: is no JSON object.")
        xyz[number] = json_location(point.get("location"), place)
        if point.get("transformation_") is not None:
            matrices[number] = json_matrix(point["transformation_"], 4, "transformation_", place)
        if point.get("score") is not None:
            scores[number] = json_number(point["score"], "score", place)
        other = {key: value for key, value in point.items() if key not in _POINT_KEYS}
        if not other.get("instance_id"):
            other.pop("instance_id", None)
        elif not isinstance(other["instance_id"], int):
            raise FormatError(f"{place}: instance_id {other['instance_id']!r} is no whole number.")
        others.append(other)
    rotations = [""] * len(points)
    given = np.array(list(matrices), dtype=np.intp)
    matrix = np.array(list(matrices.values())).reshape(-1, 4, 4)
    wrong = given[~np.isclose(matrix[:, 3], (0, 0, 0, 1)).all(1)]
    if len(wrong):
        raise FormatError(
            f"{where}, point {wrong[0] + 1}: the last row of transformation_ is not 0, 0, 0, 1."
        )
    xyz[given] += matrix[:, :3, 3]
    moved = np.count_nonzero(matrix[:, :3, 3].any(1))
    turned = (matrix[:, :3, :3] != np.eye(3)).any((1, 2))
    for number in given[turned].tolist():
        rotations[number] = rotation_text(matrices[number][:3, :3])
    if moved:
        warn(
            f"{where}: {moved} of {len(points)} points had a translation in their matrix; it was "
            "added to their positions."
        )
    return xyz, rotations, scores, others


def _run(content: dict[str, Any], source: Source, count: int) -> list[str] | None:
    """Give the run's name: its folder in a project, what the file says, the folder of ``Picks``."""
    where = source.where
    name = json_text(content.get("run_name"), "run_name", where)
    if source.tomogram:
        if composed(name) not in ("", composed(source.tomogram)):
            warn(
                f"{where}: says that its run is {name}, and is in the folder of "
                f"{source.tomogram}; the folder holds, as it does for copick."
            )
        return [source.tomogram] * count
    path = Path(where)
    if not name and path.parent.name == "Picks":
        name = path.absolute().parent.parent.name
    return [name] * count if name else None


def write(picks: PickList, context: Context) -> str:
    """Write the picks of one tomogram and species."""
    table = with_rotations(picks.picks)
    names = picks.tomograms["slabkitTomogram"]
    run = table["slabkitTomogram"].iloc[0] if len(table) else names.iloc[0] if len(names) else None
    species = table["slabkitSpecies"].iloc[0] if len(table) else context.species or ""
    if len(table) and not species:
        raise InputError(
            f"copick: the picks in {run} have no species, and copick needs the name of an object; "
            "give --species NAME."
        )
    spacing = context.known_voxel_sizes([run])[0] if run is not None else np.nan
    content: dict[str, Any] = {
        "pickable_object_name": safe_name(species or "unknown"),
        "user_id": safe_name(_only(picks, "user_id") or _USER),
        "session_id": safe_name(_only(picks, "session_id") or _SESSION),
        "run_name": run,
        "voxel_spacing": float(spacing) if np.isfinite(spacing) else None,
        "unit": "angstrom",
    }
    # Without orientations the matrices say nothing, and copick would take them at their word.
    trusted = _only(picks, "trust_orientation") or str(ROTATION in table.columns)
    content["trust_orientation"] = trusted.lower() == "true"
    points = []
    positions = table[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy().tolist()
    scores = table["slabkitScore"].tolist()
    taken = (*_OWN_KEYS, *_FILE_COLUMNS, "slabkitScore", "slabkitTomogram", "slabkitSpecies")
    objects = pick_objects(table, taken)
    for place, score, others in zip(positions, scores, objects, strict=True):
        matrix, rotation = np.eye(4), others.pop(ROTATION, "")
        if rotation:
            matrix[:3, :3] = rotation_matrix(rotation, "copick")
        point: dict[str, Any] = {
            "location": dict(zip("xyz", place, strict=True)),
            "transformation_": matrix.tolist(),
            "instance_id": whole_number(others.pop("instance_id", 0), "instance_id"),
        }
        if np.isfinite(score):
            point["score"] = score
        points.append(point | others)
    return json.dumps(content | {"points": points}, indent=1) + "\n"


def _only(picks: PickList, column: str) -> str:
    """Give the one value of an extra column, or nothing."""
    values = set(picks.picks[column]) if column in picks.picks.columns else set()
    return str(values.pop()) if len(values) == 1 else ""


def safe_name(name: str) -> str:
    """Give a name as `escaped_name` does, and say so where it is another."""
    safe = escaped_name(name)
    if safe != name:
        warn(
            f"copick: the name {name!r} was written as {safe!r}, because copick allows no '_', "
            'spaces or <>:"/\\|?* in names.'
        )
    return safe


def escaped_name(name: str) -> str:
    """Give a name as copick allows it: dashes for what it does not allow."""
    return _FORBIDDEN.sub("-", name).strip("-") or "unknown"


def _file_name(picks: PickList) -> str:
    first = picks.picks.iloc[0]
    parts = (
        _only(picks, "user_id") or _USER,
        _only(picks, "session_id") or _SESSION,
        first["slabkitSpecies"],
    )
    return f"{first['slabkitTomogram']}/Picks/{'_'.join(map(escaped_name, parts))}.json"


FORMAT = FileFormat(
    name="copick",
    title="copick picks file (JSON)",
    suffixes=(".json",),
    unit="Å",
    origin="centre of the first voxel = 0",
    lost="tomogram sizes; one tomogram and species a file; names lose '_' and spaces; ids stand in "
    "keys that only slabkit reads",
    sniff=lambda source: {"pickable_object_name", "points"} <= source.keys,
    read=read,
    write=write,
    keeps=frozenset(PICKS.names),
    keeps_extra=True,
    one_file_per=("slabkitTomogram", "slabkitSpecies"),
    file_name=_file_name,
    folder_glob="**/*.json",
)
