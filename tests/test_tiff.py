"""TIFF volumes: voxel sizes from where they stand, contiguous or page by page."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from volume_files import random_volume

from slabkit.errors import FormatError, InputError, SlabkitWarning
from slabkit.formats.volumes import tiff as tiff_module
from slabkit.formats.volumes.opening import open_tomogram
from slabkit.formats.volumes.voxels import FileVoxels

SHAPE = (5, 7, 9)


def write_imagej(path: Path, data: np.ndarray, **how: Any) -> Path:
    options: dict[str, Any] = {"unit": "nm", "spacing": 0.73, **how.pop("metadata", {})}
    options = {key: value for key, value in options.items() if value is not None}
    tifffile.imwrite(
        path,
        data,
        imagej=True,
        resolution=(1 / 0.73, 1 / 0.73),
        metadata={"axes": "ZYX", **options},
        **how,
    )
    return path


def write_ome(path: Path, data: np.ndarray, **how: Any) -> Path:
    sizes = {f"PhysicalSize{axis}": 0.73 for axis in "XYZ"}
    units = {f"PhysicalSize{axis}Unit": "nm" for axis in "XYZ"}
    metadata = {"axes": "ZYX", **sizes, **units, **how.pop("metadata", {})}
    metadata = {key: value for key, value in metadata.items() if value is not None}
    tifffile.imwrite(path, data, ome=True, metadata=metadata, **how)
    return path


def check(path: Path, data: np.ndarray, mapped: bool, **options: Any) -> None:
    tomogram = open_tomogram(path, **options)
    assert tomogram.shape == data.shape
    assert tomogram.voxel_size == pytest.approx(7.3, rel=1e-9)
    assert isinstance(tomogram.data, FileVoxels) == mapped
    np.testing.assert_array_equal(tomogram.read((1, 2, 3), (4, 7, 5)), data[1:4, 2:7, 3:5])
    np.testing.assert_array_equal(tomogram.read((0, 0, 0), data.shape), data)
    np.testing.assert_array_equal(tifffile.imread(path), data)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_imagej(tmp_path: Path, dtype: str) -> None:
    data = random_volume(SHAPE, dtype)
    check(write_imagej(tmp_path / "a.tif", data), data, mapped=True)
    packed = write_imagej(tmp_path / "b.tif", data, compression="zlib")
    check(packed, data, mapped=False)


@pytest.mark.parametrize("unit", ["nm", "nanometer"])
def test_imagej_micrometres(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "a.tif"
    size = {"nm": 1.052, "nanometer": 1.052}[unit]
    metadata = {"axes": "ZYX", "unit": unit, "spacing": size}
    tifffile.imwrite(
        path, random_volume(SHAPE), imagej=True, resolution=(1 / size,) * 2, metadata=metadata
    )
    assert open_tomogram(path).voxel_size == pytest.approx(10.52, rel=1e-9)


@pytest.mark.parametrize(
    ("unit", "size"), [("micron", 0.00073), ("\\u00B5m", 0.00073), ("um", 0.00073), ("A", 7.3)]
)
def test_imagej_units(tmp_path: Path, unit: str, size: float) -> None:
    path = tmp_path / "a.tif"
    metadata = {"axes": "ZYX", "unit": unit, "spacing": size}
    tifffile.imwrite(
        path, random_volume(SHAPE), imagej=True, resolution=(1 / size,) * 2, metadata=metadata
    )
    assert open_tomogram(path).voxel_size == pytest.approx(7.3, rel=1e-6)


@pytest.mark.parametrize(
    ("metadata", "what"),
    [
        ({"unit": "pixel"}, "the unit 'pixel'"),
        ({"unit": "inch"}, "the unit 'inch'"),
        ({"unit": None}, "the unit None"),
        ({"spacing": None}, "no spacing of the planes"),
        ({"spacing": "thick"}, "the spacing 'thick'"),
    ],
)
def test_imagej_without_a_length(tmp_path: Path, metadata: dict[str, Any], what: str) -> None:
    data = random_volume(SHAPE)
    path = write_imagej(tmp_path / "a.tif", data, metadata=metadata)
    with pytest.raises(InputError, match=f"voxel size is not set.*{what}.*--voxel-size"):
        open_tomogram(path)
    check(path, data, mapped=True, voxel_size=7.3)


@pytest.mark.parametrize(
    ("unit", "size"), [("nm", 0.73), ("Å", 7.3), ("\u212b", 7.3), ("µm", 0.00073), ("pm", 730)]
)
def test_ome_units(tmp_path: Path, unit: str, size: float) -> None:
    metadata: dict[str, Any] = {f"PhysicalSize{axis}": size for axis in "XYZ"}
    metadata |= {f"PhysicalSize{axis}Unit": unit for axis in "XYZ"}
    data = random_volume(SHAPE, "i2")
    check(write_ome(tmp_path / "a.ome.tif", data, metadata=metadata), data, mapped=True)
    packed = write_ome(tmp_path / "b.ome.tiff", data, metadata=metadata, compression="zlib")
    check(packed, data, mapped=False)
    assert open_tomogram(packed).name == "b"


def test_ome_default_unit_is_micrometre(tmp_path: Path) -> None:
    metadata: dict[str, Any] = {f"PhysicalSize{axis}": 0.00073 for axis in "XYZ"}
    metadata |= {f"PhysicalSize{axis}Unit": None for axis in "XYZ"}
    path = write_ome(tmp_path / "a.tif", random_volume(SHAPE), metadata=metadata)
    assert open_tomogram(path).voxel_size == pytest.approx(7.3, rel=1e-6)


@pytest.mark.parametrize(
    ("metadata", "what"),
    [
        ({"PhysicalSizeZ": None}, "not set .*no PhysicalSizeZ"),
        ({"PhysicalSizeXUnit": "pixel"}, "not set .*PhysicalSizeX in 'pixel'"),
        ({"PhysicalSizeZ": 0.8}, "not cubic"),
    ],
)
def test_ome_without_a_length(tmp_path: Path, metadata: dict[str, Any], what: str) -> None:
    path = write_ome(tmp_path / "a.ome.tif", random_volume(SHAPE), metadata=metadata)
    with pytest.raises(InputError, match=f"{what}.*--voxel-size"):
        open_tomogram(path)


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_plain_tiff_has_no_voxel_size(tmp_path: Path, bigtiff: bool, byteorder: str) -> None:
    data = random_volume(SHAPE, "i2")
    path = tmp_path / "a.mrc"  # told by content, not by suffix
    tifffile.imwrite(
        path, data, bigtiff=bigtiff, byteorder=byteorder, resolution=(300, 300), metadata=None
    )
    with pytest.raises(InputError, match=r"dots per inch, .*--voxel-size"):
        open_tomogram(path)
    check(path, data, mapped=True, voxel_size=7.3)
    assert open_tomogram(path, voxel_size=7.3).notes == (
        "the voxel size 7.3 Å was given; the file has none",
    )


def test_images_colours_and_channels(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, random_volume(SHAPE)[0])
    with pytest.raises(InputError, match=r"single image \(7, 9\), where a volume"):
        open_tomogram(path)
    tifffile.imwrite(path, random_volume((5, 7, 3), "u1"), photometric="rgb")
    with pytest.raises(InputError, match="colour image"):
        open_tomogram(path)
    tifffile.imwrite(path, np.zeros((2, *SHAPE), "f4"), ome=True, metadata={"axes": "CZYX"})
    with pytest.raises(InputError, match=r"axes CZYX of size .* split it"):
        open_tomogram(path)
    data = random_volume(SHAPE)
    write_ome(path, data, metadata={"axes": "TYX"})
    with pytest.warns(SlabkitWarning, match=r"5 images time points; .* planes of z"):
        check(path, data, mapped=True)
    write_ome(path, data[np.newaxis], metadata={"axes": "CZYX"})
    np.testing.assert_array_equal(open_tomogram(path).read((0, 0, 0), SHAPE), data)


def test_two_series(tmp_path: Path) -> None:
    data = random_volume(SHAPE)
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(data)
        writer.write(data[:, :3])
    with pytest.warns(SlabkitWarning, match="2 series of images; the first is read"):
        assert open_tomogram(path, voxel_size=7.3).shape == SHAPE


def test_damaged(tmp_path: Path) -> None:
    path = write_imagej(tmp_path / "a.tif", random_volume(SHAPE))
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(FormatError, match=r"without an image|no TIFF file"):
        open_tomogram(path, voxel_size=7.3)
    write_imagej(path, random_volume((50, 70, 90)))
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(FormatError, match="truncated: its ImageJ metadata announce 50 images, 1"):
        open_tomogram(path, voxel_size=7.3)
    packed = tmp_path / "b.tif"
    tifffile.imwrite(packed, random_volume((5, 70, 90)), compression="zlib", metadata=None)
    with tifffile.TiffFile(packed) as tif:
        offset = tif.pages[3].dataoffsets[0]
    damaged = bytearray(packed.read_bytes())
    damaged[offset + 50 : offset + 80] = bytes(30)
    packed.write_bytes(damaged)
    tomogram = open_tomogram(packed, voxel_size=7.3)
    tomogram.read((0, 0, 0), (3, 7, 9))
    with pytest.raises(FormatError, match="page 4 cannot be decoded"):
        tomogram.read((2, 0, 0), (4, 7, 9))


def test_each_page_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = random_volume((12, 70, 90))
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, data, compression="zlib", metadata=None)
    decoded: list[int] = []
    real = tiff_module._Pages.__call__

    def counted(self: Any, key: Any, into: Any = None) -> Any:
        decoded.append(key[0].start)
        return real(self, key)

    monkeypatch.setattr(tiff_module._Pages, "__call__", counted)
    tomogram = open_tomogram(path, voxel_size=7.3)
    assert not decoded
    np.testing.assert_array_equal(tomogram.read((3, 10, 0), (5, 20, 9)), data[3:5, 10:20, :9])
    assert decoded == [3, 4]
    with ThreadPoolExecutor(4) as pool:
        planes = list(pool.map(lambda z: tomogram.read((z, 0, 0), (z + 1, 70, 90)), range(12)))
    np.testing.assert_array_equal(np.concatenate(planes), data)
    tomogram.read((0, 0, 0), data.shape)
    assert sorted(decoded) == list(range(12))
    copy = pickle.loads(pickle.dumps(tomogram))
    np.testing.assert_array_equal(copy.read((0, 0, 0), data.shape), data)


def test_axis_order(tmp_path: Path) -> None:
    data = random_volume((6, 4, 8))
    path = write_imagej(tmp_path / "a.tif", data, compression="zlib")
    tomogram = open_tomogram(path, axis_order="yzx")
    np.testing.assert_array_equal(
        tomogram.read((0, 0, 0), (4, 6, 8)), np.transpose(data, (1, 0, 2))
    )


def test_real_microtubule(data_folder: Path) -> None:
    path = data_folder / "real" / "13pf_MT.tif"
    tomogram = open_tomogram(path, contrast="bright")
    assert tomogram.shape == (36, 206, 94)
    assert tomogram.voxel_size == pytest.approx(10.52, rel=1e-6)
    np.testing.assert_array_equal(tomogram.read((0, 0, 0), tomogram.shape), tifffile.imread(path))
