"""Small tomograms of known particles, with noise, for the tests with the real RELION."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from slabkit.formats.tables.native import PickList, write_picks
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.tables import PICKS, TOMOGRAMS, make_table

BALL = ((0.0, 100.0, 2.0),)
# (place along the particle's axis in Å, radius in Å, density) of each part.
ROUND = ((0.0, 90.0, 2.5),)
DUMBBELL = ((75.0, 60.0, 4.0), (-75.0, 60.0, 4.0))
LOPSIDED = ((50.0, 60.0, 4.0), (-70.0, 40.0, 4.0))


class Sample:
    """Tomograms in a folder, and where their particles are.

    ``places`` has the columns tomogram, x, y, z in Å and kind.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.rng = np.random.default_rng(seed)
        self.places = pd.DataFrame(columns=["tomogram", "x", "y", "z", "kind"])
        self._tomograms: list[dict[str, object]] = []

    def add(self, name, shape, voxel_size, kinds, *, step=330.0, noise=0.3):
        """Write a tomogram with particles on a loose grid, protein dark, the kinds in turn."""
        depth, height, width = shape
        volume = self.rng.normal(0, noise, shape).astype(np.float32)
        z, y, x = np.meshgrid(*map(np.arange, shape), indexing="ij", sparse=True)
        margin, rows = 240 / voxel_size, []
        for row in np.arange(margin, height - margin, step / voxel_size):
            for column in np.arange(margin, width - margin, step / voxel_size):
                kind = kinds[len(rows) % len(kinds)]
                place = np.array([column, row, depth / 2]) + self.rng.uniform(-2, 2, 3)
                angle = self.rng.uniform(0, 2 * np.pi)
                axis = np.array([np.cos(angle), np.sin(angle), 0]) / voxel_size
                for along, radius, density in kind:
                    centre = place + along * axis
                    reach = int(radius / voxel_size + 6)
                    u, v = (slice(max(0, int(c) - reach), int(c) + reach + 1) for c in centre[:2])
                    r = np.sqrt(
                        (x[:, :, u] - centre[0]) ** 2
                        + (y[:, v] - centre[1]) ** 2
                        + (z - centre[2]) ** 2
                    )
                    volume[:, v, u] -= density / (1 + np.exp((r * voxel_size - radius) / 6))
                rows.append((name, *(place * voxel_size), kinds.index(kind)))
        path = self.folder / f"{name}.mrc"
        write_mrc(path, volume, voxel_size, label="test")
        self.places = pd.DataFrame(
            [*self.places.to_numpy().tolist(), *rows], columns=self.places.columns
        )
        self._tomograms.append(
            {
                "slabkitTomogram": name,
                "slabkitTomogramFile": path.name,
                "slabkitTomogramSizeX": width,
                "slabkitTomogramSizeY": height,
                "slabkitTomogramSizeZ": depth,
                "slabkitVoxelSize": voxel_size,
            }
        )

    def write_picks(self, name, moved=0.0, kind=None, species=""):
        """Write the places, moved by x, y in Å, as a pick list; gives its ids in their order."""
        places = self.places if kind is None else self.places[self.places["kind"] == kind]
        moved = np.broadcast_to(moved, (len(places), 2))
        ids = [f"{row.tomogram}-{number:03d}" for number, row in enumerate(places.itertuples())]
        picks = make_table(
            PICKS,
            {
                "slabkitPickId": ids,
                "slabkitTomogram": places["tomogram"].to_numpy(),
                "slabkitX": places["x"].to_numpy(float) + moved[:, 0],
                "slabkitY": places["y"].to_numpy(float) + moved[:, 1],
                "slabkitZ": places["z"].to_numpy(float),
                "slabkitSpecies": species,
            },
        )
        tomograms = make_table(TOMOGRAMS, pd.DataFrame(self._tomograms).to_dict("list"))
        write_picks(self.folder / name, PickList(picks, tomograms))
        return ids
