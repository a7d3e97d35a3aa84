"""Filters, peaks and padding on images whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from slabkit.arrays.filters import (
    BALL_SIGMA,
    LadderFrequencies,
    angular_frequencies,
    binned_shape,
    cosine_spectrum,
    filtered_image,
    fine_position,
    gaussian_transfer,
    laplacian_transfer,
    rim_transfer,
    shell_transfer,
)
from slabkit.arrays.padding import without_padding
from slabkit.arrays.peaks import evenness, find_peaks

SHAPE = (63, 90)


def noise(shape=SHAPE, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_laplacian_agrees_with_direct_filtering_up_to_the_border():
    image, sigma_px, pixel_size = noise(), 3.0, 7.3
    q = angular_frequencies(SHAPE, SHAPE, pixel_size)
    transfer = laplacian_transfer(q, sigma_px * pixel_size / BALL_SIGMA)
    ours = filtered_image(cosine_spectrum(image, SHAPE), transfer)
    direct = -(sigma_px**2) * ndimage.gaussian_laplace(
        image.astype(float), sigma_px, mode="reflect", truncate=8
    )
    np.testing.assert_allclose(ours, direct, atol=2e-5)


def test_coarse_grid_samples_the_same_filtered_image():
    image = noise()
    coarse_shape = (21, 45)
    fine, coarse = (
        filtered_image(cosine_spectrum(image, shape), gaussian_transfer(SHAPE, shape, 5, 25))
        for shape in (SHAPE, coarse_shape)
    )
    rows = fine_position(np.arange(21), 63, 21)
    columns = fine_position(np.arange(45), 90, 45)
    expected = ndimage.map_coordinates(
        fine.astype(float), np.meshgrid(rows, columns, indexing="ij"), order=5, mode="reflect"
    )
    np.testing.assert_allclose(coarse, expected, atol=2e-3)


def test_gaussian_agrees_with_direct_smoothing_up_to_the_border():
    image = noise()
    ours = filtered_image(cosine_spectrum(image, SHAPE), gaussian_transfer(SHAPE, SHAPE, 7.3, 14.6))
    direct = ndimage.gaussian_filter(image.astype(float), 2.0, mode="reflect", truncate=8)
    np.testing.assert_allclose(ours, direct, atol=1e-6)


@pytest.mark.parametrize("transfer", [laplacian_transfer, rim_transfer, shell_transfer])
def test_filters_ignore_the_level(transfer):
    q = angular_frequencies(SHAPE, SHAPE, 10.012)
    assert transfer(q, 150.0)[0, 0] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("transfer", [laplacian_transfer, rim_transfer, shell_transfer])
def test_interpolated_transfers_are_the_transfers(transfer):
    sizes = 80.0 * 1.19 ** np.arange(9)
    for shape in (SHAPE, (1, 40)):
        q = angular_frequencies(shape, shape, 5.0)
        ours = LadderFrequencies(q, sizes).transfers(transfer, 0.9, first=2)
        assert len(ours) == 7
        for size, one in zip(sizes[2:], ours, strict=True):
            np.testing.assert_allclose(one, transfer(q, 0.9 * size), atol=2e-5)
        alone = LadderFrequencies(q, np.array([250.0])).transfers(transfer, 1.0)
        np.testing.assert_allclose(alone, [transfer(q, 250.0)], atol=2e-5)


def test_laplacian_answers_the_ball_of_its_diameter_most():
    y, x = np.mgrid[:201, :201] - 100.0
    ball = 2 * np.sqrt(np.clip(40.0**2 - y**2 - x**2, 0, None)).astype(np.float32)
    spectrum = cosine_spectrum(ball, ball.shape)
    q = angular_frequencies(ball.shape, ball.shape, 2.5)
    diameters = np.linspace(160, 240, 33)
    answers = [filtered_image(spectrum, laplacian_transfer(q, d))[100, 100] for d in diameters]
    assert diameters[int(np.argmax(answers))] == pytest.approx(200, rel=0.015)


def test_binned_shape_is_fine_enough_and_never_larger():
    for n in (64, 97, 630, 1260):
        y, x = binned_shape((n, 2 * n), 3.3)
        assert n / 3.3 <= y <= n
        assert 2 * n / 3.3 <= x <= 2 * n
    assert binned_shape((97, 50), 0.4) == (97, 50)


def test_fine_positions_stay_inside():
    assert fine_position(-0.5, 90, 30) == 0
    assert fine_position(29.5, 90, 30) == 89
    assert fine_position(0, 90, 30) == 1


def gaussian_stack(centre, sigma=(1.5, 3.0, 3.0), shape=(9, 30, 41)):
    grid = np.indices(shape).astype(float)
    square = sum(((g - c) / s) ** 2 for g, c, s in zip(grid, centre, sigma, strict=True))
    return np.exp(-square / 2).astype(np.float32)


def test_peak_is_refined_below_the_sampling():
    peaks = find_peaks(gaussian_stack((4.2, 14.3, 20.6)), floor=0.1)
    assert len(peaks.x) == 1
    assert peaks.rung[0] == pytest.approx(4.2, abs=0.03)
    assert peaks.y[0] == pytest.approx(14.3, abs=0.02)
    assert peaks.x[0] == pytest.approx(20.6, abs=0.02)
    assert peaks.value[0] == pytest.approx(1, abs=0.01)
    assert peaks.elongation[0] == pytest.approx(1, abs=0.05)


def test_elongation_is_the_ratio_of_curvatures_in_any_direction():
    y, x = np.indices((41, 41)) - 20.0
    for angle in (0.0, 0.4, np.pi / 4):
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        image = np.exp(-(along**2) / (2 * 12**2) - across**2 / (2 * 6**2))
        stack = np.stack([0.9 * image, image, 0.9 * image]).astype(np.float32)
        assert find_peaks(stack, 0.5).elongation[0] == pytest.approx(4, rel=0.05)


def test_flat_top_is_one_peak_and_border_and_end_rungs_have_none():
    stack = np.zeros((5, 12, 12), dtype=np.float32)
    stack[2, 4:6, 4:7] = 1
    assert [len(v) for v in (find_peaks(stack).x,)] == [1]
    for place in [(0, 5, 5), (4, 5, 5), (2, 0, 5), (2, 11, 5), (2, 5, 0), (2, 5, 11)]:
        stack = np.zeros((5, 12, 12), dtype=np.float32)
        stack[place] = 1
        assert len(find_peaks(stack).x) == 0


def test_evenness_tells_discs_from_ridges():
    y, x = np.indices((101, 101)) - 50.0
    disc = (np.hypot(y, x) < 20).astype(np.float32)
    ridge = (np.abs(y) < 8).astype(np.float32)
    here, radius = np.array([50.0]), np.array([20.0])
    rings = (0.8 * radius, (1.25 * radius, 1.5 * radius))
    assert evenness(disc, here, here, *rings)[0] == pytest.approx(1, abs=0.02)
    assert evenness(ridge, here, here, *rings)[0] < 0.3
    assert evenness(-disc, here, here, *rings)[0] == 0


def test_padding_is_filled_with_the_level_beside_it():
    image = noise() + 100
    before = image.copy()
    image[:, :20] = before[:, :20] = 0
    filled, padding = without_padding(image)
    assert padding is not None
    np.testing.assert_array_equal(padding, image == 0)
    assert np.ptp(filled[padding]) == 0
    assert filled[0, 0] == pytest.approx(100, abs=0.5)
    np.testing.assert_array_equal(filled[~padding], image[~padding])
    np.testing.assert_array_equal(image, before)


def test_plain_background_is_no_padding():
    image = np.zeros(SHAPE, dtype=np.float32)
    image[20:30, 30:40] = 5
    assert without_padding(image)[1] is None
    assert without_padding(noise())[1] is None
