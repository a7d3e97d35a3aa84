"""Minislabs: geometry exact to a fraction of a voxel, whatever the volume and the position."""

from __future__ import annotations

import errno
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slabkit.arrays import projections
from slabkit.errors import InputError, SlabkitError, SlabkitWarning, TryAgainError
from slabkit.minislabs import (
    fill_galleries,
    normalise_minislabs,
    project_minislabs,
    stack_minislabs,
)
from slabkit.tomogram import Tomogram

SHAPE = (31, 43, 52)  # z, y, x


def picks_at(positions, voxel_size, name="t"):
    z, y, x = (np.asarray(positions, dtype=float).reshape(-1, 3) * voxel_size).T
    return pd.DataFrame(
        {
            "slabkitPickId": [f"{name}-{i}" for i in range(len(z))],
            "slabkitTomogram": [name] * len(z),
            "slabkitX": x,
            "slabkitY": y,
            "slabkitZ": z,
        }
    )


def noise(shape=SHAPE, seed=0, dtype=np.float32):
    values = np.random.default_rng(seed).normal(5, 30, shape)
    return values.astype(dtype) if np.dtype(dtype).kind == "f" else values.round().astype(dtype)


def waves(z, y, x):
    """A band-limited object, known between voxels too: a third of a cycle a voxel and less."""
    return (
        np.cos(0.33 * 2 * np.pi * x + 0.3) * np.sin(0.21 * 2 * np.pi * y + 1)
        + np.cos(0.17 * 2 * np.pi * x - 0.3 * 2 * np.pi * y + 0.2 * z)
        + 0.1 * z
    )


def reference(volume, centre, box, depth):
    """The slow way, for whole positions in the plane: weigh every voxel of the volume."""
    z = np.arange(volume.shape[0])
    low, high = centre[0] - depth / 2, centre[0] + depth / 2
    weights = (np.minimum(z + 0.5, high) - np.maximum(z - 0.5, low)).clip(0)
    image = np.full((box, box), np.nan)
    for i in range(box):
        for j in range(box):
            y, x = int(centre[1]) + i - box // 2, int(centre[2]) + j - box // 2
            if 0 <= y < volume.shape[1] and 0 <= x < volume.shape[2] and weights.sum() > 0:
                image[i, j] = weights @ volume[:, y, x].astype(float) / weights.sum()
    inside = np.isfinite(image)
    fraction = inside.mean() * weights.sum() / depth
    image[~inside] = image[inside].mean() if inside.any() else 0
    return image, fraction


def plane_weights(centre, depth, size):
    """Give the first plane, and the weights of it and of those after it."""
    first, end, begins, ends = (
        one.item() for one in projections.plane_weights(np.array([centre]), depth, size)
    )
    weights = np.ones(end - first)
    weights[-1:] = ends
    weights[:1] = begins
    return first, weights


class TestSampling:
    def test_kernel_is_one_at_zero_and_zero_at_whole_distances(self):
        values = projections.interpolation_kernel(np.arange(-12.0, 13.0))
        np.testing.assert_array_equal(values, np.arange(-12, 13) == 0)

    @pytest.mark.parametrize("spacing", [0.4, 1.0, 1.7, 3.0])
    def test_weights_sum_to_one(self, spacing):
        _, weights = projections.sampling_taps(np.linspace(0, 5, 37), spacing)
        np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-14)

    @given(centre=st.floats(-20, 60), depth=st.floats(0.05, 50), size=st.integers(1, 40))
    @settings(max_examples=200, deadline=None)
    def test_plane_weights_sum_to_the_depth_inside(self, centre, depth, size):
        first, weights = plane_weights(centre, depth, size)
        inside = min(centre + depth / 2, size - 0.5) - max(centre - depth / 2, -0.5)
        assert weights.sum() == pytest.approx(max(0, inside), abs=1e-12)
        assert (weights >= 0).all()
        assert (weights <= 1).all()
        assert first >= 0
        assert first + len(weights) <= size
        if len(weights):
            middle = (weights @ (first + np.arange(len(weights)))) / weights.sum()
            if centre - depth / 2 >= -0.5 and centre + depth / 2 <= size - 0.5:
                # Partial planes keep their own centre, so the middle is off by half a plane at most
                assert middle == pytest.approx(centre, abs=0.5)


