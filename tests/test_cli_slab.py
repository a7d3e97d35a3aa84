"""`slabkit slab` as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys

import mrcfile
import numpy as np
import pytest

from slabkit.formats.tables.native import read_slabs


def write(path, shape=(40, 12, 20), voxel_size=10.0, seed=0, dtype=np.int16):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.random.default_rng(seed).integers(-100, 100, shape).astype(dtype)
    with mrcfile.new(path, data) as mrc:
        mrc.voxel_size = voxel_size
    return data


def test_slabs_are_micrographs_with_a_table(slabkit, tmp_path):
    volumes = {
        name: write(tmp_path / f"{name}.mrc", seed=i) for i, name in enumerate(("cmr", "T.1"))
    }
    done = slabkit("slab", "cmr.mrc", "T.1.mrc", "-o", "slabs", "--thickness", 100, "--step", 75)
    assert "\nslab: → slabs/slabs.star\n" in done.stderr
    assert done.stdout == ""
    slabs = read_slabs(tmp_path / "slabs" / "slabs.star")
    assert slabs["rlnMicrographName"][0] == "slabs/cmr_slab000.mrc"
    assert slabs["rlnTomoName"].unique().tolist() == ["cmr", "T.1"]
    for row in slabs.itertuples():
        with mrcfile.open(tmp_path / row.rlnMicrographName) as mrc:
            assert mrc.data.shape == (12, 20)
            assert mrc.data.dtype == np.float32
            assert mrc.voxel_size.x == mrc.voxel_size.y == 10.0
            assert mrc.header.dmin == mrc.data.min()
            assert mrc.header.dmax == mrc.data.max()
            assert mrc.header.dmean == pytest.approx(mrc.data.mean(dtype=float), abs=1e-4)
            assert mrc.header.rms == pytest.approx(mrc.data.std(dtype=float), rel=1e-5)
            label = f"slabkit slab: mean of planes {row.slabkitZStart} to {row.slabkitZStart + 9}"
            assert mrc.get_labels()[0].startswith(label)
            assert len(mrc.get_labels()) == 1
            planes = volumes[row.rlnTomoName][row.slabkitZStart : row.slabkitZStart + 10]
            np.testing.assert_array_equal(mrc.data, planes.mean(axis=0).astype(np.float32))


def test_bytes_do_not_depend_on_jobs_or_run(slabkit, tmp_path):
    write(tmp_path / "t.mrc", (50, 300, 250))
    for out, jobs in (("one", 1), ("two", 2)):
        slabkit("slab", "t.mrc", "-o", out, "--thickness", 150, "--step", 60, "--jobs", jobs)
    for file in (tmp_path / "one").glob("*.mrc"):
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
    first, second = ((tmp_path / out / "slabs.star").read_text() for out in ("one", "two"))
    assert first == second.replace("two/", "one/")


def test_margins_are_reported(slabkit, tmp_path):
    write(tmp_path / "t.mrc", (95, 4, 5), voxel_size=7.3)
    done = slabkit("slab", "t.mrc", "-o", "s", "--json")
    report = json.loads(done.stdout)
    # 300 Å are 41 planes; 13 planes are left over, 6 below and 7 above.
    assert report["margins"] == {"t": [pytest.approx(6 * 7.3), pytest.approx(7 * 7.3)]}
    assert report["slabs"] == 2


def test_one_broken_tomogram_does_not_stop_the_others(slabkit, tmp_path):
    write(tmp_path / "a.mrc")
    write(tmp_path / "b.mrc")
    with (tmp_path / "b.mrc").open("r+b") as file:
        file.truncate(2000)
    done = slabkit("slab", "a.mrc", "b.mrc", "-o", "s", code=1)
    assert "failed: b: " in done.stderr
    assert [p.name for p in sorted((tmp_path / "s").glob("*.mrc"))] == ["a_slab000.mrc"]
    assert read_slabs(tmp_path / "s" / "slabs.star")["rlnTomoName"].tolist() == ["a"]


def test_nonfinite_voxels_stop_a_tomogram_midway_and_leave_nothing(slabkit, tmp_path):
    data = np.ones((60, 4, 5), np.float32) * np.arange(5, dtype=np.float32)
    data[55, 1, 2] = np.nan
    with mrcfile.new(tmp_path / "t.mrc", data) as mrc:
        mrc.voxel_size = 10
    done = slabkit("slab", "t.mrc", "-o", "s", code=2)
    assert "z=55, y=1, x=2" in done.stderr
    assert not list((tmp_path / "s").glob("*"))
    slabkit("slab", "t.mrc", "-o", "s", "--fill-nonfinite", "median")
    assert len(list((tmp_path / "s").glob("*.mrc"))) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.mrc"], "nowhere.mrc"),
        (["t.mrc", "--thickness", "0"], "--thickness must be a positive number of Å, not 0"),
        (["t.mrc", "--step", "nan"], "--step must be a positive number of Å, not nan"),
        (["t.mrc", "--step", "5"], "step of 5 Å is below the voxel size of 10 Å"),
        (["t.mrc", "--step", "100", "--cover"], "exclude each other"),
        (["t.mrc", "--z-range", "9:1"], "--z-range takes MIN:MAX"),
        (["t.mrc", "--reduce", "max"], "--reduce must be mean or sum"),
        (["t.mrc", "--contrast", "black"], "--contrast must be dark or bright"),
        (["unset.mrc"], "--voxel-size"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_written(slabkit, tmp_path, arguments, message):
    write(tmp_path / "t.mrc", (40, 4, 5))
    with mrcfile.new(tmp_path / "unset.mrc", np.zeros((40, 4, 5), np.float32)):
        pass
    done = slabkit("slab", *arguments, "-o", "s", code=2)
    assert message in done.stderr
    assert done.stderr.count("error:") == 1
    assert done.stderr.count(message) == 1
    assert not list(tmp_path.glob("s/*"))


MEMORY = """
import sys, threading, time
peak, stop = [0], threading.Event()
def watch():
    while not stop.is_set():
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("RssAnon"):
                    peak[0] = max(peak[0], int(line.split()[1]))
        time.sleep(0.002)
threading.Thread(target=watch, daemon=True).start()
from slabkit.cli import main
sys.argv = ["slabkit", "slab", "big.mrc", "-o", sys.argv[1], *sys.argv[2:]]
try:
    main.main()
finally:
    stop.set()
    print(peak[0])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("step", [[], ["--step", "75"]])
def test_memory_is_a_few_images_not_the_volume(tmp_path, step):
    shape = (240, 700, 700)  # 470 MB
    with mrcfile.new_mmap(tmp_path / "big.mrc", shape, mrc_mode=2) as mrc:
        mrc.voxel_size = 5.0
        for z in range(shape[0]):
            mrc.data[z] = np.arange(shape[2], dtype=np.float32) + z
    command = [sys.executable, "-c", MEMORY, "out", *step]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    peak = int(done.stdout.split()[-1]) * 1024
    volume = np.prod(shape) * 4
    image = shape[1] * shape[2] * 8
    # The interpreter with pandas takes about 120 MB; beside it, the images of overlapping slabs.
    assert peak < 160e6 + 12 * image < volume / 2
