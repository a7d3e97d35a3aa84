"""The plug-in in the real napari, without a window: where layers lie, and what they hold."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from test_view import NAME, PLACES, SHAPE, VOXEL, picks, volume

from slabkit.formats.picks.writing import write_picks
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.pictures.colours import species_colours

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MANIFEST = ROOT / "slabkit" / "napari.yaml"


@pytest.fixture(scope="module")
def napari():
    found = ROOT / ".venv-clients/napari/bin/python"
    path = Path(os.environ.get("SLABKIT_NAPARI_PYTHON", found))
    if path == found and not (found.parent.parent / ".ready").exists():
        pytest.skip(f"no napari at {path}; make test-clients installs it")

    def run(*arguments, cwd):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "QT_QPA_PLATFORM": "offscreen"}
        done = subprocess.run(
            [path, *map(str, arguments)],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run


def test_npe2_takes_the_manifest(napari, tmp_path):
    assert "Manifest for" in napari("-m", "npe2", "validate", MANIFEST, cwd=tmp_path)


def test_layers_lie_where_the_particles_are(napari, slabkit, tmp_path):
    bright = volume()
    bright[PLACES["c"]] = 99
    write_mrc(tmp_path / f"{NAME}.mrc", bright, VOXEL, label="test")
    write_picks(tmp_path / "p.star", picks())
    slabkit("slab", f"{NAME}.mrc", "-o", "slabs", "--thickness", 50, "--step", 30)
    files = (f"{NAME}.mrc", "slabs/slabs.star", "p.star")
    layers = json.loads(napari(HERE / "run_napari.py", MANIFEST, *files, cwd=tmp_path))
    assert [(one["kind"], one["units"]) for one in layers] == [
        *[("Image", ["angstrom"] * 3)] * 2,
        *[("Points", ["angstrom"] * 3)] * 3,
    ]
    tomogram, slabs, *points = layers
    place = np.array(PLACES["c"]) * VOXEL
    assert tomogram["lazy"] == slabs["lazy"] == "LazyVolume"
    assert (tomogram["brightest"], tomogram["shown"]) == (place.tolist(), 99)
    np.testing.assert_allclose(tomogram["extent"], [[0] * 3, (np.array(SHAPE) - 1) * VOXEL])
    assert slabs["brightest"][1:] == place[1:].tolist()
    assert abs(slabs["brightest"][0] - place[0]) <= 25  # half a slab
    ribosomes = points[0]
    expected = [np.array(PLACES[key]) * VOXEL for key in "cu"]
    np.testing.assert_allclose(ribosomes["places"], expected, atol=1e-9)
    assert ribosomes["in_slice"] == [True, True, False]  # of 100 Å
    assert ribosomes["ids"] == [f"{NAME}-c", f"{NAME}-u"]
    np.testing.assert_allclose(ribosomes["size"], 100)
    colour = [*(np.array(species_colours(["ribosome"])["ribosome"]) / 255), 1]
    np.testing.assert_allclose(ribosomes["colour"], colour, atol=1e-6)
    assert points[1]["symbols"] == ["x"]
