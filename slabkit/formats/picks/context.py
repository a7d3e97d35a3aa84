"""What the user says beside the files, checked before anything is read or written."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.file_format import Centre, Context, PickFormat, Unit


@dataclass(frozen=True)
class PickReading:
    """How picks are read where their file does not say it; the options of ``--from`` and others.

    Parameters
    ----------
    format : str, optional
        Name of the format; None: by the content.
    binning : float, optional
        Tomogram voxel size over tilt-series pixel size.
    centre : {"size/2", "size/2-1"}
        Zero of RELION 5 positions, in unbinned pixels.
    tomogram : str, optional
        Tomogram of picks that do not name theirs.
    unit : {"angstrom", "px"}, optional
        Unit of a format that does not fix it.
    index_base : {0, 1}, optional
        Coordinate of the first voxel in a Dynamo table.
    tomogram_index : str, optional
        File that says which number is which tomogram.
    """

    format: str | None = None
    binning: float | None = None
    centre: Centre = "size/2"
    tomogram: str | None = None
    unit: Unit | None = None
    index_base: int | None = None
    tomogram_index: str | None = None

    def keywords(self) -> dict[str, Any]:
        """Give the keywords of `slabkit.read_picks`; reads the file ``tomogram_index``.

        Returns
        -------
        dict of str to object
        """
        from slabkit.formats.tomograms.index import read_tomogram_index

        index = self.tomogram_index
        return {**vars(self), "tomogram_index": read_tomogram_index(index) if index else None}


def make_context(
    tomograms: pd.DataFrame | None,
    tomogram: str | None,
    voxel_size: float | None,
    binning: float | None,
    centre: Centre,
    species: str | None,
    unit: Unit | None,
    index_base: int | None = None,
    tomogram_index: dict[str, str] | None = None,
) -> Context:
    """Make a `Context`, which says what the options are.

    Raises
    ------
    InputError
        An option has a value that it cannot have; names it.
    """
    from slabkit.formats.file_format import CENTRES, Context
    from slabkit.formats.programs.shared.values import check_names
    from slabkit.tables import TOMOGRAMS, require_unique, validate_table

    for option, value in (("--voxel-size", voxel_size), ("--binning", binning)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"{option} must be a positive number, not {value!r}.")
    if centre not in CENTRES:
        raise InputError(f"--centre must be {' or '.join(CENTRES)}, not {centre!r}.")
    if unit not in (None, "angstrom", "px"):
        raise InputError(f"--unit must be angstrom or px, not {unit!r}.")
    if index_base not in (None, 0, 1):
        raise InputError(f"--index-base must be 0 or 1, not {index_base!r}.")
    if tomogram is not None:
        check_names([tomogram], "tomogram", "--tomogram")
    if species is not None:
        check_names([species], "species", "--species")
    if tomograms is not None:
        tomograms = validate_table(tomograms, TOMOGRAMS)
        require_unique(tomograms, "slabkitTomogram", "table of tomograms")
        if voxel_size is not None:
            tomograms = tomograms.assign(slabkitVoxelSize=float(voxel_size))
    return Context(
        tomograms,
        tomogram,
        voxel_size,
        binning,
        centre,
        species,
        unit,
        index_base,
        tomogram_index,
    )


def require_meant(pick_format: PickFormat, context: Context, where: str) -> None:
    """Refuse options that a format has no use for, before they are believed to have worked."""
    if context.unit is not None and context.unit not in pick_format.units:
        raise InputError(
            f"{where}: --unit is for formats that do not fix it, CSV for one; the unit of "
            f"{pick_format.name} is {pick_format.unit}."
        )
    if context.index_base is not None and not pick_format.index_bases:
        raise InputError(
            f"{where}: --index-base is for Dynamo tables; the first voxel of {pick_format.name} "
            f"is {pick_format.index_base}."
        )
    if context.tomogram_index is not None and not pick_format.numbered:
        raise InputError(
            f"{where}: --tomogram-index is for formats that number their tomograms, and "
            f"{pick_format.name} does not."
        )
