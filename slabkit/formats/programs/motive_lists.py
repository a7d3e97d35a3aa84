"""Motive lists: STOPGAP's (STAR), and those of TOM, AV3 and Artiatomi (EM, 20 numbers a particle).

Both say the same of a particle in other places. A position is the voxel at which its box is cut
out, counted from 1 as MATLAB does (STOPGAP's ``extract_parse_subtomo_positions``; copick too
subtracts 1 of TOM's), plus the shift that its alignment found. STOPGAP cuts at whole voxels, so
whole voxels are written as the position and the rest as the shift.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.errors import FormatError, InputError, warn
from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.orientations import (
    RELION_ANGLES,
    artiax_angles,
    artiax_matrices,
    rotation_texts,
    rotations,
)
from slabkit.formats.programs.shared.rows import (
    number_groups,
    numbered_names,
    placed,
    points_in_voxels,
    say_shifted,
    tomogram_numbers,
    write_index,
)
from slabkit.formats.programs.shared.values import optional_numbers, parse_numbers
from slabkit.formats.source import Source
from slabkit.formats.tables.reals import real_text
from slabkit.formats.volumes.em import HEADER_BYTES, em_header, float_em, require_em
from slabkit.tables import ROTATION

if TYPE_CHECKING:
    from slabkit.formats.tables.native import PickList

_BLOCK = "stopgap_motivelist"
_XYZ = ("orig_x", "orig_y", "orig_z")
_SHIFT = ("x_shift", "y_shift", "z_shift")
_ANGLES = ("phi", "the", "psi")
_FIELDS = (  # in STOPGAP's order; it reads no others
    *("motl_idx", "tomo_num", "object", "subtomo_num", "halfset"),
    *(*_XYZ, "score", *_SHIFT, "phi", "psi", "the", "class"),
)
_NEEDED = ("tomo_num", *_XYZ)
# Which of the 20 numbers, from 0; the rest are kept where they are not 0.
_EM_ROWS = {"score": 0, "subtomo_num": 3, "tomo_num": 4, "object": 5, "class": 19}
_EM_ROWS |= {name: row for row, name in enumerate((*_XYZ, *_SHIFT), 7)}
_EM_ROWS |= {"phi": 16, "psi": 17, "the": 18}
_EM_BEFORE = (13, 14, 15)  # shifts before the rotation in AV3; anything in other programs
_USED = (*_NEEDED, *_SHIFT, *_ANGLES, "score")
_KEPT_AS = {name: f"motl_{name.removeprefix('motl_')}" for name in _FIELDS if name not in _USED}
_ROWS_KEPT = frozenset(f"motl_row{row}" for row in (2, 3, 7, 14, 15, 16))


def read_stopgap(source: Source, context: Context) -> ParsedPicks:
    """Read STOPGAP's list."""
    found = [block for block in source.blocks.values() if {*_NEEDED} <= set(block.columns)]
    if len(found) != 1:
        what = "more than one block" if found else "no block"
        raise FormatError(f"{source.where}: {what} has the columns {', '.join(_NEEDED)}.")
    return _parsed({str(c): found[0][c].tolist() for c in found[0].columns}, source, context)


def read_em(source: Source, context: Context) -> ParsedPicks:
    """Read a list of 20 numbers a particle."""
    dtype, shape = require_em(source.data[:HEADER_BYTES], len(source.data), source.where)
    if shape[::2] != (1, 20):
        raise FormatError(
            f"{source.where}: has {' × '.join(map(str, shape[::-1]))} numbers, and a motive list "
            "has 20 × particles."
        )
    if dtype.kind == "c":
        raise FormatError(f"{source.where}: holds complex numbers, which no motive list has.")
    with np.errstate(invalid="ignore"):  # NaN of every kind, refused below
        values = np.frombuffer(source.data, dtype, offset=HEADER_BYTES).astype(float)
    values = values.reshape(-1, 20)
    texts = [[real_text(value) for value in row] for row in values.T.tolist()]
    columns = {name: texts[row] for name, row in _EM_ROWS.items()}
    for row in sorted({*range(20)} - {*_EM_ROWS.values()}):
        if values[:, row].any():
            columns[f"motl_row{row + 1}"] = texts[row]
    before = int(values[:, _EM_BEFORE].any(axis=1).sum())
    if before:
        warn(
            f"{source.where}: {before} of {len(values)} particles have numbers in rows 14 to 16 "
            "(AV3: shifts before the rotation of the reference); they are kept and move nothing."
        )
    return _parsed(columns, source, context)


def _parsed(columns: dict[str, list[str]], source: Source, context: Context) -> ParsedPicks:
    where, count = source.where, len(columns["tomo_num"])
    columns = dict.fromkeys((*_SHIFT, *_ANGLES), ["0"] * count) | columns
    xyz, shift, angles = number_groups(columns, where, _XYZ, _SHIFT, _ANGLES)
    names = numbered_names(columns["tomo_num"], context, where)
    say_shifted(shift, where)
    unit = context.voxel_sizes(names, where)
    zero = np.repeat(-context.first_voxel * unit[:, None], 3, axis=1)
    found = placed(names, (xyz + shift) * unit[:, None] + zero)
    if "score" in columns:
        scores = optional_numbers(columns["score"], "score", where)
        if scores.any():
            found["slabkitScore"], found["slabkitScoreKind"] = scores, ["motl-score"] * count
    if angles.any():
        found[ROTATION] = rotation_texts(artiax_matrices(angles))
    kept = {_KEPT_AS.get(n, n): v for n, v in columns.items() if n not in _USED and count}
    return ParsedPicks(found | kept, unit, zero)


