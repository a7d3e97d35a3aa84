"""STAR files with RELION's labels: what decides a position is read here, for every program.

Programs write the same labels and mean pixels of the tilt series, voxels of one volume, fractions
or Å. Each dialect declares in a `Columns` what it does with the columns that could change a
position, a score or a name: they are used, or refused where they say something; all others are kept
as text, those of the optics groups and of the block ``general`` too. A particle's position is its
coordinate less its origin shift, which is turned by the subtomogram's angles where there are any.
Where a file says one pixel size twice and differently, it is refused with both numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import FormatError, InputError, warn
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.orientations import SUBTOMOGRAM_ANGLES, euler_matrices
from slabkit.formats.programs.shared.rows import series_name
from slabkit.formats.programs.shared.values import coordinates, optional_numbers, parse_numbers
from slabkit.formats.source import Source

if TYPE_CHECKING:
    import pandas as pd

Numbers = npt.NDArray[np.float64]

CENTRED = tuple(f"rlnCenteredCoordinate{axis}Angst" for axis in "XYZ")
CORNER = tuple(f"rlnCoordinate{axis}" for axis in "XYZ")
PIXEL = "rlnTomoTiltSeriesPixelSize"
IMAGE_PIXEL, IMAGE_BINNING = "rlnImagePixelSize", "rlnTomoSubtomogramBinning"
OLD_PIXEL, MICROGRAPH_PIXEL = "rlnPixelSize", "rlnMicrographPixelSize"
DETECTOR_PIXEL, MAGNIFICATION = "rlnDetectorPixelSize", "rlnMagnification"
PIXELS = (PIXEL, IMAGE_PIXEL, IMAGE_BINNING, OLD_PIXEL, MICROGRAPH_PIXEL, DETECTOR_PIXEL)
SCORES = (
    "rlnAutopickFigureOfMerit",
    "rlnLCCmax",
    "ptmLCCmax",
    "rlnParticleFigureOfMerit",
    "rlnScore",
)
GROUP, GROUP_NAME = "rlnOpticsGroup", "rlnOpticsGroupName"
STACKS_2D = "rlnTomoSubTomosAre2DStacks"
GENERAL = "general."
"""In front of the columns that are kept of the block ``general``."""
OPTICS = "optics."
"""In front of columns that are kept of the optics groups, except `OPTICS_LABELS`."""
OPTICS_LABELS = (
    PIXEL,
    "rlnVoltage",
    "rlnSphericalAberration",
    "rlnAmplitudeContrast",
    "rlnMicrographOriginalPixelSize",
    MICROGRAPH_PIXEL,
    "rlnCtfDataAreCtfPremultiplied",
    "rlnImageDimensionality",
    IMAGE_BINNING,
    IMAGE_PIXEL,
    "rlnImageSize",
)
"""What RELION has in optics groups and in no particle: it keeps its name."""
SHIFTS = tuple(f"rlnOrigin{axis}Angst" for axis in "XYZ")
SHIFTS_PX = tuple(f"rlnOrigin{axis}" for axis in "XYZ")


@dataclass(frozen=True)
class Columns:
    """What a dialect does with the columns it meets; those not named here are kept as text."""

    needed: tuple[str, ...]  # columns by which the block of the particles is known
    # Further columns that positions and names are made of, or that another column repeats
    used: tuple[str, ...] = ()
    scores: tuple[str, ...] = SCORES  # columns for the score; the first that is there counts
    refused: tuple[str, ...] = ()  # shifts in pixels that are refused unless they are 0


@dataclass(frozen=True)
class RelionStar:
    """The particles of one file, values as strings; their optics group and ``general`` joined."""

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
        centred = [label for label in CENTRED if label in found[0].columns]
        if centred and not {*CENTRED} & {*columns.needed}:
            what = "rlnCenteredCoordinate*Angst, which RELION 5 would follow (--from relion5)"
            if len(centred) < 3:
                what = f"{', '.join(centred)} without the others of its kind"
            warn(f"{where}: also has {what}; they are left out.")
        joined = _with_optics(found[0], blocks.get("optics"), where)
        general = blocks.get("general")
        if general is not None and len(general) == 1:
            said = {f"{GENERAL}{label}": general[label].iloc[0] for label in general.columns}
            joined = joined.assign(**said)
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
        taken = {*found, *used, *columns.needed, *columns.used, *columns.refused, *CENTRED}
        taken |= set() if len(self) else {GROUP}
        return {
            str(name): self.table[name].replace("none", "").tolist()
            for name in self.table.columns
            if name not in taken and not (name in PIXELS and self._says_nothing(name))
        }

    def shift(self, pixel_size: Numbers | None = None) -> Numbers:
        """Give the origin shifts in Å in the tomogram's frame, to be subtracted; says how many.

        Shifts in pixels count where there are none in Å and ``pixel_size``, of each particle in Å,
        says of which pixels they are; where there are both, they must say the same. All are turned
        by the subtomogram's angles, as RELION does; shape (particles, 3).
        """
        shift, label = shifts(self.table, SHIFTS, self.where), "rlnOrigin*Angst"
        if pixel_size is not None and any(map(self.has, SHIFTS_PX)):
            in_pixels = shifts(self.table, SHIFTS_PX, self.where) * pixel_size[:, None]
            if not any(map(self.has, SHIFTS)):
                shift, label = in_pixels, "rlnOrigin*"
            elif in_pixels.any() and not np.allclose(in_pixels, shift, rtol=1e-3, atol=1e-2):
                row, axis = np.unravel_index(abs(in_pixels - shift).argmax(), shift.shape)
                raise InputError(
                    f"{self.where}: particle {row + 1} has a shift of {shift[row, axis]:g} Å "
                    f"({SHIFTS[axis]}) and of {in_pixels[row, axis]:g} Å ({SHIFTS_PX[axis]}, in "
                    f"pixels of {pixel_size[row]:g} Å); drop the columns that are wrong."
                )
        moved = int(shift.any(axis=1).sum())
        if moved:
            if self.has(*SUBTOMOGRAM_ANGLES):
                angles = self.numbers(SUBTOMOGRAM_ANGLES)
                # RELION's matrices turn the coordinate system: Rz(-psi) Ry(-tilt) Rz(-rot).
                shift = np.einsum("nij,nj->ni", euler_matrices(-angles[:, ::-1], "zyz"), shift)
            warn(
                f"{self.where}: {moved} of {len(self)} particles had an origin shift "
                f"({label}); it was applied to their positions."
            )
        return shift

    def pixel_sizes(
        self, names: list[str], context: Context, needed: bool, centred: bool = False
    ) -> Numbers | None:
        """Give each particle's unbinned pixel size in Å: from the binning, else from the file.

        ``centred``: no position is counted in it.
        """
        where = self.where
        if context.binning is not None:
            return self._of_binning(self.tilt_series_pixels(settled=True), names, context)
        in_file = self.agreed_pixels(names, context, centred)
        if in_file is not None and np.isnan(in_file).any():
            in_file = None
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
                    f"series' {in_file[row]:g} Å; one is wrong: give the volume's right voxel size "
                    "as --voxel-size, or the right voxel size / tilt-series pixel size as "
                    "--binning."
                )
        return in_file

    def voxel_pixels(self, names: list[str], context: Context, said: Numbers | None) -> Numbers:
        """Give the pixel size in Å of coordinates in one volume: the binning's, else the file's.

        Where the file says none, ``said``, the volume's voxel size is taken. A file's that is not
        the volume's is followed, with a warning: the volume may have been binned since.
        """
        if context.binning is not None:
            return self._of_binning(said, names, context)
        if said is None:
            return context.voxel_sizes(names, self.where)
        known = context.known_voxel_sizes(names)
        missing = np.isnan(said)
        if missing.any():
            rest = [names[row] for row in np.flatnonzero(missing).tolist()]
            said = said.copy()
            said[missing] = context.voxel_sizes(rest, self.where)
        differ = abs(said / known - 1) > 1e-3
        if differ.any():
            row = int(np.flatnonzero(differ)[0])
            warn(
                f"{self.where}: its coordinates are pixels of {said[row]:g} Å, as it says, though "
                f"{names[row]} has voxels of {known[row]:g} Å; if they are voxels of that volume, "
                "give --binning 1."
            )
        return said

    def _of_binning(self, said: Numbers | None, names: list[str], context: Context) -> Numbers:
        assert context.binning is not None
        pixel_size = context.voxel_sizes(names, self.where) / context.binning
        said = np.full(len(names), np.nan) if said is None else said
        differ = abs(said / pixel_size - 1) > 1e-3
        if differ.any():
            row = int(np.flatnonzero(differ)[0])
            warn(
                f"{self.where}: says that its pixels have {said[row]:g} Å, but the voxel size "
                f"and --binning {context.binning:g} give {pixel_size[row]:g} Å; --binning was "
                "followed."
            )
        return pixel_size

    def tilt_series_pixels(self, settled: bool = False) -> Numbers | None:
        """Give the tilt series' pixel size: said itself, or that of the images over their binning.

        Both must agree, unless ``settled`` elsewhere. None where the file says neither.
        """
        said = self._said(PIXEL, settled)
        image, binning = self.image_pixels(settled=settled), self._said(IMAGE_BINNING, settled)
        if image is None or binning is None:
            return said
        return self._one(
            [(PIXEL, said), (f"{IMAGE_PIXEL} / {IMAGE_BINNING}", image / binning)], settled
        )

    def agreed_pixels(self, names: list[str], context: Context, centred: bool) -> Numbers | None:
        """Give what the file and RELION's table of tomograms say, which must be the same.

        pytom-match-pick writes the volume's voxel size into its lists in Å: then the table's holds.
        """
        in_file, image = self.tilt_series_pixels(), self.image_pixels()
        listed, _ = context.unbinned(names)
        if in_file is None and image is not None and not centred:  # as copick exports picks
            in_file = image
            warn(
                f"{self.where}: says {image[0]:g} Å for the pixels of the particle images, and "
                "neither how they are binned nor the tilt series' pixels; its coordinates were "
                "read in the same. If they are not, give --binning (voxel size / pixel size)."
            )
        if in_file is None:
            return listed if len(listed) and np.isfinite(listed).all() else None
        in_file = np.where(np.isnan(in_file), listed, in_file)
        differ = abs(in_file / listed - 1) > 1e-3
        voxel_size = context.known_voxel_sizes(names)
        if centred and differ.any() and (abs(in_file / voxel_size - 1)[differ] <= 1e-3).all():
            warn(
                f"{self.where}: says {in_file[differ][0]:g} Å for the pixels of the tilt series, "
                "which is the tomogram's voxel size, as pytom-match-pick writes it; the "
                f"{listed[differ][0]:g} Å of the table of tomograms were taken. Where pytom had "
                "that table, its zero is at size/2-1 (--centre)."
            )
            return np.where(differ, listed, in_file)
        if differ.any():
            row = int(np.flatnonzero(differ)[0])
            raise InputError(
                f"{self.where}: the tilt series of {names[row]} has {in_file[row]:g} Å pixels here "
                f"and {listed[row]:g} Å in the table of tomograms; settle it with --binning "
                f"({voxel_size[row] / in_file[row]:.9g} follows this file, "
                f"{voxel_size[row] / listed[row]:.9g} the table)."
            )
        return in_file

    def image_pixels(self, *further: str, settled: bool = False) -> Numbers | None:
        """Give the pixel size of the particle images, by any label; also those of ``further``.

        RELION 3.0 has it as ``rlnDetectorPixelSize`` (µm) * 10⁴ / ``rlnMagnification``; without a
        magnification, the former is in Å, as pytom-match-pick writes it.
        """
        labels = (IMAGE_PIXEL, OLD_PIXEL, *further)
        found = [(label, self._said(label, settled)) for label in labels]
        detector, magnification = (
            self._said(label, settled) for label in (DETECTOR_PIXEL, MAGNIFICATION)
        )
        if detector is not None and magnification is not None:
            what = f"{DETECTOR_PIXEL} * 10000 / {MAGNIFICATION}"
            found.append((what, detector * 1e4 / magnification))
        else:
            found.append((DETECTOR_PIXEL, detector))
        return self._one(found, settled)

    def _says_nothing(self, label: str) -> bool:
        return not np.isfinite(parse_numbers(self.table[label].tolist())).any()

    def _said(self, label: str, settled: bool) -> Numbers | None:
        """Read a column of positive numbers; NaN where there is none, None where nowhere is.

        Where ``settled`` elsewhere, what is not positive is none.
        """
        if not self.has(label):
            return None
        found = optional_numbers(self.table[label].tolist(), label, self.where)
        wrong = found <= 0
        if wrong.any() and not settled:
            raise InputError(
                f"{self.where}: {label} is {np.nanmin(found):g}; it must be positive. Settle it "
                "with --binning, the voxel size (--tomograms or --voxel-size) over the pixel size "
                "of the coordinates."
            )
        found = np.where(wrong, np.nan, found)
        return found if np.isfinite(found).any() else None

    def _one(self, said: list[tuple[str, Numbers | None]], settled: bool) -> Numbers | None:
        """Give what all statements agree about, refusing those that do not."""
        known = [(label, values) for label, values in said if values is not None]
        if not known:
            return None
        first, found = known[0]
        for label, values in known[1:]:
            differ = abs(found / values - 1) > 1e-3
            if differ.any() and not settled:
                row = int(np.flatnonzero(differ)[0])
                raise InputError(
                    f"{self.where}: says two pixel sizes of particle {row + 1}, {found[row]:g} Å "
                    f"({first}) and {values[row]:g} Å ({label}); settle it with --binning, the "
                    "voxel size (--tomograms or --voxel-size) over the pixel size of the two that "
                    "holds."
                )
            found = np.where(np.isnan(found), values, found)
        return found


def refuse_shifts_in_pixels(table: pd.DataFrame, labels: Sequence[str], where: str) -> None:
    """Refuse shifts of RELION 3.0 that are not 0: nothing says of which pixels they are."""
    for label in labels:
        if label in table.columns and coordinates(table[label].tolist(), label, where).any():
            raise InputError(
                f"{where}: has shifts in pixels ({label}), as RELION 3.0 wrote; it does not say of "
                f"which pixels. Convert them to {label}Angst."
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
        sizes = context.sizes(rest, where)  # first: --tomograms, which it asks for, has both
        zero[unknown] = sizes * context.voxel_sizes(rest, where)[:, None] / 2
    return zero


def pixel_sizes_to_write(table: pd.DataFrame, names: list[str], context: Context) -> Numbers:
    """Give the unbinned pixel size of each pick in Å; warns where the binning is taken for 1."""
    if context.binning is not None:
        return context.voxel_sizes(names, "relion") / context.binning
    known, _ = context.unbinned(names)
    if PIXEL in table.columns:
        own = optional_numbers([str(value) for value in table[PIXEL]], PIXEL, "pick list")
        known = np.where(np.isnan(own), known, own)
    if np.isfinite(known).all():
        return known
    voxel_size = context.voxel_sizes(names, "relion")
    if names:
        warn(
            "relion: the binning of the tomograms is not known; it was written as 1, the "
            "tilt-series pixel size equal to the voxel size. Give --binning or "
            "--tomograms tomograms.star if it is not so."
        )
    return voxel_size


def _with_optics(particles: pd.DataFrame, optics: pd.DataFrame | None, where: str) -> pd.DataFrame:
    if optics is None or not len(optics) or not len(particles):
        return particles
    if len(optics) == 1 and GROUP not in particles.columns:
        rows = np.zeros(len(particles), dtype=int)
    elif GROUP not in particles.columns or GROUP not in optics.columns:
        raise FormatError(
            f"{where}: has {len(optics)} optics groups, and {GROUP} is missing in "
            f"{'the optics' if GROUP in particles.columns else 'the particles'}."
        )
    else:
        if not optics[GROUP].is_unique:
            twice = optics[GROUP][optics[GROUP].duplicated()].iloc[0]
            raise FormatError(f"{where}: the optics group {twice} appears twice.")
        numbers = {group: row for row, group in enumerate(optics[GROUP])}
        unknown = sorted(set(particles[GROUP]) - set(numbers))
        if unknown:
            raise FormatError(
                f"{where}: particles of optics group {unknown[0]}, which is not there."
            )
        rows = particles[GROUP].map(numbers).to_numpy()
    joined = {}
    for label in optics.columns:
        values = optics[label].to_numpy()[rows]
        if label in (*PIXELS, MAGNIFICATION) and label in particles.columns:
            _same_in_both(particles[label].tolist(), values.tolist(), label, where)
        kept = (GROUP, GROUP_NAME, *OPTICS_LABELS, *PIXELS, MAGNIFICATION)
        name = label if label in kept else f"{OPTICS}{label}"
        if name not in particles.columns:
            joined[name] = values
    return particles.assign(**joined)


def _same_in_both(own: list[str], groups: list[str], label: str, where: str) -> None:
    """Refuse a pixel size that a particle and its optics group say differently."""
    if own == groups:
        return
    ours, theirs = (optional_numbers(values, label, where) for values in (own, groups))
    differ = abs(ours / theirs - 1) > 1e-3
    if differ.any():
        row = int(np.flatnonzero(differ)[0])
        raise InputError(
            f"{where}: {label} of particle {row + 1} is {own[row]}, and {groups[row]} in its "
            "optics group; correct the wrong one."
        )
