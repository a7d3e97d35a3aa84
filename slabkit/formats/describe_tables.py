"""What ``slabkit info`` says of text: slabkit's tables and other programs' picks."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.errors import FormatError, InputError, SlabkitError, SlabkitWarning
from slabkit.formats.description import FileDescription, named
from slabkit.formats.picks.reading import read_picks
from slabkit.formats.registry import detect_format, fitting_formats
from slabkit.formats.source import Source
from slabkit.formats.tables import native
from slabkit.formats.tomograms.relion import SET_PARTICLES, SET_TOMOGRAMS, file_of_set
from slabkit.tables import check_width

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.tables.native import PickList

_BARE = ("imod", "artiax", "tomotwin", "cryolo-coords")

# The reader that the commands use says what is wrong with a table of ours.
_READERS: dict[str, Any] = {
    "pick list": native.read_native_picks,
    "minislab table": native.read_minislabs,
    "labels": native.read_labels,
    "slab table": native.read_slabs,
    "picks2d": native.read_picks2d,
}


def describe_text(source: Source) -> FileDescription:
    """Say what a text file is, or that slabkit does not understand it."""
    where = source.where
    if source.is_star or source.suffix == ".star":
        return _describe_star(source)
    lines = [line for line in source.text.split("\n") if line.strip()]
    columns, stored_as = _columns(lines, where)
    flat = _format_of_picks2d(source)
    if flat is not None:
        rows = _count_of_picks2d(source, lines)
        return FileDescription(where, "picks2d", flat, rows=rows, columns=columns)
    width = _numbers(lines)
    try:
        found = detect_format(source)
    except FormatError:
        pass
    else:
        if found.sniff(source) or (found.name == "dynamo" and width >= 26):
            return describe_picks(source, found.name, columns)
    if {"step", "parameters", "inputs"} <= source.keys and _is_json(source):
        return FileDescription(where, "record of a run of slabkit", "JSON")
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


def _describe_star(source: Source) -> FileDescription:
    where, blocks = source.where, source.blocks
    kind, main = _star_kind(blocks)
    stored_as = "STAR"
    notes: tuple[str, ...] = ()
    said = []
    table = blocks[main]
    if kind == "optimisation set":
        for label in (SET_PARTICLES, SET_TOMOGRAMS):
            try:
                notes += (f"{label}: {file_of_set({main: table}, label, where)}",)
            except InputError as error:
                said.append(str(error).removeprefix(f"{where}: ").rstrip("."))
    if not len(table):
        said.append("the table is empty")
    foreign = _star_picks(source) if kind == "other STAR" else None
    if foreign is not None:
        kind, stored_as, notes = foreign
    elif kind in _READERS:
        try:
            read = _READERS[kind](where)
        except SlabkitError as error:
            said.append(str(error).removeprefix(f"{where}: ").rstrip("."))
        else:
            if kind == "pick list" and len(table):
                notes += _contents(read, foreign=False)
            elif kind in _COUNTED:
                notes += _counted(read, *_COUNTED[kind])
    return FileDescription(
        path=where,
        kind=kind,
        stored_as=stored_as,
        rows=len(table),
        columns=tuple(str(column) for column in table.columns),
        blocks={name: len(block) for name, block in blocks.items()},
        notes=notes,
        warnings=tuple(said),
    )


def kind_of_star(blocks: Mapping[str, Collection[str]]) -> tuple[str, str] | None:
    """Give what a STAR file of ours is by its labels, and its main block; None for another's."""
    if "galleries" in blocks and "particles" in blocks:
        return "minislab table", "particles"
    for block, label, kind in (
        ("picks", "slabkitPickId", "pick list"),
        ("labels", "slabkitDecision", "labels"),
        ("conflicts", "slabkitPickId", "conflicts between species"),
        ("contradictions", "slabkitPickId", "contradictions between raters"),
        ("split", "slabkitSubset", "data-set split"),
        ("classes", "slabkitQuality", "table of classes"),
    ):
        if block in blocks and label in blocks[block]:
            return kind, block
    if "counts" in blocks and "measured" in blocks:
        return "statistics of picks", "counts"
    if "micrographs" in blocks and "slabkitZStart" in blocks["micrographs"]:
        return "slab table", "micrographs"
    if "tomograms" in blocks and "slabkitTomogram" in blocks["tomograms"]:
        return "tomogram table", "tomograms"
    if "particles" in blocks:
        columns = set(blocks["particles"])
        flat = {"rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY"}
        if flat <= columns and not columns & {"rlnImageName", "rlnCoordinateZ"}:
            return "picks2d", "particles"
    return None


def _star_kind(blocks: dict[str, pd.DataFrame]) -> tuple[str, str]:
    """Give what a STAR file is, and its main block."""
    ours = kind_of_star({name: block.columns for name, block in blocks.items()})
    if ours is not None:
        return ours
    for name, block in blocks.items():
        if {SET_PARTICLES, SET_TOMOGRAMS} & set(block.columns):
            return "optimisation set", name
    sizes = {
        name: (len(block), name == "particles", len(block.columns))
        for name, block in blocks.items()
    }
    return "other STAR", max(sizes, key=sizes.__getitem__)


