"""Pick lists of any format, read and pooled as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slabkit.formats.tables.native import PickList


def read_pooled(sources: Sequence[Any], names: Sequence[str]) -> PickList:
    """Read pick lists and put them together; picks are not merged.

    Parameters
    ----------
    sources : sequence of path-like or Source
    names : sequence of str
        What messages call them.

    Returns
    -------
    PickList
        Paths of tomograms as from here.
    """
    from slabkit.formats.picks.reading import read_picks
    from slabkit.formats.tables.native import PickList
    from slabkit.formats.tables.paths import with_paths_from_here
    from slabkit.merging import merge_picks, merge_tomograms

    lists = [read_picks(source, check_bounds=False) for source in sources]
    for one, name in zip(lists, names, strict=True):
        with_paths_from_here(one.tomograms, name)
    if len(lists) == 1:
        return lists[0]
    pooled, _ = merge_picks([one.picks for one in lists], 0.0, names=list(names))
    return PickList(pooled, merge_tomograms([one.tomograms for one in lists]))
