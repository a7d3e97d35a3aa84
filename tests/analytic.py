"""Volumes with particles at known places, and the tables that go with them."""

from __future__ import annotations

import numpy as np

from slabkit.tables import PICKS2D, SLABS, make_table
from slabkit.tomogram import Tomogram


def balls(shape, centres_vox, radius_vox, inner_vox=0.0):
    """Balls (or shells) of 1 in 0, edges one voxel soft; centres ``(x, y, z)`` in voxels."""
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    volume = np.zeros(shape, dtype=np.float32)
    for cx, cy, cz in centres_vox:
        away = np.sqrt((z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2)
        ball = np.clip(radius_vox - away + 0.5, 0, 1)
        if inner_vox:
            ball -= np.clip(inner_vox - away + 0.5, 0, 1)
        volume = np.maximum(volume, ball.astype(np.float32))
    return volume


def tomogram_of(density, voxel_size, contrast="dark", name="T1"):
    """A tomogram with the density on a background of 5."""
    sign = -1 if contrast == "dark" else 1
    return Tomogram(name, (5 + sign * density).astype(np.float32), voxel_size, contrast)


def slab_table_of(tomogram, ranges, folder="slabs"):
    """Slabs of planes ``(start, count)``, named T1_slab000.mrc and so on."""
    depth, height, width = tomogram.shape
    return make_table(
        SLABS,
        {
            "rlnMicrographName": [
                f"{folder}/{tomogram.name}_slab{i:03d}.mrc" for i in range(len(ranges))
            ],
            "rlnTomoName": tomogram.name,
            "slabkitTomogramFile": f"{tomogram.name}.mrc",
            "slabkitZStart": [start for start, _ in ranges],
            "slabkitZCount": [count for _, count in ranges],
            "slabkitVoxelSize": tomogram.voxel_size,
            "slabkitContrast": tomogram.contrast,
            "slabkitTomogramContrast": tomogram.contrast,
            "slabkitTomogramSizeX": width,
            "slabkitTomogramSizeY": height,
            "slabkitTomogramSizeZ": depth,
        },
    )


def hits_of(slabs, rows, **more):
    """2D picks ``(slab, x, y, score, diameter)``."""
    names = slabs["rlnMicrographName"].tolist()
    columns = list(zip(*rows, strict=True)) if rows else [[]] * 5
    return make_table(
        PICKS2D,
        {
            "rlnMicrographName": [names[i] for i in columns[0]],
            "rlnCoordinateX": columns[1],
            "rlnCoordinateY": columns[2],
            "rlnAutopickFigureOfMerit": columns[3],
            "slabkitDiameter": columns[4],
            "slabkitScoreKind": "blob",
            **more,
        },
    )
