"""CSV pick lists, read by column names: at least tomogram, x, y, z; positions in Å."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import FormatError, InputError, warn
from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.csv_columns import csv_rows, delimiter_of
from slabkit.formats.programs.shared.orientations import rotation_texts
from slabkit.formats.programs.shared.result_values import pooled_results, read_result_table
from slabkit.formats.programs.shared.rows import placed
from slabkit.formats.programs.shared.values import (
    TEXT_NAMES,
    coordinates,
    parse_numbers,
    typed_columns,
)
from slabkit.formats.source import Source
from slabkit.formats.tables.reals import real_text
from slabkit.tables import (
    PICKS,
    ROTATION,
    names_listed,
    repeated,
    rows_named,
)

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.tables.native import PickList

_SYNONYMS = {
    "experiment": "tomogram",
    "run_name": "tomogram",
    "tomo_name": "tomogram",
    "particle_type": "species",
}
_CHUNK = 20_000
# Row by row of a 4 × 4 matrix, in copick's CSV export.
_TRANSFORM = {f"transform_{row}{column}" for row in range(4) for column in range(4)}


def read(source: Source, context: Context) -> ParsedPicks:
    """Read a CSV file."""
    where = source.where
    text, delimiter = source.text, delimiter_of(source.first_line)
    if context.columns is not None and delimiter not in source.first_line:  # blanks between
        text = re.sub(r"(?m)^[^\S\n]+|[^\S\n]+$", "", text)
        text, delimiter = re.sub(r"[^\S\n]+", " ", text), " "
    rows: Iterator[list[str]] = (row for _, row in csv_rows(text, delimiter, where))
    if context.columns is None:
        names = _column_names(next(rows, []), where)
    else:
        names = _given_names(context.columns)
        rows = _without_header(names, rows, where)
    columns = _read_columns(names, rows, where)
    if context.columns is not None:
        columns = {name: values for name, values in columns.items() if name[0] != "-"}
    xyz = np.column_stack([columns.pop(axis) for axis in "xyz"])
    named = columns.pop("tomogram", None)
    kind = "this CSV file, which has no column tomogram,"
    tomograms = context.names(named, len(xyz), where, kind)
    unit = context.voxel_sizes(tomograms, where) if context.unit == "px" else np.ones(len(xyz))
    xyz = xyz * unit[:, None]
    if _TRANSFORM & set(columns):
        xyz += _take_transform(columns, where)
    found = placed(tomograms, xyz)
    found |= typed_columns(columns, where)
    return ParsedPicks(found | columns, unit)


def _take_transform(columns: dict[str, Any], where: str) -> npt.NDArray[np.float64]:
    """Replace copick's matrices by orientations; give their translations, Å, shape (picks, 3)."""
    missing = sorted(_TRANSFORM - set(columns))
    if missing:
        raise InputError(f"{where}: has columns of copick's transform, but no {missing[0]}.")
    cells = [coordinates(columns.pop(name), name, where) for name in sorted(_TRANSFORM)]
    matrices = np.column_stack(cells).reshape(-1, 4, 4)
    wrong = abs(matrices[:, 3] - (0, 0, 0, 1)).max(axis=1, initial=0) > 1e-6
    if wrong.any():
        raise InputError(
            f"{where}: the last row of the transform is not 0, 0, 0, 1 in {rows_named(wrong)}."
        )
    turned = (matrices[:, :3, :3] != np.eye(3)).any(axis=(1, 2))
    if turned.any():
        if ROTATION in columns:
            raise InputError(f"{where}: has both {ROTATION} and a transform; take one out.")
        texts = rotation_texts(matrices[:, :3, :3])
        columns[ROTATION] = [text if t else "" for text, t in zip(texts, turned, strict=True)]
    moved = int(matrices[:, :3, 3].any(axis=1).sum())
    if moved:
        warn(
            f"{where}: {moved} of {len(matrices)} picks had a translation in their transform; it "
            "was added to their positions."
        )
    translations: npt.NDArray[np.float64] = matrices[:, :3, 3]
    return translations


_PLAIN = ["slabkitTomogram", "slabkitSpecies", *(f"slabkit{axis}" for axis in "XYZ")]
_PLAIN.append("slabkitScore")


def write(picks: PickList, context: Context) -> str:
    """Write every column, positions in Å, missing numbers as nothing."""
    table = picks.picks[_PLAIN] if context.plain else picks.picks
    header = [TEXT_NAMES.get(name, name) for name in table.columns]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*(_texts(table[name]) for name in table.columns), strict=True))
    return buffer.getvalue()


