"""STAR files of template matching that name micrographs: pytom-match-pick and Warp.

Both have ``rlnCoordinateX/Y/Z`` and RELION's angles beside ``rlnMicrographName``.
pytom-match-pick counts voxels of the tomogram it searched; with ``--relion5-compat`` it writes what
`slabkit.formats.programs.relion.particles` reads. Warp writes fractions of the volume, and
reads pixels too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import FormatError
from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.rows import placed, series_name, star_table, triples
from slabkit.formats.programs.shared.values import optional_numbers
from slabkit.formats.source import Source
from slabkit.tables import TOMOGRAMS, make_table

if TYPE_CHECKING:
    import pandas as pd

_XYZ = tuple(f"rlnCoordinate{axis}" for axis in "XYZ")
_NAME, _PIXEL = "rlnMicrographName", "rlnDetectorPixelSize"
_SCORES = ("rlnLCCmax", "rlnAutopickFigureOfMerit")


def read_pytom(source: Source, context: Context) -> ParsedPicks:
    """Read particles of pytom-match-pick in voxels of the tomogram searched.

    Parameters
    ----------
    source : Source
    context : Context
        The file has the voxel size; ``voxel_size`` wins over it.

    Returns
    -------
    ParsedPicks

    Raises
    ------
    InputError
        The file is not of this kind, a number is none, or its voxel size is not the tomogram's.
    """
    where = source.where
    table = star_table(source, (*_XYZ, _NAME, _PIXEL))
    said = triples([table[_PIXEL].tolist()], _PIXEL, where)[:, 0]
    if (said <= 0).any():
        raise FormatError(f"{where}: {_PIXEL} is {said.min():g}; it must be positive.")
    names = _names(table, context, where)
    unit = said if context.voxel_size is None else context.voxel_sizes(names, where)
    sizes: dict[str, float] = {}
    for name, size in zip(names, said.tolist(), strict=True):
        if abs(sizes.setdefault(name, size) / size - 1) > 1e-3:
            raise FormatError(f"{where}: {name} has voxels of {sizes[name]:g} and {size:g} Å.")
    known = None
    if sizes:
        columns = {"slabkitTomogram": list(sizes), "slabkitVoxelSize": list(sizes.values())}
        known = make_table(TOMOGRAMS, columns)
    return _reading(table, names, unit, where, known, (_PIXEL,))


def read_warp(source: Source, context: Context) -> ParsedPicks:
    """Read matches of Warp: fractions of the volume, 0 its first voxel, 1 one after its last.

    Parameters
    ----------
    source : Source
    context : Context
        The size and voxel size of the tomograms are needed.

    Returns
    -------
    ParsedPicks

    Raises
    ------
    InputError
        The file is not of this kind, a number is none, or a tomogram is not known.
    """
    table = star_table(source, (*_XYZ, _NAME))
    names = _names(table, context, source.where)
    voxel_size = context.voxel_sizes(names, source.where)
    unit = context.sizes(names, source.where) * voxel_size[:, None]
    return _reading(table, names, unit, source.where)


def read_warp_px(source: Source, context: Context) -> ParsedPicks:
    """Read particles for Warp in pixels: voxels of the tomogram, or smaller by ``binning``."""
    table = star_table(source, (*_XYZ, _NAME))
    names = _names(table, context, source.where)
    unit = context.voxel_sizes(names, source.where) / (context.binning or 1.0)
    return _reading(table, names, unit, source.where)


def sniff_pytom(source: Source) -> bool:
    """Tell by the pixel size of the detector beside z and the micrograph's name."""
    return {*_XYZ, _NAME, _PIXEL} <= source.labels and "rlnTomoName" not in source.labels


def sniff_warp(source: Source) -> bool:
    """Tell by Warp's file names; not whether they are fractions or pixels."""
    return (
        {*_XYZ, _NAME} <= source.labels
        and "rlnTomoName" not in source.labels
        and ".tomostar" in source.text
    )


def _names(table: pd.DataFrame, context: Context, where: str) -> list[str]:
    named = [series_name(text) for text in table[_NAME].tolist()]
    return context.names(named, len(named), where)


def _reading(
    table: pd.DataFrame,
    names: list[str],
    unit: npt.NDArray[np.float64],
    where: str,
    tomograms: pd.DataFrame | None = None,
    used: tuple[str, ...] = (),
) -> ParsedPicks:
    xyz = triples([table[label].tolist() for label in _XYZ], " ".join(_XYZ), where)
    length = unit if unit.ndim == 2 else unit[:, None]
    found: dict[str, Any] = placed(names, xyz * length)
    for label in _SCORES:
        if label in table.columns and "slabkitScore" not in found:
            found["slabkitScore"] = optional_numbers(table[label].tolist(), label, where)
            found["slabkitScoreKind"] = [label] * len(table)
    taken = (*_XYZ, _NAME, *_SCORES, *used, *found)
    for name in table.columns:
        if name not in taken:
            found[name] = table[name].replace("none", "").tolist()
    return ParsedPicks(found, unit, 0.0, tomograms)


_COMMON: dict[str, Any] = {
    "suffixes": (),
    "index_base": "0",
    "lost": "only read; write `relion4` or `relion5`",
    "write": None,
}

PYTOM = FileFormat(
    name="pytom",
    title="pytom-match-pick particles (rlnDetectorPixelSize); with --relion5-compat see `relion5`",
    unit="voxels of the tomogram searched",
    origin="centre of the first voxel = 0",
    sniff=sniff_pytom,
    read=read_pytom,
    in_corner_unit="px",
    **_COMMON,
)
WARP = FileFormat(
    name="warp",
    title="Warp template matching (.tomostar names), normalised",
    unit="fraction of the volume's size",
    origin="centre of the first voxel = 0; 1 is one size on",
    sniff=sniff_warp,
    read=read_warp,
    in_corner_unit="fraction",
    **_COMMON,
)
WARP_PX = FileFormat(
    name="warp-px",
    title="Warp particles (.tomostar names) in pixels",
    unit="voxels (with --binning N: pixels N times smaller)",
    origin="centre of the first voxel = 0",
    sniff=sniff_warp,
    read=read_warp_px,
    in_corner_unit="px",
    **_COMMON,
)
