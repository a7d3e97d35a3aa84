"""`slabkit pick blob` as a person runs it, in a process of its own."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from slabkit.formats.tables.native import read_picks2d, write_slabs
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.pictures.colours import species_colours
from slabkit.pictures.images import contact_sheet, contrast_stretched, draw_picks, png_bytes
from slabkit.tables import SLABS, make_table

CENTRES = np.array([(30.0, 40.0), (70.0, 100.0), (45.0, 130.0)])
SHAPE = (100, 160)


def slab_image(seed):
    y, x = np.indices(SHAPE, dtype=float)
    image = np.random.default_rng(seed).normal(0, 0.02, SHAPE)
    for cy, cx in CENTRES:
        image -= np.sqrt(np.clip(1 - ((y - cy) ** 2 + (x - cx) ** 2) / 10**2, 0, None))
    return image.astype(np.float32)


@pytest.fixture
def slabs(tmp_path, monkeypatch):
    """Two tomograms of two slabs each in ``slabs/``, 200 Å balls, dark."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slabs").mkdir()
    names = []
    for number, tomogram in enumerate(("1e5", "TS.b")):
        for index in range(2):
            names.append((tomogram, f"slabs/{tomogram}_slab{index:03d}.mrc"))
            write_mrc(tmp_path / names[-1][1], slab_image(2 * number + index), 10.012, label="test")
    table = make_table(
        SLABS,
        {
            "rlnMicrographName": [name for _, name in names],
            "rlnTomoName": [tomogram for tomogram, _ in names],
            "slabkitTomogramFile": "t.mrc",
            "slabkitZStart": [0, 30, 0, 30],
            "slabkitZCount": 30,
            "slabkitVoxelSize": 10.012,
            "slabkitContrast": "dark",
            "slabkitTomogramContrast": "dark",
            "slabkitTomogramSizeX": SHAPE[1],
            "slabkitTomogramSizeY": SHAPE[0],
            "slabkitTomogramSizeZ": 60,
        },
    )
    write_slabs(tmp_path / "slabs/slabs.star", table)
    return tmp_path


ARGUMENTS = ("pick", "blob", "slabs/slabs.star", "-o", "p.star", "--diameter", "150:260")


def test_picks_of_all_tomograms_with_json(slabkit, slabs):
    done = slabkit(*ARGUMENTS, "--threshold", 8, "--species", "ribosome", "--json")
    report = json.loads(done.stdout)
    assert (report["tomograms"], report["slabs"], report["picks"]) == (2, 4, 12)
    picks = read_picks2d("p.star")
    assert len(picks) == 12
    for _, own in picks.groupby("rlnMicrographName"):
        places = own[["rlnCoordinateY", "rlnCoordinateX"]].to_numpy()
        away = np.linalg.norm(places[:, None] - CENTRES[None], axis=2).min(axis=0)
        assert away.max() < 0.2
    assert set(picks["slabkitSpecies"]) == {"ribosome"}
    assert picks["slabkitDiameter"].between(170, 215).all()


def test_pipe_and_jobs_give_the_same_bytes(slabkit, slabs):
    slabkit(*ARGUMENTS, "--jobs", 1)
    text = (slabs / "slabs/slabs.star").read_text()
    piped = slabkit(
        "pick", "blob", "-", "-o", "-", "--diameter", "150:260", "--jobs", 3, stdin=text
    )
    assert piped.stdout == (slabs / "p.star").read_text()


def test_finished_work_is_skipped_and_other_work_is_not_replaced(slabkit, slabs):
    slabkit(*ARGUMENTS)
    assert "finished already" in slabkit(*ARGUMENTS).stderr
    refused = slabkit(*ARGUMENTS, "--threshold", 9, code=2)
    assert "--overwrite" in refused.stderr
    slabkit(*ARGUMENTS, "--threshold", 9, "--overwrite")
    write_mrc(slabs / "slabs/1e5_slab000.mrc", slab_image(77), 10.012, label="test")
    slabkit(*ARGUMENTS, "--threshold", 9, code=2)  # an image changed: other inputs


def test_png_draws_every_slab(slabkit, slabs):
    slabkit(*ARGUMENTS, "--threshold", 8, "--png")
    files = sorted(path.name for path in (slabs / "p_png").iterdir())
    assert files == [
        "1e5_slab000.png",
        "1e5_slab001.png",
        "TS.b_slab000.png",
        "TS.b_slab001.png",
    ]
    picture = np.asarray(Image.open(slabs / "p_png/1e5_slab000.png"))
    amber = (picture[..., 0] > 200) & (picture[..., 2] < 60)
    assert 500 < amber.sum() < 0.1 * amber.size


def test_bright_slabs_need_to_be_called_so(slabkit, slabs):
    done = slabkit(*ARGUMENTS, "--contrast", "bright", "--threshold", 40)
    assert "warning: no blob reaches the score 40; the table is empty." in done.stderr
    assert len(read_picks2d("p.star")) == 0


