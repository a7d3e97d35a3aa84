"""Which slabs for which particles: heights of 200, 300, 400 Å, side by side, every 150, every 75 Å.

For each combination slabs are made, blobs of 100 to 350 Å picked and mapped, on the tomograms of
the folder SLABKIT_DATA (default ../shared/data) and on two simulated with real maps. Reported are
recall by species among the best 600 picks of each 6300 × 6300 Å, and |z error| (see `loop.py`); and
what becomes of particles at slab boundaries: those whose centre is within half a radius of a face
of the slabs side by side, or outside them, beside all the others; and of the particles missed side
by side how many sliding windows find, and how many they lose.

Prints the tables of docs/picking.md. `--small` takes small tomograms, one simulated.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from common import data_folder, option_parser, report, scratch_folder
from loop import best_picks, simulate, z_errors
from picking_pages import SHORT, table

from slabkit import map_picks, open_tomogram, pick_blobs, project_slabs, read_picks
from slabkit.mapping import tomogram_table
from slabkit.scoring import CZII_RADII, match_picks
from slabkit.tomogram import Tomogram

HEIGHTS = (200.0, 300.0, 400.0)
STEPS = (None, 150.0, 75.0)
BUDGET = 600


def picks_of(
    tomogram: Tomogram,
    height: float,
    step: float | None,
    diameter: tuple[float, float] = (100, 350),
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give slabs and picks of one tomogram."""
    images, slabs = project_slabs(tomogram, thickness=height, step=step)
    hits = pick_blobs(images, slabs, diameter=diameter, threshold=1.0)
    return slabs, map_picks(hits, slabs, tomogram)[0]


def at_boundary(truth: pd.DataFrame, slabs: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Say which particles of a tomogram are cut by a face of its slabs, or outside them."""
    size = float(slabs["slabkitVoxelSize"].iloc[0])
    low = (slabs["slabkitZStart"].to_numpy() - 0.5) * size
    high = low + slabs["slabkitZCount"].to_numpy() * size
    z = truth["slabkitZ"].to_numpy()
    half = truth["slabkitSpecies"].map(CZII_RADII).to_numpy() / 2
    whole = (z[:, None] - half[:, None] >= low) & (z[:, None] + half[:, None] <= high)
    return np.asarray(~whole.any(axis=1))


def main() -> None:
    small = option_parser(__doc__).parse_args().small
    data = data_folder()
    if data is None or not (data / "maps").is_dir():
        print("slab_choice: left out, there is no folder of real maps and tomograms")
        return
    with scratch_folder() as folder:
        simulate(data / "maps", folder, "small" if small else "czii")
        files = sorted((data / "tomograms").glob("*.mrc"))[1 if small else 0 :]
        files += sorted(folder.glob("*.mrc"))
        tables = (data / "tomograms" / "truth.csv", folder / "truth.csv")
        truth = pd.concat([read_picks(file).picks for file in tables], ignore_index=True)
        truth = truth[truth["slabkitTomogram"].isin([file.stem for file in files])]
        truth = truth.reset_index(drop=True)
        results = measure_all([open_tomogram(file) for file in files], truth)
    lines = pages(results, truth)
    report("slab_choice", lines, {str(key): value for key, value in results.items()})


def measure_all(tomograms: list[Tomogram], truth: pd.DataFrame) -> dict[Any, dict[str, Any]]:
    """Measure every height and step."""
    results: dict[Any, dict[str, Any]] = {}
    cut = np.zeros(len(truth), dtype=bool)
    missed = np.zeros(len(truth), dtype=bool)
    for height, step in itertools.product(HEIGHTS, STEPS):
        found, sizes, slab_count = [], [], 0
        for tomogram in tomograms:
            slabs, picks = picks_of(tomogram, height, step)
            found.append(picks)
            sizes.append(tomogram_table(slabs))
            slab_count += len(slabs)
            if step is None:
                own = np.flatnonzero(truth["slabkitTomogram"] == tomogram.name)
                cut[own] = at_boundary(truth.iloc[own], slabs)
        everything = pd.concat(found, ignore_index=True)
        best = best_picks(everything, pd.concat(sizes, ignore_index=True), BUDGET)
        matches = match_picks(best, truth)
        right = np.zeros(len(truth), dtype=bool)
        right[matches["particle"]] = True
        if step is None:
            missed = ~right
        large = (truth["slabkitSpecies"].map(CZII_RADII) > 100).to_numpy()
        results[height, step] = {
            "slabs": slab_count,
            "recall": right_by(right, truth["slabkitSpecies"].to_numpy()),
            "z_error": z_errors(everything, truth),
            "missed side by side": [int(missed.sum()), int((missed & cut).sum())],
            "found of them": [int((missed & right).sum()), int((missed & right & cut).sum())],
            "lost": int((~missed & ~right).sum()),
            "boundary": {
                f"{size}, {where}": [int(own.sum()), float(right[own].mean())]
                for size, where, own in (
                    ("large", "at a boundary", large & cut),
                    ("large", "elsewhere", large & ~cut),
                    ("small", "at a boundary", ~large & cut),
                    ("small", "elsewhere", ~large & ~cut),
                )
            },
        }
        print(f"slab_choice: {height:g} Å, step {step} done", flush=True)
    return results


def right_by(right: npt.NDArray[np.bool_], species: npt.NDArray[Any]) -> dict[str, float]:
    return {name: float(right[species == name].mean()) for name in CZII_RADII}


def pages(results: dict[Any, dict[str, Any]], truth: pd.DataFrame) -> list[str]:
    """Write the tables of docs/picking.md."""
    species = list(CZII_RADII)
    counts = truth["slabkitSpecies"].value_counts()
    head = ["height", "step", *(f"{SHORT[s]} ({counts[s]})" for s in species)]
    recall, depth, boundary = [], [], []
    for (height, step), result in results.items():
        name = [f"{height:.0f} Å", "side by side" if step is None else f"{step:.0f} Å"]
        z = [result["z_error"].get(s) for s in species]
        recall.append([*name, *(f"{result['recall'][s]:.2f}" for s in species)])
        depth.append([*name, *(f"{e['median']:.0f} / {e['p90']:.0f}" if e else "" for e in z)])
        cells = (f"{share:.2f} ({n})" for n, share in result["boundary"].values())
        boundary.append([*name, *cells])
    columns = ["height", "step", *next(iter(results.values()))["boundary"]]
    lines = ["recall at 600 picks, by species (number)", *table(head, recall)]
    lines += ["", "|z error| in Å, median / 90th percentile", *table(head, depth)]
    lines += ["", "recall at 600 picks (number)", *table(columns, boundary)]
    head = ["height", "step", "missed side by side (at a boundary)", "found of them", "lost"]
    rows = []
    for (height, step), result in results.items():
        if step is not None:
            missed, found = (
                f"{n} ({cut})"
                for n, cut in (result["missed side by side"], result["found of them"])
            )
            rows.append([f"{height:.0f} Å", f"{step:.0f} Å", missed, found, str(result["lost"])])
    return [*lines, "", "particles missed side by side, in sliding windows", *table(head, rows)]


if __name__ == "__main__":
    main()
