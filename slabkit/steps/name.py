"""Names for classes by density maps: into classes.star, and under the averages in the picture."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from slabkit.errors import InputError, OutputExistsError
from slabkit.execution.frame import Frame
from slabkit.steps.classify import quality_shown, sheet_of
from slabkit.steps.shared.naming import (
    TILT_RANGE,
    Maps,
    captions,
    check_maps,
    depth_of,
    name_columns,
    names_of,
    report_names,
)
from slabkit.units import positive_length


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit name``; see also `slabkit.name_averages`."""

    classes: str  # the folder of slabkit classify, or classes.star in it
    maps: Maps  # species and file
    depth: float | None = None  # None: as the minislabs say
    tilt_range: tuple[float, float] | None = TILT_RANGE


def run(options: Options, frame: Frame) -> None:
    """Name the classes of a folder, in place."""
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
    before = read_class_table(table)
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
        report_names(work, names, before["slabkitClassSize"].astype(int).to_numpy())
        work.note(f"names → {table}")