def sniff(source: Source) -> bool:
    """Tell by a header line that names x, y and z."""
    names = [name.lower() for name in source.header]
    # PolNet's motif lists have these names too, and others that say they are its.
    return {"x", "y", "z"} <= set(names) and not {"type", "label", "code"} <= set(names)


def _texts(column: pd.Series) -> list[str]:
    values = column.tolist()
    if column.dtype.kind == "f":
        return ["" if value != value else real_text(value) for value in values]
    return ["" if value is None else str(value) for value in values]


def _column_names(header: list[str], where: str) -> list[str]:
    known = {name.lower(): name for name in TEXT_NAMES.values()}
    known |= {ours.lower(): text for ours, text in TEXT_NAMES.items()} | _SYNONYMS
    names = [known.get(name.strip().lower(), name.strip()) for name in header]
    missing = [axis for axis in "xyz" if axis not in names]
    if missing:
        raise InputError(
            f"{where}: has no column {', '.join(missing)}; a CSV pick list has a header line with "
            f"tomogram,species,x,y,z (in Å), this one has {names_listed(names)}. Without a "
            "header line, name the columns with --columns tomogram,x,y,z."
        )
    if (doubled := repeated(names)) is not None:
        raise InputError(f"{where}: the column {doubled!r} appears more than once.")
    return names


def _given_names(columns: tuple[str, ...]) -> list[str]:
    """Check what ``--columns`` says; columns to leave out get different names."""
    names = [name.strip() for name in columns]
    if "" in names:
        raise InputError("--columns has an empty name; give - for a column that is to be left out.")
    names = [f"-{i}" if name == "-" else name for i, name in enumerate(names)]
    return _column_names(names, "--columns")


def _without_header(names: list[str], rows: Iterator[list[str]], where: str) -> Iterator[list[str]]:
    """Leave out a first row that names columns, although ``--columns`` does, and say so."""
    first = next(rows, None)
    if first is None:
        return rows
    cells = [first[names.index(axis)] for axis in "xyz"] if len(first) == len(names) else ["0"]
    if not np.isnan(parse_numbers([cell.strip() for cell in cells])).all():
        return itertools.chain([first], rows)
    warn(
        f"{where}: its first line ({', '.join(first)[:80]}) names columns; --columns was followed."
    )
    return rows


def _read_columns(names: list[str], rows: Iterator[list[str]], where: str) -> dict[str, Any]:
    """Read by chunks: numbers at once, texts shared where they repeat, so that memory is modest."""
    parts: dict[str, list[Any]] = {name: [] for name in names}
    shared: dict[str, str] = {}
    count = 0
    chunk: list[list[str]] = []

    def take() -> None:
        for name, values in zip(names, zip(*chunk, strict=True), strict=True):
            stripped = [value.strip() for value in values]
            if name in ("x", "y", "z"):
                parts[name].append(_coordinates(stripped, name, where, count - len(chunk)))
            else:
                parts[name].extend([shared.setdefault(value, value) for value in stripped])
        if len(shared) > 10 * _CHUNK:
            shared.clear()
        chunk.clear()

    for row in rows:
        count += 1
        if len(row) != len(names):
            raise FormatError(
                f"{where}: row {count} has {len(row)} values for {len(names)} columns (a decimal "
                "comma? numbers need a decimal point)."
            )
        chunk.append(row)
        if len(chunk) == _CHUNK:
            take()
    if chunk:
        take()
    return {
        name: np.concatenate([np.empty(0), *values]) if name in ("x", "y", "z") else values
        for name, values in parts.items()
    }


def _coordinates(values: list[str], name: str, where: str, before: int) -> Any:
    try:
        return coordinates(values, name, where)
    except InputError:
        # Said again with the rows counted from the file's start.
        return coordinates(["0"] * before + values, name, where)


FORMAT = FileFormat(
    name="csv",
    title="values with commas, semicolons, tabs or bars between, and a header line or --columns",
    suffixes=(".csv", ".tsv"),
    unit="Å (voxels with --unit px)",
    origin="centre of the first voxel = 0",
    lost="tomogram sizes and voxel sizes",
    sniff=sniff,
    read=read,
    write=write,
    keeps=frozenset(PICKS.names),
    keeps_extra=True,
    units=("angstrom", "px"),
    named_columns=True,
)

RESULTS = FileFormat(
    name="csv",
    title="CSV with a header line, filled in by people",
    sniff=lambda source: True,  # of the files that no other format of results fits
    read_results=pooled_results(read_result_table),
)
