"""`slabkit classify` and the real RELION: its programs read our classes, angles and shifts.

RELION 3.1 of Debian: ``apt-get install --no-install-recommends relion``.
"""

from __future__ import annotations

import shutil

import mrcfile
import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from slabkit.formats.tables.native import PickList, read_labels, write_picks
from slabkit.formats.tables.star import read_star
from slabkit.formats.tables.star_writing import format_star
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.tables import PICKS, TOMOGRAMS, make_table

PROGRAMS = ("relion_autopick", "relion_refine", "relion_stack_create", "relion_star_handler")
MISSING = [program for program in PROGRAMS if shutil.which(program) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"RELION: no {', '.join(MISSING)} on PATH")

SIDE, PIXEL, COUNT = 48, 5.0, 60
# Spots of each shape: x, y in pixels from the middle. Neither is its own mirror image.
SHAPES = ([(0, 0), (9, 0), (0, 5)], [(0, 0), (-4, 6), (7, 7), (2, -9)])


def drawn(kind, angle, y, x):
    """A shape, shifted by y and x and then turned from x towards y, without interpolation."""
    image = np.zeros((SIDE, SIDE))
    rows, columns = np.indices((SIDE, SIDE)) - SIDE // 2
    for u, v in SHAPES[kind]:
        u, v = u + x, v + y
        column = u * np.cos(angle) - v * np.sin(angle)
        row = u * np.sin(angle) + v * np.cos(angle)
        image += np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * 2.2**2))
    return image


@pytest.fixture
def classes(tmp_path, slabkit):
    """A stack of two shapes, turned anyhow and off the middle, and its classes; gives the kinds."""
    rng = np.random.default_rng(1)
    kinds = np.arange(COUNT) % 2
    images = [
        drawn(kind, rng.uniform(0, 2 * np.pi), *rng.uniform(-3, 3, 2))
        + rng.normal(0, 0.15, (SIDE, SIDE))
        for kind in kinds
    ]
    write_mrc(tmp_path / "p.mrcs", np.array(images, np.float32), PIXEL, label="test", stack=True)
    optics = {
        "rlnOpticsGroupName": ["one"],
        "rlnOpticsGroup": [1],
        "rlnVoltage": [300.0],
        "rlnSphericalAberration": [2.7],
        "rlnAmplitudeContrast": [0.1],
        "rlnImagePixelSize": [PIXEL],
        "rlnImageSize": [SIDE],
        "rlnImageDimensionality": [2],
    }
    names = [f"{number:06d}@p.mrcs" for number in range(1, COUNT + 1)]
    particles = pd.DataFrame({"rlnImageName": names, "rlnOpticsGroup": 1})
    blocks = {"optics": pd.DataFrame(optics), "particles": particles}
    (tmp_path / "p.star").write_text(format_star(blocks))
    slabkit("classify", "p.star", "-o", "classes", "--classes", 2, "--iterations", 12,
            "--shift-range", 20)  # fmt: skip
    return kinds


def averages_of_relion(tmp_path, relion, table):
    """Let RELION turn and shift each image as a table says, and average them by class."""
    relion("stack_create", "--i", table, "--o", "aligned", "--apply_transformation")
    aligned = mrcfile.read(tmp_path / "aligned.mrcs")
    number = read_star(tmp_path / table)["particles"].rlnClassNumber.astype(int).to_numpy()
    assert len(aligned) == len(number)
    return [aligned[number == k].mean(0) for k in sorted(set(number))]


def alike(one, other):
    """Correlation away from the edges, where RELION and slabkit fill differently."""
    inner = (slice(8, -8), slice(8, -8))
    return float(np.corrcoef(one[inner].ravel(), other[inner].ravel())[0, 1])


def test_angles_and_shifts_mean_what_relion_means(tmp_path, relion, classes):
    blocks = read_star(tmp_path / "classes" / "classified.star")
    rows = blocks["particles"]
    for _, own in pd.Series(classes).groupby(rows.rlnClassNumber):
        assert own.nunique() == 1
    averages = mrcfile.read(tmp_path / "classes" / "classes.mrcs")
    assert len(averages) == 2
    assert rows[["rlnOriginXAngst", "rlnOriginYAngst"]].astype(float).abs().max().min() >= PIXEL
    theirs = averages_of_relion(tmp_path, relion, "classes/classified.star")
    for one, other in zip(averages, theirs, strict=True):
        assert alike(one, other) > 0.998
    values = rows[["rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst"]].astype(float)
    for signs in ((-1, 1, 1), (1, -1, -1), (-1, -1, -1), (1, -1, 1), (1, 1, -1)):
        turned = rows.assign(**(values * np.array(signs)))
        (tmp_path / "wrong.star").write_text(format_star({**blocks, "particles": turned}))
        theirs = averages_of_relion(tmp_path, relion, "wrong.star")
        wrong = [alike(one, other) for one, other in zip(averages, theirs, strict=True)]
        assert min(wrong) < 0.98


