"""``slabkit pick blob slabs/slabs.star -o picks2d.star --diameter 100:350``: slabs to 2D picks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slabkit.cli import mask_options, pick_limits, shared
from slabkit.cli.step import Step
from slabkit.errors import InputError, SlabkitError

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.formats.mask_files import MaskFiles

app = typer.Typer(help="Pick particles on slabs.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Pick particles on slabs."""


@app.command()
def blob(
    slabs: Annotated[
        str,
        typer.Argument(help="Slab table, slabs.star; - for standard input.", show_default=False),
    ],
    out: shared.OutTable,
    diameter: Annotated[
        str,
        typer.Option(
            metavar="D|MIN:MAX", help="Diameter of the particles (Å), or range.", show_default=False
        ),
    ],
    threshold: pick_limits.Threshold = "3",
    target_precision: pick_limits.TargetPrecision = None,
    labelled: pick_limits.Labelled = None,
    max_per_slab: Annotated[
        int | None, typer.Option(metavar="N", help="Keep the N best of each slab.")
    ] = None,
    min_distance: Annotated[
        float | None,
        typer.Option(
            metavar="Å",
            help="Of two picks closer than this keep the better; default: half the larger "
            "diameter of the two.",
            show_default=False,
        ),
    ] = None,
    max_elongation: Annotated[
        float,
        typer.Option(
            metavar="RATIO", help="Drop ridges, such as membranes, longer than this in width."
        ),
    ] = 4.0,
    method: Annotated[
        str,
        typer.Option(
            metavar="rims|laplacian",
            help="rims: solid and hollow particles, scored by their rims; laplacian: the plain "
            "Laplacian of Gaussian.",
        ),
    ] = "rims",
    mask: mask_options.MaskOption = None,
    species: Annotated[str, typer.Option(help="Name to give to all picks.")] = "",
    contrast: Annotated[
        str | None,
        typer.Option(
            "--contrast",
            metavar="dark|bright",
            help="How protein looks in the slabs; default: as their table says.",
            show_default=False,
        ),
    ] = None,
    png: Annotated[
        bool, typer.Option("--png", help="Also a picture of every slab with its picks.")
    ] = False,
    overwrite: shared.Overwrite = False,
    jobs: shared.Jobs = 0,
    quiet: shared.Quiet = False,
    json_: shared.Json = False,
) -> None:
    """Find blobs on slabs, with one noise scale a tomogram, so that scores compare across slabs.

    Pictures of --png go to a folder beside the table, <table>_png. Lengths are in Å.
    """
    from slabkit.formats.mask_files import find_masks
    from slabkit.formats.tables import read_text
    from slabkit.picking.blob import BlobLimits
    from slabkit.picking.blob_search import diameter_ladder
    from slabkit.picking.blob_selection import DEFAULT_THRESHOLD

    choice = pick_limits.choose_threshold(
        threshold, target_precision, labelled, f"blob-{method}", DEFAULT_THRESHOLD
    )
    options: dict[str, Any] = {
        "diameter": shared.parse_range(diameter, "--diameter"),
        "threshold": choice.to_find,
        "max_per_slab": max_per_slab,
        "min_distance": min_distance,
        "max_elongation": max_elongation,
        "method": method,
        "species": species,
        "contrast": shared.parse_contrast(contrast),
    }
    diameter_ladder(options["diameter"])
    BlobLimits(choice.to_find, max_per_slab, min_distance, max_elongation)
    if png and out == "-":
        raise InputError("--png writes pictures beside the table; give a file to -o.")
    text = read_text(slabs)
    table = _parsed(text, slabs)
    masks = None
    if mask:
        masks = find_masks(mask, table["rlnTomoName"], table["rlnMicrographName"])
    with Step(
        "pick blob",
        out,
        inputs=[
            slabs,
            *(path for path in _paths(table, slabs) if path.exists()),
            *(masks.paths if masks else []),
            *([labelled] if labelled else []),
        ],
        text_inputs={"-": text} if slabs == "-" else None,
        parameters={
            **options,
            "threshold": "auto" if choice.value is None else choice.value,
            "target_precision": target_precision,
            "png": png,
        },
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
    ) as work:
        if not work.finished:
            jobs = shared.worker_count(jobs)
            _run(work, table, slabs, out, options, choice, masks, png, jobs)


def _parsed(text: str, source: str) -> pd.DataFrame:
    from slabkit.formats.paths import with_paths_from_here
    from slabkit.formats.star import parse_star
    from slabkit.formats.table_blocks import table_block
    from slabkit.tables import SLABS, require_unique

    blocks = parse_star(text, source)
    table = table_block(blocks, "micrographs", SLABS, source, "`slabkit slab` writes one")
    require_unique(table, "rlnMicrographName", source)
    return with_paths_from_here(table, source)


def _paths(table: pd.DataFrame, source: str) -> list[Path]:
    from slabkit.formats.paths import resolve_path

    return [resolve_path(str(name), source) for name in table["rlnMicrographName"]]


