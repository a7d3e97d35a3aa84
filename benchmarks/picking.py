"""Picking, measured: blobs, templates and depths beside a plain picker, RELION and others.

Two sets: the tomograms of the folder SLABKIT_DATA (default ../shared/data), and two of
`slabkit simulate --preset czii --seed 7` with the real density maps of the same folder. Slabs of
300 Å, side by side and every 150 and 75 Å. Pickers are compared at equal numbers of picks: the 600
and 1,200 best-scored of a tomogram of 6300 × 6300 Å, in proportion to area.

Writes docs/benchmarks.md (not with `--small`: two steps, small tomograms). `--reuse`
takes tomograms and slabs that `loop.py --keep` left in benchmarks/.data/loop, if they are there.
"""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import template_speed
from common import (
    DATA,
    SLABKIT,
    Measurement,
    data_folder,
    option_parser,
    peer_python,
    report,
    run_once,
    write_page,
)
from loop import FOLDER as LOOP
from loop import MAPS, SEED, best_picks, simulate, z_errors
from picking_pages import page
from picking_peers import plain_argmax, relion_hits, skimage_hits, slabpick_depths
from template_speed import MAPPED

from slabkit import PickList, read_picks, read_picks2d, read_slabs
from slabkit.formats.volumes.opening import open_tomogram
from slabkit.mapping.refinement import refine_depths
from slabkit.scoring import CZII_RADII, match_picks, score_picks

FOLDER = DATA / "picking"
STEPS: dict[str, list[object]] = {
    "side by side": [],
    "150 Å": ["--step", 150],
    "75 Å": ["--step", 75],
}
PEER_STEPS = ("side by side", "150 Å")
DEPTH_STEP = "150 Å"
STACKED = ("slabkit blob", "slabkit template", "plain LoG, argmax", "RELION LoG")
BUDGETS = (600, 1200)
VIEWS: list[object] = ["--view-step", 60, "--angular-step", 15]
XYZ = ["slabkitX", "slabkitY", "slabkitZ"]


def run_pickers(
    slabs: Path, out: Path, maps: Path | None, python: Path | None, peers: bool
) -> dict[str, dict[str, Any]]:
    """Run all pickers on the slabs of one step: each its pick list and the cost of its search."""
    found: dict[str, dict[str, Any]] = {}

    def add(name: str, pick: Measurement, hits: list[object], *options: object) -> None:
        target = out / f"{name.replace(' ', '_')}.star"
        cost = run_once([SLABKIT, "map", *hits, "--slabs", slabs, "-o", target, *options])
        found[name] = {"picks": read_picks(target), "pick": pick, "map": cost}

    def search(kind: str, *options: object) -> tuple[Measurement, list[object]]:
        hits = out / f"{kind}_2d.star"
        return run_once([SLABKIT, "pick", kind, slabs, "-o", hits, *options]), [hits]

    add("slabkit blob", *search("blob", "--diameter", "100:350", "--threshold", 1))
    if maps is not None:
        options = [x for name in MAPPED for x in ("--map", f"{name}={maps / MAPS[name]}")]
        add("slabkit template", *search("template", *options, *VIEWS))
    hits, picks = out / "plain_2d.star", out / "plain.star"
    script = Path(__file__).with_name("picking_peers.py")
    cost = run_once([SLABKIT.with_name("python"), script, slabs, hits, picks])
    found["plain LoG, argmax"] = {"picks": read_picks(picks), "pick": cost, "map": None}
    if peers and shutil.which("relion_autopick"):
        files, cost = relion_hits(slabs, out / "relion")
        add("RELION LoG", cost, list(files), "--diameter", 200)
    if peers and python is not None:
        hits = out / "skimage_2d.star"
        add("scikit-image blob_log", skimage_hits(python, slabs, hits), [hits])
    return found


