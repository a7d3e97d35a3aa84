"""Membranes beside particles: lines that run past a blob, and what they do to its score."""

from __future__ import annotations

import numpy as np
import pytest

from slabkit.arrays.ridges import ridge_heights
from slabkit.errors import InputError
from slabkit.picking.blob import find_blobs, pick_blobs
from slabkit.tables import SLABS, make_table

PIXEL = 10.012
SHAPE = (170, 210)
WALL = 30.0  # standard deviation of a membrane's profile, Å
INF = float("inf")


def grids():
    y, x = np.indices(SHAPE, dtype=np.float64) * PIXEL
    return y, x


def straight(angle, through):
    """A membrane of height 1, protein positive, through a place (y, x) in Å."""
    y, x = grids()
    away = (y - through[0]) * np.cos(angle) - (x - through[1]) * np.sin(angle)
    return np.exp(-(away**2) / (2 * WALL**2))


def vesicle(centre, radius):
    y, x = grids()
    return np.exp(-((np.hypot(y - centre[0], x - centre[1]) - radius) ** 2) / (2 * WALL**2))


def ball(centre, diameter, height=1.0):
    y, x = grids()
    square = ((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (diameter / 2) ** 2
    return height * np.sqrt(np.clip(1 - square, 0, None))


def shell(centre, diameter, height=1.0):
    """A hollow ball whose wall is a seventh of its diameter thick."""
    hole = 1 - 2 / 7
    return ball(centre, diameter, height) - ball(centre, diameter * hole, height * hole)


def noisy(image, seed=3):
    return (image + np.random.default_rng(seed).normal(0, 0.05, SHAPE)).astype(np.float32)


def score_near(blobs, place, within=50.0):
    away = np.hypot(blobs.y_px * PIXEL - place[0], blobs.x_px * PIXEL - place[1])
    return blobs.score[away < within].max(initial=0.0)


def found(image, max_ridge=0.7):
    return find_blobs(
        image,
        PIXEL,
        diameter=(100, 350),
        contrast="bright",
        threshold=2.0,
        max_ridge=max_ridge,
    )


FREE = (1350.0, 1750.0)  # where a particle lies by itself


@pytest.mark.parametrize("kind", ["straight", "slanted", "curved", "crossing"])
def test_knobs_of_membranes_fall_behind_a_weaker_particle(kind):
    """Membrane proteins stand out of a membrane more than the particle of its surround."""
    if kind == "straight":
        image, knobs = straight(0.0, (500.0, 0.0)), [(500.0, 450.0), (500.0, 1000.0)]
    elif kind == "slanted":
        image, knobs = straight(0.4, (300.0, 200.0)), [(300 + 500 * np.tan(0.4), 700.0)]
    elif kind == "curved":
        image = vesicle((600.0, 700.0), 420.0)
        knobs = [(600 + 420 * np.sin(a), 700 + 420 * np.cos(a)) for a in (0.3, 2.0, 4.1)]
    else:
        image = np.maximum(straight(0.0, (500.0, 0.0)), straight(np.pi / 2, (0.0, 800.0)))
        knobs = [(500.0, 800.0), (500.0, 1300.0), (1100.0, 800.0)]
    for place in knobs:
        image = image + ball(place, 110.0, 0.8)
    image = noisy(image + ball(FREE, 150.0, 0.45))
    before, after = found(image, INF), found(image)
    for place in knobs:
        assert score_near(before, place) > 5
        assert score_near(after, place) < 0.5 * score_near(before, place)
        assert score_near(after, place) < score_near(after, FREE)
    assert max(score_near(before, place) for place in knobs) > score_near(before, FREE)
    assert score_near(after, FREE) > 0.9 * score_near(before, FREE)


@pytest.mark.parametrize(
    "particles",
    [
        pytest.param([((700.0, 800.0), 300.0, shell)], id="ring"),
        pytest.param(
            [((700.0, x), 290.0, shell) for x in (500.0, 800.0, 1100.0)], id="rings in a row"
        ),
        pytest.param(
            [((700.0, 800.0), 250.0, ball), ((780.0, 1040.0), 250.0, ball)], id="dumbbell"
        ),
        pytest.param(
            [((700.0, 800.0), 250.0, ball), ((880.0, 800.0), 120.0, ball)], id="large and small"
        ),
    ],
)
def test_rings_and_touching_particles_keep_their_scores(particles):
    image = noisy(sum(shape(centre, size) for centre, size, shape in particles))
    before, after = found(image, INF), found(image)
    for centre, _, _ in particles:
        assert score_near(before, centre) > 5
        assert score_near(after, centre) > 0.9 * score_near(before, centre)


def test_particle_beside_a_membrane_stays():
    place = (680.0, 1000.0)
    image = noisy(straight(0.0, (500.0, 0.0)) + ball(place, 200.0, 1.2))
    before, after = found(image, INF), found(image)
    assert score_near(after, place) > 0.8 * score_near(before, place) > 4


def at(image, place, radius=60.0):
    y, x = (np.array([value / PIXEL]) for value in place)
    return ridge_heights(image.astype(np.float32), y, x, np.array([radius]), PIXEL)[0]


def test_height_is_that_of_the_line_less_what_lies_beside():
    expected = 1 - np.exp(-(80.0**2) / (2 * WALL**2))
    place = (800.0, 1000.0)
    for angle in np.arange(8) * np.pi / 8:  # the directions that are looked in
        height = at(2.5 * straight(angle, place), place)
        assert height == pytest.approx(2.5 * expected, rel=0.03)
    assert at(2.5 * straight(0.0, place) + 40, place) == pytest.approx(2.5 * expected, rel=0.03)
    for turn in (0.0, 0.7, 2.0):
        bent = vesicle((800 + 300 * np.sin(turn), 1000 + 300 * np.cos(turn)), 300.0)
        assert at(bent, place) > 0.8 * expected


def test_no_height_without_a_line_that_comes_out_on_both_sides():
    y, x = grids()
    place = (800.0, 1000.0)
    line = straight(0.0, place)
    assert at(np.zeros(SHAPE), place) == 0
    assert at(-line, place) == 0
    assert at(line * (x > 1000), place) < 0.02  # ends in the blob
    assert at(line * (np.abs(x - 1000) < 100), place) < 0.02  # too short
    assert at((y > 800).astype(float), place) <= 0.5  # of an edge, half at most
    corner = np.where(x > 1000, line, 0) + np.where(y > 800, straight(np.pi / 2, place), 0)
    assert at(corner, place) < 0.3  # a right angle
    assert at(vesicle(place, 150.0), place, 150.0) == 0
    assert len(ridge_heights(np.zeros(SHAPE, np.float32), *np.zeros((3, 0)), PIXEL)) == 0


def test_many_places_are_like_one_at_a_time():
    image = noisy(straight(0.3, (300.0, 0.0))).astype(np.float32)
    y, x = np.random.default_rng(5).uniform(5, 160, (2, 1500))
    radius = np.full(1500, 70.0)
    whole = ridge_heights(image, y, x, radius, PIXEL)
    for i in (0, 1023, 1024, 1499):
        one = ridge_heights(image, y[[i]], x[[i]], radius[[i]], PIXEL)
        np.testing.assert_array_equal(one, whole[[i]])


def test_lengths_are_in_angstroms():
    """The same scene on pixels half as large has the same picks."""
    knob = (500.0, 1000.0)
    image = straight(0.0, knob) + ball(knob, 110.0, 0.8) + ball(FREE, 150.0, 0.5)
    rng = np.random.default_rng(1)
    coarse = image + rng.normal(0, 0.02, SHAPE)
    fine = np.kron(coarse, np.ones((2, 2)))
    scores = []
    for picture, pixel in ((coarse, PIXEL), (fine, PIXEL / 2)):
        blobs = find_blobs(
            picture.astype(np.float32), pixel, diameter=(100, 350), contrast="bright", threshold=2
        )
        away = np.hypot(blobs.y_px * pixel - FREE[0], blobs.x_px * pixel - FREE[1])
        scores.append(blobs.score[away < 40].max())
        near = np.hypot(blobs.y_px * pixel - knob[0], blobs.x_px * pixel - knob[1]) < 50
        assert blobs.score[near].max(initial=0) < 0.3 * scores[-1]
    assert scores[1] == pytest.approx(scores[0], rel=0.1)


def test_default_threshold_is_lower_where_lines_lower_the_scores():
    image = noisy(0.25 * ball(FREE, 150.0), seed=8)
    options = {"diameter": (100, 350), "contrast": "bright"}
    assert 2 <= find_blobs(image, PIXEL, **options).score.min() < 3
    assert find_blobs(image, PIXEL, max_ridge=INF, **options).score.min() >= 3
    assert find_blobs(image, PIXEL, method="laplacian", **options).score.min() >= 3


def test_laplacian_does_not_look_at_lines():
    image = noisy(straight(0.0, (500.0, 0.0)) + ball((500.0, 700.0), 150.0))
    options = {"diameter": (100, 350), "contrast": "bright", "method": "laplacian"}
    with_lines = find_blobs(image, PIXEL, max_ridge=0.1, **options)
    without = find_blobs(image, PIXEL, max_ridge=INF, **options)
    np.testing.assert_array_equal(with_lines.score, without.score)


def test_slabs_of_a_table_and_jobs():
    images = [noisy(straight(0.3, (300.0, 0.0)) + ball(FREE, 150.0), seed) for seed in range(3)]
    slabs = make_table(
        SLABS,
        {
            "rlnMicrographName": [f"a_slab{i:03d}.mrc" for i in range(3)],
            "rlnTomoName": "a",
            "slabkitTomogramFile": "a.mrc",
            "slabkitZStart": 0,
            "slabkitZCount": 30,
            "slabkitVoxelSize": PIXEL,
            "slabkitContrast": "bright",
            "slabkitTomogramContrast": "bright",
            "slabkitTomogramSizeX": SHAPE[1],
            "slabkitTomogramSizeY": SHAPE[0],
            "slabkitTomogramSizeZ": 100,
        },
    )
    few = pick_blobs(images, slabs, diameter=(100, 350), threshold=2.0)
    assert few.equals(pick_blobs(images, slabs, diameter=(100, 350), threshold=2.0, jobs=3))
    more = pick_blobs(images, slabs, diameter=(100, 350), threshold=2.0, max_ridge=INF)
    assert len(few) < len(more)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan")])
def test_senseless_shares_are_refused(bad):
    with pytest.raises(InputError, match=r"--max-ridge must be above 0 \(inf: .*\), not"):
        found(np.ones(SHAPE, np.float32), bad)
