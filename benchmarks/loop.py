"""The loop itself: `slabkit slab`, `pick blob`, `map` on tomograms whose particles are known.

Two sets: the tomograms of the folder SLABKIT_DATA (default ../shared/data), and two of
`slabkit simulate --preset czii` with the real density maps of the same folder. Slabs of 300 Å, side
by side and every 150 and 75 Å; blobs of 100 to 350 Å, beside them the plain scale-space Laplacian
of Gaussian. All by the command line, as a user would. `--small` simulates the small preset;
`--keep` leaves slabs and picks in benchmarks/.data/loop.

What is reported, picks being without species and thus candidates for any:

- recall of each species (one pick, one particle, within half a radius): of all picks, and of the
  best-scored 600 and 1,200 picks of a tomogram of 630 × 630 voxels of 10 Å, in proportion to area;
- of each of these lists, the strict precision and the weighted F4 "if curated perfectly": right
  picks kept and named, all others dropped;
- average precision: mean over all particles of the precision at the rank of their pick, 0 for those
  not found;
- |z error|: of the pick nearest in x and y, if it is within half a radius there and within one and
  a half radii in z.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import DATA, SLABKIT, data_folder, option_parser, report, run_once

from slabkit.formats.picks.reading import read_picks
from slabkit.formats.tables.native import PickList
from slabkit.scoring import CZII_RADII, match_picks, score_picks
from slabkit.simulation import PRESETS
from slabkit.simulation.species import CZII_COUNTS
from slabkit.simulation.tomograms import scaled_count

FOLDER = DATA / "loop"
STEPS: dict[str, list[object]] = {
    "side by side": [],
    "step 150": ["--step", 150],
    "step 75": ["--step", 75],
}
METHODS = ("rims", "laplacian")
BUDGETS, BUDGET_AREA = (600, 1200), 6300.0**2
SEED, TOMOGRAMS = 7, 2
MAPS = {
    "ribosome": "10A/6qzp.mrc",
    "virus-like-particle": "10A/8tux.mrc",
    "thyroglobulin": "10A/7n4y.mrc",
    "beta-galactosidase": "10A/1f4a.mrc",
    "apo-ferritin": "10A/6pxm.mrc",
    "beta-amylase": "5A/1bxn.mrc",
}
RECALL_GOAL = {"ribosome": 0.95}
Z_GOAL = {"ribosome": 15.0, "virus-like-particle": 15.0, "apo-ferritin": 15.0}  # Å; others:
Z_GOAL_COMPACT = 10.0
XYZ = ["slabkitX", "slabkitY", "slabkitZ"]


def simulate(maps: Path, out: Path, preset: str) -> None:
    """Write tomograms with real maps, as many copies of each as the built-in species have."""
    share = PRESETS[preset].volume / PRESETS["czii"].volume
    command = [SLABKIT, "simulate", "-o", out, "--preset", preset]
    command += ["--count", TOMOGRAMS, "--seed", SEED]
    for species, file in MAPS.items():
        count = max(2, scaled_count(CZII_COUNTS[species], share))
        command += ["--map", f"{species}={maps / file}:{count}"]
    run_once(command)


def best_picks(picks: pd.DataFrame, tomograms: pd.DataFrame, budget: int) -> pd.DataFrame:
    """Keep each tomogram's best-scored picks, ``budget`` of them in `BUDGET_AREA` (Å²)."""
    area = tomograms["slabkitTomogramSizeX"] * tomograms["slabkitTomogramSizeY"]
    area = area * tomograms["slabkitVoxelSize"] ** 2
    counts = dict(zip(tomograms["slabkitTomogram"], area * budget / BUDGET_AREA, strict=True))
    ranked = picks.sort_values(["slabkitScore", *XYZ], ascending=False, kind="stable")
    rank = ranked.groupby("slabkitTomogram").cumcount()
    return ranked[rank < ranked["slabkitTomogram"].map(counts).round()].reset_index(drop=True)


def list_numbers(picks: pd.DataFrame, truth: pd.DataFrame) -> dict[str, object]:
    """Give recall by species, precision, F4 if curated perfectly and average precision."""
    score = score_picks(picks, truth)
    matches = match_picks(picks, truth)
    curated = picks.iloc[matches["pick"]].assign(slabkitSpecies=matches["species"].to_numpy())
    right = np.zeros(len(picks), dtype=bool)
    right[matches["pick"]] = True
    right = right[np.argsort(-picks["slabkitScore"].to_numpy(), kind="stable")]
    precision_at = np.cumsum(right) / np.arange(1, len(right) + 1)
    return {
        "picks": len(picks),
        "precision": score.total["precision"],
        "perfect_f4": score_picks(curated, truth).weighted_f_beta,
        "average_precision": float(precision_at[right].sum() / len(truth)),
        "recall": dict(zip(score.table["species"], score.table["recall"], strict=True)),
    }


