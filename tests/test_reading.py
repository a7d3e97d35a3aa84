"""How a volume is read travels with the tables, so that every command reads it the same way."""

from __future__ import annotations

import mrcfile
import numpy as np
import pytest

import slabkit as api
from slabkit.errors import InputError, SlabkitWarning
from slabkit.tomogram import Reading


def test_options_survive_the_table():
    options = {
        "voxel_size": 7.84,
        "axis_order": "yzx",
        "uint8": False,
        "flip_z": True,
        "level": 2,
        "allow_missing_chunks": True,
        "fill_nonfinite": "median",
    }
    assert Reading.parse(Reading(**options).text()).keywords() == options
    assert Reading(uint8=None, level=0).text() == ""
    assert Reading.parse("") == Reading()
    with pytest.raises(InputError, match="has 'mirror=1', which slabkit does not know"):
        Reading.parse("mirror=1")


def test_flipped_planes_are_the_planes_in_reverse(tmp_path):
    data = np.random.default_rng(0).normal(size=(7, 9, 11)).astype(np.float32)
    with mrcfile.new(tmp_path / "t.mrc", data) as mrc:
        mrc.voxel_size = 10
    tomogram = api.open_tomogram(tmp_path / "t.mrc", flip_z=True)
    np.testing.assert_array_equal(tomogram.read((0, 0, 0), (7, 9, 11)), data[::-1])
    np.testing.assert_array_equal(tomogram.read((2, 3, 4), (5, 6, 11)), data[::-1][2:5, 3:6, 4:])
    assert tomogram.reading == "flip_z=1"
    assert any("--flip-z" in note for note in tomogram.notes)


def test_the_whole_chain_reads_an_odd_volume_alike(slabkit, tmp_path):
    """A mirrored volume with y and z swapped, unset voxel size and a hole: said once, at slab."""
    shape = (30, 60, 70)
    rng = np.random.default_rng(1)
    data = rng.normal(0, 0.05, shape).astype(np.float32)
    z, y, x = np.indices(shape)
    data -= (np.hypot(np.hypot(z - 11, y - 20), x - 41) < 6).astype(np.float32)
    data[25, 50, 5] = np.nan
    stored = np.ascontiguousarray(data[::-1].transpose(1, 0, 2))  # file axes are y, z, x
    with mrcfile.new(tmp_path / "t.mrc", stored) as mrc:
        mrc.voxel_size = 0
    options = ["--axis-order", "yzx", "--flip-z", "--voxel-size", "10"]
    options += ["--fill-nonfinite", "median"]
    slabkit("slab", "t.mrc", "-o", "s", "--thickness", "150", "--step", "50", *options)
    slabkit("pick", "blob", "s/slabs.star", "-o", "p2.star", "--diameter", "80:180")
    slabkit("map", "p2.star", "--slabs", "s/slabs.star", "-o", "p.star")
    slabkit("minislab", "p.star", "-o", "m", "--box", "200", "--depth", "120")
    picks = api.read_picks(tmp_path / "p.star")
    best = picks.picks.nlargest(1, "slabkitScore").iloc[0]
    place = best[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy(dtype=float)
    np.testing.assert_allclose(place, [410, 200, 110], atol=6)
    assert picks.tomograms["slabkitTomogramReading"].tolist() == [
        "voxel_size=10.0,axis_order=yzx,flip_z=1,fill_nonfinite=median"
    ]
    with mrcfile.open(tmp_path / "m" / "minislabs_000.mrc") as mrc:
        row = picks.picks.index[picks.picks["slabkitPickId"] == best["slabkitPickId"]][0]
        tile = mrc.data[:20, 20 * row : 20 * row + 20]
        darkest = np.argwhere(tile < tile.min() / 2).mean(axis=0)
        np.testing.assert_allclose(darkest, [10, 10], atol=1)


def test_a_flipped_reading_gives_the_mirrored_depth(tmp_path):
    data = np.zeros((8, 15, 16), np.float32)
    data[2, 3] = 1
    with mrcfile.new(tmp_path / "t.mrc", data) as mrc:
        mrc.voxel_size = 10
    with pytest.warns(SlabkitWarning, match="constant"):
        images, _ = api.project_slabs(
            api.open_tomogram(tmp_path / "t.mrc", flip_z=True), thickness=10, cover=True
        )
    assert [image.max() for image in images] == [0, 0, 0, 0, 0, 1, 0, 0]
