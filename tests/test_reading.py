"""How a volume is read travels with the tables, so that every command reads it the same way."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from volume_files import gallery_file, write_ome_zarr

import slabkit as api
from slabkit.errors import InputError, SlabkitWarning
from slabkit.formats.tables.native import PickList, write_picks, write_slabs
from slabkit.formats.tomograms.listing import list_tomograms, pick_tomograms, slab_tomograms
from slabkit.formats.tomograms.table import read_tomograms
from slabkit.mapping import tomogram_table
from slabkit.slabs.projection import plan_slabs, slab_columns
from slabkit.tables import PICKS, SLABS, make_table
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
        "half": "2",
    }
    assert asdict(Reading.parse(Reading(**options).text())) == options
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
    with mrcfile.open(gallery_file(tmp_path / "m", 0)) as mrc:
        row = picks.picks.index[picks.picks["slabkitPickId"] == best["slabkitPickId"]][0]
        tile = mrc.data[:20, 20 * row : 20 * row + 20]
        darkest = np.argwhere(tile < tile.min() / 2).mean(axis=0)
        np.testing.assert_allclose(darkest, [10, 10], atol=1)
    gallery = gallery_file(tmp_path / "m", 0).read_bytes()
    for number, named in enumerate(["t.mrc", "p.star"]):
        options = ["--box", "200", "--depth", "120", "--tomograms", named]
        slabkit("minislab", "p.star", "-o", f"m{number}", *options)
        assert gallery_file(tmp_path / f"m{number}", 0).read_bytes() == gallery
    slabkit("slab", "p.star", "-o", "s2", "--thickness", "150", "--step", "50")
    for file in (tmp_path / "s").glob("*.mrc"):
        assert (tmp_path / "s2" / file.name).read_bytes() == file.read_bytes()


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


# Every option on every road: what slab was told holds wherever the tomogram is named later.

SHAPE = (6, 16, 18)
MRC_OPTIONS = [
    Reading(),
    Reading(voxel_size=7.84),
    Reading(axis_order="yzx"),
    Reading(uint8=True),
    Reading(flip_z=True),
    Reading(fill_nonfinite="median"),
    Reading(voxel_size=7.84, axis_order="zxy", flip_z=True, fill_nonfinite="median"),
]
ZARR_OPTIONS = [
    Reading(),
    Reading(voxel_size=7.84),
    Reading(axis_order="yzx"),
    Reading(flip_z=True),
    Reading(level=1),
    Reading(allow_missing_chunks=True),
    Reading(fill_nonfinite="median"),
    Reading(axis_order="zxy", flip_z=True, level=1, fill_nonfinite="median"),
]


def write_mrc_volume(path, reading, shape=SHAPE):
    data = np.random.default_rng(0).normal(0, 40, shape).astype(np.float32)
    if reading.uint8:
        data = data.clip(-99, 99).astype(np.int8)
    if reading.fill_nonfinite:
        data[2, 3, 4] = np.nan
    path.parent.mkdir(parents=True, exist_ok=True)
    with mrcfile.new(path, data, overwrite=True) as mrc:
        mrc.voxel_size = 10
    return path


def write_zarr_volume(path, reading):
    zarr = pytest.importorskip("zarr")
    data = np.random.default_rng(0).normal(0, 40, SHAPE).astype(np.float32)
    if reading.fill_nonfinite:
        data[2, 4, 4] = np.nan
    path.parent.mkdir(parents=True, exist_ok=True)
    scales = [[{"type": "scale", "scale": [10.0 * 2**level] * 3}] for level in range(2)]
    datasets = [
        {"path": str(level), "coordinateTransformations": scales[level]} for level in range(2)
    ]
    write_ome_zarr(path, data, datasets=datasets, chunks=(3, 16, 18))
    zarr.open_group(str(path)).create_array("1", data=data[::2, ::2, ::2])
    if reading.allow_missing_chunks:
        (path / "0" / "0.0.0").unlink()
    return path


def voxels(tomogram):
    block = tomogram.read((0, 0, 0), tomogram.shape)
    return tomogram.check_finite(block, (0, 0, 0))


def recorded(arguments, reading, target):
    """Make the slab table and pick list of the only tomogram of some arguments, as slab does."""
    (ref,) = list_tomograms(arguments, reading=reading)
    tomogram = ref.open()
    plan = plan_slabs(tomogram, thickness=20, cover=True)
    slabs = make_table(SLABS, slab_columns(tomogram, plan, tomogram_file=str(tomogram.path)))
    pick = {f"slabkit{axis}": [20.0] for axis in "XYZ"}
    picks = make_table(PICKS, {"slabkitPickId": ["a"], "slabkitTomogram": [tomogram.name], **pick})
    write_picks(target, PickList(picks, tomogram_table(slabs)))
    return tomogram, slabs, api.read_picks(target)


def same(opened, expected):
    assert opened.voxel_size == expected.voxel_size
    np.testing.assert_array_equal(voxels(opened), voxels(expected))


def check_roads(expected, slabs, picks, table, roads):
    """Open the tomogram by way of each table, and of each argument of --tomograms."""
    same(slab_tomograms(slabs)[expected.name].open(), expected)
    same(pick_tomograms(picks, table)[expected.name].open(), expected)
    (listed,) = list_tomograms([table])
    same(listed.open(), expected)
    assert read_tomograms([table])["slabkitTomogramReading"].tolist() == [expected.reading]
    for road in roads:
        same(pick_tomograms(picks, table, [road])[expected.name].open(), expected)


@pytest.mark.filterwarnings("ignore::slabkit.errors.SlabkitWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize("reading", MRC_OPTIONS, ids=Reading.text)
def test_every_option_on_every_road_to_an_mrc_file(tmp_path, monkeypatch, reading):
    monkeypatch.chdir(tmp_path)
    file = write_mrc_volume(tmp_path / "a" / "TS_1.mrc", reading)
    other = write_mrc_volume(tmp_path / "b" / "TS_1.mrc", reading)
    relion = tmp_path / "tomograms.star"
    relion.write_text(
        "data_global\n\nloop_\n_rlnTomoName\n_rlnTomoTiltSeriesPixelSize\n"
        "_rlnTomoReconstructedTomogram\nTS_1 2.5 b/TS_1.mrc\n"
    )
    plain = tmp_path / "plain.star"
    plain.write_text(
        "data_tomograms\n\nloop_\n_slabkitTomogram\n_slabkitTomogramFile\nTS_1 b/TS_1.mrc\n"
    )
    made = recorded([file], reading, "p.star")
    slab_table = tmp_path / "slabs.star"
    write_slabs(slab_table, made[1])
    roads = [file, "a", other, "b", "b/*.mrc", "p.star", slab_table, relion, plain]
    check_roads(*made, "p.star", roads)


@pytest.mark.filterwarnings("ignore::slabkit.errors.SlabkitWarning")
@pytest.mark.parametrize("reading", ZARR_OPTIONS, ids=Reading.text)
def test_every_option_on_every_road_to_a_zarr_of_a_project(tmp_path, monkeypatch, reading):
    monkeypatch.chdir(tmp_path)
    run = Path("o", "ExperimentRuns", "wbp")
    file = write_zarr_volume(run / "VoxelSpacing10.000" / "wbp.zarr", reading)
    other = write_zarr_volume(Path("b", "wbp.zarr"), reading)
    config = {"config_type": "filesystem", "pickable_objects": [], "overlay_root": "local://o"}
    Path("c.json").write_text(json.dumps(config))
    made = recorded([file], reading, "p.star")
    check_roads(*made, "p.star", [file, other, "b", "p.star", "copick:c.json"])
    if reading.voxel_size is None:  # which in a project says which tomograms are meant
        check_roads(*recorded(["copick:c.json"], reading, "q.star"), "q.star", ["copick:c.json"])


@pytest.mark.filterwarnings("ignore::slabkit.errors.SlabkitWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("reading", "shape", "message"),
    [
        (Reading(level=1), SHAPE, r"\(level=1\): it is no OME-Zarr"),
        (Reading(uint8=True), SHAPE, r"\(uint8=1\): its voxels are float32, not bytes"),
        (Reading(axis_order="yxz"), (16, 6, 18), r"axis_order=yxz\): it has .* voxels \(x, y, z\)"),
        (
            Reading(voxel_size=7.84),
            (3, 8, 9),
            r"\(voxel_size=7.84\): it has 9 × 8 × 3 voxels \(x, y, z\), that one 18 × 16 × 6; "
            "give --voxel-size, give the volume",
        ),
    ],
)
def test_what_cannot_hold_for_another_volume_stops(tmp_path, monkeypatch, reading, shape, message):
    monkeypatch.chdir(tmp_path)
    if reading.level:
        write_zarr_volume(Path("a", "TS_1.zarr"), reading)
    else:
        write_mrc_volume(Path("a", "TS_1.mrc"), reading)
    other = write_mrc_volume(Path("b", "TS_1.mrc"), Reading(), shape)
    _, _, picks = recorded(["a"], reading, "p.star")
    ref = pick_tomograms(picks, "p.star", ["b"])["TS_1"]
    with pytest.raises(InputError, match=rf"b/TS_1.mrc: cannot .* p.star .* TS_1 .*{message}"):
        ref.open()
    if reading.voxel_size:
        binned = Reading(voxel_size=2 * 7.84)
        for opened in (
            ref.but(reading=binned),
            pick_tomograms(picks, "p.star", [other], reading=binned)["TS_1"],
        ):
            assert opened.open().voxel_size == 15.68
