"""Blob picking on images whose blobs are known."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from slabkit.errors import InputError, SlabkitWarning
from slabkit.picking.blob import find_blobs, pick_blobs
from slabkit.tables import PICKS2D, SLABS, make_table

PIXEL = 7.3
METHODS = ("rims", "laplacian")


def drawn(shape, centres, diameters_px, profile="ball"):
    """Projected balls, discs or shells at sub-pixel places, bright, of height 1 (no noise)."""
    oversampling = 5
    image = np.zeros(shape, dtype=np.float64)
    offsets = (np.arange(oversampling) - oversampling // 2) / oversampling
    y, x = np.indices(shape, dtype=np.float64)
    for (cy, cx), diameter in zip(centres, diameters_px, strict=True):
        radius = diameter / 2
        for dy in offsets:
            for dx in offsets:
                square = ((y + dy - cy) ** 2 + (x + dx - cx) ** 2) / radius**2
                if profile == "disc":
                    part = (square < 1).astype(float)
                else:
                    part = np.sqrt(np.clip(1 - square, 0, None))
                if profile == "shell":
                    part = part - np.sqrt(np.clip(0.7**2 - square, 0, None))
                image += part / oversampling**2
    return image.astype(np.float32)


def grain(shape, seed, size=0.02):
    return np.random.default_rng(seed).normal(0, size, shape).astype(np.float32)


def table(count, contrast="bright", pixel=PIXEL, size=(150, 210), tomogram="TS_1"):
    return make_table(
        SLABS,
        {
            "rlnMicrographName": [f"{tomogram}_slab{i:03d}.mrc" for i in range(count)],
            "rlnTomoName": tomogram,
            "slabkitTomogramFile": "TS_1.mrc",
            "slabkitZStart": 0,
            "slabkitZCount": 30,
            "slabkitVoxelSize": pixel,
            "slabkitContrast": contrast,
            "slabkitTomogramContrast": contrast,
            "slabkitTomogramSizeX": size[1],
            "slabkitTomogramSizeY": size[0],
            "slabkitTomogramSizeZ": 100,
        },
    )


CENTRES = [(40.3, 50.7), (95.0, 40.25), (60.6, 150.4), (110.8, 120.1)]


def matched(blobs, centres):
    """Index of the blob nearest to each centre, with its distance in pixels."""
    distance = np.hypot(
        blobs.y_px[None, :] - np.array(centres)[:, :1],
        blobs.x_px[None, :] - np.array(centres)[:, 1:],
    )
    return distance.argmin(axis=1), distance.min(axis=1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("contrast", ["dark", "bright"])
@pytest.mark.parametrize("profile", ["ball", "disc"])
def test_blobs_are_found_to_a_tenth_of_a_pixel(method, contrast, profile):
    image = drawn((150, 210), CENTRES, [20, 24, 28, 32], profile)
    image = 3 + image * (1 if contrast == "bright" else -1)
    before = image.copy()
    blobs = find_blobs(image, PIXEL, diameter=(100, 300), contrast=contrast, method=method)
    assert len(blobs) == 4
    _, distance = matched(blobs, CENTRES)
    assert distance.max() < 0.1
    np.testing.assert_array_equal(image, before)
    other = "dark" if contrast == "bright" else "bright"
    found = find_blobs(image, PIXEL, diameter=(100, 300), contrast=other, method=method)
    if len(found):
        assert matched(found, CENTRES)[1].min() > 8


def test_diameters_of_balls_and_discs():
    sizes = np.array([20.0, 24, 28, 32])
    for profile, factor in (("ball", 1.0), ("disc", 1.175)):  # disc: 0.3536 / 0.3010
        image = drawn((150, 210), CENTRES, sizes, profile)
        blobs = find_blobs(image, PIXEL, diameter=(100, 350), contrast="bright", method="laplacian")
        index, _ = matched(blobs, CENTRES)
        np.testing.assert_allclose(blobs.diameter[index], factor * sizes * PIXEL, rtol=0.04)
        blobs = find_blobs(image, PIXEL, diameter=(100, 350), contrast="bright")
        index, _ = matched(blobs, CENTRES)
        np.testing.assert_allclose(blobs.diameter[index], sizes * PIXEL, rtol=0.12)


def test_gaussian_has_the_diameter_of_the_ball_that_answers_alike():
    y, x = np.indices((150, 210), dtype=np.float64)
    sigma = 6.0
    image = np.exp(-((y - 70.3) ** 2 + (x - 99.6) ** 2) / (2 * sigma**2))
    blobs = find_blobs(image, 10.0, diameter=(120, 320), contrast="bright", method="laplacian")
    assert blobs.diameter[0] == pytest.approx(sigma * 10 / 0.3010, rel=0.03)
    assert (blobs.y_px[0], blobs.x_px[0]) == pytest.approx((70.3, 99.6), abs=0.1)


def test_large_shells_are_found_whole():
    image = drawn((150, 210), CENTRES, [38, 38, 38, 38], "shell") + grain((150, 210), 3, 0.05)
    blobs = find_blobs(image, PIXEL, diameter=(100, 350), contrast="bright", max_count=4)
    index, distance = matched(blobs, CENTRES)
    assert len(set(index)) == 4
    assert distance.max() < 1
    np.testing.assert_allclose(blobs.diameter, 38 * PIXEL, rtol=0.1)


@pytest.mark.parametrize("method", METHODS)
def test_pixel_size_scales_lengths_only(method):
    image = drawn((150, 210), CENTRES, [20, 24, 28, 32]) + grain((150, 210), 4)
    one = find_blobs(image, 1.0, diameter=(40, 80), contrast="bright", method="laplacian")
    other = find_blobs(
        image, 1.2012, diameter=(48.048, 96.096), contrast="bright", method="laplacian"
    )
    np.testing.assert_allclose(one.x_px, other.x_px, atol=1e-3)
    np.testing.assert_allclose(one.score, other.score, rtol=1e-3)
    np.testing.assert_allclose(one.diameter * 1.2012, other.diameter, rtol=1e-3)


def test_score_is_the_same_in_an_empty_and_in_a_crowded_slab():
    shape = (150, 210)
    lone = drawn(shape, [(75.2, 30.6)], [24])
    crowd = drawn(shape, [(y, x) for y in (25, 75, 125) for x in (90, 130, 170)], [30] * 9)
    same_grain = grain(shape, 5)
    picks = pick_blobs(
        [lone + same_grain, lone + crowd + same_grain], table(2), diameter=(120, 300)
    )
    scores = []
    for name in picks["rlnMicrographName"].unique():
        own = picks[picks["rlnMicrographName"] == name]
        away = np.hypot(own["rlnCoordinateX"] - 30.6, own["rlnCoordinateY"] - 75.2)
        scores.append(own["rlnAutopickFigureOfMerit"].iloc[int(away.to_numpy().argmin())])
    assert scores[0] == pytest.approx(scores[1], rel=0.02)
    alone = find_blobs(lone + crowd + same_grain, PIXEL, diameter=(120, 300), contrast="bright")
    index, _ = matched(alone, [(75.2, 30.6)])
    assert alone.score[index[0]] != pytest.approx(scores[1], rel=0.02)  # noise of one slab differs


def test_score_is_in_standard_deviations_of_the_filtered_noise():
    # On noise alone, local maxima of a unit-variance field lie between 1 and about 5.
    blobs = find_blobs(
        grain((300, 310), 6),
        PIXEL,
        diameter=(70, 200),
        contrast="bright",
        threshold=0.1,
        method="laplacian",
    )
    assert 3 < blobs.score.max() < 6
    doubled = find_blobs(
        2 * grain((300, 310), 6),
        PIXEL,
        diameter=(70, 200),
        contrast="bright",
        threshold=0.1,
        method="laplacian",
    )
    np.testing.assert_allclose(blobs.score, doubled.score, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_ridge_is_rejected_and_blobs_are_kept(method):
    shape = (150, 210)
    y, x = np.indices(shape, dtype=np.float64)
    angle = 0.3
    across = (y - 75) * np.cos(angle) - (x - 105) * np.sin(angle)
    ridge = 2 * np.exp(-(across**2) / (2 * 4.0**2))
    centres = [(30.4, 120.3), (120.2, 70.9)]
    image = drawn(shape, centres, [22, 22]) + ridge + grain(shape, 7)
    blobs = find_blobs(
        image, PIXEL, diameter=(100, 250), contrast="bright", method=method, threshold=8
    )
    _, distance = matched(blobs, centres)
    assert distance.max() < 0.5
    assert len(blobs) == 2
    kept = find_blobs(
        image,
        PIXEL,
        diameter=(100, 250),
        contrast="bright",
        method="laplacian",
        threshold=8,
        max_elongation=1e9,
    )
    assert len(kept) > 2


def test_permuted_slabs_give_permuted_picks_and_jobs_change_nothing():
    shape = (150, 210)
    images = [drawn(shape, CENTRES[: i + 1], [24] * (i + 1)) + grain(shape, i) for i in range(4)]
    slabs = table(4)
    picks = pick_blobs(iter(images), slabs, diameter=(100, 300))
    order = [2, 0, 3, 1]
    permuted = pick_blobs(
        [images[i] for i in order], slabs.iloc[order].reset_index(drop=True), diameter=(100, 300)
    )
    names = [slabs["rlnMicrographName"][i] for i in order]
    expected = pd.concat([picks[picks["rlnMicrographName"] == n] for n in names], ignore_index=True)
    pd.testing.assert_frame_equal(permuted, expected, check_exact=True)
    threaded = pick_blobs(images, slabs, diameter=(100, 300), jobs=3)
    pd.testing.assert_frame_equal(threaded, picks, check_exact=True)
    assert list(picks.columns) == PICKS2D.names


def test_contrast_comes_from_the_table_unless_overridden():
    image = 5 - drawn((150, 210), CENTRES, [24] * 4) + grain((150, 210), 8)
    dark = pick_blobs(
        [image], table(1, "dark"), diameter=(120, 300), threshold=8, species="ribosome"
    )
    assert len(dark) == 4
    assert set(dark["slabkitSpecies"]) == {"ribosome"}
    overridden = pick_blobs(
        [image],
        table(1, "bright"),
        diameter=(120, 300),
        threshold=8,
        species="ribosome",
        contrast="dark",
    )
    pd.testing.assert_frame_equal(dark, overridden)


def test_limits():
    image = drawn((150, 210), CENTRES, [20, 24, 28, 32]) + grain((150, 210), 9)
    args = {"diameter": (120, 300), "contrast": "bright"}
    everything = find_blobs(image, PIXEL, threshold=1, **args)
    assert (np.diff(everything.score) <= 0).all()
    best = find_blobs(image, PIXEL, threshold=1, max_count=2, **args)
    np.testing.assert_array_equal(best.x_px, everything.x_px[:2])
    high = find_blobs(image, PIXEL, threshold=5, **args)
    np.testing.assert_array_equal(high.x_px, everything.x_px[everything.score >= 5])
    apart = find_blobs(image, PIXEL, threshold=1, min_distance=400, **args)
    places = np.column_stack([apart.y_px, apart.x_px]) * PIXEL
    gaps = np.linalg.norm(places[:, None] - places[None], axis=2)
    assert gaps[np.triu_indices(len(places), 1)].min() >= 400


def test_one_diameter_finds_its_size_best():
    image = drawn((150, 210), CENTRES, [5, 24, 24, 56]) + grain((150, 210), 10, 0.005)
    blobs = find_blobs(
        image, PIXEL, diameter=24 * PIXEL, contrast="bright", method="laplacian", threshold=10
    )
    index, distance = matched(blobs, CENTRES)
    np.testing.assert_array_less(distance[1:3], 0.2)
    score = blobs.score[index[1:3]].min()
    for far in (0, 3):  # other sizes are not found, or with a small part of the score
        assert distance[far] > 2 or blobs.score[index[far]] < score / 5


@pytest.mark.parametrize("method", METHODS)
def test_there_is_no_cliff_at_the_ends_of_what_a_diameter_searches(method):
    y, x = np.indices((150, 210), dtype=np.float64)
    sigma = 60 / 2.3548 / PIXEL  # 60 Å wide at half height, as a ball of 85 Å
    image = sum(np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * sigma**2)) for cy, cx in CENTRES)
    image = image + grain((150, 210), 13, 1e-3)
    scores = []
    for diameter in range(60, 211, 10):
        blobs = find_blobs(image, PIXEL, diameter=float(diameter), contrast="bright", method=method)
        index, distance = matched(blobs, CENTRES)
        assert distance.max() < 0.3, diameter
        assert set(index) == set(range(len(CENTRES))), diameter  # above all noise
        scores.append(float(blobs.score[index].min()))
    best = int(np.argmax(scores))
    assert 70 <= 60 + 10 * best <= 110
    ratio = np.array(scores[1:]) / scores[:-1]
    assert ratio.min() > 0.2  # nothing appears or vanishes at a step
    assert ratio.max() < 5


def test_the_noise_scale_holds_in_empty_and_crowded_slabs():
    side, scores, noise = 630, {}, {}
    places = np.stack(np.meshgrid(np.arange(24), np.arange(24)), axis=-1).reshape(-1, 2) * 26.0 + 16
    order = np.random.default_rng(3).permutation(len(places))
    for count in (5, 50, 500):  # 500 cover a fifth of the slab
        centres = [tuple(place) for place in places[order[:count]]]
        image = grain((side, side), 14, 0.3)
        for y, x in places[order[:count]].astype(int):
            image[y - 10 : y + 11, x - 10 : x + 11] += drawn((21, 21), [(10, 10)], [14])
        blobs = find_blobs(image, PIXEL, diameter=14 * PIXEL, contrast="bright", threshold=1.0)
        index, distance = matched(blobs, centres)
        assert distance.max() < 3
        scores[count] = blobs.score[index]
        noise[count] = np.delete(blobs.score, index)
        assert (scores[count] >= 2).mean() > 0.95  # found by the default threshold
        assert (noise[count] > np.median(scores[count])).sum() == 0
    assert np.median(scores[500]) > np.median(scores[5]) / 3
    assert np.median(scores[50]) == pytest.approx(np.median(scores[5]), rel=0.15)


def test_constant_slabs_give_no_picks_and_one_warning():
    image = drawn((150, 210), CENTRES, [24] * 4) + grain((150, 210), 11)
    flat = np.full((150, 210), 3.3, dtype=np.float32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        picks = pick_blobs([flat, image, flat, flat], table(4), diameter=(120, 300), threshold=8)
    assert [str(w.message)[:29] for w in caught] == ["3 of 4 slabs are constant and"]
    assert len(picks) == 4
    with pytest.warns(SlabkitWarning, match="2 of 2 slabs are constant"):
        none = pick_blobs([flat, 0 * flat], table(2), diameter=(120, 300))
    assert len(none) == 0
    assert list(none.columns) == PICKS2D.names
    assert len(pick_blobs([], table(4).iloc[:0], diameter=100)) == 0


def test_padding_gives_no_picks_and_does_not_change_scores():
    shape = (150, 210)
    image = 50 + drawn(shape, CENTRES, [24] * 4) + grain(shape, 12)
    padded = np.zeros((150, 320), dtype=np.float32)
    padded[:, 60:270] = image
    plain = find_blobs(image, PIXEL, diameter=(120, 250), contrast="bright", threshold=8)
    blobs = find_blobs(padded, PIXEL, diameter=(120, 250), contrast="bright", threshold=8)
    assert len(plain) == len(blobs) == 4
    np.testing.assert_allclose(np.sort(blobs.x_px) - 60, np.sort(plain.x_px), atol=0.1)
    np.testing.assert_allclose(blobs.score, plain.score, rtol=0.1)


def test_images_are_taken_lazily():
    taken = []

    def images():
        for number in range(6):
            taken.append(number)
            yield drawn((60, 60), [(30, 30)], [20]) + grain((60, 60), number)

    with pytest.raises(InputError, match="more images than the 2 slabs"):
        pick_blobs(images(), table(2), diameter=150)
    assert taken == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"diameter": (300, 100)}, "MIN:MAX in Å, not 300:100"),
        ({"diameter": 0}, "positive length"),
        ({"diameter": (100, np.inf)}, "positive length"),
        ({"diameter": 10}, "under three pixels of 7.3 Å"),
        ({"diameter": 5000}, "do not fit in an image of 210 × 150 pixels"),
        ({"threshold": np.nan}, "--threshold must be a number, not nan"),
        ({"max_count": 0}, "--max-per-slab must be at least 1, not 0"),
        ({"min_distance": -1}, "--min-distance must be 0 Å or more, not -1"),
        ({"max_elongation": 0.5}, "--max-elongation must be 1 .* not 0.5"),
        ({"contrast": "light"}, "contrast must be 'dark' or 'bright'"),
        ({"method": "dog"}, "the method must be 'rims' or 'laplacian', not 'dog'"),
    ],
)
def test_senseless_parameters_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        find_blobs(grain((150, 210), 1), PIXEL, **{"diameter": (100, 300), **options})


def test_senseless_images_are_refused():
    image = grain((150, 210), 1)
    bad = image.copy()
    bad[3, 4] = bad[100, 2] = np.nan
    with pytest.raises(InputError, match=r"TS_1_slab001.mrc: 2 pixels are NaN .* y=3, x=4"):
        pick_blobs([image, bad], table(2), diameter=150)
    with pytest.raises(InputError, match="shape \\(2, 150, 210\\)"):
        find_blobs(np.stack([image, image]), PIXEL, diameter=150)
    with pytest.raises(InputError, match="complex64"):
        find_blobs(image.astype(np.complex64), PIXEL, diameter=150)
    with pytest.raises(InputError, match="the pixel size must be a positive number"):
        find_blobs(image, 0.0, diameter=150)
    with pytest.raises(InputError, match="has 3 slabs, but there are only 2 images"):
        pick_blobs([image, image], table(3), diameter=150)
    two = pd.concat([table(1), table(1, tomogram="TS_2")], ignore_index=True)
    with pytest.raises(InputError, match=r"differ in rlnTomoName \(TS_1, TS_2\)"):
        pick_blobs([image, image], two, diameter=150)


def test_ribosomes_of_a_real_tomogram(data_folder):
    import mrcfile

    truth = pd.read_csv(data_folder / "tomograms" / "truth.csv")
    truth = truth[(truth["tomogram"] == "TS_911") & (truth["species"] == "ribosome")]
    with mrcfile.mmap(data_folder / "tomograms" / "TS_911.mrc", permissive=True) as volume:
        starts = [0, 17, 33, 50, 66]
        images = [volume.data[s : s + 30].mean(axis=0, dtype=np.float32) for s in starts]
    picks = pick_blobs(
        images, table(5, "dark", 10.0, (256, 256)), diameter=(100, 350), max_per_slab=40
    )
    start = picks["rlnMicrographName"].str[-7:-4].astype(int).map(dict(enumerate(starts)))
    found = [
        (
            (np.hypot(picks["rlnCoordinateX"] - x / 10, picks["rlnCoordinateY"] - y / 10) < 7.5)
            & (start * 10 <= z)
            & (z < start * 10 + 300)
        ).any()
        for x, y, z in truth[["x", "y", "z"]].to_numpy()
    ]
    assert np.mean(found) >= 0.95
