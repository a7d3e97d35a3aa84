"""Tomograms to slabs: one MRC micrograph a slab, and their table."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from slabkit.errors import InputError, SlabkitError, warn
from slabkit.execution.frame import Frame, Work, parameters
from slabkit.steps.shared.names import say_flipped
from slabkit.tomogram import Reading, Tomogram
from slabkit.units import Contrast, planes_text

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from slabkit.slabs.projection import SlabPlan


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit slab``; see `slabkit.plan_slabs` and `slabkit.project_slabs`."""

    tomograms: tuple[str, ...]
    out: str
    thickness: float = 300.0
    step: float | None = None
    cover: bool = False
    z_range: tuple[float, float] | Literal["auto"] | None = None
    reduce: Literal["mean", "sum"] = "mean"
    invert: bool = False
    contrast: Contrast | None = None
    reading: Reading = Reading()
    tomo_type: str | None = None
    png: bool = False


def run(options: Options, frame: Frame) -> None:
    """Project the tomograms into slabs and write ``slabs.star``."""
    from slabkit.formats.tables.paths import is_readable
    from slabkit.formats.tomograms.listing import list_tomograms
    from slabkit.formats.tomograms.names import files_read

    found = list_tomograms(
        options.tomograms,
        reading=options.reading,
        contrast=options.contrast,
        tomo_type=options.tomo_type,
    )
    if not found:
        raise InputError(f"{' '.join(options.tomograms)}: no tomogram there.")
    table = Path(options.out) / "slabs.star"
    with frame.work(
        "slab",
        table,
        inputs=[file for ref in found for file in files_read(ref) if is_readable(file)],
        parameters=parameters(options, "tomograms", "out", "tomo_type"),
    ) as work:
        if work.finished:
            return
        say_flipped(work, found)
        tables: list[dict[str, list[Any]]] = []  # no DataFrame: pandas takes as long as a slab
        rows: list[tuple[object, ...]] = []
        for ref in work.track(found, total=len(found), what="slab"):
            try:
                tomogram = ref.open()
                slabs, row, files = _one_tomogram(work, table.parent, tomogram, options)
            except SlabkitError as error:
                work.fail(ref.name, error)
                continue
            tables.append(slabs)
            rows.append(row)
            work.outputs += files
        work.raise_if_all_failed(len(found))
        from slabkit.formats.tables.native import write_slabs

        every = {name: [value for one in tables for value in one[name]] for name in tables[0]}
        write_slabs(table, every)
        columns = ("tomogram", "slabs", "planes each", "Å each", "Å left below", "Å left above")
        work.table("", columns, rows)
        work.summary.update(
            tomograms=len(tables),
            slabs=len(every["slabkitZStart"]),
            margins={str(row[0]): [row[4], row[5]] for row in rows},
        )


def _one_tomogram(
    work: Work, folder: Path, tomogram: Tomogram, options: Options
) -> tuple[dict[str, list[Any]], tuple[object, ...], list[Path]]:
    """Give the rows of the slab table, the row to show, and the files of a tomogram."""
    from slabkit.formats.tables.paths import file_inside, path_for_table
    from slabkit.formats.tables.star_writing import format_star
    from slabkit.slabs.projection import plan_slabs, slab_columns, slab_name

    name = tomogram.name
    z_range = options.z_range
    plan = plan_slabs(
        tomogram,
        thickness=options.thickness,
        step=options.step,
        cover=options.cover,
        z_range=_sample_range(work, tomogram) if z_range == "auto" else z_range,
    )
    files = [file_inside(folder, slab_name(name, index)) for index in range(len(plan.starts))]
    sheet = file_inside(folder, f"{name}_slabs.png")
    every = [*files, sheet] if options.png else files
    work.check_free(every)
    slabs = slab_columns(
        tomogram,
        plan,
        invert=options.invert,
        micrographs=[path_for_table(file) for file in files],
        tomogram_file=path_for_table(str(tomogram.path)),
    )
    format_star({"micrographs": slabs})  # refuses what no table can hold before images are there
    shown = sheet if options.png else None
    write = partial(_write_images, tomogram, plan, files, shown, options, work.frame)
    assert work.parts is not None
    work.parts.files(name, every, write, work.frame.reporter.warnings)
    below, above = (margin * plan.voxel_size for margin in plan.margins_vox)
    row = (name, len(files), plan.count_vox, plan.thickness, below, above)
    return slabs, row, every


def _sample_range(work: Work, tomogram: Tomogram) -> tuple[float, float]:
    """Find the sample's faces, and say where they are."""
    from slabkit.slabs.faces import find_faces

    faces = find_faces(tomogram)
    ends = [end if math.isfinite(end) else None for end in (faces.low, faces.high)]
    work.summary.setdefault("faces", {})[tomogram.name] = ends
    if None in ends:
        which = "no" if not faces.found else "no lower" if ends[0] is None else "no upper"
        warn(
            f"{tomogram.label}: {which} face of the sample is seen in how much the planes "
            "vary; the volume is used to its end there."
        )
    else:
        work.note(f"{tomogram.name}: the sample lies from z {ends[0]:.0f} to {ends[1]:.0f} Å.")
    return faces.low, faces.high


def _write_images(
    tomogram: Tomogram,
    plan: SlabPlan,
    files: list[Path],
    sheet: Path | None,
    options: Options,
    frame: Frame,
) -> None:
    """Write the slabs, each while the next one is projected."""
    from slabkit.arrays.parallel import map_in_order
    from slabkit.formats.volumes.mrc import write_mrc
    from slabkit.slabs.projection import iterate_slabs

    def images() -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        for index, image in iterate_slabs(
            tomogram,
            plan,
            reduce=options.reduce,
            invert=options.invert,
            spare=spare,
            jobs=frame.workers,
        ):
            if sheet is not None:
                every = max(1, len(image) // 512)
                thumbnails.append(image[::every, ::every].copy())
            begun.append(files[index])
            yield index, image

    def write(numbered: tuple[int, npt.NDArray[np.float32]]) -> None:
        index, image = numbered
        start = plan.starts[index]
        label = (
            f"slabkit slab: {options.reduce} of planes {start} to "
            f"{start + plan.count_vox - 1} of {tomogram.name}"
        )
        write_mrc(files[index], image, plan.voxel_size, label=label)
        spare.append(image)

    thumbnails: list[npt.NDArray[np.float32]] = []
    begun: list[Path] = []
    spare: list[npt.NDArray[np.float32]] = []
    try:
        for _ in map_in_order(write, images(), background=True):
            pass
        if sheet is not None:
            _write_sheet(sheet, thumbnails, plan)
    except BaseException:
        for file in begun:  # nothing half-finished of a tomogram stays
            file.unlink(missing_ok=True)
        raise


def _write_sheet(sheet: Path, thumbnails: list[Any], plan: SlabPlan) -> None:
    from slabkit.formats.tables.atomic import atomic_path
    from slabkit.pictures.images import contact_sheet, png_bytes

    labels = [
        f"{index}: {planes_text(start, plan.count_vox, plan.voxel_size)}"
        for index, start in enumerate(plan.starts)
    ]
    with atomic_path(sheet) as temporary:
        temporary.write_bytes(png_bytes(contact_sheet(thumbnails, labels)))
