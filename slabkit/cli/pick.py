"""``slabkit pick blob slabs/slabs.star -o picks2d.star --diameter 100:350``: slabs to 2D picks."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from slabkit.cli import mask_options, pick_limits
from slabkit.cli.options import common
from slabkit.cli.pick_running import pick_and_write, slab_paths, slab_table
from slabkit.cli.pick_segmentation import segmentation
from slabkit.cli.pick_template import template
from slabkit.cli.step import Step
from slabkit.errors import InputError

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
    out: common.OutTable,
    diameter: Annotated[
        str,
        typer.Option(
            metavar="D|MIN:MAX", help="Diameter of the particles (Å), or range.", show_default=False
        ),
    ],
    threshold: pick_limits.BlobThreshold = None,
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
    max_ridge: pick_limits.MaxRidge = 0.7,
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
    overwrite: common.Overwrite = False,
    jobs: common.Jobs = 0,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Find blobs on slabs, with one noise scale a tomogram, so that scores compare across slabs.

    Pictures of --png go to a folder beside the table, <table>_png. Lengths are in Å.
    """
    from slabkit.formats.tables.native import read_text
    from slabkit.picking.blob import BlobLimits, default_threshold, pick_blobs
    from slabkit.picking.blob_search import diameter_ladder

    lowest = default_threshold("laplacian" if method == "laplacian" else "rims", max_ridge)
    if threshold is None:
        threshold = f"{lowest:g}"
    choice = pick_limits.choose_threshold(
        threshold, target_precision, labelled, f"blob-{method}", lowest
    )
    options: dict[str, Any] = {
        "diameter": common.parse_range(diameter, "--diameter"),
        "threshold": choice.to_find,
        "max_per_slab": max_per_slab,
        "min_distance": min_distance,
        "max_elongation": max_elongation,
        "max_ridge": max_ridge,
        "method": method,
        "species": species,
        "contrast": common.parse_contrast(contrast),
    }
    diameter_ladder(options["diameter"])
    BlobLimits(choice.to_find, max_per_slab, min_distance, max_elongation, max_ridge)
    if png and out == "-":
        raise InputError("--png writes pictures beside the table; give a file to -o.")
    text = read_text(slabs)
    table = slab_table(text, slabs)
    masks = None
    if mask:
        from slabkit.formats.volumes.masks import find_masks

        masks = find_masks(mask, table["rlnTomoName"], table["rlnMicrographName"])
    with Step(
        "pick blob",
        out,
        inputs=[
            slabs,
            *(path for path in slab_paths(table, slabs) if path.exists()),
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
            pick_and_write(
                work,
                table,
                slabs,
                out,
                lambda images, own, **limits: pick_blobs(images, own, **{**options, **limits}),
                choice,
                masks,
                max_per_slab,
                png,
                common.worker_count(jobs),
            )


app.command()(template)
app.command()(segmentation)
