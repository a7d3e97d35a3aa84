"""The confidence of depths: what it promises, on simulated tomograms not used to make it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from slabkit import map_picks, pick_blobs, project_slabs, simulate_tomogram
from slabkit.mapping.refinement import CONFIDENCE, PROMINENCE, depth_confidence
from slabkit.scoring import CZII_RADII

XYZ = ["slabkitX", "slabkitY", "slabkitZ"]
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def test_the_table_rises_and_says_its_own_values():
    assert (np.diff(PROMINENCE) > 0).all()
    assert (np.diff(CONFIDENCE) >= 0).all()
    np.testing.assert_array_equal(depth_confidence(PROMINENCE), CONFIDENCE)
    between = (PROMINENCE[1] + PROMINENCE[2]) / 2
    assert depth_confidence(between) == pytest.approx((CONFIDENCE[1] + CONFIDENCE[2]) / 2)
    assert depth_confidence(1.0) == CONFIDENCE[-1] < 1
    assert np.isnan(depth_confidence(np.nan))


@pytest.fixture(scope="module")
def judged():
    """Confidence and |z error| over the radius of picks with a particle in their column."""
    tables = []
    # Noise of up to eight times the usual, crowds, and hits that are not merged: hard cases, many.
    for seed, noise in ((31, 2.0), (32, 4.0), (33, 8.0)):
        tomogram, truth = simulate_tomogram("T", seed=seed, noise=noise, crowding=2.0)
        images, slabs = project_slabs(tomogram, step=75.0)
        hits = pick_blobs(images, slabs, diameter=(100, 350), threshold=1.5)
        picks, _ = map_picks(hits, slabs, tomogram, min_distance=0)
        places = truth[XYZ].to_numpy()
        radius = truth["slabkitSpecies"].map(CZII_RADII).to_numpy()
        for pick in picks.itertuples():
            beside = np.hypot(places[:, 0] - pick.slabkitX, places[:, 1] - pick.slabkitY)
            beside = beside <= radius / 2
            slab = slabs[slabs["rlnMicrographName"] == pick.rlnMicrographName].iloc[0]
            start, count = slab[["slabkitZStart", "slabkitZCount"]]
            beside &= np.abs(places[:, 2] / 10 - start - (count - 1) / 2) <= count / 2
            if beside.any():
                error = np.abs(places[beside, 2] - pick.slabkitZ)
                share = error.min() / radius[beside][error.argmin()]
                tables.append((pick.slabkitZConfidence, share))
    return pd.DataFrame(tables, columns=["confidence", "error"])


@pytest.mark.parametrize("level", LEVELS)
def test_of_the_depths_this_sure_at_least_so_many_are_right(judged, level):
    sure = judged[judged["confidence"] >= level]
    assert len(sure) > 100
    assert (sure["error"] < 0.5).mean() >= level


def test_wrong_depths_are_less_sure_than_right_ones(judged):
    right = judged["error"] < 0.5
    assert (~right).sum() >= 3  # else nothing was tested
    assert judged["confidence"][right].median() > 0.9
    assert judged["confidence"][~right].median() < judged["confidence"][right].quantile(0.1)