class TestGeometry:
    @pytest.mark.parametrize("voxel_size", [1.0, 7.3, 10.012])
    @pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.float16, "f4"])
    def test_whole_positions_are_the_plain_mean_of_the_box(self, voxel_size, dtype):
        volume = np.abs(noise()).astype(dtype)
        tomogram = Tomogram("t", volume, voxel_size)
        picks = picks_at([(15, 20, 30)], voxel_size)
        made = stack_minislabs(tomogram, picks, box=12 * voxel_size, depth=7 * voxel_size)
        box = volume[12:19, 14:26, 24:36].astype(np.float64)
        np.testing.assert_allclose(made.images[0], box.mean(axis=0), rtol=1e-6, atol=1e-6)
        assert made.images.dtype == np.float32
        assert made.inside_fraction.tolist() == [pytest.approx(1, abs=1e-12)]

    def test_whole_position_and_one_plane_is_the_identity(self):
        volume = noise()
        made = stack_minislabs(
            Tomogram("t", volume, 1.0), picks_at([(15, 20, 30)], 1), box=10, depth=1
        )
        np.testing.assert_array_equal(made.images[0], volume[15, 15:25, 25:35])

    @given(
        z=st.floats(-6, 36),
        y=st.integers(-9, 52),
        x=st.integers(-9, 61),
        depth=st.floats(0.3, 60),
        half=st.integers(1, 9),
        byte=st.booleans(),
    )
    @settings(max_examples=150, deadline=None)
    def test_any_depth_near_any_face_against_the_slow_way(self, z, y, x, depth, half, byte):
        volume = noise(dtype=np.int8 if byte else np.float32)
        made = stack_minislabs(
            Tomogram("t", volume, 1.0), picks_at([(z, y, x)], 1), box=2 * half, depth=depth
        )
        image, fraction = reference(volume, (z, y, x), 2 * half, depth)
        if fraction > 1e-6:
            np.testing.assert_allclose(made.images[0], image, rtol=1e-5, atol=1e-4)
        assert made.inside_fraction[0] == pytest.approx(fraction, abs=1e-9)

    @given(
        position=st.tuples(st.floats(12, 18), st.floats(18, 24), st.floats(20, 30)),
        voxel_size=st.sampled_from([1.0, 7.3, 10.012]),
    )
    @settings(max_examples=60, deadline=None)
    def test_band_limited_object_is_exact_between_voxels(self, position, voxel_size):
        grid = np.meshgrid(*(np.arange(n, dtype=float) for n in SHAPE), indexing="ij")
        tomogram = Tomogram("t", waves(*grid), voxel_size)
        made = stack_minislabs(
            tomogram, picks_at([position], voxel_size), box=10 * voxel_size, depth=8 * voxel_size
        )
        z, y, x = (np.array(position) * voxel_size) / voxel_size
        first, weights = plane_weights(z, 8.0, SHAPE[0])
        offsets = np.arange(10) - 5
        planes = np.arange(first, first + len(weights))
        values = waves(planes[:, None, None], (y + offsets)[:, None], (x + offsets)[None, :])
        expected = np.tensordot(weights, values, axes=1) / 8
        np.testing.assert_allclose(made.images[0], expected, atol=6e-4)

    @pytest.mark.parametrize("voxel_size", [7.3, 10.012])
    def test_box_is_the_nearest_even_number_of_voxels(self, voxel_size):
        tomogram = Tomogram("t", noise(), voxel_size)
        picks = picks_at([(15, 20, 25)], voxel_size)
        for box, side in ((300 / 10.012 * voxel_size, 30), (21.1 * voxel_size, 22)):
            made = stack_minislabs(tomogram, picks, box=box, depth=50)
            assert made.images.shape == (1, side, side)

    def test_bright_voxel_lands_on_the_centre_pixel(self):
        volume = np.zeros(SHAPE, dtype=np.int16)
        volume[9, 30, 11] = 1000
        made = stack_minislabs(
            Tomogram("t", volume, 7.3), picks_at([(9, 30, 11)], 7.3), box=80, depth=7.3 * 5
        )
        assert np.unravel_index(made.images[0].argmax(), made.images[0].shape) == (5, 5)
        assert made.images[0].max() == pytest.approx(200)
        assert made.images[0].sum() == pytest.approx(200)

    def test_flat_volume_stays_flat(self):
        made = stack_minislabs(
            Tomogram("t", np.full(SHAPE, 1e4 + 1 / 3, dtype=np.float32), 3.0),
            picks_at([(14.3, 20.7, 25.1), (0.1, 0.2, 0.3), (30.2, 42.1, 51.3)], 3),
            box=60, depth=50, tilts=(0, -33),
        )  # fmt: skip
        np.testing.assert_allclose(made.images, np.float32(1e4 + 1 / 3), rtol=2e-7)

    def test_sums_lose_nothing(self):
        rng = np.random.default_rng(1)
        volume = (1e6 + rng.normal(size=(61, 24, 24))).astype(np.float32)
        made = stack_minislabs(
            Tomogram("t", volume, 1.0), picks_at([(30, 12, 12)], 1), box=8, depth=60.5
        )
        image, _ = reference(volume, (30, 12, 12), 8, 60.5)
        np.testing.assert_array_equal(made.images[0], image.astype(np.float32))

    def test_half_precision_does_not_overflow(self):
        volume = np.full((40, 30, 30), 60000, dtype=np.float16)
        made = stack_minislabs(
            Tomogram("t", volume, 1.0), picks_at([(20, 15, 15.5)], 1), box=8, depth=30
        )
        np.testing.assert_allclose(made.images, 60000, rtol=1e-3)

    def test_big_endian_volumes(self):
        volume = noise(dtype=np.int16)
        picks = picks_at([(15, 20.3, 30)], 2)
        little, big = (
            stack_minislabs(Tomogram("t", v, 2.0), picks, box=30, depth=20).images
            for v in (volume, volume.astype(">i2"))
        )
        np.testing.assert_array_equal(little, big)


