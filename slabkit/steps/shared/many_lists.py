"""Pick lists of which so many are pooled that they are not held in memory together."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from slabkit.formats.tables.native import PickList
    from slabkit.merging import MergeCounts
    from slabkit.merging.merge import Between

    Read = Callable[[int], PickList]

STREAM_BYTES = 200_000_000  # of text; less is read at once, which is quicker
_BATCH = 50_000  # picks merged at a time


@dataclass
class Survey:
    """What a first reading of the lists has found that concerns all of them."""

    tomograms: list[pd.DataFrame] = field(default_factory=list)  # the tables of the lists
    kinds: dict[str, int] = field(default_factory=dict)  # of score, and the list that has it first
    species: Counter[str] = field(default_factory=Counter)  # picks of each
    names: list[str] = field(default_factory=list)  # of the tomograms that picks are in
    columns: dict[str, Any] = field(default_factory=dict)  # of all, and what fills each
    counts: list[int] = field(default_factory=list)
    groups: list[list[int]] = field(default_factory=list)  # lists that share tomograms
    # No pick is in lists of two groups, none was moved by a person: each group is merged alone
    apart: bool = True
    unique: bool = True  # no id is there twice


def are_large(paths: Sequence[str]) -> bool:
    """Tell whether the lists are too large to be read at once."""
    sizes = (os.path.getsize(path) for path in paths if os.path.isfile(path))
    return len(paths) > 1 and sum(sizes) > STREAM_BYTES


def survey(read: Read, track: Iterable[int], empty_too: bool) -> Survey:
    """Read each list once, and keep of each pick eight bytes, of its id.

    ``empty_too``: lists without picks have a say in which columns there are.
    """
    import numpy as np
    import pandas as pd

    from slabkit.merging.merge import FILL
    from slabkit.tables import LEDGER, require_unique

    found = Survey()
    ids: list[npt.NDArray[np.uint64]] = []
    holder: dict[str, int] = {}  # of each tomogram, a list that has picks in it
    parent: list[int] = []

    def root(number: int) -> int:
        while parent[number] != number:
            number = parent[number]
        return number

    for number in track:
        one = read(number)
        picks = one.picks
        require_unique(picks, "slabkitPickId", f"list {number + 1}")
        found.tomograms.append(one.tomograms)
        found.counts.append(len(picks))
        for kind in picks["slabkitScoreKind"].unique():
            found.kinds.setdefault(str(kind), number)
        found.species.update(picks["slabkitSpecies"].tolist())
        if len(picks) or empty_too:
            found.columns |= {name: FILL[picks[name].dtype.kind] for name in picks.columns}
        if LEDGER in picks.columns:
            found.apart &= not picks[LEDGER].astype(str).str.contains("move:by=review").any()
        ids.append(pd.util.hash_pandas_object(picks["slabkitPickId"], index=False).to_numpy())
        parent.append(number)
        for name in picks["slabkitTomogram"].unique():
            parent[root(number)] = root(holder.setdefault(str(name), number))
    groups: dict[int, list[int]] = {}
    for number in range(len(parent)):
        groups.setdefault(root(number), []).append(number)
    found.names = list(holder)
    found.groups = sorted(groups.values())
    once = [np.unique(np.concatenate([ids[number] for number in group])) for group in found.groups]
    every = np.sort(np.concatenate([*once, np.zeros(0, dtype=np.uint64)]))
    once_only = not (every[1:] == every[:-1]).any()
    found.apart &= len(found.groups) > 1 and once_only
    found.unique = once_only and len(every) == sum(found.counts)
    return found


def with_all_columns(picks: pd.DataFrame, found: Survey) -> pd.DataFrame:
    """Give picks with the columns that the lists have together."""
    missing = {n: fill for n, fill in found.columns.items() if n not in picks.columns}
    return picks.assign(**missing)[list(found.columns)]


def merge_apart(
    read: Read,
    names: Sequence[str],
    found: Survey,
    distance: Mapping[str, float],
    between: Between,
    spool: Spool,
    any_merged: bool,
) -> MergeCounts:
    """Merge lists that share tomograms with each other only, and put the picks that stay away."""
    from slabkit.merging.merge import MergeCounts, merge_part

    kept = [0] * len(found.counts)
    duplicates = merged = shared = 0
    for batch in _batches(found):
        tables = [with_all_columns(read(number).picks, found) for number in batch]
        left, counts = merge_part(
            tables,
            distance,
            between,
            [names[number] for number in batch],
            numbers=batch,
            kinds=found.kinds,
            any_merged=any_merged,
        )
        duplicates += counts.duplicates
        merged += counts.merged
        shared += counts.shared
        start = 0
        for number, count in zip(batch, counts.kept, strict=True):
            spool.put(number, left.iloc[start : start + count])
            kept[number] = count
            start += count
    given = tuple(found.counts)
    return MergeCounts(given, duplicates, merged, tuple(kept), sum(kept), shared)


def _batches(found: Survey) -> Iterator[list[int]]:
    batch: list[int] = []
    count = 0
    for group in found.groups:
        batch += group
        count += sum(found.counts[number] for number in group)
        if count >= _BATCH:
            yield sorted(batch)
            batch, count = [], 0
    if batch:
        yield sorted(batch)


class Spool:
    """Picks as text in a temporary file, put away list by list, given in the order of the lists."""

    def __init__(self, folder: Path | None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._places: dict[int, tuple[int, int]] = {}
        self._columns: pd.DataFrame | None = None

    def put(self, number: int, picks: pd.DataFrame) -> None:
        """Put the picks of a list away."""
        from slabkit.steps.shared.pick_lists import pick_rows

        self._columns = picks.iloc[:0]
        begin = self._file.tell()
        self._file.writelines(pick_rows(picks))
        self._places[number] = begin, self._file.tell() - begin

    def pick_list(self, tomograms: pd.DataFrame) -> Iterator[bytes]:
        """Give the text of a pick list."""
        from slabkit.steps.shared.pick_lists import pick_list_text

        assert self._columns is not None
        yield from pick_list_text(tomograms, self._columns, self._rows())

    def _rows(self) -> Iterator[bytes]:
        for number in sorted(self._places):
            begin, length = self._places[number]
            self._file.seek(begin)
            yield self._file.read(length)
