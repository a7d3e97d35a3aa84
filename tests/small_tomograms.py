"""Six small tomograms, parts of a simulated one."""

from __future__ import annotations

from pathlib import Path

from slabkit.formats.volumes.mrc import write_mrc
from slabkit.formats.volumes.opening import open_tomogram

NAMES = tuple(f"t{number}" for number in range(1, 7))


def write_small_tomograms(tomogram: Path, folder: Path) -> None:
    """Cut six tomograms of 96 × 96 × 48 voxels out of one of 256 × 256 × 96."""
    folder.mkdir()
    volume = open_tomogram(tomogram)
    for number, name in enumerate(NAMES):
        y, x = 100 * (number // 3), 80 * (number % 3)
        part = volume.data[slice(24, 72), slice(y, y + 96), slice(x, x + 96)]
        write_mrc(folder / f"{name}.mrc", part, volume.voxel_size, label=name)
