"""Locally normalised correlation against the plain formula."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from slabkit.arrays import correlation
from slabkit.arrays.backends import Backend
from slabkit.arrays.correlation import TemplateMatcher
from slabkit.arrays.lanczos import LANCZOS
from slabkit.arrays.peaks import parabola
from slabkit.arrays.template_bank import compress_templates, soft_disc

SHAPE = (61, 83)
REACH = 6


@pytest.fixture(scope="module")
def scene():
    """An image with structure, 60 templates (5 shapes at 12 angles), and their soft mask."""
    rng = np.random.default_rng(3)
    image = ndimage.gaussian_filter(rng.normal(size=SHAPE), 1.5) + 0.02 * np.indices(SHAPE)[0]
    mask = soft_disc(REACH, 4.0, 1.6, (1.0, 1.0))
    wide = ndimage.gaussian_filter(rng.normal(size=(5, 25, 25)), (0, 1.5, 1.5))
    turned = [
        ndimage.rotate(one, angle, reshape=False, order=3)[6:19, 6:19]
        for one in wide
        for angle in range(0, 360, 30)
    ]
    return image.astype(np.float32), np.array(turned), mask


def plain(image, templates, mask):
    """Roseman's coefficient of every template at every pixel, term by term in float64."""
    weights = mask / mask.sum()
    image = image.astype(np.float64)

    def correlated(kernel):
        return ndimage.correlate(image_now, kernel, mode="reflect")

    image_now = image
    mean = correlated(weights)
    values = []
    for template in templates:
        template = template - (weights * template).sum()
        template /= np.sqrt((weights * template**2).sum())
        values.append(correlated(weights * template))
    image_now = image**2
    deviation = np.sqrt(correlated(weights) - mean**2)
    return np.array(values) / deviation


def test_equals_the_plain_formula(scene):
    image, templates, mask = scene
    expected = plain(image, templates, mask)
    bank = compress_templates(templates, mask, tolerance=0.0)
    assert bank.residual < 1e-6
    matched = TemplateMatcher(SHAPE, bank).image(image)
    np.testing.assert_allclose(matched.highest(), expected.max(axis=0), atol=2e-5)
    y, x = (grid.ravel() for grid in np.indices(SHAPE))
    value, template = matched.at(y, x)
    np.testing.assert_allclose(value, expected.max(axis=0).ravel(), atol=2e-5)
    chosen = expected.reshape(len(templates), -1)[template, np.arange(len(y))]
    np.testing.assert_allclose(chosen, value, atol=2e-5)


@pytest.mark.parametrize("tolerance", [0.01, 0.05, 0.2])
def test_compression_keeps_its_promise(scene, tolerance):
    image, templates, mask = scene
    exact = compress_templates(templates, mask, tolerance=0.0)
    bank = compress_templates(templates, mask, tolerance=tolerance)
    assert len(bank.kernels) < len(exact.kernels)
    assert bank.residual <= tolerance
    matched = TemplateMatcher(SHAPE, bank).image(image)
    error = np.abs(matched.highest() - plain(image, templates, mask).max(axis=0))
    assert error.max() <= bank.residual + 2e-5
    # One dimension fewer would not do.
    short = np.linalg.norm(exact.coefficients[:, len(bank.kernels) - 1 :], axis=1).max()
    assert short > tolerance


def assert_same_peaks(found, everything, floor, atol=2e-6):
    """Compare peaks that reach the floor, what is beside them, and that nothing else looks so."""

    def peaks(values):
        highest = ndimage.maximum_filter(values, 3)
        return ((values >= highest) & (values >= floor))[1:-1, 1:-1]

    wanted = np.pad(peaks(everything), 1)
    assert wanted.any()
    np.testing.assert_array_equal(peaks(found), wanted[1:-1, 1:-1])
    beside = ndimage.binary_dilation(wanted)
    np.testing.assert_allclose(found[beside], everything[beside], atol=atol)
    assert (found <= everything + atol).all()


