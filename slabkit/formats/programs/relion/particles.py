"""RELION tomography particles: version 5 (centred Å) and version 4 (unbinned pixels).

The pickers of RELION 5 write lists that look like those of version 4 and count binned voxels, and
WarpTools' 2D stacks look so too and count pixels of the particle images.

RELION 5 subtracts the tomogram's centre, ``size / 2`` of the unbinned volume as a real number in
its C++ core; other parts of it use ``size / 2 - 1``, hence ``--centre``. In Å, half the unbinned
size is half the binned size, unless that was rounded: then ``tomograms.star`` says it. A particle's
position is its coordinate less the origin shift, which is turned by the subtomogram's angles where
there are any.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError, warn
from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.relion.optics import (
    general_block,
    is_around,
    optics_groups,
    unique_names,
)
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
    GENERAL,
    GROUP,
    IMAGE_PIXEL,
    PIXELS,
    SCORES,
    SHIFTS,
    SHIFTS_PX,
    STACKS_2D,
    Columns,
    Numbers,
    RelionStar,
    pixel_sizes_to_write,
    zero_of_centred,
)
from slabkit.formats.programs.shared.rows import POSITIONS, names_of_file, placed, series_name
from slabkit.formats.programs.shared.values import optional_numbers
from slabkit.formats.source import Source
from slabkit.formats.tables.star_writing import format_star
from slabkit.tables import (
    PICKS,
    ROTATION,
)

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.tables.native import PickList

_NAME = "rlnParticleName"
_FIGURE_OF_MERIT = SCORES[0]
_PICKER_FILE = re.compile(r"/Picks/job\d+/annotations/[^/]+_(particles|spheres|filaments)\.star$")


def _columns(place: tuple[str, ...]) -> Columns:
    return Columns(needed=place, used=("rlnTomoName", *CORNER, *SHIFTS), refused=SHIFTS_PX)


def read_relion5(source: Source, context: Context) -> ParsedPicks:
    """Read particles in Å from the centre of their tomogram."""
    star = RelionStar.read(source, _columns(CENTRED))
    names = star.names(context)
    zero = zero_of_centred(names, context, star.where)
    centred = star.numbers(CENTRED)
    corner = [label for label in CORNER if star.has(label)]
    pixel_size = None
    if context.centre == "size/2-1" or corner:
        needed = context.centre != "size/2"
        pixel_size = star.pixel_sizes(names, context, needed, centred=True)
    elif context.binning is None:
        star.agreed_pixels(names, context, centred=True)  # refused where it contradicts
    if context.centre == "size/2-1" and pixel_size is not None:
        zero = zero - pixel_size[:, None]
    positions = centred + zero
    if corner:
        axes = [CORNER.index(label) for label in corner]
        unit = star.image_pixels(settled=True) if pixel_size is None else pixel_size
        _warn_of_both(positions[:, axes], star.numbers(corner), unit, star.where)
    return _parsed(star, names, positions, np.ones(len(names)), zero)


def read_relion4(source: Source, context: Context) -> ParsedPicks:
    """Read particles in pixels of the unbinned tilt series, from the tomogram's corner."""
    star = RelionStar.read(source, _columns(CORNER))
    if _is_warptools_2d(star):
        return _read_warptools_2d(star, context)
    names = star.names(context)
    pixel_size = star.pixel_sizes(names, context, needed=True)
    if pixel_size is None:  # no picks
        pixel_size = np.ones(0)
    positions = star.numbers(CORNER) * pixel_size[:, None]
    return _parsed(star, names, positions, pixel_size, 0.0)


def read_picker(source: Source, context: Context) -> ParsedPicks:
    """Read picks in binned voxels of their tomogram, as RELION 5's own pickers write them."""
    star = RelionStar.read(source, _columns(CORNER))
    kind = _picker_kind(source)
    if kind and len(star) and not star.has("rlnTomoName"):  # early versions: named like the file
        names = names_of_file(source, context, len(star), f"_{kind}")
    else:
        names = star.names(context)
    says = "folder and name say" if kind else "rlnSphereRadius says"
    if kind or star.has("rlnSphereRadius"):
        warn(
            f"{star.where}: was read in binned voxels, as a list of RELION 5's picker, which its "
            f"{says} it is; give --from relion4 if it counts pixels of the tilt series."
        )
    voxel_size = context.voxel_sizes(names, star.where)
    return _parsed(star, names, star.numbers(CORNER) * voxel_size[:, None], voxel_size, 0.0)


