"""What lowers the scores of templates: lines that run past, and little contrast."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from slabkit.arrays.filters import cosine_spectrum
from slabkit.errors import InputError
from slabkit.picking import template_search
from slabkit.picking.surroundings import Smoothed, line_filter, rim_filter
from slabkit.picking.template import (
    TemplateLimits,
    _select_matches,
    default_threshold,
    find_templates,
)
from slabkit.picking.template_images import image_templates, rim_diameters
from slabkit.picking.template_search import (
    Noise,
    SampledImage,
    TemplateCandidates,
    pooled_noise,
    spread,
)

PIXEL = 10.0
SIDE = 33


def disc(y, x, radius=70.0, softness=12.0):
    """A flat particle with a soft edge; places in Å about its centre."""
    return 1 / (1 + np.exp((np.hypot(y, x) - radius) / softness))


@pytest.fixture(scope="module")
def templates():
    line = (np.arange(SIDE) - SIDE // 2) * PIXEL
    return image_templates(disc(line[:, None], line)[None], PIXEL, lowpass=40.0, diameter=160.0)


def scene(particles, lines=(), shape=(180, 210), noise=0.3, seed=0):
    """Particles (y, x in pixels, height) and straight membranes (x at y = 0, slope, height)."""
    y, x = np.indices(shape) * PIXEL
    image = sum(h * disc(y - cy * PIXEL, x - cx * PIXEL) for cy, cx, h in particles)
    image = image + np.zeros(shape)
    for at, slope, height in lines:
        away = (x - at * PIXEL - slope * y) / np.hypot(1, slope)
        image += height * np.exp(-((away / 25) ** 2) / 2)
    random = np.random.default_rng(seed)
    return (image + ndimage.gaussian_filter(random.normal(0, noise * 3, shape), 1.0)).astype("f4")


def nearest(found, y, x, within=3.0):
    """The score of the match nearest to a place, 0 if there is none."""
    away = np.hypot(found.y_px - y, found.x_px - x)
    return float(found.score[away.argmin()]) if len(away) and away.min() < within else 0.0


def test_a_bright_particle_by_itself_keeps_its_score(templates):
    image = scene([(60, 60, 4.0), (120, 140, 4.0)])
    same = {"templates": templates, "contrast": "bright", "threshold": 2}
    plain = find_templates(image, PIXEL, correlation_only=True, **same)
    tested = find_templates(image, PIXEL, **same)
    for place in ((60, 60), (120, 140)):
        assert nearest(tested, *place) == pytest.approx(nearest(plain, *place), rel=0.05)
        assert nearest(tested, *place) > 5


def test_a_knot_on_a_membrane_is_dropped(templates):
    """What sits on a line scores as a particle by correlation; a particle beside it stays."""
    image = scene([(60, 60, 4.0), (110, 150, 2.0)], lines=[(150, 0.0, 3.0)])
    same = {"templates": templates, "contrast": "bright", "threshold": 1.0}
    plain = find_templates(image, PIXEL, correlation_only=True, **same)
    off = find_templates(image, PIXEL, max_ridge=np.inf, **same)
    tested = find_templates(image, PIXEL, max_ridge=0.7, **same)
    assert nearest(plain, 110, 150) > 3
    assert nearest(off, 110, 150) > 3
    assert nearest(tested, 110, 150) < 0.5 * nearest(plain, 110, 150)
    assert nearest(tested, 60, 60) == pytest.approx(nearest(plain, 60, 60), rel=0.1)


def test_a_faint_place_scores_less_than_it_correlates(templates):
    """The local normalisation makes faint things as good as strong ones."""
    quiet = scene([(60, 60, 4.0), (60, 150, 0.5)], noise=0.02)
    noisy = scene([], noise=0.6, seed=3)
    image = np.concatenate([quiet[:110], noisy, noisy[::-1], noisy[:, ::-1]])
    same = {"templates": templates, "contrast": "bright", "threshold": 1.0}
    plain = find_templates(image, PIXEL, correlation_only=True, **same)
    tested = find_templates(image, PIXEL, **same)
    strong, faint = (60, 60), (60, 150)
    assert nearest(plain, *faint) > 4
    assert nearest(tested, *faint) < 0.8 * nearest(plain, *faint)
    assert nearest(tested, *strong) == pytest.approx(nearest(plain, *strong), rel=0.01)


def candidates(correlation, contrast, heights=None):
    """Candidates far from each other, with given numbers."""
    count = len(correlation)
    place = 1000.0 * np.arange(count)

    class Given(TemplateCandidates):
        def ridges(self, rows):
            return lambda some: np.asarray(heights)[rows][some]

    zero = np.zeros(count, dtype=np.int64)
    return Given(
        place, place, np.asarray(correlation), place * 0, zero, zero, np.asarray(contrast),
        zero, np.array([90.0]), None, 1.0,
    )  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.floats(0.05, 0.95), st.floats(-2, 40), st.floats(0, 40)), min_size=1,
        max_size=6,
    ),
    max_ridge=st.sampled_from([0.7, 1.0, np.inf]), only=st.booleans(),
    threshold=st.sampled_from([-1.0, 1.0, 3.0]),
)  # fmt: skip
def test_the_score_by_its_definition(rows, max_ridge, only, threshold):
    correlation, contrast, height = (np.array(column) for column in zip(*rows, strict=True))
    noise = Noise(*np.array([[0.02], [0.1], [0.5], [1.5]]))
    limits = TemplateLimits(threshold, None, None, max_ridge, only)

    class Round:
        diameter, numbers, decoy = 100.0, np.array([1]), False

    found = _select_matches(
        candidates(correlation, contrast, height), noise, limits, [Round()], 1.0
    )
    expected = []
    for r, c, h in rows:
        score = (np.arctanh(r) - 0.02) / 0.1
        if not only:
            own = (c - 0.5) / 1.5
            score = min(score, np.sqrt(score * own)) if min(score, own) > 0 else 0.0
            if np.isfinite(max_ridge):
                score *= max(1 - (h / max(c, 0.0015) / max_ridge) ** 2, 0)
        if score >= threshold and score > 0:
            expected.append(score)
    np.testing.assert_allclose(found.score, sorted(expected, reverse=True), rtol=1e-9)


def sampled(values, contrast):
    samples = [np.tanh(values).astype(np.float32)], [np.array(contrast, dtype=float)]
    return SampledImage(np.zeros((2, 2), np.float32), 1.0, None, *samples)


def test_noise_is_pooled_and_never_nothing():
    images = [sampled([0.1, 0.2, 0.3], [1, 2, 4]), sampled([0.4, 0.9], [6, 9])]
    noise = pooled_noise([*images, SampledImage(None, 1.0, None, [], [])], 1, 1)
    assert noise.middle == pytest.approx(0.3, abs=1e-6)
    assert noise.deviation == pytest.approx(1.4826 * 0.1, abs=1e-6)
    assert (noise.contrast_middle, noise.contrast_deviation) == (4, pytest.approx(1.4826 * 2))
    quiet = pooled_noise([sampled([0] * 9, [0] * 8 + [20])], 1, 1)
    assert (quiet.deviation, quiet.contrast_deviation) == (0.001, pytest.approx(0.02))
    assert pooled_noise([], 1, 1).deviation == 1
    assert spread([0.0])[0] == 0


def test_the_diameter_looked_at(templates):
    """It is that of a disc, about; not the length of something long."""
    assert 0.8 * 140 < rim_diameters(templates)[0] <= 160
    line = (np.arange(61) - 30) * PIXEL
    y, x = np.meshgrid(line, line, indexing="ij")
    rod = np.exp(-((y / 110) ** 4) - (x / 45) ** 4)
    hollow = np.exp(-(((np.hypot(y, x) - 120) / 25) ** 2))
    both = image_templates(np.stack([rod, hollow]), PIXEL, lowpass=40.0, diameter=280.0)
    long, shell = rim_diameters(both)
    assert long < 180
    assert 240 < shell <= 280


def test_scale_and_offset_change_nothing(templates):
    image = scene([(60, 60, 4.0), (110, 150, 2.0)], lines=[(150, 0.2, 2.0)])
    same = {"templates": templates, "contrast": "bright", "threshold": 1.0}
    one = find_templates(image, PIXEL, **same)
    other = find_templates(image.astype(float) * 1e-7 - 3e-5, PIXEL, **same)
    dark = find_templates(-image, PIXEL, **{**same, "contrast": "dark"})
    assert len(one) > 5
    for again in (other, dark):
        np.testing.assert_allclose(again.score, one.score, rtol=2e-3)
        np.testing.assert_allclose(again.x_px, one.x_px, atol=0.02)


def test_defaults_and_refusals():
    assert (default_threshold(False), default_threshold(True)) == (2.5, 3.0)
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="--max-ridge must be above 0"):
            TemplateLimits(3.0, None, None, wrong)


def test_what_is_not_looked_at_closely_could_not_have_been_picked(templates, monkeypatch):
    places = [(30, 40, 4.0), (60, 150, 0.8), (110, 150, 2.0), (140, 60, 1.2), (150, 180, 3.0)]
    image = scene(places, lines=[(150, 0.2, 2.0)], noise=0.5)
    same = {"templates": templates, "contrast": "bright", "threshold": 1.5}
    quick = [find_templates(image, PIXEL, correlation_only=c, **same) for c in (False, True)]
    monkeypatch.setattr(template_search, "_LOOSE", 0.0)
    for found, only in zip(quick, (False, True), strict=True):
        every = find_templates(image, PIXEL, correlation_only=only, **same)
        assert len(found) > 5
        for name in ("score", "x_px", "y_px", "psi", "template"):
            np.testing.assert_allclose(getattr(found, name), getattr(every, name), rtol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    y=st.floats(40, 90), x=st.floats(45, 150), pixel=st.sampled_from([5.0, 9.3]),
    shape=st.sampled_from([(130, 200), (131, 197)]),
)  # fmt: skip
def test_contrast_is_read_where_the_particle_is(y, x, pixel, shape):
    """Pixels of the image, 0 the centre of the first, on grids whose sides differ in scale."""
    rows, columns = np.indices(shape)
    spot = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 8.0**2)).astype(np.float32)
    grid = line_filter(shape, pixel).grid
    contrast = rim_filter(shape, pixel, grid, 20 * pixel)(cosine_spectrum(spot, shape))
    assert contrast.image.shape == grid
    away = 9.0  # on the flank, where a shift shows most
    at = [contrast.at(np.array([y + a]), np.array([x + b]))[0] for a, b in (
        (0, 0), (away, 0), (-away, 0), (0, away), (0, -away),
    )]  # fmt: skip
    # A tenth of a pixel would make opposite flanks differ by 3 % of the height.
    assert at[1] == pytest.approx(at[2], abs=0.02 * at[0])
    assert at[3] == pytest.approx(at[4], abs=0.02 * at[0])
    assert max(at[1:]) < 0.8 * at[0]


@pytest.mark.parametrize("shape", [(130, 200), (47, 61)])
def test_nothing_near_is_higher_than_said(shape):
    """At a grid that is coarser in places and finer in others, and up to the border."""
    random = np.random.default_rng(5)
    smoothed = Smoothed(random.normal(size=(60, 70)).astype("f4"), shape, 10.0)
    y, x = (np.linspace(0, n - 1, 35) for n in shape)
    places = np.meshgrid(y, x, indexing="ij")
    for reach in (0.0, 0.7, 2.5):
        said = smoothed.highest_on_lines(y, x, reach)
        highest = np.full(said.shape, -np.inf)
        for _ in range(60):
            moves = random.choice([-1, 1, 0.5, *random.uniform(-1, 1, 2)], size=(2, *said.shape))
            places = [
                np.clip(each + reach * move, 0, n - 1)
                for each, move, n in zip(
                    np.meshgrid(y, x, indexing="ij"), moves, shape, strict=True
                )
            ]
            highest = np.maximum(highest, smoothed.at(*places))
        assert (highest <= said + 1e-6).all()
        assert (said - highest).mean() < 1.5  # of noise whose standard deviation is 1