def test_relion_goes_on_from_our_classes(tmp_path, relion, classes):
    (tmp_path / "C").mkdir()
    relion(
        *("refine", "--i", "classes/classified.star", "--o", "C/run", "--iter", 1, "--K", 2),
        *("--pad", 1, "--zero_mask", "--flatten_solvent", "--norm", "--scale", "--pool", 30),
        *("--j", 1, "--random_seed", 0, "--tau2_fudge", 2, "--particle_diameter", 160),
        *("--psi_step", 24, "--oversampling", 0, "--offset_range", 3, "--offset_step", 2),
    )
    before = read_star(tmp_path / "classes" / "classified.star")["particles"]
    after = read_star(tmp_path / "C" / "run_it001_data.star")["particles"]
    assert len(after) == COUNT
    assert sorted(after.slabkitPickId) == sorted(before.slabkitPickId)
    assert set(before.columns) <= set(after.columns)


def test_our_averages_are_references_of_relion(tmp_path, relion, classes):
    """Class averages as references: RELION finds what they were made from."""
    rng = np.random.default_rng(2)
    micrograph = rng.normal(0, 0.3, (320, 320))
    places = np.array([(70, 70), (70, 250), (250, 70), (250, 250), (160, 160)])
    for number, (y, x) in enumerate(places):
        part = (slice(y - SIDE // 2, y + SIDE // 2), slice(x - SIDE // 2, x + SIDE // 2))
        micrograph[part] += 2 * drawn(number % 2, rng.uniform(0, 2 * np.pi), 0, 0)
    micrograph = gaussian_filter(micrograph, 0.7).astype(np.float32)
    write_mrc(tmp_path / "m.mrc", micrograph, PIXEL, label="test")
    relion(
        *("autopick", "--i", "m.mrc", "--odir", "./", "--pickname", "found", "--angpix", PIXEL),
        *("--ref", "classes/classes.mrcs", "--angpix_ref", PIXEL, "--particle_diameter", 200),
        *("--ang", 15, "--lowpass", 20, "--shrink", 0, "--threshold", 0.05),
        *("--min_distance", 150, "--max_stddev_noise", -1),
    )
    rows = list(read_star(tmp_path / "m_found.star").values())[-1]
    names = ["rlnCoordinateY", "rlnCoordinateX", "rlnAutopickFigureOfMerit"]
    found = rows[names].astype(float).to_numpy()
    found = found[found[:, 2].argsort()[::-1]]
    away = np.linalg.norm(places[:, None] - found[None, :, :2], axis=2)
    best = away.argmin(0)[:4]
    assert len(set(best)) == 4
    assert (away[best, range(4)] < 6).all()
    assert found[3, 2] > 3 * found[5, 2]


def test_classes_selected_by_relion_come_back_on_their_picks(tmp_path, slabkit, relion):
    rng = np.random.default_rng(3)
    shape = (16, 180, 240)
    volume = rng.normal(0, 0.2, shape)
    ids, places = [], []
    for number in range(48):
        row, column = divmod(number, 8)
        y, x = 15 + 30 * row, 15 + 30 * column
        density = drawn(number % 2, rng.uniform(0, 2 * np.pi), 0, 0)[9:-9, 9:-9]
        volume[5:11, y - 15 : y + 15, x - 15 : x + 15] -= density
        ids.append(f"pick-{number:02d}")
        places.append((x * 10.0, y * 10.0, 75.0))
    write_mrc(tmp_path / "T1.mrc", volume.astype(np.float32), 10.0, label="test")
    columns = dict(zip(("slabkitX", "slabkitY", "slabkitZ"), np.array(places).T, strict=True))
    picks = make_table(PICKS, {"slabkitPickId": ids, "slabkitTomogram": "T1", **columns})
    sizes = {f"slabkitTomogramSize{a}": [n] for a, n in zip("XYZ", shape[::-1], strict=True)}
    tomograms = make_table(
        TOMOGRAMS,
        {"slabkitTomogram": ["T1"], "slabkitTomogramFile": ["T1.mrc"], "slabkitVoxelSize": [10.0],
         **sizes},
    )  # fmt: skip
    write_picks(tmp_path / "picks.star", PickList(picks, tomograms))
    slabkit("minislab", "picks.star", "-o", "mini", "--box", 280, "--depth", 100, "--stack",
            "--tiles", "4x5")  # fmt: skip
    slabkit("classify", "mini/minislabs.star", "-o", "classes", "--classes", 4, "--iterations", 8)
    rows = read_star(tmp_path / "classes" / "classified.star")["particles"]
    for number in sorted(set(rows.rlnClassNumber)):
        relion("star_handler", "--i", "classes/classified.star", "--o", f"class{number}.star",
               "--select", "rlnClassNumber", "--minval", number, "--maxval", number)  # fmt: skip
        slabkit("label", f"class{number}.star", "--minislabs", "mini/minislabs.star",
                "-o", f"labels{number}.star")  # fmt: skip
        labels = read_labels(tmp_path / f"labels{number}.star")
        accepted = labels.slabkitPickId[labels.slabkitDecision == "accepted"]
        own = rows.slabkitPickId[rows.rlnClassNumber == number]
        assert set(accepted) == set(own)
        assert set(labels.slabkitPickId[labels.slabkitDecision == "rejected"]) == set(ids) - set(
            own
        )
        assert set(labels.slabkitClass[labels.slabkitDecision == "accepted"]) == {number}
