"""Depths of particles of known x and y in realistic tomograms: |z error| by species.

Every particle of the truth becomes a 2D hit, with noise in x and y and a diameter that is off by a
factor and 8 %, on each 300 Å slab that holds it. Beside slabkit's depths: the argmax of a column as
wide as the particle, smoothed by its diameter, and the middle of the slab. The tomograms are those
of the folder that SLABKIT_DATA names (default ../shared/data); `--small` takes each hit once, not
three times.
"""

from __future__ import annotations

import argparse
import csv
import time

import mrcfile
import numpy as np
from common import data_folder, option_parser, report

from slabkit.mapping.refinement import refine_depths
from slabkit.tomogram import Tomogram

DIAMETERS = {
    "ribosome": 300.0,
    "virus-like-particle": 270.0,
    "thyroglobulin": 260.0,
    "beta-galactosidase": 180.0,
    "apo-ferritin": 120.0,
    "beta-amylase": 130.0,
}
THICKNESS = 300.0


def slabs_of(depth_vox: int, voxel_size: float, step: float) -> list[tuple[int, int]]:
    """Place slabs: starts and counts, flush with both faces, evenly placed."""
    count = min(round(THICKNESS / voxel_size), depth_vox)
    number = int(np.ceil((depth_vox - count) * voxel_size / step)) + 1
    starts = np.floor(np.linspace(0, depth_vox - count, number) + 0.5).astype(int)
    return [(int(start), count) for start in starts]


def plain_argmax(
    tomogram: Tomogram, x: float, y: float, diameter: float, start: int, count: int
) -> float:
    """Depth (voxels) of the darkest place of a column a diameter wide, smoothed by a diameter."""
    depth, height, width = tomogram.shape
    radius = diameter / tomogram.voxel_size / 2
    low, high = max(0, int(start - radius)), min(depth, int(start + count + radius) + 1)
    y0, y1 = max(0, int(y - radius)), min(height, int(y + radius) + 2)
    x0, x1 = max(0, int(x - radius)), min(width, int(x + radius) + 2)
    box = -tomogram.read((0, y0, x0), (depth, y1, x1)).astype(float)
    v, u = np.ogrid[y0:y1, x0:x1]
    column = box[:, (v - y) ** 2 + (u - x) ** 2 <= radius**2].mean(axis=1)
    window = np.ones(max(1, round(2 * radius)))
    smooth = np.convolve(column, window, "same") / np.convolve(np.ones(depth), window, "same")
    return low + float(np.argmax(smooth[low:high]))


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--step", type=float, default=150.0, help="Å from slab to slab")
    parser.add_argument("--noise", type=float, default=10.0, help="Å in x and in y")
    parser.add_argument("--factor", type=float, default=1.0, help="diameter given over true")
    options = parser.parse_args()
    data = data_folder()
    if data is None:
        print("depth: left out, there is no folder of real tomograms; set SLABKIT_DATA")
        return
    folder = data / "tomograms"
    with (folder / "truth.csv").open(encoding="utf-8") as file:
        truth = list(csv.DictReader(file))
    errors: dict[tuple[str, str], list[float]] = {}
    seconds = {"matched": 0.0, "argmax": 0.0, "middle": 0.0}
    for name in sorted({row["tomogram"] for row in truth}):
        with mrcfile.mmap(folder / f"{name}.mrc") as volume:
            tomogram = Tomogram(name, volume.data, float(volume.voxel_size.x))
            own = [row for row in truth if row["tomogram"] == name]
            measure(tomogram, own, options, errors, seconds)
    lines = [f"{'':22s}" + "".join(f"{method:>16s}" for method in seconds)]
    values: dict[str, object] = {"options": vars(options), "seconds": seconds}
    for species in DIAMETERS:
        cells = []
        for method in seconds:
            found = errors[species, method]
            cells.append(f"{np.median(found):7.1f} /{np.quantile(found, 0.9):6.1f}")
            values[f"{species}, {method}"] = [np.median(found), np.quantile(found, 0.9)]
        lines.append(f"{species:22s}" + "".join(f"{cell:>16s}" for cell in cells))
    hits = sum(len(found) for (_, method), found in errors.items() if method == "matched")
    lines.append(
        f"|z error| median / 90th percentile in Å, {hits} hits; seconds: "
        + ", ".join(f"{method} {took:.1f}" for method, took in seconds.items())
    )
    report("depth", lines, values)


def measure(
    tomogram: Tomogram,
    truth: list[dict[str, str]],
    options: argparse.Namespace,
    errors: dict[tuple[str, str], list[float]],
    seconds: dict[str, float],
) -> None:
    random = np.random.default_rng(0)
    slabs = slabs_of(tomogram.shape[0], tomogram.voxel_size, options.step)
    rows = []
    for row in truth * (1 if options.small else 3):
        place = np.array([float(row["x"]), float(row["y"])]) + random.normal(0, options.noise, 2)
        x, y = np.clip(place / tomogram.voxel_size, 0, np.array(tomogram.shape[:0:-1]) - 1)
        diameter = DIAMETERS[row["species"]] * options.factor * random.lognormal(0, 0.08)
        z = float(row["z"])
        for start, count in slabs:
            if start - 0.5 <= z / tomogram.voxel_size < start + count - 0.5:
                rows.append((row["species"], x, y, diameter, start, count, z))
    species, *columns = (np.array(column) for column in zip(*rows, strict=True))
    x, y, diameter, start, count, z = columns
    depths = {}
    begin = time.perf_counter()
    depths["matched"] = refine_depths(tomogram, x, y, diameter, start, count, "dark").z_vox
    seconds["matched"] += time.perf_counter() - begin
    begin = time.perf_counter()
    depths["argmax"] = np.array(
        [plain_argmax(tomogram, *hit) for hit in zip(x, y, diameter, start, count, strict=True)]
    )
    seconds["argmax"] += time.perf_counter() - begin
    depths["middle"] = start + (count - 1) / 2
    for method, z_vox in depths.items():
        for kind, error in zip(species, np.abs(z_vox * tomogram.voxel_size - z), strict=True):
            errors.setdefault((str(kind), method), []).append(float(error))


if __name__ == "__main__":
    main()
