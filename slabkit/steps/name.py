"""Names by density maps: of classes, into classes.star and the picture; of picks, as labels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from slabkit.errors import InputError, OutputExistsError, SlabkitError
from slabkit.execution.frame import Frame, Work, parameters
from slabkit.steps.classify import quality_shown, sheet_of
from slabkit.steps.shared.maps import RotatedMaps, read_maps
from slabkit.steps.shared.naming import (
    Maps,
    captions,
    check_maps,
    depth_of,
    name_columns,
    names_of,
    report_names,
    report_tilts,
)
from slabkit.units import DEFAULT_TILT_RANGE, TiltRange, positive_length

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.tables.native import PickList
    from slabkit.learning.rotated_maps import RotatedMap
    from slabkit.tomogram import Tomogram, TomogramRef


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit name``; see `slabkit.name_averages`, `slabkit.name_picks`."""

    classes: str  # the folder of slabkit classify, or classes.star in it; or a pick list
    maps: Maps  # species and file
    out: str | None = None  # of the labels; a pick list is named then
    decoys: Maps = ()  # maps that only compete; with picks
    min_probability: float = 0.1
    tomograms: tuple[str, ...] | None = None  # where the picks' volumes are
    depth: float | None = None  # None: as the minislabs say
    tilt_range: TiltRange = DEFAULT_TILT_RANGE


def run(options: Options, frame: Frame) -> None:
    """Name the classes of a folder, in place, or the picks of a list."""
    if options.out is not None:
        _name_picks(options, options.out, frame)
        return
    if options.decoys or options.tomograms:
        raise InputError("--decoy and --tomograms are for pick lists; say with -o where to.")
    _name_classes(options, frame)


def _name_classes(options: Options, frame: Frame) -> None:
    import numpy as np

    from slabkit.execution.locks import output_lock
    from slabkit.formats.tables.atomic import atomic_path
    from slabkit.formats.tables.blocks import read_text, write_blocks
    from slabkit.formats.tables.classification import read_class_table
    from slabkit.formats.tables.star import parse_star
    from slabkit.formats.tables.star_writing import format_star
    from slabkit.formats.volumes.mrc import open_stack

    check_maps(options.maps)
    table = Path(options.classes)
    if os.path.isdir(table):
        table /= "classes.star"
        if not table.exists():
            raise InputError(
                f"{options.classes}: has no classes.star; `slabkit classify` writes it."
            )
    try:
        before = read_class_table(table)
    except InputError as error:
        raise InputError(f"{error} For a pick list, say with -o where its labels go.") from error
    classified = table.with_name("classified.star")
    if options.depth is not None:
        depth = positive_length(options.depth, "--depth")
    else:
        depth = depth_of(parse_star(read_text(classified), str(classified)), str(classified))
    stack = open_stack(table.with_name("classes.mrcs"))
    if len(stack) != len(before):
        raise InputError(f"{stack.path}: has {len(stack)} images, {table} {len(before)} classes.")
    averages = np.stack([stack[index] for index in range(len(stack))])
    with frame.work("name", None) as work, output_lock(table):
        names = names_of(averages, stack.pixel_size, options.maps, depth, options.tilt_range)
        columns = name_columns(names)
        after = before.assign(**columns)
        if format_star({"classes": after}) != read_text(table):
            if set(columns) & set(before.columns) and not frame.overwrite:
                raise OutputExistsError(
                    f"{table}: its classes are named already, otherwise; --overwrite names them "
                    "again."
                )
            sheet = sheet_of(averages, before, quality_shown(classified), captions(names))
            with atomic_path(table.with_suffix(".png")) as temporary:
                temporary.write_bytes(sheet)
            write_blocks(table, {"classes": after})
        report_tilts(work, options.tilt_range)
        report_names(work, names, before["slabkitClassSize"].astype(int).to_numpy())
        work.note(f"names → {table}")


def _name_picks(options: Options, out: str, frame: Frame) -> None:
    """Name the picks of a list: a label table, with the probability of each species."""
    from slabkit.formats.tables.native import write_labels
    from slabkit.formats.tomograms.listing import list_tomograms, pick_tomograms
    from slabkit.formats.tomograms.names import files_read
    from slabkit.learning.map_naming import check_min_probability
    from slabkit.steps.shared.pick_lists import PickFiles

    check_maps(options.maps)
    check_maps((*options.maps, *options.decoys), "--decoy")
    check_min_probability(options.min_probability)
    if options.depth is not None:
        raise InputError("--depth is that of minislabs; picks are compared in the tomogram.")
    source = Path(options.classes)
    if source.name == "classes.star" or (source / "classes.star").is_file():
        raise InputError(
            f"{options.classes}: holds classes, whose names go into classes.star; leave -o out."
        )
    given = PickFiles.given((options.classes,))
    picks = given.read_as_one()
    volumes = pick_tomograms(picks, options.classes, options.tomograms)
    listed = [] if options.tomograms is None else list_tomograms(options.tomograms)
    used = dict.fromkeys(str(file) for one in volumes.values() for file in files_read(one))
    files = [file for _, file in (*options.maps, *options.decoys)]
    with frame.work(
        "name",
        out,
        inputs=[options.classes, *used, *dict.fromkeys(files)],
        text_inputs=given.texts,
        parameters={
            **parameters(options, "classes", "out", "tomograms"),
            "tomograms": [str(one.path) for one in listed],
        },
    ) as work:
        if work.finished:
            return
        labels = _labels(options, picks, volumes, work, frame.workers)
        write_labels(out, labels)


def _labels(
    options: Options,
    picks: PickList,
    volumes: Mapping[str, TomogramRef],
    work: Work,
    jobs: int,
) -> pd.DataFrame:
    """Compare the picks of all tomograms with the maps, and name them."""
    from slabkit.learning.map_naming import name_picks

    rotated = RotatedMaps(read_maps((*options.maps, *options.decoys)), options.tilt_range)

    def opened() -> Iterator[tuple[Tomogram, list[RotatedMap]]]:
        for name, ref in work.track(volumes.items(), total=len(volumes), what="name"):
            try:
                tomogram = replace(ref.open(), name=name)
                yield tomogram, rotated.at(tomogram.voxel_size)
            except SlabkitError as error:
                work.fail(name, error)

    labels, duplicates = name_picks(
        opened(),
        picks.picks,
        decoys=len(options.decoys),
        min_probability=options.min_probability,
        jobs=jobs,
    )
    work.raise_if_all_failed(len(volumes))
    accepted = labels[labels["slabkitDecision"] == "accepted"]
    species = accepted.groupby("slabkitSpecies", sort=True)["slabkitScore"]
    rows = [(name, len(own), f"{own.sum():.0f}") for name, own in species]
    report_tilts(work, options.tilt_range)
    work.table("named by maps", ("species", "picks", "expected right"), rows)
    work.summary.update(
        picks=len(labels),
        accepted=len(accepted),
        duplicates=duplicates,
        species={name: {"picks": len(own), "expected": float(own.sum())} for name, own in species},
    )
    return labels
