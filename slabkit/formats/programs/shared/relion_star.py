"""STAR files with RELION's labels: what decides a position is read here, for every program.

Programs write the same labels and mean pixels of the tilt series, voxels of one volume, fractions
or Å. Each dialect declares in a `Columns` what it does with the columns that could change a
position, a score or a name: they are used, or refused where they say something; all others are kept
as text. A particle's position is its coordinate less its origin shift, which is turned by the
subtomogram's angles where there are any.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import FormatError, InputError, SlabkitWarning
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.orientations import SUBTOMOGRAM_ANGLES, euler_matrices
from slabkit.formats.programs.shared.rows import series_name
from slabkit.formats.programs.shared.values import coordinates, optional_numbers
from slabkit.formats.source import Source

if TYPE_CHECKING:
    import pandas as pd

Numbers = npt.NDArray[np.float64]

CENTRED = tuple(f"rlnCenteredCoordinate{axis}Angst" for axis in "XYZ")
CORNER = tuple(f"rlnCoordinate{axis}" for axis in "XYZ")
PIXEL = "rlnTomoTiltSeriesPixelSize"
IMAGE_PIXEL, IMAGE_BINNING = "rlnImagePixelSize", "rlnTomoSubtomogramBinning"
SHIFTS = tuple(f"rlnOrigin{axis}Angst" for axis in "XYZ")
SHIFTS_PX = tuple(f"rlnOrigin{axis}" for axis in "XYZ")


@dataclass(frozen=True)
class Columns:
    """What a dialect does with the columns it meets; those not named here are kept as text.

    Parameters
    ----------
    needed : tuple of str
        Columns by which the block of the particles is known.
    used : tuple of str
        Further columns that positions and names are made of, or that another column repeats.
    scores : tuple of str
        Columns for the score; the first that is there counts.
    refused : tuple of str
        Shifts in pixels that are refused unless they are 0.
    optics : tuple of str
        Columns of the optics groups that are joined to the particles.
    """

    needed: tuple[str, ...]
    used: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    optics: tuple[str, ...] = ()


@dataclass(frozen=True)
class RelionStar:
    """The particles of one file, values as strings, the columns of their optics group joined."""

    where: str
    table: pd.DataFrame
    columns: Columns

    @classmethod
    def read(cls, source: Source, columns: Columns) -> RelionStar:
        """Take the one block that has the needed columns; join the optics groups to its rows."""
        where, blocks = source.where, source.blocks
        found = [block for block in blocks.values() if set(columns.needed) <= set(block.columns)]
        if len(found) != 1:
            has = ", ".join(str(c) for block in blocks.values() for c in block.columns) or "none"
            what = "more than one block" if found else "no block"
            raise FormatError(
                f"{where}: {what} has the columns {', '.join(columns.needed)}; columns: "
                f"{has[:300]}."
            )
        refuse_shifts_in_pixels(found[0], columns.refused, where)
        joined = _with_optics(found[0], blocks.get("optics"), columns.optics, where)
        return cls(where, joined, columns)

    def __len__(self) -> int:
        return len(self.table)

    def has(self, *labels: str) -> bool:
        """Tell whether all these columns are there."""
        return set(labels) <= set(self.table.columns)

    def numbers(self, labels: Sequence[str]) -> Numbers:
        """Read columns of finite numbers, shape (particles, labels)."""
        return np.column_stack(
            [coordinates(self.table[label].tolist(), label, self.where) for label in labels]
        )

    def names(self, context: Context, label: str = "rlnTomoName") -> list[str]:
        """Give each particle's tomogram, also where the file's names have folders and suffixes."""
        if label not in self.table.columns:
            what = f"this file, which has no {label},"
            return context.names(None, len(self), self.where, what)
        named = self.table[label]
        if label != "rlnTomoName":
            named = named.map({text: series_name(text) for text in named.unique()})
        return context.names(named.tolist(), len(self), self.where)

    def score(self, kind: str = "") -> dict[str, Any]:
        """Give the score and its kind, the name of its column where it has no other."""
        label = next((label for label in self.columns.scores if self.has(label)), None)
        if label is None:
            return {}
        scores = optional_numbers(self.table[label].tolist(), label, self.where)
        return {"slabkitScore": scores, "slabkitScoreKind": [kind or label] * len(self)}

    def kept(self, found: dict[str, Any], used: Sequence[str] = ()) -> dict[str, Any]:
        """Give the columns that are kept as text: those that nothing was made of."""
        columns = self.columns
        taken = {*found, *used, *columns.needed, *columns.used, *columns.refused}
        return {
            str(name): self.table[name].replace("none", "").tolist()
            for name in self.table.columns
            if name not in taken
        }

    def shift(self, pixel_size: Numbers | None = None) -> Numbers:
        """Give the origin shifts in Å in the tomogram's frame, to be subtracted; says how many.

        Shifts in pixels count where there are none in Å and ``pixel_size``, of each particle in Å,
        says of which pixels they are. All are turned by the subtomogram's angles, as RELION does;
        shape (particles, 3).
        """
        shift, label = shifts(self.table, SHIFTS, self.where), "rlnOrigin*Angst"
        if pixel_size is not None and not any(map(self.has, SHIFTS)):
            shift = shifts(self.table, SHIFTS_PX, self.where) * pixel_size[:, None]
            label = "rlnOrigin*"
        moved = int(shift.any(axis=1).sum())
        if moved:
            if self.has(*SUBTOMOGRAM_ANGLES):
                angles = self.numbers(SUBTOMOGRAM_ANGLES)
                # RELION's matrices turn the coordinate system: Rz(-psi) Ry(-tilt) Rz(-rot).
                shift = np.einsum("nij,nj->ni", euler_matrices(-angles[:, ::-1], "zyz"), shift)
            warnings.warn(
                f"{self.where}: {moved} of {len(self)} particles had an origin shift "
                f"({label}); it was applied to their positions.",
                SlabkitWarning,
                stacklevel=5,
            )
        return shift

    def pixel_sizes(self, names: list[str], context: Context, needed: bool) -> Numbers | None:
        """Give each particle's unbinned pixel size in Å: from the binning, else from the file."""
        where = self.where
        in_file = self._pixel_sizes_in_file()
        if context.binning is None:
            in_file = _agreed(in_file, names, context, where)
            if in_file is None and needed and names:
                raise InputError(
                    f"{where}: does not say the pixel size of the tilt series ({PIXEL}); give "
                    "--binning (tomogram voxel size / tilt-series pixel size) with --tomograms or "
                    "--voxel-size, or RELION's tomograms.star as --tomograms."
                )
            if in_file is not None:
                known = context.known_voxel_sizes(names)
                smaller = known < in_file * (1 - 1e-3)
                if smaller.any():
                    row = int(np.flatnonzero(smaller)[0])
                    raise InputError(
                        f"{where}: {names[row]} has voxels of {known[row]:g} Å, less than the tilt "
                        f"series' {in_file[row]:g} Å; one is wrong: give --voxel-size or --binning."
                    )
            return in_file
        pixel_size = context.voxel_sizes(names, where) / context.binning
        if in_file is not None and (abs(in_file / pixel_size - 1) > 1e-3).any():
            warnings.warn(
                f"{where}: says that the tilt series has {in_file[0]:g} Å pixels, but the voxel "
                f"size and --binning {context.binning:g} give {pixel_size[0]:g} Å; --binning was "
                "followed.",
                SlabkitWarning,
                stacklevel=5,
            )
        return pixel_size

    def _pixel_sizes_in_file(self) -> Numbers | None:
        """Give the tilt series' pixel size; else that of the subtomograms, less their binning."""
        if self.has(PIXEL):
            found = self.numbers([PIXEL])[:, 0]
        elif self.has(IMAGE_PIXEL):
            found = self.numbers([IMAGE_PIXEL])[:, 0]
            if self.has(IMAGE_BINNING):
                found = found / self.numbers([IMAGE_BINNING])[:, 0]
        else:
            return None
        if (found <= 0).any():
            raise InputError(
                f"{self.where}: a pixel size is {found.min():g} Å; it must be positive."
            )
        return found


