"""The confidence of depths: where its numbers come from, and whether they hold elsewhere.

`slabkit map` says how sure it is of each z by how far the score at that depth stands above the next
best elsewhere in the column (prominence, 0 to 1). What that is worth is counted here, on simulated
tomograms: of the hits with about such a prominence, in how many is |z error| below half the
particle's radius? The table of `slabkit/mapping/refinement.py` holds the lower ends of the 95 %
intervals of those shares, made to rise throughout.

Half of the tomograms have the built-in molecules, half real maps (if the folder SLABKIT_DATA has
them), with once, twice and four times the usual noise; blobs of 100 to 350 Å on slabs of 300 Å side
by side and every 150 Å, and 200 and 400 Å thick. A hit counts if a particle is within half its
radius in x and y and within the depths searched; of several the nearest in z. The check is on other
seeds: of hits, and of picks, with a confidence of c and more, the share that is right.

`--small` simulates one tomogram for the fit and one for the check, of each kind. The package is not
changed: the table printed is to be copied into it.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from common import data_folder, option_parser, report
from loop import MAPS

from slabkit import map_picks, pick_blobs, project_slabs, simulate_tomogram
from slabkit.formats.volumes.opening import open_tomogram
from slabkit.mapping.refinement import depth_confidence, refine_depths
from slabkit.scoring import CZII_RADII
from slabkit.simulation import PlacedMap
from slabkit.simulation.species import CZII_COUNTS
from slabkit.simulation.tomograms import PRESETS, scaled_count

FIT_SEEDS, CHECK_SEEDS = (1001, 1002, 1003), (2001, 2002)
NOISES = (1.0, 2.0, 4.0)
SLABS = ((300.0, None), (300.0, 150.0), (200.0, 100.0), (400.0, 200.0))
EDGES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 1.0)
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
Z_95 = 1.645  # one-sided


def tomograms(seeds: tuple[int, ...], noises: tuple[float, ...]) -> list[tuple[Any, ...]]:
    """Give (label, maker) of every tomogram: built-in molecules, and real maps where there are."""
    share = PRESETS["small"].volume / PRESETS["czii"].volume
    kinds: dict[str, dict[str, PlacedMap]] = {"built-in": {}}
    data = data_folder()
    if data is not None and (data / "maps").is_dir():
        kinds["maps"] = {}
        for species, file in MAPS.items():
            volume = open_tomogram(data / "maps" / file)
            density = volume.read((0, 0, 0), volume.shape)
            count = max(2, scaled_count(CZII_COUNTS[species], share))
            kinds["maps"][species] = PlacedMap(density, volume.voxel_size, count)
    return [
        (f"{kind}_{seed}_{noise:g}", maps, seed, noise)
        for kind, maps in kinds.items()
        for seed in seeds
        for noise in noises
    ]


def collect(entries: list[tuple[Any, ...]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Judge all hits (prominence, right) and all final picks (confidence, right)."""
    hits, picks = [], []
    for name, maps, seed, noise in entries:
        tomogram, truth = simulate_tomogram(name, seed=seed, noise=noise, maps=maps)
        for thickness, step in SLABS:
            images, slabs = project_slabs(tomogram, thickness=thickness, step=step)
            found = pick_blobs(images, slabs, diameter=(100, 350))
            slab = place_in(slabs, found)
            depths = refine_depths(
                tomogram,
                found["rlnCoordinateX"].to_numpy(),
                found["rlnCoordinateY"].to_numpy(),
                found["slabkitDiameter"].to_numpy(),
                slab["slabkitZStart"].to_numpy(),
                slab["slabkitZCount"].to_numpy(),
                tomogram.contrast,
            )
            first = judged(found, slab, depths.z_vox, truth)
            hits.append(first.assign(prominence=depths.prominence[first["row"]]))
            second = judged(found, slab, depths.second_z_vox, truth)
            hits.append(second.assign(prominence=depths.second_prominence[second["row"]]))
            mapped, _ = map_picks(found, slabs, tomogram)
            z_vox = mapped["slabkitZ"].to_numpy() / tomogram.voxel_size
            table = judged(mapped, place_in(slabs, mapped), z_vox, truth)
            confidence = mapped["slabkitZConfidence"].to_numpy()[table["row"]]
            picks.append(table.assign(confidence=confidence))
    return pd.concat(hits, ignore_index=True), pd.concat(picks, ignore_index=True)


