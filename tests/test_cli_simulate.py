"""``slabkit simulate`` through the real command line."""

import csv
import json

import mrcfile
import numpy as np
import pytest

from slabkit.formats.tables.native import read_native_picks
from slabkit.simulation import simulate_tomogram


@pytest.fixture(scope="module")
def ball():
    z, y, x = np.indices((24, 26, 28)) - np.array([12, 13, 14])[:, None, None, None]
    return np.exp(-0.5 * (x**2 + y**2 + z**2) / 3**2).astype(np.float32)


def write_map(path, data, voxel_size=7.3):
    with mrcfile.new(path) as file:
        file.set_data(data)
        file.voxel_size = voxel_size
    return path


def test_tomograms_and_truth(slabkit, tmp_path, tour):
    done = slabkit("simulate", "-o", "sim", "--count", 2, "--seed", 5, "--jobs", 2, "--json")
    summary = json.loads(done.stdout)
    assert summary["tomograms"] == 2
    assert summary["particles"] == 38
    assert summary["species"]["ribosome"] == 14
    folder = tmp_path / "sim"
    names = {path.name for path in folder.iterdir()}
    assert {"sim_001.mrc", "sim_002.mrc", "truth.star", "truth.csv"} <= names

    truth = read_native_picks(folder / "truth.star")
    for name in ("sim_001", "sim_002"):
        tomogram, expected = simulate_tomogram(name, seed=5)
        with mrcfile.open(folder / f"{name}.mrc") as file:
            assert file.voxel_size.x == 10
            assert file.data.dtype == np.float32
            np.testing.assert_array_equal(file.data, tomogram.data)
        picks = truth.picks[truth.picks["slabkitTomogram"] == name].reset_index(drop=True)
        for column in expected.columns:
            kind = expected[column].dtype.kind
            if kind == "f":
                np.testing.assert_allclose(picks[column].astype(float), expected[column])
            else:
                assert picks[column].tolist() == expected[column].tolist()
    row = truth.tomograms.iloc[0].to_dict()
    assert row["slabkitTomogramFile"] == "sim/sim_001.mrc"
    assert [row[f"slabkitTomogramSize{axis}"] for axis in "XYZ"] == [256, 256, 96]
    assert (row["slabkitVoxelSize"], row["slabkitTomogramContrast"]) == (10, "dark")

    with (folder / "truth.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["tomogram", "species", "x", "y", "z"]
    assert [row[:2] for row in rows[1:]] == truth.picks[
        ["slabkitTomogram", "slabkitSpecies"]
    ].to_numpy().tolist()
    np.testing.assert_allclose(
        np.array([row[2:] for row in rows[1:]], dtype=float),
        truth.picks[["slabkitX", "slabkitY", "slabkitZ"]],
        atol=6e-4,
    )

    # The same again is skipped; something else is not written over it.
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = slabkit("simulate", "-o", "sim", "--count", 2, "--seed", 5)
    assert "skipped" in again.stderr
    other = slabkit("simulate", "-o", "sim", "--count", 2, "--seed", 4, code=2)
    assert "exists already" in other.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

    # The same bytes, whatever the number of workers.
    for name in ("sim_001.mrc", "sim_002.mrc", "truth.csv"):
        assert (tour / "tomograms" / name).read_bytes() == before[name]


def test_maps_replace_and_add(slabkit, tmp_path, ball):
    write_map(tmp_path / "a map: 1.mrc", ball)
    maps = ["--map", "ribosome=a map: 1.mrc:3", "--map", "my blob=a map: 1.mrc:2"]
    slabkit("simulate", "-o", "sim", *maps, "--noise", 0)
    counts = read_native_picks(tmp_path / "sim" / "truth.star").picks["slabkitSpecies"]
    assert counts.value_counts().to_dict() == {
        "ribosome": 3,
        "virus-like-particle": 2,
        "thyroglobulin": 2,
        "beta-galactosidase": 2,
        "apo-ferritin": 4,
        "beta-amylase": 2,
        "my blob": 2,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "big"], "--preset must be small or czii, not 'big'"),
        (["--map", "ribosome"], "--map takes NAME=FILE:COUNT with a whole number of copies"),
        (["--map", "x=m.mrc"], "not 'x=m.mrc'"),
        (["--map", "x=m.mrc:1.5"], "not 'x=m.mrc:1.5'"),
        (["--map", "x=m.mrc:-1"], "not 'x=m.mrc:-1'"),
        (["--map", "=m.mrc:1"], "not '=m.mrc:1'"),
        (["--map", "x=m.mrc:1", "--map", "x=m.mrc:2"], "--map names x twice"),
        (["--map", "x=none.mrc:1"], "none.mrc"),
        (["--map", "x=dark.mrc:1"], "dark.mrc: the density map has no positive density"),
        (["--map", "x=unset.mrc:1"], "unset.mrc"),
        (["--map", "x=large.mrc:300"], "of 300 x fit into the sample without overlapping"),
        (["--count", "0"], "--count"),
        (["--seed", "-1"], "--seed"),
        (["--noise", "-1"], "--noise"),
    ],
)
def test_bad_input_writes_nothing(slabkit, tmp_path, ball, arguments, message):
    write_map(tmp_path / "m.mrc", ball)
    write_map(tmp_path / "large.mrc", ball, voxel_size=25)
    write_map(tmp_path / "dark.mrc", -ball)
    write_map(tmp_path / "unset.mrc", ball, voxel_size=0)
    done = slabkit("simulate", "-o", "sim", *arguments, code=2)
    assert message in done.stderr.replace("\n", " ")
    assert [path for path in tmp_path.glob("sim/*") if path.is_file()] == []
