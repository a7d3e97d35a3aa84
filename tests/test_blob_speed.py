"""What makes blob picking quick, each against the plain rule written out."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates, maximum_filter, minimum_filter

from slabkit.arrays import suppression
from slabkit.arrays.exact import median
from slabkit.arrays.neighbours import group_neighbours
from slabkit.arrays.padding import _equals_neighbours, without_padding
from slabkit.arrays.peaks import find_peaks
from slabkit.arrays.ridges import (
    BEND_RADIUS,
    LOOKED_AT,
    SIDE_DISTANCE,
    MirroredImage,
    Ridges,
    ridge_heights,
)
from slabkit.arrays.suppression import suppress_neighbours
from slabkit.picking.blob import find_blobs, pick_blobs
from slabkit.tables import SLABS, make_table

seeds = st.integers(0, 2**31)


def plain_maxima(stack, floor):
    """Maxima among 26 neighbours, the first of equal neighbours, none of outermost voxels."""
    around = maximum_filter(stack, size=3, mode="nearest")
    highest = (stack == around) & (stack > floor)
    found = []
    for voxel in zip(*np.nonzero(highest), strict=True):
        earlier = [
            beside
            for beside in product(*(range(max(i - 1, 0), i + 2) for i in voxel))
            if beside < voxel and all(i < n for i, n in zip(beside, stack.shape, strict=True))
        ]
        first = not any(highest[beside] and stack[beside] == stack[voxel] for beside in earlier)
        if first and all(0 < i < n - 1 for i, n in zip(voxel, stack.shape, strict=True)):
            found.append(voxel)
    return found


@settings(max_examples=150, deadline=None)
@given(
    seed=seeds,
    shape=st.tuples(st.integers(3, 6), st.integers(1, 12), st.integers(1, 13)),
    levels=st.sampled_from([1, 2, 4, 30, 10**6]),
    density=st.sampled_from([0.1, 0.3, 1.0]),
    floor=st.sampled_from([-1.0, 0.0, 1.0]),
)
def test_peaks_are_the_maxima_of_the_plain_rule(seed, shape, levels, density, floor):
    random = np.random.default_rng(seed)
    stack = random.integers(-levels // 3, levels, shape).astype(np.float32)
    stack *= random.random(shape) < density
    before = stack.copy()
    found = find_peaks(stack, floor).whole
    assert list(zip(*(index.tolist() for index in found), strict=True)) == [
        tuple(map(int, voxel)) for voxel in plain_maxima(stack, floor)
    ]
    np.testing.assert_array_equal(stack, before)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, margin=st.sampled_from([0.0, 2.5, 40.0]))
def test_values_between_pixels_are_those_of_the_mirrored_image(seed, margin):
    random = np.random.default_rng(seed)
    image = random.normal(size=random.integers(1, 30, 2)).astype(np.float32)
    rows, columns = (random.uniform(-margin, n - 1 + margin, (5, 40)) for n in image.shape)
    expected = map_coordinates(image, [rows, columns], order=1, mode="reflect")
    values = MirroredImage(image, margin).at(rows, columns)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)


def plain_ridge_height(image, y, x, radius, pixel_size):
    """Follow all paths to their ends."""

    def at(row, column):
        return map_coordinates(image.astype(float), [[row], [column]], order=1, mode="reflect")[0]

    height = np.full((16, 3), np.inf)
    for number, bend in product(range(16), range(3)):
        leaving, curvature = 2 * np.pi * number / 16, (bend - 1) / BEND_RADIUS
        for away in (0.0, *(radius + distance for distance in LOOKED_AT)):
            heading = leaving + curvature * away
            if bend == 1:
                row, column = away * np.sin(leaving), away * np.cos(leaving)
            else:  # on the circle about the centre of the bend
                row = (np.cos(leaving) - np.cos(heading)) / curvature
                column = (np.sin(heading) - np.sin(leaving)) / curvature
            row, column = y + row / pixel_size, x + column / pixel_size
            down = SIDE_DISTANCE / pixel_size * np.cos(heading)
            right = -SIDE_DISTANCE / pixel_size * np.sin(heading)
            beside = at(row + down, column + right) + at(row - down, column - right)
            height[number, bend] = min(height[number, bend], at(row, column) - beside / 2)
    highest = height.max(axis=1)
    pairs = [
        min(highest[one], highest[other])
        for one, other in product(range(16), repeat=2)
        if min((one - other) % 16, (other - one) % 16) * 22.5 >= 150
    ]
    return max(0.0, *pairs)


@settings(max_examples=12, deadline=None)
@given(seed=seeds, levels=st.sampled_from([2, 10**6]), slope=st.sampled_from([0.0, 1.0]))
def test_lines_followed_only_where_they_matter_are_as_high(seed, levels, slope):
    random = np.random.default_rng(seed)
    shape = random.integers(12, 40, 2)
    noise = random.integers(0, levels, shape) / levels
    line = np.exp(-((np.arange(shape[0]) - shape[0] / 2) ** 2) / 8)[:, None]
    image = (noise + slope * line).astype(np.float32)
    y, x = (random.uniform(-0.5, n - 0.5, 6) for n in shape)
    y[:2] = shape[0] / 2
    radius = random.uniform(30, 200, 6)
    heights = ridge_heights(image, y, x, radius, 19.7)
    expected = [plain_ridge_height(image, *place, 19.7) for place in zip(y, x, radius, strict=True)]
    np.testing.assert_allclose(heights, expected, rtol=0, atol=1e-6)
    some = np.array([4, 1])
    ready = Ridges(image, 19.7, float(radius.max()))
    np.testing.assert_array_equal(ready.heights(y[some], x[some], radius[some]), heights[some])


@settings(max_examples=60, deadline=None)
@given(
    seed=seeds,
    count=st.integers(0, 300),
    longest=st.sampled_from([0.0, 0.5, 3.0, 50.0]),
    levels=st.sampled_from([1, 4, 10**6]),
    lowest=st.sampled_from([-np.inf, 0.3, 2.0]),
    dense=st.booleans(),
)
def test_values_asked_for_late_choose_as_all_values_do(seed, count, longest, levels, lowest, dense):
    random = np.random.default_rng(seed)
    positions = np.round(random.random((count, 2)) * 20, random.integers(0, 6))
    distance = random.random(count) * longest
    bound = random.integers(0, levels + 1, count) / levels
    values = bound * random.choice([0.0, 0.5, 1.0, random.random()], count)
    asked = []

    def value(some):
        asked.extend(some.tolist())
        return values[some]

    with pytest.MonkeyPatch.context() as patch:
        if dense:
            patch.setattr(suppression, "_MOST_PAIRS", -1)
        kept, best = suppress_neighbours(positions, distance, bound, value, lowest)
        eager, _ = suppress_neighbours(positions, distance, values, lowest=lowest)
    rows = np.flatnonzero(values >= lowest)
    stands_for = group_neighbours(positions[rows], distance[rows], priority=values[rows])
    np.testing.assert_array_equal(kept, rows[stands_for == np.arange(len(rows))])
    np.testing.assert_array_equal(eager, kept)
    np.testing.assert_array_equal(best, values[kept])
    assert len(asked) == len(set(asked))


def test_what_a_better_point_drops_is_not_asked_for():
    positions = np.array([[0.0, 0], [1, 0], [9, 0], [9, 1]])
    values = np.array([0.5, 0.6, 0.1, 0.7])
    asked = []

    def value(some):
        asked.append(some.tolist())
        return values[some]

    kept, best = suppress_neighbours(
        positions, np.full(4, 2.0), np.array([0.9, 0.55, 1.0, 0.8]), value
    )
    assert (kept.tolist(), best.tolist()) == ([1, 3], [0.6, 0.7])
    assert asked == [[0, 2], [1, 3]]
    asked.clear()
    kept, _ = suppress_neighbours(
        positions, np.full(4, 2.0), np.array([0.9, 0.4, 0.05, 0.8]), value
    )
    assert kept.tolist() == [0, 3]
    assert asked == [[0, 3]]


@settings(max_examples=60, deadline=None)
@given(seed=seeds, count=st.integers(1, 400), levels=st.sampled_from([1, 3, 10**6]))
def test_median_is_that_of_all_values(seed, count, levels):
    random = np.random.default_rng(seed)
    values = (random.integers(0, levels, count) / 7).astype(np.float32)
    if random.random() < 0.5:
        values.sort()
    before = values.copy()
    assert median(values) == np.median(values)
    np.testing.assert_array_equal(values, before)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, corner=st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_flat_is_what_maximum_and_minimum_filters_say(seed, corner):
    random = np.random.default_rng(seed)
    image = random.integers(0, 2, random.integers(3, 11, 2)).astype(np.float32)
    image[: corner[0], : corner[1]] = 5
    highest, lowest = (f(image, size=3, mode="nearest") for f in (maximum_filter, minimum_filter))
    flat = _equals_neighbours(image)
    np.testing.assert_array_equal(flat, highest == lowest)
    if not any(edge.any() for edge in (flat[0], flat[-1], flat[:, 0], flat[:, -1])):
        assert without_padding(image)[1] is None


def test_tomograms_that_are_alike_share_filters_and_others_do_not():
    random = np.random.default_rng(2)
    image = random.normal(size=(90, 110)).astype(np.float32)
    y, x = np.indices(image.shape)
    image += 3 * (np.hypot(y - 40, x - 50) < 8)

    def picks(pixel_size, contrast, diameter):
        slabs = make_table(
            SLABS,
            {
                "rlnMicrographName": ["a_slab000.mrc"],
                "rlnTomoName": "a",
                "slabkitTomogramFile": "a.mrc",
                "slabkitZStart": 0,
                "slabkitZCount": 30,
                "slabkitVoxelSize": pixel_size,
                "slabkitContrast": contrast,
                "slabkitTomogramContrast": contrast,
                "slabkitTomogramSizeX": 110,
                "slabkitTomogramSizeY": 90,
                "slabkitTomogramSizeZ": 100,
            },
        )
        return pick_blobs([image], slabs, diameter=diameter, threshold=1.0)

    for told in [
        (10.0, "bright", (100, 300)),
        (10.0, "bright", [100, 300]),
        (7.3, "bright", (100, 300)),
        (7.3, "dark", (100, 300)),
        (7.3, "dark", 120),
        (10.0, "bright", (100, 300)),
    ]:
        pixel_size, contrast, diameter = told
        blobs = find_blobs(image, pixel_size, diameter=diameter, contrast=contrast, threshold=1)
        found = picks(*told)
        assert len(found) == len(blobs) > 0
        np.testing.assert_allclose(found["rlnCoordinateX"], blobs.x_px)
        np.testing.assert_allclose(found["rlnAutopickFigureOfMerit"], blobs.score)
