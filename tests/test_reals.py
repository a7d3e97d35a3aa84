"""Floats are written as Python writes them, many at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slabkit.formats.tables.reals import real_texts


def check(values):
    values = np.asarray(values, dtype=np.float64)
    assert real_texts(values).tolist() == [repr(value).encode() for value in values.tolist()]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(st.floats(), st.floats(-1e6, 1e6), st.floats(0, 2)), max_size=20))
def test_any_floats(values):
    check(values)


@pytest.mark.parametrize("low", [-6, -1, 0, 3, 10, 14])
def test_random_floats_of_every_size(low):
    random = np.random.default_rng(low + 6)
    values = 10 ** random.uniform(low, low + 3, 20_000)
    check(values)
    for decimals in (1, 3, 12, 15):
        check(np.round(values, decimals))
    check(-values.astype(np.float32).astype(np.float64))


def test_the_neighbours_of_powers():
    for powers in (10.0 ** np.arange(-6, 18), 2.0 ** np.arange(-60, 60)):
        for values in (powers, np.nextafter(powers, 0), np.nextafter(powers, np.inf)):
            check(values)
    check([0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, 1.7976931348623157e308, 9007199254740993.0])
