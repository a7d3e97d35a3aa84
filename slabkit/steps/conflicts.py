"""Pick lists to the positions that several species claim, with minislabs to decide by."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from slabkit.errors import InputError
from slabkit.execution.frame import Frame, Work, parameters
from slabkit.steps.shared.galleries import GalleryOptions, plan_galleries, write_galleries

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit conflicts``; see also `slabkit.find_conflicts`."""

    picks: tuple[str, ...]
    out: str
    gallery: GalleryOptions
    distance: Mapping[str, float] = field(default_factory=dict)  # empty: by the diameters
    tomograms: tuple[str, ...] | None = None


def run(options: Options, frame: Frame) -> None:
    """Find the conflicts and write them, one tile of each, and the form to fill in."""
    from slabkit.curation import conflict_positions, find_conflicts
    from slabkit.formats.tables.atomic import write_text
    from slabkit.formats.tables.blocks import write_table
    from slabkit.formats.tables.native import PickList
    from slabkit.formats.tomograms.listing import pick_tomograms
    from slabkit.formats.tomograms.names import files_read
    from slabkit.steps.shared.pick_lists import PickFiles, put_together
    from slabkit.tables import CONFLICTS

    folder, gallery, distances = Path(options.out), options.gallery, options.distance or None
    if options.out == "-":
        raise InputError("-o takes a folder here: galleries are files.")
    if "-" in options.picks:
        raise InputError("conflicts reads its pick lists from files, not from standard input.")
    pooled = put_together(PickFiles.given(options.picks).read(), options.picks)
    found = find_conflicts(pooled.picks, distances)
    places = PickList(conflict_positions(found, pooled.picks), pooled.tomograms)
    volumes = pick_tomograms(
        places,
        options.picks[0],
        options.tomograms,
        reading=gallery.reading,
        contrast=gallery.contrast,
    )
    plan, failures = plan_galleries(places, volumes, gallery)
    opened = [volume for name, volume in volumes.items() if name not in failures]
    used = dict.fromkeys(str(file) for volume in opened for file in files_read(volume))
    with frame.work(
        "conflicts",
        folder / "conflicts.star",
        inputs=[*options.picks, *used],
        parameters={**parameters(options, "out", "tomograms"), "distance": distances},
    ) as work:
        if work.finished:
            return
        for name, error in failures.items():
            work.fail(name, error)
        beside = [folder / "minislabs.star", folder / "decide.csv"]
        work.check_free([], beside)
        write_galleries(work, folder, places, volumes, plan)
        write_text(folder / "decide.csv", _form(found))
        write_table(folder / "conflicts.star", found, CONFLICTS)
        work.outputs += beside
        _report(work, len(pooled.picks), found)


def _form(found: pd.DataFrame) -> str:
    """Make the table that people fill in."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["pick_id", "decision", "species", "comment"])
    for name, claims in found.groupby("slabkitConflict", sort=False):
        species = " or ".join(dict.fromkeys(claims["slabkitSpecies"]))
        writer.writerow([name, "undecided", "", species])
    return text.getvalue()


def _report(work: Work, picks: int, found: pd.DataFrame) -> None:
    rivals = found.groupby("slabkitConflict", sort=False)["slabkitSpecies"].agg(
        lambda names: " : ".join(sorted(set(names)))
    )
    counted = rivals.value_counts().sort_index()
    what = f"{len(rivals)} conflicts of {len(found)} claims in {picks} picks"
    work.table(what, ("species", "conflicts"), [(n, int(c)) for n, c in counted.items()])
    work.summary.update(picks=picks, conflicts=len(rivals), claims=len(found))
