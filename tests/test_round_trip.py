"""A particle at a known place goes all the way round and comes back as itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import slabkit
from slabkit.minislabs.galleries import gallery_set_id, minislab_table
from slabkit.tables import PICKS, make_table, new_pick_ids
from slabkit.tomogram import Tomogram

DIAMETER_VOX = 9.0


def ball_volume(shape, centres, contrast, seed=0):
    """Soft balls at (z, y, x) in voxels on faint noise."""
    volume = np.random.default_rng(seed).normal(0, 0.02, shape).astype(np.float32)
    axes = np.indices(shape, dtype=np.float32)
    for centre in centres:
        offset = [axis - c for axis, c in zip(axes, centre, strict=True)]
        away = np.sqrt(sum(o**2 for o in offset))
        volume += np.clip(DIAMETER_VOX / 2 - away + 0.5, 0, 1)
    return volume * (-1 if contrast == "dark" else 1)


@settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(data=st.data())
@pytest.mark.filterwarnings("ignore::slabkit.errors.SlabkitWarning")
def test_a_point_comes_back_to_its_id(data):
    shape = tuple(data.draw(st.integers(low, low + 30), label="size") for low in (24, 40, 52))
    voxel_size = data.draw(st.sampled_from([5.0, 7.3, 10.012, 13.48]), label="voxel size")
    margin = DIAMETER_VOX / 2 + 1
    centre = np.array(
        [data.draw(st.floats(margin, size - 1 - margin), label="place") for size in shape]
    )
    contrast = data.draw(st.sampled_from(["dark", "bright"]), label="contrast")
    thickness = data.draw(st.integers(10, 40), label="thickness") * voxel_size
    step = data.draw(st.none() | st.integers(3, 12), label="step")
    invert = data.draw(st.booleans(), label="invert")
    diameter = DIAMETER_VOX * voxel_size
    tomogram = Tomogram("00255", ball_volume(shape, [centre], contrast), voxel_size, contrast)

    images, slabs = slabkit.project_slabs(
        tomogram, thickness=thickness, step=step and step * voxel_size, cover=not step,
        invert=invert,
    )  # fmt: skip
    picks2d = slabkit.pick_blobs(images, slabs, diameter=(0.7 * diameter, 1.5 * diameter))
    picks, _ = slabkit.map_picks(picks2d, slabs, tomogram)
    best = picks.nlargest(1, "slabkitScore").iloc[0]
    found = np.array([best["slabkitZ"], best["slabkitY"], best["slabkitX"]]) / voxel_size
    assert np.abs(found - centre)[1:].max() < 0.35
    assert abs(found[0] - centre[0]) < 0.6

    minislabs = slabkit.stack_minislabs(
        tomogram, picks, box=2 * diameter, depth=diameter, pixel_size=None
    )
    layout = slabkit.GalleryLayout(rows=3, columns=5, tile_px=minislabs.images.shape[1])
    ids = picks["slabkitPickId"].tolist()
    count = layout.galleries(len(ids))
    table = minislab_table(
        layout,
        galleries=[f"g{i}.mrc" for i in range(count)],
        pick_ids=ids,
        tomograms=picks["slabkitTomogram"].tolist(),
        tilts=np.zeros(len(ids)),
        inside_fraction=minislabs.inside_fraction,
        set_id=gallery_set_id(layout, voxel_size, ids, np.zeros(len(ids))),
    )
    row = table.sample(frac=1, random_state=1).set_index("slabkitPickId").loc[best.slabkitPickId]
    result = pd.DataFrame(
        {
            "rlnMicrographName": [row["rlnMicrographName"]],
            "rlnCoordinateX": [row["rlnCoordinateX"] + 0.2],
            "rlnCoordinateY": [row["rlnCoordinateY"] - 0.2],
        }
    )
    labels, _ = slabkit.label_minislabs(result, table, layout)
    assert labels["slabkitPickId"].tolist() == [best["slabkitPickId"]]
    curated = slabkit.curate_picks(picks, [labels]).kept
    assert curated["slabkitPickId"].tolist() == [best["slabkitPickId"]]

    # The tile shows the particle in its middle.
    index = ids.index(best["slabkitPickId"])
    image = minislabs.images[index] * (-1 if contrast == "dark" else 1)
    weight = np.clip(image - image.max() / 2, 0, None).astype(float)
    rows, columns = np.indices(image.shape)
    middle = [(axis * weight).sum() / weight.sum() for axis in (rows, columns)]
    assert np.abs(np.array(middle) - image.shape[0] // 2).max() < 0.4


@settings(max_examples=15, deadline=None)
@given(
    voxel_size=st.sampled_from([7.3, 10.012]),
    place=st.tuples(st.integers(0, 29), st.integers(0, 39), st.integers(0, 49)),
)
@pytest.mark.filterwarnings("ignore::slabkit.errors.SlabkitWarning")
def test_geometry_of_a_single_voxel_is_exact(voxel_size, place):
    """One bright voxel: in the slab at its pixel, in the minislab at box // 2, anywhere at all."""
    data = np.zeros((30, 40, 50), np.float32)
    data[place] = 8.0
    tomogram = Tomogram("t", data, voxel_size, "bright")
    images, slabs = slabkit.project_slabs(tomogram, thickness=8 * voxel_size, cover=True)
    for image, start in zip(images, slabs["slabkitZStart"], strict=True):
        expected = np.zeros((40, 50), np.float32)
        if start <= place[0] < start + 8:
            expected[place[1:]] = 1.0
        np.testing.assert_array_equal(image, expected)
    z, y, x = ([float(p) * voxel_size] for p in place)
    picks = make_table(
        PICKS,
        {
            "slabkitPickId": new_pick_ids(["t"], x, y, z),
            "slabkitTomogram": "t",
            "slabkitX": x,
            "slabkitY": y,
            "slabkitZ": z,
        },
    )
    stack = slabkit.stack_minislabs(tomogram, picks, box=10 * voxel_size, depth=5 * voxel_size)
    image = stack.images[0]
    assert image.shape == (10, 10)
    assert np.unravel_index(image.argmax(), image.shape) == (5, 5)
    below, above = min(2, place[0]), min(2, 29 - place[0])
    inside_planes = 1 + below + above
    assert image[5, 5] == pytest.approx(8.0 / inside_planes, rel=1e-5)