class TestOutside:
    @pytest.mark.parametrize(
        "position",
        [(-1e30, 0, 0), (0, 1e300, 0), (5, 5, -500), (500, 20, 20), (15, 70, 20), (15, 20, -40)],
    )
    @pytest.mark.parametrize("tilt", [0, 25])
    def test_far_picks_are_flat_zero_with_fraction_zero(self, position, tilt):
        made = stack_minislabs(
            Tomogram("t", noise(), 2.0), picks_at([position], 2), box=20, depth=20, tilts=[tilt]
        )
        assert made.inside_fraction.tolist() == [0]
        assert not made.images.any()

    @pytest.mark.parametrize("tilt", [0, -30])
    def test_outside_pixels_hold_the_mean_of_those_inside(self, tilt):
        volume = noise()
        made = stack_minislabs(
            Tomogram("t", volume, 1.0), picks_at([(15, 1, 20.4)], 1), box=20, depth=9, tilts=[tilt]
        )
        image = made.images[0]
        assert (image[:9] == image[0, 0]).all()
        assert image[0, 0] == pytest.approx(image[9:].mean(), rel=1e-5)
        assert image[9:].std() > 1
        assert made.inside_fraction[0] == pytest.approx(11 / 20)

    def test_box_larger_than_the_volume(self):
        volume = noise((3, 4, 6))
        made = stack_minislabs(
            Tomogram("t", volume, 1.0), picks_at([(1, 2, 3)], 1), box=40, depth=30
        )
        assert made.inside_fraction[0] == pytest.approx(4 * 6 * 3 / (40 * 40 * 30))
        np.testing.assert_allclose(
            made.images[0, 18:22, 17:23], volume.mean(axis=0, dtype=float), rtol=1e-6
        )


