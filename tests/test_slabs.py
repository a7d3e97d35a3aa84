"""Slab geometry, precision, and the command."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slabkit.arrays import accumulation
from slabkit.arrays.accumulation import sum_windows, window_starts
from slabkit.arrays.unread_planes import UnreadPlanes
from slabkit.errors import InputError, SlabkitWarning, TryAgainError
from slabkit.formats.volumes.decoded_cache import ChunkedVoxels
from slabkit.formats.volumes.voxels import FileVoxels, FlippedVoxels
from slabkit.slabs import projection
from slabkit.slabs.projection import iterate_slabs, plan_slabs, project_slabs
from slabkit.tables import SLABS
from slabkit.tomogram import Tomogram


def volume(shape=(23, 9, 14), dtype=np.float32, seed=0, voxel_size=7.3, **options):
    rng = np.random.default_rng(seed)
    data = rng.normal(0, 100, shape)
    if np.dtype(dtype).kind in "iu":
        info = np.iinfo(dtype)
        data = rng.integers(info.min, info.max, shape, endpoint=True)
    return Tomogram("t", data.astype(dtype), voxel_size, **options)


@given(
    depth=st.integers(1, 400), thickness=st.integers(1, 120), step=st.integers(1, 60) | st.none()
)
def test_windows_keep_their_promises(depth, thickness, step):
    starts = window_starts(depth, thickness, step)
    count = min(thickness, depth)
    assert starts[0] >= 0
    assert starts[-1] + count <= depth
    gaps = np.diff(starts)
    if step is None:
        assert len(starts) == max(1, depth // thickness)
        assert (gaps == thickness).all()
        below, above = starts[0], depth - starts[-1] - count
        assert 0 <= above - below <= 1
    else:
        assert starts[0] == 0
        assert starts[-1] + count == depth
        assert (gaps >= 1).all()
        assert (gaps <= step).all()
        if len(gaps):
            assert gaps.max() - gaps.min() <= 1
            # no fewer windows would do
            assert (len(starts) - 2) * step < depth - thickness


@given(depth=st.integers(1, 400), thickness=st.integers(1, 120))
def test_cover_leaves_no_plane_out_and_wastes_no_window(depth, thickness):
    starts = window_starts(depth, thickness, cover=True)
    covered = np.zeros(depth, bool)
    for start in starts:
        covered[start : start + thickness] = True
    assert covered.all()
    assert len(starts) == -(-depth // thickness)


def test_the_constants_of_the_method():
    tomogram = Tomogram("t", np.zeros((368, 2, 2), np.float32), 5.0)
    plan = plan_slabs(tomogram)
    assert plan.count_vox == 60
    assert plan.starts == (4, 64, 124, 184, 244, 304)
    assert plan.margins_vox == (4, 4)
    assert len(plan_slabs(tomogram, step=75).starts) == 22


def test_depth_is_compared_in_one_unit():
    # 184 planes of 10 Å are 1840 Å: six slabs of 300 Å.
    plan = plan_slabs(Tomogram("t", np.zeros((184, 2, 2), np.int8), 10.0))
    assert len(plan.starts) == 6
    assert plan.margins_vox == (2, 2)


def test_thin_depth_gives_one_thinner_slab_and_says_so():
    tomogram = volume((20, 3, 4), voxel_size=10.0)
    with pytest.warns(SlabkitWarning, match="one slab of 200 Å"):
        images, slabs = project_slabs(tomogram)
    assert images.shape == (1, 3, 4)
    assert slabs["slabkitZCount"].tolist() == [20]
    assert slabs["slabkitThickness"].tolist() == [200.0]
    np.testing.assert_allclose(images[0], tomogram.data.mean(axis=0, dtype=float), rtol=1e-6)


def test_z_range_takes_planes_whose_centre_lies_inside():
    tomogram = volume((50, 3, 4), voxel_size=7.3)
    plan = plan_slabs(tomogram, thickness=73, z_range=(7.3 * 5, 7.3 * 34))
    assert (plan.first_vox, plan.last_vox) == (5, 35)
    assert plan.starts == (5, 15, 25)
    plan = plan_slabs(tomogram, thickness=73, z_range=(float("-inf"), 7.3 * 12.5))
    assert (plan.first_vox, plan.last_vox) == (0, 13)
    with pytest.raises(InputError, match="no plane lies in the z range 400 to 500 Å"):
        plan_slabs(tomogram, z_range=(400, 500))


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.uint16, np.float16, np.float32, ">i2"])
@pytest.mark.parametrize("reduce", ["mean", "sum"])
@pytest.mark.parametrize("step", [None, 20.0])
def test_projection_equals_the_double_precision_reference(dtype, reduce, step):
    tomogram = volume((61, 11, 17), dtype=dtype)
    images, slabs = project_slabs(tomogram, thickness=100, step=step, reduce=reduce)
    for image, start, count in zip(
        images, slabs["slabkitZStart"], slabs["slabkitZCount"], strict=True
    ):
        block = tomogram.data[start : start + count]
        if dtype == np.float32:
            assert_as_exact(image, block, reduce)
        else:
            reference = getattr(block.astype(np.float64), reduce)(axis=0)
            np.testing.assert_array_equal(image, reference.astype(np.float32))


def assert_as_exact(image, planes, reduce="mean"):
    """Rounding of the sums of two, and that of the result, are all that may be lost."""
    count = len(planes) if reduce == "mean" else 1
    columns = planes.reshape(len(planes), -1).T.tolist()
    for pixel, column in zip(image.ravel().tolist(), columns, strict=True):
        exact = math.fsum(column) / count
        bound = 2**-24 * math.fsum(map(abs, column)) / count + 2**-24 * abs(exact)
        assert abs(pixel - exact) <= bound * (1 + 1e-6)


@pytest.mark.parametrize("step", [None, 2.0, 11.0])
@pytest.mark.parametrize("thickness", [2, 3, 4, 30])
@pytest.mark.filterwarnings("ignore::slabkit.errors.SlabkitWarning")
def test_float32_is_summed_as_documented_where_it_is_hard(thickness, step):
    rng = np.random.default_rng(3)
    size = (97, 3, 50)
    noise = rng.normal(0, 1, size)
    signs = rng.choice([-1, 1], size)
    for values in (1e6 + noise, 1e6 * signs + noise, signs * np.exp(rng.uniform(-8, 8, size))):
        tomogram = Tomogram("t", values.astype(np.float32), 1.0)
        plan = plan_slabs(tomogram, thickness=thickness, step=step)
        for index, image in iterate_slabs(tomogram, plan):
            start = plan.starts[index]
            assert_as_exact(image, tomogram.data[start : start + thickness])


def test_the_same_planes_give_the_same_slab_whatever_other_slabs_there_are():
    tomogram = volume((97, 9, 14), dtype=np.float32, voxel_size=1.0)
    for thickness in (2, 3, 5, 30):
        sliding, slabs = project_slabs(tomogram, thickness=thickness, step=1)
        for low, image in zip(slabs["slabkitZStart"], sliding, strict=True):
            alone, _ = project_slabs(
                tomogram, thickness=thickness, z_range=(low, low + thickness - 1)
            )
            assert alone[0].tobytes() == image.tobytes()


@pytest.mark.parametrize("step", [None, 5.0])
def test_sums_of_a_few_planes_that_do_not_fit_float32(step):
    data = volume((40, 3, 4), dtype=np.float32).data
    data[8:16, 1, 2] = [3e38, 3e38, -3e38, -3e38, -3e38, -2e38, 3e38, 2e38]
    images, slabs = project_slabs(Tomogram("t", data, 1.0), thickness=10, step=step)
    for image, start in zip(images, slabs["slabkitZStart"], strict=True):
        assert_as_exact(image, data[start : start + 10])


@pytest.mark.parametrize("depth", [1000, 40_000])
def test_whole_numbers_are_summed_exactly(depth):
    data = np.full((depth, 1, 2), 65535, np.uint16)
    data[depth // 2] = 1
    with pytest.warns(SlabkitWarning, match="constant"):
        images, _ = project_slabs(Tomogram("t", data, 1.0), thickness=depth, reduce="sum")
    assert images.tolist() == [[[np.float32(65535 * (depth - 1) + 1)] * 2]]


def test_a_large_offset_costs_no_precision():
    rng = np.random.default_rng(3)
    data = (1e6 + rng.normal(0, 1, (300, 8, 8))).astype(np.float32)
    images, _ = project_slabs(Tomogram("t", data, 1.0), thickness=300, reduce="sum")
    exact = data.sum(axis=0, dtype=np.float64).astype(np.float32)
    np.testing.assert_array_max_ulp(images[0], exact, maxulp=1)


@settings(max_examples=30, deadline=None)
@given(
    depth=st.integers(1, 90),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    thickness=st.floats(3, 400),
    step=st.none() | st.floats(8, 200),
    jobs=st.integers(1, 3),
)
@pytest.mark.filterwarnings("ignore::slabkit.errors.SlabkitWarning")
def test_every_slab_is_the_mean_of_its_planes(depth, height, width, thickness, step, jobs):
    tomogram = volume((depth, height, width), dtype=np.int16, voxel_size=7.3)
    images, slabs = project_slabs(tomogram, thickness=thickness, step=step, jobs=jobs)
    assert list(slabs.columns) == SLABS.names
    assert len(images) == len(slabs)
    for image, start, count in zip(
        images, slabs["slabkitZStart"], slabs["slabkitZCount"], strict=True
    ):
        expected = tomogram.data[start : start + count].mean(axis=0, dtype=np.float64)
        np.testing.assert_array_max_ulp(image, expected.astype(np.float32), maxulp=1)


class CountingSource:
    """Counts how often each plane is read."""

    def __init__(self, data):
        self.data, self.shape, self.dtype = data, data.shape, data.dtype
        self.reads = np.zeros(len(data), int)

    def __getitem__(self, key):
        self.reads[key[0]] += 1
        return self.data[key]


@pytest.mark.parametrize("step", [None, 10.0, 37.0])
def test_each_plane_is_read_once_whatever_the_overlap(step):
    source = CountingSource(np.random.default_rng(0).normal(size=(97, 6, 5)).astype(np.float32))
    project_slabs(Tomogram("t", source, 5.0), thickness=100, step=step)
    assert source.reads.max() == 1
    assert (source.reads == 1).sum() == (80 if step is None else 97)


def test_jobs_and_runs_give_equal_bytes():
    tomogram = volume((64, 301, 211))
    first, _ = project_slabs(tomogram, step=40, jobs=1)
    second, _ = project_slabs(tomogram, step=40, jobs=3)
    assert first.tobytes() == second.tobytes()


def test_invert_turns_the_images_and_the_recorded_contrast():
    tomogram = volume(contrast="dark")
    plain, slabs = project_slabs(tomogram, thickness=70)
    inverted, table = project_slabs(tomogram, thickness=70, invert=True)
    np.testing.assert_array_equal(inverted, -plain)
    assert set(slabs["slabkitContrast"]) == set(slabs["slabkitTomogramContrast"]) == {"dark"}
    assert set(table["slabkitContrast"]) == {"bright"}
    assert set(table["slabkitTomogramContrast"]) == {"dark"}


def test_nonfinite_voxels_stop_or_are_filled():
    tomogram = volume((30, 5, 6))
    tomogram.data[11, 2, 3] = np.nan
    tomogram.data[12, 2, 3] = np.inf
    with pytest.raises(InputError, match=r"NaN or infinite.*z=11, y=2, x=3.*--fill-nonfinite"):
        project_slabs(tomogram, thickness=70)
    filled = Tomogram("t", tomogram.data, 7.3, fill_value=5.0)
    with pytest.warns(SlabkitWarning, match="2 NaN or infinite voxels were replaced by 5"):
        images, slabs = project_slabs(filled, thickness=73)
    repaired = tomogram.data.copy()
    repaired[11:13, 2, 3] = 5.0
    start = slabs["slabkitZStart"][1]
    np.testing.assert_allclose(
        images[1], repaired[start : start + 10].mean(axis=0, dtype=float), rtol=1e-5
    )


def test_a_constant_slab_is_said_and_kept():
    tomogram = Tomogram("t", np.full((30, 4, 4), 7, np.int8), 10.0)
    with pytest.warns(SlabkitWarning, match="slab 0 is constant"):
        images, _ = project_slabs(tomogram)
    np.testing.assert_array_equal(images, 7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": 3.0}, "step of 3 Å is below the voxel size of 7.3 Å"),
        ({"thickness": 50.0, "step": 30.0, "cover": True}, "step and cover exclude each other"),
        ({"thickness": 0.0}, "the length must be a positive number of Å, not 0.0"),
        ({"thickness": float("nan")}, "must be a positive number"),
    ],
)
def test_bad_parameters_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        plan_slabs(volume(), **options)


def test_an_unknown_reduction_is_refused():
    tomogram = volume()
    with pytest.raises(InputError, match="must be 'mean' or 'sum', not 'max'"):
        list(iterate_slabs(tomogram, plan_slabs(tomogram, thickness=50), reduce="max"))


@pytest.mark.parametrize("value", [1e30, -3e38])
def test_one_absurd_voxel_spoils_only_the_slabs_it_lies_in(value):
    tomogram = volume((90, 5, 6), dtype=np.float32)
    tomogram.data[10, 2, 3] = value
    images, slabs = project_slabs(tomogram, thickness=73, step=20)
    for image, start in zip(images, slabs["slabkitZStart"], strict=True):
        assert_as_exact(image, tomogram.data[start : start + 10])


def test_a_hole_stops_only_the_slabs_it_lies_in():
    tomogram = volume((90, 5, 6), dtype=np.float32)
    tomogram.data[80, 2, 3] = np.nan
    slabs = iterate_slabs(tomogram, plan_slabs(tomogram, thickness=73, step=20))
    seen = []
    with pytest.raises(InputError, match="z=80, y=2, x=3"):
        seen.extend(slabs)
    assert len(seen) == 36
    for index, image in seen:
        start = plan_slabs(tomogram, thickness=73, step=20).starts[index]
        assert start + 10 <= 80
        assert_as_exact(image, tomogram.data[start : start + 10])


def test_padding_is_said_once():
    tomogram = volume((60, 40, 64), dtype=np.float32)
    tomogram.data[:, :, :32] = 0
    with pytest.warns(SlabkitWarning, match="up to 50% of a slab's area is blank") as caught:
        project_slabs(tomogram, thickness=100)
    assert len(caught) == 1


def test_a_thickness_that_rounding_changes_much_is_said():
    with pytest.warns(SlabkitWarning, match="a slab of 3 Å becomes one of 7.3 Å"):
        plan_slabs(volume(), thickness=3)


@pytest.mark.parametrize("dtype", [">f4", "<f4", ">i2", "u1", "<f2"])
@pytest.mark.parametrize("flipped", [False, True])
def test_a_file_is_summed_a_band_of_rows_at_a_time_as_an_array_is(
    tmp_path, monkeypatch, dtype, flipped
):
    monkeypatch.setattr(accumulation, "_BAND_VOXELS", 5 * 14)
    kept = volume((90, 33, 14), dtype=dtype)
    (tmp_path / "v").write_bytes(b"head" + kept.data.tobytes())
    voxels = FileVoxels(str(tmp_path / "v"), kept.shape, kept.data.dtype, 4)
    if flipped:
        voxels, kept = FlippedVoxels(voxels), replace(kept, data=kept.data[::-1])
    for step in (None, 20):
        plan = plan_slabs(kept, thickness=73, step=step)
        expected = [image for _, image in iterate_slabs(kept, plan)]
        for jobs in (1, 3):
            spare = []
            for index, image in iterate_slabs(
                replace(kept, data=voxels), plan, spare=spare, jobs=jobs
            ):
                assert image.tobytes() == expected[index].tobytes()
                spare.append(image)


@pytest.mark.parametrize("edges", [(0, 32, 64, 90), (0, 2, 10, 46, 84, 90), range(0, 91, 2)])
def test_chunks_of_an_even_length_give_the_same_sums(tmp_path, monkeypatch, edges):
    monkeypatch.setattr(accumulation, "_BAND_VOXELS", 5 * 14)
    data = volume((90, 33, 14)).data
    (tmp_path / "v").write_bytes(data.tobytes())
    file = FileVoxels(str(tmp_path / "v"), data.shape, data.dtype, 0)
    for starts in ([0, 25, 50], [3, 15, 27, 60]):  # side by side; a group that overlaps, and one
        whole = [(0, data)]
        expected = [window.image.tobytes() for window in sum_windows(whole, starts, 25)]
        for planes in (lambda a, b: data[a:b], lambda a, b: UnreadPlanes(file, a, b)):
            chunks = [(a, planes(a, b)) for a, b in pairwise(edges)]
            sums = sum_windows(chunks, starts, 25, jobs=3)
            assert [window.image.tobytes() for window in sums] == expected


def test_a_file_that_is_cut_off_while_it_is_summed(tmp_path):
    data = volume((60, 9, 14)).data
    (tmp_path / "v").write_bytes(data.tobytes()[:-500])
    tomogram = Tomogram("t", FileVoxels(str(tmp_path / "v"), data.shape, data.dtype, 0), 5.0)
    with pytest.raises(TryAgainError, match="before its last voxel"):
        list(iterate_slabs(tomogram, plan_slabs(tomogram), jobs=2))
    (tmp_path / "v").unlink()
    gone = replace(tomogram, data=FileVoxels(str(tmp_path / "v"), data.shape, data.dtype, 0))
    with pytest.raises(InputError, match="its voxels cannot be read"):
        list(iterate_slabs(gone, plan_slabs(gone), jobs=2))


@pytest.mark.parametrize("block", [(7, 5, 6), (16, 33, 14), (3, 40, 40), (200, 8, 8), (40, 8, 5)])
@pytest.mark.parametrize("dtype", ["<f4", "<i2"])
def test_blocks_are_decoded_once_and_summed_as_an_array_is(monkeypatch, block, dtype):
    kept = volume((90, 33, 14), dtype=dtype)
    for thickness, step in ((73, None), (73, 20), (200, 150), (400, 100)):
        decoded = []

        def decode(key, into=None, decoded=decoded):
            decoded.append(key)
            block = kept.data[key]
            if into is None:
                return block
            into[: block.size] = block.reshape(-1)
            return into[: block.size].reshape(block.shape)

        plan = plan_slabs(kept, thickness=thickness, step=step)
        expected = [image.tobytes() for _, image in iterate_slabs(kept, plan)]
        for jobs in (1, 3):
            decoded.clear()
            voxels = ChunkedVoxels("t", kept.shape, block, kept.data.dtype, decode)
            images = iterate_slabs(replace(kept, data=voxels), plan, jobs=jobs)
            assert [image.tobytes() for _, image in images] == expected
            assert len({str(key) for key in decoded}) == len(decoded)
        # Where the sums of a block's planes would fill the memory, a temporary file is used.
        monkeypatch.setattr(projection, "_MOST_HELD", 0)
        assert [one.tobytes() for _, one in iterate_slabs(replace(kept, data=voxels), plan)] == (
            expected
        )
        monkeypatch.undo()
