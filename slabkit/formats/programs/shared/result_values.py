"""What result files of all kinds have in common: words for decisions, columns, their types."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.errors import FormatError, InputError
from slabkit.formats.file_format import Minislabs
from slabkit.formats.programs.shared.csv_columns import csv_rows, delimiter_of
from slabkit.formats.programs.shared.values import coordinates, optional_numbers
from slabkit.formats.source import Source
from slabkit.formats.tables.star import require_star_block
from slabkit.tables import names_listed, rows_named

if TYPE_CHECKING:
    import pandas as pd

_ACCEPTED = ["accepted", "accept", "1", "1.0", "yes", "y", "true", "t"]
_ACCEPTED += ["good", "keep", "kept", "selected", "+"]
_REJECTED = ["rejected", "reject", "0", "0.0", "no", "n", "false", "f"]
_REJECTED += ["bad", "junk", "discard", "drop", "-"]
_UNDECIDED = ["", "undecided", "unsure", "maybe", "unknown", "none", "nan", "na", "<na>", "?"]
_DECISION_WORDS = {
    **dict.fromkeys(_ACCEPTED, "accepted"),
    **dict.fromkeys(_REJECTED, "rejected"),
    **dict.fromkeys(_UNDECIDED, "undecided"),
}

_CSV_NAMES = {
    "slabkitPickId": "pick_id pickid id particle_id slabkitpickid",
    "rlnParticleName": "particle_name rlnparticlename",
    "rlnImageName": "image rlnimagename",
    "rlnMicrographName": "gallery image_name micrograph micrograph_name rlnmicrographname",
    "slabkitTileRow": "row tile_row slabkittilerow",
    "slabkitTileColumn": "column col tile_column slabkittilecolumn",
    "rlnCoordinateX": "x x_coord rlncoordinatex",
    "rlnCoordinateY": "y y_coord rlncoordinatey",
    "slabkitDecision": "decision label verdict slabkitdecision",
    "slabkitClass": "class class_number rlnclassnumber slabkitclass",
    "slabkitScore": "score slabkitscore rlnautopickfigureofmerit",
    "slabkitSpecies": "species slabkitspecies",
    "slabkitTilt": "tilt slabkittilt",
    "slabkitGallerySet": "gallery_set slabkitgalleryset",
}
_PLACES = ("rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY")
_ALIASES = {alias: name for name, aliases in _CSV_NAMES.items() for alias in aliases.split()}
_IGNORED = re.compile(
    r"(rln|slabkit|unnamed).*|comments?|notes?|index|tomogram|z|time|timestamp|labelled_at|"
    r"score_kind|diameter|confidence|z_confidence|flags|source|slab_count|"  # a pick list as CSV
)

_WHOLE = ("slabkitTileRow", "slabkitTileColumn")
_REAL = ("rlnCoordinateX", "rlnCoordinateY", "slabkitTilt")


def require_key(found: dict[str, list[str]], where: str, names: Sequence[str]) -> None:
    """Refuse a result in which nothing says which minislab a row means."""
    gallery = "rlnMicrographName" in found
    if not (
        {"slabkitPickId", "rlnParticleName", "rlnImageName"} & set(found)
        or (gallery and {"slabkitTileRow", "slabkitTileColumn"} <= set(found))
        or (gallery and {"rlnCoordinateX", "rlnCoordinateY"} <= set(found))
    ):
        raise InputError(
            f"{where}: nothing in it says which minislab a row means (its columns are "
            f"{names_listed(names)}); it needs pick_id, or gallery with row and column or "
            "with x and y (RELION: rlnParticleName, rlnImageName, or rlnMicrographName with "
            "coordinates)."
        )


def typed_results(found: dict[str, list[str]], where: str) -> dict[str, Any]:
    """Make numbers and decisions of the texts of a result file."""
    columns: dict[str, Any] = dict(found)
    for column in _REAL:
        if column in found:
            columns[column] = coordinates(found[column], column, where)
    for column in _WHOLE:
        if column in found:
            numbers = coordinates(found[column], column, where)
            wrong = (numbers != np.round(numbers)) | (abs(numbers) > 1e9)
            if wrong.any():
                value = found[column][int(np.flatnonzero(wrong)[0])]
                raise InputError(f"{where}: {column} is {value!r} in {rows_named(wrong)}.")
            columns[column] = numbers.astype(np.int64)
    if "slabkitScore" in found:
        columns["slabkitScore"] = optional_numbers(found["slabkitScore"], "score", where)
    if "slabkitDecision" in found:
        columns["slabkitDecision"] = _decisions(found["slabkitDecision"], where)
    if "slabkitClass" in found:
        # Spreadsheets make 3.0 of class 3.
        columns["slabkitClass"] = [re.sub(r"(?<=\d)\.0+$", "", c) for c in found["slabkitClass"]]
    return columns


def _decisions(values: Sequence[str], where: str) -> list[str]:
    decisions = [_DECISION_WORDS.get(value.strip().lower(), "?") for value in values]
    wrong = np.array([decision == "?" for decision in decisions], dtype=bool)
    if wrong.any():
        value = values[int(np.flatnonzero(wrong)[0])]
        raise InputError(
            f"{where}: the decision is {value!r} in {rows_named(wrong)}; it must be one of "
            f"{', '.join(_ACCEPTED)} or {', '.join(_REJECTED)}, or empty."
        )
    return decisions


def pooled_results(
    read: Callable[[Source], pd.DataFrame],
) -> Callable[[Sequence[Source], Minislabs], pd.DataFrame]:
    """Make a reader of many result files, which must have the same columns, out of one for one."""

    def read_all(sources: Sequence[Source], minislabs: Minislabs) -> pd.DataFrame:
        tables = []
        for source in sources:
            table = read(source)
            name = "standard input" if source.where == "-" else Path(source.where).name
            table.insert(0, "source", name)
            table.insert(1, "line", np.arange(1, len(table) + 1))
            tables.append(table)
        return _pooled(tables, [source.where for source in sources])

    return read_all


def read_result_table(source: Source) -> pd.DataFrame:
    """Read a CSV of results by its column names."""
    import pandas as pd

    where = source.where
    require_star_block(source.text, where)
    names, rows = _csv_rows(source)
    known = result_columns(names)
    for index, (name, usual) in enumerate(zip(names, known, strict=True)):
        if usual is None:
            raise InputError(
                f"{where}: the column {name!r} is not known (the header is {names_listed(names)}); "
                "known are pick_id, or gallery with row and column or with x and y; decision, "
                "class, score, species, comment."
            )
        if usual and usual in known[:index]:
            raise InputError(f"{where}: two columns mean the same as {name!r}.")
    columns = zip(*rows, strict=True) if rows else [()] * len(known)
    found = {name: list(values) for name, values in zip(known, columns, strict=True) if name}
    require_key(found, where, names)
    return pd.DataFrame(typed_results(found, where), index=range(len(rows)))


def result_columns(header: Sequence[str]) -> list[str | None]:
    """Say what each column of a CSV of results means; empty for nothing, None where not known."""
    plain_names = [re.sub(r"[\s-]+", "_", name.strip().lower()) for name in header]
    found = [
        _ALIASES.get(plain, "" if _IGNORED.fullmatch(plain) else None) for plain in plain_names
    ]
    if "slabkitPickId" in found:  # of a pick list as CSV they speak of the slab, not of a tile
        found = ["" if usual in _PLACES else usual for usual in found]
    return found


def _pooled(tables: list[pd.DataFrame], names: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    may_lack = {
        "slabkitClass": "",
        "slabkitScore": np.nan,
        "slabkitScoreKind": "",
        "slabkitSpecies": "",
        "slabkitShiftX": np.nan,
        "slabkitShiftY": np.nan,
    }
    first = set(tables[0].columns) - set(may_lack)
    for table, name in zip(tables, names, strict=True):
        different = first ^ (set(table.columns) - set(may_lack))
        if different:
            raise InputError(
                f"{names[0]} and {name} do not both have {', '.join(sorted(different))}; label "
                "them one at a time."
            )
    columns = [c for c in may_lack if any(c in table.columns for table in tables)]
    whole = [
        table.assign(**{c: may_lack[c] for c in columns if c not in table.columns})
        for table in tables
    ]
    return pd.concat(whole, ignore_index=True)


def _csv_rows(source: Source) -> tuple[list[str], list[list[str]]]:
    where = source.where
    rows: list[list[str]] = []
    for line, row in csv_rows(source.text, delimiter_of(source.first_line), where):
        if rows and len(row) != len(rows[0]):
            raise FormatError(
                f"{where}, line {line}: {len(row)} values for {len(rows[0])} columns (numbers "
                "need a decimal point, not a comma)."
            )
        rows.append([value.strip() for value in row])
    if not rows:
        kind = "block data_particles" if source.suffix == ".star" else "header line"
        raise FormatError(f"{where}: is empty; a {kind} is needed.")
    return rows[0], rows[1:]
