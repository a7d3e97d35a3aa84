"""ArtiaX's generic particle list: tab-separated, positions, shifts and angles in voxels."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.errors import SlabkitWarning
from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.csv_columns import csv_columns
from slabkit.formats.programs.shared.json_values import ROTATION
from slabkit.formats.programs.shared.orientations import (
    RELION_ANGLES,
    artiax_angles,
    artiax_matrices,
    rotation_texts,
    rotations,
)
from slabkit.formats.programs.shared.rows import POSITIONS, placed, triples
from slabkit.formats.programs.shared.values import optional_numbers
from slabkit.formats.source import Source
from slabkit.formats.tables.star import real_text

if TYPE_CHECKING:
    from slabkit.formats.tables.native import PickList

_XYZ = tuple(f"pos_{axis}" for axis in "xyz")
_SHIFT = tuple(f"shift_{axis}" for axis in "xyz")
_ANGLES = ("phi", "the", "psi")
_SCORE = "score"


def read(source: Source, context: Context) -> ParsedPicks:
    """Read positions plus shifts; the angles phi, the, psi become an orientation.

    Parameters
    ----------
    source : Source
    context : Context
        The tomogram's name and voxel size are needed.

    Returns
    -------
    ParsedPicks

    Raises
    ------
    InputError
        A column is missing, a row is short or long, a number is none, or the tomogram is not known.

    Warns
    -----
    SlabkitWarning
        Shifts were applied.
    """
    where = source.where
    columns = csv_columns(
        source.text, (*_XYZ, *_SHIFT, *_ANGLES), "ArtiaX's particle list", where, "\t"
    )
    xyz = triples([columns.pop(name) for name in _XYZ], " ".join(_XYZ), where)
    shift = triples([columns.pop(name) for name in _SHIFT], " ".join(_SHIFT), where)
    angles = triples([columns.pop(name) for name in _ANGLES], " ".join(_ANGLES), where)
    moved = int(shift.any(axis=1).sum())
    if moved:
        warnings.warn(
            f"{where}: {moved} of {len(xyz)} particles had a shift; it was added to their "
            "positions.",
            SlabkitWarning,
            stacklevel=4,
        )
    names = context.names(None, len(xyz), where, "ArtiaX's particle list")
    unit = context.voxel_sizes(names, where)
    found: dict[str, Any] = placed(names, (xyz + shift) * unit[:, None])
    if angles.any():
        found[ROTATION] = rotation_texts(artiax_matrices(angles))
    if _SCORE in columns:
        found["slabkitScore"] = optional_numbers(columns.pop(_SCORE), _SCORE, where)
        found["slabkitScoreKind"] = ["artiax"] * len(xyz)
    return ParsedPicks(found | columns, unit)


def write(picks: PickList, context: Context) -> str:
    """Write positions, angles and scores of one tomogram; the shifts are 0."""
    table = picks.picks
    unit = context.voxel_sizes(table["slabkitTomogram"].tolist(), "artiax-tsv")[:, None]
    columns: dict[str, Any] = dict(
        zip(_XYZ, (table[list(POSITIONS)].to_numpy() / unit).T, strict=True)
    )
    columns |= dict.fromkeys((*_SHIFT, *_ANGLES), np.zeros(len(table)))
    turned = rotations(table, "artiax-tsv")
    if turned is not None:
        columns |= dict(zip(_ANGLES, artiax_angles(turned).T, strict=True))
    scores = table["slabkitScore"].to_numpy()
    if len(scores) and np.isfinite(scores).all():  # ArtiaX takes numbers only
        columns[_SCORE] = scores
    rows = zip(*([real_text(v) for v in values] for values in columns.values()), strict=True)
    return "".join("\t".join(row) + "\n" for row in [tuple(columns), *rows])


def sniff(source: Source) -> bool:
    """Tell by the header line."""
    return {*_XYZ, *_SHIFT} <= set(source.header)


def _file_name(picks: PickList) -> str:
    return f"{picks.picks['slabkitTomogram'].iloc[0]}.tsv"


FORMAT = FileFormat(
    name="artiax-tsv",
    title="ArtiaX generic particle list (pos_x, shift_x, phi, the, psi)",
    suffixes=(),
    unit="voxels",
    origin="centre of the first voxel = 0; shifts are added",
    index_base="0",
    lost="names, ids, species; one tomogram a file",
    sniff=sniff,
    read=read,
    write=write,
    keeps=frozenset({"slabkitTomogram", "slabkitScore", ROTATION, *RELION_ANGLES}),
    one_file_per=("slabkitTomogram",),
    file_name=_file_name,
    folder_glob="",
    in_corner_unit="px",
)
