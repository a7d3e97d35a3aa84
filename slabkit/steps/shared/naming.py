"""Names for class averages by density maps, for `classify --map` and `name`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError
from slabkit.execution.frame import Work
from slabkit.steps.shared.maps import read_map
from slabkit.units import DEFAULT_TILT_RANGE, TiltRange

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from slabkit.classification import ClassNames

Maps = tuple[tuple[str, str], ...]


def check_maps(maps: Maps, option: str = "--map") -> None:
    """Refuse maps without a name, and two of one."""
    names = [name for name, _ in maps]
    for name, file in maps:
        if not name:
            raise InputError(f"{option} {file}: say of which species, as NAME={file}.")
        if name == "none":
            raise InputError(f"{option}: a species may not be called none, that is no species.")
        if names.count(name) > 1:
            raise InputError(f"{option} names {name} twice; give one map a species.")


def depth_of(blocks: Mapping[str, pd.DataFrame], where: str) -> float:
    """Give the depth of minislabs (Å) that their table says."""
    geometry = blocks.get("galleries")
    if geometry is None or "slabkitDepth" not in geometry.columns or len(geometry) != 1:
        raise InputError(
            f"{where}: does not say how deep its minislabs are, so maps cannot be projected "
            "likewise; leave --map out and name the classes by slabkit name --depth."
        )
    return float(geometry["slabkitDepth"].iloc[0])


def names_of(
    averages: npt.NDArray[Any],
    pixel_size: float,
    maps: Maps,
    depth: float,
    tilt_range: TiltRange = DEFAULT_TILT_RANGE,
) -> ClassNames:
    """Name averages by the maps' views through a depth (Å)."""
    from slabkit.classification import name_averages
    from slabkit.classification.naming import RINGS
    from slabkit.picking.template_views import map_views

    side = averages.shape[-1]
    views = {}
    for name, file in maps:
        density, voxel_size = read_map(file)
        try:
            views[name] = map_views(
                density,
                voxel_size,
                box_px=side,
                pixel_size=pixel_size,
                depth=depth,
                finest=max(side * pixel_size / RINGS, 2 * pixel_size),
                tilt_range=tilt_range,
            )
        except InputError as error:
            raise InputError(f"{file}: {error}") from error
    return name_averages(averages, views)


def name_columns(names: ClassNames) -> dict[str, npt.NDArray[Any]]:
    """Give the columns of names for classes.star."""
    return {
        "slabkitSpecies": names.species,
        "slabkitMapSpecies": names.best,
        "slabkitMapCoefficient": names.coefficient.round(4),
        "slabkitMapMargin": names.margin.round(4),
    }


def captions(names: ClassNames) -> list[str]:
    """Give what the picture says of each class: its name, and how well it fits."""
    found = zip(names.species, names.coefficient, strict=True)
    return [f"{name} {value:.2f}" if name else "" for name, value in found]


def report_tilts(work: Work, tilt_range: TiltRange) -> None:
    """Say which tilts the missing wedge of the maps is for."""
    seen = "without a missing wedge"
    if tilt_range is not None:
        seen = "as tilts from {:g} to {:g}° show them".format(*tilt_range)
    work.note(f"maps {seen} (--tilt-range)")
    work.summary["tilt_range"] = tilt_range and list(tilt_range)


def report_names(work: Work, names: ClassNames, sizes: npt.NDArray[np.intp]) -> None:
    """Say how many classes and images have which name."""
    rows = []
    for name in [*sorted(set(names.species) - {""}), ""]:
        own = names.species == name
        rows.append((name or "no name", int(own.sum()), int(sizes[own].sum())))
    work.table("classes by name", ("species", "classes", "images"), rows)
    work.summary["species"] = {
        name: {"classes": classes, "images": images} for name, classes, images in rows
    }
