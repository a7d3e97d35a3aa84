"""What is known besides the files: what the user says, and the table of tomograms."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.formats.picks.context import Centre, Unit
from slabkit.formats.programs.shared.values import check_names
from slabkit.formats.tomograms.names import known_names
from slabkit.formats.tomograms.relion import unbinned_columns
from slabkit.names import composed

if TYPE_CHECKING:
    import pandas as pd

CENTRES: tuple[Centre, ...] = ("size/2", "size/2-1")

_SIZES = ("slabkitTomogramSizeX", "slabkitTomogramSizeY", "slabkitTomogramSizeZ")


@dataclass(frozen=True)
class Context:
    """What is known besides the file; refuses values that options cannot have."""

    # Columns of `slabkit.tables.TOMOGRAMS`, to which ``voxel_size`` is applied
    tomograms: pd.DataFrame | None = None
    tomogram: str | None = None  # tomogram of picks whose format holds no name
    voxel_size: float | None = None  # of every tomogram, in Å; wins over what files say
    binning: float | None = None  # tomogram voxel size over tilt-series pixel size
    centre: Centre = "size/2"  # where RELION 5 positions have their zero, in unbinned pixels
    species: str | None = None  # species of every pick
    unit: Unit | None = None  # unit of a format that does not fix it
    # Coordinate of the first voxel in a format whose writers do not agree about it
    index_base: int | None = None
    # Number to name of the tomograms, for formats that number them
    tomogram_index: dict[str, str] | None = None
    # Names of the columns of CSV without a header line; ``-`` for those that are left out
    columns: tuple[str, ...] | None = None
    plain: bool = False  # write CSV with tomogram, species, x, y, z and score only

    def __post_init__(self) -> None:
        from slabkit.tables import TOMOGRAMS, require_unique, validate_table

        for option, value in (("--voxel-size", self.voxel_size), ("--binning", self.binning)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"{option} must be a positive number, not {value!r}.")
        if self.centre not in CENTRES:
            raise InputError(f"--centre must be {' or '.join(CENTRES)}, not {self.centre!r}.")
        if self.unit not in (None, "angstrom", "px"):
            raise InputError(f"--unit must be angstrom or px, not {self.unit!r}.")
        if self.index_base not in (None, 0, 1):
            raise InputError(f"--index-base must be 0 or 1, not {self.index_base!r}.")
        for what, name in (("tomogram", self.tomogram), ("species", self.species)):
            if name is not None:
                check_names([name], what, f"--{what}")
        if self.tomogram is not None:
            object.__setattr__(self, "tomogram", composed(self.tomogram))
        if self.tomograms is not None:
            table = validate_table(self.tomograms, TOMOGRAMS)
            require_unique(table, "slabkitTomogram", "table of tomograms")
            if self.voxel_size is not None:
                table = table.assign(slabkitVoxelSize=float(self.voxel_size))
            object.__setattr__(self, "tomograms", table)
            if self.tomogram is not None:  # as the table spells it
                spelled = {composed(name): name for name in table["slabkitTomogram"]}
                object.__setattr__(self, "tomogram", spelled.get(self.tomogram, self.tomogram))

    @property
    def first_voxel(self) -> int:
        """Coordinate of the first voxel in the formats of MATLAB programs: 1, unless said."""
        return 1 if self.index_base is None else self.index_base

    def names(
        self,
        named: Iterable[str] | None,
        count: int,
        where: str,
        kind: str = "this format",
        eman: bool = False,
    ) -> list[str]:
        """Give each pick's tomogram, as ``tomograms`` has it where only known suffixes differ.

        ``named`` is what the file says, None where it says nothing; ``kind`` then says in messages
        what holds no names. Refused where nothing says it, or ``tomogram`` contradicts the file.
        """
        if named is not None:
            known: list[str] = []
            sizes: list[float] = []
            if self.tomograms is not None:
                known = self.tomograms["slabkitTomogram"].tolist()
                sizes = self.tomograms["slabkitVoxelSize"].tolist()
            names = known_names(list(named), known, where, sizes, eman, self.binning or 1.0)
            others = sorted(set(names) - {self.tomogram})
            if self.tomogram is not None and others:
                raise InputError(
                    f"{where}: names its tomograms itself ({', '.join(others[:3])}), which "
                    f"--tomogram {self.tomogram} contradicts; leave --tomogram out."
                )
            return names
        if self.tomogram is not None:
            return [self.tomogram] * count
        if self.tomograms is not None and len(self.tomograms) == 1:
            return [str(self.tomograms["slabkitTomogram"].iloc[0])] * count
        raise InputError(
            f"{where}: {kind} does not say which tomogram the picks are in; give --tomogram NAME."
        )

    def voxel_sizes(self, names: Sequence[str], where: str) -> npt.NDArray[np.float64]:
        """Give the voxel size in Å of each pick's tomogram, all of which must be known."""
        sizes = self.known_voxel_sizes(names)
        unknown = ~np.isfinite(sizes)
        if unknown.any():
            name = names[int(np.flatnonzero(unknown)[0])]
            self._require_known(name, where)
            raise InputError(
                f"{where}: the voxel size of {name} is not known, and this format counts in "
                "voxels; give --voxel-size Å or --tomograms."
            )
        return sizes

    def known_voxel_sizes(self, names: Sequence[str]) -> npt.NDArray[np.float64]:
        """Give the voxel sizes as `voxel_sizes` does, NaN where not known."""
        if self.voxel_size is not None:
            return np.full(len(names), self.voxel_size, dtype=float)
        return self._listed(names, ["slabkitVoxelSize"], np.nan)[:, 0]

    def sizes(self, names: Sequence[str], where: str) -> npt.NDArray[np.float64]:
        """Give the size in voxels, x, y, z, of each pick's tomogram; shape (picks, 3)."""
        sizes = self.known_sizes(names)
        unknown = (sizes < 1).any(axis=1)
        if unknown.any():
            name = names[int(np.flatnonzero(unknown)[0])]
            self._require_known(name, where)
            raise InputError(
                f"{where}: the size of {name} is not known, which this format counts by (from the "
                "centre, or in fractions); give --tomograms."
            )
        return sizes

    def known_sizes(self, names: Sequence[str]) -> npt.NDArray[np.float64]:
        """Give the sizes as `sizes` does, 0 where not known."""
        return self._listed(names, list(_SIZES), 0)

    def _listed(
        self, names: Sequence[str], columns: list[str], missing: float
    ) -> npt.NDArray[np.float64]:
        """Give columns of the table of tomograms for each of the names; shape (names, columns)."""
        known: dict[str, list[float]] = {}
        if self.tomograms is not None:
            rows = self.tomograms[columns].to_numpy().tolist()
            known = dict(zip(self.tomograms["slabkitTomogram"], rows, strict=True))
        nothing = [missing] * len(columns)
        found = np.array([known.get(name, nothing) for name in names], dtype=float)
        return found.reshape(-1, len(columns))

    def unbinned(
        self, names: Sequence[str]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Give the tilt series' pixel size in Å and the unbinned volume's x, y, z in those pixels.

        As RELION's ``tomograms.star`` has them; NaN where not, or where ``voxel_size`` overrules.
        """
        if self.tomograms is None or self.voxel_size is not None:
            return np.full(len(names), np.nan), np.full((len(names), 3), np.nan)
        columns = np.column_stack(list(unbinned_columns(self.tomograms).values()))
        rows = dict(zip(self.tomograms["slabkitTomogram"], columns.tolist(), strict=True))
        nothing = [np.nan] * columns.shape[1]
        values = np.array([rows.get(name, nothing) for name in names], dtype=float).reshape(-1, 4)
        return values[:, 3], values[:, :3]

    def _require_known(self, name: str, where: str) -> None:
        if self.tomograms is not None:
            require_known_tomograms([name], self.tomograms["slabkitTomogram"], where)


def require_known_tomograms(names: Iterable[str], known: Iterable[str], where: str) -> None:
    """Refuse tomograms that are not in the list of tomograms."""
    known = list(known)
    unknown = sorted(set(names) - set(known))
    if unknown:
        close = difflib.get_close_matches(unknown[0], known, n=3, cutoff=0.0)
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        raise InputError(
            f"{where}: tomogram {unknown[0]}{more} is not among the {len(known)} given with "
            f"--tomograms; closest: {', '.join(close) or 'none'}."
        )
