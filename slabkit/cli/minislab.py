"""``slabkit minislab picks.star -o minislabs --box 400 --depth 300``: picks to galleries."""

from __future__ import annotations

import functools
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from slabkit.cli.gallery_files import GalleryFiles, GalleryPlan
from slabkit.cli.options import common
from slabkit.cli.options import picks as pick_options
from slabkit.errors import InputError, SlabkitError

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.source import Source
    from slabkit.formats.tables.native import PickList
    from slabkit.tomogram import Tomogram, TomogramRef
    from slabkit.units import Contrast


def minislab(
    picks: Annotated[
        str,
        typer.Argument(help="Pick list, in any format; - for standard input.", show_default=False),
    ],
    out: common.OutFolder,
    box: Annotated[
        float,
        typer.Option(
            metavar="Å",
            help="Side of the images; rounded to the nearest even number of pixels.",
            show_default=False,
        ),
    ],
    depth: Annotated[
        float, typer.Option(metavar="Å", help="Thickness projected.", show_default=False)
    ],
    tiles: Annotated[
        str, typer.Option(metavar="ROWSxCOLUMNS", help="Tiles in a gallery.")
    ] = "16x15",
    stack: Annotated[
        bool,
        typer.Option("--stack", help="Also stacks .mrcs, light on dark, for 2D classification."),
    ] = False,
    tilts: Annotated[
        str,
        typer.Option(
            metavar="DEGREES,...",
            help="Views of each pick, tilted about y; positive: what is higher in z moves to "
            "larger x.",
        ),
    ] = "0",
    tomograms: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VOLUME|FOLDER",
            help="Take the tomograms, by name, from here: a volume, folder, quoted pattern, "
            "table or copick:CONFIG.json. May be repeated. Default: the files that the pick "
            "list names.",
            show_default=False,
        ),
    ] = None,
    voxel_size: common.VoxelSizeOption = None,
    tomo_type: common.TomoType = None,
    from_: pick_options.From = None,
    binning: pick_options.Binning = None,
    centre: pick_options.Centre = "size/2",
    tomogram: pick_options.TomogramName = None,
    unit: pick_options.Unit = None,
    index_base: pick_options.IndexBase = None,
    tomogram_index: pick_options.TomogramIndex = None,
    pixel_size: Annotated[
        float | None,
        typer.Option(metavar="Å", help="Resample the images to this; default: the voxel size."),
    ] = None,
    border: Annotated[
        float,
        typer.Option(
            metavar="Å",
            help="Empty margin round the tiles, for programs that drop picks near an edge; "
            "rounded to whole pixels.",
        ),
    ] = 0.0,
    diameter: Annotated[
        float | None,
        typer.Option(
            metavar="Å",
            help="Of the particle: images get mean 0, deviation 1 outside it; default: --box.",
            show_default=False,
        ),
    ] = None,
    invert: Annotated[
        bool, typer.Option("--invert", help="Invert the contrast of the galleries.")
    ] = False,
    contrast: common.ContrastOption = None,
    fill_nonfinite: common.FillNonfinite = None,
    png: Annotated[bool, typer.Option("--png", help="Also a picture of each gallery.")] = False,
    overwrite: common.Overwrite = False,
    jobs: common.Jobs = 0,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Project the box about each pick; galleries of tiles, minislabs.star, stacks on request.

    Galleries (and stacks, one a gallery) fill in the order of the pick list, across tomograms.
    Every tile is normalised; where a box is outside its tomogram, with its own mean. Galleries keep
    the tomograms' contrast. Lengths are in Å.
    """
    if out == "-":
        raise InputError("-o takes a folder here: galleries are files.")
    from slabkit.formats.source import Source
    from slabkit.formats.tomograms.listing import list_tomograms, pick_tomograms
    from slabkit.minislabs import check_tilts
    from slabkit.tomogram import Reading

    rows, columns = parse_tiles(tiles)
    options: dict[str, Any] = {
        "box": _positive(box, "--box"),
        "depth": _positive(depth, "--depth"),
        "rows": rows,
        "columns": columns,
        "tilts": check_tilts(_parse_numbers(tilts, "--tilts")),
        "pixel_size": None if pixel_size is None else _positive(pixel_size, "--pixel-size"),
        "voxel_size": None if voxel_size is None else _positive(voxel_size, "--voxel-size"),
        "border": 0.0 if border == 0 else _positive(border, "--border"),
        "diameter": None if diameter is None else _positive(diameter, "--diameter"),
        "invert": invert,
        "contrast": common.parse_contrast(contrast),
        "fill_nonfinite": fill_nonfinite,
        "stack": stack,
        "png": png,
    }
    reading: dict[str, Any] = {
        "format": from_,
        "binning": binning,
        "centre": centre,
        "tomogram": tomogram,
        "unit": unit,
        "index_base": index_base,
        "tomogram_index": tomogram_index,
    }
    source = Source.load(picks)
    pick_list = _read(source, tomograms, voxel_size, tomo_type, reading)
    how = Reading(
        voxel_size=options["voxel_size"],
        fill_nonfinite=common.choice(fill_nonfinite, "--fill-nonfinite", Literal["median"]),
    )
    volumes = pick_tomograms(
        pick_list,
        picks,
        tomograms,
        reading=how,
        contrast=options["contrast"],
        tomo_type=tomo_type,
    )
    plan, failures = plan_galleries(pick_list, volumes, options)
    listed = []
    if tomograms is not None:
        listed = list_tomograms(tomograms, reading=how, tomo_type=tomo_type)
    used = {str(v.path): None for n, v in volumes.items() if n not in failures}
    with common.Step(
        "minislab",
        str(Path(out) / "minislabs.star"),
        inputs=[picks, *used, *([tomogram_index] if tomogram_index else [])],
        text_inputs={"-": source.text} if picks == "-" else None,
        parameters={**options, **reading, "tomograms": [str(t.path) for t in listed]},
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
    ) as work:
        if not work.finished:
            for name, error in failures.items():
                work.fail(name, error)
            write_galleries(work, Path(out), pick_list, volumes, plan, options)


def _read(
    source: Source,
    tomograms: list[str] | None,
    voxel_size: float | None,
    tomo_type: str | None,
    reading: dict[str, Any],
) -> PickList:
    from slabkit.formats.registry import detect_format

    found = reading["format"] or ("" if source.empty else detect_format(source).name)
    if found == "native":
        # slabkit's own list knows its tomograms, which may have another voxel size than those here
        return pick_options.read_with(source, reading, check_bounds=False)
    if tomograms is None:
        return pick_options.read_with(source, reading, voxel_size=voxel_size)
    table = pick_options.table_of(tomograms, voxel_size, tomo_type)
    return pick_options.read_with(source, reading, tomograms=table)


def plan_galleries(
    picks: PickList, volumes: dict[str, TomogramRef], options: dict[str, Any]
) -> tuple[GalleryPlan, dict[str, SlabkitError]]:
    """Open each tomogram once, to find out what is wrong before anything is written."""
    from slabkit.minislabs import outside_circle
    from slabkit.minislabs.galleries import GalleryLayout
    from slabkit.units import length_to_even_voxels, length_to_voxels, voxel_sizes_equal

    failures: dict[str, SlabkitError] = {}
    sizes: dict[str, float] = {}
    contrasts: dict[Contrast, str] = {}
    for name, volume in volumes.items():
        try:
            sizes[name] = volume.open().voxel_size
            contrasts.setdefault(volume.contrast or "dark", name)
        except SlabkitError as error:
            failures[name] = error
    failed = common.all_failed({n: str(e) for n, e in failures.items()}, len(volumes))
    if failed:
        raise failed
    if len(contrasts) > 1:
        raise InputError(
            f"protein is dark in {contrasts['dark']} and bright in {contrasts['bright']}, and "
            "galleries have one contrast; say it with --contrast, or split the pick list."
        )
    pixel_size = options["pixel_size"]
    if pixel_size is None:
        first = next(iter(sizes), None)
        pixel_size = _stated_voxel_size(picks) if first is None else sizes[first]
        other = next((n for n, s in sizes.items() if not voxel_sizes_equal(s, pixel_size)), None)
        if other is not None:
            raise InputError(
                f"the voxel size is {pixel_size:g} Å in {first} and {sizes[other]:g} Å in {other}, "
                "and galleries have one pixel size; give --pixel-size to resample the images, or "
                "split the pick list."
            )
    border = options["border"]
    contrast = next(iter(contrasts), options["contrast"] or "dark")
    layout = GalleryLayout(
        length_to_even_voxels(options["box"], pixel_size),
        options["rows"],
        options["columns"],
        length_to_voxels(border, pixel_size) if border else 0,
    )
    if options["diameter"] is not None:
        outside_circle(layout.tile_px, options["diameter"] / pixel_size)
    return (
        GalleryPlan(
            layout,
            pixel_size,
            contrast,
            box=options["box"],
            depth=options["depth"],
            diameter=options["diameter"],
            invert=options["invert"],
            stack=options["stack"],
            png=options["png"],
        ),
        failures,
    )


def _stated_voxel_size(picks: PickList) -> float:
    """Give the voxel size of the list's tomograms, for a list without picks."""
    import warnings

    from slabkit.errors import SlabkitWarning

    stated = picks.tomograms["slabkitVoxelSize"].to_numpy(float)
    known = stated[stated > 0].tolist()  # not NaN
    if known:
        return float(known[0])
    warnings.warn(
        "no tomogram of the pick list has a voxel size; the table of no minislabs says 1 Å "
        "(--pixel-size sets it).",
        SlabkitWarning,
        stacklevel=3,
    )
    return 1.0


