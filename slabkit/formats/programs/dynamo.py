"""Dynamo's tables: 26 columns of numbers or more, positions in voxels counted from 1.

Dynamo runs in MATLAB, where the first voxel of a volume is 1; converters of other programs pass
the numbers through as if it were 0, hence ``--index-base``. A particle's position is x, y, z plus
the shift dx, dy, dz.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError, warn
from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.orientations import (
    RELION_ANGLES,
    dynamo_angles,
    dynamo_matrices,
    rotation_texts,
    rotations,
)
from slabkit.formats.programs.shared.rows import (
    number_groups,
    number_rows,
    numbered_names,
    numbers,
    placed,
    points_in_voxels,
    say_shifted,
    tomogram_numbers,
    write_index,
)
from slabkit.formats.programs.shared.values import parse_numbers
from slabkit.formats.source import Source
from slabkit.formats.tables.reals import real_text
from slabkit.tables import (
    ROTATION,
    TOMOGRAMS,
    make_table,
)

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.tables.native import PickList

# fmt: off
_NAMES = [
    "tag", "aligned", "averaged", "dx", "dy", "dz", "tdrot", "tilt", "narot", "cc",
    "cc2", "cpu", "ftype", "ymintilt", "ymaxtilt", "xmintilt", "xmaxtilt", "fs1", "fs2", "tomo",
    "reg", "class", "annotation", "x", "y", "z", "dshift", "daxis", "dnarot", "dcc",
    "otag", "npar", "column33", "ref", "sref", "apix", "def", "column38", "column39", "column40",
]
# fmt: on
_COLUMN = {name: number for number, name in enumerate(_NAMES)}
_LEAST, _MOST = 26, 1000  # up to z
_KEPT = tuple(f"dynamo{name.capitalize()}" for name in _NAMES)
_SHIFT, _ANGLES = ("dx", "dy", "dz"), ("tdrot", "tilt", "narot")
_READ = (*_SHIFT, *_ANGLES, "cc", "tomo", "x", "y", "z", "apix")


def read(source: Source, context: Context) -> ParsedPicks:
    """Read a table."""
    where = source.where
    columns = number_rows(source, _LEAST, _MOST, "a Dynamo table has 26 or more")
    by_name = dict(zip(_NAMES, columns, strict=False))
    xyz, shift, angles = number_groups(by_name, where, tuple("xyz"), _SHIFT, _ANGLES)
    say_shifted(shift, where, " (dx, dy, dz)")
    names = numbered_names(by_name["tomo"], context, where)
    unit, tomograms = _voxel_sizes(columns, names, context, where)
    zero = np.repeat(-context.first_voxel * unit[:, None], 3, axis=1)
    found = placed(names, (xyz + shift) * unit[:, None] + zero)
    scores = numbers([by_name["cc"]], "cc", where)[:, 0]
    if scores.any():
        found["slabkitScore"], found["slabkitScoreKind"] = scores, ["dynamo-cc"] * len(scores)
    if angles.any():
        found[ROTATION] = rotation_texts(dynamo_matrices(angles))
    for number, values in enumerate(columns):
        name = _NAMES[number] if number < len(_NAMES) else f"column{number + 1}"
        if name not in _READ and parse_numbers(values).any():
            found[f"dynamo{name.capitalize()}"] = values
    return ParsedPicks(found, unit, zero, tomograms)


def write(picks: PickList, context: Context) -> str:
    """Write a table of 40 columns; the shift is in the position."""
    table = picks.picks
    count = len(table)
    names = table["slabkitTomogram"].tolist()
    unit = context.voxel_sizes(names, "dynamo")
    number_of = tomogram_numbers(picks)
    columns: dict[str, list[str]] = {name: ["0"] * count for name in _NAMES}
    columns |= {name: ["1"] * count for name in ("aligned", "averaged")}
    for name in _NAMES:
        kept = f"dynamo{name.capitalize()}"
        if kept in table.columns and name not in _READ:
            columns[name] = [str(value) or "0" for value in table[kept]]
    if len(set(columns["tag"])) < count:
        columns["tag"] = [str(number) for number in range(1, count + 1)]
    xyz = points_in_voxels(picks, context, "dynamo") + context.first_voxel
    reals: dict[str, Any] = dict(zip("xyz", xyz.T, strict=True))
    reals["cc"] = np.nan_to_num(table["slabkitScore"].to_numpy(), posinf=0.0, neginf=0.0)
    reals["apix"] = unit
    turned = rotations(table, "dynamo")
    if turned is not None:
        reals |= dict(zip(_ANGLES, dynamo_angles(turned).T, strict=True))
    columns |= {name: [real_text(value) for value in values] for name, values in reals.items()}
    columns["tomo"] = [str(number_of[name]) for name in names]
    return "".join(" ".join(row) + "\n" for row in zip(*columns.values(), strict=True))


def _voxel_sizes(
    columns: list[list[str]], names: list[str], context: Context, where: str
) -> tuple[npt.NDArray[np.float64], pd.DataFrame | None]:
    """Give the voxel size of each row, and what column 36 says where nothing else does."""
    known = context.known_voxel_sizes(names)
    if len(columns) <= _COLUMN["apix"]:
        return context.voxel_sizes(names, where), None
    said = parse_numbers(columns[_COLUMN["apix"]])
    said = np.where(said > 0, said, np.nan)
    apart = np.where(np.isfinite(known) & np.isfinite(said), abs(said / known - 1), 0.0)
    if (apart > 1e-3).any():
        row = int(np.argmax(apart))
        text = (
            f"{where}: says {said[row]:g} Å per pixel (column 36) where {names[row]} has "
            f"{known[row]:g} Å"
        )
        if context.voxel_size is None and apart[row] > 2e-3:
            raise InputError(
                f"{text}; give --voxel-size {known[row]:g} if the positions are voxels of "
                f"{names[row]} as it is. If they are pixels of {said[row]:g} Å, make slabkit's own "
                f"list first: slabkit convert --voxel-size {said[row]:g}, without --tomograms."
            )
        warn(f"{text}; the positions were taken for voxels of {known[row]:g} Å.")
    if np.isfinite(known).all():
        return known, None
    found = dict(zip(names, np.where(np.isfinite(known), known, said).tolist(), strict=True))
    unit = np.array([found[name] for name in names], dtype=float)
    settled = np.isfinite(known) | (abs(said / unit - 1) < 1e-3)
    if not settled.all():
        context.voxel_sizes(names, where)  # says what is not known
    table = {"slabkitTomogram": list(found), "slabkitVoxelSize": list(found.values())}
    return unit, make_table(TOMOGRAMS, table)


FORMAT = FileFormat(
    name="dynamo",
    title="Dynamo table",
    suffixes=(".tbl",),
    unit="voxels",
    origin="centre of the first voxel = 1 (--index-base 0: 0); shifts dx, dy, dz are added",
    index_base="1",
    lost="ids, species, tomogram sizes; names are in the .doc written next to it",
    read=read,
    write=write,
    keeps=frozenset({"slabkitTomogram", "slabkitScore", ROTATION, *RELION_ANGLES, *_KEPT}),
    in_corner_unit="px",
    index_bases=True,
    numbered=True,
    companion=(".doc", write_index),
)
