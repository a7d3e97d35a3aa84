"""Text files of bare ``x y z``, in voxels: TomoTwin, crYOLO and ArtiaX."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from slabkit.errors import SlabkitWarning
from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.shared.rows import (
    POSITIONS,
    names_of_file,
    number_rows,
    placed,
    triples,
)
from slabkit.formats.programs.shared.values import parse_numbers
from slabkit.formats.source import Source
from slabkit.formats.tables.star import real_text

if TYPE_CHECKING:
    from slabkit.formats.tables.native import PickList

_HALF_FLOAT = 2048  # from here on TomoTwin's 16-bit numbers are even only


def _read(source: Source, context: Context, names: list[str], count: int) -> ParsedPicks:
    columns = number_rows(source, 3, 3, "x y z are three")
    xyz = triples(columns, "x y z", source.where)
    names = names[:count]
    unit = context.voxel_sizes(names, source.where)
    return ParsedPicks(placed(names, xyz * unit[:, None]), unit)


def _count(source: Source) -> int:
    return len(number_rows(source, 3, 3, "x y z are three")[0])


def read_artiax(source: Source, context: Context) -> ParsedPicks:
    """Read ``x y z``; the tomogram's name and voxel size are needed.

    Parameters
    ----------
    source : Source
    context : Context

    Returns
    -------
    ParsedPicks

    Raises
    ------
    InputError
        A row has not three finite numbers, or the tomogram is not known.
    """
    count = _count(source)
    names = context.names(None, count, source.where, "a list of bare coordinates")
    return _read(source, context, names, count)


def read_cryolo(source: Source, context: Context) -> ParsedPicks:
    """Read ``x y z`` of a file that has the tomogram's name; see `read_artiax`."""
    count = _count(source)
    return _read(source, context, names_of_file(source, context, count), count)


def read_tomotwin(source: Source, context: Context) -> ParsedPicks:
    """Read ``x y z`` of a file that has the reference's name; see `read_artiax`.

    The file's name becomes the species.

    Warns
    -----
    SlabkitWarning
        Coordinates are so large that TomoTwin's 16-bit numbers round them.
    """
    reading = read_artiax(source, context)
    count = len(reading.columns["slabkitTomogram"])
    if source.where != "-" and count:
        reading.columns["slabkitSpecies"] = [Path(source.where).stem] * count
    values = [v for column in number_rows(source, 3, 3, "") for v in column]
    large = int((parse_numbers(values) >= _HALF_FLOAT).sum()) if count else 0
    if large:
        warnings.warn(
            f"{source.where}: {large} coordinates are {_HALF_FLOAT} or more, where TomoTwin's "
            "16-bit numbers are known to the nearest even voxel only.",
            SlabkitWarning,
            stacklevel=4,
        )
    return reading


def write(picks: PickList, context: Context) -> str:
    """Write ``x y z``, one pick a line."""
    table = picks.picks
    voxel_size = context.voxel_sizes(table["slabkitTomogram"].tolist(), "coords")[:, None]
    points = table[list(POSITIONS)].to_numpy() / voxel_size
    return "".join(" ".join(map(real_text, point)) + "\n" for point in points.tolist())


def sniff(source: Source) -> bool:
    """Tell by the suffix; the three that have it do not differ in content."""
    return source.suffix == ".coords"


def _by_tomogram(picks: PickList) -> str:
    return f"{picks.picks['slabkitTomogram'].iloc[0]}.coords"


def _by_tomogram_and_species(picks: PickList) -> str:
    first = picks.picks.iloc[0]
    return f"{first['slabkitTomogram']}/{first['slabkitSpecies'] or 'unknown'}.coords"


def _format(
    name: str,
    title: str,
    lost: str,
    read: Callable[[Source, Context], ParsedPicks],
    file_name: Callable[[PickList], str],
    *one_file_per: str,
    suffixes: tuple[str, ...] = (),
    folder_glob: str = "*.coords",
) -> FileFormat:
    return FileFormat(
        name=name,
        title=title,
        suffixes=suffixes,
        unit="voxels",
        origin="centre of the first voxel = 0",
        index_base="0",
        lost=lost,
        sniff=sniff,
        read=read,
        write=write,
        keeps=frozenset(one_file_per),
        one_file_per=one_file_per,
        file_name=file_name,
        folder_glob=folder_glob,
        in_corner_unit="px",
    )


ARTIAX = _format(
    "artiax",
    "ArtiaX coordinates (.coords), and any bare x y z in voxels",
    "everything but x, y, z; one tomogram a file; say --from artiax",
    read_artiax,
    _by_tomogram,
    "slabkitTomogram",
    suffixes=(".coords",),
    folder_glob="",  # its files do not say their tomograms
)
TOMOTWIN = _format(
    "tomotwin",
    "TomoTwin picks of one reference (.coords), named like it",
    "everything but x, y, z; one tomogram and species a file; say --from tomotwin; "
    ".tloc is refused",
    read_tomotwin,
    _by_tomogram_and_species,
    "slabkitTomogram",
    "slabkitSpecies",
)
CRYOLO_COORDS = _format(
    "cryolo-coords",
    "crYOLO's folder coords of a tomogram: x y z of a file named like it",
    "everything but x, y, z; one tomogram a file; say --from cryolo-coords",
    read_cryolo,
    _by_tomogram,
    "slabkitTomogram",
)
