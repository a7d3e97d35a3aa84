"""Results of other programs and of people on minislabs and galleries, brought to one table.

Read are CSV files that people fill in, particle STAR files of RELION (and ``classified.star``,
which has the same columns), coordinate tables of Topaz, and CryoSPARC's files. All become a table
with the column names of the minislab and label tables, for `slabkit.labels.label_minislabs`.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from slabkit.errors import FormatError, InputError
from slabkit.formats.programs.cryosparc.results import is_cryosparc, read_cryosparc
from slabkit.formats.programs.relion.results import read_relion_results
from slabkit.formats.programs.shared.result_values import require_key, typed_results
from slabkit.formats.programs.topaz.names import restored_names
from slabkit.formats.programs.topaz.places import look_for_scale
from slabkit.formats.tables.native import read_text
from slabkit.formats.tables.star import require_star_block

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.arrays.tiling import GalleryLayout

Kind = Literal["csv", "relion", "topaz", "cryosparc"]

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


@dataclass(frozen=True)
class Results:
    """What `read_results` found.

    Parameters
    ----------
    table : DataFrame
        For `slabkit.labels.label_minislabs`; one row a row of the files. ``source`` is the file's
        name, ``line`` the row in it (from 1, the header not counted); the other columns are named
        as in `slabkit.tables.MINISLABS` and `slabkit.tables.LABELS`, and are there where a file has
        them.
    kind : {"csv", "relion", "topaz", "cryosparc"}
        How the files are meant: ``relion`` lists what was selected, ``topaz`` has coordinates.
    files : tuple of Path
        Files that were read besides those that were given.
    """

    table: pd.DataFrame
    kind: Kind
    files: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        return f"<Results: {len(self.table)} rows ({self.kind})>"

    def unlisted(self, by_value: bool = False) -> Literal["rejected", "undecided"]:
        """Say what it means that a minislab is not listed.

        Parameters
        ----------
        by_value : bool, optional
            Whether classes or scores decide about what is listed.

        Returns
        -------
        {"rejected", "undecided"}
            ``rejected`` for a selection made in RELION or, on our stacks, in CryoSPARC, from which
            things are left out on purpose; else ``undecided``.

        Raises
        ------
        InputError
            Nothing decides: a CSV file without decisions, and no classes or threshold either.
        """
        if self.kind == "csv" and not by_value and "slabkitDecision" not in self.table.columns:
            raise InputError(
                f"{self.table['source'].iloc[0] if len(self.table) else 'CSV file'}: has no column "
                "decision; add one, or give --classes or --threshold."
            )
        selection = self.kind == "relion" or (
            # Of what CryoSPARC extracts itself it drops what is near an edge.
            self.kind == "cryosparc"
            and "slabkitDecision" not in self.table.columns
            and "rlnImageName" in self.table.columns
        )
        return "rejected" if selection and not by_value else "undecided"


def read_results(
    paths: Sequence[str | os.PathLike[str]],
    minislabs: pd.DataFrame | None = None,
    layout: GalleryLayout | None = None,
    y_axis: str | None = None,
) -> Results:
    """Read result files of one kind as one result.

    Parameters
    ----------
    paths : sequence of path-like
        One may be ``-`` for standard input.
    minislabs : DataFrame, optional
        Columns of `slabkit.tables.MINISLABS`; some kinds cannot be read without it.
    layout : GalleryLayout, optional
        How tiles lie in the galleries, likewise.
    y_axis : {"up", "down"}, optional
        What the user says of places; where nothing is said, some readers warn.

    Returns
    -------
    Results

    Raises
    ------
    InputError
        A file cannot be read or lacks columns, a value is not understood, a file is given twice, or
        the files are of several kinds.
    FormatError
        A file is of a format that is not read here.
    """
    names = [str(path) for path in paths]
    real = [name if name == "-" else os.path.realpath(name) for name in names]
    for index, name in enumerate(names):
        if real[index] in real[:index]:
            raise InputError(f"{name}: is given twice.")
    if not names:
        raise InputError("no result file is given.")
    foreign = [name for name in names if is_cryosparc(name)]
    if foreign == names:  # their rows may belong together
        table, files = read_cryosparc(names, minislabs, layout, y_axis)
        return Results(table, "cryosparc", tuple(files))
    parts = [_read_one(name) for name in names if name not in foreign]
    texts = [name for name in names if name not in foreign]
    kinds: dict[str, str] = {kind: name for name, (kind, _) in zip(texts, parts, strict=True)}
    if foreign:
        kinds["cryosparc"] = foreign[0]
    if len(kinds) > 1:
        listed = ", ".join(f"{name} ({kind})" for kind, name in kinds.items())
        raise InputError(
            f"results of several kinds: {listed}; label them one at a time and give the label "
            "tables to curate together."
        )
    table, kind = _pooled([table for _, table in parts], names), parts[0][0]
    if kind == "topaz" and minislabs is not None:
        written = table["rlnMicrographName"].tolist()
        known = minislabs["rlnMicrographName"].tolist()
        table["rlnMicrographName"] = restored_names(written, known, names[0])
        look_for_scale(table, minislabs, names[0])
    return Results(table, kind)


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


def _read_one(path: str) -> tuple[Kind, pd.DataFrame]:
    text = read_text(path)
    first = next((line.strip() for line in text.split("\n") if _is_content(line)), "")
    if first.startswith("data_"):
        kind: Kind = "relion"
        table = read_relion_results(text, path)
    else:
        require_star_block(text, path)
        table = _read_csv(text, first, path)
        placed = {"rlnCoordinateX", "slabkitDecision", "slabkitPickId"} & set(table.columns)
        kind = "topaz" if placed == {"rlnCoordinateX"} else "csv"
    table.insert(0, "source", "standard input" if path == "-" else Path(path).name)
    table.insert(1, "line", np.arange(1, len(table) + 1))
    return kind, table


def _is_content(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _read_csv(text: str, header: str, where: str) -> pd.DataFrame:
    import pandas as pd

    delimiters = [mark for mark in "\t;," if mark in header]
    names, rows = _csv_rows(text, delimiters[0] if delimiters else ",", where)
    known: list[str] = []
    plain_names = [re.sub(r"[\s-]+", "_", name.strip().lower()) for name in names]
    has_id = any(_ALIASES.get(plain) == "slabkitPickId" for plain in plain_names)
    for name, plain in zip(names, plain_names, strict=True):
        usual = _ALIASES.get(plain, "" if _IGNORED.fullmatch(plain) else None)
        if usual is None:
            raise InputError(
                f"{where}: the column {name!r} is not known (the header is {', '.join(names)}); "
                "known are pick_id, or gallery with row and column or with x and y; decision, "
                "class, score, species, comment."
            )
        if usual in _PLACES and has_id:
            usual = ""  # of a pick list as CSV they speak of the slab, not of a tile
        if usual and usual in known:
            raise InputError(f"{where}: two columns mean the same as {name!r}.")
        known.append(usual)
    columns = zip(*rows, strict=True) if rows else [()] * len(known)
    found = {name: list(values) for name, values in zip(known, columns, strict=True) if name}
    require_key(found, where, names)
    return pd.DataFrame(typed_results(found, where), index=range(len(rows)))


def _csv_rows(text: str, delimiter: str, where: str) -> tuple[list[str], list[list[str]]]:
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    try:
        for row in reader:
            row = [value.strip() for value in row]
            if not any(row) or row[0].startswith("#"):
                continue
            if rows and len(row) != len(rows[0]):
                raise FormatError(
                    f"{where}, line {reader.line_num}: {len(row)} values for {len(rows[0])} "
                    "columns (numbers need a decimal point, not a comma)."
                )
            rows.append(row)
    except csv.Error as error:
        raise FormatError(
            f"{where}, line {reader.line_num}: is not well-formed CSV ({error})."
        ) from error
    if not rows:
        kind = "block data_particles" if where.lower().endswith(".star") else "header line"
        raise FormatError(f"{where}: is empty; a {kind} is needed.")
    return rows[0], rows[1:]