def refuse_shifts_in_pixels(table: pd.DataFrame, labels: Sequence[str], where: str) -> None:
    """Refuse shifts of RELION 3.0 that are not 0: nothing says of which pixels they are."""
    for label in labels:
        if label in table.columns and coordinates(table[label].tolist(), label, where).any():
            raise InputError(
                f"{where}: has shifts in pixels ({label}), as RELION 3.0 wrote; it does not say of "
                f"which pixels. Convert them to {label}Angst, or drop the column."
            )


def shifts(table: pd.DataFrame, labels: Sequence[str], where: str) -> Numbers:
    """Give origin shifts in Å, 0 where a column is missing; shape (rows, labels)."""
    found = np.zeros((len(table), len(labels)))
    for axis, label in enumerate(labels):
        if label in table.columns:
            found[:, axis] = coordinates(table[label].tolist(), label, where)
    return found


def zero_of_centred(names: list[str], context: Context, where: str) -> Numbers:
    """Give the place in Å of RELION 5's zero, half the unbinned size; shape (picks, 3).

    Where no ``tomograms.star`` says the unbinned sizes, the binned ones serve.
    """
    pixel_size, sizes = context.unbinned(names)
    zero = sizes * pixel_size[:, None] / 2
    unknown = ~np.isfinite(zero).all(axis=1)
    rest = [names[row] for row in np.flatnonzero(unknown).tolist()]
    if rest:
        voxel_size = context.voxel_sizes(rest, where)
        zero[unknown] = context.sizes(rest, where) * voxel_size[:, None] / 2
    return zero


