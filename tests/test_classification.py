"""2D classification: what was planted is found, and nothing where nothing is."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import affine_transform, gaussian_filter, map_coordinates

from slabkit.arrays.backends import Backend, backend_for
from slabkit.classification import (
    ArraySource,
    Classification,
    ClassificationSettings,
    classify_images,
    harmonics,
    images,
)
from slabkit.classification import classify as classify_module
from slabkit.classification.averages import (
    Averages,
    agreement_with_others,
    average_classes,
    class_quality,
    noise_outside,
    ring_resolution,
    turned_back,
)
from slabkit.classification.expectation import Comparison, Expectation, References
from slabkit.classification.harmonics import CircularHarmonics, Shifts, shift_grid
from slabkit.classification.limits import Limits
from slabkit.classification.mixture import Mixture, _exchange, _expect, two_kinds
from slabkit.errors import InputError, MissingDependencyError

PIXEL = 10.0
STEP = 6.0  # degrees
Array = npt.NDArray[Any]

# Blobs without any symmetry: y, x, width (of a box), height.
SHAPES = (
    ((-0.17, 0.0, 0.05, 1.0), (0.17, 0.0, 0.05, 1.0), (0.0, 0.1, 0.05, 1.0)),
    ((0.0, 0.0, 0.12, 0.6), (0.2, 0.06, 0.045, 1.2), (-0.1, 0.17, 0.04, 0.8)),
    (
        (-0.14, -0.14, 0.045, 1.0),
        (-0.14, 0.14, 0.045, 1.0),
        (0.14, -0.14, 0.045, 1.0),
        (0.02, 0.22, 0.045, 1.5),
    ),
)


def drawn(shape: int, y: Array, x: Array, side: float) -> Array:
    """Draw a shape at places about the centre, in pixels."""
    blobs = [
        height * np.exp(-((y - a * side) ** 2 + (x - b * side) ** 2) / (2 * (width * side) ** 2))
        for a, b, width, height in SHAPES[shape]
    ]
    return np.sum(blobs, axis=0)


def turned(angle: Array | float, y: Array, x: Array) -> tuple[Array, Array]:
    """Turn places from x towards y."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return cosine * y + sine * x, cosine * x - sine * y


@dataclass
class Planted:
    """Images, and what is in them: the shape was shifted (pixels) and then turned (radians)."""

    images: Array
    shape: Array
    angle: Array
    y: Array
    x: Array


def planted(count: int, side: int, noise: float, *, reach: float = 2.5, seed: int = 1) -> Planted:
    """Shapes in turn, anywhere within reach, turned anyhow."""
    random = np.random.default_rng(seed)
    y, x = np.indices((side, side)) - side // 2
    shape = np.arange(count) % len(SHAPES)
    angle = random.uniform(0, 2 * np.pi, count)
    shift_y, shift_x = random.uniform(-reach, reach, (2, count))
    stack = random.normal(0, noise, (count, side, side))
    for i in range(count):
        own_y, own_x = turned(-angle[i], y, x)
        stack[i] += drawn(shape[i], own_y - shift_y[i], own_x - shift_x[i], side)
    return Planted(stack.astype(np.float32), shape, angle, shift_y, shift_x)


def settings(**changes: Any) -> ClassificationSettings:
    """Few iterations, few classes, coarse angles."""
    usual = {"classes": 4, "iterations": 8, "angular_step": 12.0}
    return ClassificationSettings(**{**usual, **changes})


def shares(found: Array, true: Array) -> Array:
    """Count the images of each true class (row) in each class found (column)."""
    table = np.zeros((true.max() + 1, found.max() + 1), dtype=int)
    np.add.at(table, (true, found), 1)
    return table


def purity(found: Array, true: Array) -> float:
    """Give the share of images that are of their class's commonest kind."""
    return float(shares(found, true).max(0).sum() / len(true))


def rand_index(found: Array, true: Array) -> float:
    """Give the Rand index, adjusted for chance (Hubert and Arabie 1985)."""
    table = shares(found, true)

    def pairs(counts: Array) -> float:
        return float((counts * (counts - 1) / 2).sum())

    rows, columns, both = pairs(table.sum(1)), pairs(table.sum(0)), pairs(table)
    expected = rows * columns / pairs(np.array([len(true)]))
    return (both - expected) / ((rows + columns) / 2 - expected)


def assert_same(one: Classification, other: Classification, rows: Array | slice = slice(None)):
    """All numbers are the same to the last bit, rows of the first chosen."""
    for name in vars(one):
        first, second = np.asarray(getattr(one, name)), np.asarray(getattr(other, name))
        if name in ("class_number", "angle", "origin_y", "origin_x", "probability") or (
            name == "log_likelihood"
        ):
            first = first[rows]
        assert np.array_equal(first, second), name


@pytest.fixture(scope="module")
def easy() -> Planted:
    return planted(90, 40, 0.15)


@pytest.fixture(scope="module")
def easy_found(easy: Planted) -> Classification:
    return classify_images(easy.images, PIXEL, settings())


# --- harmonics


