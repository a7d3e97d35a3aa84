"""``slabkit slab tomograms/*.mrc -o slabs --step 75``: tomograms to mock micrographs."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slabkit.cli import shared
from slabkit.errors import InputError, SlabkitError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from slabkit.formats.tomograms.listing import ListedTomogram
    from slabkit.slabs.projection import SlabPlan
    from slabkit.tomogram import Tomogram


def slab(
    tomograms: Annotated[
        list[str],
        typer.Argument(
            help="Volumes, folders, globs, tables of tomograms, copick:CONFIG.json.",
            show_default=False,
        ),
    ],
    out: shared.OutFolder,
    thickness: Annotated[float, typer.Option(metavar="Å", help="Thickness of a slab.")] = 300.0,
    step: Annotated[
        float | None,
        typer.Option(metavar="Å", help="Sliding window: at most this far from slab to slab."),
    ] = None,
    cover: Annotated[
        bool, typer.Option("--cover", help="Cover the whole depth with the fewest slabs.")
    ] = False,
    reduce: Annotated[
        str, typer.Option(metavar="mean|sum", help="What projecting means.")
    ] = "mean",
    z_range: Annotated[
        str | None,
        typer.Option(
            metavar="MIN:MAX|auto",
            help="Project these depths only (Å; either may be empty); auto: from one face of the "
            "sample to the other, where the planes vary more than outside.",
        ),
    ] = None,
    voxel_size: shared.VoxelSizeOption = None,
    tomo_type: shared.TomoType = None,
    contrast: shared.ContrastOption = None,
    invert: Annotated[bool, typer.Option("--invert", help="Invert the images' contrast.")] = False,
    fill_nonfinite: shared.FillNonfinite = None,
    axis_order: shared.AxisOrder = None,
    flip_z: shared.FlipZ = False,
    uint8: shared.Uint8 = None,
    level: shared.Level = 0,
    allow_missing_chunks: shared.AllowMissingChunks = False,
    png: Annotated[
        bool, typer.Option("--png", help="Also a contact sheet, <tomogram>_slabs.png.")
    ] = False,
    overwrite: shared.Overwrite = False,
    jobs: shared.Jobs = 0,
    quiet: shared.Quiet = False,
    json_: shared.Json = False,
) -> None:
    """Project tomograms along z into slabs, one MRC micrograph each, and slabs.star.

    Without --step or --cover: as many slabs as fit side by side, centred; the margins left over
    are reported. Lengths are in Å.
    """
    from slabkit.formats.volumes.opening import list_tomograms

    if reduce not in ("mean", "sum"):
        raise InputError(f"--reduce must be mean or sum, not {reduce!r}.")
    options: dict[str, Any] = {
        "thickness": shared.positive(thickness, "--thickness"),
        "step": shared.positive(step, "--step"),
        "cover": cover,
        "z_range": z_range
        if z_range in (None, "auto")
        else shared.parse_range(z_range, "--z-range", True),
        "reduce": reduce,
        "invert": invert,
        "contrast": shared.parse_contrast(contrast),
    }
    opening = {
        "voxel_size": voxel_size,
        "fill_nonfinite": fill_nonfinite,
        "axis_order": axis_order,
        "flip_z": flip_z,
        "uint8": uint8,
        "level": level,
        "allow_missing_chunks": allow_missing_chunks,
    }
    found = list_tomograms(tomograms, voxel_size=voxel_size, tomo_type=tomo_type)
    if not found:
        raise InputError(f"{' '.join(tomograms)}: no tomogram there.")
    table = Path(out) / "slabs.star"
    with shared.Step(
        "slab",
        str(table),
        inputs=[listed.path for listed in found],
        parameters={**options, **opening, "png": png},
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
    ) as work:
        if not work.finished:
            _run(work, table, found, options, opening, png, shared.worker_count(jobs))


def _run(
    work: shared.Step,
    table: Path,
    found: list[ListedTomogram],
    options: dict[str, Any],
    opening: dict[str, Any],
    png: bool,
    jobs: int,
) -> None:
    tables: list[dict[str, list[Any]]] = []  # no DataFrame: loading pandas costs as long as a slab
    rows: list[tuple[object, ...]] = []
    for listed in work.track(found, total=len(found), what="slab"):
        try:
            tomogram = _open(listed, options["contrast"], opening)
            slabs, row, files = _one_tomogram(work, table.parent, tomogram, options, png, jobs)
        except SlabkitError as error:
            work.fail(listed.name, error)
            continue
        tables.append(slabs)
        rows.append(row)
        work.outputs += files
    failed = shared.all_failed(work.failures, len(found))
    if failed:
        raise failed
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


def _open(listed: ListedTomogram, contrast: Any, opening: dict[str, Any]) -> Tomogram:
    """Open a tomogram; what its table says of voxel size and contrast holds."""
    from slabkit.formats.volumes.opening import open_tomogram

    given, expected = listed.voxel_sizes(opening["voxel_size"])
    if listed.in_project and opening["level"]:
        expected = None  # the folder's name is of the full resolution
    return open_tomogram(
        listed.path,
        name=listed.name,
        expected_voxel_size=expected,
        contrast=contrast or listed.contrast or "dark",
        **{**opening, "voxel_size": given},
    )


def _one_tomogram(
    work: shared.Step,
    folder: Path,
    tomogram: Tomogram,
    options: dict[str, Any],
    png: bool,
    jobs: int,
) -> tuple[dict[str, list[Any]], tuple[object, ...], list[Path]]:
    from slabkit.formats.tables.native import path_for_table
    from slabkit.slabs.projection import plan_slabs, slab_columns, slab_name

    name = tomogram.name
    z_range = options["z_range"]
    if z_range == "auto":
        z_range = _sample_range(work, tomogram)
    plan = plan_slabs(
        tomogram,
        thickness=options["thickness"],
        step=options["step"],
        cover=options["cover"],
        z_range=z_range,
    )
    files = [folder / slab_name(name, index) for index in range(len(plan.starts))]
    sheet = folder / f"{name}_slabs.png"
    work.check_free([*files, sheet] if png else files)
    _write_images(tomogram, plan, files, sheet if png else None, options, jobs)
    slabs = slab_columns(
        tomogram,
        plan,
        invert=options["invert"],
        micrographs=[path_for_table(file) for file in files],
        tomogram_file=path_for_table(str(tomogram.path)),
    )
    below, above = (margin * plan.voxel_size for margin in plan.margins_vox)
    row = (name, len(files), plan.count_vox, plan.thickness, below, above)
    return slabs, row, [*files, sheet] if png else files


def _sample_range(work: shared.Step, tomogram: Tomogram) -> tuple[float, float]:
    """Find the sample's faces, and say where they are."""
    import math
    import warnings

    from slabkit.errors import SlabkitWarning
    from slabkit.slabs.faces import find_faces

    faces = find_faces(tomogram)
    ends = [end if math.isfinite(end) else None for end in (faces.low, faces.high)]
    work.summary.setdefault("faces", {})[tomogram.name] = ends
    if None in ends:
        which = "no" if not faces.found else "no lower" if ends[0] is None else "no upper"
        warnings.warn(
            f"{tomogram.label}: {which} face of the sample is seen in how much the planes "
            "vary; the volume is used to its end there.",
            SlabkitWarning,
            stacklevel=2,
        )
    else:
        work.note(f"{tomogram.name}: the sample lies from z {ends[0]:.0f} to {ends[1]:.0f} Å.")
    return faces.low, faces.high