def _run(
    work: Step,
    table: pd.DataFrame,
    source: str,
    out: str,
    options: dict[str, Any],
    choice: pick_limits.ThresholdChoice,
    masks: MaskFiles | None,
    png: bool,
    jobs: int,
) -> None:
    import warnings

    import pandas as pd

    from slabkit.errors import SlabkitWarning
    from slabkit.formats.tables import write_picks2d
    from slabkit.picking.blob import pick_blobs
    from slabkit.tables import PICKS2D, empty_table

    pictures = _picture_paths(table, Path(out)) if png else {}
    work.check_free(pictures.values())
    # Masks and fits come before the best of each slab.
    later = masks is not None or choice.value is None
    finding = {**options, "max_per_slab": None if later else options["max_per_slab"]}
    parts: dict[str, pd.DataFrame] = {}
    names = list(dict.fromkeys(table["rlnTomoName"]))
    own = {name: table[table["rlnTomoName"] == name].reset_index(drop=True) for name in names}
    for name in work.track(names, total=len(names), what="pick blob"):
        try:
            parts[name] = pick_blobs(_images(own[name], source), own[name], jobs=jobs, **finding)
        except SlabkitError as error:
            work.fail(name, error)
    failed = shared.all_failed(work.failures, len(names))
    if failed:
        raise failed
    parts = pick_limits.limit_picks(work, parts, table, choice, masks, options["max_per_slab"])
    if png:
        for name, picks in parts.items():
            _write_pictures(work, own[name], source, picks, pictures)
    found = pd.concat(parts.values(), ignore_index=True) if parts else empty_table(PICKS2D)
    empty = [name for name, picks in parts.items() if not len(picks)]
    if not len(found):
        lowest = work.summary.get("threshold", options["threshold"])
        warnings.warn(
            f"no blob reaches the score {lowest:g}; the table is empty.",
            SlabkitWarning,
            stacklevel=2,
        )
    elif empty:
        warnings.warn(
            f"no blob on any slab of {', '.join(empty)}; is the contrast right (--contrast)?",
            SlabkitWarning,
            stacklevel=2,
        )
    write_picks2d(out, found)
    further, values = pick_limits.expected_columns(work)
    score = "rlnAutopickFigureOfMerit"
    rows = [
        (n, len(own[n]), len(p), p[score].max() if len(p) else None, *values(n))
        for n, p in parts.items()
    ]
    work.table("", ("tomogram", "slabs", "picks", "best score", *further), rows)
    work.summary.update(tomograms=len(parts), slabs=sum(len(own[name]) for name in parts))
    work.summary.update(picks=len(found))


def _images(slabs: pd.DataFrame, source: str) -> Iterator[Any]:
    for row, path in zip(slabs.itertuples(index=False), _paths(slabs, source), strict=True):
        yield _image(path, row)


def _image(path: Path, row: Any) -> Any:
    from slabkit.formats.mrc import read_image
    from slabkit.units import voxel_sizes_equal

    image, pixel_size = read_image(path)
    size = (row.slabkitTomogramSizeY, row.slabkitTomogramSizeX)
    if image.shape != size:
        raise InputError(
            f"{path}: has {image.shape[1]} × {image.shape[0]} pixels, its table says "
            f"{size[1]} × {size[0]}; picks would be misplaced."
        )
    if pixel_size > 0 and not voxel_sizes_equal(pixel_size, row.slabkitVoxelSize):
        raise InputError(
            f"{path}: has pixels of {pixel_size:g} Å, its table says {row.slabkitVoxelSize:g} Å; "
            "make the slabs again."
        )
    return image


def _picture_paths(table: pd.DataFrame, out: Path) -> dict[str, Path]:
    folder = out.with_name(f"{out.stem}_png")
    paths: dict[str, Path] = {}
    for name in table["rlnMicrographName"]:
        stem = Path(name).stem
        path = folder / f"{stem}.png"
        number = 2
        while path in paths.values():
            path = folder / f"{stem}-{number}.png"
            number += 1
        paths[name] = path
    return paths


def _write_pictures(
    work: Step, slabs: pd.DataFrame, source: str, picks: pd.DataFrame, paths: dict[str, Path]
) -> None:
    from slabkit.formats.atomic import atomic_path
    from slabkit.pictures import draw_picks, png_bytes

    for row, image in zip(slabs.itertuples(index=False), _images(slabs, source), strict=True):
        path = paths[str(row.rlnMicrographName)]
        own = picks[picks["rlnMicrographName"] == row.rlnMicrographName]
        radii = own["slabkitDiameter"] / (2 * float(str(row.slabkitVoxelSize)))
        picture = draw_picks(image, own["rlnCoordinateX"], own["rlnCoordinateY"], radii)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_bytes(png_bytes(picture))
        work.outputs.append(path)
