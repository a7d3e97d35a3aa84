"""``slabkit pick blob slabs/slabs.star -o picks2d.star --diameter 100:350``: slabs to 2D picks."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from slabkit.cli.options import common, picking
from slabkit.cli.pick_segmentation import segmentation
from slabkit.cli.pick_template import template
from slabkit.cli.running import execute
from slabkit.steps.pick_blob import Options, run
from slabkit.steps.shared.names import species_option

app = typer.Typer(help="Pick particles on slabs.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Pick particles on slabs."""


@app.command()
def blob(
    slabs: picking.Slabs,
    out: common.OutTable,
    diameter: Annotated[
        str,
        typer.Option(
            metavar="D|MIN:MAX", help="Diameter of the particles (Å), or range.", show_default=False
        ),
    ],
    threshold: picking.BlobThreshold = None,
    target_precision: picking.TargetPrecision = None,
    labelled: picking.Labelled = None,
    max_per_slab: picking.MaxPerSlab = None,
    min_distance: picking.MinDistance = None,
    max_elongation: Annotated[
        float,
        typer.Option(
            metavar="RATIO", help="Drop ridges, such as membranes, longer than this in width."
        ),
    ] = 4.0,
    max_ridge: picking.MaxRidge = 0.7,
    method: Annotated[
        str,
        typer.Option(
            metavar="rims|laplacian",
            help="rims: solid and hollow particles, scored by their rims; laplacian: the plain "
            "Laplacian of Gaussian.",
        ),
    ] = "rims",
    mask: picking.Mask = None,
    species: Annotated[str, typer.Option(help="Name to give to all picks.")] = "",
    contrast: picking.SlabContrast = None,
    png: picking.Png = False,
    overwrite: common.Overwrite = False,
    jobs: common.Jobs = 0,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Find blobs on slabs, with one noise scale a tomogram, so that scores compare across slabs.

    Pictures of --png go to a folder beside the table, <table>_png. Lengths are in Å.
    """
    options = Options(
        slabs=slabs,
        out=out,
        diameter=common.parse_range(diameter, "--diameter"),
        threshold=picking.parse_threshold(threshold),
        target_precision=target_precision,
        labelled=labelled,
        max_per_slab=max_per_slab,
        min_distance=min_distance,
        max_elongation=max_elongation,
        max_ridge=max_ridge,
        method=common.choice(method, "--method", Literal["rims", "laplacian"]),
        mask=tuple(mask or ()),
        species=species_option(species),
        contrast=common.parse_contrast(contrast),
        png=png,
    )
    execute(run, options, overwrite=overwrite, jobs=jobs, quiet=quiet, json_=json_)


app.command()(template)
app.command()(segmentation)
