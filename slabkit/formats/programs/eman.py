"""EMAN: the ``_info.json`` of EMAN2 with 3D or 2D boxes, and 2D boxes in ``.box`` text.

3D boxes are in unbinned pixels from the tomogram's centre: with the key ``apix_unbin`` a coordinate
counts unbinned pixels from index ``n // 2`` of the volume; files of before 2018 have no such key
and count voxels from the corner.

A ``.box`` has the lower-left corner of each box and its width and height, y from the first row of
the file; the centre is the corner plus half the size, halves of whole sizes rounded down, as RELION
reads it. 2D boxes in JSON are the centres themselves. One file is of one micrograph, which its name
tells.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import FormatError, warn
from slabkit.formats.file_format import FileFormat, ParsedPicks, Slabs, one_by_one, pooled
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.json_values import json_number, json_text
from slabkit.formats.programs.shared.rows import POSITIONS, file_a_tomogram, names_of_file, placed
from slabkit.formats.programs.shared.values import coordinates
from slabkit.formats.source import Source

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.tables.native import PickList

_UNBINNED = "emanApixUnbin"
_UNNAMED = re.compile(r"particles_\d+", re.ASCII)  # what EMAN2 calls a class that nobody named
_DEFAULT_BOX = 64  # what EMAN2 gives a class that has none


def read(source: Source, context: Context) -> ParsedPicks:
    """Read the 3D boxes of one tomogram; the names of their classes become species."""
    where = source.where
    content = source.json
    if not isinstance(content, dict) or not isinstance(content.get("boxes_3d"), list):
        raise FormatError(
            f"{where}: has no list boxes_3d, so no boxes of a tomogram; 2D boxes are for "
            "`slabkit map`."
        )
    boxes: list[Any] = content["boxes_3d"]
    classes = _classes(content.get("class_list"), where)
    xyz = np.empty((len(boxes), 3))
    scores = np.full(len(boxes), np.nan)
    methods, numbers = [], []
    for row, box in enumerate(boxes):
        place = f"{where}, box {row + 1}"
        if not isinstance(box, list) or len(box) < 3:
            raise FormatError(f"{place}: must be a list x, y, z, method, score, class.")
        xyz[row] = [json_number(v, axis, place) for v, axis in zip(box[:3], "xyz", strict=True)]
        methods.append(json_text(box[3], "method", place) if len(box) > 3 else "manual")
        if len(box) > 4 and box[4] is not None:
            scores[row] = json_number(box[4], "score", place)
        number = json_number(box[5], "class", place) if len(box) > 5 else 0.0
        if number != round(number):
            raise FormatError(f"{place}: class is {number}; it must be a whole number.")
        numbers.append(str(int(number)))
    if isinstance(content.get("curves"), list) and content["curves"]:
        warn(f"{where}: {len(content['curves'])} points of curves are no picks and were left out.")
    names = names_of_file(source, context, len(boxes), "_info")
    unbinned = content.get("apix_unbin")
    if unbinned is not None:
        context.sizes(names, where)  # refused first: --tomograms, which it asks for, has both
    voxel_size = context.voxel_sizes(names, where)
    unit, zero = voxel_size, np.zeros((len(boxes), 3))
    if unbinned is not None:
        unit = np.full(len(boxes), _pixel_size(unbinned, where))
        zero = (context.sizes(names, where) // 2) * voxel_size[:, None]
    found: dict[str, Any] = placed(names, xyz * unit[:, None] + zero)
    if not boxes:
        return ParsedPicks(found)
    found["slabkitScore"] = scores
    found["slabkitScoreKind"] = [f"eman-{method}" if method else "eman" for method in methods]
    found["slabkitSpecies"] = [classes.get(number, ("", ""))[0] for number in numbers]
    found["emanMethod"], found["emanClass"] = methods, numbers
    found["emanBoxSize"] = [classes.get(number, ("", ""))[1] for number in numbers]
    if unbinned is not None:
        found[_UNBINNED] = [repr(float(size)) for size in unit]
    return ParsedPicks(found, unit, zero)


def write(picks: PickList, context: Context) -> str:
    """Write the boxes, the classes and the unbinned pixel size of one tomogram."""
    table = picks.picks
    names = table["slabkitTomogram"].tolist()
    voxel_size = context.voxel_sizes(names, "eman")
    zero = (context.sizes(names, "eman") // 2) * voxel_size[:, None]
    unit = _unit_to_write(picks, voxel_size, context)
    points = (table[list(POSITIONS)].to_numpy() - zero) / unit
    species = list(dict.fromkeys(table["slabkitSpecies"].tolist()))
    methods = table["emanMethod"] if "emanMethod" in table.columns else [""] * len(table)
    scores = np.nan_to_num(table["slabkitScore"].to_numpy(), posinf=0.0, neginf=0.0).tolist()
    boxes = [
        [*point, method or "slabkit", score, species.index(name)]
        for point, method, score, name in zip(
            points.tolist(), methods, scores, table["slabkitSpecies"].tolist(), strict=True
        )
    ]
    sizes = _box_sizes(picks, unit)
    content = {
        "apix_unbin": unit,
        "boxes_3d": boxes,
        "class_list": {
            str(number): {"boxsize": sizes.get(name, _DEFAULT_BOX), "name": name or "particles_00"}
            for number, name in enumerate(species)
        },
    }
    return json.dumps(content, indent=1) + "\n"


def _classes(content: Any, where: str) -> dict[str, tuple[str, str]]:
    """Give name and box size by number."""
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
        raise FormatError(f"{where}: class_list must have an object for each class.")
    classes = {}
    for number, entry in content.items():
        size = entry.get("boxsize")
        text = "" if size is None else f"{json_number(size, 'boxsize', where):g}"
        name = json_text(entry.get("name"), "name", where)
        classes[number] = ("" if _UNNAMED.fullmatch(name) else name, text)
    return classes


def _pixel_size(value: Any, where: str) -> float:
    if isinstance(value, str):  # scripts that make these files write it so
        size = float(coordinates([value], "apix_unbin", where)[0])
    else:
        size = json_number(value, "apix_unbin", where)
    if size <= 0:
        raise FormatError(f"{where}: apix_unbin is {size:g}; it must be positive.")
    return size


def _unit_to_write(picks: PickList, voxel_size: npt.NDArray[np.float64], context: Context) -> float:
    if not len(picks.picks):
        return 1.0
    if context.binning is not None:
        return float(voxel_size[0]) / context.binning
    kept = set(picks.picks[_UNBINNED]) - {""} if _UNBINNED in picks.picks.columns else set()
    if len(kept) == 1:
        return _pixel_size(kept.pop(), "eman")
    return float(voxel_size[0])


def _box_sizes(picks: PickList, unit: float) -> dict[str, int]:
    """Give the box of each species in unbinned pixels: as it was, else twice the diameter."""
    table = picks.picks
    sizes = {}
    for name, rows in table.groupby("slabkitSpecies"):
        kept = set(rows["emanBoxSize"]) - {""} if "emanBoxSize" in rows.columns else set()
        diameter = rows["slabkitDiameter"].max()
        if len(kept) == 1:
            sizes[str(name)] = round(float(coordinates([kept.pop()], "emanBoxSize", "eman")[0]))
        elif np.isfinite(diameter) and diameter > 0:
            sizes[str(name)] = 2 * max(1, round(float(diameter) / unit))
    return sizes


def read_box(source: Source, slabs: Slabs) -> pd.DataFrame:
    """Read the boxes of one micrograph."""
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


def read_info(source: Source, slabs: Slabs) -> pd.DataFrame:
    """Read the 2D boxes of one micrograph out of EMAN2's ``info`` folder."""
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


