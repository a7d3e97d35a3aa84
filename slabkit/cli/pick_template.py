"""``slabkit pick template slabs/slabs.star -o picks2d.star --map ribosome=6qzp.mrc``: by shape."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slabkit.cli import mask_options, pick_limits
from slabkit.cli.options import common
from slabkit.cli.pick_running import pick_and_write, slab_paths, slab_table
from slabkit.cli.step import Step
from slabkit.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.picking.template import Templates


def template(
    slabs: Annotated[
        str,
        typer.Argument(help="Slab table, slabs.star; - for standard input.", show_default=False),
    ],
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
    threshold: pick_limits.TemplateThreshold = None,
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
    max_ridge: pick_limits.MaxRidge = 1.0,
    correlation_only: Annotated[
        bool,
        typer.Option(
            "--correlation-only",
            help="Score by the correlation alone: neither lines nor a faint place lower it.",
        ),
    ] = False,
    mask: mask_options.MaskOption = None,
    species: Annotated[
        str, typer.Option(help="Name to give to the picks of templates that have none.")
    ] = "",
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
    device: common.Device = "cpu",
    overwrite: common.Overwrite = False,
    jobs: common.Jobs = 0,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Find particles on slabs by their shape: correlate with templates at all in-plane angles.

    Scores are in standard deviations, one noise scale a tomogram; lines through a pick, and little
    contrast of its own, lower them. Each pick keeps its angle
    (rlnAnglePsi, RELION's sign) and the number of its template (rlnClassNumber, from 1: the image
    of the stack, or the view, counted on over several maps). Lengths are in Å.
    """
    from slabkit.arrays.backends import backend_for
    from slabkit.formats.tables.native import read_text
    from slabkit.picking.template import TemplateLimits, default_threshold, pick_templates
    from slabkit.picking.template_search import in_plane_angles
    from slabkit.picking.template_views import view_directions

    lowest = default_threshold(correlation_only)
    choice = pick_limits.choose_threshold(
        f"{lowest:g}" if threshold is None else threshold,
        target_precision,
        labelled,
        "template",
        lowest,
    )
    if bool(templates) == bool(map_):
        raise InputError("give either --templates or --map.")
    if map_ and (use is not None or template_pixel_size is not None):
        raise InputError("--use and --template-pixel-size belong to --templates, not to --map.")
    maps = [_named_map(text, species) for text in map_ or []]
    in_plane_angles(angular_step)
    view_directions(view_step)
    TemplateLimits(choice.to_find, max_per_slab, min_distance, max_ridge)
    if png and out == "-":
        raise InputError("--png writes pictures beside the table; give a file to -o.")
    making: dict[str, Any] = {
        "templates": templates,
        "maps": [(name, str(path)) for name, path in maps],
        "use": use,
        "template_pixel_size": common.positive(template_pixel_size, "--template-pixel-size"),
        "template_contrast": common.parse_contrast(template_contrast),
        "diameter": common.positive(diameter, "--diameter"),
        "lowpass": common.positive(lowpass, "--lowpass"),
        "view_step": view_step,
        "tilt_range": _tilts(tilt_range),
        "species": species,
    }
    options: dict[str, Any] = {
        "angular_step": angular_step,
        "threshold": choice.to_find,
        "min_distance": min_distance,
        "max_ridge": max_ridge,
        "correlation_only": correlation_only,
        "contrast": common.parse_contrast(contrast),
    }
    text = read_text(slabs)
    table = slab_table(text, slabs)
    masks = None
    if mask:
        from slabkit.formats.volumes.masks import find_masks

        masks = find_masks(mask, table["rlnTomoName"], table["rlnMicrographName"])
    with Step(
        "pick template",
        out,
        inputs=[
            slabs,
            *(path for path in slab_paths(table, slabs) if path.exists()),
            *(path for _, path in maps),
            *([templates] if templates else []),
            *(masks.paths if masks else []),
            *([labelled] if labelled else []),
        ],
        text_inputs={"-": text} if slabs == "-" else None,
        parameters={
            **making,
            **options,
            "max_per_slab": max_per_slab,
            "threshold": "auto" if choice.value is None else choice.value,
            "target_precision": target_precision,
            "png": png,
            "device": device,
        },
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
    ) as work:
        if work.finished:
            return
        backend_for(device)  # that it cannot be used is to be said before the maps are turned
        maker = _Maker(making)

        def find(images: Any, own: pd.DataFrame, **limits: Any) -> pd.DataFrame:
            made = maker.made(own)
            _say_diameters(work, made)
            return pick_templates(
                images, own, templates=made, device=device, **{**options, **limits}
            )

        workers = common.worker_count(jobs)
        pick_and_write(work, table, slabs, out, find, choice, masks, max_per_slab, png, workers)