@pytest.mark.parametrize("transform", [0.0, 6.0, np.inf])
def test_bounds_leave_out_only_what_cannot_be_a_peak(scene, monkeypatch, transform):
    """By FFT, by products at places, or by what is quicker."""
    monkeypatch.setattr(correlation, "_TRANSFORM", transform)
    image, templates, mask = scene
    bank = compress_templates(templates, mask)
    assert len(bank.stages) == 3
    matched = TemplateMatcher(SHAPE, bank, softening=0.5).image(image)
    everything = matched.highest()
    slope = np.linspace(0.4, 1.2, SHAPE[1], dtype=np.float32)[None]
    for floor in (float(np.quantile(everything, 0.97)), np.repeat(slope, SHAPE[0], axis=0)):
        some = matched.highest(floor)
        assert_same_peaks(some, everything, floor)
        assert (some == -2).mean() > 0.3
    # Far from the mean, and beside something a thousand times as strong, sums round more.
    image = 1000 * image
    image[:20, :20] *= 1000
    matched = TemplateMatcher(SHAPE, bank).image(image + 10000)
    assert_same_peaks(matched.highest(0.5), matched.highest(), 0.5)


@pytest.mark.parametrize("floor", [-np.inf, 0.6])
def test_tiles_join_without_a_seam(scene, monkeypatch, floor):
    image, templates, mask = scene
    bank = compress_templates(templates, mask)
    whole = TemplateMatcher(SHAPE, bank).image(image).highest()
    monkeypatch.setattr(correlation, "_LARGEST_TILE", 31)
    tiled = TemplateMatcher(SHAPE, bank).image(image).highest(floor)
    assert_same_peaks(tiled, whole, floor)


def test_grey_values_do_not_matter(scene):
    image, templates, mask = scene
    bank = compress_templates(templates, mask)
    matcher = TemplateMatcher(SHAPE, bank, softening=0.5)
    before = image.copy()
    one = matcher.image(image).highest()
    np.testing.assert_array_equal(image, before)
    np.testing.assert_allclose(matcher.image(1000 * image).highest(), one, atol=1e-4)
    np.testing.assert_allclose(matcher.image(image + 3).highest(), one, atol=1e-4)
    other = compress_templates(7 * templates - 2, mask)
    np.testing.assert_allclose(
        TemplateMatcher(SHAPE, other, softening=0.5).image(image).highest(), one, atol=1e-4
    )


def test_templates_may_come_in_any_order(scene):
    image, templates, mask = scene
    order = np.random.default_rng(0).permutation(len(templates))
    y, x = np.arange(5, 55, 7), np.arange(6, 78, 9)
    one, other = (
        TemplateMatcher(SHAPE, compress_templates(some, mask, 0.0)).image(image).at(y, x)
        for some in (templates, templates[order])
    )
    np.testing.assert_allclose(one[0], other[0], atol=1e-5)
    np.testing.assert_array_equal(order[other[1]], one[1])


def test_a_template_in_the_image_correlates_fully(scene):
    _, templates, mask = scene
    image = np.zeros(SHAPE, dtype=np.float32)
    image[20 : 20 + 13, 40 : 40 + 13] = 5 - 3 * templates[17]
    bank = compress_templates(-templates, mask, tolerance=0.0)
    value, template = TemplateMatcher(SHAPE, bank).image(image).at(np.array([26]), np.array([46]))
    assert value[0] == pytest.approx(1, abs=1e-5)
    assert template[0] == 17


def test_constant_templates_and_constant_surroundings_correlate_with_nothing(scene):
    _, templates, mask = scene
    bank = compress_templates(np.stack([np.ones((13, 13)), templates[0]]), mask)
    assert not bank.coefficients[0].any()
    image = np.full(SHAPE, 3.0, dtype=np.float32)
    image[:20, :20] = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(20, 20)), 1)
    highest = TemplateMatcher(SHAPE, bank).image(image).highest()
    assert np.isfinite(highest).all()
    assert np.abs(highest[40:, 40:]).max() < 0.05


def test_soft_disc():
    disc = soft_disc(5, 20.0, 10.0, (10.0, 5.0))
    assert disc.shape == (11, 11)
    assert disc[5, 5] == disc[7, 5] == disc[5, 9] == 1  # 20 Å away
    assert disc[8, 5] == pytest.approx(0, abs=1e-12)  # 30 Å away
    assert disc[5, 10] == pytest.approx(0.5)  # 25 Å away