class TestTilts:
    def gaussian(self, centre, sigma, shape=(60, 48, 64)):
        grid = np.meshgrid(*(np.arange(n, dtype=float) for n in shape), indexing="ij")
        square = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True))
        return np.exp(-square / (2 * sigma**2))

    @pytest.mark.parametrize("tilt", [-60, -20.5, 20.5, 45])
    def test_projection_of_a_gaussian_is_the_known_one(self, tilt):
        pick, offset, sigma = np.array([30.3, 24.2, 31.6]), np.array([3.0, -2.0, 1.5]), 2.2
        volume = self.gaussian(pick + offset, sigma)
        made = stack_minislabs(
            Tomogram("t", volume, 7.3), picks_at([pick], 7.3),
            box=20 * 7.3, depth=34 * 7.3, tilts=[tilt],
        )  # fmt: skip
        angle = np.radians(tilt)
        u0 = offset[2] * np.cos(angle) + offset[0] * np.sin(angle)
        u = np.arange(20) - 10
        expected = np.exp(
            -((u[None, :] - u0) ** 2 + (u[:, None] - offset[1]) ** 2) / (2 * sigma**2)
        )
        expected *= np.sqrt(2 * np.pi) * sigma / 34
        np.testing.assert_allclose(made.images[0], expected, atol=2e-4 * expected.max())
        assert made.inside_fraction[0] == pytest.approx(1, abs=1e-9) or abs(tilt) == 60

    def test_what_is_higher_moves_to_larger_x_with_a_positive_tilt(self):
        volume = self.gaussian((36, 24, 32), 1.5)
        made = stack_minislabs(
            Tomogram("t", volume, 1.0), picks_at([(30, 24, 32)], 1),
            box=24, depth=30, tilts=[-30, 0, 30],
        )  # fmt: skip
        peaks = [int(image.sum(axis=0).argmax()) for image in made.images]
        assert peaks == [9, 12, 15]  # 12 ± 6 sin 30°

    def test_zero_view_is_the_untilted_path_bit_for_bit(self):
        tomogram = Tomogram("t", noise(), 3.0)
        picks = picks_at([(15.2, 20.1, 30.7), (1, 1, 1)], 3)
        plain = stack_minislabs(tomogram, picks, box=48, depth=40)
        views = stack_minislabs(tomogram, picks, box=48, depth=40, tilts=(-20, 0, 20))
        np.testing.assert_array_equal(views.images[1::3], plain.images)
        assert views.row.tolist() == [0, 0, 0, 1, 1, 1]
        assert views.tilt.tolist() == [-20, 0, 20] * 2

    def test_a_very_small_tilt_is_nearly_none(self):
        grid = np.meshgrid(*(np.arange(n, dtype=float) for n in SHAPE), indexing="ij")
        tomogram = Tomogram("t", waves(*grid), 1.0)
        picks = picks_at([(15.2, 20.1, 26.7)], 1)
        made = stack_minislabs(tomogram, picks, box=10, depth=12.6, tilts=(0, 1e-6))
        np.testing.assert_allclose(made.images[1], made.images[0], atol=1e-4)

    @pytest.mark.parametrize(
        ("tilts", "message"),
        [
            ((80,), "from -75 to 75 degrees, not 80"),
            ((float("nan"),), "from -75 to 75"),
            ((), "at least one, not none"),
            ((0, 10, -0.0), "different .* not 0, 10, 0"),
        ],
    )
    def test_bad_tilts_are_refused(self, tilts, message):
        with pytest.raises(InputError, match=message):
            stack_minislabs(
                Tomogram("t", noise(), 1.0), picks_at([(9, 9, 9)], 1), box=8, depth=8, tilts=tilts
            )


class TestPixelSize:
    @pytest.mark.parametrize("pixel_size", [5.0, 16.0, 7.3])
    def test_resampling_keeps_places_and_values(self, pixel_size):
        shape, centre, sigma = (40, 60, 64), np.array([20.4, 30.3, 31.6]), 4.0
        grid = np.meshgrid(*(np.arange(n, dtype=float) for n in shape), indexing="ij")
        square = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True))
        tomogram = Tomogram("t", np.exp(-square / (2 * sigma**2)), 7.3)
        made = stack_minislabs(
            tomogram, picks_at([centre], 7.3), box=16 * pixel_size, depth=34 * 7.3,
            pixel_size=pixel_size,
        )  # fmt: skip
        offsets = (np.arange(16) - 8) * pixel_size / 7.3
        expected = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * sigma**2))
        expected *= np.sqrt(2 * np.pi) * sigma / 34
        assert made.images.shape == (1, 16, 16)
        np.testing.assert_allclose(made.images[0], expected, atol=1e-3 * expected.max())

    def test_coarser_pixels_do_not_alias(self):
        volume = np.zeros((9, 80, 80), dtype=np.float32)
        volume[:] = np.where(np.arange(80) % 2, 1, -1)  # the finest detail there is
        made = stack_minislabs(
            Tomogram("t", volume, 1.0), picks_at([(4, 40, 40)], 1), box=20, depth=9, pixel_size=2
        )
        assert np.abs(made.images).max() < 1e-3

    def test_sizes_equal_within_rounding_are_not_resampled(self):
        tomogram, picks = Tomogram("t", noise(), 7.2999997), picks_at([(15, 20, 30)], 7.2999997)
        with_size = stack_minislabs(tomogram, picks, box=73, depth=7.3, pixel_size=7.3)
        np.testing.assert_allclose(
            with_size.images[0], noise()[15, 15:25, 25:35], rtol=1e-5, atol=1e-4
        )

    @pytest.mark.parametrize("pixel_size", [0, -1, float("nan")])
    def test_bad_pixel_size_is_refused(self, pixel_size):
        with pytest.raises(InputError, match="positive number of Å"):
            stack_minislabs(
                Tomogram("t", noise(), 1.0), picks_at([(9, 9, 9)], 1), box=8, depth=8,
                pixel_size=pixel_size,
            )  # fmt: skip