def test_one_damaged_tomogram_does_not_stop_the_other(slabkit, slabs):
    (slabs / "slabs/1e5_slab001.mrc").unlink()
    done = slabkit(*ARGUMENTS, "--threshold", 8, code=1)
    assert "failed: 1e5: " in done.stderr
    assert "1e5_slab001.mrc" in done.stderr
    assert set(read_picks2d("p.star")["rlnMicrographName"]) == {
        "slabs/TS.b_slab000.mrc",
        "slabs/TS.b_slab001.mrc",
    }


@pytest.mark.parametrize(
    ("shape", "pixel", "message"),
    [
        ((160, 100), 10.012, "has 100 × 160 pixels, its table says 160 × 100"),
        (SHAPE, 5.0, "has pixels of 5 Å, its table says 10.012 Å"),
    ],
)
def test_images_that_contradict_their_table(slabkit, slabs, shape, pixel, message):
    write_mrc(slabs / "slabs/1e5_slab001.mrc", np.ones(shape, np.float32), pixel, label="test")
    assert message in slabkit(*ARGUMENTS, code=1).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--diameter", "300:100"), "--diameter takes MIN:MAX"),
        (("--diameter", "5"), "under three pixels of 10.012 Å"),
        (("--method", "dog"), "--method must be rims or laplacian"),
        (("--png", "-o", "-"), "give a file to -o"),
    ],
)
def test_bad_options_stop_with_nothing_written(slabkit, slabs, arguments, message):
    done = slabkit(*ARGUMENTS, *arguments, code=2)
    assert message in done.stderr
    assert sorted(path.name for path in slabs.iterdir()) == ["slabs"]


def test_wrong_table_is_named(slabkit, slabs):
    (slabs / "x.star").write_text("data_particles\n\nloop_\n_a #1\n1\n")
    done = slabkit("pick", "blob", "x.star", "-o", "p.star", "--diameter", 200, code=2)
    assert "x.star: has no block data_micrographs" in done.stderr


def test_contrast_stretching():
    ramp = np.arange(1000, dtype=np.int16).reshape(20, 50)
    grey = contrast_stretched(ramp, low=0, high=100)
    assert grey.dtype == np.uint8
    assert (grey.min(), grey.max()) == (0, 255)
    assert (np.diff(grey.ravel().astype(int)) >= 0).all()
    assert (contrast_stretched(np.full((3, 4), 7.0)) == 128).all()
    holed = ramp.astype(float)
    holed[0, 0] = np.nan
    assert contrast_stretched(holed)[0, 0] == 0


def test_circles_lie_where_the_picks_are():
    picture = draw_picks(np.zeros((600, 700), np.uint8), [200.0, 500.0], [100.0, 450.0], [20, 50])
    y, x = np.nonzero(picture[..., 0] > 128)
    first = np.hypot(x - 200, y - 100) < 60
    np.testing.assert_allclose(np.hypot(x[first] - 200, y[first] - 100), 20, atol=2.5)
    np.testing.assert_allclose(np.hypot(x[~first] - 500, y[~first] - 450), 50, atol=2.5)
    assert len(np.unique(x[first])) > 35


def test_circles_have_the_colour_of_the_species_and_the_line_of_the_decision():
    places = [100.0, 300.0, 500.0]

    def drawn(**said):
        picture = draw_picks(np.zeros((200, 600), np.uint8), places, [100.0] * 3, 40, **said)
        rings = [picture[:200, i * 200 : (i + 1) * 200].reshape(-1, 3) for i in range(3)]
        return picture, [ring[ring.any(axis=1)] for ring in rings]

    picture, rings = drawn(species=["ribosome", "", "apo-ferritin"])
    assert len(picture) > 200  # the legend
    colours = species_colours(["ribosome", "", "apo-ferritin"])
    for ring, name in zip(rings, ["ribosome", "", "apo-ferritin"], strict=True):
        assert (ring == colours[name]).all()
    legend = picture[200:].reshape(-1, 3)
    assert all((legend == colour).all(axis=1).sum() > 30 for colour in colours.values())
    picture, (thick, thin, crossed) = drawn(decisions=["accepted", "undecided", "rejected"])
    assert len(picture) > 200
    assert len(thick) > 2 * len(thin)
    assert (picture[100, 500] == colours[""]).all()  # the middle of the cross
    assert not picture[100, 100].any()
    assert len(crossed) > len(thin)
    assert len(drawn(species=[""] * 3, decisions=["accepted"] * 3)[0]) == 200  # nothing to tell


def test_contact_sheet_shows_every_image_once():
    images = [np.full((30, 50), 40 * i + 20, np.uint8) for i in range(5)]
    sheet = contact_sheet(images, [f"slab {i}" for i in range(5)], columns=3, gap=4)
    for image in images:
        assert (sheet == image[0, 0]).all(axis=2).sum() >= 4 * image.size
    assert png_bytes(sheet) == png_bytes(sheet.copy())
    with pytest.raises(ValueError, match="5 images and 1 labels"):
        contact_sheet(images, ["a"])
    with pytest.raises(ValueError, match="at least one image"):
        contact_sheet([], [])
