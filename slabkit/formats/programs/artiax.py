"""ArtiaX: its generic particle list (tab-separated), and text of bare ``x y z``; in voxels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.csv_columns import csv_columns
from slabkit.formats.programs.shared.orientations import (
    RELION_ANGLES,
    artiax_angles,
    artiax_matrices,
    rotation_texts,
    rotations,
)
from slabkit.formats.programs.shared.rows import (
    file_a_tomogram,
    number_groups,
    placed,
    points_in_voxels,
    read_bare_points,
    say_shifted,
    write_bare_points,
)
from slabkit.formats.programs.shared.values import optional_numbers
from slabkit.formats.source import Source
from slabkit.formats.tables.reals import real_text
from slabkit.tables import ROTATION

if TYPE_CHECKING:
    from slabkit.formats.tables.native import PickList

_XYZ = tuple(f"pos_{axis}" for axis in "xyz")
_SHIFT = tuple(f"shift_{axis}" for axis in "xyz")
_ANGLES = ("phi", "the", "psi")
_SCORE = "score"


def read(source: Source, context: Context) -> ParsedPicks:
    """Read positions plus shifts; the angles phi, the, psi become an orientation."""
    where = source.where
    columns = csv_columns(
        source.text, (*_XYZ, *_SHIFT, *_ANGLES), "ArtiaX's particle list", where, "\t"
    )
    xyz, shift, angles = number_groups(columns, where, _XYZ, _SHIFT, _ANGLES)
    say_shifted(shift, where)
    names = context.names(None, len(xyz), where, "ArtiaX's particle list")
    unit = context.voxel_sizes(names, where)
    found: dict[str, Any] = placed(names, (xyz + shift) * unit[:, None])
    if angles.any():
        found[ROTATION] = rotation_texts(artiax_matrices(angles))
    if _SCORE in columns:
        found["slabkitScore"] = optional_numbers(columns.pop(_SCORE), _SCORE, where)
        found["slabkitScoreKind"] = ["artiax"] * len(xyz)
    kept = {n: v for n, v in columns.items() if n not in (*_XYZ, *_SHIFT, *_ANGLES)}
    return ParsedPicks(found | kept, unit)


def write(picks: PickList, context: Context) -> str:
    """Write positions, angles and scores of one tomogram; the shifts are 0."""
    table = picks.picks
    points = points_in_voxels(picks, context, "artiax-tsv")
    columns: dict[str, Any] = dict(zip(_XYZ, points.T, strict=True))
    columns |= dict.fromkeys((*_SHIFT, *_ANGLES), np.zeros(len(table)))
    turned = rotations(table, "artiax-tsv")
    if turned is not None:
        columns |= dict(zip(_ANGLES, artiax_angles(turned).T, strict=True))
    scores = table["slabkitScore"].to_numpy()
    if len(scores) and np.isfinite(scores).all():  # ArtiaX takes numbers only
        columns[_SCORE] = scores
    rows = zip(*([real_text(v) for v in values] for values in columns.values()), strict=True)
    return "".join("\t".join(row) + "\n" for row in [tuple(columns), *rows])


def read_coords(source: Source, context: Context) -> ParsedPicks:
    """Read ``x y z``; the tomogram's name and voxel size are needed."""
    xyz = read_bare_points(source)
    names = context.names(None, len(xyz), source.where, "a list of bare coordinates")
    unit = context.voxel_sizes(names, source.where)
    return ParsedPicks(placed(names, xyz * unit[:, None]), unit)


TSV = FileFormat(
    name="artiax-tsv",
    title="ArtiaX generic particle list (pos_x, shift_x, phi, the, psi)",
    unit="voxels",
    origin="centre of the first voxel = 0; shifts are added",
    lost="names, ids, species; one tomogram a file",
    sniff=lambda source: {*_XYZ, *_SHIFT} <= set(source.header),
    read=read,
    write=write,
    keeps=frozenset({"slabkitTomogram", "slabkitScore", ROTATION, *RELION_ANGLES}),
    in_corner_unit="px",
    **file_a_tomogram(".tsv"),
)
COORDS = FileFormat(
    name="artiax",
    title="ArtiaX coordinates (.coords), and any bare x y z in voxels",
    suffixes=(".coords",),
    unit="voxels",
    origin="centre of the first voxel = 0",
    lost="everything but x, y, z; one tomogram a file; say --from artiax",
    sniff=lambda source: source.suffix == ".coords",
    read=read_coords,
    write=write_bare_points,
    keeps=frozenset({"slabkitTomogram"}),
    in_corner_unit="px",  # a folder is not read: its files do not say their tomograms
    **file_a_tomogram(".coords"),
)