def _write_images(
    tomogram: Tomogram,
    plan: SlabPlan,
    files: list[Path],
    sheet: Path | None,
    options: dict[str, Any],
    jobs: int,
) -> None:
    from slabkit.formats.volumes.mrc import write_mrc
    from slabkit.slabs.projection import iterate_slabs

    def write(index: int, image: npt.NDArray[np.float32]) -> None:
        start = plan.starts[index]
        label = (
            f"slabkit slab: {options['reduce']} of planes {start} to "
            f"{start + plan.count_vox - 1} of {tomogram.name}"
        )
        write_mrc(files[index], image, plan.voxel_size, label=label)

    thumbnails = []
    writing: list[Future[None]] = []
    try:
        with ThreadPoolExecutor(1) as writer:  # writes while the next slab is projected
            for index, image in iterate_slabs(
                tomogram, plan, reduce=options["reduce"], invert=options["invert"], jobs=jobs
            ):
                if len(writing) > 1:  # one being written, one waiting: memory stays bounded
                    writing[-2].result()
                writing.append(writer.submit(write, index, image))
                if sheet is not None:
                    every = max(1, len(image) // 512)
                    thumbnails.append(image[::every, ::every].copy())
        for future in writing:
            future.result()
        if sheet is not None:
            _write_sheet(sheet, thumbnails, plan)
    except BaseException:
        for file in files[: len(writing)]:  # nothing half-finished of a tomogram stays
            file.unlink(missing_ok=True)
        raise


def _write_sheet(sheet: Path, thumbnails: list[Any], plan: SlabPlan) -> None:
    from slabkit.formats.tables.atomic import atomic_path
    from slabkit.pictures.images import contact_sheet, png_bytes

    labels = [
        f"{index}: z {start * plan.voxel_size:g} to "
        f"{(start + plan.count_vox - 1) * plan.voxel_size:g} Å"
        for index, start in enumerate(plan.starts)
    ]
    with atomic_path(sheet) as temporary:
        temporary.write_bytes(png_bytes(contact_sheet(thumbnails, labels)))