def samples_on_rings(basis: CircularHarmonics, image: Array, angles: Array) -> Array:
    """The Fourier transform of the masked image, summed pixel by pixel, shape (rings, angles)."""
    side = basis.box_px
    y, x = (part.ravel() for part in np.indices((side, side)) - side // 2)
    edge = max(0.15 * basis.radius_px, 1.0)
    fall = np.clip((np.hypot(y, x) - basis.radius_px) / edge, 0, 1)
    mask = 0.5 + 0.5 * np.cos(np.pi * fall)
    mask[np.hypot(y, x) >= basis.radius_px + edge] = 0
    flat = image.ravel().astype(float)
    flat = (flat - (flat * mask).sum() / mask.sum()) * mask
    k = np.arange(1, basis.rings + 1)[:, None, None] / side
    along = x * np.cos(angles)[:, None] + y * np.sin(angles)[:, None]
    return np.exp(-2j * np.pi * k * along) @ flat


@pytest.mark.parametrize("side", [24, 25])
def test_harmonics_are_those_of_the_fourier_transform_on_rings(side):
    basis = CircularHarmonics(side, 0.34 * side, 7)
    image = np.random.default_rng(0).normal(2, 1, (side, side)).astype(np.float32)
    found = basis.transform(image[None])[0]
    angles = 2 * np.pi * np.arange(128) / 128
    values = samples_on_rings(basis, image, angles)
    # exp(-2πi k·r) = Σ (-i)^m J_m(2πkr) exp(im(θ - φ)).
    expected = np.empty_like(found)
    for i, (m, ring) in enumerate(zip(basis.order, basis.ring, strict=True)):
        expected[i] = (values[ring] * np.exp(-1j * m * angles)).mean() * 1j**m
    np.testing.assert_allclose(found, expected, atol=2e-4 * np.abs(expected).max())
    power = (np.abs(values) ** 2).mean(1)
    # Orders beyond the highest hold a few thousandths of white noise, at the mask's very edge.
    np.testing.assert_allclose(basis.ring_power(found[None])[0], power, rtol=5e-3)
    # Weighted, squares sum up as over the plane: as many coefficients as a ring is long.
    total = (power * 2 * np.pi * np.arange(1, 8)).sum()
    assert np.abs(found) ** 2 @ basis.weight == pytest.approx(total, rel=3e-3)


def test_weighted_squares_are_those_of_the_image():
    side = 32
    y, x = np.indices((side, side)) - side // 2
    image = np.exp(-((y - 1) ** 2 + (x + 2) ** 2) / (2 * 1.8**2))
    basis = CircularHarmonics(side, 11, 14)
    masked = np.zeros(side * side)
    masked[basis._pixels] = basis.masked(image[None])[0]
    found = basis.transform(image[None])[0]
    # Between rings and in the middle the plane is only sampled.
    expected = side**2 * (masked**2).sum()
    assert np.abs(found) ** 2 @ basis.weight == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("angle", [math.pi / 2, math.pi, -math.pi / 2])
def test_turning_an_image_multiplies_its_harmonics_by_phases(angle):
    basis = CircularHarmonics(25, 8, 7)
    image = np.random.default_rng(1).normal(size=(25, 25)).astype(np.float32)
    # Rows grow with y: from x towards y is the other way round for np.rot90.
    quarter = np.rot90(image, -round(angle / (math.pi / 2)))
    before, after = basis.transform(np.stack([image, quarter]))
    expected = before * np.exp(-1j * basis.order * angle)
    np.testing.assert_allclose(after, expected, atol=1e-4 * np.abs(before).max())


def test_turning_by_any_angle():
    side, angle = 33, 0.7
    y, x = np.indices((side, side)) - side // 2
    own = turned(-angle, y, x)
    basis = CircularHarmonics(side, 14, 9)
    before, after = basis.transform(np.stack([drawn(1, y, x, 26), drawn(1, *own, 26)]))
    expected = before * np.exp(-1j * basis.order * angle)
    np.testing.assert_allclose(after, expected, atol=3e-3 * np.abs(before).max())


@pytest.mark.parametrize("side", [40, 41])
def test_shifted_harmonics_are_those_of_the_shifted_image(side):
    basis = CircularHarmonics(side, 0.45 * side, 10)
    y, x = np.indices((side, side)) - side // 2
    # Far from the mask's edge, and without a mean, so that the mask takes nothing.
    blob = [
        (
            np.exp(-(((y - b) ** 2 + (x - a) ** 2) / 8))
            - np.exp(-((y - b) ** 2 + (x - a) ** 2) / 16) / 2
        )
        for a, b in ((2.0, -1.0), (2.0 + 1.5, -1.0 - 2.25))
    ]
    before, after = basis.transform(np.stack(blob))
    shifts = Shifts(basis, np.array([0.0, -2.25]), np.array([0.0, 1.5]))
    none, moved = shifts.apply(before[None])[0]
    np.testing.assert_allclose(none, before, atol=1e-4 * np.abs(before).max())
    # The mean that is taken off before masking is all that differs.
    np.testing.assert_allclose(moved, after, atol=0.01 * np.abs(before).max())


def test_gathering_is_the_adjoint_of_shifting():
    basis = CircularHarmonics(20, 7, 6)
    shifts = Shifts(basis, *shift_grid(2, 1))
    random = np.random.default_rng(2)

    def some(*shape: int) -> Array:
        shape = (*shape, len(basis.order))
        values = random.normal(size=shape) + 1j * random.normal(size=shape)
        values[..., basis.order == 0] = values[..., basis.order == 0].real
        return values.astype(np.complex64)

    one, many = some(3), some(3, len(shifts))
    # Of real images those of order 0 are not real but for a shift; take the middle of each.
    there = (shifts.apply(one) * np.conj(many) * basis.weight).real.sum()
    back = (one * np.conj(shifts.gather(many)) * basis.weight).real.sum()
    assert back == pytest.approx(there, rel=0.05)


def test_shifting_there_and_back():
    basis = CircularHarmonics(40, 13, 12)
    image = planted(1, 40, 0.0).images
    there = Shifts(basis, np.array([1.7]), np.array([-0.6]))
    back = Shifts(basis, np.array([-1.7]), np.array([0.6]))
    found = basis.transform(image)
    moved = there.apply(found)
    again = back.apply(moved[:, 0])[:, 0]
    size = np.abs(found).max()
    np.testing.assert_allclose(again, found, atol=0.02 * size)
    np.testing.assert_allclose(there.gather(moved), again, atol=1e-4 * size)
    assert np.array_equal(there.back(moved[:, 0], np.array([0])), there.gather(moved))


@pytest.mark.parametrize("side", [300, 258, 257])
def test_large_boxes_are_averaged_in_blocks_without_a_shift(side, monkeypatch):
    y, x = np.indices((side, side)) - side // 2
    image = drawn(2, y - 5.3, x + 8.1, side)[None]
    blocks = CircularHarmonics(side, 0.3 * side, 6)
    monkeypatch.setattr(harmonics, "_LARGEST_GRID", 1000)
    pixels = CircularHarmonics(side, 0.3 * side, 6)
    assert blocks.block_px == -(-side // 128)
    assert pixels.block_px == 1
    coarse, fine = blocks.transform(image)[0], pixels.transform(image)[0]
    # A block of b pixels stands for b² of them. Half a pixel would turn ring 6 by 6 %.
    difference = np.abs(coarse * blocks.block_px**2 - fine).max()
    assert difference < 0.01 * np.abs(fine).max()
    assert blocks.independent == pytest.approx(pixels.independent, rel=0.02)


def test_shift_grids_are_round_and_hold_no_shift():
    y, x = shift_grid(3, 1)
    assert len(y) == 29
    assert (y[0], x[0]) == (0, 0)
    assert np.hypot(y, x).max() <= 3
    assert {(a, b) for a, b in zip(y, x, strict=True)} == {
        (-a, -b) for a, b in zip(y, x, strict=True)
    }
    assert shift_grid(0, 1)[0].tolist() == [0]
    assert len(shift_grid(0.9, 1)[0]) == 1


# --- averages


def test_images_turn_back_to_what_they_were():
    case = planted(6, 45, 0.0, reach=3)
    y, x = np.indices((45, 45)) - 22
    turned = turned_back(case.images.astype(float), case.angle, case.y, case.x)
    for i, back in enumerate(turned):
        inside = np.hypot(y, x) < 18
        np.testing.assert_allclose(back[inside], drawn(case.shape[i], y, x, 45)[inside], atol=0.01)


@pytest.mark.parametrize("side", [9, 40])
def test_turning_back_is_an_affine_transform_to_the_edges(side):
    random = np.random.default_rng(side)
    images = random.normal(size=(6, side, side))
    angle, *shift = random.uniform(-side / 2, side / 2, (3, 6))
    angle[1], shift[0][1], shift[1][1] = angle[0], shift[0][0], shift[1][0]
    for i, turned in enumerate(turned_back(images, angle, *shift)):
        cosine, sine = np.cos(angle[i]), np.sin(angle[i])
        matrix = np.array([[cosine, sine], [-sine, cosine]])
        offset = side // 2 + matrix @ (np.array([shift[0][i], shift[1][i]]) - side // 2)
        expected = affine_transform(images[i], matrix, offset, order=3, mode="nearest")
        # SciPy's filter sees 12 pixels of the continued edge, after which 2e-7 is left of it.
        np.testing.assert_allclose(turned, expected, atol=1e-6)


def test_averages_and_halves_of_members():
    stack = np.random.default_rng(0).normal(size=(450, 9, 9)).astype(np.float32)
    index = np.arange(450) % 2
    zero = np.zeros(450)
    order = np.arange(450)[::-1].copy()
    parts = [
        average_classes(ArraySource(stack), order, index, zero, zero, zero, 3, jobs=jobs)
        for jobs in (1, 3)
    ]
    first = parts[0]
    assert first.members.tolist() == [225, 225, 0]
    posed = stack[order]
    np.testing.assert_allclose(first.images[1], posed[1::2].mean(0), atol=1e-6)
    np.testing.assert_allclose(first.halves[0, 1], posed[1::4].mean(0), atol=1e-6)
    np.testing.assert_allclose(first.halves[1, 1], posed[3::4].mean(0), atol=1e-6)
    assert not first.images[2].any()
    assert first.images.tobytes() == parts[1].images.tobytes()
    assert first.halves.tobytes() == parts[1].halves.tobytes()


# --- what was planted


@pytest.mark.parametrize("side", [40, 41])
def test_planted_classes_angles_and_shifts_are_found(side):
    case = planted(90, side, 0.15, seed=3)
    chosen = settings(classes=6, iterations=12, angular_step=STEP)
    found = classify_images(case.images, PIXEL, chosen)
    assert purity(found.class_number, case.shape) >= 0.95
    assert found.quality[0] > 0.2  # what label --auto accepts
    assert found.size.sum() == 90
    assert np.all(np.diff(np.round(found.quality, 6)) <= 0)
    # The pose of a class average is its own; of the members of a class, differences are true.
    psi = -np.radians(found.angle)  # from x towards y
    own_y, own_x = turned(-psi, -found.origin_y / PIXEL, -found.origin_x / PIXEL)
    turn_off, shift_off = [], []
    for number in range(1, len(found.size) + 1):
        own = np.flatnonzero(found.class_number == number)
        kind = np.bincount(case.shape[own]).argmax()
        own = own[case.shape[own] == kind]
        if len(own) < 5:
            continue
        turn = np.exp(1j * (case.angle[own] - psi[own]))
        middle = np.angle(np.median(turn.real) + 1j * np.median(turn.imag))
        turn_off += list(np.degrees(np.abs(np.angle(turn * np.exp(-1j * middle)))))
        y, x = turned(middle, case.y[own], case.x[own])
        y, x = y - own_y[own], x - own_x[own]
        shift_off += list(np.hypot(y - np.median(y), x - np.median(x)))
    assert len(turn_off) > 75
    step_px = side / 40
    assert np.median(turn_off) <= STEP / 2
    assert np.percentile(turn_off, 95) <= STEP
    assert np.median(shift_off) <= step_px / 2 * math.sqrt(2)
    assert np.percentile(shift_off, 95) <= step_px * math.sqrt(2)
    # Shifts of the images are really told from none.
    assert np.hypot(case.y, case.x).mean() > 1.5


@pytest.mark.parametrize("side", [40, 41])
def test_shifted_by_the_origin_then_turned_images_make_the_average(side):
    case = planted(60, side, 0.15)
    found = classify_images(case.images, PIXEL, settings(classes=3))
    y, x = (np.indices((side, side)) - side // 2).astype(float)
    inside = np.hypot(y, x) < 0.3 * side
    for number in range(1, 4):
        own = np.flatnonzero(found.class_number == number)
        total = np.zeros((side, side))
        for i in own:
            # Turned by psi from x towards y: at o of the average is what was at R(-psi)o.
            at_y, at_x = turned(-np.radians(found.angle[i]), y, x)
            at_y, at_x = at_y - found.origin_y[i] / PIXEL, at_x - found.origin_x[i] / PIXEL
            places = np.stack([at_y, at_x]) + side // 2
            total += map_coordinates(case.images[i], places, order=3, mode="nearest")
        difference = total / len(own) - found.averages[number - 1]
        assert len(own) == found.size[number - 1]
        assert np.abs(difference[inside]).max() < 1e-4


def test_an_off_centre_particle_is_brought_to_the_middle():
    random = np.random.default_rng(4)
    y, x = np.indices((40, 40)) - 20
    blob = [np.exp(-((y - a) ** 2 + (x - b) ** 2) / 18) for a, b in random.uniform(-2, 2, (40, 2))]
    found = classify_images(
        np.array(blob) + random.normal(0, 0.1, (40, 40, 40)), PIXEL, settings(classes=1)
    )
    places = [np.unravel_index(image.argmax(), image.shape) for image in found.averages]
    assert np.abs(np.array(places) - 20).max() <= 1
    assert found.averages[0].max() > 0.9


def test_angles_and_origins_are_in_range(easy_found):
    assert easy_found.angle.min() > -180
    assert easy_found.angle.max() <= 180
    steps = easy_found.angle / 12
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)
    assert np.hypot(easy_found.origin_y, easy_found.origin_x).max() <= 0.075 * 400 + 1e-9
    assert easy_found.probability.min() > 1 / 4
    assert easy_found.probability.max() <= 1
    assert len(easy_found.history) == 8
    assert easy_found.history[-1] > easy_found.history[0]


def test_contrast_does_not_matter(easy, easy_found):
    dark = classify_images(-easy.images, PIXEL, settings())
    assert purity(dark.class_number, easy.shape) >= 0.95
    assert dark.quality[0] == pytest.approx(easy_found.quality[0], abs=0.1)


# --- the same answer


def test_order_of_images_does_not_matter_nor_do_duplicates(easy):
    stack = np.concatenate([easy.images[:70], easy.images[:20], easy.images[5:6]])
    stack[30] = np.nan
    order = np.random.default_rng(0).permutation(len(stack))
    one = classify_images(stack, PIXEL, settings(iterations=6))
    other = classify_images(stack[order], PIXEL, settings(iterations=6))
    assert_same(one, other, order)


def test_jobs_batches_and_files_do_not_matter(easy, monkeypatch):
    few = easy.images[:50]
    one = classify_images(few, PIXEL, settings(iterations=4))
    assert_same(one, classify_images(few, PIXEL, settings(iterations=4), jobs=3))
    # As if there were too many for memory.
    written = []
    original = np.memmap

    def memmap(*arguments: Any, **keywords: Any) -> Any:
        written.append(keywords["shape"])
        return original(*arguments, **keywords)

    monkeypatch.setattr(np, "memmap", memmap)
    monkeypatch.setattr(images, "_IN_MEMORY", 0)
    assert_same(one, classify_images(few, PIXEL, settings(iterations=4)))
    assert written[0][0] == 50


def test_pairs_that_are_left_out_are_far(monkeypatch):
    """What is not summed at every rotation could not have come near the best."""
    images = planted(60, 24, 0.4).images
    found = classify_images(images, PIXEL, settings(iterations=6))
    monkeypatch.setattr("slabkit.classification.expectation._ROUNDING", np.inf)
    assert_same(found, classify_images(images, PIXEL, settings(iterations=6)))


@pytest.mark.parametrize("most", [0.5, 1.0])
def test_classes_that_are_left_out_are_next_to_nothing(monkeypatch, most):
    """References move a little, by noise, or one is replaced: nothing is found that differs."""
    monkeypatch.setattr("slabkit.classification.expectation._MOST", most)
    side, classes, random = 24, 12, np.random.default_rng(3)
    basis = CircularHarmonics(side, 8.0, 7)
    stage = Comparison(basis, Shifts(basis, *shift_grid(2.0, 1.0)), 36, Backend(), jobs=2)

    def unit(values: Array) -> Array:
        norm = np.sqrt((np.abs(values) ** 2 * basis.weight).sum(1))
        return (values / norm[:, None]).astype(np.complex64)

    images = unit(basis.transform(planted(200, side, 0.3).images))
    means = images[:classes].copy()
    limits, shares = Limits(basis), []
    for step in range(9):
        level = np.log(random.dirichlet(np.full(classes, 500.0)))[:, None]
        away = stage.shifts.y_px**2 + stage.shifts.x_px**2
        prior = level - away / random.uniform(2, 2.1)
        to = References(means, prior, random.uniform(398, 400))
        read = images.__getitem__
        found = stage.run(read, len(images), to, limits=limits)
        all_of_them = stage.run(read, len(images), to)
        shares.append(limits._reached.mean())
        for name in ("best_class", "best_shift", "best_rotation", "probability", "agreement"):
            assert np.array_equal(getattr(found, name), getattr(all_of_them, name)), name
        assert np.array_equal(found.log_likelihood, all_of_them.log_likelihood)
        for name in ("sums", "weights", "power"):
            one, other = getattr(found, name), getattr(all_of_them, name)
            assert np.abs(one - other).max() < 1e-5 * max(1.0, np.abs(other).max()), name
        noise = random.normal(size=(2, *means.shape))
        means = unit(means + (0.0005 * (noise[0] + 1j * noise[1])).astype(np.complex64))
        if step == 4:
            means[3] = images[50]
    assert shares[0] == 1
    assert np.mean(shares) < 0.7  # else little was tested


def test_few_images_of_a_kind_get_a_class_of_their_own():
    """Six rings beside ten that are larger and longer, as virus-like particles beside vesicles.

    Whether they get one depends on chance (in half of such sets): it is that they can.
    """
    side, random = 24, np.random.default_rng(6)
    common = planted(132, side, 0.3, reach=1.0, seed=6)
    y, x = np.indices((side, side)) - side // 2
    rings = []
    for long, wide in [(1.0, 1.0)] * 6 + random.uniform([1.3, 0.9], [1.6, 1.25], (10, 2)).tolist():
        own_y, own_x = turned(random.uniform(0, np.pi), y, x)
        away = np.hypot(own_y, own_x / long) - 0.27 * side * wide
        rings.append(0.8 * np.exp(-((away / (0.05 * side)) ** 2)))
    images = np.concatenate([common.images, rings + random.normal(0, 0.3, (16, side, side))])
    kind = np.repeat([0, 1, 2], [132, 6, 10])
    found = classify_images(images, PIXEL, settings(classes=16, iterations=12))
    assert len(found.size) == 16
    table = shares(found.class_number, kind)
    (number,) = np.flatnonzero(table[1])
    assert table[:, number].tolist() == [0, 6, 0]


def test_a_class_of_two_kinds_is_divided_in_place_of_two_of_one_kind():
    side, angle = 32, np.radians(36)
    y, x = np.indices((side, side)) - side // 2
    own_y, own_x = turned(-angle, y, x)
    kinds = [drawn(0, y, x, side), drawn(1, y, x, side), drawn(2, y, x, side)]
    kinds.append(np.exp(-((np.hypot(y, x) - 8) ** 2) / 4))
    first = [kinds[0]] * 8 + [drawn(0, own_y - 1, own_x + 1, side)] * 12
    stack = np.array([*first, *[kinds[1]] * 6, *[kinds[2]] * 4, *[kinds[3]] * 10])
    basis = CircularHarmonics(side, 11.0, 8)
    stage = Comparison(basis, Shifts(basis, *shift_grid(2.0, 1.0)), 30, Backend())

    def unit(values: Array) -> Array:
        norm = np.sqrt((np.abs(values) ** 2 * basis.weight).sum(1))
        return (values / norm[:, None]).astype(np.complex64)

    noise = np.random.default_rng(7).normal(0, 0.05, stack.shape)
    images = unit(basis.transform(stack + noise))
    parts = np.split(images, [8, 20, 30])
    means = np.stack([part.mean(0) for part in parts])
    mixture = Mixture(means, np.array([0.2, 0.3, 0.25, 0.25]), 1.0, 0.2)
    found = _expect(stage, images, mixture, None)
    assert found.best_class.tolist() == [0] * 8 + [1] * 12 + [2] * 10 + [3] * 10
    untouched = means[3].copy()
    _exchange(means, found, stage, images, mixture, None, 1)
    assert np.array_equal(means[3], untouched)
    clean = unit(basis.transform(np.array(kinds)))
    made = unit(means)
    level = np.zeros((4, len(stage.shifts)))
    seen = stage.run(lambda rows: made[rows], 4, References(clean, level, 200.0), average=False)
    assert sorted(seen.best_class) == [0, 1, 2, 3]
    assert seen.agreement.min() > 0.97
    np.testing.assert_allclose(
        mixture.share[np.argsort(seen.best_class)], [0.5, 0.15, 0.1, 0.25], rtol=1e-9
    )


def test_two_kinds_are_told_apart():
    random = np.random.default_rng(2)
    kinds = random.normal(size=(2, 60)) + 1j * random.normal(size=(2, 60))
    which = np.array([0, 1, 1, 0, 0, 1, 0])
    noise = random.normal(size=(2, 7, 60))
    gap, second = two_kinds(kinds[which] + 0.3 * (noise[0] + 1j * noise[1]))
    assert (second == which).all() or (second != which).all()
    assert gap > 10 * abs(two_kinds(noise[0] + 1j * noise[1])[0])


def test_a_sample_is_learned_on_and_the_rest_assigned(monkeypatch):
    made = planted(300, 40, 0.3)
    chosen = settings(classes=8, iterations=12)
    whole = classify_images(made.images, PIXEL, chosen)
    monkeypatch.setattr("slabkit.classification.assigning._AT_ONCE", 70)
    sampled = dataclasses.replace(chosen, sample=100)
    found = classify_images(made.images, PIXEL, sampled, jobs=2)
    assert found.assigned is not None
    assert found.assigned.sum() == 200
    assert found.size.sum() == 300
    assert purity(whole.class_number, made.shape) > 0.95
    others = (dataclasses.replace(sampled, seed=seed) for seed in (1, 2))
    every = [found, *(classify_images(made.images, PIXEL, one) for one in others)]
    assert np.mean([purity(one.class_number, made.shape) for one in every]) > 0.95
    # The poses too are those of a whole run: members lie on each other.
    assert found.agreement.max() > 0.9 * whole.agreement.max()
    # The sample is chosen by content: the order of the images does not matter, another seed does.
    mixed = np.random.default_rng(0).permutation(300)
    assert_same(found, classify_images(made.images[mixed], PIXEL, sampled), mixed)


def test_a_sample_of_all_images_is_no_sample(easy, easy_found):
    found = classify_images(easy.images, PIXEL, settings(sample=len(easy.images)))
    assert found.assigned is not None
    assert not found.assigned.any()
    assert_same(easy_found, dataclasses.replace(found, assigned=None))
    one, other = (
        classify_images(easy.images, PIXEL, settings(sample=30, seed=seed)) for seed in (0, 1)
    )
    assert not np.array_equal(one.log_likelihood, other.log_likelihood)


def test_images_beside_the_sample_that_cannot_be_used_are_in_no_class():
    images = planted(60, 24, 0.3).images
    images[::7] = 1.0
    images[1::7, :12] = np.nan
    edge = np.ones_like(images[2])
    edge[0, 0] = 2  # varies beyond the mask only
    images[2::7] = edge
    found = classify_images(images, PIXEL, settings(sample=6, classes=2, iterations=3))
    none = np.arange(60) % 7 <= 2
    np.testing.assert_array_equal(found.class_number == 0, none)
    assert found.size.sum() == (~none).sum()


def test_seeds_decide(easy, easy_found):
    again = classify_images(easy.images, PIXEL, settings())
    assert_same(easy_found, again)
    assert again.averages.tobytes() == easy_found.averages.tobytes()
    other = classify_images(easy.images, PIXEL, settings(seed=1))
    assert not np.array_equal(other.class_number, easy_found.class_number)


def test_input_is_not_changed(easy):
    stack = easy.images[:12].copy()
    stack[3, 0, 0] = np.inf
    before = stack.tobytes()
    classify_images(stack, PIXEL, settings(classes=2, iterations=2))
    assert stack.tobytes() == before


def test_a_source_is_read_in_batches_and_progress_told(easy, easy_found):
    largest, told = [], []

    class Source(ArraySource):
        def read(self, numbers: Array) -> Array:
            largest.append(len(numbers))
            return super().read(numbers)

    stack = np.tile(easy.images, (6, 1, 1))[:601]
    classify_images(
        Source(stack),
        PIXEL,
        settings(classes=2, iterations=2, angular_step=60.0, shift_range=0.0),
        progress=lambda *values: told.append(values),
    )
    assert max(largest) <= 500
    assert [value[:3] for value in told if value[0] == "read"] == [
        ("read", i, 4) for i in (1, 2, 3, 4)
    ]
    assert [value[:3] for value in told if value[0] == "classify"] == [
        ("classify", 1, 2),
        ("classify", 2, 2),
    ]
    assert [value[1:3] for value in told if value[0] == "average"] == [(i, 2) for i in (1, 2)]
    assert all(math.isfinite(value[3]) for value in told if value[0] == "classify")


@pytest.mark.parametrize("kind", [np.float64, np.int16, np.uint8])
def test_any_kind_of_numbers(easy, kind):
    stack = np.round(np.clip(easy.images[:30] * 40 + 60, 0, 255))
    expected = classify_images(stack.astype(np.float32), PIXEL, settings(classes=3, iterations=3))
    assert_same(
        expected,
        classify_images(stack.astype(kind), PIXEL, settings(classes=3, iterations=3)),
    )


# --- noise, and quality


def test_the_only_image_of_a_class_agrees_with_no_others():
    """Even when the reference is from a step in which the class had more members."""
    references = np.array([[0.6, 0.8], [0.0, 0.9]], dtype=np.complex64)
    count = np.array([2.0, 1.0])
    found = Expectation(
        best_class=np.array([0, 0, 1]),
        best_shift=np.zeros(3, np.intp),
        best_rotation=np.zeros(3, np.intp),
        probability=np.ones(3, np.float32),
        log_likelihood=np.zeros(3),
        agreement=np.array([0.96, 0.96, 0.6], np.float32),
        sums=np.zeros((2, 1, 2), complex),
        weights=count[:, None],
        power=np.zeros((2, 1)),
    )
    got = agreement_with_others(found, references, np.ones(2, np.float32), 0.0)
    # without itself the reference is 2 r - x, of length sqrt(4 - 4 * 0.96 + 1)
    np.testing.assert_allclose(got, [(2 * 0.96 - 1) / np.sqrt(5 - 4 * 0.96)] * 2 + [0.0], rtol=1e-6)


@pytest.mark.parametrize("width", [0.0, 1.0, 2.0])
def test_noise_has_no_class_of_quality(width):
    noise = np.random.default_rng(5).normal(size=(150, 32, 32)).astype(np.float32)
    if width:
        noise = gaussian_filter(noise, (0, width, width))
    found = classify_images(noise, PIXEL, settings(classes=8))
    assert found.quality.max() < 0.1


def test_planted_classes_have_quality_and_junk_beside_them_has_not():
    case = planted(120, 40, 0.15, seed=6)
    noise = np.random.default_rng(6).normal(0, 0.15, (60, 40, 40)).astype(np.float32)
    found = classify_images(np.concatenate([case.images, noise]), PIXEL, settings(classes=8))
    kept = found.quality >= 0.1
    table = shares(found.class_number, np.r_[np.zeros(120, int), np.ones(60, int)])[:, 1:]
    assert table[0, kept].sum() >= 0.95 * 120
    assert table[1, kept].sum() <= 0.05 * 60
    assert found.quality.min() >= 0
    assert found.quality.max() < 1


def test_quality_falls_with_noise_and_knows_nothing_of_scale(easy, easy_found):
    louder = classify_images(planted(90, 40, 0.6).images, PIXEL, settings())
    clear = easy_found
    scaled = classify_images(easy.images * 1000 + 5e4, PIXEL, settings())
    assert louder.quality[0] < 0.5 * clear.quality[0]
    assert scaled.quality[0] == pytest.approx(clear.quality[0], abs=0.1)


@pytest.mark.parametrize(("radius", "within"), [(11.5, 0.1), (14.5, 0.15)])  # little is beyond it
def test_a_shell_is_worth_a_ball_of_its_density_and_a_line_is_not(radius, within):
    y, x = np.indices((40, 40)) - 20.0
    away = np.hypot(y, x)
    drawn = [away < 8, abs(away - radius) < 2, abs(x - 0.3) < 2]
    images = np.array([gaussian_filter(one.astype(np.float32), 0.7) for one in drawn])
    averages = Averages(images, np.stack([images] * 2), np.full(3, 9), np.full(3, 0.2))
    ball, shell, line = class_quality(averages, np.full(3, 0.7), 0.1)
    assert ball > 0.5
    assert shell == pytest.approx(ball, abs=within)
    assert line < ball / 2


def test_denoised_images_do_not_collapse(monkeypatch):
    # What a denoiser leaves: next to no power at high frequencies, in signal and noise alike.
    case = planted(90, 40, 0.3, seed=7)
    smooth = gaussian_filter(case.images, (0, 2.5, 2.5)).astype(np.float32)
    found = {}
    for floor in (classify_module._NOISE_FLOOR, 1e-9):
        monkeypatch.setattr(classify_module, "_NOISE_FLOOR", floor)
        runs = [classify_images(smooth, PIXEL, settings(seed=seed)) for seed in (0, 1, 2)]
        assert max(run.size.max() for run in runs) <= 60
        found[floor] = np.mean([rand_index(run.class_number, case.shape) for run in runs])
    floored, bare = found.values()
    assert floored > 0.35
    assert bare < floored - 0.15


def test_resolution_is_where_halves_stop_to_agree():
    side, radius = 48, 15.0
    random = np.random.default_rng(8)
    stack = []
    for last in (4, 10):
        signal = np.fft.fft2(random.normal(size=(side, side)))
        frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(side) * side] * 2))
        stack.append(np.fft.ifft2(signal * (frequency <= last)).real)
    signal = np.array(stack)
    halves = signal + random.normal(0, 0.3, (2, 2, side, side))
    averages = Averages(halves.mean(0), halves, np.array([50, 50]), np.ones(2))
    found = ring_resolution(averages, 5.0, radius)
    assert found[0] == pytest.approx(48 * 5.0 / 4, rel=0.3)
    assert found[1] == pytest.approx(48 * 5.0 / 10, rel=0.2)
    same = Averages(halves.mean(0)[:1], halves[:1].repeat(2, 0)[:, :1], np.array([2]), np.ones(1))
    assert ring_resolution(same, 5.0, radius)[0] == pytest.approx(2 * 5.0)
    alone = Averages(halves.mean(0)[:1], halves[:, :1], np.array([1]), np.ones(1))
    assert ring_resolution(alone, 5.0, radius)[0] == 48 * 5.0


