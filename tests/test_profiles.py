"""Depths of analytic particles from matched profiles along z."""

from __future__ import annotations

import numpy as np
import pytest
from analytic import balls
from hypothesis import given, settings
from hypothesis import strategies as st

from slabkit.arrays import profiles as profiles_module
from slabkit.arrays.depths import find_depths
from slabkit.arrays.profiles import depth_profiles

SHAPE = (52, 63, 71)


def depths(volume, centres, radius, low, high, *, sign=1, jobs=1, slab=None, diameter=None):
    """Search below ``(y, x)`` centres; the slab is the range searched unless given."""
    count = len(centres)
    whole = [np.broadcast_to(np.asarray(v), (count,)).copy() for v in (low, high)]
    low, high = (v.astype(np.int64) for v in whole)
    radius = np.broadcast_to(np.asarray(radius, dtype=float), (count,)).copy()
    faces = (low - 0.5, high + 0.5) if slab is None else (np.full(count, v) for v in slab)
    below, above = (np.asarray(v, dtype=float) for v in faces)
    result = np.full((count, 5), np.nan)
    seen = []
    for part in depth_profiles(
        lambda first, last: volume[first:last],
        volume.shape,
        np.asarray(centres, dtype=float).reshape(-1, 2),
        radius,
        low,
        high,
        sign,
        jobs,
    ):
        rows = part.rows
        seen += rows.tolist()
        peaks = find_depths(
            part.scores, part.start, low[rows], high[rows], below[rows], above[rows],
            2 * radius[rows],
        )  # fmt: skip
        result[rows] = np.column_stack(
            [peaks.z_vox, peaks.prominence, peaks.at_border, peaks.second_z_vox,
             peaks.second_prominence]
        )  # fmt: skip
    assert sorted(seen) == list(range(count))
    return result


position = st.floats(0, 1)


@settings(max_examples=30, deadline=None)
@given(
    u=position, v=position, w=position, radius=st.sampled_from([3.0, 5.5, 8.0, 12.5]),
    hollow=st.booleans(), sign=st.sampled_from([-1, 1]),
)  # fmt: skip
def test_a_particle_is_found_where_it_is_up_to_every_face(u, v, w, radius, hollow, sign):
    depth, height, width = SHAPE
    z, y, x = w * (depth - 1), v * (height - 1), u * (width - 1)
    inner = 0.7 * radius if hollow and radius > 5 else 0.0
    volume = 40 + sign * 3 * balls(SHAPE, [(x, y, z)], radius, inner)
    found = depths(volume, [(y, x)], radius, 0, depth - 1, sign=sign)[0]
    inside = radius <= z <= depth - 1 - radius
    # Of a particle that the volume cuts off, up to a half is missing: its middle is found less than
    # a third of its radius too deep.
    assert found[0] == pytest.approx(z, abs=0.06 if inside else radius / 3)
    assert found[1] > 0.4
    assert np.isnan(found[3])


@pytest.mark.parametrize("factor", [0.7, 1.3])
@pytest.mark.parametrize("inner", [0.0, 0.7])
def test_a_wrong_diameter_does_not_move_the_depth(factor, inner):
    radius, z = 8.0, 27.37
    volume = balls(SHAPE, [(33.4, 30.2, z)], radius, inner * radius)
    found = depths(volume, [(30.2, 33.4)], radius * factor, 5, 46)[0]
    assert found[0] == pytest.approx(z, abs=0.06)


