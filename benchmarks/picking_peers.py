"""What `picking.py` compares with: a plain Laplacian of Gaussian, RELION, scikit-image, slabpick.

The plain picker is what one writes in an afternoon: normalised Laplacians over a ladder of
diameters, maxima over place and scale, depth by the argmax of a column, the best of each place.
``picking_peers.py SLABS PICKS2D PICKS`` runs it on all slabs of a table.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from common import Measurement, run_once
from depth import plain_argmax
from scipy import ndimage

from slabkit import PickList, read_slabs, write_picks, write_picks2d
from slabkit.arrays.neighbours import group_neighbours
from slabkit.formats.volumes.mrc import read_image
from slabkit.formats.volumes.opening import open_tomogram
from slabkit.mapping import tomogram_table
from slabkit.tables import PICKS, PICKS2D, make_table, new_pick_ids

Floats = npt.NDArray[np.float64]

DIAMETERS = np.geomspace(100, 350, 10)
LOWEST = 2.0  # standard deviations: hits enough for every budget
DISC = 2 * np.sqrt(2)  # diameter of a disc over the deviation of the Laplacian that fits it best

# blob_log gives no scores, so the response is taken again at each place and scale; not timed.
SKIMAGE = """
import json, sys, time
import numpy as np
from scipy.ndimage import gaussian_laplace
from skimage.feature import blob_log
p = json.load(open(sys.argv[1]))
images, found, seconds = np.load(p["images"]), {}, 0.0
low, high = p["sigma"]
for name in images.files:
    start = time.process_time()
    blobs = blob_log(images[name], min_sigma=low, max_sigma=high, num_sigma=p["scales"],
                     log_scale=True, threshold=p["threshold"])
    seconds += time.process_time() - start
    rows = []
    for sigma in np.unique(blobs[:, 2]):
        own = blobs[blobs[:, 2] == sigma]
        response = -gaussian_laplace(images[name].astype(float), sigma) * sigma**2
        score = response[own[:, 0].astype(int), own[:, 1].astype(int)]
        rows += np.column_stack([own[:, 1], own[:, 0], own[:, 2], score]).tolist()
    found[name] = rows
json.dump({"seconds": seconds, "found": found}, open(p["out"], "w"))
"""

SLABPICK = """
import sys
import mrcfile, numpy as np
from slabpick.coordinates import generate_window, refine_z
from slabpick.minislab import render_even
hits, volume = np.load(sys.argv[1]), np.asarray(mrcfile.read(sys.argv[2]), dtype=np.float32)
shape = render_even((np.array([300.0] * 3) / float(sys.argv[3])).astype(int))
np.random.seed(0)
np.save(sys.argv[4], refine_z(np.round(hits).astype(int), volume, shape, generate_window(shape[0])))
"""


def standardised(slabs: pd.DataFrame) -> list[npt.NDArray[np.float32]]:
    """Read the slabs of one tomogram, protein bright, with one median and deviation for all."""
    images = np.array([read_image(path)[0] for path in slabs["rlnMicrographName"]], dtype=float)
    images = -images if slabs["slabkitContrast"].iloc[0] == "dark" else images
    images -= np.median(images)
    return list((images / (1.4826 * np.median(np.abs(images)))).astype(np.float32))


def hit_table(name: str, x: Floats, y: Floats, diameter: Floats, score: Floats) -> pd.DataFrame:
    """Give 2D picks of one slab."""
    return make_table(
        PICKS2D,
        {
            "rlnMicrographName": [name] * len(x),
            "rlnCoordinateX": x,
            "rlnCoordinateY": y,
            "rlnAutopickFigureOfMerit": score,
            "slabkitDiameter": diameter,
        },
    )


def plain_hits(slabs: pd.DataFrame) -> pd.DataFrame:
    """Pick the slabs of one tomogram by maxima of the Laplacian over place and scale."""
    voxel_size = float(slabs["slabkitVoxelSize"].iloc[0])
    cubes = []
    for image in standardised(slabs):
        sigmas = DIAMETERS / voxel_size / DISC
        cubes.append(np.stack([-(s**2) * ndimage.gaussian_laplace(image, s) for s in sigmas]))
    responses = np.stack(cubes)
    middle = np.median(responses, axis=(0, 2, 3), keepdims=True)
    responses -= middle
    responses /= 1.4826 * np.median(np.abs(responses), axis=(0, 2, 3), keepdims=True)
    tables = []
    for name, cube in zip(slabs["rlnMicrographName"], responses, strict=True):
        peak = (cube == ndimage.maximum_filter(cube, 3)) & (cube >= LOWEST)
        scale, y, x = np.nonzero(peak)
        score, diameter = cube[peak], DIAMETERS[scale]
        place = np.column_stack([y, x]).astype(float)
        keeper = group_neighbours(place, diameter / voxel_size / 2, score)
        kept = np.unique(keeper)
        tables.append(hit_table(name, x[kept], y[kept], diameter[kept], score[kept]))
    return pd.concat(tables, ignore_index=True)


def plain_picks(slabs: pd.DataFrame, hits: pd.DataFrame) -> pd.DataFrame:
    """Depths by argmax of a column; of picks closer than half a diameter the best is kept."""
    tomogram = open_tomogram(slabs["slabkitTomogramFile"].iloc[0])
    slab = slabs.set_index("rlnMicrographName").loc[hits["rlnMicrographName"]]
    start, count = slab["slabkitZStart"].to_numpy(), slab["slabkitZCount"].to_numpy()
    x, y, diameter, score = (
        hits[name].to_numpy()
        for name in (
            "rlnCoordinateX",
            "rlnCoordinateY",
            "slabkitDiameter",
            "rlnAutopickFigureOfMerit",
        )
    )
    z = [plain_argmax(tomogram, *row) for row in zip(x, y, diameter, start, count, strict=True)]
    place = np.column_stack([x, y, np.array(z, dtype=float).reshape(len(x))]) * tomogram.voxel_size
    kept = np.unique(group_neighbours(place, diameter / 2, score))
    names = [tomogram.name] * len(kept)
    x, y, z = place[kept].T
    columns = {"slabkitTomogram": names, "slabkitX": x, "slabkitY": y, "slabkitZ": z}
    columns |= {"slabkitPickId": new_pick_ids(names, x, y, z), "slabkitScore": score[kept]}
    return make_table(PICKS, columns | {"slabkitDiameter": diameter[kept]})


def by_size(slabs: pd.DataFrame) -> list[pd.DataFrame]:
    """Split a slab table by image size."""
    groups = slabs.groupby(["slabkitTomogramSizeY", "slabkitTomogramSizeX"]).indices
    return [slabs.iloc[rows].reset_index(drop=True) for rows in groups.values()]


def relion_hits(slab_file: Path, folder: Path) -> tuple[list[Path], Measurement]:
    """Pick by RELION's Laplacian; its files, one a slab, and its cost (several sizes: the sum)."""
    from slabkit import write_slabs

    folder.mkdir(parents=True, exist_ok=True)
    costs = []
    for number, slabs in enumerate(by_size(read_slabs(slab_file))):
        table = folder / f"slabs_{number}.star"
        write_slabs(table, slabs)
        command = ["relion_autopick", "--i", table, "--odir", f"{folder}/", "--pickname", "log"]
        command += ["--LoG", "--LoG_diam_min", 100, "--LoG_diam_max", 350, "--shrink", 0]
        command += ["--lowpass", 20, "--LoG_adjust_threshold", -3]
        costs.append(run_once(command))
    total = Measurement(
        sum(cost.seconds for cost in costs),
        max(cost.anonymous_mb for cost in costs),
        max(cost.resident_mb for cost in costs),
        sum(cost.processor_seconds for cost in costs),
    )
    return sorted(folder.rglob("*_log.star")), total