def _is_warptools_2d(star: RelionStar) -> bool:
    """Tell WarpTools' 2D stacks: flat images, names of ``.tomostar`` files."""
    if not len(star) or not star.has("rlnTomoName") or star.has("slabkitPickId"):
        return False
    flat = [
        label
        for label, value in ((f"{GENERAL}{STACKS_2D}", "1"), ("rlnImageDimensionality", "2"))
        if star.has(label) and (star.table[label] == value).all()
    ]
    return bool(flat) and bool(star.table["rlnTomoName"].str.endswith(".tomostar").all())


def _read_warptools_2d(star: RelionStar, context: Context) -> ParsedPicks:
    """Read particles in pixels of their images, whatever the tilt series' pixels are."""
    named = star.table["rlnTomoName"]
    series = named.map({text: series_name(text) for text in named.unique()}).tolist()
    names = context.names(series, len(star), star.where)
    pixel_size = star.image_pixels()
    if pixel_size is None or not np.isfinite(pixel_size).all():
        raise InputError(
            f"{star.where}: holds 2D stacks of WarpTools, whose coordinates are in pixels of the "
            f"particle images, and does not say their size; add it as {IMAGE_PIXEL}."
        )
    sizes = " and ".join(f"{size:g}" for size in np.unique(pixel_size)[:5])
    warn(
        f"{star.where}: holds 2D stacks of WarpTools; their coordinates were read in pixels of the "
        f"particle images, {sizes} Å."
    )
    return _parsed(star, names, star.numbers(CORNER) * pixel_size[:, None], pixel_size, 0.0)


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


def sniff_relion4(source: Source) -> bool:
    """Tell by three coordinates and a tomogram name, without centred coordinates."""
    labels = source.labels
    like = {*CORNER, "rlnTomoName"} <= labels and not labels & {CENTRED[0], "slabkitX"}
    settled = bool(_picker_kind(source)) or "rlnSphereRadius" in labels
    return like and not (sniff_picker(source) and settled)


def sniff_picker(source: Source) -> bool:
    """Tell what may be of RELION 5's picker: a block without name that says no pixel size."""
    labels = source.labels
    other = {*PIXELS, GROUP, CENTRED[0], "rlnMicrographName", "slabkitX", "slabkitPickId"}
    named = "rlnTomoName" in labels or _picker_kind(source) != ""
    unnamed = set(source.block_labels) == {""}
    return unnamed and named and {*CORNER} <= labels and not labels & other


def _picker_kind(source: Source) -> str:
    """Give what a file of the picker has by its folder and name; empty for other files."""
    path = os.path.abspath(source.where).replace(os.sep, "/")
    found = None if source.where == "-" else _PICKER_FILE.search(path)
    return "" if found is None else found[1]


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
    warn(
        f"{where}: has both rlnCoordinate* and rlnCenteredCoordinate*Angst{by_how_much}; the "
        "centred ones were read, as RELION does."
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


def _text(table: pd.DataFrame, positions: dict[str, Any], pixel_size: Numbers) -> str:
    import pandas as pd

    table = unique_names(table)
    optics, groups = optics_groups(table, pixel_size)
    general = general_block(table)
    columns: dict[str, Any] = {"rlnTomoName": table["slabkitTomogram"].to_numpy()}
    columns |= positions
    columns["rlnOpticsGroup"] = groups
    columns["rlnParticleName"] = table["slabkitPickId"].to_numpy()
    if table["slabkitScore"].notna().all():
        columns["rlnAutopickFigureOfMerit"] = table["slabkitScore"].to_numpy()
    left_out = {*POSITIONS, "slabkitTomogram", *CENTRED, *CORNER, *SHIFTS, *SHIFTS_PX}
    angles = _angles(table)
    columns |= angles
    if angles:
        left_out |= set(SUBTOMOGRAM_ANGLES)
    for name in table.columns:
        if name not in columns and name not in left_out and not is_around(name):
            columns[name] = table[name].to_numpy()
    blocks = {"general": general} if general else {}
    blocks |= {"optics": optics, "particles": pd.DataFrame(columns)}
    return format_star(blocks, lists=("general",))


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
    sniff=lambda source: CENTRED[0] in source.labels and "slabkitX" not in source.labels,
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
    binnings=True,
    **_COMMON,
)

PICKER = FileFormat(
    name="relion5-picker",
    title="lists of RELION 5's picker (Picks/jobNNN/annotations/*_particles.star)",
    unit="binned voxels of the tomogram",
    origin="centre of the first voxel = 0",
    lost="only read; write `relion4` or `relion5`",
    sniff=sniff_picker,
    read=read_picker,
    in_corner_unit="px",
)
