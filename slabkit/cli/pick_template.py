"""``slabkit pick template slabs/slabs.star -o picks2d.star --map ribosome=6qzp.mrc``: by shape."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slabkit.cli.options import common, picking
from slabkit.cli.running import execute
from slabkit.errors import InputError
from slabkit.steps.pick_template import Options, run
from slabkit.steps.shared.names import species_option
from slabkit.units import Contrast


def template(
    slabs: picking.Slabs,
    out: common.OutTable,
    templates: Annotated[
        str | None,
        typer.Option(
            metavar="STACK.mrcs",
            help="Class averages of slabkit classify, RELION or CryoSPARC.",
            show_default=False,
        ),
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="[NAME=]MAP.mrc",
            help="Density map, protein bright, seen from all sides; NAME is the species. Can be "
            "given several times: each place then goes to the map that fits best.",
            show_default=False,
        ),
    ] = None,
    use: Annotated[
        str | None,
        typer.Option(
            metavar="1,3-5", help="Which images of --templates, from 1.", show_default=False
        ),
    ] = None,
    template_pixel_size: Annotated[
        float | None,
        typer.Option(metavar="Å", help="Pixel size of --templates, where the file's is wrong."),
    ] = None,
    template_contrast: Annotated[
        str,
        typer.Option(
            metavar="bright|dark",
            help="How protein looks in --templates; class averages are light on dark.",
        ),
    ] = "bright",
    diameter: Annotated[
        float | None,
        typer.Option(
            metavar="Å",
            help="Diameter of the particles, and of the mask; default: measured on the templates.",
            show_default=False,
        ),
    ] = None,
    lowpass: Annotated[
        float | None,
        typer.Option(
            metavar="Å",
            help="Finest detail to compare; default: 40 Å, or what the slabs' pixels allow.",
            show_default=False,
        ),
    ] = None,
    angular_step: Annotated[
        float, typer.Option(metavar="DEGREES", help="Between in-plane angles; 360: one only.")
    ] = 10.0,
    view_step: Annotated[
        float, typer.Option(metavar="DEGREES", help="Between the views of --map.")
    ] = 30.0,
    tilt_range: Annotated[
        str,
        typer.Option(
            metavar="MIN:MAX|none",
            help="Tilts of the tilt series, for the missing wedge in the views of --map.",
        ),
    ] = "-45:45",
    threshold: picking.TemplateThreshold = None,
    target_precision: picking.TargetPrecision = None,
    labelled: picking.Labelled = None,
    max_per_slab: picking.MaxPerSlab = None,
    min_distance: picking.MinDistance = None,
    max_ridge: picking.MaxRidge = 1.0,
    correlation_only: Annotated[
        bool,
        typer.Option(
            "--correlation-only",
            help="Score by the correlation alone: neither lines nor a faint place lower it.",
        ),
    ] = False,
    mask: picking.Mask = None,
    species: Annotated[
        str, typer.Option(help="Name to give to the picks of templates that have none.")
    ] = "",
    contrast: picking.SlabContrast = None,
    png: picking.Png = False,
    device: common.Device = "cpu",
    overwrite: common.Overwrite = False,
    jobs: common.Jobs = 0,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Find particles on slabs by their shape: correlate with templates at all in-plane angles.

    Scores are in standard deviations, one noise scale a tomogram; lines through a pick and low
    contrast of the pick lower them. Each pick keeps its angle (rlnAnglePsi, RELION's sign) and the
    number of its template (rlnClassNumber, from 1: the image of the stack, or the view, counted on
    over several maps). Lengths are in Å.
    """
    options = Options(
        slabs=slabs,
        out=out,
        templates=templates,
        maps=tuple(_named_map(text, species) for text in map_ or []),
        use=use,
        template_pixel_size=common.positive(template_pixel_size, "--template-pixel-size"),
        template_contrast=common.choice(template_contrast, "--template-contrast", Contrast),
        diameter=common.positive(diameter, "--diameter"),
        lowpass=common.positive(lowpass, "--lowpass"),
        angular_step=angular_step,
        view_step=view_step,
        tilt_range=_tilts(tilt_range),
        threshold=picking.parse_threshold(threshold),
        target_precision=target_precision,
        labelled=labelled,
        max_per_slab=max_per_slab,
        min_distance=min_distance,
        max_ridge=max_ridge,
        correlation_only=correlation_only,
        mask=tuple(mask or ()),
        species=species_option(species),
        contrast=common.parse_contrast(contrast),
        png=png,
        device=device,
    )
    execute(run, options, overwrite=overwrite, jobs=jobs, quiet=quiet, json_=json_)


def _named_map(text: str, species: str) -> tuple[str, str]:
    name, equals, file = text.partition("=")
    if not equals or Path(text).exists():
        return species, str(Path(text))
    if not name or not file:
        raise InputError(f"--map takes MAP.mrc or NAME=MAP.mrc, not {text!r}.")
    return species_option(name), str(Path(file))


def _tilts(text: str) -> tuple[float, float] | None:
    if text == "none":
        return None
    parts = text.split(":")
    try:
        low, high = (float(part) for part in parts)
    except ValueError:
        raise InputError(f"--tilt-range takes MIN:MAX in degrees or none, not {text!r}.") from None
    if not -90 < low < high < 90:
        raise InputError(f"--tilt-range takes MIN:MAX in degrees between -90 and 90, not {text!r}.")
    return low, high
