"""Picks to minislabs: galleries of tiles, stacks on request, and their table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slabkit.errors import InputError
from slabkit.execution.frame import Frame, parameters
from slabkit.formats.picks.context import PickReading
from slabkit.steps.shared.galleries import GalleryOptions, plan_galleries, write_galleries

if TYPE_CHECKING:
    from slabkit.formats.source import Source


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit minislab``: picks, and the folder for their galleries."""

    picks: str
    out: str
    gallery: GalleryOptions
    reading: PickReading
    tomograms: tuple[str, ...] | None = None
    tomo_type: str | None = None
    # Minislab tables, or folders of `slabkit tomogram`: their tiles are taken, none is made
    reuse: tuple[str, ...] = ()


def run(options: Options, frame: Frame) -> None:
    """Project the box about each pick and write the galleries."""
    from slabkit.formats.source import Source
    from slabkit.formats.tomograms.listing import list_tomograms, pick_tomograms
    from slabkit.formats.tomograms.names import files_read
    from slabkit.minislabs import check_tilts
    from slabkit.steps.shared.pick_lists import read_with_volumes

    gallery = options.gallery
    check_tilts(gallery.tilts)
    source = Source.load(options.picks)
    if options.reuse:
        _reuse(options, source, frame)
        return
    picks = read_with_volumes(
        source, options.reading, options.tomograms, gallery.voxel_size, options.tomo_type
    )
    volumes = pick_tomograms(
        picks,
        options.picks,
        options.tomograms,
        reading=gallery.reading,
        contrast=gallery.contrast,
        tomo_type=options.tomo_type,
    )
    plan, failures = plan_galleries(picks, volumes, gallery)
    listed = []
    if options.tomograms is not None:
        listed = list_tomograms(
            options.tomograms, reading=gallery.reading, tomo_type=options.tomo_type
        )
    opened = [volume for name, volume in volumes.items() if name not in failures]
    used = dict.fromkeys(str(file) for volume in opened for file in files_read(volume))
    index = options.reading.tomogram_index
    with frame.work(
        "minislab",
        Path(options.out) / "minislabs.star",
        inputs=[options.picks, *used, *([index] if index else [])],
        text_inputs={"-": source.content} if options.picks == "-" else None,
        parameters={
            **parameters(options, "picks", "out", "tomograms", "tomo_type", "reuse"),
            "tomograms": [str(one.path) for one in listed],
        },
    ) as work:
        if work.finished:
            return
        for name, error in failures.items():
            work.fail(name, error)
        write_galleries(work, Path(options.out), picks, volumes, plan)


def _reuse(options: Options, source: Source, frame: Frame) -> None:
    from slabkit.formats.picks.reading import read_pick_list
    from slabkit.steps.shared.done import MINISLABS, read_answer
    from slabkit.steps.shared.reused_tiles import reused_plan, write_reused

    if options.tomograms is not None:
        raise InputError("--tomograms is for minislabs that are made; leave it or --reuse out.")
    tables = []
    for one in options.reuse:
        if not Path(one).is_dir():
            tables.append(one)
        elif read_answer(Path(one)).get("status") == "done":
            tables.append(str(Path(one) / MINISLABS))
    picks = read_pick_list(source, options.reading, check_bounds=False)
    plan, of = reused_plan(tables, options.gallery)
    with frame.work(
        "minislab",
        Path(options.out) / "minislabs.star",
        inputs=[options.picks, *tables],
        text_inputs={"-": source.content} if options.picks == "-" else None,
        parameters=parameters(options, "picks", "out", "tomo_type", "reuse"),
    ) as work:
        if not work.finished:
            write_reused(work, Path(options.out), picks, plan, of)
