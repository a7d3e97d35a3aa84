"""The one rule between Å and voxels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slabkit.errors import InputError
from slabkit.units import (
    length_to_even_voxels,
    length_to_voxels,
    length_to_whole_voxels_below,
    opposite_contrast,
    protein_sign,
    voxel_sizes_equal,
)


@pytest.mark.parametrize(
    ("length", "voxel_size", "expected"),
    [(300, 5, 60), (300, 10.012, 30), (25, 10, 3), (24.9, 10, 2), (1, 10, 1), (36.5, 7.3, 5)],
)
def test_lengths_round_to_the_nearest_voxel_halves_up(length, voxel_size, expected):
    assert length_to_voxels(length, voxel_size) == expected


@pytest.mark.parametrize(
    ("length", "voxel_size", "expected"),
    [(300, 10.012, 30), (400, 10, 40), (290, 10, 30), (289, 10, 28), (1, 10, 2), (270, 10, 28)],
)
def test_boxes_round_to_the_nearest_even_number(length, voxel_size, expected):
    assert length_to_even_voxels(length, voxel_size) == expected


@given(count=st.integers(1, 5000), voxel_size=st.floats(0.5, 50))
def test_float32_headers_do_not_change_the_answer(count, voxel_size):
    stored = float(np.float32(voxel_size))
    assert length_to_voxels(count * voxel_size, stored) == count
    assert length_to_whole_voxels_below(count * voxel_size, stored) == count
    assert length_to_even_voxels(2 * count * voxel_size, stored) == 2 * count
    assert voxel_sizes_equal(voxel_size, stored)


def test_voxel_sizes_differ_beyond_a_thousandth():
    assert voxel_sizes_equal(10.0, 10.0099)
    assert not voxel_sizes_equal(10.0, 10.012)


def test_contrast_signs():
    assert protein_sign("dark") == -1
    assert protein_sign("bright") == 1
    assert opposite_contrast("dark") == "bright"
    assert opposite_contrast("bright") == "dark"
    with pytest.raises(InputError, match="must be 'dark' or 'bright', not 'black'"):
        protein_sign("black")


@pytest.mark.parametrize("bad", [0.0, -5.0, float("nan"), float("inf")])
def test_lengths_must_be_positive(bad):
    with pytest.raises(InputError, match="length must be a positive number of Å"):
        length_to_voxels(bad, 10)
    with pytest.raises(InputError, match="voxel size must be a positive number of Å"):
        length_to_even_voxels(100, bad)
