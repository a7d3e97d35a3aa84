"""Lowest and highest tilt of tilt series: IMOD's .tlt and .rawtlt, SerialEM's .mdoc, RELION 5."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError, warn
from slabkit.formats.programs.shared.values import coordinates, parse_numbers
from slabkit.formats.tables.blocks import read_text
from slabkit.formats.tables.star import parse_star, read_star
from slabkit.formats.tomograms.relion import SET_TOMOGRAMS, file_of_project, file_of_set

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

_ANGLES = ("rlnTomoYTilt", "rlnTomoNominalStageTiltAngle")  # refined, and as asked of the stage
_SERIES_FILE = "rlnTomoTiltSeriesStarFile"
_BLOCK = re.compile(r"^\s*data_", re.MULTILINE)
_ANGLE = re.compile(r"^[ \t]*TiltAngle[ \t]*=[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_NARROWEST = 10.0  # degrees; less is another kind of file, or in radians
_ALIKE = 3.0  # degrees between tilt series that are not worth a word


def read_tilt_range(path: str | os.PathLike[str]) -> tuple[float, float]:
    """Read the lowest and highest tilt of a series, as what has a ``tilt_range`` takes them.

    The format is told by content. RELION's STAR files are those of a series, of tomograms that name
    theirs, or the optimisation set that names these; refined tilts count where they have them. Of
    several series it is the median of the lowest tilts and that of the highest.

    Parameters
    ----------
    path : path-like
        ``.tlt`` or ``.rawtlt`` of IMOD (an angle a line), ``.mdoc`` of SerialEM, or STAR.

    Returns
    -------
    low, high : float
        In degrees, to 0.01.

    Raises
    ------
    InputError
        The file cannot be read, has no tilts, or its tilts are not those of a tilt series.

    Warns
    -----
    SlabkitWarning
        Several series end more than 3 degrees apart.
    """
    where = str(path)
    text = read_text(path)
    if _BLOCK.search(text):
        series = _of_star(parse_star(text, where), where)
    elif written := _ANGLE.findall(text):
        series = {where: coordinates(written, "TiltAngle", where)}
    else:
        series = {where: _of_lines(text, where)}
    ends = np.array([_ends(angles, name) for name, angles in series.items()])
    low, high = np.median(ends, axis=0).round(2).tolist()
    if (np.ptp(ends, axis=0) > _ALIKE).any():
        least, most = ends.min(axis=0), ends.max(axis=0)
        warn(
            f"{where}: its {len(ends)} tilt series begin at {least[0]:g} to {most[0]:g} and end at "
            f"{least[1]:g} to {most[1]:g} degrees; the medians, {low:g}:{high:g}, are taken for "
            "all of them."
        )
    return low, high


def _of_star(blocks: Mapping[str, pd.DataFrame], where: str) -> dict[str, Floats]:
    if (tomograms := file_of_set(blocks, SET_TOMOGRAMS, where)) is not None:
        where = str(tomograms)
        blocks = read_star(tomograms)
    listed = [table[_SERIES_FILE] for table in blocks.values() if _SERIES_FILE in table.columns]
    if not listed:
        return _of_series(blocks, where)
    series: dict[str, Floats] = {}
    for written in dict.fromkeys(listed[0]):
        file = file_of_project(written, _SERIES_FILE, where)
        series |= _of_series(read_star(file), str(file))
    return series


def _of_series(blocks: Mapping[str, pd.DataFrame], where: str) -> dict[str, Floats]:
    series = {}
    for name, table in blocks.items():
        label = next((one for one in _ANGLES if one in table.columns), None)
        if label is not None:
            series[f"{where}, {name}"] = coordinates(table[label].tolist(), label, where)
    if not series:
        raise InputError(
            f"{where}: has no tilts: neither {_ANGLES[0]} nor {_ANGLES[1]} of a tilt series, nor "
            f"{_SERIES_FILE}, which names one, as RELION 5 has them; give --tilt-range MIN:MAX."
        )
    return series


def _of_lines(text: str, where: str) -> Floats:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    numbers = parse_numbers(lines)
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        raise InputError(
            f"{where}: {lines[int(np.flatnonzero(wrong)[0])][:60]!r} is no angle; a tilt file is a "
            ".tlt or .rawtlt (an angle a line), an .mdoc, or a STAR file of RELION 5."
        )
    return numbers


def _ends(angles: Floats, where: str) -> tuple[float, float]:
    low, high = (float(angles.min()), float(angles.max())) if len(angles) else (0.0, 0.0)
    if not -90 < low < high < 90 or high - low < _NARROWEST:
        raise InputError(
            f"{where}: {len(angles)} tilts from {low:g} to {high:g} degrees are not those of a "
            f"tilt series, which are between -90 and 90 and {_NARROWEST:g} degrees apart at least; "
            "give --tilt-range MIN:MAX."
        )
    return low, high
