"""Sections through whole volumes: means of their planes, whatever the binning."""

from __future__ import annotations

import numpy as np
import pytest

from slabkit.arrays import sections
from slabkit.arrays.sections import mean_sections


class Array:
    def __init__(self, values):
        self.values, self.shape, self.dtype = values, values.shape, values.dtype

    def read(self, start, stop):
        z, y, x = (slice(a, b) for a, b in zip(start, stop, strict=True))
        return self.values[z, y, x]

    def mend(self, block, start):
        return np.nan_to_num(block, nan=1.0)


@pytest.mark.parametrize("binning", [1, 2, 3])
@pytest.mark.parametrize("at_once", [1, 1 << 20])
def test_sections_are_the_means_of_their_voxels(binning, at_once, monkeypatch):
    monkeypatch.setattr(sections, "_VOXELS_AT_ONCE", at_once)
    values = np.random.default_rng(0).integers(-99, 99, (7, 10, 13)).astype(np.int16)
    found = mean_sections(Array(values), (3, 4, 100), binning)
    for axis, one in enumerate(found):
        assert one.edges[0] == 0
        assert one.edges[-1] == values.shape[axis]
        assert len(one.images) == min((3, 4, 100)[axis], -(-values.shape[axis] // binning))
        assert (np.diff(one.edges) > 0).all()
        for image, first, last in zip(one.images, one.edges[:-1], one.edges[1:], strict=True):
            mean = values.astype(float).take(range(first, last), axis).mean(axis)
            rows, columns = (range(0, size, binning) for size in mean.shape)
            expected = [
                [mean[r : r + binning, c : c + binning].mean() for c in columns] for r in rows
            ]
            np.testing.assert_allclose(image, expected, rtol=1e-12, atol=1e-12)


def test_what_is_not_finite_is_mended():
    values = np.ones((4, 5, 6), np.float32)
    values[2, 3, 4] = np.nan
    assert all((one.images == 1).all() for one in mean_sections(Array(values), (2, 2, 2), 2))
