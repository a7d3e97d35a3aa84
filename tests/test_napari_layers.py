"""The napari plug-in: what napari is given, and that it is found where napari looks."""

from __future__ import annotations

from importlib import resources

import mrcfile
import numpy as np
import pytest
from test_view import DECISIONS, NAME, PLACES, SHAPE, VOXEL, picks, volume
from volume_files import write_ome_zarr

from slabkit.formats.picks.writing import write_picks
from slabkit.formats.tables.native import PickList
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.napari import LazyVolume, get_reader
from slabkit.pictures.colours import css, species_colours


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_mrc(f"{NAME}.mrc", volume(), VOXEL, label="test")
    write_picks("p.star", picks([NAME, "2"]))
    return tmp_path


@pytest.mark.parametrize("file", [f"{NAME}.mrc", f"{NAME}.zarr"])
def test_a_tomogram_is_read_where_it_is_shown(files, file):
    if file.endswith("zarr"):
        write_ome_zarr(files / file, volume(), VOXEL, chunks=(10, 20, 20))
    (layer,) = get_reader(file)(file)
    data, keywords, kind = layer
    assert kind == "image"
    assert (keywords["name"], keywords["scale"], keywords["units"]) == (
        NAME,
        (VOXEL,) * 3,
        ("angstrom",) * 3,
    )
    assert (data.shape, data.dtype, data.ndim, data.size) == (SHAPE, np.float32, 3, 144_000)
    expected = volume()
    low, high = keywords["contrast_limits"]
    assert expected.min() < low < 0 < high <= expected.max()
    keys = [
        5,
        -1,
        slice(None),
        (3, slice(10, 2, -3)),
        (..., 7),
        (slice(2, 9, 2), 4, slice(-5, None)),
    ]
    for key in [*keys, np.s_[0:0], np.s_[[2, 5], ..., 1:4]]:
        np.testing.assert_array_equal(data[key], expected[key])
    np.testing.assert_array_equal(np.asarray(data), expected)


def test_only_what_is_indexed_is_read():
    boxes = []

    def read(start, stop):
        boxes.append((start, stop))
        return np.zeros([b - a for a, b in zip(start, stop, strict=True)])

    data = LazyVolume(read, (300, 1000, 1000), np.dtype(np.float32))
    assert data[150].shape == (1000, 1000)
    assert data[:, 20, 30:40].shape == (300, 10)
    assert boxes == [((150, 0, 0), (151, 1000, 1000)), ((0, 20, 30), (300, 21, 40))]


def test_picks_are_points_by_tomogram_and_species(files):
    layers = get_reader("p.star")("p.star")
    names = [f"{NAME} ribosome", f"{NAME} a<b", NAME, "2 ribosome", "2 a<b", "2"]
    assert [keywords["name"] for _, keywords, _ in layers] == names
    assert [keywords["visible"] for _, keywords, _ in layers] == [True] * 3 + [False] * 3
    data, keywords, kind = layers[0]
    assert kind == "points"
    scale = np.array(keywords["scale"])  # in Å: a particle's diameter, half of which is in reach
    assert scale.tolist() == [100] * 3
    np.testing.assert_allclose(data * scale, np.array([PLACES["c"], PLACES["u"]]) * VOXEL)
    assert (keywords["size"] * scale[0]).tolist() == [100, 100]
    assert keywords["border_color"] == css(species_colours(["ribosome"])["ribosome"])
    features = keywords["features"]
    assert features["pick_id"].tolist() == [f"{NAME}-c", f"{NAME}-u"]
    assert features["score"].tolist() == [9.0, 6.5]
    assert features["decision"].tolist() == [DECISIONS[0], DECISIONS[2]]
    thick, thin = keywords["border_width"]
    assert thick > thin
    assert layers[1][1]["symbol"].tolist() == ["x"]  # rejected
    write_picks("none.star", PickList(picks().picks[:0], picks().tomograms))
    with pytest.warns(match="no picks"):
        assert get_reader("none.star")("none.star") == []


def test_slabs_lie_at_their_depth(slabkit, files):
    slabkit("slab", f"{NAME}.mrc", "-o", "slabs", "--thickness", 100, "--step", 50)
    ((data, keywords, kind),) = get_reader("slabs/slabs.star")("slabs/slabs.star")
    assert (kind, data.shape) == ("image", (5, *SHAPE[1:]))
    assert keywords["name"] == f"{NAME} slabs of 100 Å"
    assert (keywords["scale"], keywords["translate"]) == ((50, VOXEL, VOXEL), (45, 0, 0))
    expected = volume()[10:20].mean(axis=0)
    np.testing.assert_allclose(data[2], expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(data[2, 3:9, 40], expected[3:9, 40], rtol=1e-5, atol=1e-5)


def test_other_files_are_left_to_others(slabkit, files):
    (files / "other.csv").write_text("name,colour\na,red\n")
    (files / "other.star").write_text("data_x\n_rlnFoo 1\n")
    (files / "folder").mkdir()
    for name in ("other.csv", "other.star", "folder", "not there.star"):
        assert get_reader(name) is None
    assert get_reader(["p.star", "other.csv"]) is None
    assert len(get_reader(["p.star", f"{NAME}.mrc"])(["p.star", f"{NAME}.mrc"])) == 7


def test_a_volume_without_voxel_size_is_shown_and_it_is_said(files):
    with mrcfile.new("unset.mrc", volume()) as file:
        file.voxel_size = 0
    with pytest.warns(match=r"unset\.mrc: .* It is shown as if its voxels were 1 Å"):
        ((_, keywords, _),) = get_reader("unset.mrc")("unset.mrc")
    assert keywords["scale"] == (1, 1, 1)


def test_the_manifest():
    """What npe2 says of it is in tests/clients/test_napari.py."""
    text = resources.files("slabkit").joinpath("napari.yaml").read_text(encoding="utf-8")
    assert "name: slabkit-cryoet\n" in text
    assert "python_name: slabkit.napari:get_reader\n" in text
    assert '"*.star"' in text
