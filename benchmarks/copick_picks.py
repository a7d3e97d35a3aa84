"""Picks out of a copick project and into it: `slabkit convert` beside copick, as whole processes.

100 runs with 5 kinds of 200 picks each, 100,000 in 500 files. Out: all into one table; copick's
own objects, their points joined by pandas and written as CSV. In: from that table to files of
another session, each by `new_picks` and `store`. `--small` takes 10 runs.
"""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
from common import (
    SLABKIT,
    Measurement,
    compare,
    option_parser,
    peer_python,
    report,
    scratch_folder,
    write_copick_project,
)

KINDS, PICKS = 5, 200
OUT = """
import sys, copick, pandas
rows = [
    (run.name, picks.pickable_object_name, p.location.x, p.location.y, p.location.z, p.score)
    for run in copick.from_file(sys.argv[1]).runs for picks in run.picks for p in picks.points
]
pandas.DataFrame(rows, columns=["run", "species", "x", "y", "z", "score"]).to_csv(sys.argv[2])
"""
IN = """
import sys, copick, pandas
from copick.models import CopickLocation, CopickPoint
root = copick.from_file(sys.argv[1])
table = pandas.read_csv(sys.argv[2])
for (run, species), own in table.groupby(["run", "species"]):
    picks = root.get_run(run).new_picks(species, "2", "peer")
    picks.points = [
        CopickPoint(location=CopickLocation(x=p.x, y=p.y, z=p.z), score=p.score)
        for p in own.itertuples()
    ]
    picks.store()
"""


def make_project(folder: Path, runs: int) -> Path:
    """Write a project as copick has it on disk; gives its JSON file."""
    random = np.random.default_rng(0)
    kinds = [f"kind-{number}" for number in range(KINDS)]
    for number in range(runs):
        picks = folder / "overlay" / "ExperimentRuns" / f"TS_{number:03d}" / "Picks"
        picks.mkdir(parents=True)
        for kind in kinds:
            points = [
                {
                    "location": dict(zip("xyz", place, strict=True)),
                    "transformation_": np.eye(4).tolist(),
                    "instance_id": 0,
                    "score": 1.0,
                }
                for place in random.uniform(0, 6000, (PICKS, 3)).tolist()
            ]
            named = {"pickable_object_name": kind, "user_id": "ann", "session_id": "1"}
            content = {**named, "run_name": picks.parent.name, "unit": "angstrom", "points": points}
            (picks / f"ann_1_{kind}.json").write_text(json.dumps(content))
    return write_copick_project(folder, "overlay", dict.fromkeys(kinds, 100.0))


def measure(runs: int) -> dict[str, Measurement]:
    """Run both programs, out of the project and into it."""
    with scratch_folder() as folder:
        project = make_project(folder, runs)
        tables = (folder / "picks.star", folder / "picks.csv")
        where = f"copick:{project}"

        def clean_project() -> None:
            for file in folder.glob("overlay/ExperimentRuns/*/Picks/*_2_*.json"):
                file.unlink()
            shutil.rmtree(folder / "overlay" / "slabkit", ignore_errors=True)

        out: dict[str, list[object]] = {"slabkit, out": [SLABKIT, "convert", where, tables[0]]}
        back: dict[str, list[object]] = {
            "slabkit, in": [
                *(SLABKIT, "convert", tables[0], where),
                *("--user", "slabkit", "--session", "2"),
            ]
        }
        peer = peer_python("slabpick==1.0.2", "copick")
        if peer is not None:
            out["copick, out"] = [peer, "-c", OUT, project, tables[1]]
            back["copick, in"] = [peer, "-c", IN, project, tables[1]]

        def clean(table: Path) -> None:
            for file in folder.glob(f"{table.name}*"):
                file.unlink()

        before: dict[str, object] = {
            name: partial(clean, Path(str(command[-1]))) for name, command in out.items()
        }
        found = compare(out, before=before)
        return found | compare(back, before=dict.fromkeys(back, clean_project))


def main() -> None:
    small = option_parser(__doc__).parse_args().small
    found = measure(10 if small else 100)
    lines = [
        f"{name:14s} {m.seconds:6.2f} s, of the processor {m.processor_seconds:6.2f} s, peak "
        f"{m.resident_mb:.0f} MB"
        for name, m in found.items()
    ]
    report("copick_picks", lines, {name: vars(m) for name, m in found.items()})


if __name__ == "__main__":
    main()