def _star_picks(source: Source) -> tuple[str, str, tuple[str, ...]] | None:
    """Give kind, formats and notes of a STAR file with picks of another program, else None."""
    names = [entry.name for entry in fitting_formats(source, "picks")]
    flat = _format_of_picks2d(source)
    picks = None
    for name in names:
        try:
            picks = picks or _read(source, name)[0]
        except SlabkitError:
            continue
    if names and (picks is not None or flat is None or names != ["cryolo"]):
        notes = () if picks is None else _contents(picks)
        return "pick list", f"STAR, {' or '.join(names)}", notes
    # Of crYOLO's boxes, a place along z says which of the two it is.
    return ("picks2d", f"STAR, {flat}", ()) if flat is not None else None


def _format_of_picks2d(source: Source) -> str | None:
    """Give the format of 2D picks that a file is of; None where it is of none or of several."""
    try:
        names = [entry.name for entry in fitting_formats(source, "picks2d")]
    except SlabkitError:
        return None
    if names == ["eman-info"] and "boxes" not in source.keys:
        return None  # the name alone says so, and there are boxes of a tomogram in it
    return names[0] if len(names) == 1 else None


def describe_picks(
    source: Source, name: str, columns: tuple[str, ...] | None = None
) -> FileDescription:
    """Say what a file of picks of another program holds."""
    where = source.where
    rows, notes = None, list[str]()
    said: list[str]
    try:
        picks, said = _read(source, name)
    except SlabkitError as error:
        said = [str(error).removeprefix(f"{where}: ").rstrip(".")]
    else:
        rows = len(picks.picks)
        notes = list(_contents(picks)) if rows else []
    return FileDescription(
        where,
        "pick list",
        name,
        rows=rows,
        columns=columns,
        notes=tuple(notes),
        warnings=tuple(said),
    )


class _Numbers(dict[str, str]):
    """Names every tomogram by its number."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> str:
        return key


def _read(source: Source, name: str) -> tuple[PickList, list[str]]:
    """Read picks as far as the file goes: what it does not say itself is noted, not demanded."""
    first: SlabkitError | None = None
    bare = Path(source.where).name.partition(".")[0] or "tomogram"
    further: list[dict[str, Any]] = [
        {},
        {"tomogram": bare},
        {"voxel_size": 1.0},
        {"voxel_size": 1.0, "tomogram": bare},
        {"voxel_size": 1.0, "tomogram_index": _Numbers()},
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


def _contents(picks: PickList, foreign: bool = True) -> tuple[str, ...]:
    """Say of a pick list how many of which tomograms, decisions and species, and its scores."""
    table = picks.picks
    if foreign and (table["slabkitDecision"] == "undecided").all():
        table = table.drop(columns="slabkitDecision")  # the format has none
    tomograms = named("tomograms", table["slabkitTomogram"].tolist())
    return (tomograms, *_counted(table, "slabkitDecision", "slabkitSpecies", "slabkitScore"))


def _counted(table: pd.DataFrame, decision: str, species: str, score: str) -> tuple[str, ...]:
    """Say how many rows have which decision and species, and the range of their scores."""
    notes = []
    for what, name in (("decisions", decision), ("species", species)):
        if name in table.columns and len(table):
            counts = table[name].value_counts()
            if what == "species" and set(counts.index) <= {"", "none"}:
                continue
            some = [f"{word or '(none)'} {count}" for word, count in counts.items()]
            more = f", and {len(some) - 10} more" if len(some) > 10 else ""
            notes.append(f"{what}: {', '.join(some[:10])}{more}")
    if score in table.columns:
        values = table[score].to_numpy(dtype=float)
        values = values[np.isfinite(values)]
        if len(values):
            without = f" ({len(table) - len(values)} have none)" * (len(values) < len(table))
            notes.append(f"scores: {values.min():.6g} to {values.max():.6g}{without}")
    return tuple(notes)


# The columns that count, of slabkit's own tables.
_COUNTED = {
    "labels": ("slabkitDecision", "slabkitSpecies", "slabkitScore"),
    "picks2d": ("", "slabkitSpecies", "rlnAutopickFigureOfMerit"),
}


def _count_of_picks2d(source: Source, lines: list[str]) -> int:
    if source.keys:
        boxes = source.json.get("boxes") if _is_json(source) else None
        return len(boxes) if isinstance(boxes, list) else 0
    return len(lines) - (_numbers(lines[:1]) == 0)


def _is_json(source: Source) -> bool:
    try:
        return isinstance(source.json, dict)
    except FormatError:
        return False


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


def _columns(lines: list[str], where: str) -> tuple[tuple[str, ...] | None, str]:
    """Give the column names of a table in text, None where the text is none."""
    kinds = {"\t": "TSV", ",": "CSV", ";": "CSV with semicolons", "|": "CSV with bars"}
    for separator, stored_as in kinds.items():
        head = lines[0].split(separator) if lines else []
        if len(head) > 1 and all(line.count(separator) == len(head) - 1 for line in lines[1:20]):
            check_width(len(head), where)
            return tuple(name.strip().strip('"') for name in head), stored_as
    return None, "text"