def test_noise_is_measured_away_from_the_middle():
    y, x = np.indices((20, 20)) - 10
    image = np.where(np.hypot(y, x) <= 8, 1000.0, 0.0) + np.where((y + x) % 2, 1.0, -1.0)
    assert noise_outside(image[None].astype(np.float32)) == pytest.approx(1.0, abs=0.02)


# --- few images, bad images


def test_one_image(easy):
    found = classify_images(easy.images[:1], PIXEL, settings())
    assert found.class_number.tolist() == [1]
    assert found.size.tolist() == [1]
    assert found.probability[0] == pytest.approx(1)
    assert found.quality[0] == 0
    assert found.resolution[0] == 400
    assert repr(found) == "<Classification: 1 images, 1 classes>"


@pytest.mark.parametrize("count", [2, 4])
def test_fewer_images_than_classes(easy, count):
    found = classify_images(easy.images[:count], PIXEL, settings(classes=20))
    assert 1 <= len(found.size) <= count
    assert found.size.sum() == count
    assert sorted(set(found.class_number)) == list(range(1, len(found.size) + 1))
    assert found.averages.shape == (len(found.size), 40, 40)
    for name in ("angle", "origin_y", "origin_x", "quality", "agreement", "resolution"):
        assert np.isfinite(getattr(found, name)).all()


