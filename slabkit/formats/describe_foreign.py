"""What slabkit understands of other programs' pick files, for ``slabkit info``."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.errors import FormatError, InputError, SlabkitError, SlabkitWarning
from slabkit.formats.describe import FileDescription
from slabkit.formats.programs.cryosparc.dataset import STREAM_MAGIC, parse_dataset
from slabkit.formats.programs.cryosparc.group import group_files, is_group
from slabkit.formats.source import Source

if TYPE_CHECKING:
    from slabkit.formats.tables.native import PickList

_SHOWN = 3
_BARE = ("imod", "artiax", "tomotwin", "cryolo-coords")
_PATHS = ("location/micrograph_path", "micrograph_blob/path", "blob/path")
_SLOT = re.compile(r"^  (?P<name>[A-Za-z_]\w*):\s*$", re.MULTILINE)
_ITEMS = re.compile(r"^\s+num_items:\s*(\d+)\s*$", re.MULTILINE)


def describe_dataset(path: str) -> FileDescription:
    """Describe a dataset of CryoSPARC (``.cs``)."""
    data = Source.load(path).data
    columns = parse_dataset(data, path)
    kind = "CryoSPARC dataset"
    if "micrograph_blob/path" in columns and "location/center_x_frac" not in columns:
        kind = "CryoSPARC micrographs"
    elif {"blob/idx", "location/center_x_frac"} & set(columns):
        kind = "CryoSPARC particles"
    field = next((name for name in _PATHS if name in columns), None)
    notes = []
    if field is not None:
        what = "stacks" if field == "blob/path" else "micrographs"
        notes.append(_named(what, [str(value).lstrip(">") for value in columns[field].tolist()]))
    elif kind == "CryoSPARC dataset":
        notes.append("names no images: another file of its output has them (give the .csg)")
    return FileDescription(
        path,
        kind,
        "compressed .cs" if data.startswith(STREAM_MAGIC) else ".cs",
        rows=len(columns["uid"] if "uid" in columns else next(iter(columns.values()), ())),
        columns=tuple(columns),
        notes=tuple(notes),
    )


def describe_text(where: str, text: str) -> FileDescription:
    """Describe a text file that is no STAR file."""
    from slabkit.formats.registry import detect_format

    if is_group(where):
        return _describe_group(where, text)
    source = Source(where, text.encode())
    lines = [line for line in text.split("\n") if line.strip()]
    columns, stored_as = _columns(lines)
    flat = flat_picks(source)
    if flat is not None:
        return FileDescription(where, "picks2d", flat, rows=_boxes(text, lines), columns=columns)
    try:
        found = detect_format(source)
    except FormatError:
        pass
    else:
        if found.sniff(source) or (found.name == "dynamo" and _numbers(lines) >= 26):
            return _describe_picks(source, found.name, columns)
    if _is_record(text):
        return FileDescription(where, "record of a run of slabkit", "JSON")
    width = _numbers(lines)
    if 3 <= width <= 5:
        return FileDescription(
            where,
            "coordinates",
            f"text, {width} columns of numbers",
            rows=len(lines),
            notes=(f"nothing says whose they are: give --from ({', '.join(_BARE)})",),
        )
    if columns is None:
        raise FormatError(f"{where}: is a text file that slabkit does not understand.")
    return FileDescription(where, "table", stored_as, rows=len(lines) - 1, columns=columns)


def describe_star_picks(where: str, text: str) -> tuple[str, str, tuple[str, ...]] | None:
    """Tell whose picks a STAR file holds, where they are not slabkit's."""
    from slabkit.formats.registry import formats_of

    source = Source(where, text.encode())
    names = [entry.name for entry in formats_of("picks") if entry.sniff(source)]
    flat = flat_picks(source)
    if names == ["cryolo"] and flat is not None:  # a place along z says which of the two it is
        try:
            _read(source, "cryolo")
        except SlabkitError:
            names = []
    if names:
        picks = None
        for name in names:
            try:
                picks = picks or _read(source, name)[0]
            except SlabkitError:
                continue
        notes = () if picks is None else (_tomograms(picks),)
        return "pick list", f"STAR, {' or '.join(names)}", notes
    return ("picks2d", f"STAR, {flat}", ()) if flat is not None else None


