"""A small project of slabpick: what goes in, and what slabpick 1.0.2 was seen to write of it."""

from __future__ import annotations

import json
from pathlib import Path

import mrcfile
import numpy as np

VOXEL = 10.012
TOMOGRAMS = {"cmr_01_Vol": (40, 60, 71), "00255": (40, 60, 71)}  # z, y, x
PLACES = {"cmr_01_Vol": [(20, 30, 20), (50, 40, 10)], "00255": [(33, 17, 15)]}
TILTS = (-20.0, 0.0, 20.0)


def make_project(folder: Path) -> None:
    """Write tomograms with one very dark voxel a particle, and a copick project that knows them."""
    noise = np.random.default_rng(0)
    (folder / "tomos").mkdir()
    for name, shape in TOMOGRAMS.items():
        volume = noise.normal(0, 0.01, shape).astype(np.float32)
        for x, y, z in PLACES[name]:
            volume[z, y, x] -= 100
        mrc(folder / "tomos" / f"{name}.mrc", volume)
        picks = folder / "project" / "ExperimentRuns" / name / "Picks"
        picks.mkdir(parents=True)
        points = [
            {
                # off the voxel's centre, and cut down to it by slabpick
                "location": {"x": x * VOXEL + 4, "y": y * VOXEL + 1, "z": z * VOXEL + 2},
                "transformation_": np.eye(4).tolist(),
                "instance_id": 0,
                "score": 1.0,
            }
            for x, y, z in PLACES[name]
        ]
        content = {
            "pickable_object_name": "ribosome",
            "user_id": "u",
            "session_id": "1",
            "run_name": name,
            "voxel_spacing": VOXEL,
            "unit": "angstrom",
            "points": points,
        }
        (picks / "u_1_ribosome.json").write_text(json.dumps(content))
    config = {
        "config_type": "filesystem",
        "name": "t",
        "description": "",
        "version": "1.0",
        "pickable_objects": [
            {"name": "ribosome", "is_particle": True, "label": 1, "color": [1, 2, 3, 255]}
        ],
        "overlay_root": f"local://{folder / 'project'}/",
        "overlay_fs_args": {"auto_mkdir": True},
    }
    (folder / "config.json").write_text(json.dumps(config))


def mrc(path: Path, data: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(data.astype(np.float32))
        file.voxel_size = VOXEL


def make_results(folder: Path) -> None:
    """Write what slabpick writes of such a project: two slabs a tomogram, galleries of 2 × 3."""
    rows = ["" + ",tomogram,slab,zstart,zdepth"]
    for number, (name, start) in enumerate(
        [("00255", 5), ("00255", 20), ("cmr_01_Vol", 5), ("cmr_01_Vol", 20)]
    ):
        slab = f"slabs/slab_{number:03d}.mrc"
        volume = mrcfile.read(folder / "tomos" / f"{name}.mrc")
        mrc(folder / slab, volume[start : start + 15].sum(axis=0))
        rows.append(f"{number},tomos/{name}.mrc,{slab},{start},15")
    (folder / "slabs" / "slab_map.csv").write_text("\n".join(rows) + "\n")
    lines = ["session,tomogram,particle,tilt,gallery,row,col"]
    stack = ["session,tomogram,particle,tilt"]
    particles = [("00255", 0), ("cmr_01_Vol", 0), ("cmr_01_Vol", 1)]
    for number, (name, particle, tilt) in enumerate((*p, t) for p in particles for t in TILTS):
        place = f"{number // 6},{number % 6 // 3},{number % 3}"
        lines.append(f"config.json,{name},{particle},{tilt},{place}")
        stack.append(f"config.json,{name},{particle},{tilt}")
    for name in ("particles_000.mrc", "particles_001.mrc"):
        mrc(folder / "mini" / name, np.zeros((32, 48)))
    (folder / "mini" / "particle_map.csv").write_text("\n".join(lines) + "\n")
    mrc(folder / "stack" / "particles.mrcs", np.zeros((9, 16, 16)))
    (folder / "stack" / "particle_map.csv").write_text("\n".join(stack) + "\n")
    parameters = {
        "extract_shape": [161, 161, 90],
        "voxel_spacing": VOXEL,
        "gallery_shape": [2, 3],
        "invert_contrast": False,
    }
    for name in ("mini", "stack"):
        record = {"software": {"name": "slabpick"}, "parameters": parameters}
        (folder / name / "make_minislabs.json").write_text(json.dumps(record))