class TestManyPicks:
    """Many boxes are summed as the planes of the volume pass, in bands: the same sums."""

    def both_ways(self, monkeypatch, volume, positions, depth, fill=None):
        tomogram = Tomogram("t", volume, 1.0, fill_value=fill)
        picks = picks_at(positions, 1.0)
        results, inf = [], np.inf
        for in_order, running, memory, jobs in (
            (0, 0, 0, 1), (inf, inf, 1 << 30, 1), (inf, inf, 100_000, 2), (inf, 0, 1 << 30, 1),
        ):  # fmt: skip
            monkeypatch.setattr("slabkit.arrays.plane_sums._IN_ORDER_COST", in_order)
            monkeypatch.setattr("slabkit.arrays.plane_sums._RUNNING_COST", running)
            monkeypatch.setattr("slabkit.arrays.plane_sums._BAND_BYTES", memory)
            monkeypatch.setattr("slabkit.arrays.plane_sums._FEWEST", 3)
            results.append(stack_minislabs(tomogram, picks, box=12, depth=depth, jobs=jobs))
        alone, *others = results
        for other in others:
            np.testing.assert_array_equal(other.images, alone.images)
            np.testing.assert_array_equal(other.inside_fraction, alone.inside_fraction)
        return alone, other

    @given(
        depth=st.floats(0.2, 50),
        dtype=st.sampled_from([np.int8, np.uint16, np.float32, np.float64, ">f4"]),
        seed=st.integers(0, 1000),
    )
    @settings(max_examples=60, deadline=None)
    def test_the_same_as_box_by_box(self, depth, dtype, seed):
        positions = np.random.default_rng(seed).uniform(-9, np.array(SHAPE) + 9, (30, 3))
        positions[:10] = positions[:10].round()
        with pytest.MonkeyPatch.context() as monkeypatch:
            volume = np.abs(noise(seed=seed)).astype(dtype)
            one, _ = self.both_ways(monkeypatch, volume, positions, depth)
        for row, position in enumerate(positions[:10]):
            image, fraction = reference(volume, position, 12, depth)
            assert one.inside_fraction[row] == pytest.approx(fraction, abs=1e-9)
            if fraction > 1e-6:
                np.testing.assert_allclose(one.images[row], image, rtol=1e-5, atol=1e-4)

    def test_wide_planes_are_read_in_parts(self, monkeypatch):
        source = TestReading.Source(noise((12, 30, 400)))
        rng = np.random.default_rng(0)
        picks = picks_at(rng.uniform(-3, np.array(source.shape) + 3, (200, 3)), 1.0)
        asked = {"box": 12, "depth": 7.5}
        monkeypatch.setattr("slabkit.arrays.plane_sums._IN_ORDER_COST", 0)
        alone = stack_minislabs(Tomogram("t", source.array, 1.0), picks, **asked)
        monkeypatch.setattr("slabkit.arrays.plane_sums._IN_ORDER_COST", np.inf)
        monkeypatch.setattr("slabkit.arrays.plane_sums._BAND_BYTES", 20_000)
        monkeypatch.setattr("slabkit.arrays.plane_sums._FEWEST", 3)
        made = stack_minislabs(Tomogram("t", source, 1.0), picks, **asked)
        np.testing.assert_array_equal(made.images, alone.images)
        assert max(source.read) <= 9 * 30 * 200
        assert len(source.read) < len(picks)

    def test_huge_voxels_below_do_not_spoil_the_boxes_above(self, monkeypatch):
        volume = noise((60, 43, 52))
        volume[2] = 1e25
        one, _ = self.both_ways(monkeypatch, volume, [(50, 20, 25), (5, 20, 25)], 8)
        assert np.abs(one.images[0]).max() < 100

    def test_non_finite_voxels_matter_only_where_they_are(self, monkeypatch):
        volume = noise((60, 43, 52))
        volume[3, 20, 25] = np.nan
        self.both_ways(monkeypatch, volume, [(50, 20, 25), (30, 20, 25)], 8)
        with pytest.raises(InputError, match="1 voxels are NaN or infinite"):
            self.both_ways(monkeypatch, volume, [(5, 20, 25), (30, 20, 25)], 8)
        with pytest.warns(SlabkitWarning, match="in 1 minislabs were replaced by 5"):
            self.both_ways(monkeypatch, volume, [(5, 20, 25), (30, 20, 25)], 8, fill=5.0)


