"""`slabkit minislab` against slabpick's make_minislabs, as whole processes.

5,000 and 50,000 picks in one tomogram of 630 × 630 × 184 float32 voxels of 10 Å (292 MB), boxes of
400 Å, 300 Å deep, to galleries of 240; picks far enough inside that both cut full boxes. `--small`
takes 500 picks.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mrcfile
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

from slabkit.formats.tables.native import PickList, write_picks
from slabkit.tables import PICKS, TOMOGRAMS, make_table, new_pick_ids

GOALS = {5000: 3.0, 50000: 5.0}  # times as fast as slabpick
PEER = "slabpick make_minislabs"
SHAPE, VOXEL_SIZE, NAME = (184, 630, 630), 10.0, "tomogram"


def make_inputs(folder: Path, count: int) -> None:
    """Write a volume, and the same picks as a slabkit list and as a copick project."""
    rng = np.random.default_rng(0)
    with mrcfile.new(folder / f"{NAME}.mrc") as volume:
        volume.set_data(rng.standard_normal(SHAPE, dtype=np.float32))
        volume.voxel_size = VOXEL_SIZE
    margin = np.array([16, 22, 22])
    z, y, x = rng.uniform(margin, np.array(SHAPE) - margin, (count, 3)).T * VOXEL_SIZE
    names = [NAME] * count
    columns = {
        "slabkitPickId": new_pick_ids(names, x, y, z),
        "slabkitTomogram": names,
        "slabkitX": x,
        "slabkitY": y,
        "slabkitZ": z,
    }
    size = {f"slabkitTomogramSize{axis}": [n] for axis, n in zip("ZYX", SHAPE, strict=True)}
    tomogram = {
        "slabkitTomogram": [NAME],
        "slabkitTomogramFile": [str(folder / f"{NAME}.mrc")],
        "slabkitVoxelSize": [VOXEL_SIZE],
        **size,
    }
    tables = PickList(make_table(PICKS, columns), make_table(TOMOGRAMS, tomogram))
    write_picks(folder / "picks.star", tables)
    picks = folder / "project" / "ExperimentRuns" / NAME / "Picks"
    picks.mkdir(parents=True)
    points = [{"location": {"x": a, "y": b, "z": c}} for a, b, c in np.stack([x, y, z], 1).tolist()]
    named = {"pickable_object_name": "particle", "user_id": "user", "session_id": "0"}
    content = {**named, "run_name": NAME, "unit": "angstrom", "points": points}
    (picks / "user_0_particle.json").write_text(json.dumps(content))
    write_copick_project(folder, "project", {"particle": 150.0})


def measure(count: int) -> dict[str, Measurement]:
    """Run all programs on so many picks."""
    with scratch_folder() as folder:
        make_inputs(folder, count)
        out = folder / "out"

        def clean() -> None:
            shutil.rmtree(out, ignore_errors=True)

        ours = [SLABKIT, "minislab", folder / "picks.star", "-o", out]
        ours += ["--box", 400, "--depth", 300]
        commands: dict[str, list[object]] = {
            "slabkit minislab": ours,
            "slabkit minislab --stack": [*ours, "--stack"],
        }
        peer = peer_python("slabpick==1.0.2")
        if peer is not None:
            commands[PEER] = [
                *(peer.with_name("make_minislabs"), "--in_coords", folder / "copick.json"),
                *("--in_vol", folder, "--extension", "mrc", "--out_dir", out),
                *("--extract_shape", 400, 400, 300, "--voxel_spacing", VOXEL_SIZE),
                *("--particle_name", "particle", "--user_id", "user", "--session_id", 0),
            ]
        return compare(commands, before=dict.fromkeys(commands, clean))


def main() -> None:
    counts = {500: 1.0} if option_parser(__doc__).parse_args().small else GOALS
    lines: list[str] = []
    values: dict[str, object] = {}
    for count, goal in counts.items():
        result = measure(count)
        values |= {f"{count}: {name}": vars(m) for name, m in result.items()}
        lines += [
            f"{count} picks, {name}: {m.seconds:.1f} s, of the processor {m.processor_seconds:.1f} "
            f"s, peak {m.resident_mb:.0f} MB resident, {m.anonymous_mb:.0f} MB anonymous"
            for name, m in result.items()
        ]
        if PEER in result:
            mine, other = result["slabkit minislab"], result[PEER]
            lines.append(
                f"slabpick / slabkit, {count} picks: {other.seconds / mine.seconds:.1f} × in time "
                f"(goal: at least {goal:g}), {other.resident_mb / mine.resident_mb:.1f} × in "
                f"resident and {other.anonymous_mb / mine.anonymous_mb:.1f} × in anonymous memory "
                "(goal: above 1)"
            )
    report("minislabs", lines, values)


if __name__ == "__main__":
    main()
