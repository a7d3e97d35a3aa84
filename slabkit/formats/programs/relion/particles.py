"""RELION tomography particles: version 5 (centred Å) and version 4 (unbinned pixels).

RELION 5 subtracts the tomogram's centre, ``size / 2`` of the unbinned volume as a real number in
its C++ core; other parts of it use ``size / 2 - 1``, hence ``--centre``. In Å, half the unbinned
size is half the binned size, unless that was rounded: then ``tomograms.star`` says it. A particle's
position is its coordinate less the origin shift, which is turned by the subtomogram's angles where
there are any.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import SlabkitWarning
from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.json_values import ROTATION
from slabkit.formats.programs.shared.orientations import (
    RELION_ANGLES,
    SUBTOMOGRAM_ANGLES,
    relion_angles,
    rotations,
    settled_rotations,
)
from slabkit.formats.programs.shared.relion_star import (
    CENTRED,
    CORNER,
    IMAGE_BINNING,
    IMAGE_PIXEL,
    PIXEL,
    SHIFTS,
    SHIFTS_PX,
    Columns,
    RelionStar,
    pixel_sizes_to_write,
    zero_of_centred,
)
from slabkit.formats.programs.shared.rows import POSITIONS, placed
from slabkit.formats.programs.shared.values import optional_numbers
from slabkit.formats.source import Source
from slabkit.formats.tables.star import format_star
from slabkit.tables import PICKS

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.tables.native import PickList

_NAME = "rlnParticleName"
_FIGURE_OF_MERIT = "rlnAutopickFigureOfMerit"

# What goes back to the optics block; the values are used where a list never had any.
_OPTICS = {"rlnVoltage": "300.0", "rlnSphericalAberration": "2.7", "rlnAmplitudeContrast": "0.1"}


def _columns(place: tuple[str, ...]) -> Columns:
    return Columns(
        needed=place,
        used=("rlnTomoName", "rlnOpticsGroup", *CENTRED, *CORNER, *SHIFTS),
        scores=(_FIGURE_OF_MERIT, "rlnLCCmax"),
        refused=SHIFTS_PX,
        optics=(PIXEL, IMAGE_PIXEL, IMAGE_BINNING, *_OPTICS),
    )


def read_relion5(source: Source, context: Context) -> ParsedPicks:
    """Read particles in Å from the centre of their tomogram."""
    star = RelionStar.read(source, _columns(CENTRED))
    names = star.names(context)
    zero = zero_of_centred(names, context, star.where)
    centred = star.numbers(CENTRED)
    corner = star.numbers(CORNER) if star.has(*CORNER) else None
    pixel_size = None
    if context.centre == "size/2-1" or corner is not None:
        pixel_size = star.pixel_sizes(names, context, needed=context.centre != "size/2")
    if context.centre == "size/2-1" and pixel_size is not None:
        zero = zero - pixel_size[:, None]
    positions = centred + zero
    if corner is not None:
        _warn_of_both(positions, corner, pixel_size, star.where)
    return _parsed(star, names, positions, np.ones(len(names)), zero)


def read_relion4(source: Source, context: Context) -> ParsedPicks:
    """Read particles in pixels of the unbinned tilt series, from the tomogram's corner."""
    star = RelionStar.read(source, _columns(CORNER))
    names = star.names(context)
    pixel_size = star.pixel_sizes(names, context, needed=True)
    if pixel_size is None:  # no picks
        pixel_size = np.ones(0)
    if star.has(*CENTRED):
        warnings.warn(
            f"{star.where}: also has rlnCenteredCoordinate*Angst, which RELION 5 would follow; "
            "they were left out as --from relion4 says.",
            SlabkitWarning,
            stacklevel=4,
        )
    positions = star.numbers(CORNER) * pixel_size[:, None]
    return _parsed(star, names, positions, pixel_size, 0.0)


def write_relion5(picks: PickList, context: Context) -> str:
    """Write particles in Å from the centre of their tomogram."""
    table = picks.picks
    names = table["slabkitTomogram"].tolist()
    pixel_size = pixel_sizes_to_write(table, names, context)
    zero = zero_of_centred(names, context, "relion5")
    if context.centre == "size/2-1":
        zero = zero - pixel_size[:, None]
    positions = table[list(POSITIONS)].to_numpy() - zero
    return _text(table, dict(zip(CENTRED, positions.T, strict=True)), pixel_size)


def write_relion4(picks: PickList, context: Context) -> str:
    """Write particles in pixels of the unbinned tilt series, from the tomogram's corner."""
    table = picks.picks
    names = table["slabkitTomogram"].tolist()
    pixel_size = pixel_sizes_to_write(table, names, context)
    positions = table[list(POSITIONS)].to_numpy() / pixel_size[:, None]
    return _text(table, dict(zip(CORNER, positions.T, strict=True)), pixel_size)


def sniff_relion5(source: Source) -> bool:
    """Tell by the centred coordinates."""
    return CENTRED[0] in source.labels and "slabkitX" not in source.labels


def sniff_relion4(source: Source) -> bool:
    """Tell by three coordinates and a tomogram name, without centred coordinates."""
    labels = source.labels
    return {*CORNER, "rlnTomoName"} <= labels and not labels & {CENTRED[0], "slabkitX"}