def pixel_sizes_to_write(table: pd.DataFrame, names: list[str], context: Context) -> Numbers:
    """Give the unbinned pixel size of each pick in Å; warns where the binning is taken for 1."""
    if context.binning is not None:
        return context.voxel_sizes(names, "relion") / context.binning
    if PIXEL in table.columns and (table[PIXEL] != "").all():
        return coordinates([str(value) for value in table[PIXEL]], PIXEL, "pick list")
    listed, _ = context.unbinned(names)
    if np.isfinite(listed).all():
        return listed
    voxel_size = context.voxel_sizes(names, "relion")
    if names:
        warnings.warn(
            "relion: the binning of the tomograms is not known; it was written as 1, the "
            "tilt-series pixel size equal to the voxel size. Give --binning or "
            "--tomograms tomograms.star if it is not so.",
            SlabkitWarning,
            stacklevel=4,
        )
    return voxel_size


def _with_optics(
    particles: pd.DataFrame, optics: pd.DataFrame | None, labels: Sequence[str], where: str
) -> pd.DataFrame:
    if optics is None or not labels or not len(optics) or not len(particles):
        return particles
    if len(optics) == 1 and "rlnOpticsGroup" not in particles.columns:
        groups = np.zeros(len(particles), dtype=int)
    elif "rlnOpticsGroup" in particles.columns and "rlnOpticsGroup" in optics.columns:
        rows = {group: row for row, group in enumerate(optics["rlnOpticsGroup"])}
        unknown = sorted(set(particles["rlnOpticsGroup"]) - set(rows))
        if unknown:
            raise FormatError(
                f"{where}: particles of optics group {unknown[0]}, which is not there."
            )
        groups = particles["rlnOpticsGroup"].map(rows).to_numpy()
    else:
        return particles
    joined = {
        label: optics[label].to_numpy()[groups]
        for label in labels
        if label in optics.columns and label not in particles.columns
    }
    return particles.assign(**joined)


def _agreed(
    in_file: Numbers | None, names: list[str], context: Context, where: str
) -> Numbers | None:
    """Give what the file and RELION's table of tomograms say, which must be the same."""
    listed, _ = context.unbinned(names)
    if in_file is None:
        return listed if len(listed) and np.isfinite(listed).all() else None
    differ = abs(in_file / listed - 1) > 1e-3
    if differ.any():
        row = int(np.flatnonzero(differ)[0])
        raise InputError(
            f"{where}: the tilt series of {names[row]} has {in_file[row]:g} Å pixels here and "
            f"{listed[row]:g} Å in the table of tomograms; settle it with --binning."
        )
    return in_file