def test_images_that_cannot_be_used_are_in_no_class(easy, easy_found):
    stack = easy.images[:40].copy()
    y, x = np.indices((40, 40)) - 20
    stack[2] = 7.1
    stack[5, 3, 3] = np.nan
    stack[7, 39, 39] = np.inf
    stack[11, 0, 0] = -np.inf
    stack[13] = 0
    stack[17] = np.where(np.hypot(y, x) > 19, 1e3, 0.3)  # nothing where particles are
    found = classify_images(stack, PIXEL, settings(classes=3, iterations=5))
    bad = [2, 5, 7, 11, 13, 17]
    assert np.flatnonzero(found.class_number == 0).tolist() == bad
    for name in ("angle", "origin_y", "origin_x", "probability", "log_likelihood"):
        assert not getattr(found, name)[bad].any()
    assert found.size.sum() == 34
    # Their neighbours do not see them.
    good = np.setdiff1d(np.arange(40), bad)
    alone = classify_images(stack[good], PIXEL, settings(classes=3, iterations=5))
    assert_same(found, alone, good)


def test_huge_and_tiny_values_spoil_nothing(easy):
    stack = easy.images[:60].copy()
    stack[4] *= np.float32(1e25)
    stack[8] *= np.float32(1e-25)
    stack[9, 20, 20] = 1e30
    found = classify_images(stack, PIXEL, settings(classes=6))
    assert found.class_number.min() == 1
    assert np.isfinite(found.quality).all()
    others = np.setdiff1d(np.arange(60), [9])
    assert purity(found.class_number[others], easy.shape[:60][others]) >= 0.9


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_nothing_usable_is_an_error(value):
    with pytest.raises(InputError, match="nothing to classify: none of 3 images has finite"):
        classify_images(np.full((3, 16, 16), value), PIXEL, settings())


