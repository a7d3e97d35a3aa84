"""IMOD's binary models."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pick_files import SLOW, pick_list, read_or_refuse, tomogram_table, xyz

from slabkit.errors import FormatError, InputError, SlabkitWarning
from slabkit.formats.describe import describe_file
from slabkit.formats.picks.reading import read_picks
from slabkit.formats.picks.writing import write_picks

T = tomogram_table(T=(100, 80, 40, 10.0))
ORIGIN, FLIPPED = 1 << 14, 1 << 16


def model(
    *objects: list[list[tuple[float, float, float]]],
    size: tuple[int, int, int] = (100, 80, 40),
    flags: int = 0,
    pixel: tuple[float, int] = (1.0, 0),
    further: bytes = b"",
    time: int = 0,
    between: bytes = b"",
) -> bytes:
    """Objects of contours of points, as IMOD's documentation of the format has them."""
    head = b"IMODV1.2" + b"name".ljust(128, b"\0")
    head += struct.pack(">4iI4i", *size, len(objects), flags, 1, 1, 0, 255)
    head += struct.pack(">6f5ifii3f", 0, 0, 0, 1, 1, 1, 0, 0, 0, 3, 128, *pixel, 0, 0, 0, 0)
    for contours in objects:
        head += b"OBJT" + b"cells".ljust(64, b"\0") + bytes(64)
        head += struct.pack(">iI2i3fi8B2i", len(contours), 0, 0, 1, 0, 1, 0, 3, *range(8), 0, 0)
        for points in contours:
            head += b"CONT" + struct.pack(">iIii", len(points), 0, time, 0)
            head += b"".join(struct.pack(">3f", *point) for point in points) + between
            time += time > 0
        head += b"IMAT" + struct.pack(">I16x", 16)
    return head + further + b"IEOF"


def minx(
    scale: float = 10.0, loaded: tuple[float, ...] = (0, 0, 0), whole: tuple[float, ...] = (0, 0, 0)
) -> bytes:
    values = (1, 1, 1, *whole, 0, 0, 0, scale, scale, scale, *loaded, 0, 0, 0)
    return b"MINX" + struct.pack(">I18f", 72, *values)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


POINT = [[(10.5, 20.5, 30.0)]]  # voxel 10, 20, 30


@pytest.mark.parametrize(
    ("further", "options", "expected"),
    [
        ({}, {}, [100, 200, 300]),
        ({"further": minx(10)}, {}, [100, 200, 300]),
        ({"further": minx(1)}, {}, [100, 200, 300]),  # 1: not set
        ({"pixel": (1.0, -9)}, {}, [100, 200, 300]),  # nm
        ({"pixel": (10.0, -10)}, {}, [100, 200, 300]),
        # drawn on a volume that was binned since: what the model says counts, as in 3dmod
        ({"further": minx(5), "size": (200, 160, 80)}, {}, [50, 100, 150]),
        ({"further": minx(5), "size": (200, 160, 80)}, {"voxel_size": 10}, [100, 200, 300]),
        ({"further": minx(5), "pixel": (1.0, -9)}, {"voxel_size": 10}, [100, 200, 300]),
        ({"further": minx(10)}, {"binning": 4}, [100, 200, 300]),  # that of what is written
        # a part of the volume was loaded, which begins at voxel 5, 0, 2
        (
            {"further": minx(10, (0, 0, 0), (50, 0, 20)), "flags": ORIGIN, "size": (20, 40, 38)},
            {},
            [150, 200, 320],
        ),
        ({"further": minx(10, (0, 0, 0), (50, 0, 20))}, {}, [100, 200, 300]),  # no origin
    ],
)
def test_points_scale_and_place(
    tmp_path: Path, further: dict[str, Any], options: dict[str, Any], expected: list[float]
) -> None:
    path = write(tmp_path / "a.mod", model(POINT, **further))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SlabkitWarning)
        picks = read_picks(path, tomograms=T, **options)
    np.testing.assert_allclose(xyz(picks), [expected], atol=1e-4)
    said = " ".join(str(item.message) for item in caught)
    assert ("its points are voxels of 5 Å, as it says" in said) == (
        expected[0] == 50 and not options
    )
    assert ("begins at 5, 0, 2 (x, y, z)" in said) == (expected[0] == 150)