def parse_tiles(value: str) -> tuple[int, int]:
    """Read ``--tiles``: rows and columns of a gallery."""
    match = re.fullmatch(r"\s*([1-9]\d{0,3})\s*[x×]\s*([1-9]\d{0,3})\s*", value)
    if match is None:
        raise InputError(f"--tiles takes ROWSxCOLUMNS, 16x15 for instance, not {value!r}.")
    return int(match[1]), int(match[2])


def _parse_numbers(value: str, option: str) -> list[float]:
    try:
        return [float(part) for part in value.split(",")]
    except ValueError:
        raise InputError(f"{option} takes numbers with commas between, not {value!r}.") from None


def _positive(value: float, option: str) -> float:
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{option} must be a positive number of Å, not {value:g}.")
    return value


def write_galleries(
    work: common.Step,
    folder: Path,
    picks: PickList,
    volumes: dict[str, TomogramRef],
    plan: GalleryPlan,
    options: dict[str, Any],
) -> None:
    """Write the galleries and their table, leaving out tomograms that turn out damaged."""
    import warnings

    from slabkit.errors import SlabkitWarning
    from slabkit.formats.tables.native import write_minislabs

    while True:
        failed = picks.picks["slabkitTomogram"].isin(list(work.failures))
        table = picks.picks[~failed].reset_index(drop=True)
        written = GalleryFiles(folder, plan)
        _write_galleries(work, written, table, volumes, plan, options)
        if not any(name in work.failures for name in table["slabkitTomogram"]):
            break
        # A tomogram turned out to be damaged after its first tiles were written: make the tiles
        # again without it, so that none of it is left and no tile is empty.
        written.remove()
        everything = common.all_failed(work.failures, len(volumes))
        if everything:
            raise everything
    minislabs, geometry = written.tables(table)
    write_minislabs(folder / "minislabs.star", minislabs, geometry)
    work.outputs += written.written
    outside = int((minislabs["slabkitInsideFraction"] == 0).sum())
    partly = int((minislabs["slabkitInsideFraction"] < 1 - 1e-9).sum()) - outside
    if outside:
        warnings.warn(
            f"{outside} of {len(minislabs)} minislabs lie outside their tomogram altogether; their "
            "tiles are flat, slabkitInsideFraction is 0.",
            SlabkitWarning,
            stacklevel=2,
        )
    work.summary.update(
        picks=len(table),
        minislabs=len(minislabs),
        galleries=int(geometry["slabkitGalleryCount"].iloc[0]),
        tile_px=plan.layout.tile_px,
        pixel_size=plan.pixel_size,
        partly_outside=partly,
        outside=outside,
        gallery_set=str(geometry["slabkitGallerySet"].iloc[0]),
    )


def _write_galleries(
    work: common.Step,
    written: GalleryFiles,
    table: pd.DataFrame,
    volumes: dict[str, TomogramRef],
    plan: GalleryPlan,
    options: dict[str, Any],
) -> None:
    from slabkit.minislabs import fill_galleries

    @functools.lru_cache(maxsize=4)
    def open_tomogram(name: str) -> Tomogram:
        return volumes[name].open()

    total = plan.layout.galleries(len(table) * len(options["tilts"]))
    work.check_free(written.paths(total))
    (written.folder / "minislabs.star").unlink(missing_ok=True)  # it names galleries to be replaced
    filled = fill_galleries(
        table,
        open_tomogram,
        tiles=plan.layout.tiles,
        box=options["box"],
        depth=options["depth"],
        pixel_size=plan.pixel_size,
        tilts=options["tilts"],
        on_failure=work.fail,
    )
    try:
        for gallery in work.track(filled, total=total, what="minislab"):
            written.write(gallery.index, gallery.minislabs)
    except BaseException:
        written.remove()  # nothing half-finished stays
        raise
