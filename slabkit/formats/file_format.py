"""What a format is: how to tell a file of it, how to read and write it, and a few facts.

One `FileFormat` may read 3D picks, 2D picks or results on minislabs, and write 3D picks.

A reader of 3D picks gets a `Source` (one file's content) and a `Context` (what the user or a table
of tomograms says) and gives a `ParsedPicks`: columns named as in `slabkit.tables.PICKS`, positions
in Å with 0 at the centre of the first voxel. A writer gets a checked `PickList` and a `Context` and
gives text, or bytes in pieces. Ids, duplicates, bounds and files are the business of
`slabkit.formats.picks.reading`.

A reader of 2D picks gets files and the slabs, and gives a table with the columns of
`slabkit.tables.PICKS2D`: pixels of the slab images, 0 at the centre of the first pixel, y counted
as the file counts it. Which way that is, and whether places lie on their slabs, is the business of
`slabkit.formats.picks2d`.

A reader of results gets files and the minislabs, and gives what `slabkit.formats.results` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError, warn
from slabkit.formats.picks.given import Context
from slabkit.formats.source import Source
from slabkit.names import MicrographNames

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.arrays.tiling import GalleryLayout
    from slabkit.formats.description import FileDescription
    from slabkit.formats.tables.native import PickList

Kind = Literal["picks", "picks2d", "results"]


@dataclass(frozen=True)
class ParsedPicks:
    """What a reader gives."""

    # Columns of `slabkit.tables.PICKS`, at least the tomogram and x, y, z in Å; anything else is
    # kept as an extra column
    columns: dict[str, Any]
    # shape (picks,) or (picks, 3): Å per unit of the file
    unit_length: npt.NDArray[np.float64] | float = 1.0
    # shape (picks, 3): position in Å of the file's 0, 0, 0
    zero: npt.NDArray[np.float64] | float = 0.0
    tomograms: pd.DataFrame | None = None  # what the file itself says about its tomograms


@dataclass(frozen=True)
class Slabs:
    """What readers may want to know of the slabs."""

    table: pd.DataFrame  # columns of `slabkit.tables.SLABS`
    names: MicrographNames  # of the slabs, to find the one that a name or file means

    def values(self, column: str, micrographs: Sequence[str]) -> list[float]:
        """Give a column of the slab table, ``slabkitVoxelSize`` say, for micrographs in it."""
        known = dict(zip(self.table["rlnMicrographName"], self.table[column], strict=True))
        return [float(known[name]) for name in micrographs]


@dataclass(frozen=True)
class Minislabs:
    """What readers of results may want to know of the minislabs."""

    # Columns of `slabkit.tables.MINISLABS`; some kinds cannot be read without it
    table: pd.DataFrame | None = None
    layout: GalleryLayout | None = None  # how tiles lie in the galleries, likewise
    # What the user says of places; where nothing is said, some readers warn
    y_axis: str | None = None


PicksReader = Callable[[Source, Context], ParsedPicks]
PicksWriter = Callable[["PickList", Context], str | bytes | Iterator[bytes]]
Picks2dReader = Callable[[Sequence[Source], Slabs], "pd.DataFrame"]
ResultsReader = Callable[[Sequence[Source], Minislabs], "pd.DataFrame"]


def never(source: Source) -> bool:
    """Tell no file by its content: nothing in it says whose it is."""
    return False


@dataclass(frozen=True)
class FileFormat:
    """One format of 3D picks, 2D picks or results."""

    name: str  # what ``--from`` and ``--to`` take
    title: str  # what people call it
    # Tell by the head of a `Source`, never by the size of values, whether it is of this format
    sniff: Callable[[Source], bool] = never
    # For the documentation: unit, position of zero, first index, what it cannot hold
    unit: str = ""
    origin: str = ""
    index_base: str = "0"
    lost: str = ""
    # Reader of the 3D picks of one file, and writer of one file
    read: PicksReader | None = None
    write: PicksWriter | None = None
    # Reader of the 2D picks of all files of this format at once; see `one_by_one`. Micrographs may
    # be called as the program called them.
    read_picks2d: Picks2dReader | None = None
    # Reader of what is said of minislabs in all files of this format at once; each row has
    # ``source``, the file's name, and ``line``, its row from 1
    read_results: ResultsReader | None = None
    # Further files that a `Source` names and that are read with it
    files: Callable[[Source], list[Path]] | None = None
    # What ``slabkit info`` says of a file, where the readers above do not tell enough
    describe: Callable[[Source], FileDescription] | None = None
    # Whether it is settled that y counts from the first row; if not, a user who does not say is
    # warned
    y_settled: bool = True
    # File-name endings that mean this format when writing; the first is used in folders
    suffixes: tuple[str, ...] = ()
    # Whether its files are no text; these are told before all others, by their first bytes
    binary: bool = False
    # Columns of `slabkit.tables.PICKS` that survive being written, besides x, y, z
    keeps: frozenset[str] = field(default_factory=frozenset)
    keeps_extra: bool = False  # whether columns that slabkit does not know survive
    one_file_per: tuple[str, ...] = ()  # columns of which one file holds a single value
    # Path inside a folder for such a part of a list; needed with ``one_file_per``
    file_name: Callable[[PickList], str] | None = None
    folder_glob: str = ""  # what to read of a folder; empty when a folder is not read
    # What bounds are checked for; empty for slabkit's own tables, where there is no doubt
    in_corner_unit: str = "angstrom"
    units: tuple[str, ...] = ()  # what ``--unit`` may say; empty where the format fixes it
    index_bases: bool = False  # whether ``--index-base`` means something
    # Whether tomograms are numbers, so that ``--tomogram-index`` means something
    numbered: bool = False
    named_columns: bool = False  # whether ``--columns`` means something
    binnings: bool = False  # whether ``--binning`` moves the positions that are read
    # Suffix and writer of a second file next to each file
    companion: tuple[str, PicksWriter] | None = None

    @property
    def kinds(self) -> frozenset[Kind]:
        """What it holds."""
        readers: dict[Kind, Any] = {
            "picks": self.read,
            "picks2d": self.read_picks2d,
            "results": self.read_results,
        }
        return frozenset(kind for kind, reader in readers.items() if reader is not None)

    def reading(self, source: Source, context: Context) -> ParsedPicks:
        """Read 3D picks, refusing options that the format has no use for."""
        if not self.binary:
            source.refuse_binary()
        self.require_meant(context, source.where)
        self._say_unbinned(context, source.where)
        assert self.read is not None
        return self.read(source, context)

    def written(self, picks: PickList, context: Context) -> Iterable[bytes]:
        """Give what a file holds, in pieces, or refuse where the format is only read."""
        self.require_written()
        assert self.write is not None
        return in_pieces(self.write(picks, context))

    def require_written(self) -> None:
        """Refuse a format that is only read."""
        if self.write is None:
            raise InputError(f"slabkit reads {self.name} but does not write it; give another --to.")

    def _say_unbinned(self, context: Context, where: str) -> None:
        """Say that ``--binning``, which may be the output's, moves no position of this format."""
        voxels = context.unit == "px" or self.in_corner_unit == "px"
        if context.binning in (None, 1) or self.binnings or not voxels:
            return
        unit = "voxels" if context.unit == "px" else self.unit
        warn(
            f"{where}: --binning {context.binning:g} moves no position of {self.name}, which "
            f"counts {unit}; for pixels of another size make slabkit's own list first: slabkit "
            "convert --voxel-size (that of the pixels), without --tomograms."
        )

    def require_meant(self, context: Context, where: str) -> None:
        """Refuse options that the format has no use for, before they seem to have worked."""
        if context.unit is not None and context.unit not in self.units:
            raise InputError(
                f"{where}: --unit is for formats that do not fix it, CSV for one; the unit of "
                f"{self.name} is {self.unit}."
            )
        if context.index_base is not None and not self.index_bases:
            raise InputError(
                f"{where}: --index-base is for Dynamo tables and motive lists; the first voxel of "
                f"{self.name} is {self.index_base}."
            )
        if context.columns is not None and not self.named_columns:
            raise InputError(f"{where}: --columns is for CSV; {self.name} needs no names.")
        if context.tomogram_index is not None and not self.numbered:
            raise InputError(
                f"{where}: --tomogram-index is for formats that number their tomograms, and "
                f"{self.name} does not."
            )


