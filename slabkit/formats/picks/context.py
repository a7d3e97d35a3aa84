"""How picks are to be read, as the options of commands say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Centre = Literal["size/2", "size/2-1"]
Unit = Literal["angstrom", "px"]


@dataclass(frozen=True)
class PickReading:
    """How picks are read where their file does not say it; the options of ``--from`` and others."""

    format: str | None = None  # name of the format; None: by the content
    binning: float | None = None  # tomogram voxel size over tilt-series pixel size
    centre: Centre = "size/2"  # zero of RELION 5 positions, in unbinned pixels
    tomogram: str | None = None  # tomogram of picks that do not name theirs
    unit: Unit | None = None  # unit of a format that does not fix it
    index_base: int | None = None  # coordinate of the first voxel in a Dynamo table
    tomogram_index: str | None = None  # file that says which number is which tomogram
    # Names of the columns of CSV without a header line, commas between
    csv_columns: str | None = None

    def keywords(self) -> dict[str, Any]:
        """Give the keywords of `slabkit.read_picks`; reads the file ``tomogram_index``."""
        from slabkit.formats.tomograms.index import read_tomogram_index

        said = dict(vars(self))
        index, columns = said["tomogram_index"], said.pop("csv_columns")
        return said | {
            "tomogram_index": read_tomogram_index(index) if index else None,
            "columns": None if columns is None else tuple(columns.split(",")),
        }