class TestReading:
    class Source:
        """An array that remembers what was read of it."""

        def __init__(self, array):
            self.array, self.shape, self.dtype, self.read = array, array.shape, array.dtype, []

        def __getitem__(self, key):
            part = self.array[key]
            self.read.append(part.size)
            return part

    @pytest.mark.parametrize("tilt", [0, 20])
    def test_only_the_boxes_are_read(self, tilt):
        source = self.Source(noise((60, 120, 130)))
        picks = picks_at([(30, 60, 60.5), (20, 50, 40), (500, 0, 0)], 1)
        stack_minislabs(Tomogram("t", source, 1.0), picks, box=10, depth=8, tilts=[tilt])
        assert len(source.read) == 2
        assert max(source.read) <= (9 if tilt == 0 else 20) * 33 * 40

    def test_order_batches_and_inputs(self):
        rng = np.random.default_rng(3)
        volume = noise()
        positions = rng.uniform(-3, [34, 46, 55], (37, 3))
        picks = picks_at(positions, 2.0)
        tomogram = Tomogram("t", volume, 2.0)
        before = (volume.copy(), picks.copy())
        whole = stack_minislabs(tomogram, picks, box=16, depth=11, tilts=(0, 15))
        parts = list(
            project_minislabs(tomogram, picks, box=16, depth=11, tilts=(0, 15), batch_size=5)
        )
        assert [len(part) for part in parts] == [10] * 7 + [4]
        for name in ("images", "inside_fraction", "row", "tilt"):
            joined = np.concatenate([getattr(part, name) for part in parts])
            np.testing.assert_array_equal(joined, getattr(whole, name))
        order = rng.permutation(len(picks))
        shuffled = stack_minislabs(tomogram, picks.iloc[order], box=16, depth=11)
        np.testing.assert_array_equal(shuffled.images, whole.images[::2][order])
        np.testing.assert_array_equal(volume, before[0])
        pd.testing.assert_frame_equal(picks, before[1])

    def test_threads_share_the_picks_of_a_tomogram(self, monkeypatch):
        tomogram = Tomogram("t", noise(), 2.0)
        positions = np.random.default_rng(3).uniform(-4, 50, (23, 3))
        asked = {"box": 16, "depth": 11, "tilts": (0, 15)}
        monkeypatch.setattr("slabkit.arrays.projections._GROUP_BYTES", 5 * 8 * 8 * 8)
        monkeypatch.setattr("slabkit.arrays.plane_sums._FEWEST", 3)
        one, three = (
            stack_minislabs(tomogram, picks_at(positions, 2.0), **asked, jobs=jobs)
            for jobs in (1, 3)
        )
        np.testing.assert_array_equal(one.images, three.images)
        np.testing.assert_array_equal(one.inside_fraction, three.inside_fraction)

    def test_no_picks(self):
        made = stack_minislabs(Tomogram("t", noise(), 1.0), picks_at([], 1), box=8, depth=8)
        assert made.images.shape == (0, 8, 8)
        assert len(made) == 0

    def test_non_finite_voxels_stop_where_they_matter(self):
        volume = noise()
        volume[15, 20, 30] = np.nan
        tomogram = Tomogram("t", volume, 1.0, path="folder/t.mrc")
        assert len(stack_minislabs(tomogram, picks_at([(5, 20, 30)], 1), box=8, depth=8)) == 1
        for value in (np.nan, np.inf):
            volume[15, 20, 30] = value
            for tilt in (0, 10):
                with pytest.raises(
                    InputError, match=r"folder/t\.mrc: 1 voxels are NaN .* z=15, y=20, x=30"
                ):
                    stack_minislabs(
                        tomogram, picks_at([(15, 20, 28)], 1), box=8, depth=8, tilts=[tilt]
                    )

    def test_non_finite_voxels_are_filled_on_request(self):
        volume = noise()
        volume[15, 20, 30] = np.nan
        clean = volume.copy()
        clean[15, 20, 30] = 5
        picks = picks_at([(15, 20, 28), (4, 20, 28)], 1)
        with pytest.warns(SlabkitWarning, match="in 1 minislabs were replaced by 5"):
            made = stack_minislabs(
                Tomogram("t", volume, 1.0, fill_value=5.0), picks, box=8, depth=8
            )
        np.testing.assert_array_equal(
            made.images, stack_minislabs(Tomogram("t", clean, 1.0), picks, box=8, depth=8).images
        )

    def test_bad_calls_are_refused(self):
        tomogram = Tomogram("t", noise(), 1.0)
        with pytest.raises(InputError, match="picks of other were given for tomogram t"):
            stack_minislabs(tomogram, picks_at([(1, 1, 1)], 1, "other"), box=8, depth=8)
        with pytest.raises(InputError, match="position of a pick is not a finite number"):
            stack_minislabs(tomogram, picks_at([(1, np.nan, 1)], 1), box=8, depth=8)
        with pytest.raises(InputError, match="depth must be a positive number of Å, not -3"):
            stack_minislabs(tomogram, picks_at([(1, 1, 1)], 1), box=8, depth=-3)
        with pytest.raises(InputError, match="positive number of Å, not 0"):
            stack_minislabs(tomogram, picks_at([(1, 1, 1)], 1), box=0, depth=8)
        with pytest.raises(InputError, match="batch size must be at least 1, not 0"):
            project_minislabs(tomogram, picks_at([(1, 1, 1)], 1), box=8, depth=8, batch_size=0)


