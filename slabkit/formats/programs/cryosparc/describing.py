"""What ``slabkit info`` says of CryoSPARC's files."""

from __future__ import annotations

import os
import re

from slabkit.errors import SlabkitError
from slabkit.formats.description import FileDescription, named
from slabkit.formats.programs.cryosparc.dataset import (
    STREAM_MAGIC,
    group_files,
    is_group,
    parse_dataset,
)
from slabkit.formats.source import Source

_PATHS = ("location/micrograph_path", "micrograph_blob/path", "blob/path")
_SLOT = re.compile(r"^  (?P<name>[A-Za-z_]\w*):\s*$", re.MULTILINE)
_ITEMS = re.compile(r"^\s+num_items:\s*(\d+)\s*$", re.MULTILINE)


def describe(source: Source) -> FileDescription:
    """Describe a dataset (``.cs``) or a result group (``.csg``)."""
    return _describe_group(source) if is_group(source.where) else _describe_dataset(source)


def _describe_dataset(source: Source) -> FileDescription:
    columns = parse_dataset(source.data, source.where)
    kind = "CryoSPARC dataset"
    if "micrograph_blob/path" in columns and "location/center_x_frac" not in columns:
        kind = "CryoSPARC micrographs"
    elif {"blob/idx", "location/center_x_frac"} & set(columns):
        kind = "CryoSPARC particles"
    field = next((name for name in _PATHS if name in columns), None)
    notes = []
    if field is not None:
        what = "stacks" if field == "blob/path" else "micrographs"
        notes.append(named(what, [str(value).lstrip(">") for value in columns[field].tolist()]))
    elif kind == "CryoSPARC dataset":
        notes.append("names no images: another file of its output has them (give the .csg)")
    return FileDescription(
        source.where,
        kind,
        "compressed .cs" if source.data.startswith(STREAM_MAGIC) else ".cs",
        rows=len(columns["uid"] if "uid" in columns else next(iter(columns.values()), ())),
        columns=tuple(columns),
        notes=tuple(notes),
    )


def _describe_group(source: Source) -> FileDescription:
    text, files = source.text, group_files(source.where)
    slots = [match["name"] for match in _SLOT.finditer(text.partition("results:")[2])]
    notes = [f"dataset {file.name}" for file in files if os.path.isfile(file)]
    said = [f"{file} is not there" for file in files if not os.path.isfile(file)]
    for file in files:
        if os.path.isfile(file):
            try:
                described = _describe_dataset(Source.load(file))
            except SlabkitError as error:
                said.append(str(error).rstrip("."))
            else:
                notes += [f"{file.name}: {note}" for note in described.notes]
    counts = [int(count) for count in _ITEMS.findall(text)]
    return FileDescription(
        source.where,
        "CryoSPARC result group",
        ".csg",
        rows=max(counts) if counts else None,
        columns=tuple(slots) or None,
        notes=tuple(notes),
        warnings=tuple(said),
    )
