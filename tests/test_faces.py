"""The faces of a sample, in volumes where they are known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from slabkit.errors import InputError
from slabkit.formats.tables.native import read_slabs
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.simulation import simulate_tomogram
from slabkit.slabs.faces import find_faces
from slabkit.tomogram import Tomogram


def layered(low, high, shape=(90, 120, 140), voxel_size=7.3, seed=0, kind=np.float32, scale=1.0):
    """Noise everywhere, and dense dark balls between two depths in Å."""
    rng = np.random.default_rng(seed)
    data = rng.normal(0, 1, shape)
    radius = 8
    z, y, x = np.indices((2 * radius + 1,) * 3) - radius
    ball = z**2 + y**2 + x**2 <= radius**2
    bottom, top = low / voxel_size + radius, high / voxel_size - radius
    for _ in range(250):
        place = [
            rng.uniform(bottom, top),
            *(rng.uniform(radius, n - radius - 1) for n in shape[1:]),
        ]
        corner = np.round(place).astype(int) - radius
        box = tuple(slice(max(c, 0), c + 2 * radius + 1) for c in corner)
        data[box][ball[tuple(slice(0, n) for n in data[box].shape)]] = rng.normal(-3, 1)
    return Tomogram("t", (scale * data).astype(kind), voxel_size)


@pytest.mark.parametrize("voxel_size", [7.3, 10.012])
@pytest.mark.parametrize(("low", "high"), [(0.2, 0.85), (0.35, 0.7)])
def test_known_faces_are_found(voxel_size, low, high):
    depth = 90 * voxel_size
    tomogram = layered(low * depth, high * depth, voxel_size=voxel_size)
    faces = find_faces(tomogram)
    assert faces.low == pytest.approx(low * depth, abs=3 * voxel_size)
    assert faces.high == pytest.approx(high * depth, abs=3 * voxel_size)
    assert faces.found
    assert len(faces.z) == len(faces.spread) == 90


def test_units_offset_and_contrast_do_not_matter():
    first = find_faces(layered(150, 500))
    second = find_faces(layered(150, 500, scale=-1000, kind=np.int16))
    assert second.low == pytest.approx(first.low, abs=0.5)
    assert second.high == pytest.approx(first.high, abs=0.5)


def test_one_face_outside_the_volume_leaves_that_side_open():
    tomogram = layered(150, 500)
    faces = find_faces(Tomogram("t", tomogram.data[40:], 7.3))
    assert faces.low == -np.inf
    assert faces.high == pytest.approx(500 - 40 * 7.3, abs=25)


def test_noise_alone_has_no_faces():
    data = np.random.default_rng(0).normal(0, 1, (60, 80, 90)).astype(np.float32)
    faces = find_faces(Tomogram("t", data, 10.0))
    assert (faces.low, faces.high, faces.found) == (-np.inf, np.inf, False)
    flat = find_faces(Tomogram("t", np.zeros((20, 30, 40), np.int8), 10.0))
    assert not flat.found


def test_gold_outside_does_not_decide():
    tomogram = layered(200, 500)
    tomogram.data[2:10, 30:38, 40:48] = -300
    faces = find_faces(tomogram)
    assert faces.low == pytest.approx(200, abs=25)


@pytest.mark.parametrize("seed", [1, 2])
def test_simulated_tomograms_have_their_ice_found_and_no_particle_lost(seed):
    tomogram, truth = simulate_tomogram("t", shape=(100, 150, 150), seed=seed)
    faces = find_faces(tomogram)  # the ice lies from 120 to 870 Å
    assert faces.low == pytest.approx(120, abs=75)
    assert faces.high == pytest.approx(870, abs=75)
    assert (truth["slabkitZ"] > faces.low).all()
    assert (truth["slabkitZ"] < faces.high).all()


def test_real_tomograms_keep_their_particles(data_folder):
    import pandas as pd

    from slabkit.formats.volumes.opening import open_tomogram

    truth = pd.read_csv(data_folder / "tomograms/truth.csv")
    for name in ("TS_911", "TS_912", "TS_913", "TS_914"):
        faces = find_faces(open_tomogram(data_folder / f"tomograms/{name}.mrc"))
        z = truth[truth["tomogram"] == name]["z"]
        assert z.min() - 150 < faces.low < z.min()
        assert z.max() < faces.high < z.max() + 150


def test_damaged_voxels_stop():
    tomogram = layered(200, 500)
    tomogram.data[40, 3, 3] = np.nan
    with pytest.raises(InputError, match="NaN or infinite"):
        find_faces(tomogram)


def test_slab_takes_the_sample_only(slabkit, tmp_path):
    tomogram = layered(150, 500)
    write_mrc(tmp_path / "t.mrc", tomogram.data, 7.3, label="test")
    arguments = ("slab", "t.mrc", "-o", "slabs", "--thickness", 100, "--step", 50)
    report = json.loads(slabkit(*arguments, "--z-range", "auto", "--json").stdout)
    low, high = report["faces"]["t"]
    assert (low, high) == pytest.approx((150, 500), abs=25)
    slabs = read_slabs(tmp_path / "slabs/slabs.star")
    first = slabs["slabkitZStart"] * 7.3
    assert first.min() >= low
    assert (first + (slabs["slabkitZCount"] - 1) * 7.3).max() <= high
    assert first.min() < low + 7.3
    noise = np.random.default_rng(0).normal(0, 1, (60, 80, 90)).astype(np.float32)
    write_mrc(tmp_path / "n.mrc", noise, 7.3, label="test")
    done = slabkit("slab", "n.mrc", "-o", "other", "--thickness", 100, "--z-range", "auto")
    assert "n.mrc: no face of the sample is seen" in done.stderr
