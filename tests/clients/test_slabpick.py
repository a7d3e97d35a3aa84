"""Maps made by the real slabpick, held against the images it made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mrcfile
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from slabpick_files import PLACES, TILTS, TOMOGRAMS, VOXEL, make_project  # noqa: E402

from slabkit.formats.picks.reading import read_picks  # noqa: E402
from slabkit.formats.programs.slabpick.project import read_particle_map, read_slab_map  # noqa: E402
from slabkit.steps.import_slabpick import minislab_tables  # noqa: E402

PROGRAMS = Path(os.environ.get("SLABKIT_SLABPICK_BIN", ROOT / ".venv-peers/bin"))


def test_its_maps_mean_what_we_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (PROGRAMS / "make_minislabs").exists():
        pytest.skip(f"slabpick is not in {PROGRAMS} (SLABKIT_SLABPICK_BIN names another folder)")
    monkeypatch.chdir(tmp_path)
    make_project(tmp_path)

    def run(program: str, *arguments: object) -> None:
        command = [str(PROGRAMS / program), *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True)

    tags = ("--include_tags", "0")
    run("make_slabs", "--in_dir", "tomos", "--out_dir", "slabs", "--zthick", 36, *tags)
    common = ("--in_coords", "config.json", "--in_vol", "tomos", "--voxel_spacing", VOXEL)
    common += ("--particle_name", "ribosome", "--user_id", "u", "--session_id", 1)
    common += ("--extract_shape", 165, 165, 90, "--gallery_shape", 2, 3, "--border_width", 0)
    common += ("--angles", *TILTS)
    run("make_minislabs", *common, "--out_dir", "mini")
    run("make_minislabs", *common, "--out_dir", "stack", "--make_stack")
    slabs = read_slab_map("slabs/slab_map.csv")
    assert set(slabs["rlnTomoName"]) == set(TOMOGRAMS)
    for row in slabs.to_dict("records"):
        volume = mrcfile.read(row["slabkitTomogramFile"])
        planes = volume[row["slabkitZStart"] :][: row["slabkitZCount"]]
        np.testing.assert_allclose(
            mrcfile.read(row["rlnMicrographName"]), planes.sum(axis=0), atol=1e-3
        )
    picks = read_picks("project", keep_duplicates=True)
    minislabs, geometry = minislab_tables(read_particle_map("mini/particle_map.csv", picks))
    stacked = read_particle_map("stack/particle_map.csv", picks).minislabs
    assert stacked["slabkitPickId"].tolist() == minislabs["slabkitPickId"].tolist()
    stack = mrcfile.read("stack/particles.mrcs")
    half = int(geometry["slabkitTileSize"].iloc[0]) // 2
    for number, row in enumerate(minislabs.to_dict("records")):
        x, y = int(row["rlnCoordinateX"]), int(row["rlnCoordinateY"])
        gallery = mrcfile.read(row["rlnMicrographName"])
        tile = gallery[y - half : y + half, x - half : x + half]
        np.testing.assert_array_equal(tile, stack[number])
        if row["slabkitTilt"] == 0:  # the particle's voxel, at the centre and nowhere else
            assert np.unravel_index(tile.argmin(), tile.shape) == (half, half)
    wanted = [PLACES[n][p] for n, p in (("00255", 0), ("cmr_01_Vol", 0), ("cmr_01_Vol", 1))]
    centres = minislabs[minislabs["slabkitTilt"] == 0].sort_values("slabkitTomogram", kind="stable")
    np.testing.assert_allclose(
        centres[[f"slabkitCentre{axis}" for axis in "XYZ"]], np.array(wanted) * VOXEL
    )
