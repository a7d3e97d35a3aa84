"""Density maps that commands take besides tomograms, and the tilts that they are seen with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt


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
    return volume.data[0:depth, 0:height, 0:width], volume.voxel_size


def tilts_in(path: str) -> tuple[float, float]:
    """Read the lowest and highest tilt in a tilt file."""
    from slabkit.formats.tomograms.tilts import read_tilt_range

    return read_tilt_range(path)
