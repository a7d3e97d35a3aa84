"""Orientations and positions as the field's converters read them: eulerangles, emfile, cryoCAT.

cryoCAT passes positions through as if the first voxel were 0, so it is met with index base 0.
"""

from __future__ import annotations

import json
import os
import subprocess
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pick_files import pick_list, tomogram_table, xyz
from scipy.spatial.transform import Rotation

from slabkit.errors import SlabkitWarning
from slabkit.formats.picks.reading import read_picks
from slabkit.formats.picks.writing import write_picks
from slabkit.formats.programs.shared import orientations
from slabkit.formats.tables.native import PickList
from slabkit.formats.volumes.opening import open_volume
from slabkit.tables import ROTATION, rotation_text

HERE = Path(__file__).resolve().parent
COUNT, VOXEL = 30, 7.3
T = tomogram_table(TS_1=(101, 80, 41, VOXEL))
PLACES = np.random.default_rng(0).uniform(0, 250, (COUNT, 3))
MATRICES = Rotation.random(COUNT, random_state=1).as_matrix()
FILES = {"m.star": "stopgap", "m.em": "em", "m.tbl": "dynamo", "m.mod": "imod-model"}


def python(program: str) -> Path:
    found = HERE.parent.parent / ".venv-clients" / program / "bin/python"
    path = Path(os.environ.get(f"SLABKIT_{program.upper()}_PYTHON", found))
    if path == found and not (found.parent.parent / ".ready").exists():
        pytest.skip(f"no {program} at {path}; make test-clients installs it")
    return path


def run(program: str, folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [python(program), HERE / "run_converter.py", program, folder],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    picks = pick_list([("TS_1", "", *place) for place in PLACES], T)
    turned = {ROTATION: [rotation_text(matrix) for matrix in MATRICES]}
    picks = PickList(picks.picks.assign(**turned), T)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlabkitWarning)
        for name, kind in FILES.items():
            base = {} if kind == "imod-model" else {"index_base": 0}
            write_picks(tmp_path / name, picks, format=kind, **base)
    return tmp_path


def check(path: Path, kind: str | None, atol: float, **options: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlabkitWarning)
        back = read_picks(path, format=kind, tomograms=T, **options)
    np.testing.assert_allclose(xyz(back), PLACES, rtol=0, atol=atol)
    found = orientations.rotations(back.picks, "test")
    if kind != "imod-model":
        np.testing.assert_allclose(found, MATRICES, atol=1e-5)


def test_cryocat_reads_and_writes_the_same(folder: Path) -> None:
    for name, theirs in run("cryocat", folder).items():
        np.testing.assert_allclose(np.array(theirs["places"]) * VOXEL, PLACES, rtol=0, atol=1e-3)
        np.testing.assert_allclose(theirs["matrices"], MATRICES, atol=1e-5)
        check(folder / f"theirs_{name}", FILES[name], 1e-3, index_base=0)


def test_eulerangles_emfile_and_imodmodel_agree(folder: Path) -> None:
    angles = Rotation.from_matrix(MATRICES).as_euler("zxz", degrees=True)
    (folder / "angles.json").write_text(json.dumps(angles.tolist()))
    theirs = run("converters", folder)
    ours = orientations.relion_matrices(theirs["relion"]["angles"])
    np.testing.assert_allclose(ours, orientations.dynamo_matrices(angles), atol=1e-9)
    motl = orientations.artiax_matrices(angles)
    np.testing.assert_allclose(motl, theirs["motl"]["matrices"], atol=1e-9)
    np.testing.assert_allclose(motl, MATRICES, atol=1e-9)
    places = np.array(theirs["m.mod"]["places"])
    np.testing.assert_allclose(places - (0.5, 0.5, 0), PLACES / VOXEL, rtol=0, atol=1e-4)
    np.testing.assert_allclose(np.array(theirs["m.em"]["places"]) * VOXEL, PLACES, atol=1e-3)
    check(folder / "theirs.mod", "imod-model", 1e-3)
    check(folder / "theirs.em", "em", 1e-3, index_base=0)
    volume = open_volume(folder / "volume.em").source
    np.testing.assert_array_equal(volume[0:3, 0:4, 0:5].ravel(), np.arange(60))
