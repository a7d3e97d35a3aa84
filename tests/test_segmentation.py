"""Segmentations to picks: components of a stream, splitting, centres, sizes, the command."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.ndimage import label

import slabkit.picking.segmentation as volume_module
from slabkit.arrays.components import ComponentFinder, longest_extent, split_object
from slabkit.errors import InputError, SlabkitWarning
from slabkit.formats.tables.native import read_native_picks
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.picking.segmentation import pick_segmentation, segmentation_kind
from slabkit.tomogram import Tomogram

EDGE = 7.3


def found(volume, planes):
    finder = ComponentFinder()
    for z in range(0, len(volume), planes):
        finder.add(volume[z : z + planes], z)
    return finder.components()


@pytest.mark.parametrize("density", [0.05, 0.3, 0.34, 0.6])
@pytest.mark.parametrize("planes", [1, 2, 5, 40])
def test_components_of_a_stream_are_those_of_the_whole(density, planes):
    volume = np.random.default_rng(int(100 * density)).random((17, 11, 14)) < density
    numbers, count = label(volume)
    components = found(volume, planes)
    assert len(components) == count
    assert components == found(volume, len(volume))
    firsts = [np.ravel_multi_index(one.inside, volume.shape) for one in components]
    assert firsts == sorted(firsts)
    for one in components:
        own = np.argwhere(numbers == numbers[one.inside])
        assert one.voxels == len(own)
        assert one.start == tuple(own.min(axis=0))
        assert one.stop == tuple(own.max(axis=0) + 1)
        assert one.inside == tuple(own[0])


def test_no_voxel_no_component():
    assert found(np.zeros((4, 5, 6), bool), 2) == []


def balls(shape, centres_vox, radii_vox, kind=np.int16, labels=None):
    """Balls at places (z, y, x) in voxels."""
    z, y, x = np.indices(shape)
    volume = np.zeros(shape, kind)
    for number, ((cz, cy, cx), radius) in enumerate(zip(centres_vox, radii_vox, strict=True)):
        ball = (z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 <= radius**2
        volume[ball] = 1 if labels is None else labels[number]
    return volume


def test_an_objects_length_is_along_its_own_axis():
    bar = np.zeros((30, 30, 30), bool)
    for step in range(25):
        bar[step, step, step] = True
    assert longest_extent(bar) == pytest.approx(24 * np.sqrt(3) + 1)
    assert longest_extent(np.ones((3, 4, 11), bool)) == pytest.approx(11, abs=0.01)
    assert longest_extent(np.zeros((3, 3, 3), bool)) == 0


@pytest.mark.parametrize("apart", [0.75, 0.9, 1.0])
def test_touching_balls_are_told_apart_where_they_are(apart):
    radius = 9.0
    first, second = np.array([14, 15, 16.0]), np.array([14, 15, 16.0])
    second = second + 2 * radius * apart * np.array([0.6, 0.0, 0.8])
    mask = balls((40, 30, 45), [first, second], [radius] * 2).astype(bool)
    parts = split_object(mask, 2 * radius)
    assert parts.max() == 2
    assert ((parts > 0) == mask).all()
    middles = [np.argwhere(parts == n).mean(axis=0) for n in (1, 2)]
    for centre in (first, second):
        assert min(np.linalg.norm(middle - centre) for middle in middles) < 0.2 * radius


def test_one_particle_stays_one():
    z, y, x = np.indices((40, 40, 60)) - np.array([20, 20, 30])[:, None, None, None]
    rod = (z / 7) ** 2 + (y / 7) ** 2 + (x / 20) ** 2 <= 1
    assert split_object(rod, 40).max() == 1
    away = np.sqrt(z**2 + y**2 + x**2)
    shell = (away <= 18) & (away >= 14)
    assert split_object(shell, 28).max() == 1  # hollow, and a little longer than told


def test_centres_sizes_and_species_are_exact():
    centres = [(12, 20, 30), (25, 45, 20), (24, 15, 62), (30, 52, 60)]
    radii = [7, 5, 7, 2]
    data = balls((40, 61, 83), centres, radii, labels=[1, 2, 1, 2])
    mask = Tomogram("00255", data, EDGE)
    before = data.copy()
    picks, counts = pick_segmentation(
        mask, diameter={1: 14 * EDGE, 2: 10 * EDGE}, species={1: "ribosome", 2: "vlp"}
    )
    np.testing.assert_array_equal(data, before)
    assert (counts.objects, counts.small, counts.split, counts.picks) == (4, 1, 0, 3)
    places = picks[["slabkitZ", "slabkitY", "slabkitX"]].to_numpy()
    expected = np.array(centres[:3]) * EDGE
    order = [int(np.argmin(np.linalg.norm(places - one, axis=1))) for one in expected]
    np.testing.assert_allclose(places[order], expected, atol=1e-9)
    assert picks["slabkitSpecies"].to_numpy()[order].tolist() == ["ribosome", "vlp", "ribosome"]
    assert picks["slabkitDiameter"].to_numpy()[order] == pytest.approx(
        np.array([14, 10, 14]) * EDGE
    )
    assert set(picks["slabkitTomogram"]) == {"00255"}
    assert picks["slabkitPickId"].is_unique
    assert picks["slabkitScore"].between(0.9, 1).all()
    assert picks["slabkitFlags"].eq("").all()


def test_the_cut_off_is_two_thirds_of_the_largest_dimension():
    data = np.zeros((5, 9, 80), np.uint8)
    data[2, 2, 2:22] = 1  # 20 voxels
    data[2, 6, 40:59] = 1  # 19 voxels
    mask = Tomogram("t", data, 10.0)
    picks, counts = pick_segmentation(mask, diameter=300.0)
    assert picks["slabkitX"].tolist() == [115.0]
    assert (counts.small, counts.picks) == (1, 1)
    assert pick_segmentation(mask, diameter=300.0, min_size=0.6)[1].picks == 2
    assert picks["slabkitFlags"].tolist() == ["near-face"]


def test_probabilities_weigh_the_centre_and_score_it():
    data = np.zeros((9, 12, 30), np.float32)
    data[4, 5, 8:18] = np.linspace(0.55, 0.95, 10)
    data[4, 5, 18] = 0.45  # below the threshold
    mask = Tomogram("t", data, EDGE)
    assert segmentation_kind(mask) == "probability"
    picks, _ = pick_segmentation(mask, diameter=10 * EDGE)
    weight = np.linspace(0.55, 0.95, 10)
    assert picks["slabkitX"][0] == pytest.approx(
        EDGE * np.average(np.arange(8, 18), weights=weight)
    )
    assert picks["slabkitScore"][0] == pytest.approx(weight.mean(), abs=1e-6)
    assert picks["slabkitScoreKind"][0] == "segmentation-probability"
    scaled = Tomogram("t", np.round(data * 255).astype(np.uint8), EDGE)
    again, _ = pick_segmentation(scaled, diameter=10 * EDGE, kind="probability")
    assert again["slabkitX"][0] == pytest.approx(picks["slabkitX"][0], abs=0.05)
    assert again["slabkitScore"][0] == pytest.approx(weight.mean(), abs=0.01)


def test_blocks_and_boxes_do_not_change_the_picks(monkeypatch):
    rng = np.random.default_rng(0)
    centres = rng.uniform([12] * 3, [48, 68, 78], (14, 3))
    data = balls((60, 80, 90), centres, [9.0] * 14)
    mask = Tomogram("t", data, 10.012)
    whole, counts = pick_segmentation(mask, diameter=180.0)
    assert counts.split >= 1
    monkeypatch.setattr(volume_module, "_BLOCK_VOXELS", 80 * 90 * 7)
    blocked, _ = pick_segmentation(mask, diameter=180.0)
    assert blocked.equals(whole)


def test_a_huge_object_is_split_at_a_coarser_grid_in_the_same_places(monkeypatch):
    centres = [(17, 20, 20 + 17 * i) for i in range(5)]  # a string of touching balls
    data = balls((36, 41, 110), centres, [9.0] * 5)
    mask = Tomogram("t", data, 10.0)
    whole, _ = pick_segmentation(mask, diameter=180.0)
    assert len(whole) == 5
    monkeypatch.setattr(volume_module, "_LARGEST_OBJECT", 20000)
    with pytest.warns(SlabkitWarning, match="is split at voxels 2 times as large"):
        coarse, _ = pick_segmentation(mask, diameter=180.0)
    assert len(coarse) == 5
    for table, slack in ((whole, 10.0), (coarse, 15.0)):
        x = np.sort(table["slabkitX"].to_numpy())
        np.testing.assert_allclose(x, 10.0 * np.array(centres)[:, 2], atol=slack)
    # An object that is not split has its centre to a fraction of a voxel at any grid.
    single = Tomogram("t", balls((41, 43, 45), [(20, 21, 22)], [14.0]), 10.0)
    with pytest.warns(SlabkitWarning, match="times as large"):
        picks, _ = pick_segmentation(single, diameter=280.0)
    place = picks[["slabkitZ", "slabkitY", "slabkitX"]].to_numpy()[0]
    np.testing.assert_allclose(place, [200, 210, 220], atol=1.0)


def test_labels_without_a_diameter_are_left_out_and_named():
    data = balls((30, 30, 60), [(15, 15, 15), (15, 15, 45)], [8, 8], labels=[1, 7])
    with pytest.warns(SlabkitWarning, match="no diameter is given for label 7, left out"):
        picks, counts = pick_segmentation(Tomogram("t", data, 10.0), diameter={1: 160.0})
    assert len(picks) == 1
    assert counts.ignored == (7,)


def test_empty_masks_give_empty_tables():
    picks, counts = pick_segmentation(Tomogram("t", np.zeros((4, 5, 6), np.int8), 10.0), diameter=9)
    assert len(picks) == 0
    assert counts.objects == 0
    assert "slabkitPickId" in picks


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (np.full((3, 3, 3), -0.5, np.float32), {}, "neither labels nor probabilities"),
        (np.full((3, 3, 3), 0.5, np.float32), {"kind": "labels"}, "labels are whole numbers"),
        (np.full((3, 3, 3), np.nan, np.float32), {}, "NaN or infinite"),
        (np.ones((3, 3, 3), np.int8), {"diameter": -1}, "must be a positive number of Å, not -1"),
        (np.ones((3, 3, 3), np.int8), {"diameter": {1: 0.0}}, "diameter of label 1 must be"),
        (np.ones((3, 3, 3), np.int8), {"kind": "mask"}, "--kind must be labels or probability"),
        (np.arange(125).reshape(5, 5, 5), {"kind": "labels"}, "a number of its own"),
    ],
)
def test_what_cannot_be_understood_is_said(data, options, message):
    options = {"diameter": 100.0, **options}
    with pytest.raises(InputError, match=message):
        pick_segmentation(Tomogram("t", data, 10.0), **options)


@pytest.fixture
def masks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "masks").mkdir()
    data = balls((30, 50, 70), [(15, 15, 15), (15, 32, 50)], [8, 5], kind=np.int8, labels=[1, 2])
    for name in ("TS_1_seg", "TS_10_seg"):
        write_mrc(tmp_path / f"masks/{name}.mrc", data, EDGE, label="test")
    return tmp_path


PICK = ("pick", "segmentation", "masks", "-o", "p.star", "--suffix", "_seg")
SIZES = ("--diameter", f"1={16 * EDGE},vlp={10 * EDGE}", "--species", "1=ribosome,2=vlp")


def test_the_command_writes_a_pick_list(slabkit, masks):
    report = json.loads(slabkit(*PICK, *SIZES, "--json").stdout)
    assert (report["tomograms"], report["objects"], report["picks"]) == (2, 4, 4)
    table = read_native_picks("p.star")
    assert sorted(table.tomograms["slabkitTomogram"]) == ["TS_1", "TS_10"]
    row = table.tomograms.iloc[0]
    assert [row[f"slabkitTomogramSize{axis}"] for axis in "XYZ"] == [70, 50, 30]
    assert row["slabkitVoxelSize"] == pytest.approx(EDGE)
    own = table.picks[table.picks["slabkitTomogram"] == "TS_10"].set_index("slabkitSpecies")
    assert own.loc["vlp", "slabkitX"] == pytest.approx(50 * EDGE)
    assert own.loc["ribosome", "slabkitY"] == pytest.approx(15 * EDGE)
    assert "finished already" in slabkit(*PICK, *SIZES).stderr


def test_tomograms_give_names_and_files(slabkit, masks):
    for name in ("TS_1", "TS_10"):
        data = np.zeros((15, 25, 35), np.int8)
        write_mrc(masks / f"{name}.mrc", data, 2 * EDGE, label="test")
    given = ("--tomograms", "TS_1.mrc", "--tomograms", "TS_10.mrc")
    slabkit(*PICK[:-2], *SIZES, *given)
    table = read_native_picks("p.star").tomograms
    assert sorted(table["slabkitTomogramFile"]) == ["TS_1.mrc", "TS_10.mrc"]
    assert table["slabkitTomogramSizeX"].tolist() == [35, 35]
    write_mrc(masks / "TS_10.mrc", np.zeros((15, 25, 60), np.int8), 2 * EDGE, label="test")
    done = slabkit(*PICK[:-2], *SIZES, *given, "--overwrite", code=1)
    assert "TS_10_seg.mrc: is 511 × 365 × 219 Å large, the tomogram TS_10 876 ×" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*PICK, "--diameter", "x"), "--diameter takes Å or LABEL=Å, not 'x'"),
        ((*PICK, "--diameter", "vlp=100"), "names vlp, which is no label; say which"),
        ((*PICK, "--diameter", "9", "--species", "a=b"), "--species takes NAME or LABEL=NAME"),
        ((*PICK[:-1], "_mask", "--diameter", "9"), "'TS_10_seg' does not end in '_mask'"),
        ((*PICK[:2], "nothing.mrc", *PICK[3:], "--diameter", "9"), "there is no such file"),
        ((*PICK, "--diameter", "9", "--tomograms", "x"), "both say how masks are named"),
    ],
)
def test_bad_options_write_nothing(slabkit, masks, arguments, message):
    assert message in slabkit(*arguments, code=2).stderr
    assert not (masks / "p.star").exists()


def segmentation_project(folder):
    """A copick project with a multilabel segmentation of two runs, as copick lays it out."""
    zarr = pytest.importorskip("zarr")
    config = {
        "config_type": "filesystem",
        "overlay_root": f"local://{folder / 'overlay'}",
        "pickable_objects": [
            {"name": "ribosome", "is_particle": True, "label": 1, "radius": 80},
            {"name": "membrane", "is_particle": False, "label": 2, "radius": 10},
        ],
    }
    (folder / "config.json").write_text(json.dumps(config))
    data = balls((30, 50, 70), [(15, 15, 15), (15, 32, 50)], [8, 5], np.uint8, [1, 2])
    for run in ("TS_1", "TS_2"):
        path = folder / f"overlay/ExperimentRuns/{run}/Segmentations"
        store = path / "10.000_kim_0_paint-multilabel.zarr"
        store.mkdir(parents=True)
        group = zarr.open_group(str(store), mode="w", zarr_format=2)
        group.create_array("0", data=data, chunks=(16, 64, 64))
        axes = [{"name": name, "type": "space", "unit": "angstrom"} for name in "zyx"]
        scale = [{"type": "scale", "scale": [10.0] * 3}]
        level = {"path": "0", "coordinateTransformations": scale}
        group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [level]}]


def test_copick_segmentations_know_their_objects(slabkit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    segmentation_project(tmp_path)
    done = slabkit("pick", "segmentation", "copick:config.json", "-o", "p.star", "--json")
    report = json.loads(done.stdout)
    assert (report["tomograms"], report["picks"]) == (2, 2)
    assert "no diameter is given for label 2, left out" in done.stderr
    picks = read_native_picks("p.star").picks
    assert sorted(picks["slabkitTomogram"]) == ["TS_1", "TS_2"]
    assert set(picks["slabkitSpecies"]) == {"ribosome"}
    assert set(picks["slabkitDiameter"]) == {160.0}
    np.testing.assert_allclose(picks[["slabkitX", "slabkitY", "slabkitZ"]], 150.0)
    other = ("pick", "segmentation", "copick:config.json", "-o", "q.star", "--object")
    assert "there are kim_0_paint at 10 Å" in slabkit(*other, "nothing", code=2).stderr
    slabkit(*other, "kim_0_paint", "--diameter", "membrane=100")
    assert set(read_native_picks("q.star").picks["slabkitSpecies"]) == {"membrane"}
