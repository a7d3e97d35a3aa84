"""Greedy merging by distance, against the plain rule written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slabkit.arrays.neighbours import group_neighbours
from slabkit.errors import InputError


def plain_greedy(points, reach, priority):
    """The rule, written as it is said."""
    order = sorted(range(len(points)), key=lambda i: (-priority[i], *points[i][::-1]))
    kept: list[int] = []
    for i in order:
        if all(np.linalg.norm(points[i] - points[k]) >= max(reach[i], reach[k]) for k in kept):
            kept.append(i)
    return set(kept)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    count=st.integers(0, 500),
    extent=st.sampled_from([1.0, 4.0, 12.0, 30.0]),
    longest=st.sampled_from([0.5, 1.5, 4.0]),
    levels=st.sampled_from([1, 5, 10**6]),
)
def test_keeps_what_the_plain_rule_keeps(seed, count, extent, longest, levels):
    random = np.random.default_rng(seed)
    points = random.random((count, 3)) * extent
    reach = random.random(count) * longest
    priority = random.integers(0, levels, count).astype(float)
    keeper = group_neighbours(points, reach, priority)
    assert set(keeper.tolist()) == plain_greedy(points, reach, priority)
    # A merged point is stood for by the nearest kept point that reaches it.
    kept = np.unique(keeper)
    for i in np.flatnonzero(keeper != np.arange(count)):
        away = np.linalg.norm(points[kept] - points[i], axis=1)
        away[away >= np.maximum(reach[kept], reach[i])] = np.inf
        assert np.isclose(np.linalg.norm(points[keeper[i]] - points[i]), away.min())


def test_permuting_the_points_permutes_the_result():
    random = np.random.default_rng(3)
    points = np.round(random.random((700, 3)) * 20, 2)
    priority = random.integers(0, 4, 700).astype(float)
    keeper = group_neighbours(points, 2.0, priority)
    order = random.permutation(700)
    permuted = group_neighbours(points[order], 2.0, priority[order])
    assert np.array_equal(order[permuted], keeper[order])


def test_the_distance_itself_is_far_enough():
    points = [[0.0, 0, 0], [3.0, 0, 0], [3.0, 2.999, 0]]
    assert group_neighbours(points, 3.0, [3, 2, 1]).tolist() == [0, 1, 1]


def test_the_larger_of_two_distances_counts():
    points = [[0.0, 0, 0], [5.0, 0, 0]]
    assert group_neighbours(points, [1.0, 6.0], [2, 1]).tolist() == [0, 0]
    assert group_neighbours(points, [6.0, 1.0], [2, 1]).tolist() == [0, 0]
    assert group_neighbours(points, [4.0, 4.0], [2, 1]).tolist() == [0, 1]


def test_a_merged_point_does_not_merge_others():
    line = [[0.0, 0, 0], [2.0, 0, 0], [4.0, 0, 0]]
    assert group_neighbours(line, 3.0, [3, 2, 1]).tolist() == [0, 0, 2]
    assert group_neighbours(line, 3.0, [2, 3, 1]).tolist() == [1, 1, 1]


def test_the_first_key_outweighs_the_second_and_nan_comes_last():
    points = [[0.0, 0, 0], [1.0, 0, 0], [0.0, 1.0, 0]]
    assert group_neighbours(points, 2.0, [[0, 9], [1, 1], [0, 5]]).tolist() == [1, 1, 1]
    assert group_neighbours(points, 2.0, [np.nan, -5.0, np.nan]).tolist() == [1, 1, 1]


def test_ties_go_to_the_smaller_last_coordinate():
    points = [[0.0, 0, 1], [0.0, 1, 0], [1.0, 0, 0]]
    assert group_neighbours(points, 9.0, [1, 1, 1]).tolist() == [2, 2, 2]


def test_labels_keep_points_apart():
    points = np.zeros((6, 3))
    keeper = group_neighbours(points, 1.0, [1, 2, 3, 4, 5, 6], labels=[7, 3, 7, 3, 3, 5])
    assert keeper.tolist() == [2, 4, 2, 4, 4, 5]


def test_none_one_and_no_distance():
    assert group_neighbours(np.empty((0, 3)), 5.0).tolist() == []
    assert group_neighbours([[1.0, 2.0, 3.0]], 5.0).tolist() == [0]
    assert group_neighbours(np.zeros((4, 3)), 0.0).tolist() == [0, 1, 2, 3]


def test_far_points_do_not_wrap_or_overflow():
    points = np.array([[-1e12, 0, 0], [1e12, 0, 0], [1e12, 1e-3, 0], [-1e300, 0, 0]])
    assert group_neighbours(points, 1.0, [4, 3, 2, 1]).tolist() == [0, 1, 1, 3]


def test_input_is_left_as_it_was():
    points, reach, priority = np.random.default_rng(0).random((3, 300, 3))
    before = points.copy(), reach.copy(), priority.copy()
    group_neighbours(points, reach[:, 0], priority)
    for old, new in zip(before, (points, reach, priority), strict=True):
        assert np.array_equal(old, new)


def test_memory_stays_linear_where_everything_is_close():
    import tracemalloc

    random = np.random.default_rng(1)
    points = random.normal(0, 1, (40_000, 3))
    group_neighbours(points[:300], 0.5)  # imports are not counted
    tracemalloc.start()
    keeper = group_neighbours(points, 3.0, random.random(40_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(np.unique(keeper)) < 40
    assert peak < 1000 * 40_000  # pairs would be 40,000 times 40,000


def test_refusals():
    with pytest.raises(InputError, match=r"position 2 is .*not finite"):
        group_neighbours([[0.0, 0, 0], [np.nan, 0, 0]], 1.0)
    with pytest.raises(InputError, match="not negative"):
        group_neighbours([[0.0, 0, 0]], -1.0)
    with pytest.raises(InputError, match="shape"):
        group_neighbours([1.0, 2.0], 1.0)
    with pytest.raises(InputError, match="do not fit 2 points"):
        group_neighbours([[0.0], [1.0]], 1.0, [1, 2, 3])
    with pytest.raises(InputError, match="1 labels were given for 2 points"):
        group_neighbours([[0.0], [1.0]], 1.0, labels=[1])