def measure(found: PickList, truth: pd.DataFrame) -> dict[str, Any]:
    """Compare picks, as candidates for any species, with the truth; see `loop.py`."""
    named = found.picks["slabkitSpecies"].to_numpy()
    picks = found.picks.assign(slabkitSpecies="", _named=named)
    result: dict[str, Any] = {"found": len(picks), "z_error": z_errors(picks, truth)}
    for budget in BUDGETS:
        best = best_picks(picks, found.tomograms, budget)
        score = score_picks(best, truth)
        matches = match_picks(best, truth)
        names = best["_named"].iloc[matches["pick"]].to_numpy()
        curated = best.iloc[matches["pick"]].assign(slabkitSpecies=matches["species"].to_numpy())
        result[str(budget)] = {
            "picks": len(best),
            "precision": score.total["precision"],
            "f4": score.total["f_beta"],
            "curated_f4": score_picks(curated, truth).weighted_f_beta,
            "recall": dict(zip(score.table["species"], score.table["recall"], strict=True)),
            "named": float(np.mean(names == matches["species"])) if named.any() else None,
        }
    result["average_precision"] = average_precision(picks, truth)
    return result


def average_precision(picks: pd.DataFrame, truth: pd.DataFrame) -> dict[str, float]:
    """Mean over particles of the precision at the rank of their pick, 0 if not found.

    Of all particles, and of those of each species; the precision is that of the whole list, for a
    picker that does not know species is right with any.
    """
    matches = match_picks(picks, truth)
    order = np.lexsort([np.arange(len(picks)), -picks["slabkitScore"].to_numpy()])
    rank = np.empty(len(picks), dtype=int)
    rank[order] = np.arange(len(picks))
    right = np.zeros(len(picks), dtype=bool)
    right[matches["pick"]] = True
    precision = np.cumsum(right[order]) / np.arange(1, len(picks) + 1)
    at = precision[rank[matches["pick"]]]
    values = {"all": float(at.sum() / len(truth))}
    for species, count in truth["slabkitSpecies"].value_counts().items():
        own = matches["species"].to_numpy() == species
        values[str(species)] = float(at[own].sum() / count)
    return values


