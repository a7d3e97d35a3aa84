"""Several pick lists of any format: read with standard input among them, and put together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.picks.context import PickReading
    from slabkit.formats.source import Source
    from slabkit.formats.tables.native import PickList


@dataclass(frozen=True)
class PickFiles:
    """The pick lists that a step is given; standard input (``-``) is read at once."""

    paths: tuple[str, ...]
    piped: Source | None

    @classmethod
    def given(cls, paths: Sequence[str]) -> PickFiles:
        """Refuse a list that is given twice."""
        from slabkit.formats.source import Source
        from slabkit.formats.tables.paths import check_given_once

        check_given_once(paths, "pick list")
        return cls(tuple(paths), Source.load("-") if "-" in paths else None)

    @property
    def texts(self) -> dict[str, str]:
        """What came through a pipe, for `Frame.work`."""
        return {} if self.piped is None else {"-": self.piped.text}

    def read(self) -> list[PickList]:
        """Read each list; paths of tomograms as from here."""
        return [self.read_one(number) for number in range(len(self.paths))]

    def read_one(self, number: int) -> PickList:
        """Read one of the lists as `read` does."""
        from slabkit.formats.tables.paths import with_paths_from_here

        path = self.paths[number]
        source = self.piped if self.piped is not None and path == "-" else path
        one = read_plainly(source, check_bounds=False)
        with_paths_from_here(one.tomograms, path)
        return one

    def read_as_one(self) -> PickList:
        """Read the lists and put them together."""
        lists = self.read()
        return lists[0] if len(lists) == 1 else put_together(lists, self.paths)


def read_plainly(source: str | Source, **keywords: Any) -> PickList:
    """Read picks for a command that has none of the options which a message may name."""
    from slabkit.formats.picks.reading import read_picks

    try:
        return read_picks(source, **keywords)
    except InputError as error:
        if "--" not in str(error) or "run map first" in str(error):
            raise
        raise type(error)(
            f"{error} These are options of slabkit convert: make slabkit's own list of it first."
        ) from error


def read_with_volumes(
    source: Source,
    reading: PickReading,
    tomograms: tuple[str, ...] | None,
    voxel_size: float | None,
    tomo_type: str | None,
) -> PickList:
    """Read picks for a command that goes on to read the volumes that they are in."""
    from slabkit.formats.picks.reading import read_pick_list
    from slabkit.formats.registry import fitting_formats

    told = reading.format is None and not source.empty
    fitting = [known.name for known in fitting_formats(source, "picks")] if told else []
    if reading.format == "native" or fitting == ["native"]:
        # slabkit's own list knows its tomograms, which may have another voxel size than those here
        return read_pick_list(source, reading, check_bounds=False)
    return read_pick_list(
        source,
        reading,
        tomograms=tomograms,
        voxel_size=voxel_size,
        tomo_type=tomo_type,
    )


def put_together(lists: Sequence[PickList], names: Sequence[str]) -> PickList:
    """Pool pick lists; only what has the same id and place becomes one pick."""
    from slabkit.formats.tables.native import PickList
    from slabkit.merging import merge_picks, merge_tomograms

    pooled, _ = merge_picks([one.picks for one in lists], 0.0, names=names)
    return PickList(pooled, merge_tomograms([one.tomograms for one in lists]))


def pick_rows(picks: pd.DataFrame) -> list[bytes]:
    """Give the rows of a pick list as text."""
    from slabkit.formats.tables.star_writing import star_pieces
    from slabkit.tables import PICKS

    return list(star_pieces({PICKS.block: picks}))[3:-1]  # without head and end


def pick_list_text(
    tomograms: pd.DataFrame, columns: pd.DataFrame, rows: Iterable[bytes]
) -> Iterator[bytes]:
    """Give a pick list as `slabkit.write_picks` writes it, its picks part by part.

    ``columns`` has the columns of the picks, and no row; ``rows`` are of `pick_rows`.
    """
    from slabkit.formats.tables.star_writing import star_pieces
    from slabkit.tables import PICKS, TOMOGRAMS

    *head, end = star_pieces({TOMOGRAMS.block: tomograms, PICKS.block: columns})
    yield from head
    yield from rows
    yield end
