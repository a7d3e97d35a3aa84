"""Merging a million picks: seconds, peak memory, and how both grow.

Four places to lie: sparse; sparse with a distance of each pick's own; all within a few distances of
one point; hundreds of dense spots. Each is merged in a process of its own, so that peak memory is
its own, for a quarter, a half and all of the picks. `--small` takes 100,000.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
from common import option_parser, report

from slabkit.arrays.neighbours import group_neighbours

LAYOUTS = ("sparse", "own distances", "one place", "spots")


def points_of(layout: str, count: int) -> tuple[np.ndarray, np.ndarray | float]:
    random = np.random.default_rng(0)
    side = 6300 * (count / 10_000) ** (1 / 3)
    if layout == "sparse":
        return random.random((count, 3)) * side, 60.0
    if layout == "own distances":
        return random.random((count, 3)) * side, random.uniform(50, 175, count)
    if layout == "one place":
        return random.normal(0, 60, (count, 3)), 60.0
    spots = random.random((count // 2000 + 1, 3)) * side
    return np.repeat(spots, 2000, axis=0)[:count] + random.normal(0, 5, (count, 3)), 60.0


def measure(layout: str, count: int) -> dict[str, float]:
    points, distance = points_of(layout, count)
    scores = np.random.default_rng(1).random(count)
    group_neighbours(points[:300], 1.0, scores[:300])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    keeper = group_neighbours(points, distance, scores)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "kept": len(np.unique(keeper)),
        "seconds": seconds,
        "bytes_a_pick": (peak - before) * 1024 / count,
        "peak_mb": peak / 1024,
    }


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # what a process of its own does
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one[0], int(options.one[1]))))
        return
    total = 100_000 if options.small else 1_000_000
    lines = ["layout           picks        kept  seconds  peak MB  bytes a pick"]
    values: dict[str, object] = {}
    for layout in LAYOUTS:
        for part in (4, 2, 1):
            count = total // part
            command = [sys.executable, __file__, "--one", layout, str(count)]
            found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            values[f"{layout}, {count}"] = found
            lines.append(
                f"{layout:14s} {count:8d} {found['kept']:10d} {found['seconds']:8.1f} "
                f"{found['peak_mb']:8.0f} {found['bytes_a_pick']:13.0f}"
            )
    lines.append("goal: a million in less than 60 s; memory in proportion to the number of picks")
    report("merging", lines, values)


if __name__ == "__main__":
    main()
