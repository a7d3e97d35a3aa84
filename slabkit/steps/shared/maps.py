"""Density maps that commands take besides tomograms, and the tilts that they are seen with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from slabkit.errors import InputError, warn
from slabkit.units import TiltRange, voxel_sizes_equal

if TYPE_CHECKING:
    import numpy.typing as npt

    from slabkit.learning.rotated_maps import RotatedMap


def read_map(path: str | Path) -> tuple[npt.NDArray[Any], float]:
    """Read a map, protein bright, and its voxel size, for which no option stands in."""
    from slabkit.formats.volumes.opening import open_tomogram

    try:
        volume = open_tomogram(path, contrast="bright")
    except InputError as error:
        if "--voxel-size" not in str(error):
            raise
        raise InputError(
            f"{error} That is an option for tomograms: write the size into the map's header, as "
            "mrcfile (voxel_size) or IMOD's alterheader do."
        ) from error
    depth, height, width = volume.shape
    density = volume.data[0:depth, 0:height, 0:width]
    _check_contrast(density, path)
    return density, volume.voxel_size


def _check_contrast(density: npt.NDArray[Any], path: str | Path) -> None:
    """Refuse a map that is the same everywhere; warn of one whose molecule seems to be dark."""
    import numpy as np

    low, high = float(density.min()), float(density.max())
    if low == high:
        raise InputError(f"{path}: is {low:g} everywhere, and no map of a molecule.")
    faces = [np.take(density, end, axis).ravel() for axis in range(3) for end in (0, -1)]
    edge = float(np.median(np.concatenate(faces)))
    if edge - low > 2 * (high - edge):
        warn(
            f"{path}: looks inverted, as it goes from {edge:g} at its faces down to {low:g} and up "
            f"to {high:g} only; the molecule must be bright (newstack -multadd -1,0 of IMOD)."
        )


def tilts_in(path: str) -> tuple[float, float]:
    """Read the lowest and highest tilt in a tilt file."""
    from slabkit.formats.tomograms.tilts import read_tilt_range

    return read_tilt_range(path)


MapFile: TypeAlias = "tuple[str, str, npt.NDArray[Any], float]"
"""Name, file, density and voxel size (Å) of a map."""


def read_maps(maps: Iterable[tuple[str, str]]) -> list[MapFile]:
    """Read maps, (name, file) each."""
    return [(name, file, *read_map(file)) for name, file in maps]


class RotatedMaps:
    """Turns maps once for each voxel size of tomograms."""

    def __init__(self, maps: list[MapFile], tilt_range: TiltRange) -> None:
        self._maps, self._tilt_range = maps, tilt_range
        self._turned: dict[float, list[RotatedMap]] = {}

    def at(self, voxel_size: float) -> list[RotatedMap]:
        """Give the maps for tomograms of a voxel size (Å)."""
        from slabkit.learning.rotated_maps import rotate_map

        key = next((s for s in self._turned if voxel_sizes_equal(s, voxel_size)), voxel_size)
        if key not in self._turned:
            turned = []
            for name, file, density, own in self._maps:
                try:
                    turned.append(
                        rotate_map(density, own, key, name=name, tilt_range=self._tilt_range)
                    )
                except InputError as error:
                    raise InputError(f"{file}: {error}") from error
            self._turned[key] = turned
        return self._turned[key]
