"""Picks to minislabs: galleries of tiles, stacks on request, and their table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slabkit.execution.frame import Frame, parameters
from slabkit.formats.picks.context import PickReading
from slabkit.steps.shared.galleries import GalleryOptions, plan_galleries, write_galleries


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit minislab``: picks, and the folder for their galleries."""

    picks: str
    out: str
    gallery: GalleryOptions
    reading: PickReading
    tomograms: tuple[str, ...] | None = None
    tomo_type: str | None = None


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
            **parameters(options, "picks", "out", "tomograms", "tomo_type"),
            "tomograms": [str(one.path) for one in listed],
        },
    ) as work:
        if work.finished:
            return
        for name, error in failures.items():
            work.fail(name, error)
        write_galleries(work, Path(options.out), picks, volumes, plan)
