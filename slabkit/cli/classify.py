"""``slabkit classify minislabs.star -o classes --classes 50``: minislabs to 2D classes."""

from __future__ import annotations

from typing import Annotated

import typer

from slabkit.cli.options import common
from slabkit.cli.running import execute
from slabkit.errors import InputError
from slabkit.steps.classify import GOOD_QUALITY, Options, run


def classify(
    table: Annotated[
        str,
        typer.Argument(
            metavar="MINISLABS",
            help="minislabs.star, or any particle STAR of RELION; - for standard input.",
            show_default=False,
        ),
    ],
    out: common.OutFolder,
    classes: Annotated[int, typer.Option(min=1, metavar="K", help="How many classes.")] = 50,
    iterations: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="The first half compares coarsely, the second finely."
        ),
    ] = 25,
    angular_step: Annotated[
        float, typer.Option(metavar="DEGREES", help="Step of in-plane rotations.")
    ] = 6.0,
    shift_range: Annotated[
        float | None,
        typer.Option(
            metavar="Å",
            help="How far particles may lie from the centre; default: 0.075 of the box.",
            show_default=False,
        ),
    ] = None,
    shift_step: Annotated[
        float | None,
        typer.Option(
            metavar="Å",
            help="Step of shifts; default: a fortieth of the box, at least a pixel.",
            show_default=False,
        ),
    ] = None,
    diameter: Annotated[
        float | None,
        typer.Option(
            metavar="Å",
            help="Of the circular mask; default: 0.68 of the box.",
            show_default=False,
        ),
    ] = None,
    resolution: Annotated[
        float | None,
        typer.Option(
            metavar="Å",
            help="Finest detail compared; default: a twelfth of the box.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another start.")] = 0,
    quality: Annotated[
        float,
        typer.Option(
            metavar="Q",
            help="Classes of this quality and more are marked, as label --auto accepts them.",
        ),
    ] = GOOD_QUALITY,
    contrast: Annotated[
        str | None,
        typer.Option(
            "--contrast",
            metavar="dark|bright",
            help="How protein looks in the images; default: bright in stacks, in galleries as "
            "their table says.",
            show_default=False,
        ),
    ] = None,
    pixel_size: Annotated[
        float | None,
        typer.Option(
            metavar="Å", help="Where the table's optics do not say it.", show_default=False
        ),
    ] = None,
    device: common.Device = "cpu",
    overwrite: common.Overwrite = False,
    jobs: common.Jobs = 0,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Sort minislabs into 2D classes, whatever their in-plane rotation and shift.

    Writes classes.png (numbered averages, the best first, with size, resolution and quality),
    classes.mrcs, classes.star, and classified.star: the table with each image's class, angle, shift
    and probability, as RELION names them. Choose classes with slabkit label.

    Quality is s / (1 + s), where s is signal over noise in the average, as far as its members
    confirm it. Lengths are in Å.
    """
    if out == "-":
        raise InputError("-o takes a folder here: a classification is several files.")
    options = Options(
        table,
        out,
        classes=classes,
        iterations=iterations,
        angular_step=angular_step,
        shift_range=shift_range,
        shift_step=shift_step,
        diameter=diameter,
        resolution=resolution,
        seed=seed,
        quality=quality,
        contrast=common.parse_contrast(contrast),
        pixel_size=common.positive(pixel_size, "--pixel-size"),
        device=device,
    )
    execute(run, options, overwrite=overwrite, jobs=jobs, quiet=quiet, json_=json_)