def test_between_pixels_the_image_is_interpolated(scene):
    _, templates, mask = scene
    y, x = np.indices(SHAPE, dtype=float)

    def waves(y, x):
        return np.sin(0.9 * y + 0.4 * x) + np.cos(1.3 * x - 0.7 * y) + np.sin(1.7 * y)

    bank = compress_templates(templates, mask, 0.0)
    matcher = TemplateMatcher(SHAPE, bank)
    between = matcher.image(waves(y, x).astype(np.float32)).at([30.3, 20.0], [40.0, 50.6])
    for index, (down, right) in enumerate([(0.3, 0.0), (0.0, 0.6)]):
        moved = matcher.image(waves(y + down, x + right).astype(np.float32))
        value, template = moved.at([30, 20], [40, 50])
        assert between[1][index] == template[index]
        assert between[0][index] == pytest.approx(value[index], abs=0.03)


class Elsewhere:
    """A device of NumPy's: takes and gives its own arrays only, and keeps count."""

    class Array(np.ndarray):
        """What lies on the device."""

    def __init__(self):
        self.brought, self.most_planes = [], 0

    def put(self, array):
        self.brought.append(array.shape)
        return np.array(array).view(self.Array)

    def get(self, array):
        assert isinstance(array, self.Array)
        return np.array(array)

    def operand(self, matrix):
        return self.put(matrix)

    def columns(self, table, numbers):
        assert isinstance(numbers, self.Array)
        return table[:, numbers]

    def joined(self, *tables, axis=0):
        assert all(isinstance(table, self.Array) for table in tables)
        return np.concatenate(tables, axis).view(self.Array)

    def product(self, rows, operand):
        assert isinstance(rows, self.Array)
        return rows @ operand

    def ifft2(self, one, other, rows):
        assert isinstance(one, self.Array)
        self.most_planes = max(self.most_planes, len(other))
        return Backend().ifft2(one, other, rows).view(self.Array)

    def highest(self, array, axis):
        assert isinstance(array, self.Array)
        assert array.size <= max(self.memory / correlation._DEVICE_BYTES, len(array))
        return array.max(axis)

    def empty(self, shape):
        return np.empty(shape, np.float32).view(self.Array)

    def absolute(self, array):
        return np.abs(array)

    def sum_of_products(self, one, other, axis):
        return (one * other).sum(axis)

    def windows(self, image, side):
        assert isinstance(image, self.Array)
        return Backend().windows(image, side).view(self.Array)