class TestNormalising:
    def outside(self, side, diameter):
        offsets = np.arange(side) - side // 2
        return np.hypot(offsets[:, None], offsets) > diameter / 2

    @pytest.mark.parametrize("diameter", [None, 10.0])
    @pytest.mark.parametrize("sign", [1, -1])
    def test_mean_zero_and_deviation_one_outside_the_circle(self, diameter, sign):
        images = noise((5, 20, 20))
        made = normalise_minislabs(images, diameter_px=diameter, sign=sign)
        ring = made[:, self.outside(20, diameter or 20)].astype(float)
        np.testing.assert_allclose(ring.mean(axis=1), 0, atol=1e-6)
        np.testing.assert_allclose(ring.std(axis=1), 1, atol=1e-6)
        assert made.dtype == np.float32
        assert np.corrcoef(made[0].ravel(), images[0].ravel())[0, 1] == pytest.approx(sign)

    def test_flat_images_become_zero_without_a_warning(self):
        images = np.stack([np.zeros((8, 8)), np.full((8, 8), 1234.5), np.full((8, 8), -1e-30)])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert not normalise_minislabs(images).any()

    def test_an_image_that_varies_only_inside_the_circle(self):
        image = np.zeros((1, 12, 12))
        image[0, 6, 6] = 3
        made = normalise_minislabs(image)
        assert made.std() == pytest.approx(1, abs=1e-6)

    def test_a_circle_that_leaves_nothing_outside(self):
        with pytest.raises(InputError, match="leaves nothing outside it in a box of 8 pixels"):
            normalise_minislabs(np.zeros((1, 8, 8)), diameter_px=30)


