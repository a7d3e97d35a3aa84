"""What the false picks of `pick blob` are, with and without its test for membranes (--max-ridge).

The tomograms of the folder SLABKIT_DATA and two of `slabkit simulate` with real maps, as in
`loop.py`; slabs of 300 Å every 150 Å; the best 300 and 600 picks of a tomogram of 630 × 630 voxels
of 10 Å, in proportion to area. "Picks to 80 %" are those, best first over all tomograms, until four
in five particles are found. A pick that is no listed particle is the first of these that it is:

- membrane protein: within 100 Å of one of those that sit in the membranes;
- decoy: within 100 Å of another complex that is not in the truth;
- beside a particle: within 150 Å of a listed particle (a second pick, or one that is off);
- face: within 150 Å of the tomogram's first or last plane;
- border: within 120 Å of its sides;
- other: bare membrane, noise, artefacts of reconstruction.

Membrane proteins and decoys are those of `tomograms/unscored.csv`; of the simulated tomograms there
is no such list, and what lies on membranes is among the others. `--small` takes the four small
tomograms and simulates the small preset.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import DATA, SLABKIT, data_folder, option_parser, report, run_once
from loop import XYZ, best_picks, list_numbers, simulate

from slabkit.formats.picks.reading import read_picks
from slabkit.scoring import match_picks

FOLDER = DATA / "junk"
BUDGETS = (300, 600)
SHARES = {"off": "inf", "on": None}
KINDS = ("true", "membrane protein", "decoy", "beside a particle", "face", "border", "other")
NAMES = {"memprot": "membrane protein", "decoy": "decoy"}
NEAR, BESIDE, FACE, BORDER = 100.0, 150.0, 150.0, 120.0  # Å


def kinds_of(
    picks: pd.DataFrame, truth: pd.DataFrame, tomograms: pd.DataFrame, unscored: pd.DataFrame
) -> pd.Series:
    """Give the kind of each pick."""
    from scipy.spatial import KDTree

    kinds = np.full(len(picks), "other", dtype=object)
    for row in tomograms.itertuples():
        rows = np.flatnonzero(picks["slabkitTomogram"] == row.slabkitTomogram)
        places = picks[XYZ].to_numpy()[rows]
        if not len(rows):
            continue
        sides = np.array(
            [
                row.slabkitTomogramSizeX,
                row.slabkitTomogramSizeY,
                row.slabkitTomogramSizeZ,
            ]
        )
        depth = np.minimum(places, sides * row.slabkitVoxelSize - places)
        kinds[rows[(depth[:, :2] < BORDER).any(axis=1)]] = "border"
        kinds[rows[depth[:, 2] < FACE]] = "face"
        known = truth[truth["slabkitTomogram"] == row.slabkitTomogram]
        away, _ = KDTree(known[XYZ].to_numpy()).query(places)
        kinds[rows[away < BESIDE]] = "beside a particle"
        others = unscored[unscored["tomogram"] == row.slabkitTomogram]
        if len(others):
            away, nearest = KDTree(others[["x", "y", "z"]].to_numpy()).query(places)
            names = others["kind"].map(NAMES).to_numpy()
            kinds[rows[away < NEAR]] = names[nearest[away < NEAR]]
    kinds[match_picks(picks, truth)["pick"]] = "true"
    return pd.Series(kinds)


def evaluate(
    slabs: Path, truth: pd.DataFrame, unscored: pd.DataFrame, share: str | None
) -> dict[str, Any]:
    """Pick, map, and say what the best picks are."""
    hits, out = FOLDER / "hits.star", FOLDER / "picks.star"
    options = [] if share is None else ["--max-ridge", share]
    pick = [SLABKIT, "pick", "blob", slabs, "-o", hits, "--diameter", "100:350", "--overwrite"]
    cost = run_once([*pick, "--threshold", 2, *options])
    run_once([SLABKIT, "map", hits, "--slabs", slabs, "-o", out, "--overwrite"])
    found = read_picks(out)
    result: dict[str, Any] = {"all_picks": len(found.picks), "seconds": cost.seconds}
    for budget in BUDGETS:
        best = best_picks(found.picks, found.tomograms, budget)
        kinds = kinds_of(best, truth, found.tomograms, unscored)
        counts = kinds.value_counts()
        result[str(budget)] = {
            "kinds": {kind: int(counts.get(kind, 0)) for kind in KINDS},
            **list_numbers(best, truth),
        }
    order = np.argsort(-best["slabkitScore"].to_numpy(), kind="stable")
    found_by_then = np.cumsum((kinds == "true").to_numpy()[order])
    result["picks_to_80"] = int(np.searchsorted(found_by_then, 0.8 * len(truth))) + 1
    return result


def show(results: dict[str, dict[str, Any]], species: list[str]) -> list[str]:
    """Write the table: for each budget, without and with the test."""
    cells = [results[key][str(budget)] for budget in BUDGETS for key in SHARES]

    def row(label: str, values: list[Any]) -> str:
        texts = (f"{v:.3f}" if isinstance(v, float) else str(v) for v in values)
        return f"    {label:30s}" + "".join(f"{text:>9s}" for text in texts)

    rows = [row("best picks of 6300 × 6300 Å", [budget for budget in BUDGETS for _ in SHARES])]
    rows.append(row("test for membranes", [key for _ in BUDGETS for key in SHARES]))
    rows += [row(kind, [cell["kinds"][kind] for cell in cells]) for kind in KINDS]
    for key in ("picks", "average_precision", "perfect_f4"):
        rows.append(row(key.replace("_", " "), [cell[key] for cell in cells]))
    rows += [
        row(f"recall, {name}", [c["recall"].get(name, 0.0) for c in cells]) for name in species
    ]
    for key, label in (
        ("picks_to_80", "picks to 80 %"),
        ("all_picks", "all picks"),
        ("seconds", "seconds of pick blob"),
    ):
        rows.append(row(label, [results[share][key] for share in SHARES]))
    return rows


def main() -> None:
    options = option_parser(__doc__).parse_args()
    data = data_folder()
    if data is None or not (data / "tomograms" / "unscored.csv").exists():
        print("junk: left out, there is no folder of tomograms with known junk; set SLABKIT_DATA")
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    unscored = pd.read_csv(data / "tomograms" / "unscored.csv", dtype={"tomogram": str})
    volumes = sorted((data / "tomograms").glob("*.mrc"))
    if options.small:
        volumes = [path for path in volumes if path.stat().st_size < 100e6]
    truth = read_picks(data / "tomograms" / "truth.csv").picks
    truth = truth[truth["slabkitTomogram"].isin([path.stem for path in volumes])]
    sets = {"data": (volumes, truth.reset_index(drop=True))}
    if (data / "maps").is_dir():
        simulated = FOLDER / "tomograms"
        simulate(data / "maps", simulated, "small" if options.small else "czii")
        known = read_picks(simulated / "truth.csv").picks
        sets["simulated"] = (sorted(simulated.glob("*.mrc")), known)
    lines: list[str] = []
    values: dict[str, Any] = {"small": options.small, "budgets": BUDGETS}
    for name, (paths, known) in sets.items():
        slabs = FOLDER / name / "slabs.star"
        run_once([SLABKIT, "slab", *paths, "-o", slabs.parent, "--step", 150])
        results = {key: evaluate(slabs, known, unscored, share) for key, share in SHARES.items()}
        values[name] = results
        lines += ["", f"{name}, {len(paths)} tomograms"]
        lines += show(results, list(known["slabkitSpecies"].unique()))
    report("junk", lines, values)
    shutil.rmtree(FOLDER)


if __name__ == "__main__":
    main()
