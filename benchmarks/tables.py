"""Reading and writing a million picks: seconds and peak memory, beside the package `starfile`.

A pick list of 18 columns and 2D picks of 9, each read or written in a process of its own, with the
start of Python and the imports. `--small` takes 50,000 rows.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from common import option_parser, report, scratch_folder

import slabkit
from slabkit.tables import PICKS, PICKS2D, TOMOGRAMS, make_table

TASKS = (
    "read picks",
    "write picks",
    "read picks2d",
    "write picks2d",
    "starfile read picks",
    "starfile write picks",
)


def make_tables(folder: Path, count: int) -> None:
    from slabkit.formats.tables.native import PickList, write_picks, write_picks2d

    random = np.random.default_rng(0)
    tomograms = [f"TS_{number:03d}" for number in range(200)]
    names = [tomograms[number * 200 // count] for number in range(count)]
    slabs = random.integers(1, 7, count).tolist()
    found = {
        "rlnMicrographName": [
            f"slabs/{name}_slab{slab:03d}.mrc" for name, slab in zip(names, slabs, strict=True)
        ],
        "rlnCoordinateX": random.uniform(0, 1000, count),
        "rlnCoordinateY": random.uniform(0, 1000, count),
    }
    score, diameter = random.normal(8, 2, count), random.choice([120.0, 150.5, 300.0], count)
    digits = random.integers(0, 2**48, count).tolist()
    picks = {
        "slabkitPickId": [f"{n}-{digit:012x}" for n, digit in zip(names, digits, strict=True)],
        "slabkitTomogram": names,
        "slabkitX": random.uniform(0, 6000, count),
        "slabkitY": random.uniform(0, 6000, count),
        "slabkitZ": random.uniform(0, 2000, count),
        "slabkitScore": score,
        "slabkitScoreKind": "blob",
        "slabkitSpecies": random.choice(["ribosome", "apo-ferritin", ""], count),
        "slabkitDiameter": diameter,
        "slabkitZConfidence": random.uniform(0, 1, count),
        "slabkitSource": "blob",
        "slabkitSlabCount": random.integers(1, 4, count),
    }
    known = make_table(TOMOGRAMS, {"slabkitTomogram": tomograms, "slabkitVoxelSize": 10.0})
    write_picks(folder / "picks.star", PickList(make_table(PICKS, picks | found), known))
    extra = {"rlnAutopickFigureOfMerit": score, "slabkitDiameter": diameter}
    extra["slabkitScoreKind"] = "blob"
    write_picks2d(folder / "picks2d.star", make_table(PICKS2D, found | extra))


def measure(task: str, folder: Path) -> dict[str, float]:
    """Do one task; of writing, the seconds of the reading before it are not counted."""
    start, used = 0.0, time.process_time()
    if task.startswith("starfile"):
        import starfile

        table = starfile.read(folder / "picks.star")
        if "write" in task:
            start, used = time.perf_counter(), time.process_time()
            starfile.write(table, folder / "out.star")
    elif task.endswith("picks2d"):
        picks2d = slabkit.read_picks2d(folder / "picks2d.star")
        if "write" in task:
            start, used = time.perf_counter(), time.process_time()
            slabkit.write_picks2d(folder / "out.star", picks2d)
    else:
        picks = slabkit.read_picks(folder / "picks.star")
        if "write" in task:
            start, used = time.perf_counter(), time.process_time()
            slabkit.write_picks(folder / "out.star", picks)
    found = {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    if start:
        found["seconds"] = time.perf_counter() - start
    found["processor_seconds"] = time.process_time() - (used if start else 0)
    return found


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    count = 50_000 if options.small else 1_000_000
    if options.one and options.one[0] == "make":
        make_tables(Path(options.one[1]), count)
        return
    if options.one:
        print(json.dumps(measure(options.one[0], Path(options.one[1]))))
        return
    lines = [f"{count} rows             seconds  of the processor  peak MB"]
    values: dict[str, object] = {}
    with scratch_folder() as folder:
        # Not in this process, whose peak memory the others would inherit.
        size = ["--small"] * options.small
        subprocess.run([sys.executable, __file__, *size, "--one", "make", folder], check=True)
        for task in TASKS:
            command = [sys.executable, __file__, "--one", task, str(folder)]
            start = time.perf_counter()
            done = subprocess.run(command, check=True, capture_output=True)
            found = {"seconds": time.perf_counter() - start} | json.loads(done.stdout)
            values[task] = found
            lines.append(
                f"{task:22s} {found['seconds']:8.2f} {found['processor_seconds']:17.2f} "
                f"{found['peak_mb']:8.0f}"
            )
    lines.append("goal: a million rows each way in 2 s and 500 MB on a free core")
    report("tables", lines, values)


if __name__ == "__main__":
    main()
