"""How picks are to be read, as the options of commands say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Centre = Literal["size/2", "size/2-1"]
Unit = Literal["angstrom", "px"]


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
    csv_columns : str, optional
        Names of the columns of CSV without a header line, commas between.
    """

    format: str | None = None
    binning: float | None = None
    centre: Centre = "size/2"
    tomogram: str | None = None
    unit: Unit | None = None
    index_base: int | None = None
    tomogram_index: str | None = None
    csv_columns: str | None = None

    def keywords(self) -> dict[str, Any]:
        """Give the keywords of `slabkit.read_picks`; reads the file ``tomogram_index``.

        Returns
        -------
        dict of str to object
        """
        from slabkit.formats.tomograms.index import read_tomogram_index

        said = dict(vars(self))
        index, columns = said["tomogram_index"], said.pop("csv_columns")
        return said | {
            "tomogram_index": read_tomogram_index(index) if index else None,
            "columns": None if columns is None else tuple(columns.split(",")),
        }
