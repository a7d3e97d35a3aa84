"""`slabkit pick template` as a person runs it, in a process of its own."""

from __future__ import annotations

import json

import numpy as np
import pytest
from analytic import slab_table_of, tomogram_of

from slabkit.formats.tables.native import read_picks2d, write_slabs
from slabkit.formats.volumes.mrc import write_mrc

PIXEL = 10.012
SHAPE = (100, 160)
PLACES = np.array([(30.0, 40.0), (70.0, 100.0), (45.0, 130.0)])
ANGLES = (0, 90, -130)


def figure(y, x):
    """A bright shape without symmetry, by places in Å."""
    first = np.exp(-((y - 20) ** 2 + (x + 10) ** 2) / (2 * 40**2))
    second = 1.2 * np.exp(-((y + 60) ** 2 + (x - 10) ** 2) / (2 * 25**2))
    return first + second + 0.8 * np.exp(-((y + 10) ** 2 + (x - 70) ** 2) / (2 * 20**2))


def slab_image(seed):
    y, x = np.indices(SHAPE) * PIXEL
    image = np.random.default_rng(seed).normal(0, 0.05, SHAPE)
    for (cy, cx), psi in zip(PLACES, ANGLES, strict=True):
        sine, cosine = np.sin(np.radians(psi)), np.cos(np.radians(psi))
        right, down = x - cx * PIXEL, y - cy * PIXEL
        image -= figure(sine * right + cosine * down, cosine * right - sine * down)
    return image.astype(np.float32)


