"""`find_blobs` against scikit-image's `blob_log` at the same scales, on a 1260 × 1260 slab.

Each runs in a process of its own: one warm-up, then the median of five (skimage: three) calls, and
the peak memory over that of the process before. On a second image without noise both must find the
same blobs. `--small` takes a quarter of the area.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
from common import option_parser, peer_python, report, scratch_folder

from slabkit.arrays.filters import BALL_SIGMA
from slabkit.picking.blob_search import diameter_ladder

PIXEL_SIZE, DIAMETER = 5.0, (100.0, 350.0)

# Both children print {"seconds", "extra_mb", "x", "y"}; argv: images, parameters as JSON.
COMMON = """
import json, resource, statistics, sys, time
import numpy as np
images, p = np.load(sys.argv[1]), json.loads(sys.argv[2])
def resident():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmRSS")).split()[1])
def measured(call, runs):
    before = resident()
    call(images["noisy"])
    extra = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        call(images["noisy"])
        seconds.append(time.perf_counter() - start)
    x, y = call(images["clean"])
    print(json.dumps({"seconds": statistics.median(seconds), "extra_mb": extra / 1024,
                      "x": list(map(float, x)), "y": list(map(float, y))}))
"""
OURS = """
from slabkit.picking.blob import find_blobs
import scipy.fft, scipy.ndimage, scipy.special, scipy.spatial
def call(image):
    blobs = find_blobs(image, p["pixel_size"], diameter=tuple(p["diameter"]), contrast="bright",
                       method=p["method"])
    return blobs.x_px, blobs.y_px
measured(call, 5)
"""
PEER = """
from skimage.feature import blob_log
def call(image):
    found = blob_log(image, min_sigma=p["sigma"][0], max_sigma=p["sigma"][1],
                     num_sigma=p["scales"], log_scale=True, threshold=p["threshold"])
    return found[:, 1], found[:, 0]
measured(call, 3)
"""


def make_images(side: int, count: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Projected balls of 110 to 320 Å that do not touch, with and without noise; and the truth."""
    generator = np.random.default_rng(0)
    y, x = np.indices((side, side), dtype=np.float32)
    clean = np.zeros((side, side), dtype=np.float32)
    truth: list[tuple[float, float]] = []
    while len(truth) < count:
        place = generator.uniform(60, side - 60, 2)
        if all(math.dist(place, other) > 90 for other in truth):
            radius = generator.uniform(110, 320) / (2 * PIXEL_SIZE)
            square = ((y - place[0]) ** 2 + (x - place[1]) ** 2) / radius**2
            clean += np.sqrt(np.clip(1 - square, 0, None))
            truth.append((float(place[0]), float(place[1])))
    noisy = clean + generator.normal(0, 0.5, clean.shape).astype(np.float32)
    return {"clean": clean, "noisy": noisy}, np.array(truth)


def run(python: Path, code: str, images: Path, parameters: dict[str, object]) -> dict[str, object]:
    """Run one of the children and read what it prints."""
    done = subprocess.run(
        [python, "-c", COMMON + code, images, json.dumps(parameters)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return dict(json.loads(done.stdout))


def agreement(found: dict[str, object], truth: np.ndarray) -> tuple[int, int, float]:
    """Give blobs found, true ones among them (within a tenth of the smallest diameter), error."""
    places = np.column_stack([np.array(found["y"]), np.array(found["x"])])
    away = np.linalg.norm(places[:, None] - truth[None], axis=2).min(axis=0)
    hit = away < 0.1 * DIAMETER[0] / PIXEL_SIZE
    return len(places), int(hit.sum()), float(np.median(away[hit]))


def main() -> None:
    small = option_parser(__doc__).parse_args().small
    ladder = diameter_ladder(DIAMETER).diameters
    sigma = [float(BALL_SIGMA * d / PIXEL_SIZE) for d in (ladder[0], ladder[-1])]
    base = {"pixel_size": PIXEL_SIZE, "diameter": DIAMETER, "sigma": sigma}
    base |= {"scales": len(ladder), "threshold": 0.3}
    images, truth = make_images(630, 20) if small else make_images(1260, 80)
    lines, values = [], {}
    with scratch_folder() as folder:
        path = folder / "images.npz"
        np.savez(path, **images)
        results = {
            f"slabkit, {method}": run(Path(sys.executable), OURS, path, base | {"method": method})
            for method in ("laplacian", "rims")
        }
        python = peer_python("scikit-image==0.26.0")
        if python is not None:
            results["skimage blob_log"] = run(python, PEER, path, base)
    peer = results.get("skimage blob_log")
    for name, result in results.items():
        found, true, error = agreement(result, truth)
        ratio = ""
        if peer and result is not peer:
            ratio = f", {peer['seconds'] / result['seconds']:.1f} × faster (goal: at least 10)"
        lines.append(
            f"{name:20s} {result['seconds']:7.3f} s, {result['extra_mb']:4.0f} MB{ratio}; "
            f"without noise {found} blobs, {true} of {len(truth)} true, median error {error:.2f} px"
        )
        values[name] = {key: result[key] for key in ("seconds", "extra_mb")}
        values[name] |= {"found": found, "true": true, "median_error_px": error}
    report("blob_picking", lines, values)


if __name__ == "__main__":
    main()