FORMAT = FileFormat(
    name="eman",
    title="EMAN2 boxes of a tomogram (info/<tomogram>_info.json)",
    unit="pixels of the unbinned tilt series (voxels where apix_unbin is missing)",
    origin="voxel size/2, rounded down, of each axis = 0 (the first voxel where apix_unbin is "
    "missing)",
    lost="ids, sizes, what else an info file holds; one tomogram a file; --binning gives the "
    "unbinned pixels",
    sniff=lambda source: "boxes_3d" in source.keys,
    read=read,
    write=write,
    keeps=frozenset(
        {"slabkitTomogram", "slabkitSpecies", "slabkitScore"}
        | {"emanMethod", "emanClass", "emanBoxSize", _UNBINNED}
    ),
    folder_glob="*_info.json",
    in_corner_unit="px",
    **file_a_tomogram("_info.json", "info/"),
)
BOX = FileFormat(
    name="eman-box",
    title="EMAN's boxes of one micrograph (<micrograph>.box), also crYOLO's",
    unit="pixels",
    origin="corner of the box; its centre is corner + size // 2",
    sniff=lambda source: source.suffix == ".box",
    read_picks2d=one_by_one(read_box),
)
INFO = FileFormat(
    name="eman-info",
    title="EMAN2's 2D boxes (info/<micrograph>_info.json)",
    unit="pixels",
    origin="centre of the first pixel = 0, y from the first row",
    sniff=lambda source: source.where.lower().endswith("_info.json") or "boxes" in source.keys,
    read_picks2d=one_by_one(read_info),
)