def test_soft_particles_larger_than_said_are_found_in_noise():
    """A bank without balls of the given size and above errs by up to two voxels here."""
    random = np.random.default_rng(1)
    centres = [(y, x) for y in range(20, 150, 40) for x in range(20, 150, 40)]
    middles = 20 + random.random(len(centres)) * 8
    z, y, x = np.ogrid[:48, :160, :160]
    volume = 0.5 * random.normal(size=(48, 160, 160))
    for (cy, cx), cz in zip(centres, middles, strict=True):
        volume += np.exp(-((z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2) / (2 * 4.0**2))
    errors = np.abs(depths(volume, centres, 5.0, 5, 42)[:, 0] - middles)
    assert np.quantile(errors, 0.9) < 1.0
    assert np.median(errors) < 0.4


def test_a_pick_off_the_middle_still_finds_the_depth():
    volume = balls(SHAPE, [(33.4, 30.2, 21.6)], 8.0)
    found = depths(volume, [(30.2 + 2, 33.4 - 2)], 8.0, 5, 46)[0]
    assert found[0] == pytest.approx(21.6, abs=0.1)


def test_more_matter_beside_and_above_does_not_catch_the_depth():
    # The neighbour is eight times as large and reaches into the column above the particle: the
    # column's own maximum is the neighbour.
    small, large = balls(SHAPE, [(30, 30, 14.3)], 5.0), balls(SHAPE, [(36, 30, 35)], 10.0)
    volume = small + large
    y, x = np.ogrid[:63, :71]
    column = volume[:, (y - 30) ** 2 + (x - 30) ** 2 <= 25].sum(axis=1)
    smooth = np.convolve(column, np.ones(10), mode="same")
    assert abs(int(np.argmax(smooth)) - 35) < 4
    found = depths(volume, [(30, 30)], 5.0, 5, 46)[0]
    assert found[0] == pytest.approx(14.3, abs=0.1)


def test_two_equal_particles_are_a_stacked_pair_with_both_depths():
    volume = balls(SHAPE, [(30, 30, 14.3), (30, 30, 33.6)], 6.0)
    found = depths(volume, [(30, 30)], 6.0, 0, 51)[0]
    assert sorted([found[0], found[3]]) == pytest.approx([14.3, 33.6], abs=0.1)
    assert found[1] > 0.4
    assert found[4] > 0.4


def test_a_faint_second_particle_is_no_pair():
    volume = balls(SHAPE, [(30, 30, 14.3)], 6.0) + 0.4 * balls(SHAPE, [(30, 30, 33.6)], 6.0)
    found = depths(volume, [(30, 30)], 6.0, 0, 51)[0]
    assert found[0] == pytest.approx(14.3, abs=0.1)
    assert np.isnan(found[3])
    # But it is a rival.
    alone = depths(balls(SHAPE, [(30, 30, 14.3)], 6.0), [(30, 30)], 6.0, 0, 51)[0]
    assert found[1] < alone[1] - 0.02


def test_one_long_particle_is_no_pair():
    volume = balls(SHAPE, [(30, 30, z) for z in np.arange(18, 34, 0.5)], 6.0)
    assert np.isnan(depths(volume, [(30, 30)], 6.0, 0, 51)[0, 3])


def test_a_second_particle_outside_the_slab_is_another_slabs_affair():
    volume = balls(SHAPE, [(30, 30, 14.3), (30, 30, 33.6)], 6.0)
    found = depths(volume, [(30, 30)], 6.0, 2, 40, slab=(4.5, 30.5))[0]
    assert found[0] == pytest.approx(14.3, abs=0.1)
    assert np.isnan(found[3])


def test_a_rise_at_the_end_of_the_search_is_said():
    volume = balls(SHAPE, [(30, 30, 33.6)], 6.0)
    found = depths(volume, [(30, 30)], 6.0, 8, 30)[0]
    assert found[0] == 30
    assert found[2] == 1
    assert depths(volume, [(30, 30)], 6.0, 8, 36)[0, 2] == 0


def test_a_particle_within_wins_over_a_rise_at_the_border():
    volume = 0.8 * balls(SHAPE, [(30, 30, 16.3)], 6.0) + balls(SHAPE, [(30, 30, 34.6)], 6.0)
    found = depths(volume, [(30, 30)], 6.0, 5, 32)[0]
    assert found[0] == pytest.approx(16.3, abs=0.1)
    assert found[2] == 0


@pytest.mark.parametrize("value", [0.0, 1000.0, -3e4])
def test_a_constant_volume_has_no_depth(value):
    found = depths(np.full(SHAPE, value, dtype=np.float32), [(30, 30), (0, 0)], 6.0, 0, 51)
    assert np.isnan(found[:, 0]).all()
    assert (found[:, 1] == 0).all()


def test_the_other_contrast_is_not_taken():
    volume = balls(SHAPE, [(30, 30, 25.5)], 6.0)
    right, wrong = (depths(volume, [(30, 30)], 6.0, 0, 51, sign=sign)[0] for sign in (1, -1))
    assert right[0] == pytest.approx(25.5, abs=0.1)
    assert not abs(wrong[0] - 25.5) < 6


def test_neither_order_nor_threads_nor_block_size_matter(monkeypatch):
    random = np.random.default_rng(0)
    volume = random.normal(size=SHAPE).astype(np.float32)
    count = 300
    centres = random.random((count, 2)) * [62, 70]
    radius = random.uniform(2, 9, count)
    low = random.integers(0, 20, count)
    high = low + random.integers(5, 30, count)
    first = depths(volume, centres, radius, low, high)
    threads = depths(volume, centres, radius, low, high, jobs=4)
    assert first.tobytes() == threads.tobytes()
    order = random.permutation(count)
    permuted = depths(volume, centres[order], radius[order], low[order], high[order])
    assert np.array_equal(permuted, first[order], equal_nan=True)
    monkeypatch.setattr(profiles_module, "_BLOCK_BYTES", 4 * 63 * 71 * 5)
    monkeypatch.setattr(profiles_module, "_PORTION", 70)
    blocks = depths(volume, centres, radius, low, high)
    np.testing.assert_allclose(blocks, first, atol=1e-3)


def test_each_plane_is_read_once_and_none_that_is_not_needed():
    volume = np.zeros((200, 20, 24), dtype=np.float32)
    read: list[int] = []

    def planes(first, last):
        read.extend(range(first, last))
        return volume[first:last]

    centres = np.array([[10.0, 12.0], [3.0, 3.0]])
    low, high = np.array([90, 100]), np.array([110, 120])
    list(depth_profiles(planes, volume.shape, centres, np.array([4.0, 4.0]), low, high, 1))
    assert read == sorted(set(read))
    assert min(read) > 75
    assert max(read) < 135


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 7), (5, 2, 3), (30, 1, 40)])
@pytest.mark.parametrize("radius", [0.3, 2.0, 20.0])
def test_tiny_volumes_and_particles_are_defined(shape, radius):
    volume = np.random.default_rng(0).normal(size=shape)
    found = depths(volume, [(0, 0), (shape[1] - 1, shape[2] - 1)], radius, 0, shape[0] - 1)
    there = found[:, 0][np.isfinite(found[:, 0])]
    assert ((there >= -0.5) & (there <= shape[0] - 0.5)).all()


def test_no_position_gives_nothing():
    assert depths(np.zeros(SHAPE), np.empty((0, 2)), 4.0, 0, 51).shape == (0, 5)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16])
def test_whole_numbers_are_averaged_exactly_block_by_block(dtype, monkeypatch):
    random = np.random.default_rng(0)
    volume = random.integers(0, 128, (40, 130, 120)).astype(dtype)
    centres, radius = random.uniform(20, 100, (9, 2)), [3, 13, 19, 26, 31, 37, 50, 61, 75]
    whole = depths(volume.astype(np.float32), centres, radius, 0, 39)
    monkeypatch.setattr(profiles_module, "_BLOCK_BYTES", 4 * 130 * 120 * 7)
    np.testing.assert_array_equal(depths(volume, centres, radius, 0, 39, jobs=2), whole)
