"""The history of one pick, from voxel to verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slabkit.execution.frame import Frame

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit history``; see also `slabkit.pick_history`."""

    pick_id: str
    picks: str
    minislabs: str | None = None


def run(options: Options, frame: Frame) -> tuple[str, pd.DataFrame]:
    """Give the whole id and the events, as `slabkit.pick_history` does."""
    from slabkit.curation import find_pick, pick_history
    from slabkit.formats.tables.native import read_minislabs, read_native_picks

    picks = read_native_picks(options.picks)
    minislabs = None if options.minislabs is None else read_minislabs(options.minislabs)[0]
    name, _ = find_pick(picks.picks, options.pick_id)
    return name, pick_history(picks.picks, name, tomograms=picks.tomograms, minislabs=minislabs)