def skimage_hits(python: Path, slab_file: Path, out: Path) -> Measurement:
    """Pick by scikit-image's blob_log into 2D picks; its time is that of the calls alone."""
    slabs = read_slabs(slab_file)
    images: dict[str, npt.NDArray[np.float32]] = {}
    for name in dict.fromkeys(slabs["rlnTomoName"]):
        own = slabs[slabs["rlnTomoName"] == name]
        images |= dict(zip(own["rlnMicrographName"], standardised(own), strict=True))
    voxel_size = float(slabs["slabkitVoxelSize"].iloc[0])
    names = {f"n{number}": name for number, name in enumerate(images)}
    np.savez(out.with_suffix(".npz"), **{key: images[name] for key, name in names.items()})
    sigma = [float(d / voxel_size / DISC) for d in (DIAMETERS[0], DIAMETERS[-1])]
    told = {"images": str(out.with_suffix(".npz")), "out": str(out.with_suffix(".json"))}
    told |= {"sigma": sigma, "scales": len(DIAMETERS), "threshold": 0.3}
    out.with_suffix(".in.json").write_text(json.dumps(told))
    cost = run_once([python, "-c", SKIMAGE, out.with_suffix(".in.json")])
    result = json.loads(out.with_suffix(".json").read_text())
    tables = []
    for key, rows in result["found"].items():
        x, y, s, score = np.array(rows, dtype=float).reshape(-1, 4).T
        tables.append(hit_table(names[key], x, y, s * DISC * voxel_size, score))
    write_picks2d(out, pd.concat(tables, ignore_index=True))
    seconds = result["seconds"]
    return Measurement(seconds, cost.anonymous_mb, cost.resident_mb, seconds)


def slabpick_depths(
    python: Path, volume: Path, voxel_size: float, hits_vox: Floats, folder: Path
) -> Floats:
    """Refine z (voxels) of hits (x, y, slab's middle; voxels) by slabpick, in boxes of 300 Å."""
    before, after = folder / "hits.npy", folder / "refined.npy"
    np.save(before, hits_vox)
    command = [python, "-c", SLABPICK, before, volume, str(voxel_size), after]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    return np.asarray(np.load(after)[:, 2], dtype=np.float64)


def main() -> None:
    slab_file, out2d, out = sys.argv[1:]
    slabs = read_slabs(slab_file)
    hits, picks = [], []
    for name in dict.fromkeys(slabs["rlnTomoName"]):
        own = slabs[slabs["rlnTomoName"] == name].reset_index(drop=True)
        hits.append(plain_hits(own))
        picks.append(plain_picks(own, hits[-1]))
    write_picks2d(out2d, pd.concat(hits, ignore_index=True))
    table = PickList(pd.concat(picks, ignore_index=True), tomogram_table(slabs))
    write_picks(out, table)


if __name__ == "__main__":
    main()
