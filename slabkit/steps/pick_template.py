"""Particles on slabs by their shape: correlation with class averages or the views of maps."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError
from slabkit.execution.frame import Frame, Work
from slabkit.steps.shared.maps import MapFile, read_maps
from slabkit.steps.shared.refined_templates import DEFAULT_THRESHOLD, SCORE_KIND, Refiner
from slabkit.steps.shared.slab_picking import Find, SlabPicking, pick_on_slabs
from slabkit.steps.shared.thresholds import choose_threshold
from slabkit.units import DEFAULT_TILT_RANGE, Contrast, TiltRange

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from slabkit.picking.template import Templates


@dataclass(frozen=True, kw_only=True)
class Options(SlabPicking):
    """The options of ``slabkit pick template``; see also `slabkit.pick_templates`."""

    templates: str | None = None
    maps: tuple[tuple[str, str], ...] = ()  # species ("": `species`) and file
    decoys: tuple[tuple[str, str], ...] = ()  # maps of what is not to be reported
    use: str | None = None  # images of the stack, as 1,3-5
    template_pixel_size: float | None = None
    template_contrast: Contrast = "bright"
    diameter: float | None = None
    lowpass: float | None = None
    angular_step: float = 10.0
    view_step: float = 30.0
    tilt_range: TiltRange = DEFAULT_TILT_RANGE
    max_ridge: float = 1.0
    correlation_only: bool = False
    refine: bool = False
    device: str = "cpu"
    device_memory: float | None = None  # GB; None: `slabkit.arrays.backends.DEVICE_MEMORY`


def run(options: Options, frame: Frame) -> None:
    """Find the templates and write the table of 2D picks."""
    from slabkit.arrays.backends import backend_for, memory_for
    from slabkit.arrays.density_maps import view_directions
    from slabkit.picking.template import TemplateLimits, default_threshold, pick_templates
    from slabkit.picking.template_search import in_plane_angles
    from slabkit.picking.thresholds import picks_above

    named = tuple((name or options.species, file) for name, file in options.maps)
    options = dataclasses.replace(options, maps=named)
    lowest = default_threshold(options.correlation_only)
    choice = choose_threshold(
        options.threshold,
        options.target_precision,
        options.labelled,
        SCORE_KIND if options.refine else "template",
        DEFAULT_THRESHOLD if options.refine else lowest,
    )
    # What is judged again is found on the slabs as if it were not, with lower thresholds lower.
    to_find = choice.to_find
    if options.refine:
        to_find = lowest if choice.value is None else min(lowest, choice.value)
    if bool(options.templates) == bool(options.maps):
        raise InputError("give either --templates or --map.")
    if options.decoys and not options.maps:
        raise InputError("--decoy competes with the maps of --map.")
    if options.refine and not options.maps:
        raise InputError("--refine compares the picks with the maps of --map.")
    if options.maps and (options.use is not None or options.template_pixel_size is not None):
        raise InputError("--use and --template-pixel-size belong to --templates, not to --map.")
    device_memory = memory_for(options.device, options.device_memory)
    in_plane_angles(options.angular_step)
    view_directions(options.view_step)
    TemplateLimits(to_find, options.max_per_slab, options.min_distance, options.max_ridge)

    def prepare(work: Work) -> Find:
        # That it cannot be used is said before the maps are turned.
        backend_for(options.device, device_memory)
        maker = _Maker(options)
        refiner = (
            _refiner(options, [*maker.maps, *maker.decoys], frame.workers)
            if options.refine
            else None
        )

        def find(images: Iterable[Any], slabs: pd.DataFrame, most: int | None) -> pd.DataFrame:
            tomogram = refiner.opened(slabs) if refiner else None
            made = maker.made(slabs)
            _say_diameters(work, made)
            if refiner:  # what is a decoy, three dimensions tell better
                made = [dataclasses.replace(one, decoy=False) for one in made]
            found = pick_templates(
                images,
                slabs,
                templates=made,
                angular_step=options.angular_step,
                threshold=to_find,
                max_per_slab=None if refiner else most,
                min_distance=options.min_distance,
                max_ridge=options.max_ridge,
                correlation_only=options.correlation_only,
                contrast=options.contrast,
                device=options.device,
                device_memory=device_memory,
                jobs=frame.workers,
            )
            if refiner is None or tomogram is None:
                return found
            refined = refiner.refined(found, slabs, tomogram, made)
            return picks_above(refined, choice.to_find, most)

        return find

    files = [path for _, path in (*options.maps, *options.decoys)]
    files += [options.templates] if options.templates else []
    pick_on_slabs(
        "pick template", options, choice, frame, prepare, files, with_volumes=options.refine
    )


def _refiner(options: Options, maps: list[MapFile], jobs: int) -> Refiner:
    return Refiner(
        maps,
        len(options.decoys),
        tilt_range=options.tilt_range,
        view_step=options.view_step,
        contrast=options.contrast,
        min_distance=options.min_distance,
        jobs=jobs,
    )


class _Maker:
    """Makes the templates, which depend on the slabs' thickness and pixels, once for each."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._made: dict[tuple[float, float], list[Templates]] = {}
        self._stack = _read_stack(options.templates, options) if options.templates else None
        self.maps = read_maps(options.maps)
        self.decoys = read_maps(options.decoys)

    def made(self, slabs: pd.DataFrame) -> list[Templates]:
        """Give the templates for the slabs of a tomogram."""
        from slabkit.picking.template import DEFAULT_LOWPASS
        from slabkit.picking.template_images import FALL

        edge = float(slabs["slabkitVoxelSize"].iloc[0])
        thickness = float(slabs["slabkitZCount"].median() * edge)
        lowpass = self._options.lowpass or max(DEFAULT_LOWPASS, math.ceil(2 * FALL[1] * edge))
        key = (thickness, lowpass)
        if key not in self._made:
            if self._stack is not None:
                self._made[key] = [self._of_stack(lowpass, *self._stack)]
            else:
                self._made[key] = [
                    self._of_map(thickness, lowpass, slabs, *volume) for volume in self.maps
                ] + [
                    dataclasses.replace(
                        self._of_map(thickness, lowpass, slabs, *volume), decoy=True
                    )
                    for volume in self.decoys
                ]
        return self._made[key]

    def _of_stack(
        self,
        lowpass: float,
        images: npt.NDArray[np.float64],
        pixel_size: float,
        numbers: list[int],
    ) -> Templates:
        from slabkit.picking.template import image_templates

        options = self._options
        try:
            return image_templates(
                images,
                pixel_size,
                contrast=options.template_contrast,
                species=options.species,
                numbers=numbers,
                lowpass=lowpass,
                diameter=options.diameter,
            )
        except InputError as error:
            raise InputError(f"{options.templates}: {error}") from error

    def _of_map(
        self,
        thickness: float,
        lowpass: float,
        slabs: pd.DataFrame,
        species: str,
        path: str,
        density: npt.NDArray[Any],
        voxel_size: float,
    ) -> Templates:
        from slabkit.arrays.density_maps import map_diameter
        from slabkit.picking.template import map_templates

        options = self._options
        try:
            if options.diameter is None:  # views of a tomogram would take many minutes
                _check_fit(map_diameter(density, voxel_size, lowpass=lowpass), slabs)
            return map_templates(
                density,
                voxel_size,
                thickness=thickness,
                species=species,
                lowpass=lowpass,
                diameter=options.diameter,
                view_step=options.view_step,
                tilt_range=options.tilt_range,
            )
        except InputError as error:
            raise InputError(f"{path}: {error}") from error