def place_in(slabs: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Give the slab of each hit or pick."""
    return slabs.set_index("rlnMicrographName").loc[found["rlnMicrographName"]]


def judged(
    found: pd.DataFrame, slab: pd.DataFrame, z_vox: npt.NDArray[np.float64], truth: pd.DataFrame
) -> pd.DataFrame:
    """Say of each hit with a depth and a particle in its column whether the depth is right."""
    places = truth[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy()
    radius = truth["slabkitSpecies"].map(CZII_RADII).to_numpy()
    voxel = slab["slabkitVoxelSize"].to_numpy()
    x = found["rlnCoordinateX"].to_numpy() * voxel
    y = found["rlnCoordinateY"].to_numpy() * voxel
    count = slab["slabkitZCount"].to_numpy()
    middle = (slab["slabkitZStart"].to_numpy() + (count - 1) / 2) * voxel
    reach = (count * voxel + found["slabkitDiameter"].to_numpy()) / 2
    rows, right = [], []
    for row in np.flatnonzero(np.isfinite(z_vox)):
        beside = np.hypot(places[:, 0] - x[row], places[:, 1] - y[row]) <= radius / 2
        beside &= np.abs(places[:, 2] - middle[row]) <= reach[row]
        if beside.any():
            error = np.abs(places[beside, 2] - z_vox[row] * voxel[row])
            rows.append(row)
            right.append(bool(error.min() < radius[beside][error.argmin()] / 2))
    return pd.DataFrame({"row": np.array(rows, dtype=int), "right": np.array(right, dtype=bool)})


def fit(hits: pd.DataFrame) -> tuple[list[float], list[float], list[str]]:
    """Give prominences and the lower bounds there, rising, and lines that say the counts."""
    prominences, bounds, lines = [], [], []
    for low, high in itertools.pairwise(EDGES):
        own = hits[(hits["prominence"] >= low) & (hits["prominence"] < high)]
        number, right = len(own), int(own["right"].sum())
        if number:
            bounds.append(wilson_low(right, number))
            prominences.append(low)
            share = f"{right / number:.3f}, at least {bounds[-1]:.3f}"
            lines.append(f"prominence {low:.2f} to {high:.2f}: {number:6d} hits, right {share}")
    # A bound holds in all of its bin, so it is that of the bin's lower end; and none is above a
    # later one.
    rising = np.minimum.accumulate(bounds[::-1])[::-1]
    return prominences, [math.floor(100 * bound) / 100 for bound in rising], lines


def wilson_low(right: int, number: int) -> float:
    """Lower end of the one-sided 95 % score interval of a share (Wilson 1927)."""
    share, z2 = right / number, Z_95**2
    spread = Z_95 * math.sqrt(share * (1 - share) / number + z2 / (4 * number**2))
    return (share + z2 / (2 * number) - spread) / (1 + z2 / number)


def check(what: str, table: pd.DataFrame) -> tuple[list[str], dict[str, object]]:
    """Compare shares with confidences at all levels."""
    lines, values = [], {}
    for level in LEVELS:
        own = table[table["confidence"] >= level]
        share = float(own["right"].mean()) if len(own) else math.nan
        verdict = "" if not len(own) or share >= level else "  MISSED"
        lines.append(
            f"{what}, confidence >= {level:.2f}: {len(own):6d}, right {share:.3f}{verdict}"
        )
        values[f"{what}, {level}"] = [len(own), share]
    return lines, values


def main() -> None:
    small = option_parser(__doc__).parse_args().small
    seeds = (FIT_SEEDS[:1], CHECK_SEEDS[:1]) if small else (FIT_SEEDS, CHECK_SEEDS)
    noises = NOISES[1:2] if small else NOISES
    hits, _ = collect(tomograms(seeds[0], noises))
    prominences, bounds, lines = fit(hits)
    lines += [f"PROMINENCE = {tuple(prominences)}", f"CONFIDENCE = {tuple(bounds)}"]
    hits, picks = collect(tomograms(seeds[1], noises))
    hits["confidence"] = depth_confidence(hits["prominence"])
    values: dict[str, object] = {"prominence": prominences, "confidence": bounds}
    for what, table in (("hits", hits), ("picks", picks)):
        more, shares = check(what, table)
        lines += more
        values |= shares
    report("depth_confidence", lines, values)


if __name__ == "__main__":
    main()