def test_objects_contours_and_what_is_left_out(tmp_path: Path) -> None:
    mesh = b"MESH" + struct.pack(">2iI2h", 2, 3, 0, 0, 0) + bytes(24 + 12)
    sizes = b"SIZE" + struct.pack(">I2f", 8, 1, 2)
    slicer = b"SLAN" + struct.pack(">I60x", 60)
    objects = [[[(1, 1, 1), (2, 2, 2)], []], [[(3, 3, 3)]]]
    content = model(*objects, further=mesh + slicer, between=sizes)
    path = write(tmp_path / "T.mod", content)
    with pytest.warns(SlabkitWarning, match="also holds 1 meshes, 1 slicer angles, which are left"):
        picks = read_picks(path, tomogram="T", voxel_size=2.0)
    np.testing.assert_allclose(xyz(picks), [[1, 1, 2], [3, 3, 4], [5, 5, 6]])
    assert picks.picks["imodObject"].tolist() == ["1", "1", "2"]
    assert picks.picks["imodContour"].tolist() == ["1", "1", "1"]
    info = describe_file(path)
    assert (info.kind, info.stored_as, info.rows) == ("pick list", "imod-model", 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (model(POINT, flags=FLIPPED), "y and z exchanged.*imodtrans -Y"),
        (model([*POINT, *POINT], time=1), r"points of several images \(times \[1, 2\]\)"),
        (model(POINT, further=minx(5), pixel=(1.0, -9)), "voxel sizes of 5 Å and 10 Å"),
        (model(POINT, size=(200, 160, 80)), "200 × 160 × 80 voxels .*T has 100 × 80 × 40"),
        (model(POINT, further=minx(10), size=(50, 40, 20)), "drawn on a volume of 50 × 40 × 20"),
        (model([[(np.nan, 1, 1)]]), "no finite numbers"),
        (model(POINT)[:-6], "damaged or truncated"),
        (model(POINT)[:300], r"damaged or truncated \(it has 300 bytes\)"),
        (model(POINT).replace(b"V1.2", b"V1.1"), "no IMOD model of version 1.2"),
    ],
)
def test_models_that_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises((FormatError, InputError), match=message):
        read_picks(write(tmp_path / "a.mod", content), tomograms=T)


def test_the_voxel_size_of_a_model_serves_where_none_is_given(tmp_path: Path) -> None:
    picks = read_picks(write(tmp_path / "a.mod", model(POINT, further=minx(7.3))), tomogram="T")
    np.testing.assert_allclose(xyz(picks), [[73, 146, 219]], atol=1e-4)
    np.testing.assert_allclose(picks.tomograms["slabkitVoxelSize"], [7.3], rtol=1e-6)
    with pytest.raises(InputError, match="voxel size of T is not known"):
        read_picks(write(tmp_path / "a.mod", model(POINT)), tomogram="T")


def test_round_trip(tmp_path: Path) -> None:
    places = np.random.default_rng(0).uniform(0, 390, (40, 3))
    picks = pick_list([("T", "", *place) for place in places], T)
    with pytest.warns(SlabkitWarning, match="imod-model cannot hold pick_id"):
        write_picks(tmp_path / "T.mod", picks)
    back = read_picks(tmp_path / "T.mod", tomogram="T")
    np.testing.assert_allclose(xyz(back), places, rtol=0, atol=1e-3)  # 32 bits
    np.testing.assert_allclose(back.tomograms["slabkitVoxelSize"], [10.0], rtol=1e-6)
    rounded = write(tmp_path / "r.mod", model(POINT, further=minx(9.997)))
    np.testing.assert_array_equal(xyz(read_picks(rounded, tomograms=T)), [[100, 200, 300]])
    with pytest.raises(InputError, match="no text"):
        write_picks("-", picks, format="imod-model")


@SLOW
@given(data=st.binary(max_size=40), start=st.integers(0, 560))
def test_fuzz(tmp_path: Path, data: bytes, start: int) -> None:
    base = model(POINT, [[(1, 2, 3), (4, 5, 6)]], further=minx())
    read_or_refuse(tmp_path / "a", base[:start] + data + base[start + len(data) :], "imod-model", T)