def flat_picks(source: Source) -> str | None:
    """Give the dialect of 2D picks that a file is of; None where it is of none or of several."""
    from slabkit.formats.registry import formats_of

    names = []
    for dialect in formats_of("picks2d"):
        try:
            names += [dialect.name] * dialect.sniff(source)
        except SlabkitError:
            continue
    if names == ["eman-info"] and b'"boxes"' not in source.data:
        return None  # the name alone says so, and there are boxes of a tomogram in it
    return names[0] if len(names) == 1 else None


def _describe_group(where: str, text: str) -> FileDescription:
    files = group_files(where)
    slots = [match["name"] for match in _SLOT.finditer(text.partition("results:")[2])]
    notes = [f"dataset {file.name}" for file in files if file.is_file()]
    said = [f"{file} is not there" for file in files if not file.is_file()]
    for file in files:
        if file.is_file():
            try:
                notes += [f"{file.name}: {note}" for note in describe_dataset(str(file)).notes]
            except SlabkitError as error:
                said.append(str(error).rstrip("."))
    counts = [int(count) for count in _ITEMS.findall(text)]
    return FileDescription(
        where,
        "CryoSPARC result group",
        ".csg",
        rows=max(counts) if counts else None,
        columns=tuple(slots) or None,
        notes=tuple(notes),
        warnings=tuple(said),
    )


def _describe_picks(source: Source, name: str, columns: tuple[str, ...] | None) -> FileDescription:
    where = source.where
    rows, notes = None, list[str]()
    said: list[str]
    try:
        picks, said = _read(source, name)
    except SlabkitError as error:
        said = [str(error).removeprefix(f"{where}: ").rstrip(".")]
    else:
        rows = len(picks.picks)
        notes = [_tomograms(picks)] if rows else []
    return FileDescription(
        where,
        "pick list",
        name,
        rows=rows,
        columns=columns,
        notes=tuple(notes),
        warnings=tuple(said),
    )


def _read(source: Source, name: str) -> tuple[PickList, list[str]]:
    """Read picks as far as the file goes: what it does not say itself is noted, not demanded."""
    from slabkit.formats.picks.reading import read_picks

    first: SlabkitError | None = None
    bare = Path(source.where).name.partition(".")[0] or "tomogram"
    further: list[dict[str, Any]] = [
        {},
        {"tomogram": bare},
        {"voxel_size": 1.0},
        {"voxel_size": 1.0, "tomogram": bare},
    ]
    for given in further:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", SlabkitWarning)
            try:
                picks = read_picks(source, format=name, check_bounds=False, **given)
            except InputError as error:
                first = first or error
                continue
        said = [str(item.message) for item in caught]
        if first is not None:
            said.insert(0, str(first))
        return picks, [text.removeprefix(f"{source.where}: ").rstrip(".") for text in said]
    assert first is not None
    raise first


def _tomograms(picks: PickList) -> str:
    return _named("tomograms", picks.picks["slabkitTomogram"].tolist())


def _named(what: str, names: Sequence[str]) -> str:
    different = list(dict.fromkeys(names))
    shown = ", ".join(different[:_SHOWN]) + ", ..." * (len(different) > _SHOWN)
    return f"{what} ({len(different)}): {shown or 'none'}"


def _boxes(text: str, lines: list[str]) -> int:
    if not text.lstrip().startswith("{"):
        header = bool(lines) and _numbers(lines[:1]) == 0
        return len(lines) - header
    try:
        return len(json.loads(text)["boxes"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0


def _is_record(text: str) -> bool:
    try:
        content = json.loads(text) if text.lstrip().startswith("{") else None
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and {"step", "parameters", "inputs"} <= set(content)


def _numbers(lines: list[str]) -> int:
    """Give the number of columns where all lines are as many numbers; else 0."""
    widths = set()
    for line in lines:
        values = line.split()
        widths.add(len(values))
        try:
            [float(value) for value in values]
        except ValueError:
            return 0
    return widths.pop() if len(widths) == 1 else 0


def _columns(lines: list[str]) -> tuple[tuple[str, ...] | None, str]:
    """Give the column names of a table in text, None where the text is none."""
    for separator, stored_as in (("\t", "TSV"), (",", "CSV"), (";", "CSV with semicolons")):
        head = lines[0].split(separator) if lines else []
        if len(head) > 1 and all(line.count(separator) == len(head) - 1 for line in lines[1:20]):
            return tuple(name.strip().strip('"') for name in head), stored_as
    return None, "text"
