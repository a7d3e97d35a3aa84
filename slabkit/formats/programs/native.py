"""slabkit's own pick list, as a `FileFormat` among the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from slabkit.formats.file_format import FileFormat, ParsedPicks
from slabkit.formats.picks.given import Context
from slabkit.formats.source import Source
from slabkit.tables import PICKS, TOMOGRAMS

if TYPE_CHECKING:
    from slabkit.formats.tables.native import PickList


def read(source: Source, context: Context) -> ParsedPicks:
    """Read a native pick list; see `slabkit.formats.tables.native.read_native_picks`."""
    from slabkit.formats.tables.native import parse_native_picks

    picks = parse_native_picks(source.pieces, source.where)
    table, tomograms = picks.picks, picks.tomograms
    written = table["slabkitTomogram"].unique().tolist()
    names = context.names(written, len(written), source.where)
    if names != written:
        # What the user calls a tomogram otherwise is called so in the list of tomograms too.
        called = dict(zip(written, names, strict=True))
        table = table.assign(slabkitTomogram=table["slabkitTomogram"].map(called))
        tomograms = tomograms.assign(
            slabkitTomogram=[called.get(name, name) for name in tomograms["slabkitTomogram"]]
        )
    return ParsedPicks({str(name): table[name] for name in table.columns}, tomograms=tomograms)


def write(picks: PickList, context: Context) -> Iterator[bytes]:
    """Write a native pick list."""
    from slabkit.formats.tables.star_writing import star_pieces

    return star_pieces({"tomograms": picks.tomograms, "picks": picks.picks})


FORMAT = FileFormat(
    name="native",
    title="slabkit's own pick list (STAR)",
    suffixes=(".star",),
    unit="Å",
    origin="centre of the first voxel = 0",
    lost="nothing",
    sniff=lambda source: "slabkitX" in source.labels,
    read=read,
    write=write,
    keeps=frozenset((*PICKS.names, *TOMOGRAMS.names)),
    keeps_extra=True,
    in_corner_unit="",
)