def test_no_image_is_an_error():
    with pytest.raises(InputError, match="nothing to classify: none of 0 images"):
        classify_images(np.zeros((0, 16, 16)), PIXEL, settings())


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 16, 17), r"shape \(n, y, x\) with y = x is needed, not \(3, 16, 17\)"),
        ((16, 16), r"shape \(n, y, x\) with y = x is needed, not \(16, 16\)"),
        ((3, 7, 7), "7 × 7 pixels are too small; 8 are the least"),
    ],
)
def test_images_of_the_wrong_shape(shape, message):
    with pytest.raises(InputError, match=message):
        classify_images(np.ones(shape, dtype=np.float32), PIXEL, settings())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": 0}, "--classes must be 1 or more, not 0"),
        ({"iterations": -2}, "--iterations must be 1 or more, not -2"),
        ({"seed": -1}, "--seed must be 0 or more, not -1"),
        ({"angular_step": 0.0}, "--angular-step must be above 0 and at most 180 degrees, not 0"),
        ({"angular_step": 181.0}, "at most 180 degrees, not 181"),
        ({"angular_step": math.nan}, "at most 180 degrees, not nan"),
        ({"shift_step": 0.0}, "--shift-step must be a positive number of Å, not 0"),
        ({"diameter": -3.0}, "--diameter must be a positive number of Å, not -3"),
        ({"resolution": math.inf}, "--resolution must be a positive number of Å, not inf"),
        ({"shift_range": -1.0}, "--shift-range must be 0 Å or more, not -1"),
        ({"shift_range": math.nan}, "--shift-range must be 0 Å or more, not nan"),
    ],
)
def test_settings_that_make_no_sense(changes, message):
    with pytest.raises(InputError, match=message):
        ClassificationSettings(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"diameter": 401.0}, "--diameter 401 Å is more than the box of 400 Å"),
        ({"resolution": 19.0}, "--resolution 19 Å is finer than two pixels, 20 Å"),
        ({"resolution": 201.0}, "--resolution 201 Å: at most half the box, 200 Å"),
        ({"shift_range": 201.0}, "--shift-range 201 Å is more than half the box, 200 Å"),
    ],
)
def test_settings_that_the_box_does_not_allow(easy, changes, message):
    with pytest.raises(InputError, match=message):
        classify_images(easy.images, PIXEL, settings(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"diameter": 400.0},
        {"diameter": 20.0},
        {"resolution": 20.0},
        {"resolution": 200.0},
        {"angular_step": 180.0},
        {"angular_step": 0.9},
        {"shift_range": 0.0},
        {"shift_step": 500.0},
        {"iterations": 1},
        {"classes": 1},
    ],
)
def test_settings_at_their_limits(easy, changes):
    chosen = settings(**{"classes": 2, "iterations": 2, **changes})
    found = classify_images(easy.images[:12], PIXEL, chosen)
    assert found.size.sum() == 12
    assert np.isfinite(found.quality).all()
    if "shift_range" in changes or "shift_step" in changes:
        assert not found.origin_y.any()
        assert not found.origin_x.any()


# --- devices


def test_a_device_without_pytorch():
    try:
        import torch
    except ImportError:
        with pytest.raises(
            MissingDependencyError, match="--device cuda needs PyTorch, which is not"
        ):
            backend_for("cuda")
    else:
        with pytest.raises(InputError, match="--device nonsense: PyTorch cannot use it"):
            backend_for("nonsense")
        assert torch is not None


def test_pytorch_gives_what_numpy_gives(easy, easy_found):
    pytest.importorskip("torch", reason="no PyTorch here; tests/clients/test_gpu.py has one")
    found = classify_images(easy.images, PIXEL, settings(), device="torch")
    assert np.array_equal(found.class_number, easy_found.class_number)
    np.testing.assert_allclose(found.quality, easy_found.quality, atol=1e-3)