@pytest.mark.parametrize("floor", [-np.inf, 0.6])
@pytest.mark.parametrize("at_once", [4000, 2**25])
def test_a_device_gives_the_same_in_batches_of_its_own(scene, monkeypatch, floor, at_once):
    image, templates, mask = scene
    bank = compress_templates(templates, mask)
    monkeypatch.setattr(correlation, "_LARGEST_TILE", 31)
    device = Elsewhere()
    device.memory = at_once * correlation._DEVICE_BYTES
    here, there = (TemplateMatcher(SHAPE, bank, 0.5, which) for which in (None, device))
    monkeypatch.setattr(correlation, "_TRANSFORM", 0.0)
    expected, found = here.image(image), there.image(image)
    values, own = expected.highest(floor), found.highest(floor)
    assert_same_peaks(own, values, floor)
    one_plane = here._sides[0] * here._sides[1]
    most = 0 if floor == -np.inf else -(-int(np.diff((0, *bank.stages)).max()) // 2)
    assert device.most_planes == min(most, max(1, at_once // one_plane))
    y, x = np.linspace(0, 60, 300), np.linspace(82, 0, 300)
    for places in ((y, x), (y.astype(int), x.astype(int))):
        value, template = expected.at(*places)
        np.testing.assert_allclose(found.at(*places)[0], value, atol=1e-6)
        np.testing.assert_array_equal(found.at(*places)[1], template)
    for moved, place in zip(
        found.refined(y, x, template), expected.refined(y, x, template), strict=True
    ):
        np.testing.assert_allclose(moved, place, atol=1e-4)
    # The bank lies there once and for all.
    before = len(device.brought)
    there.image(image).highest(floor)
    found.refined(y, x, template)
    again = device.brought[before:]
    assert not [shape for shape in again if len(shape) > 2]  # spectra of kernels
    assert not {bank.coefficients.shape, (mask.size, len(bank.kernels))} & set(again)


@pytest.mark.parametrize("turns", [8, 12])
def test_templates_with_their_half_turns_give_the_same(turns):
    """Halves of a turn are point reflections: half of the products settle both."""
    random = np.random.default_rng(3)
    side = 15
    y, x = np.mgrid[-7:8, -7:8]
    mask = soft_disc(7, 5.0, 1.5, (1.0, 1.0))
    blobs = random.normal(0, 3, (3, 4, 2))
    turned = []
    for shape in blobs:
        for angle in 2 * np.pi * np.arange(turns) / turns:
            rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            own = shape @ rotation
            turned.append(
                sum(
                    np.exp(-((y - a) ** 2 + (x - b) ** 2) / (3 + n)) for n, (a, b) in enumerate(own)
                )
            )
    turned = np.array(turned).reshape(-1, side, side)
    plain = compress_templates(turned, mask, 0.0)
    halves = compress_templates(turned, mask, 0.0, turns=turns)
    assert plain.odd is None
    assert halves.odd is not None
    assert 0 < halves.odd.sum() < len(halves.odd)
    image = random.normal(size=(40, 53)).astype(np.float32)
    expected = TemplateMatcher(image.shape, plain).image(image)
    found = TemplateMatcher(image.shape, halves).image(image)
    np.testing.assert_allclose(found.highest(), expected.highest(), atol=2e-5)
    floor = np.linspace(0.2, 0.9, image.size).reshape(image.shape).astype(np.float32)
    all_ = expected.highest()
    assert_same_peaks(found.highest(floor), all_, floor, atol=2e-5)
    rows, columns = np.nonzero(all_ > 0)
    values, best = found.at(rows, columns)
    np.testing.assert_allclose(values, all_[rows, columns], atol=2e-5)
    assert (best == expected.at(rows, columns)[1]).mean() > 0.99
    # Not a reflection: one template changed.
    turned[1, 3, 8] += 1
    assert compress_templates(turned, mask, 0.0, turns=turns).odd is None


def test_refined_places_are_vertices_of_parabolas_through_interpolated_coefficients(scene):
    image, templates, mask = scene
    matcher = TemplateMatcher(SHAPE, compress_templates(templates, mask, 0.0))
    matched = matcher.image(image)
    y, x, template = np.array([20.3, 30.0, 0.1]), np.array([40.0, 50.4, 81.7]), np.array([3, 17, 5])
    padded = np.pad(image.astype(float), 20, mode="symmetric")

    def coefficient(down, right, kernel):
        taps = np.arange(-12, 13)
        rows, columns = (np.floor(at + 0.5).astype(int) for at in (down, right))
        weights = [
            np.where(abs(away := taps - at) < LANCZOS, np.sinc(away) * np.sinc(away / LANCZOS), 0)
            for at in (down - rows, right - columns)
        ]
        weights = [each / each.sum() for each in weights]
        whole = padded[rows + 2 : rows + 39, columns + 2 : columns + 39]
        moved = sum(
            weights[0][i] * weights[1][j] * whole[i : i + 13, j : j + 13]
            for i in range(25)
            for j in range(25)
        )
        deviation = ndimage.map_coordinates(
            matched.deviation, [[down], [right]], order=1, mode="nearest"
        )
        return (kernel * moved).sum() / deviation[0]

    found = matched.refined(y, x, template)
    for n in range(len(y)):
        kernel = matcher._templates[template[n]].reshape(13, 13).astype(float)
        for axis, place in enumerate((y, x)):
            step = 0.25 * np.eye(2)[axis]
            before, centre, after = (
                coefficient(*(np.array([y[n], x[n]]) + k * step), kernel) for k in (-1, 0, 1)
            )
            moved = 0.25 * parabola(*np.array([[before], [centre], [after]]))[0][0]
            assert abs(moved) <= correlation.REFINED
            assert found[axis][n] == pytest.approx(place[n] + moved, abs=2e-4)
