"""RELION's ``tomograms.star``: names, sizes, binning and volumes of the tomograms of a project.

Sizes there are of the unbinned volume, in pixels of the tilt series; a volume of binning b has
voxels b times as large. RELION's binned volume begins at the same place: its voxel i is at the
unbinned position i times b.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError, warn
from slabkit.formats.programs.shared.values import check_names, coordinates, optional_numbers
from slabkit.formats.tables.paths import path_for_table, resolve_path
from slabkit.tables import TOMOGRAMS, make_table, repeated
from slabkit.tomogram import Reading, TomogramRef

if TYPE_CHECKING:
    import pandas as pd

UNBINNED_PIXEL = "rlnTomoTiltSeriesPixelSize"
UNBINNED_SIZES = ("rlnTomoSizeX", "rlnTomoSizeY", "rlnTomoSizeZ")
UNBINNED = (*UNBINNED_SIZES, UNBINNED_PIXEL)
"""What tables of tomograms keep of RELION: size in pixels of the tilt series, its pixel in Å."""

_LARGEST_SET = 1 << 16  # bytes
_BINNING = "rlnTomoTomogramBinning"
_VOLUMES = (
    "rlnTomoReconstructedTomogramDenoised",
    "rlnTomoDenoisedTomogram",
    "rlnTomoReconstructedTomogram",
)
_HALF_MAPS = ("rlnTomoReconstructedTomogramHalf1", "rlnTomoReconstructedTomogramHalf2")


SET_PARTICLES, SET_TOMOGRAMS = "rlnTomoParticlesFile", "rlnTomoTomogramsFile"


def file_of_set(blocks: Mapping[str, pd.DataFrame], label: str, where: str) -> Path | None:
    """Find the file that RELION's ``optimisation_set.star`` names; None in a file that is none.

    Its path is relative to the project, which is the working directory or a folder above the set.
    """
    labels = {SET_PARTICLES, SET_TOMOGRAMS}
    block = next((b for b in blocks.values() if labels & {*b.columns}), None)
    if block is None:
        return None
    if len(block) != 1 or label not in block.columns or block[label].iloc[0] in ("", "none"):
        raise InputError(
            f"{where}: is RELION's optimisation set, and names not just one {label}; give the file "
            "itself."
        )
    path = file_of_project(str(block[label].iloc[0]), label, where)
    if _may_be_set(path):
        raise InputError(f"{where}: names {path} ({label}), which is an optimisation set itself.")
    return path


def file_of_project(written: str, label: str, where: str) -> Path:
    """Find a file that a table of a RELION project names, relative to the project."""
    found = resolve_path(written, where)
    folders = Path(os.path.abspath(where)).parents
    path = next((p for p in (found, *(folder / written for folder in folders)) if p.exists()), None)
    if path is None:
        raise InputError(
            f"{where}: names {written} ({label}), which is not there; call slabkit from the folder "
            "of the RELION project, or give that file itself."
        )
    return path


def files_of_set(path: str | os.PathLike[str]) -> list[Path]:
    """Give the files that an optimisation set names; none for any other file, and of a pipe."""
    from slabkit.formats.tables.star import parse_star

    path = Path(path)
    if path.suffix.lower() != ".star" or not path.is_file() or not _may_be_set(path):
        return []
    blocks = parse_star(path.read_bytes(), str(path))
    labels = {str(label) for block in blocks.values() for label in block.columns}
    named = [label for label in (SET_PARTICLES, SET_TOMOGRAMS) if label in labels]
    found = [file_of_set(blocks, label, str(path)) for label in named]
    return [file for file in found if file is not None]


def _may_be_set(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size > _LARGEST_SET:
        return False
    data = path.read_bytes()
    return SET_PARTICLES.encode() in data or SET_TOMOGRAMS.encode() in data


@dataclass(frozen=True)
class RelionTomogram:
    """One row of ``tomograms.star``.

    The volume is the reconstructed one, denoised where there is one. Pixels are of the tilt series,
    their size in Å; ``size`` (x, y, z) is in pixels, and ``binning`` is the voxel size of the
    volume over the pixel size; NaN where not known.
    """

    ref: TomogramRef
    pixel_size: float
    size: tuple[float, float, float]
    binning: float

    def binned(self) -> tuple[list[int], float]:
        """Give the size in voxels along x, y, z (0: not known), and the voxel size in Å."""
        binning = self.binning if math.isfinite(self.binning) else 1.0
        sides = [side / binning for side in self.size]
        counts = [math.floor(side + 0.5) if math.isfinite(side) else 0 for side in sides]
        return counts, self.pixel_size * binning


def is_relion_tomograms(blocks: Mapping[str, pd.DataFrame]) -> bool:
    """Tell by a block ``global`` with names of tomograms."""
    return "global" in blocks and "rlnTomoName" in blocks["global"].columns


def list_relion_tomograms(
    blocks: Mapping[str, pd.DataFrame], where: str, half: str | None = None
) -> list[RelionTomogram]:
    """Read the rows of ``tomograms.star``; paths in it are relative to the project.

    ``half``: take half maps; of their sum the first is named, as `Reading.half` wants it.
    """
    from slabkit.formats.volumes.opening import open_reference  # of no use to pick lists

    block = blocks["global"]
    names = block["rlnTomoName"].tolist()
    check_names(names, "tomogram", where)
    if (twice := repeated(names)) is not None:
        raise InputError(f"{where}: the tomogram {twice} appears twice.")
    if UNBINNED_PIXEL not in block.columns:
        raise InputError(
            f"{where}: has no {UNBINNED_PIXEL}, without which sizes mean nothing; is it RELION's "
            "tomograms.star?"
        )
    pixel = _positive(coordinates(block[UNBINNED_PIXEL].tolist(), UNBINNED_PIXEL, where), where)
    numbers = {
        label: _positive(optional_numbers(block[label].tolist(), label, where), where, label)
        if label in block.columns
        else np.full(len(block), np.nan)
        for label in (*UNBINNED_SIZES, _BINNING)
    }
    labels = [label for label in _VOLUMES if label in block.columns]
    halves = [label for label in _HALF_MAPS if label in block.columns]
    if half is not None:
        labels = [_HALF_MAPS[half == "2"]]
        if labels[0] not in halves:
            raise InputError(f"{where}: has no {labels[0]}, which --half {half} takes.")
    if len(labels) > 1:
        warn(
            f"{where}: has {labels[0]} and {labels[1]}; the first is taken where there is one "
            "(give the files themselves to choose)."
        )
    half_map = block[halves[0]].tolist() if halves and half is None else None
    found = []
    for row, name in enumerate(names):
        written = [str(block[label].iloc[row]) for label in labels]
        path = next((text for text in written if text.lower() not in ("", "none")), None)
        x, y, z = (float(numbers[label][row]) for label in UNBINNED_SIZES)
        binning = float(numbers[_BINNING][row])
        missing = f"{where}: has no reconstructed volume for the tomogram {name}."
        if half_map is not None:
            missing = (
                f"{missing[:-1]}, only half maps, such as {half_map[row]}; take one or their sum "
                "with --half 1, 2 or sum, or give a volume itself."
            )
        ref = TomogramRef(
            name,
            None if path is None else resolve_path(path, where),
            float(pixel[row]) * binning if math.isfinite(binning) else None,
            problem="" if path else missing,
            opener=open_reference,
        )
        found.append(RelionTomogram(ref, float(pixel[row]), (x, y, z), binning))
    return found


def relion_tomogram_table(
    blocks: Mapping[str, pd.DataFrame], where: str, voxel_size: float | None = None
) -> pd.DataFrame:
    """Make a table of `slabkit.tables.TOMOGRAMS` and `UNBINNED` of ``tomograms.star``.

    Size and voxel size are those of the volume's header where the volume is there, else made of
    the unbinned ones; without a binning and a volume, of the unbinned volume. ``voxel_size``, in Å,
    wins over what files say.
    """
    rows: list[dict[str, Any]] = []
    reading = Reading(voxel_size=voxel_size)
    for one in list_relion_tomograms(blocks, where):
        path = one.ref.path
        size, edge = one.binned()
        if path is not None and os.path.exists(path):
            volume = one.ref.but(reading=reading).open()
            size, edge = list(reversed(volume.shape)), volume.voxel_size
        row: dict[str, Any] = {
            "slabkitTomogram": one.ref.name,
            "slabkitTomogramFile": "" if path is None else path_for_table(path),
            "slabkitVoxelSize": voxel_size or edge,
            "slabkitTomogramReading": reading.text(),
        }
        row |= {f"slabkitTomogramSize{axis}": side for axis, side in zip("XYZ", size, strict=True)}
        row |= dict(zip(UNBINNED, (*one.size, one.pixel_size), strict=True))
        rows.append(row)
    columns = [*TOMOGRAMS.names[:6], "slabkitTomogramReading", *UNBINNED]
    return make_table(TOMOGRAMS, {name: [row[name] for row in rows] for name in columns})


def unbinned_columns(table: pd.DataFrame) -> dict[str, npt.NDArray[np.float64]]:
    """Give the columns `UNBINNED` of a table of tomograms as numbers, NaN where not known."""
    found = {}
    for name in UNBINNED:
        if name in table.columns:
            values = [str(value) for value in table[name].tolist()]
            found[name] = optional_numbers(values, name, "table of tomograms")
        else:
            found[name] = np.full(len(table), np.nan)
    return found


def _positive(
    values: npt.NDArray[np.float64], where: str, label: str = UNBINNED_PIXEL
) -> npt.NDArray[np.float64]:
    wrong = values <= 0
    if wrong.any():
        raise InputError(f"{where}: {label} is {values[wrong][0]:g}; it must be positive.")
    return values