def z_errors(picks: pd.DataFrame, truth: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Give number, median and 90th percentile of |z error| (Å) by species."""
    places = {name: table[XYZ].to_numpy() for name, table in picks.groupby("slabkitTomogram")}
    errors: dict[str, list[float]] = {name: [] for name in CZII_RADII}
    for particle in truth.itertuples():
        found = places.get(particle.slabkitTomogram)
        if found is None:
            continue
        radius = CZII_RADII[particle.slabkitSpecies]
        lateral = np.hypot(found[:, 0] - particle.slabkitX, found[:, 1] - particle.slabkitY)
        depth = np.abs(found[:, 2] - particle.slabkitZ)
        lateral[(lateral > 0.5 * radius) | (depth > 1.5 * radius)] = np.inf
        if np.isfinite(lateral.min()):
            errors[particle.slabkitSpecies].append(float(depth[lateral.argmin()]))
    return {
        name: {"n": len(e), "median": float(np.median(e)), "p90": float(np.percentile(e, 90))}
        for name, e in errors.items()
        if e
    }


def run_loop(volumes: list[Path], out: Path, step: tuple[object, ...]) -> dict[str, object]:
    """Run the commands; give seconds and peak memory of each, and the picks of each method."""
    slabs = out / "slabs" / "slabs.star"
    cost = {"slab": run_once([SLABKIT, "slab", *volumes, "-o", slabs.parent, *step])}
    for method in METHODS:
        hits, picks = out / f"{method}_2d.star", out / f"{method}.star"
        pick = [SLABKIT, "pick", "blob", slabs, "-o", hits]
        cost[f"pick {method}"] = run_once([*pick, "--diameter", "100:350", "--method", method])
        cost[f"map {method}"] = run_once([SLABKIT, "map", hits, "--slabs", slabs, "-o", picks])
    return {name: vars(m) for name, m in cost.items()}


def verdict(species: str, recall: float, z_error: float) -> str:
    """Say which goals a species misses."""
    missed = []
    if species in RECALL_GOAL and recall < RECALL_GOAL[species]:
        missed.append(f"recall below {RECALL_GOAL[species]:.2f}")
    if not z_error <= Z_GOAL.get(species, Z_GOAL_COMPACT):
        missed.append(f"z error above {Z_GOAL.get(species, Z_GOAL_COMPACT):.0f} Å")
    return "MISSED: " + ", ".join(missed) if missed else "reached"


def evaluate(found: PickList, truth: pd.DataFrame) -> dict[str, Any]:
    """Compare picks with the truth: all of them and the best of each budget; and their depths."""
    lists = {"all": found.picks}
    lists |= {str(n): best_picks(found.picks, found.tomograms, n) for n in BUDGETS}
    return {
        "particles": truth["slabkitSpecies"].value_counts().to_dict(),
        "lists": {name: list_numbers(picks, truth) for name, picks in lists.items()},
        "z_error": z_errors(found.picks, truth),
    }


def show(method: str, result: dict[str, Any], judge: bool) -> list[str]:
    """Write the table of one method, each species with its verdict if ``judge``."""
    lists = result["lists"]

    def row(label: str, values: Iterable[str], *more: str) -> str:
        return f"    {label:22s}" + "".join(f"{value:>9s}" for value in (*values, *more))

    best = (f"top {n}" for n in BUDGETS)
    rows = [
        row(f"{method}: picks taken", ("all", *best)),
        row("picks", (str(one["picks"]) for one in lists.values())),
        row("precision", (f"{one['precision']:.3f}" for one in lists.values())),
        row("F4, curated perfectly", (f"{one['perfect_f4']:.3f}" for one in lists.values())),
        row("average precision", (f"{one['average_precision']:.3f}" for one in lists.values())),
        row("", ("recall", "recall", "recall"), "of", "with z", "|dz| Å", "90 %"),
    ]
    for species in (name for name in CZII_RADII if name in result["particles"]):
        recalls = [one["recall"][species] for one in lists.values()]
        z = result["z_error"].get(species, {"n": 0, "median": math.nan, "p90": math.nan})
        columns = (str(result["particles"][species]), str(z["n"]))
        columns += (f"{z['median']:.1f}", f"{z['p90']:.1f}")
        line = row(species, (f"{recall:.3f}" for recall in recalls), *columns)
        rows.append(line + (f"  {verdict(species, recalls[0], z['median'])}" if judge else ""))
    return rows


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--keep", action="store_true", help="leave slabs and picks on disk")
    options = parser.parse_args()
    data = data_folder()
    if data is None:
        print("loop: left out, there is no folder of real maps and tomograms; set SLABKIT_DATA")
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    sets = {"data": (sorted((data / "tomograms").glob("*.mrc")), data / "tomograms" / "truth.csv")}
    if (data / "maps").is_dir():
        simulated = FOLDER / "tomograms"
        simulate(data / "maps", simulated, "small" if options.small else "czii")
        sets["simulated"] = (sorted(simulated.glob("*.mrc")), simulated / "truth.csv")
    else:
        print(f"loop: nothing is simulated, there are no maps in {data}")
    lines = ["goals: ribosome recall of all picks at least 0.95; median |z error| at most 15 Å for"]
    lines += ["ribosomes and shells, 10 Å for compact species; with steps of 75 or 150 Å"]
    values: dict[str, Any] = {"seed": SEED, "small": options.small}
    for name, (volumes, truth_file) in sets.items():
        truth = read_picks(truth_file).picks
        for step, arguments in STEPS.items():
            out = FOLDER / name / step.replace(" ", "_")
            cost = run_loop(volumes, out, arguments)
            lines += ["", f"{name}, {len(volumes)} tomograms, slabs of 300 Å, {step}"]
            for command, m in cost.items():
                lines.append(
                    f"    {command:22s}{m['seconds']:7.1f} s{m['anonymous_mb']:7.0f} MB anonymous"
                )
            values[f"{name}, {step}"] = {"cost": cost}
            for method in METHODS:
                result = evaluate(read_picks(out / f"{method}.star"), truth)
                lines += show(method, result, judge=bool(arguments) and method == METHODS[0])
                values[f"{name}, {step}"][method] = result
    report("loop", lines, values)
    if not options.keep:
        shutil.rmtree(FOLDER)


if __name__ == "__main__":
    main()