def _warn_of_both(
    positions: npt.NDArray[np.float64],
    corner: npt.NDArray[np.float64],
    pixel_size: npt.NDArray[np.float64] | None,
    where: str,
) -> None:
    by_how_much = ""
    if pixel_size is not None and len(positions):
        most = float(abs(positions - corner * pixel_size[:, None]).max())
        by_how_much = f" (they differ by up to {most:.3g} Å)"
    warnings.warn(
        f"{where}: has both rlnCoordinate* and rlnCenteredCoordinate*Angst{by_how_much}; the "
        "centred ones were read, as RELION does.",
        SlabkitWarning,
        stacklevel=5,
    )


def _parsed(
    star: RelionStar,
    names: list[str],
    positions: npt.NDArray[np.float64],
    unit_length: npt.NDArray[np.float64],
    zero: npt.NDArray[np.float64] | float,
) -> ParsedPicks:
    particles = star.table
    found = placed(names, positions - star.shift())
    for column in PICKS.columns:  # what slabkit wrote next to RELION's columns
        if column.name in particles.columns and column.name not in found:
            values = particles[column.name]
            if column.kind == "string":
                found[column.name] = values.replace("none", "").tolist()
            else:
                found[column.name] = optional_numbers(values.tolist(), column.name, star.where)
    used = list(POSITIONS)
    if "slabkitScore" not in found:
        found |= star.score()
        used += found.get("slabkitScoreKind", [])[:1]
    if "slabkitScore" in found:
        used.append(_FIGURE_OF_MERIT)  # the same number, which slabkit wrote for RELION
    if star.has(_NAME) and particles[_NAME].is_unique:
        found.setdefault("slabkitPickId", particles[_NAME].tolist())
        used.append(_NAME)
    found |= star.kept(found, used)
    if star.has(ROTATION, *RELION_ANGLES):
        found[ROTATION] = settled_rotations(particles, star.where)
    return ParsedPicks(found, unit_length, zero)


def _text(
    table: pd.DataFrame, positions: dict[str, Any], pixel_size: npt.NDArray[np.float64]
) -> str:
    import pandas as pd

    count = len(table)
    optics = pd.DataFrame({PIXEL: pixel_size})
    for label, value in _OPTICS.items():
        optics[label] = table[label].to_numpy() if label in table.columns else [value] * count
        optics[label] = optics[label].replace("", value)
    groups = optics.groupby(list(optics.columns), sort=True).ngroup().to_numpy() + 1
    optics = optics.drop_duplicates().sort_values(list(optics.columns), ignore_index=True)
    optics.insert(0, "rlnOpticsGroup", np.arange(1, len(optics) + 1))
    optics.insert(0, "rlnOpticsGroupName", [f"opticsGroup{i}" for i in optics["rlnOpticsGroup"]])
    columns: dict[str, Any] = {"rlnTomoName": table["slabkitTomogram"].to_numpy()}
    columns |= positions
    columns["rlnOpticsGroup"] = groups
    columns["rlnParticleName"] = table["slabkitPickId"].to_numpy()
    if table["slabkitScore"].notna().all():
        columns["rlnAutopickFigureOfMerit"] = table["slabkitScore"].to_numpy()
    left_out = {*POSITIONS, "slabkitTomogram", PIXEL, IMAGE_PIXEL, IMAGE_BINNING, *_OPTICS}
    left_out |= {*CENTRED, *CORNER, *SHIFTS, *SHIFTS_PX}
    angles = _angles(table)
    columns |= angles
    if angles:
        left_out |= set(SUBTOMOGRAM_ANGLES)
    for name in table.columns:
        if name not in columns and name not in left_out:
            columns[name] = table[name].to_numpy()
    return format_star({"optics": optics, "particles": pd.DataFrame(columns)})


def _angles(table: pd.DataFrame) -> dict[str, Any]:
    """Give RELION's angles, unless every pick has them as RELION wrote them."""
    own = (
        set(RELION_ANGLES) <= set(table.columns)
        and not (table[list(RELION_ANGLES)] == "").to_numpy().any()
    )
    if own and (ROTATION not in table.columns or _unmoved(table)):
        return {}
    turned = rotations(table, "relion")
    if turned is None:
        return {}
    return dict(zip(RELION_ANGLES, relion_angles(turned).T, strict=True))


def _unmoved(table: pd.DataFrame) -> bool:
    own: list[str] = table[ROTATION].tolist()
    return settled_rotations(table, "relion") == own


_COMMON: dict[str, Any] = {
    "lost": "tomogram sizes; slabkit's own columns are next to RELION's, which keeps them",
    "keeps": frozenset(PICKS.names),
    "keeps_extra": True,
}

RELION5 = FileFormat(
    name="relion5",
    title="RELION 5 tomography particles (rlnCenteredCoordinateXAngst)",
    unit="Å",
    origin="centre of the tomogram = size/2 (--centre size/2-1: one unbinned pixel less)",
    sniff=sniff_relion5,
    read=read_relion5,
    write=write_relion5,
    **_COMMON,
)

RELION4 = FileFormat(
    name="relion4",
    title="RELION 4 tomography particles (rlnCoordinateX/Y/Z, rlnTomoName)",
    unit="pixels of the unbinned tilt series",
    origin="centre of the first voxel = 0",
    sniff=sniff_relion4,
    read=read_relion4,
    write=write_relion4,
    in_corner_unit="px",
    **_COMMON,
)