def _check_fit(diameter: float, slabs: pd.DataFrame) -> None:
    """Refuse maps of more than one particle: wider, in Å, than the slabs."""
    voxel_size = float(slabs["slabkitVoxelSize"].iloc[0])
    side = float(slabs[["slabkitTomogramSizeX", "slabkitTomogramSizeY"]].iloc[0].min()) * voxel_size
    if 0 < side < diameter:
        raise InputError(
            f"is of a particle of {diameter:.0f} Å, by its density, and the slabs are {side:.0f} Å "
            "wide; a map of one particle is needed, or --diameter."
        )


def _say_diameters(work: Work, made: list[Templates]) -> None:
    if "templates" in work.summary:
        return
    made = [one for one in made if not one.decoy]
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


def _read_stack(path: str, options: Options) -> tuple[npt.NDArray[np.float64], float, list[int]]:
    """Give the images chosen, their pixel size (Å), and their numbers from 1."""
    import numpy as np

    from slabkit.formats.volumes.mrc import open_stack

    stack = open_stack(path)
    chosen = range(len(stack)) if options.use is None else _indices(options.use, len(stack))
    pixel_size = options.template_pixel_size or stack.pixel_size
    if not pixel_size > 0:
        raise InputError(f"{path}: does not say its pixel size; give --template-pixel-size.")
    height, width = stack.image_shape
    if height != width:
        raise InputError(f"{path}: its images are {width} × {height} pixels, not square.")
    images = np.stack([np.asarray(stack[index], dtype=np.float64) for index in chosen])
    return images, pixel_size, [index + 1 for index in chosen]


def _indices(text: str, count: int) -> list[int]:
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