class TestFilling:
    def setup_method(self):
        self.tomograms = {n: Tomogram(n, noise(seed=i), 2.0) for i, n in enumerate("abc")}

    def picks(self, count, seed=0):
        rng = np.random.default_rng(seed)
        table = picks_at(rng.uniform(5, 25, (count, 3)), 2.0)
        table["slabkitTomogram"] = rng.choice(list("abc"), count)
        return table

    def fill(self, picks, opener=None, **options):
        return list(
            fill_galleries(
                picks, opener or self.tomograms.__getitem__,
                tiles=6, box=16, depth=10, pixel_size=2, **options,
            )
        )  # fmt: skip

    @pytest.mark.parametrize("count", [0, 1, 5, 6, 7, 11, 12, 13])
    @pytest.mark.parametrize("window", [None, 1, 4])
    def test_galleries_fill_in_the_order_of_the_table(self, count, window):
        picks = self.picks(count)
        galleries = self.fill(picks, window=window)
        assert [g.index for g in galleries] == list(range(-(-count // 6)))
        assert [len(g.minislabs) for g in galleries[:-1]] == [6] * max(0, len(galleries) - 1)
        rows = [row for g in galleries for row in g.minislabs.row]
        assert rows == list(range(count))
        images = [image for g in galleries for image in g.minislabs.images]
        for row, image in zip(rows, images, strict=True):
            one = picks.iloc[[row]]
            tomogram = self.tomograms[one["slabkitTomogram"].item()]
            alone = stack_minislabs(tomogram, one, box=16, depth=10).images[0]
            np.testing.assert_array_equal(image, alone)

    def test_views_of_a_pick_stand_side_by_side(self):
        galleries = self.fill(self.picks(5), tilts=(10, 0), window=2)
        rows = np.concatenate([g.minislabs.row for g in galleries])
        tilts = np.concatenate([g.minislabs.tilt for g in galleries])
        assert rows.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
        assert tilts.tolist() == [10, 0] * 5

    def test_each_tomogram_is_opened_once_a_window(self):
        opened = []

        def opener(name):
            opened.append(name)
            return self.tomograms[name]

        self.fill(self.picks(40), opener)
        assert sorted(opened) == ["a", "b", "c"]

    @pytest.mark.parametrize("jobs", [1, 3])
    def test_many_picks_of_a_tomogram_wait_on_disk(self, monkeypatch, jobs):
        picks = self.picks(50).sort_values("slabkitTomogram", kind="stable")
        opened = []

        def opener(name):
            opened.append(name)
            if name not in self.tomograms:
                raise InputError(f"{name}: gone")
            return self.tomograms[name]

        whole = self.fill(picks, tilts=(0, 10))
        monkeypatch.setattr("slabkit.minislabs.filling._WINDOW_BYTES", 5 * 2 * 8 * 8 * 4 // jobs)
        parts = self.fill(picks, opener, tilts=(0, 10), jobs=jobs)
        assert sorted(opened) == ["a", "b", "c"]
        for one, other in zip(whole, parts, strict=True):
            for name in ("images", "inside_fraction", "row", "tilt"):
                found = getattr(other.minislabs, name)
                np.testing.assert_array_equal(getattr(one.minislabs, name), found)
        failures = {}
        del self.tomograms["b"]
        left = self.fill(picks, opener, on_failure=failures.__setitem__, tilts=(0, 10), jobs=jobs)
        assert list(failures) == ["b"]
        rows = np.concatenate([g.minislabs.row for g in left])
        assert rows.tolist() == np.flatnonzero(picks["slabkitTomogram"] != "b").repeat(2).tolist()

    def test_a_full_disk_is_one_sentence(self, monkeypatch):
        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("slabkit.minislabs.filling._WINDOW_BYTES", 1)
        monkeypatch.setattr("os.pwrite", full)
        picks = self.picks(50).sort_values("slabkitTomogram", kind="stable")
        with pytest.raises(TryAgainError, match=r"minislabs in .* \(TMPDIR\): cannot be written"):
            self.fill(picks)

    def test_a_failing_tomogram_is_left_out(self):
        picks = self.picks(30)

        def opener(name):
            if name == "b":
                raise InputError("b: gone")
            return self.tomograms[name]

        failures = {}
        galleries = self.fill(picks, opener, on_failure=failures.__setitem__, window=7)
        assert {name: str(error) for name, error in failures.items()} == {"b": "b: gone"}
        rows = np.concatenate([g.minislabs.row for g in galleries])
        assert rows.tolist() == np.flatnonzero(picks["slabkitTomogram"] != "b").tolist()
        assert [len(g.minislabs) for g in galleries[:-1]] == [6] * (len(galleries) - 1)
        with pytest.raises(SlabkitError, match="b: gone"):
            self.fill(picks, opener)


def test_real_tomogram(data_folder):
    from slabkit.formats.volumes.opening import open_tomogram

    truth = pd.read_csv(data_folder / "tomograms" / "truth.csv")
    truth = truth[(truth["tomogram"] == "TS_911") & (truth["species"] == "ribosome")]
    tomogram = open_tomogram(data_folder / "tomograms" / "TS_911.mrc")
    picks = pd.DataFrame({f"slabkit{a}": truth[a.lower()].to_numpy() for a in "XYZ"})
    made = stack_minislabs(tomogram, picks, box=400, depth=300)
    whole = made.inside_fraction > 0.99
    assert whole.any()
    average = normalise_minislabs(made.images[whole], sign=-1).mean(axis=0)
    offsets = np.hypot(*np.meshgrid(np.arange(40) - 20, np.arange(40) - 20))
    # Ribosomes, dark in the tomogram, are bright in the middle of their light-on-dark minislabs
    assert average[offsets < 8].mean() > average[(offsets > 14) & (offsets < 18)].mean() + 0.5
    weights = average.clip(0) * (offsets < 14)
    centre = [(weights * axis).sum() / weights.sum() for axis in np.mgrid[:40, :40]]
    np.testing.assert_allclose(centre, 20, atol=1)