def in_shared_columns(truth: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Tell which particles share their column of the tomogram with another.

    Parameters
    ----------
    truth : DataFrame
        Particles of species of `CZII_RADII`, with tomogram, species and x, y in Å.

    Returns
    -------
    ndarray of bool, shape (particles,)
        Whether another particle of the tomogram is nearer in x and y than the larger radius of the
        two, at whatever z.
    """
    radius = truth["slabkitSpecies"].map(CZII_RADII).to_numpy(dtype=float)
    xy = truth[XYZ[:2]].to_numpy(dtype=float)
    tomogram = pd.factorize(truth["slabkitTomogram"])[0]
    away = np.linalg.norm(xy[:, None] - xy, axis=2)
    shared = (away < np.maximum.outer(radius, radius)) & (tomogram[:, None] == tomogram)
    np.fill_diagonal(shared, False)
    return np.asarray(shared.any(axis=1))


def stacked_recall(found: PickList, truth: pd.DataFrame, budget: int) -> dict[str, dict[str, Any]]:
    """Give the recall of the best picks among particles in shared columns, and among the others.

    Parameters
    ----------
    found : PickList
        Taken as candidates for any species.
    truth : DataFrame
    budget : int
        Picks of a tomogram of `BUDGET_AREA`; see `best_picks`.

    Returns
    -------
    dict
        For ``stacked`` and ``alone``: ``particles`` and ``recall`` (None of no particles).
    """
    best = best_picks(found.picks.assign(slabkitSpecies=""), found.tomograms, budget)
    hit = np.zeros(len(truth), dtype=bool)
    hit[match_picks(best, truth)["particle"]] = True
    stacked = in_shared_columns(truth)
    return {
        name: {"particles": int(own.sum()), "recall": float(hit[own].mean()) if own.any() else None}
        for name, own in (("stacked", stacked), ("alone", ~stacked))
    }


def depths(
    slabs: Path, hits_file: Path, truth: pd.DataFrame, others: pd.DataFrame, python: Path | None
) -> dict[str, dict[str, dict[str, float]]]:
    """Measure |z error| of ways to find the depth of the same hits.

    Hits within half a radius of a particle whose centre is in the slab, if no other (unscored ones
    too) is in reach: closer than its radius in x and y, and no more than half of that beyond the
    depths searched, which are the slab and half a diameter on either side.
    """
    table, hits = read_slabs(slabs), read_picks2d(hits_file)
    table = table.set_index("rlnMicrographName", drop=False)
    tomogram_of = table["rlnTomoName"].loc[hits["rlnMicrographName"]].to_numpy()
    errors: dict[tuple[str, str], list[float]] = {}
    radii = {"": 60.0, **CZII_RADII}  # the unscored ones are of many sizes
    for name in dict.fromkeys(tomogram_of):
        own = hits[tomogram_of == name]
        slab = table.loc[own["rlnMicrographName"]]
        path = slab["slabkitTomogramFile"].iloc[0]
        tomogram = open_tomogram(path)
        size = tomogram.voxel_size
        places = pd.concat([t[t["slabkitTomogram"] == name] for t in (truth, others)])
        radius = places["slabkitSpecies"].map(lambda species: radii.get(species, 60.0)).to_numpy()
        scored = places["slabkitSpecies"].isin(list(CZII_RADII)).to_numpy()
        x, y = own["rlnCoordinateX"].to_numpy(), own["rlnCoordinateY"].to_numpy()
        diameter = own["slabkitDiameter"].to_numpy()
        start, count = slab["slabkitZStart"].to_numpy(), slab["slabkitZCount"].to_numpy()
        middle = start + (count - 1) / 2
        reach = (count * size + diameter) / 2
        away = np.hypot(
            places["slabkitX"].to_numpy() - x[:, None] * size,
            places["slabkitY"].to_numpy() - y[:, None] * size,
        )
        beyond = np.abs(places["slabkitZ"].to_numpy() - middle[:, None] * size) - reach[:, None]
        near = (away < radius) & (beyond <= radius / 2)
        good = (away <= radius / 2) & (beyond <= -diameter[:, None] / 2) & scored
        chosen = np.flatnonzero((near.sum(axis=1) == 1) & good.any(axis=1))
        if not len(chosen):
            continue
        particle = places.iloc[np.argmax(good[chosen], axis=1)]
        x, y, start, count, middle = (a[chosen] for a in (x, y, start, count, middle))
        diameter = diameter[chosen]
        contrast = tomogram.contrast
        ways = {
            "slabkit": refine_depths(tomogram, x, y, diameter, start, count, contrast).z_vox,
            "argmax of a column": np.array(
                [
                    plain_argmax(tomogram, *row)
                    for row in zip(x, y, diameter, start, count, strict=True)
                ]
            ),
            "middle of the slab": middle,
        }
        if python is not None:
            hits_vox = np.column_stack([x, y, middle])
            ways["slabpick"] = slabpick_depths(python, path, size, hits_vox, slabs.parent)
        for way, z in ways.items():
            wrong = np.abs(z * size - particle["slabkitZ"].to_numpy())
            for species, error in zip(particle["slabkitSpecies"], wrong, strict=True):
                errors.setdefault((way, species), []).append(float(error))
    result: dict[str, dict[str, dict[str, float]]] = {}
    for (way, species), e in errors.items():
        numbers = {"n": len(e), "median": float(np.median(e)), "p90": float(np.percentile(e, 90))}
        result.setdefault(way, {})[species] = numbers
    return result


def unscored(file: Path) -> pd.DataFrame:
    """Read the places of complexes that are in the tomograms but not in their truth."""
    columns = {"tomogram": "slabkitTomogram", "x": "slabkitX", "y": "slabkitY", "z": "slabkitZ"}
    if not file.exists():
        return pd.DataFrame(columns=[*columns.values(), "slabkitSpecies"])
    table = pd.read_csv(file, dtype={"tomogram": str}).rename(columns=columns)
    return table.assign(slabkitSpecies="")


def label_of(arguments: list[object]) -> str:
    """Name the folder of the slabs of one step, as `loop.py` does."""
    return f"step_{arguments[1]}" if arguments else "side_by_side"


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--reuse", action="store_true", help="tomograms and slabs of loop.py")
    options = parser.parse_args()
    data = data_folder()
    if data is None:
        print("picking: left out, there is no folder of real tomograms; set SLABKIT_DATA")
        return
    python = peer_python("slabpick==1.0.2", "scikit-image==0.26.0")
    maps = data / "maps" if (data / "maps").is_dir() else None
    shutil.rmtree(FOLDER, ignore_errors=True)
    volumes = sorted((data / "tomograms").glob("*.mrc"))
    if options.small:
        volumes = volumes[1:3]
    sets = {"data": (volumes, data / "tomograms" / "truth.csv")}
    reuse = options.reuse and not options.small and (LOOP / "simulated").is_dir()
    simulated = (LOOP if reuse else FOLDER) / "tomograms"
    if maps is not None:
        if not reuse:
            simulate(maps, simulated, "small" if options.small else "czii")
        sets["simulated"] = (sorted(simulated.glob("*.mrc")), simulated / "truth.csv")
    values: dict[str, Any] = {"small": options.small, "seed": SEED}
    values["machine"] = f"{os.cpu_count()} cores ({platform.machine()})"
    steps = {name: STEPS[name] for name in list(STEPS)[: 2 if options.small else 3]}
    for name, (files, truth_file) in sets.items():
        truth = read_picks(truth_file).picks
        truth = truth[truth["slabkitTomogram"].isin([file.stem for file in files])]
        truth = truth.reset_index(drop=True)
        own: dict[str, Any] = {"tomograms": len(files)}
        own["particles"] = truth["slabkitSpecies"].value_counts().to_dict()
        for step, arguments in steps.items():
            out = FOLDER / name / label_of(arguments)
            out.mkdir(parents=True)
            slabs = (LOOP if reuse else FOLDER) / name / out.name / "slabs" / "slabs.star"
            cost = None
            if not reuse:
                cost = run_once([SLABKIT, "slab", *files, "-o", slabs.parent, *arguments])
            peers = step in PEER_STEPS
            pickers = run_pickers(slabs, out, maps, python, peers)
            own[step] = {
                "slab": vars(cost) if cost else None,
                "slabs": len(read_slabs(slabs)),
                "pickers": {
                    picker: {
                        **measure(found["picks"], truth),
                        **{key: vars(found[key]) for key in ("pick", "map") if found[key]},
                    }
                    for picker, found in pickers.items()
                },
            }
            print(f"picking: {name}, {step} done", flush=True)
            if step == DEPTH_STEP:
                own["stacked"] = {
                    picker: stacked_recall(found["picks"], truth, BUDGETS[0])
                    for picker, found in pickers.items()
                    if picker in STACKED
                }
                others = unscored(data / "tomograms" / "unscored.csv")
                own["depths"] = depths(slabs, out / "blob_2d.star", truth, others, python)
        values[name] = own
    if maps is not None:
        own_slabs = (LOOP if reuse else FOLDER) / "data"
        tables = {
            step: own_slabs / label_of(STEPS[step]) / "slabs" / "slabs.star" for step in PEER_STEPS
        }
        values["template_speed"] = template_speed.measure(tables, maps, options.small)
    lines = page(values)
    report("picking", lines, values)
    if not options.small:
        write_page(lines)
    shutil.rmtree(FOLDER, ignore_errors=True)


if __name__ == "__main__":
    main()
