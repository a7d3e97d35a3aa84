"""Maps compared with what is at picks, in three dimensions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import slabkit
from slabkit.errors import InputError
from slabkit.learning import map_evidence as evidence
from slabkit.learning.map_naming import random_places
from slabkit.simulation.imaging import image_volume
from slabkit.simulation.molecules import random_rotation

VOXEL, HALF = 10.0, 10
PARTS = {
    "arm": [((-35, 0, 0), 22, 1.0), ((25, 10, 0), 16, 1.0), ((40, 35, 20), 12, 1.2)],
    "ring": [((40 * np.cos(a), 40 * np.sin(a), 0), 13, 1.0) for a in np.arange(6) * np.pi / 3],
}


def density(name: str, rotation: np.ndarray) -> np.ndarray:
    """Draw Gaussian blobs, turned, about the middle voxel."""
    line = np.arange(-HALF, HALF + 1) * VOXEL
    z, y, x = np.meshgrid(line, line, line, indexing="ij")
    parts = PARTS[name]
    weights = np.array([w * s**3 for _, s, w in parts])
    middle = (np.array([c for c, _, _ in parts]) * weights[:, None]).sum(0) / weights.sum()
    drawn = np.zeros(z.shape)
    for place, sigma, weight in parts:
        a, b, c = rotation @ (np.array(place) - middle)
        drawn += weight * np.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / (2 * sigma**2))
    return drawn


@pytest.fixture(scope="module")
def sample() -> tuple:
    """Give a tomogram, picks, the molecule of each and how it is turned, and the maps."""
    rng = np.random.default_rng(3)
    volume = np.zeros((48, 80, 120), dtype=np.float32)
    names, turned, rows = [], [], []
    for y in (20, 58):
        for x in (20, 50, 80, 104):
            name, rotation = ("arm", "ring")[len(names) % 2], random_rotation(rng)
            box = tuple(slice(c - HALF, c + HALF + 1) for c in (24, y, x))
            volume[box] += density(name, rotation)
            names.append(name)
            turned.append(rotation)
            rows.append(rng.uniform(-12, 12, 3) + np.array([x, y, 24]) * VOXEL)
    imaged = image_volume(volume, np.arange(-60, 61, 3), 0.2, rng)
    picks = pd.DataFrame(rows, columns=["slabkitX", "slabkitY", "slabkitZ"])
    maps = [
        evidence.rotate_map(density(n, np.eye(3)), VOXEL, VOXEL, name=n, tilt_range=(-60, 60))
        for n in PARTS
    ]
    return slabkit.Tomogram("t", -imaged, VOXEL), picks, names, np.array(turned), maps


def test_the_right_map_in_its_place_and_orientation(sample: tuple) -> None:
    tomogram, picks, names, turned, maps = sample
    fits = evidence.fit_maps(tomogram, picks.to_numpy(), maps, jobs=2)
    assert [list(PARTS)[k] for k in fits.coefficient.argmax(axis=1)] == names
    right = np.array([list(PARTS).index(name) for name in names])
    every = np.arange(len(names))
    assert fits.coefficient[every, right].min() > 0.75
    found = picks.to_numpy() + fits.shift[every, right]
    centre = np.array([[x, y, 24] for y in (20, 58) for x in (20, 50, 80, 104)]) * VOXEL
    assert np.linalg.norm(found - centre, axis=1).max() < 10
    arms = np.flatnonzero(right == 0)  # the ring has symmetry
    turn = fits.rotation[arms, 0] @ turned[arms].transpose(0, 2, 1)
    angle = np.degrees(np.arccos((np.trace(turn, axis1=1, axis2=2) - 1) / 2))
    assert angle.max() < 25  # orientations are 18 degrees apart


@pytest.mark.parametrize(("voxel_size", "bins"), [(5.0, 4), (10.0, 2), (20.0, 1)])
def test_places_are_exact_where_voxels_are_averaged(voxel_size: float, bins: int) -> None:
    parts = np.array([[0, 0, 0], [70, 40, -30], [-60, 70, 20], [30, -80, 60], [-40, -50, -80.0]])
    parts -= parts.mean(axis=0)

    def drawn(voxel: float, side: int) -> np.ndarray:
        line = (np.arange(side) - side // 2) * voxel
        z, y, x = np.meshgrid(line, line, line, indexing="ij")
        squares = ((z - c) ** 2 + (y - b) ** 2 + (x - a) ** 2 for a, b, c in parts)
        return np.sum([np.exp(-square / (2 * 35**2)) for square in squares], axis=0)

    one = evidence.rotate_map(drawn(5.0, 100), 5.0, voxel_size, name="a", tilt_range=None)
    assert one.bin_vox == bins
    side = round(800 / voxel_size)
    noise = np.random.default_rng(0).normal(0, 0.02, (side,) * 3)
    volume = (drawn(voxel_size, side) + noise).astype(np.float32)
    tomogram = slabkit.Tomogram("t", volume, voxel_size, "bright")
    away = np.array([[0, 0, 0], [1, 0, 0], [0, -1, 1]]) * voxel_size
    chance = evidence.fit_maps(tomogram, random_places(volume.shape, voxel_size, 40), [one])
    for at_random in (None, chance):
        fits = evidence.fit_maps(tomogram, 400.0 + away, [one], at_random=at_random)
        assert np.abs(away + fits.shift[:, 0]).max() < 2  # Å; voxels that are compared have 20


def test_features_are_the_same_again_and_for_either_contrast(sample: tuple) -> None:
    tomogram, picks, _, _, maps = sample
    values, names = evidence.map_evidence(tomogram, picks, maps)
    assert names[:5] == (*(f"{what}:arm" for what in evidence.EVIDENCE), "coefficient:ring")
    bright = slabkit.Tomogram("b", -7 * np.asarray(tomogram.data) + 3, VOXEL, "bright")
    fits = evidence.fit_maps(tomogram, picks.to_numpy(), maps, jobs=3)
    assert (fits.coefficient.astype(np.float32) == values[:, ::4]).all()
    order = np.argsort(-picks["slabkitX"].to_numpy())
    again, _ = evidence.map_evidence(tomogram, picks.iloc[order], maps)
    assert (again == values[order]).all()
    other, _ = evidence.map_evidence(bright, picks, maps)
    assert np.allclose(other[:, :2], values[:, :2], atol=2e-3)


def test_fits_that_promise_nothing_are_estimated(sample: tuple) -> None:
    tomogram, picks, names, _, maps = sample
    chance = evidence.fit_maps(tomogram, random_places(tomogram.shape, VOXEL, 60), maps)
    places = np.concatenate([picks.to_numpy(), random_places(tomogram.shape, VOXEL, 40)])
    whole = evidence.fit_maps(tomogram, places, maps).coefficient
    found = evidence.fit_maps(tomogram, places, maps, 2, chance).coefficient
    same = found == whole
    right = np.array([list(PARTS).index(name) for name in names])
    assert same[np.arange(len(names)), right].all()
    assert 0.5 < (~same[len(names) :]).mean() < 1
    assert np.abs(found - whole)[~same].mean() < 0.05


def test_outside_and_other_voxels(sample: tuple) -> None:
    tomogram, picks, _, _, maps = sample
    values, _ = evidence.map_evidence(tomogram, picks.assign(slabkitZ=[-50.0] + [240.0] * 7), maps)
    assert np.isnan(values[0]).all()
    assert np.isfinite(values[1:]).all()
    holed = np.array(tomogram.data)
    holed[24, 20, 20] = np.nan
    with pytest.raises(InputError, match="1 voxels are NaN or infinite"):
        evidence.map_evidence(slabkit.Tomogram("t", holed, VOXEL), picks[:2], maps)
    filled = slabkit.Tomogram("t", holed, VOXEL, fill_value=0.0)
    holed = np.nan_to_num(holed)
    with pytest.warns(slabkit.SlabkitWarning, match="replaced by 0"):
        found, _ = evidence.map_evidence(filled, picks, maps)
    plain, _ = evidence.map_evidence(slabkit.Tomogram("t", holed, VOXEL), picks, maps)
    assert (found == plain).all()
    with pytest.raises(InputError, match="voxels of 10 Å, and t has 5 Å"):
        evidence.fit_maps(slabkit.Tomogram("t", tomogram.data, 5.0), picks.to_numpy(), maps)


def test_fits_are_those_of_plain_sums_however_many_at_a_time(
    sample: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    tomogram, picks, _, _, maps = sample
    whole = evidence.fit_maps(tomogram, picks.to_numpy(), maps)
    for name, value in (("_AT_ONCE", 3), ("_TOGETHER", 2)):
        monkeypatch.setattr(evidence, name, value)
    assert (
        evidence.fit_maps(tomogram, picks.to_numpy(), maps).coefficient == whole.coefficient
    ).all()
    views, rng = maps[0].fine, np.random.default_rng(1)
    cube = rng.normal(size=(2, *(views.side,) * 3)).astype(np.float32)
    places = np.array([[0, 1, -2], [2, -1, 0]])
    shifts = np.array([[0, 0, 0], [0, 0, 1], [-1, 0, 0]])
    rows = views.samples(cube, places, shifts)
    for number, place in enumerate(places):
        for row, shift in zip(rows[number], shifts, strict=True):
            there = np.roll(cube[number], -(place + shift), axis=(0, 1, 2)).ravel()[views.places]
            assert (row == there * views.root).all()
    plain = rows.astype(float) @ views.basis.matrix.astype(float) @ views.views.matrix.astype(float)
    spread = np.sqrt((rows.astype(float) ** 2).sum(2) - (rows @ views.root.astype(float)) ** 2)
    plain /= spread[..., None]
    found, view, deviation = views.nearest(rows)
    assert np.allclose(deviation, spread, rtol=1e-5)
    every = np.arange(len(rows))
    assert np.allclose(found, plain[every, :, view], atol=2e-3)
    assert (found.max(axis=1) > plain.max(axis=(1, 2)) - 2e-3).all()
