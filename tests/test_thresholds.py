"""Thresholds found in scores and in labels, and masks, from Python and at the command line."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from slabkit.errors import InputError
from slabkit.formats.tables.native import (
    PickList,
    read_native_picks,
    read_picks2d,
    write_picks,
    write_picks2d,
    write_slabs,
)
from slabkit.formats.tomograms.masks import find_masks
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.picking.masking import picks_inside, slab_mask
from slabkit.picking.thresholds import (
    fit_threshold,
    picks_above,
    threshold_for_precision,
    wilson_interval,
)
from slabkit.tables import PICKS, PICKS2D, SLABS, TOMOGRAMS, make_table
from slabkit.tomogram import Tomogram


def peaks(background, count, middle=8.0, width=0.5, seed=0):
    """Scores with their truth: background of either kind, and log-normal ones above 1."""
    rng = np.random.default_rng(seed)
    false = {
        "exponential": lambda: 1 + rng.exponential(1.0, 4000),
        "rayleigh": lambda: np.sqrt(1 + 2 * rng.exponential(1.0, 4000)),
    }[background]()
    true = np.exp(rng.normal(np.log(middle), width, count))
    scores = np.concatenate([false, true])
    return scores, np.arange(len(scores)) >= len(false)


@pytest.mark.parametrize("background", ["exponential", "rayleigh"])
@pytest.mark.parametrize("count", [150, 800])
def test_the_fit_reports_what_is_there(background, count):
    scores, true = peaks(background, count)
    fit = fit_threshold(scores)
    assert fit.separated
    kept = scores >= fit.threshold
    assert fit.kept == kept.sum()
    assert fit.expected_false + fit.expected_true == pytest.approx(fit.kept)
    spread = 4 * np.sqrt(count)
    assert abs(fit.expected_true - (kept & true).sum()) < spread
    assert abs(fit.expected_false - (kept & ~true).sum()) < spread
    assert abs(fit.expected_missed - (~kept & true).sum()) < spread
    # The best any threshold can do, knowing the truth: right decisions, kept or left.
    best = max(((scores >= t) == true).sum() for t in np.linspace(1, 15, 300))
    assert ((scores >= fit.threshold) == true).sum() > best - 0.01 * len(scores)


def test_a_precision_is_met_and_asks_for_more_than_the_crossing_gives_alone():
    scores, true = peaks("exponential", 800, middle=6.0)
    for precision in (0.7, 0.9, 0.97):
        fit = fit_threshold(scores, precision=precision)
        kept = scores >= fit.threshold
        assert fit.expected_true / fit.kept >= precision
        assert true[kept].mean() == pytest.approx(precision, abs=0.04)
    assert fit.threshold > fit_threshold(scores, precision=0.7).threshold


def test_order_and_size_of_the_list_do_not_matter_and_it_is_left_alone():
    scores, _ = peaks("rayleigh", 300)
    before = scores.copy()
    first = fit_threshold(scores)
    assert fit_threshold(np.random.default_rng(1).permutation(scores)) == first
    np.testing.assert_array_equal(scores, before)


def test_a_better_score_is_never_more_doubtful():
    fit = fit_threshold(peaks("exponential", 300)[0])
    values = np.linspace(0.1, 60, 500)
    false = fit.false_probability(values)
    assert (np.diff(false) <= 1e-12).all()
    assert false[0] == 1
    assert false[-1] < 1e-6
    assert fit.false_probability([fit.threshold])[0] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("size", [300, 3000, 30000])
def test_one_population_gives_no_threshold(size):
    rng = np.random.default_rng(size)
    for scores in (
        1 + rng.exponential(1.1, size),
        rng.rayleigh(1, size),
        np.abs(rng.normal(0, 1, size)) + 1e-9,
        1 + rng.gamma(2, 0.7, size),
    ):
        fit = fit_threshold(scores)
        assert not fit.separated
        assert np.isnan(fit.threshold)
        assert (fit.false_probability(scores) == 1).all()


@pytest.mark.parametrize("scores", [[], [3.0], [2.0] * 500, np.linspace(1, 9, 20)])
def test_too_little_to_fit(scores):
    assert not fit_threshold(scores).separated


def test_scores_that_make_no_sense():
    with pytest.raises(InputError, match="positive, finite scores"):
        fit_threshold([1.0, np.nan] * 50)
    with pytest.raises(InputError, match="positive, finite scores"):
        fit_threshold([-1.0, 2.0] * 50)
    with pytest.raises(InputError, match=r"must be between 0 and 1, not 1\.2"):
        fit_threshold([1.0, 2.0], precision=1.2)


def test_labels_give_the_lowest_threshold_that_reaches_a_precision():
    scores = [9, 8, 7, 6, 5, 4, 3, 2]
    good = [1, 1, 0, 1, 1, 0, 0, 0]
    found = threshold_for_precision(scores, good, 0.75)
    assert (found.threshold, found.accepted, found.judged) == (5, 4, 5)  # 4/5; 4/6 at 4
    assert found.precision == pytest.approx(0.8)
    assert found.recall == 1
    # Wilson 1927, worked by hand for 4 of 5.
    assert (found.low, found.high) == pytest.approx((0.3755, 0.9638), abs=1e-4)
    assert threshold_for_precision(scores, good, 0.81).threshold == 8
    ties = threshold_for_precision([5, 5, 5, 1], [1, 1, 0, 0], 0.6)
    assert (ties.threshold, ties.judged) == (5, 3)  # equal scores cannot be told apart
    with pytest.raises(InputError, match=r"reaches a precision of 0.9.*best is 0.667, at .* 5"):
        threshold_for_precision([5, 5, 5, 1], [1, 1, 0, 0], 0.9)
    with pytest.raises(InputError, match="no pick of the labelled list is accepted"):
        threshold_for_precision([5], [0], 0.9)


def test_wilson_interval_at_its_ends():
    assert wilson_interval(0, 0) == (0.0, 1.0)
    assert wilson_interval(0, 10)[0] == 0
    assert wilson_interval(10, 10)[1] == 1


def picks2d(names, x, y, scores):
    return make_table(
        PICKS2D,
        {
            "rlnMicrographName": names,
            "rlnCoordinateX": x,
            "rlnCoordinateY": y,
            "rlnAutopickFigureOfMerit": scores,
        },
    )


def test_the_best_of_each_slab_stay():
    table = picks2d(["a"] * 3 + ["b"] * 2, range(5), range(5), [9, 5, 2, 7, 1])
    assert picks_above(table, 2)["rlnCoordinateX"].tolist() == [0, 1, 2, 3]
    assert picks_above(table, 2, 1)["rlnCoordinateX"].tolist() == [0, 3]


def mask_volume(voxel_size=7.3, shape=(12, 20, 31), kind=np.int8):
    data = np.zeros(shape, kind)
    data[4:8, 5:11, 7:20] = 1
    return Tomogram("t", data, voxel_size)


def test_a_volume_keeps_the_picks_whose_voxel_is_inside():
    mask = mask_volume()
    z, y, x = np.indices(mask.shape).reshape(3, -1)
    jitter = np.random.default_rng(0).uniform(-0.49, 0.49, (3, z.size))
    place = (np.stack([z, y, x]) + jitter) * 7.3
    picks = pd.DataFrame({"slabkitZ": place[0], "slabkitY": place[1], "slabkitX": place[2]})
    np.testing.assert_array_equal(picks_inside(picks, mask), mask.data.ravel() > 0)
    picks["slabkitX"] += 1e5
    assert not picks_inside(picks, mask).any()


def test_soft_masks_count_from_one_half():
    soft = mask_volume(kind=np.float32)
    soft.data[4:8, 5:11, 7:9] = 0.4
    picks = pd.DataFrame({"slabkitZ": [36.5] * 2, "slabkitY": [43.8] * 2, "slabkitX": [51.1, 65.7]})
    assert picks_inside(picks, soft).tolist() == [False, True]


def test_a_slab_is_masked_by_the_depth_it_covers():
    mask = mask_volume()
    assert slab_mask(mask, 0, 4, 7.3).sum() == 0
    assert slab_mask(mask, 0, 5, 7.3).sum() == 6 * 13
    assert slab_mask(mask, 8, 4, 7.3).sum() == 0
    # A mask of voxels twice as large: its plane 4 is where planes 7.5 (halves up: 7) on are.
    assert slab_mask(mask, 0, 7, 3.65).sum() == 0
    assert slab_mask(mask, 0, 8, 3.65).sum() == 6 * 13


def test_masks_are_found_by_name(tmp_path):
    for name in ("TS_1_mask.mrc", "TS_10.mrc", "TS_1_slab000_mask.mrc"):
        write_mrc(tmp_path / name, np.ones((3, 4, 5), np.int8), 7.3, label="test")
    found = find_masks([tmp_path], ["TS_1", "TS_10"], ["slabs/TS_1_slab000.mrc"])
    assert found.of_tomogram["TS_1"].path.name == "TS_1_mask.mrc"
    assert found.of_tomogram["TS_10"].path.name == "TS_10.mrc"
    assert found.of_slab["slabs/TS_1_slab000.mrc"].name == "TS_1_slab000_mask.mrc"
    with pytest.raises(InputError, match=r"TS_10.mrc: is the mask of nothing here"):
        find_masks([tmp_path / "TS_10.mrc"], ["TS_1"])
    write_mrc(tmp_path / "TS_1-seg.mrc", np.ones((3, 4, 5), np.int8), 7.3, label="test")
    with pytest.raises(InputError, match="both masks of TS_1; give one"):
        find_masks([tmp_path / "TS_1-seg.mrc", tmp_path / "TS_1_mask.mrc"], ["TS_1"])


SHAPE, PIXEL = (160, 220), 10.012


@pytest.fixture
def slabs(tmp_path, monkeypatch):
    """Two slabs of one tomogram with twelve dark discs each, in noise."""
    monkeypatch.chdir(tmp_path)
    y, x = np.indices(SHAPE, dtype=float)
    rng = np.random.default_rng(0)
    for index in range(2):
        image = rng.normal(0, 1, SHAPE)
        for row in range(3):
            for column in range(4):
                away = np.hypot(y - 30 - 50 * row, x - 30 - 52 * column)
                image -= 2.0 * (away < 9)
        write_mrc(tmp_path / f"t_slab{index:03d}.mrc", image.astype(np.float32), PIXEL, label="t")
    table = make_table(
        SLABS,
        {
            "rlnMicrographName": ["t_slab000.mrc", "t_slab001.mrc"],
            "rlnTomoName": "t",
            "slabkitTomogramFile": "t.mrc",
            "slabkitZStart": [0, 30],
            "slabkitZCount": 30,
            "slabkitVoxelSize": PIXEL,
            "slabkitContrast": "dark",
            "slabkitTomogramContrast": "dark",
            "slabkitTomogramSizeX": SHAPE[1],
            "slabkitTomogramSizeY": SHAPE[0],
            "slabkitTomogramSizeZ": 60,
        },
    )
    write_slabs(tmp_path / "slabs.star", table)
    return tmp_path


PICK = ("pick", "blob", "slabs.star", "-o", "p.star", "--diameter", "120:260")


def test_threshold_auto_says_what_it_expects(slabkit, slabs):
    done = slabkit(*PICK, "--threshold", "auto", "--json")
    report = json.loads(done.stdout)
    picks = read_picks2d("p.star")
    assert report["separated"]
    assert 20 <= len(picks) <= 30  # 24 discs
    assert report["expected_false"] + report["expected_true"] == pytest.approx(len(picks), abs=0.2)
    assert report["expected_true"] == pytest.approx(24, abs=4)
    assert picks["rlnAutopickFigureOfMerit"].min() >= report["threshold"]
    record = json.loads((slabs / "p.star.json").read_text())
    assert record["summary"]["expected_false"] == report["expected_false"]
    assert record["parameters"]["threshold"] == "auto"
    # The same picks as with the threshold that was found, given by hand.
    slabkit(*PICK[:3], "-o", "q.star", *PICK[5:], "--threshold", report["threshold"] - 1e-9)
    pd.testing.assert_frame_equal(picks, read_picks2d("q.star"))


def test_threshold_auto_without_particles_keeps_the_default_and_says_so(slabkit, slabs):
    for index in range(2):
        noise = np.random.default_rng(index).normal(0, 1, SHAPE).astype(np.float32)
        write_mrc(slabs / f"t_slab{index:03d}.mrc", noise, PIXEL, label="t")
    done = slabkit(*PICK, "--threshold", "auto")
    assert "show one population only" in done.stderr
    assert "2 is used" in done.stderr


def test_labels_of_an_earlier_round_give_the_threshold(slabkit, slabs):
    scores = np.arange(1.0, 41)
    columns = {
        "slabkitPickId": [f"t-{i}" for i in range(40)],
        "slabkitTomogram": "t",
        **{f"slabkit{axis}": np.arange(40.0) for axis in "XYZ"},
        "slabkitScore": scores,
        "slabkitScoreKind": "blob-rims",
        "slabkitDecision": ["rejected"] * 9 + ["accepted"] * 28 + ["undecided"] * 3,
    }
    tomograms = make_table(TOMOGRAMS, {"slabkitTomogram": ["t"]})
    write_picks("known.star", PickList(make_table(PICKS, columns), tomograms))
    labelled = ("--target-precision", 0.8, "--labelled", "known.star")
    report = json.loads(slabkit(*PICK, *labelled, "--json").stdout)
    assert report["threshold"] == 3  # 28 of 35
    assert report["labelled_precision"] == pytest.approx(28 / 35)
    assert report["labelled_low"] < 28 / 35 < report["labelled_high"]
    assert read_picks2d("p.star")["rlnAutopickFigureOfMerit"].min() >= 3
    done = slabkit(*PICK, *labelled, "--method", "laplacian", "--overwrite", code=2)
    assert "of the kind blob-rims, those to be found blob-laplacian" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--threshold", "high"), "--threshold takes a number or auto, not 'high'"),
        (("--target-precision", 2), "must be between 0 and 1, not 2"),
        (("--labelled", "x.star"), "--labelled needs --target-precision"),
        (("--threshold", 5, "--target-precision", 0.5), "both say where to cut"),
        (("--mask", "none.mrc"), "none.mrc: there is no such file"),
    ],
)
def test_options_that_contradict_write_nothing(slabkit, slabs, options, message):
    assert message in slabkit(*PICK, *options, code=2).stderr
    assert not (slabs / "p.star").exists()


def test_mask_volumes_and_slab_masks_at_picking(slabkit, slabs):
    volume = np.zeros((30, 80, 110), np.int8)  # voxels twice as large
    volume[:15, :, :55] = 1  # left half, planes 0 to 29: the first slab
    write_mrc(slabs / "t_mask.mrc", volume, 2 * PIXEL, label="test")
    report = json.loads(slabkit(*PICK, "--threshold", 8, "--mask", "t_mask.mrc", "--json").stdout)
    picks = read_picks2d("p.star")
    assert set(picks["rlnMicrographName"]) == {"t_slab000.mrc"}
    assert len(picks) == 6
    assert picks["rlnCoordinateX"].max() < 110
    assert report["outside_mask"] == 18
    plane = np.zeros(SHAPE, np.int8)
    plane[:, 110:] = 1
    write_mrc(slabs / "t_slab001_mask.mrc", plane, PIXEL, label="test")
    both = ("--mask", "t_mask.mrc", "--mask", "t_slab001_mask.mrc", "--max-per-slab", 5)
    slabkit(*PICK, "--threshold", 8, *both, "--overwrite")
    picks = read_picks2d("p.star")
    assert picks["rlnMicrographName"].value_counts().tolist() == [5, 5]
    assert picks[picks["rlnMicrographName"] == "t_slab001.mrc"]["rlnCoordinateX"].min() > 110
    only = ("--mask", "t_slab001_mask.mrc", "--overwrite")
    assert "t_slab000.mrc: has no mask" in slabkit(*PICK, *only, code=2).stderr


def test_a_mask_of_another_field_is_refused(slabkit, slabs):
    write_mrc(slabs / "t_mask.mrc", np.ones((30, 80, 90), np.int8), 2 * PIXEL, label="test")
    done = slabkit(*PICK, "--mask", "t_mask.mrc", code=2)
    assert (
        "t_mask.mrc: is 1802.16 × 1601.92 × 600.72 Å large, the tomogram t 2202.64" in done.stderr
    )


def test_map_drops_and_counts_what_is_outside_the_mask(slabkit, slabs):
    rng = np.random.default_rng(0)
    write_mrc(slabs / "t.mrc", rng.normal(0, 1, (60, *SHAPE)).astype(np.float32), PIXEL, label="t")
    write_picks2d(
        "p.star",
        picks2d(["t_slab000.mrc"] * 3, [20.0, 100.0, 180.0], [30.0, 80.0, 120.0], [9.0, 8.0, 7.0]),
    )
    volume = np.zeros((60, *SHAPE), np.int8)
    volume[:30, :100] = 1
    write_mrc(slabs / "t_mask.mrc", volume, PIXEL, label="test")
    arguments = ("map", "p.star", "--slabs", "slabs.star", "-o", "m.star", "--diameter", 150)
    done = slabkit(*arguments, "--no-refine-z", "--mask", "t_mask.mrc", "--json")
    report = json.loads(done.stdout)
    assert (report["hits"], report["picks"], report["outside_mask"]) == (3, 2, 1)
    assert sorted(read_native_picks("m.star").picks["slabkitX"]) == pytest.approx(
        [20 * PIXEL, 100 * PIXEL]
    )