def in_pieces(content: str | bytes | Iterator[bytes]) -> Iterable[bytes]:
    """Give what a writer made as files are written."""
    if isinstance(content, str):
        content = content.encode()
    return [content] if isinstance(content, bytes) else content


def one_by_one(
    read: Callable[[Source, Slabs], pd.DataFrame],
) -> Callable[[Sequence[Source], Slabs], pd.DataFrame]:
    """Make a reader of the 2D picks of many files out of one for a single file."""

    def read_all(sources: Sequence[Source], slabs: Slabs) -> pd.DataFrame:
        return pooled([checked(read(source, slabs), source.where) for source in sources])

    return read_all


def checked(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """Bring what a reader found to the columns of `slabkit.tables.PICKS2D`."""
    from slabkit.tables import PICKS2D, validate_table

    return validate_table(table, PICKS2D, where)


def pooled(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join tables of 2D picks; a further column that one lacks is empty there."""
    import pandas as pd

    from slabkit.tables import PICKS2D, empty_table

    whole = [table for table in tables if len(table)]
    if not whole:
        return empty_table(PICKS2D)
    names = list(dict.fromkeys(name for table in whole for name in table.columns))
    whole = [
        table.assign(**{name: "" for name in names if name not in table.columns})[names]
        for table in whole
    ]
    return pd.concat(whole, ignore_index=True)