@pytest.fixture
def slabs(tmp_path, monkeypatch):
    """Two slabs in ``slabs/``, a stack of two class averages, and a map."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slabs").mkdir()
    table = slab_table_of(tomogram_of(np.zeros((60, *SHAPE)), PIXEL), [(0, 30), (30, 30)])
    for seed, name in enumerate(table["rlnMicrographName"]):
        write_mrc(tmp_path / name, slab_image(seed), PIXEL, label="test")
    write_slabs(tmp_path / "slabs/slabs.star", table)
    line = (np.arange(40) - 20) * 8.0
    good = figure(line[:, None], line[None, :])
    other = np.exp(-(np.abs(line[:, None]) + np.abs(line[None, :])) / 30)
    write_mrc(tmp_path / "c.mrcs", np.stack([other, good]).astype(np.float32), 8.0, label="test")
    z, y, x = np.indices((24, 24, 24)) * 12.0 - 144
    density = sum(
        np.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / (2 * s**2))
        for a, b, c, s in ((0, 0, 0, 35), (60, 0, 20, 25), (-20, -50, 40, 20))
    )
    write_mrc(tmp_path / "m.mrc", density.astype(np.float32), 12.0, label="test")
    return tmp_path


ARGUMENTS = ("pick", "template", "slabs/slabs.star", "-o", "p.star")
STACK = (*ARGUMENTS, "--templates", "c.mrcs", "--threshold", 12)


def test_class_averages(slabkit, slabs):
    done = slabkit(*STACK, "--species", "ribosome", "--json", "--png")
    report = json.loads(done.stdout)
    assert (report["tomograms"], report["slabs"], report["picks"]) == (1, 2, 6)
    assert report["templates"] == 2
    picks = read_picks2d("p.star")
    assert set(picks["slabkitSpecies"]) == {"ribosome"}
    assert set(picks["rlnClassNumber"]) == {2}
    for _, own in picks.groupby("rlnMicrographName"):
        places = own[["rlnCoordinateY", "rlnCoordinateX"]].to_numpy()
        away = np.linalg.norm(places[:, None] - PLACES[None], axis=2)
        assert away.min(axis=0).max() < 0.2
        assert own["rlnAnglePsi"].to_numpy()[away.argmin(axis=0)].tolist() == list(ANGLES)
    assert len(list((slabs / "p_png").iterdir())) == 2


def test_chosen_averages_keep_their_numbers(slabkit, slabs):
    slabkit(*STACK, "--use", "2", "--template-pixel-size", 8, "--diameter", 220, "--lowpass", 50)
    picks = read_picks2d("p.star")
    assert len(picks) == 6
    assert set(picks["rlnClassNumber"]) == {2}
    assert set(picks["slabkitDiameter"]) == {220.0}


def test_maps_give_their_names(slabkit, slabs):
    options = ("--view-step", 60, "--angular-step", 30, "--max-per-slab", 4)
    done = slabkit(*ARGUMENTS, "--map", "a=m.mrc", "--map", "m.mrc", "--species", "b", *options)
    assert "a, 12 of " in done.stderr
    picks = read_picks2d("p.star")
    assert 1 <= len(picks) <= 8
    assert set(picks["slabkitSpecies"]) == {"a"}  # the first of equal ones
    assert picks["rlnClassNumber"].between(1, 12).all()


def test_pipe_and_jobs_give_the_same_bytes_and_finished_work_is_skipped(slabkit, slabs):
    slabkit(*STACK, "--jobs", 1)
    text = (slabs / "slabs/slabs.star").read_text()
    piped = slabkit(
        *("pick", "template", "-", "-o", "-", "--templates", "c.mrcs", "--threshold", 12),
        *("--jobs", 3),
        stdin=text,
    )
    assert piped.stdout == (slabs / "p.star").read_text()
    assert "finished already" in slabkit(*STACK).stderr
    assert "--overwrite" in slabkit(*STACK, "--lowpass", 50, code=2).stderr
    write_mrc(slabs / "c.mrcs", np.ones((1, 8, 8), np.float32), 8.0, label="test")
    slabkit(*STACK, code=2)


def test_thresholds_and_empty_tables(slabkit, slabs):
    done = slabkit(*STACK[:-1], 900)
    assert "warning: no template reaches the score 900; the table is empty." in done.stderr
    assert len(read_picks2d("p.star")) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give either --templates or --map"),
        (("--templates", "c.mrcs", "--map", "m.mrc"), "give either --templates or --map"),
        (("--map", "m.mrc", "--use", "1"), "belong to --templates"),
        (("--templates", "c.mrcs", "--refine"), "--refine compares the picks with the maps"),
        (("--map", "=m.mrc"), "--map takes MAP.mrc or NAME=MAP.mrc"),
        (("--map", "none.mrc"), "none.mrc"),
        (("--map", "m.mrc", "--tilt-range", "45"), "takes MIN:MAX in degrees, none, or a"),
        (("--map", "m.mrc", "--tilt-range", "9:-9"), "between -90 and 90"),
        (("--map", "m.mrc", "--view-step", "0"), "--view-step must be above 0"),
        (("--templates", "c.mrcs", "--angular-step", "-1"), "--angular-step must be above 0"),
        (("--templates", "c.mrcs", "--use", "3"), "--use 3: 3 is not within the 2 images"),
        (("--templates", "c.mrcs", "--use", "a"), "--use takes numbers and ranges"),
        (("--templates", "c.mrcs", "--lowpass", "20"), "give --lowpass 24 or more"),
        (("--templates", "c.mrcs", "--diameter", "500"), "c.mrcs: a particle of 500 Å does not"),
        (("--templates", "flat.mrcs"), "flat.mrcs: template 1 is constant"),
        (("--templates", "nopixel.mrcs"), "give --template-pixel-size"),
        (("--templates", "c.mrcs", "--template-contrast", "grey"), "must be dark or bright"),
    ],
)
def test_bad_input_stops_with_nothing_written(slabkit, slabs, arguments, message):
    write_mrc(slabs / "flat.mrcs", np.ones((2, 40, 40), np.float32), 8.0, label="test")
    write_mrc(slabs / "nopixel.mrcs", np.ones((2, 40, 40), np.float32), 8.0, label="test")
    with (slabs / "nopixel.mrcs").open("r+b") as file:
        file.seek(40)
        file.write(bytes(12))
    before = sorted(path.name for path in slabs.iterdir())
    done = slabkit(*ARGUMENTS, *arguments, code=2)
    assert message in done.stderr
    assert sorted(path.name for path in slabs.iterdir()) == before


def test_a_map_wider_than_the_slabs_is_refused_before_its_views_are_made(slabkit, slabs):
    noise = np.random.default_rng(0).uniform(0.5, 1, (60, *SHAPE)).astype(np.float32)
    write_mrc(slabs / "tomogram.mrc", noise, PIXEL, label="test")
    done = slabkit(*ARGUMENTS, "--map", "tomogram.mrc", code=2)
    assert "tomogram.mrc: is of a particle of" in done.stderr
    assert "the slabs are 1001 Å wide" in done.stderr
    assert "templates:" not in done.stdout + done.stderr
    assert not (slabs / "p.star").exists()


def test_a_graphics_card_without_pytorch(slabkit, slabs):
    (slabs / "torch.py").write_text("raise ImportError('none here')\n")
    before = sorted(path.name for path in slabs.iterdir())
    done = slabkit(*ARGUMENTS, "--map", "m.mrc", "--device", "cuda", code=2)
    assert "--device cuda needs PyTorch, which is not installed" in done.stderr
    assert "templates:" not in done.stdout + done.stderr
    assert sorted(path.name for path in slabs.iterdir() if path.name != "__pycache__") == before


def test_memory_of_a_graphics_card_that_is_not_asked_for(slabkit, slabs):
    for words in ((), ("--device", "cpu")):
        done = slabkit(*ARGUMENTS, "--map", "m.mrc", "--device-memory", 8, *words, code=2)
        assert "give --device cuda, or leave --device-memory out" in " ".join(done.stderr.split())
    assert not (slabs / "p.star").exists()


def test_the_device_is_an_option_of_the_step(slabkit, slabs):
    slabkit(*STACK)
    assert json.loads((slabs / "p.star.json").read_text())["parameters"]["device"] == "cpu"
    assert "finished already" in slabkit(*STACK, "--device", "cpu").stderr
    assert "device" in slabkit(*STACK, "--device", "torch", code=2).stderr
