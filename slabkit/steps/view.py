"""A page to look at 3D picks on: sections through their tomograms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from slabkit.errors import InputError, SlabkitError, warn
from slabkit.execution.frame import Frame, Work, parameters
from slabkit.formats.picks.context import PickReading
from slabkit.tomogram import Reading, Tomogram, TomogramRef
from slabkit.units import Contrast

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.source import Source
    from slabkit.formats.tables.native import PickList


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit view``."""

    picks: tuple[str, ...]
    out: str
    reading: PickReading
    tomograms: tuple[str, ...] | None = None
    truth: str | None = None
    max_tomograms: int = 8
    sections: int | None = None  # across z; None: as many as keep the page small
    closeups: int = 400
    side: int = 640
    tomo_type: str | None = None
    voxel_size: float | None = None
    contrast: Contrast | None = None
    fill_nonfinite: Literal["median"] | None = None
    half: Literal["1", "2", "sum"] | None = None
    allow_missing_chunks: bool | None = None


def run(options: Options, frame: Frame) -> None:
    """Write the page."""
    import numpy as np

    from slabkit.formats.source import Source
    from slabkit.formats.tables.paths import check_given_once
    from slabkit.formats.tomograms.listing import pick_tomograms
    from slabkit.formats.tomograms.names import files_read
    from slabkit.steps.shared.names import say_flipped

    out = Path(options.out)
    if options.out == "-" or out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{out}: view writes a page; name it .html.")
    check_given_once(options.picks, "pick list")
    sources = [Source.load(path) for path in options.picks]
    listed = _read(sources, options)
    if not len(listed.picks):
        raise InputError(f"{options.picks[0]}: there are no picks to look at.")
    volumes = pick_tomograms(
        listed,
        options.picks[0],
        options.tomograms,
        reading=Reading(
            voxel_size=options.voxel_size,
            allow_missing_chunks=bool(options.allow_missing_chunks),
            fill_nonfinite=options.fill_nonfinite,
            half=options.half,
        ),
        contrast=options.contrast,
        tomo_type=options.tomo_type,
    )
    # Of a long list one may want to see a few tomograms: those that were given.
    given = [name for name, ref in volumes.items() if options.tomograms and ref.path is not None]
    names = given or list(volumes)
    most = min(options.max_tomograms, len(names))
    shown = {names[index]: volumes[names[index]] for index in np.arange(most) * len(names) // most}
    files = dict.fromkeys(str(file) for ref in shown.values() for file in files_read(ref))
    index = options.reading.tomogram_index
    with frame.work(
        "view",
        out,
        inputs=[
            *options.picks,
            *([options.truth] if options.truth else []),
            *([index] if index else []),
            *(file for file in files if Path(file).exists()),
        ],
        parameters=parameters(options, "picks", "out", "tomograms", "truth"),
        text_inputs={one.where: one.content for one in sources if one.where == "-"},
    ) as work:
        if work.finished:
            return
        say_flipped(work, shown.values())
        _write(work, options, listed.picks, shown, len(volumes))


def _read(sources: Sequence[Source], options: Options) -> PickList:
    import pandas as pd

    from slabkit.formats.tables.paths import with_paths_from_here
    from slabkit.steps.shared.pick_lists import put_together, read_with_volumes

    lists = [
        read_with_volumes(
            source, options.reading, options.tomograms, options.voxel_size, options.tomo_type
        )
        for source in sources
    ]
    if len(lists) == 1:
        return lists[0]
    for one, path in zip(lists, options.picks, strict=True):
        with_paths_from_here(one.tomograms, path)
    together = put_together(lists, options.picks)
    # Of a pick in several lists, a decision counts more than none.
    columns = ["slabkitPickId", "slabkitDecision"]
    said = pd.concat([one.picks[columns] for one in lists]).drop_duplicates()
    said = said[said["slabkitDecision"] != "undecided"]
    first = said.drop_duplicates("slabkitPickId").set_index("slabkitPickId")["slabkitDecision"]
    if len(said) > len(first):
        warn(
            f"picks that one list accepts and another rejects: {len(said) - len(first)}; they are "
            "shown as the first list says."
        )
    ids = together.picks["slabkitPickId"]
    together.picks["slabkitDecision"] = ids.map(first).fillna("undecided")
    return together


def _write(
    work: Work, options: Options, picks: pd.DataFrame, shown: dict[str, TomogramRef], known: int
) -> None:
    from slabkit.formats.tables.atomic import atomic_path
    from slabkit.pictures.colours import species_colours
    from slabkit.pictures.viewer import (
        choose_close,
        plan_sections,
        tomogram_content,
        view_page,
    )

    opened: dict[str, Tomogram] = {}
    for name, ref in shown.items():
        try:
            opened[name] = ref.open()
        except SlabkitError as error:
            work.fail(name, error)
    work.raise_if_all_failed(len(shown))
    picks = picks[picks["slabkitTomogram"].isin(list(opened))].reset_index(drop=True)
    truth = _truth(work, options, picks) if options.truth else None
    close = choose_close(picks, options.closeups)
    every = set(picks["slabkitSpecies"]) | (
        set() if truth is None else set(truth["slabkitSpecies"])
    )
    lists = {
        "species": list(species_colours(every)),
        "kinds": sorted(set(picks["slabkitScoreKind"])),
    }
    planned = plan_sections(list(opened.values()), options.side, options.sections)
    sections = dict(zip(opened, planned, strict=True))
    contents = []
    for name in work.track(list(opened), total=len(opened), what="view"):
        own = (picks["slabkitTomogram"] == name).to_numpy()
        try:
            content = tomogram_content(
                opened[name],
                picks[own],
                close[own],
                None if truth is None else truth[truth["slabkitTomogram"] == name],
                lists,
                side=options.side,
                sections=sections[name],
            )
        except SlabkitError as error:
            work.fail(name, error)
        else:
            contents.append(content)
    work.raise_if_all_failed(len(shown))
    named = {content["name"] for content in contents}
    given = picks["slabkitTomogram"].isin(named).to_numpy()
    count, sharp = int(given.sum()), int((close & given).sum())
    notes = []
    if known > len(contents):
        notes.append(
            f"{len(contents)} of {known} tomograms with picks are in this page; a list of fewer, "
            "or --max-tomograms, shows others."
        )
    if sharp < count:
        notes.append(
            f"{sharp} of {count} picks are in this page at full resolution, of all species, "
            "decisions and scores; --closeups sets how many."
        )
    listed = [Path(path).name for path in options.picks if path != "-"]
    if len(lists["kinds"]) > 1:
        kinds = ", ".join(kind or "unnamed" for kind in lists["kinds"])
        notes.append(f"Scores are of several kinds ({kinds}), which do not compare.")
    title = f"Picks of {', '.join(listed)}" if listed else "Picks"
    page = view_page(contents, lists, title=title, notes=notes)
    with atomic_path(Path(options.out)) as temporary:
        temporary.write_text(page, encoding="utf-8")
    work.summary.update(tomograms=len(contents), left_out=known - len(contents), picks=count)
    work.summary.update(closeups=sharp, megabytes=round(len(page) / 1e6, 1))


def _truth(work: Work, options: Options, picks: pd.DataFrame) -> pd.DataFrame:
    """Read the truth, and find out what of it the picks that are not rejected found."""
    import numpy as np

    from slabkit.formats.tomograms.table import read_tomograms
    from slabkit.scoring import CZII_RADII, canonical_species, match_picks
    from slabkit.steps.shared.pick_lists import read_plainly

    size = options.voxel_size
    table = read_tomograms(options.tomograms, size) if options.tomograms else None
    truth = read_plainly(str(options.truth), tomograms=table).picks
    truth = truth[truth["slabkitTomogram"].isin(set(picks["slabkitTomogram"]))]
    truth = truth.reset_index(drop=True)
    truth["slabkitSpecies"] = [canonical_species(name) for name in truth["slabkitSpecies"]]
    sizes = truth.groupby("slabkitSpecies")["slabkitDiameter"].max() / 2
    radii = sizes[sizes > 0].to_dict() | CZII_RADII
    usual = truth["slabkitSpecies"].map(radii).astype(float) * 2
    truth["slabkitDiameter"] = truth["slabkitDiameter"].fillna(usual)
    found = np.full(len(truth), None, dtype=object)
    kept = picks[picks["slabkitDecision"] != "rejected"].reset_index(drop=True)
    try:
        pairs = match_picks(kept, truth, radii=radii)
    except InputError as error:
        work.note(f"{options.truth}: shown without what was found: {error}")
    else:
        found[:] = False
        found[pairs["particle"].to_numpy()] = True
        work.summary.update(true=len(truth), missed=len(truth) - len(pairs))
    truth["found"] = found
    return truth