def _columns(picks: PickList, context: Context, what: str) -> dict[str, Any]:
    """Give the fields of a list, as numbers but for the half sets."""
    table, count = picks.picks, len(picks.picks)
    places = points_in_voxels(picks, context, what) + context.first_voxel
    whole = np.floor(places + 0.5)
    turned = rotations(table, what)
    angles = np.zeros((count, 3)) if turned is None else artiax_angles(turned)
    scores = np.nan_to_num(table["slabkitScore"].to_numpy(float), posinf=0.0, neginf=0.0)
    index = tomogram_numbers(picks)
    columns: dict[str, Any] = {"score": scores}
    columns["tomo_num"] = np.array([index[name] for name in table["slabkitTomogram"]], dtype=float)
    columns |= dict(zip(_XYZ, whole.T, strict=True))
    columns |= dict(zip(_SHIFT, (places - whole).T, strict=True))
    columns |= dict(zip(_ANGLES, angles.T, strict=True))
    for name in ("motl_idx", "object", "subtomo_num", "class"):
        own = parse_numbers([str(v) for v in table.get(_KEPT_AS[name], [""] * count)])
        whole_numbers = np.isfinite(own) & (own == np.round(own))
        columns[name] = np.where(whole_numbers, own, 1.0)
    for name in ("subtomo_num", "motl_idx"):  # no two particles may have one
        if len(set(columns[name].tolist())) < count:
            columns[name] = np.arange(1.0, count + 1)
    return columns


def write_stopgap(picks: PickList, context: Context) -> str:
    """Write the fields that STOPGAP knows, their names bare, as it wants them."""
    columns = _columns(picks, context, "stopgap")
    halves = picks.picks.get(_KEPT_AS["halfset"], [""] * len(picks.picks))
    columns["halfset"] = [str(half) if str(half) in ("A", "B") else "A" for half in halves]
    labels = "".join(f"_{name}\n" for name in _FIELDS)
    fields = [_texts(columns[name], name) for name in _FIELDS]
    rows = "".join(" ".join(row) + "\n" for row in zip(*fields, strict=True))
    return f"\ndata_{_BLOCK}\n\nloop_\n{labels}{rows}\n"


def _texts(values: Any, name: str) -> list[str]:
    if name == "halfset":
        return list(values)
    whole = name in ("motl_idx", "tomo_num", "object", "subtomo_num", "class")
    return [str(int(value)) if whole else real_text(value) for value in values.tolist()]


def write_em(picks: PickList, context: Context) -> bytes:
    """Write 20 numbers a particle, of 32 bits, as every program reads them."""
    columns = _columns(picks, context, "em")
    values = np.zeros((len(picks.picks), 20))
    for name in _ROWS_KEPT & {*picks.picks.columns}:
        kept = picks.picks[name]
        values[:, int(name.removeprefix("motl_row")) - 1] = np.nan_to_num(
            parse_numbers([str(value) for value in kept])
        )
    for name, row in _EM_ROWS.items():
        values[:, row] = columns[name]
    if abs(values[:, 3:5]).max(initial=0) >= 2**24:
        raise InputError("em: numbers above 16777215 do not fit its 32-bit values.")
    return float_em(values[None])


def sniff_em(source: Source) -> bool:
    """Tell by the header of an EM file of 20 × N × 1 values."""
    found = em_header(source.beginning[:HEADER_BYTES])
    return found is not None and found[1][::2] == (1, 20)


_COMMON: Mapping[str, Any] = {
    "unit": "voxels",
    "origin": "centre of the first voxel = 1 (--index-base 0: 0); shifts are added",
    "index_base": "1",
    "in_corner_unit": "px",
    "index_bases": True,
    "numbered": True,
    "companion": (".doc", write_index),
}
_KEEPS = frozenset({"slabkitTomogram", "slabkitScore", ROTATION, *RELION_ANGLES}) | {
    *_KEPT_AS.values()
}

STOPGAP = FileFormat(
    name="stopgap",
    title="STOPGAP motive list (STAR, data_stopgap_motivelist)",
    lost="ids, species, tomogram sizes; names are in the .doc written next to it",
    sniff=lambda source: {*_NEEDED} <= source.labels,
    read=read_stopgap,
    write=write_stopgap,
    keeps=_KEEPS,
    **_COMMON,
)
EM = FileFormat(
    name="em",
    title="motive list of TOM, AV3 or Artiatomi (EM, 20 × particles)",
    suffixes=(".em",),
    binary=True,
    lost="as `stopgap`, and half sets",
    sniff=sniff_em,
    read=read_em,
    write=write_em,
    keeps=_KEEPS - {"motl_halfset", "motl_idx"} | _ROWS_KEPT,
    **_COMMON,
)