class _Maker:
    """Makes the templates, which depend on the slabs' thickness and pixels, once for each."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._made: dict[tuple[float, float], list[Templates]] = {}
        stack, maps = options["templates"], options["maps"]
        self._images = _read_stack(stack, options) if stack else None
        self._volumes = [(name, path, *_read_map(path)) for name, path in maps]

    def made(self, slabs: pd.DataFrame) -> list[Templates]:
        """Give the templates for the slabs of a tomogram."""
        from slabkit.picking.template import DEFAULT_LOWPASS, image_templates, map_templates
        from slabkit.picking.template_images import FALL
        from slabkit.picking.template_views import map_diameter

        options = self._options
        thickness = float(slabs["slabkitZCount"].median() * slabs["slabkitVoxelSize"].iloc[0])
        finest = 2 * FALL[1] * float(slabs["slabkitVoxelSize"].iloc[0])
        lowpass = options["lowpass"] or max(DEFAULT_LOWPASS, math.ceil(finest))
        key = (thickness, lowpass)
        if key in self._made:
            return self._made[key]
        same = {"lowpass": lowpass, "diameter": options["diameter"]}
        if self._images is not None:
            contrast = options["template_contrast"]
            images, pixel_size, numbers = self._images
            path = options["templates"]
            try:
                made = image_templates(
                    images,
                    pixel_size,
                    contrast=contrast,
                    species=options["species"],
                    numbers=numbers,
                    **same,
                )
            except InputError as error:
                raise InputError(f"{path}: {error}") from error
            self._made[key] = [made]
            return self._made[key]
        same |= {"view_step": options["view_step"], "tilt_range": options["tilt_range"]}
        sets = []
        for name, path, density, voxel_size in self._volumes:
            try:
                if options["diameter"] is None:  # views of a tomogram would take many minutes
                    _check_fit(map_diameter(density, voxel_size, lowpass=lowpass), slabs)
                made = map_templates(density, voxel_size, thickness=thickness, species=name, **same)
            except InputError as error:
                raise InputError(f"{path}: {error}") from error
            sets.append(made)
        self._made[key] = sets
        return sets


def _check_fit(diameter: float, slabs: pd.DataFrame) -> None:
    voxel_size = float(slabs["slabkitVoxelSize"].iloc[0])
    side = float(slabs[["slabkitTomogramSizeX", "slabkitTomogramSizeY"]].iloc[0].min()) * voxel_size
    if 0 < side < diameter:
        raise InputError(
            f"is of a particle of {diameter:.0f} Å, by its density, and the slabs are {side:.0f} Å "
            "wide; a map of one particle is needed, or --diameter."
        )


def _say_diameters(work: Step, made: list[Templates]) -> None:
    if "templates" in work.summary:
        return
    work.summary["templates"] = sum(len(one) for one in made)
    work.summary["template_sets"] = [
        {"species": one.species, "templates": len(one), "diameter": round(one.diameter, 1)}
        for one in made
    ]
    work.note(
        "templates: "
        + "; ".join(
            f"{one.species + ', ' if one.species else ''}{len(one)} of {one.diameter:.0f} Å"
            for one in made
        )
    )


def _read_stack(path: str, options: dict[str, Any]) -> tuple[Any, float, list[int]]:
    import numpy as np

    from slabkit.formats.volumes.mrc import open_stack

    stack = open_stack(path)
    chosen = range(len(stack)) if options["use"] is None else _numbers(options["use"], len(stack))
    pixel_size = options["template_pixel_size"] or stack.pixel_size
    if not pixel_size > 0:
        raise InputError(f"{path}: does not say its pixel size; give --template-pixel-size.")
    height, width = stack.image_shape
    if height != width:
        raise InputError(f"{path}: its images are {width} × {height} pixels, not square.")
    images = np.stack([np.asarray(stack[index], dtype=np.float64) for index in chosen])
    return images, pixel_size, [index + 1 for index in chosen]


def _numbers(text: str, count: int) -> list[int]:
    """Read ``1,3-5`` as indices from 0."""
    chosen: list[int] = []
    for part in text.split(","):
        ends = part.strip().split("-")
        if not all(end.strip().isdecimal() for end in ends) or len(ends) > 2:
            raise InputError(f"--use takes numbers and ranges as 1,3-5, not {text!r}.")
        low, high = int(ends[0]), int(ends[-1])
        if not 1 <= low <= high <= count:
            raise InputError(f"--use {text}: {part.strip()} is not within the {count} images.")
        chosen += [number - 1 for number in range(low, high + 1) if number - 1 not in chosen]
    return chosen


def _read_map(path: str) -> tuple[Any, float]:
    from slabkit.formats.volumes.opening import open_tomogram

    volume = open_tomogram(path, contrast="bright")
    depth, height, width = volume.shape
    return volume.data[0:depth, 0:height, 0:width], volume.voxel_size


def _named_map(text: str, species: str) -> tuple[str, Path]:
    name, equals, file = text.partition("=")
    if not equals or Path(text).exists():
        return species, Path(text)
    if not name or not file:
        raise InputError(f"--map takes MAP.mrc or NAME=MAP.mrc, not {text!r}.")
    return name, Path(file)


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
