"""Written MRC files: what other programs read, and the same bytes every time."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from volume_files import random_volume, write_mrc_file

from slabkit.errors import InputError, SlabkitError
from slabkit.formats.volumes import mrc
from slabkit.formats.volumes.mrc import open_stack, read_image, write_mrc
from slabkit.formats.volumes.opening import open_tomogram
from slabkit.formats.volumes.statistics import RunningStatistics

LABEL = "slabkit: slab of TS_1, voxels 10 to 40"


def field(path: Path, offset: int, form: str) -> Any:
    values = struct.unpack_from(f"<{form}", path.read_bytes(), offset)
    return values if len(values) > 1 else values[0]


@pytest.mark.parametrize("voxel_size", [7.3, 10.012, 1.54])
def test_image(tmp_path: Path, voxel_size: float) -> None:
    image = np.random.default_rng(1).normal(50, 3, (33, 48)).astype("f4")
    path = tmp_path / "slabs" / "a_slab000.mrc"
    write_mrc(path, image, voxel_size, label=LABEL)
    assert mrcfile.validate(path)
    with mrcfile.open(path) as other:
        assert other.is_single_image()
        np.testing.assert_array_equal(other.data, image)
        for axis in "xyz":
            assert float(other.voxel_size[axis]) == pytest.approx(voxel_size, rel=1e-7)
        assert [label.strip() for label in other.get_labels()] == [LABEL]
        assert other.header.rms == pytest.approx(image.astype("f8").std(), rel=1e-6)
        assert other.header.dmean == pytest.approx(image.astype("f8").mean(), rel=1e-6)
        assert other.header.dmin == image.min()
        assert other.header.dmax == image.max()
    assert field(path, 0, "4i") == (48, 33, 1, 2)
    assert field(path, 28, "3i") == (48, 33, 1)
    assert field(path, 88, "i") == 0
    assert path.stat().st_size == 1024 + image.nbytes
    again, pixel_size = read_image(path)
    np.testing.assert_array_equal(again, image)
    assert pixel_size == voxel_size
    assert again.flags.writeable


def test_volume_and_stack(tmp_path: Path) -> None:
    data = random_volume((5, 6, 7))
    write_mrc(tmp_path / "a.mrc", data, 7.3, label=LABEL)
    assert open_tomogram(tmp_path / "a.mrc").shape == (5, 6, 7)
    assert field(tmp_path / "a.mrc", 88, "i") == 1
    assert field(tmp_path / "a.mrc", 36, "i") == 5
    write_mrc(tmp_path / "a.mrcs", data, 7.3, label=LABEL, stack=True)
    assert mrcfile.validate(tmp_path / "a.mrcs")
    with mrcfile.open(tmp_path / "a.mrcs") as other:
        assert other.is_image_stack()
        np.testing.assert_array_equal(other.data, data)
        assert float(other.voxel_size.z) == pytest.approx(7.3)


@pytest.mark.parametrize("dtype", ["i1", "i2", "u2", "f2", "f4"])
def test_types(tmp_path: Path, dtype: str) -> None:
    data = random_volume((5, 6, 7), "u1" if dtype == "u2" else "i1") // 20
    path = tmp_path / "a.mrc"
    write_mrc(path, data.astype("f8"), 7.3, label=LABEL, dtype=dtype)
    assert mrcfile.validate(path)
    with mrcfile.open(path) as other:
        assert other.data.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(other.data, data)
    tomogram = open_tomogram(path)
    np.testing.assert_array_equal(tomogram.read((0, 0, 0), (5, 6, 7)), data)


def test_integers_are_rounded_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "a.mrc"
    write_mrc(path, np.array([[1.5, -2.6]]), 1.0, label="", dtype=np.int8)
    np.testing.assert_array_equal(read_image(path)[0], [[2, -3]])
    for value, dtype in [(128.0, "i1"), (-1.0, "u2"), (7e4, "f2"), (1e39, "f4"), (np.nan, "i2")]:
        with pytest.raises(InputError, match="do not fit"):
            write_mrc(path, np.array([[0.0, value]]), 1.0, label="", dtype=dtype)
    with pytest.raises(InputError, match="not float64"):
        write_mrc(path, np.zeros((2, 2)), 1.0, label="", dtype="f8")
    np.testing.assert_array_equal(read_image(path)[0], [[2, -3]])
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mrc"]


def test_bad_arguments(tmp_path: Path) -> None:
    path = tmp_path / "a.mrc"
    for pixel_size in (0, -1, np.nan, np.inf):
        with pytest.raises(InputError, match="pixel size must be positive"):
            write_mrc(path, np.zeros((2, 2)), pixel_size, label="")
    for shape in [(4,), (0, 3), (1, 2, 3, 4)]:
        with pytest.raises(InputError, match="two or three axes"):
            write_mrc(path, np.zeros(shape), 1.0, label="")
    with pytest.raises(InputError, match="real numbers"):
        write_mrc(path, np.zeros((2, 2), complex), 1.0, label="")
    assert not path.exists()
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(SlabkitError, match="cannot be written"):
        write_mrc(tmp_path / "folder" / "a.mrc", np.zeros((2, 2)), 1.0, label="")


def test_same_bytes_and_input_left_alone(tmp_path: Path) -> None:
    data = random_volume((5, 6, 7), ">f4")
    data.setflags(write=False)
    for name in ("a.mrc", "b.mrc"):
        write_mrc(tmp_path / name, data, 7.3, label="é" * 100)
    assert (tmp_path / "a.mrc").read_bytes() == (tmp_path / "b.mrc").read_bytes()
    assert (tmp_path / "a.mrc").read_bytes()[224:304] == b"?" * 80
    view = np.asarray(data)[:, ::2, ::-1]
    write_mrc(tmp_path / "c.mrc", view, 7.3, label="")
    np.testing.assert_array_equal(
        open_tomogram(tmp_path / "c.mrc", axis_order="zyx").read((0, 0, 0), view.shape), view
    )


def test_statistics_do_not_cancel(tmp_path: Path) -> None:
    image = (1e4 + np.random.default_rng(0).normal(0, 0.01, (20, 64, 64))).astype("f4")
    path = tmp_path / "a.mrcs"
    write_mrc(path, image, 2.0, label=LABEL, stack=True)
    assert field(path, 216, "f") == pytest.approx(image.astype("f8").std(), rel=1e-6)
    assert field(path, 84, "f") == np.float32(image.mean(dtype="f8"))


@pytest.mark.parametrize("dtype", ["f4", "i2", "u1", "f2"])
def test_images_added_together_count_as_one_by_one(dtype: str) -> None:
    images = np.random.default_rng(0).normal(90, 30, (45, 41, 37)).clip(0, 255).astype(dtype)
    images[3] = images[3, 0, 0]
    if np.dtype(dtype).kind == "f":
        images[30, 2, 3], images[31] = np.inf, np.nan
    one_by_one, together = RunningStatistics(), RunningStatistics()
    for image in images:
        one_by_one.add(image)
    together.add_each(images[:20])
    together.add_each(images[20:])
    for name in ("count", "nonfinite", "least", "greatest", "mean", "deviation"):
        assert getattr(together, name) == getattr(one_by_one, name)


def test_nonfinite_values_are_left_out_of_the_statistics(tmp_path: Path) -> None:
    write_mrc(tmp_path / "a.mrc", np.array([[1, np.nan, 3, np.inf]], "f4"), 1.0, label="")
    assert field(tmp_path / "a.mrc", 76, "3f") == (1.0, 3.0, 2.0)
    write_mrc(tmp_path / "b.mrc", np.array([[np.nan]], "f4"), 1.0, label="")
    assert field(tmp_path / "b.mrc", 76, "3f") == (0.0, -1.0, -2.0)


def test_a_stack_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = random_volume((4, 6, 7))
    path = tmp_path / "a.mrcs"
    write_mrc(path, data, 7.3, label=LABEL, stack=True)
    reopened = open_stack(path)
    assert len(reopened) == 4
    assert reopened.image_shape == (6, 7)
    assert reopened.pixel_size == 7.3
    np.testing.assert_array_equal(reopened[3], data[3])
    for index in (-1, 4):
        with pytest.raises(IndexError, match="has 4 images"):
            reopened[index]
    before = path.read_bytes()
    with pytest.raises(InputError, match="two or three axes"):
        write_mrc(path, data[:0], 7.3, label=LABEL, stack=True)
    count = 0

    def add(self: RunningStatistics, values: np.ndarray) -> None:
        nonlocal count
        count += 1
        assert path.read_bytes() == before
        if count == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(mrc, "_WRITTEN_BYTES", 1)
    monkeypatch.setattr(RunningStatistics, "add_each", add)
    with pytest.raises(KeyboardInterrupt):
        write_mrc(path, 2 * data, 7.3, label=LABEL, stack=True)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mrcs"]


def test_images_of_other_programs(tmp_path: Path) -> None:
    data = random_volume((1, 6, 7), "i2")
    path = write_mrc_file(tmp_path / "a.mrc", data, 0.0, order=">")
    image, pixel_size = read_image(path)
    assert image.dtype == np.dtype("i2")
    assert image.dtype.isnative
    np.testing.assert_array_equal(image, data[0])
    assert np.isnan(pixel_size)
    with pytest.raises(InputError, match="holds 2 images, where one is needed"):
        read_image(write_mrc_file(tmp_path / "b.mrc", random_volume((2, 6, 7))))
    with pytest.raises(InputError, match=r"not square \(2 × 3 Å\)"):
        read_image(write_mrc_file(tmp_path / "c.mrc", data, (2, 3, 2)))
