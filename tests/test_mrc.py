"""MRC files: every mode and dialect read right, every broken one refused with its reason."""

from __future__ import annotations

import bz2
import gzip
import os
import pickle
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from volume_files import mrc_bytes, random_volume, write_mrc_file

from slabkit.errors import FormatError, InputError, SlabkitError, SlabkitWarning, TryAgainError
from slabkit.formats.volumes import decoded_cache as spooled
from slabkit.formats.volumes import voxels
from slabkit.formats.volumes.opening import open_tomogram

SHAPE = (5, 7, 9)
IMOD = 1146047817


def all_voxels(path: Path, **options: Any) -> np.ndarray:
    tomogram = open_tomogram(path, **options)
    return tomogram.read((0, 0, 0), tomogram.shape)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["i1", "i2", "f4", "u2", "f2"])
@pytest.mark.parametrize("extended", [0, 80, 33])
def test_every_mode_and_byte_order(tmp_path: Path, dtype: str, order: str, extended: int) -> None:
    data = random_volume(SHAPE, dtype)
    path = write_mrc_file(tmp_path / "a.mrc", data, order=order, extended=b"e" * extended)
    tomogram = open_tomogram(path)
    assert tomogram.shape == SHAPE
    assert tomogram.voxel_size == 7.3
    assert tomogram.data.dtype == np.dtype(order + dtype)
    assert tomogram.notes == ()
    np.testing.assert_array_equal(tomogram.read((0, 0, 0), SHAPE), data)
    np.testing.assert_array_equal(
        tomogram.read((1, 2, 3), (4, 7, 5)), data[1:4, 2:7, 3:5], strict=False
    )
    with mrcfile.open(path) as other:
        np.testing.assert_array_equal(other.data, data)


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(*[st.integers(2, 12)] * 3),
    voxel_size=st.sampled_from([7.3, 10.012, 1.54, 0.834, 13.48]),
    packed=st.sampled_from(["", ".gz", ".bz2"]),
    draw=st.data(),
)
def test_boxes_are_what_numpy_cuts(
    tmp_path_factory: pytest.TempPathFactory,
    shape: tuple[int, int, int],
    voxel_size: float,
    packed: str,
    draw: st.DataObject,
) -> None:
    data = random_volume(shape, "i2")
    path = tmp_path_factory.mktemp("boxes") / f"a.mrc{packed}"
    content = mrc_bytes(data, voxel_size)
    path.write_bytes({"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}[packed](content))
    tomogram = open_tomogram(path, axis_order="zyx")
    assert tomogram.voxel_size == voxel_size
    start = tuple(draw.draw(st.integers(0, n)) for n in shape)
    stop = tuple(draw.draw(st.integers(a, n)) for a, n in zip(start, shape, strict=True))
    cut = data[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    np.testing.assert_array_equal(tomogram.read(start, stop), cut)


def test_read_only_and_native(tmp_path: Path) -> None:
    path = write_mrc_file(tmp_path / "a.mrc", random_volume(SHAPE, "i2"), order=">")
    block = open_tomogram(path).read((1, 0, 0), (3, 7, 9))
    assert block.dtype == np.dtype(">i2")
    assert not block.flags.writeable


def test_opening_reads_only_the_header(tmp_path: Path) -> None:
    path = tmp_path / "huge.mrc"
    with path.open("wb") as file:  # 400 GB that no disk here could hold: a sparse file
        raw = mrc_bytes(np.zeros((1, 1, 1), "f4"), n=(10000, 10000, 1000), m=(1, 1, 1))
        file.write(raw[:1024])
        file.truncate(1024 + 4 * 10**11)
    tomogram = open_tomogram(path, voxel_size=7.3, axis_order="zyx")
    assert tomogram.shape == (1000, 10000, 10000)
    assert not tomogram.read((999, 9999, 9990), (1000, 10000, 10000)).any()


@pytest.mark.parametrize(
    ("stamp", "order", "what"),
    [
        (b"\0\0\0\0", "<", "00 00 00 00.*not valid.*little-endian"),
        (b"\x44\0\0\0", "<", "44 00 00 00.*little-endian"),
        (b"\x44 \x20\x20", "<", "44 20 20 20.*little-endian"),
        (b"\0\0\0\0", ">", "not valid.*big-endian"),
        (b"DUMB", ">", "big-endian"),
        (b"\x11\x11\0\0", "<", "wrong.*little-endian"),
        (b"\x44\x44\0\0", ">", "wrong.*big-endian"),
    ],
)
@pytest.mark.parametrize("dtype", ["i1", "f4"])
def test_machine_stamp_is_inferred(
    tmp_path: Path, stamp: bytes, order: str, what: str, dtype: str
) -> None:
    # 256 and 512 are plausible sizes in both byte orders: only the file's length tells.
    data = random_volume((2, 256, 512), dtype)
    path = write_mrc_file(tmp_path / "a.mrc", data, order=order, stamp=stamp)
    with pytest.warns(SlabkitWarning, match=what):
        tomogram = open_tomogram(path)
    np.testing.assert_array_equal(tomogram.read((0, 0, 0), data.shape), data)
    assert tomogram.voxel_size == 7.3


@pytest.mark.parametrize("stamp", [b"\x44\x41\0\0", b"\x44\x44\x44\x44"])
def test_stamps_of_the_standard_do_not_warn(tmp_path: Path, stamp: bytes) -> None:
    data = random_volume(SHAPE)
    path = write_mrc_file(tmp_path / "a.mrc", data, stamp=stamp)
    np.testing.assert_array_equal(all_voxels(path), data)


def test_without_map_identifier(tmp_path: Path) -> None:
    data = random_volume(SHAPE)
    path = write_mrc_file(tmp_path / "a.mrc", data, map_id=b"\0\0\0\0")
    with pytest.warns(SlabkitWarning, match="no MAP identifier"):
        np.testing.assert_array_equal(all_voxels(path), data)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(FormatError, match="not an MRC file: it has no MAP"):
        open_tomogram(path)


@pytest.mark.parametrize("missing", [1, 4, 300, 5 * 7 * 9 * 4])
def test_truncated(tmp_path: Path, missing: int) -> None:
    path = tmp_path / "a.mrc"
    whole = mrc_bytes(random_volume(SHAPE))
    path.write_bytes(whole[:-missing])
    with pytest.raises(
        FormatError, match=rf"truncated.* {len(whole)} bytes.* {len(whole) - missing}"
    ):
        open_tomogram(path)


def test_truncated_header_and_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.mrc"
    path.write_bytes(mrc_bytes(random_volume(SHAPE))[:1000])
    with pytest.raises(FormatError, match=r"too short to be an MRC file: 1000 bytes.*1024"):
        open_tomogram(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        open_tomogram(path)


def test_extra_bytes(tmp_path: Path) -> None:
    data = random_volume(SHAPE)
    path = tmp_path / "a.mrc"
    path.write_bytes(mrc_bytes(data) + b"\xff" * 13)
    with pytest.warns(SlabkitWarning, match="13 bytes more than its header announces"):
        np.testing.assert_array_equal(all_voxels(path), data)


@pytest.mark.parametrize(
    "size", [(0, 5, 5), (5, -1, 5), (5, 5, 2**30), (2**31 - 1, 2**31 - 1, 2**31 - 1)]
)
@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_absurd_sizes_stop_before_allocation(tmp_path: Path, size: Any, packed: Any) -> None:
    path = tmp_path / "a.mrc"
    path.write_bytes(packed(mrc_bytes(random_volume(SHAPE), n=size)))
    with pytest.raises(FormatError, match=rf"announces {size[0]} × {size[1]} × {size[2]} voxels"):
        open_tomogram(path)


def test_large_size_in_a_small_file(tmp_path: Path) -> None:
    path = write_mrc_file(tmp_path / "a.mrc", random_volume(SHAPE), n=(900_000, 900_000, 900_000))
    with pytest.raises(FormatError, match=r"truncated.*900000 × 900000 × 900000"):
        open_tomogram(path)


@pytest.mark.parametrize(
    ("mode", "what"),
    [
        (3, "complex 16"),
        (4, "complex floats, a Fourier"),
        (101, "packed 4-bit"),
        (16, "RGB"),
        (7, "unknown"),
    ],
)
def test_modes_without_density(tmp_path: Path, mode: int, what: str) -> None:
    path = write_mrc_file(tmp_path / "a.mrc", random_volume(SHAPE), mode=mode)
    with pytest.raises(FormatError, match=rf"MRC mode {mode} \({what}.*newstack -mode 2"):
        open_tomogram(path)


@pytest.mark.parametrize("extended", [-4, 10**6])
def test_extended_header_beyond_the_file(tmp_path: Path, extended: int) -> None:
    path = write_mrc_file(tmp_path / "a.mrc", random_volume(SHAPE), extended=b"")
    raw = bytearray(path.read_bytes())
    struct.pack_into("<i", raw, 92, extended)
    path.write_bytes(raw)
    with pytest.raises(FormatError, match=rf"extended header of {extended} bytes"):
        open_tomogram(path)


def test_not_an_mrc_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mrc"
    path.write_text("x,y,z\n" * 500)
    with pytest.raises(FormatError, match="is not an MRC file, nor any other"):
        open_tomogram(path)


# Unsigned bytes


def test_imod_flags_decide_about_bytes(tmp_path: Path) -> None:
    data = random_volume(SHAPE, "u1")
    assert data.max() > 127
    unsigned = write_mrc_file(tmp_path / "a.mrc", data, imod=(IMOD, 0))
    np.testing.assert_array_equal(all_voxels(unsigned), data)
    signed = write_mrc_file(tmp_path / "b.mrc", data, imod=(IMOD, 1))
    np.testing.assert_array_equal(all_voxels(signed), data.view("i1"))
    assert "signed" in open_tomogram(signed).notes[0]
    plain = write_mrc_file(tmp_path / "c.mrc", data)
    np.testing.assert_array_equal(all_voxels(plain), data.view("i1"))
    np.testing.assert_array_equal(all_voxels(plain, uint8=True), data)
    np.testing.assert_array_equal(all_voxels(unsigned, uint8=False), data.view("i1"))


def test_statistics_above_127_hint_at_unsigned_bytes(tmp_path: Path) -> None:
    path = write_mrc_file(tmp_path / "a.mrc", random_volume(SHAPE, "u1"), statistics=(0, 250, 125))
    with pytest.warns(SlabkitWarning, match=r"read as signed.*0 to 250: give --uint8"):
        open_tomogram(path)


# Axes, origin, voxel size


@pytest.mark.parametrize("axes", [(1, 2, 3), (2, 1, 3), (3, 1, 2), (3, 2, 1), (1, 3, 2), (2, 3, 1)])
@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_axes_are_put_in_order(tmp_path: Path, axes: tuple[int, ...], packed: Any) -> None:
    data = random_volume((4, 6, 8), "i2")
    # the file's axes, slowest first, each named by the axis of data that it is: 0 = z, 2 = x
    stored = np.transpose(data, [3 - axis for axis in reversed(axes)])
    path = tmp_path / "a.mrc"
    # cell and sampling are of x, y, z, not of columns, rows, sections
    path.write_bytes(packed(mrc_bytes(stored, axes=axes, m=(8, 6, 4), cell=(58.4, 43.8, 29.2))))
    if axes == (1, 2, 3):
        tomogram = open_tomogram(path)
    else:
        with pytest.warns(SlabkitWarning, match=r"stored in the order .*transposed to zyx"):
            tomogram = open_tomogram(path)
        assert any("transposed" in note for note in tomogram.notes)
    assert tomogram.shape == data.shape
    assert tomogram.voxel_size == 7.3
    np.testing.assert_array_equal(tomogram.read((0, 0, 0), data.shape), data)
    np.testing.assert_array_equal(tomogram.read((1, 2, 3), (3, 6, 7)), data[1:3, 2:6, 3:7])


@pytest.mark.parametrize("axes", [(0, 0, 0), (1, 1, 3), (1, 2, 4)])
def test_axes_that_are_no_permutation(tmp_path: Path, axes: tuple[int, ...]) -> None:
    data = random_volume(SHAPE)
    path = write_mrc_file(tmp_path / "a.mrc", data, axes=axes)
    with pytest.raises(FormatError, match="no order of 1, 2, 3; give --axis-order"):
        open_tomogram(path)
    np.testing.assert_array_equal(all_voxels(path, axis_order="zyx"), data)


def test_axis_order_option(tmp_path: Path) -> None:
    data = random_volume((6, 4, 8))
    path = write_mrc_file(tmp_path / "a.mrc", data)
    with pytest.warns(SlabkitWarning, match=r"8 × 4 × 6.*--axis-order yzx"):
        open_tomogram(path)
    tomogram = open_tomogram(path, axis_order="YZX")
    assert tomogram.shape == (4, 6, 8)
    np.testing.assert_array_equal(
        tomogram.read((0, 0, 0), (4, 6, 8)), np.transpose(data, (1, 0, 2))
    )
    with pytest.raises(InputError, match="each of x, y and z once"):
        open_tomogram(path, axis_order="zzx")


@pytest.mark.parametrize("shape", [(8, 7, 7), (6, 5, 8), (9, 4, 9)])
def test_swapped_y_and_z_are_warned_of(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    path = write_mrc_file(tmp_path / "a.mrc", random_volume(shape))
    with pytest.warns(SlabkitWarning, match="if y and z are swapped"):
        open_tomogram(path)


@pytest.mark.parametrize("shape", [(7, 7, 7), (5, 8, 6), (6, 6, 8), (4, 5, 4)])
def test_usual_proportions_are_not(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    assert open_tomogram(write_mrc_file(tmp_path / "a.mrc", random_volume(shape))).shape == shape


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"start": (0, 0, -3)}, r"start \(0, 0, -3 voxels\)"),
        ({"origin": (1.5, 0, 0)}, r"origin \(1.5, 0, 0 Å\)"),
    ],
)
def test_origin_is_ignored_and_said(tmp_path: Path, fields: dict[str, Any], what: str) -> None:
    path = write_mrc_file(tmp_path / "a.mrc", random_volume(SHAPE), **fields)
    with pytest.warns(SlabkitWarning, match=f"{what} in its header is ignored") as caught:
        open_tomogram(path)
    assert len(caught) == 1


# Stacks


def test_images_and_stacks_are_no_volumes(tmp_path: Path) -> None:
    image = write_mrc_file(tmp_path / "a.mrc", random_volume((1, 7, 9)))
    with pytest.raises(InputError, match="is a single image, where a volume"):
        open_tomogram(image)
    stack = write_mrc_file(tmp_path / "a.mrcs", random_volume(SHAPE))
    with pytest.raises(InputError, match=r"stack of 5 images \(.mrcs\)"):
        open_tomogram(stack)
    declared = write_mrc_file(tmp_path / "b.mrc", random_volume(SHAPE), space_group=0, m=(9, 7, 1))
    with pytest.raises(InputError, match=r"stack of 5 images \(space group 0, mz 1\)"):
        open_tomogram(declared)
    volumes = write_mrc_file(
        tmp_path / "c.mrc", random_volume((6, 7, 9)), space_group=401, m=(9, 7, 3)
    )
    with pytest.raises(InputError, match="stack of 2 volumes"):
        open_tomogram(volumes)


def test_old_imod_volumes_are_volumes(tmp_path: Path) -> None:
    data = random_volume(SHAPE)
    path = write_mrc_file(tmp_path / "a.rec", data, space_group=0)
    assert "space group is 0" in open_tomogram(path).notes[0]
    path = write_mrc_file(tmp_path / "a.st", data, space_group=0)
    with pytest.warns(SlabkitWarning, match="make sure that it is no tilt series"):
        np.testing.assert_array_equal(all_voxels(path), data)
    path = write_mrc_file(tmp_path / "b.mrc", data, space_group=401, m=(9, 7, 5))
    np.testing.assert_array_equal(all_voxels(path, voxel_size=7.3), data)


# Compression


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
@pytest.mark.parametrize("name", ["a.mrc", "a.mrc.gz", "a.rec.bz2"])
def test_compression_is_told_by_content(tmp_path: Path, pack: Any, name: str) -> None:
    data = random_volume(SHAPE, "i2")
    path = tmp_path / name
    path.write_bytes(pack(mrc_bytes(data, order=">", extended=b"x" * 7)))
    tomogram = open_tomogram(path)
    assert tomogram.name == "a"
    np.testing.assert_array_equal(tomogram.read((2, 1, 3), (4, 5, 9)), data[2:4, 1:5, 3:9])
    np.testing.assert_array_equal(tomogram.read((0, 0, 0), SHAPE), data)


def test_decompressed_once_and_nothing_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = random_volume((6, 70, 80))
    path = tmp_path / "a.mrc.gz"
    path.write_bytes(gzip.compress(mrc_bytes(data)))
    spool = tmp_path / "spool"
    spool.mkdir()
    monkeypatch.setattr(spooled.tempfile, "tempdir", str(spool))
    calls = []
    real = spooled.read_decompressed
    monkeypatch.setattr(
        spooled, "read_decompressed", lambda *args: calls.append(args) or real(*args)
    )
    tomogram = open_tomogram(path)
    assert not calls
    with ThreadPoolExecutor(4) as pool:
        planes = list(pool.map(lambda z: tomogram.read((z, 0, 0), (z + 1, 70, 80)), range(6)))
    np.testing.assert_array_equal(np.concatenate(planes), data)
    assert len(calls) == 1
    assert not list(spool.iterdir())


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_broken_compression(tmp_path: Path, pack: Any) -> None:
    whole = mrc_bytes(random_volume((6, 70, 80)))
    path = tmp_path / "a.mrc.gz"
    path.write_bytes(pack(whole[:-100]))
    with pytest.raises(FormatError, match=rf"truncated.*{len(whole)} bytes.*{len(whole) - 100}"):
        all_voxels(path)
    path.write_bytes(pack(whole)[:-2000])
    with pytest.raises(FormatError, match=r"compression is broken|truncated"):
        all_voxels(path)
    damaged = bytearray(pack(whole))
    damaged[-5000:-4900] = bytes(100)
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"broken|cannot be (decompressed|read)"):
        all_voxels(path)
    path.write_bytes(pack(whole)[:9])
    with pytest.raises(InputError, match=r"broken|too short"):
        open_tomogram(path)


def test_full_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mrc.gz"
    path.write_bytes(gzip.compress(mrc_bytes(random_volume(SHAPE))))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    class Full:
        write = full

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: Any) -> None:
            pass

    monkeypatch.setattr(spooled.tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(SlabkitError, match=r"No space left.*set TMPDIR"):
        all_voxels(path)


# Many files


def open_handles() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_thousands_of_tomograms_hold_few_handles(tmp_path: Path) -> None:
    data = random_volume(SHAPE)
    path = write_mrc_file(tmp_path / "a.mrc", data)
    before = open_handles()
    tomograms = [open_tomogram(path) for _ in range(2000)]
    assert open_handles() == before
    for tomogram in tomograms:
        tomogram.read((0, 0, 0), (1, 1, 1))
    assert open_handles() <= before + voxels._MOST_OPEN
    np.testing.assert_array_equal(tomograms[0].read((0, 0, 0), SHAPE), data)
    del tomograms, tomogram
    assert open_handles() <= before + 1


@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_tomograms_travel_to_other_processes(tmp_path: Path, packed: Any) -> None:
    data = random_volume(SHAPE)
    path = tmp_path / "a.mrc"
    path.write_bytes(packed(mrc_bytes(data)))
    tomogram = open_tomogram(path)
    tomogram.read((0, 0, 0), SHAPE)
    copy = pickle.loads(pickle.dumps(tomogram))
    np.testing.assert_array_equal(copy.read((0, 0, 0), SHAPE), data)


def test_file_that_vanished(tmp_path: Path) -> None:
    path = write_mrc_file(tmp_path / "a.mrc", random_volume(SHAPE))
    tomogram = open_tomogram(path)
    path.write_bytes(path.read_bytes()[:1100])
    with pytest.raises(TryAgainError, match=r"ends at byte 1100.*was cut off after"):
        tomogram.read((0, 0, 0), SHAPE)
    tomogram = open_tomogram(write_mrc_file(tmp_path / "b.mrc", random_volume(SHAPE)))
    (tmp_path / "b.mrc").unlink()
    with pytest.raises(InputError, match=r"cannot be read.*changed or moved after"):
        tomogram.read((0, 0, 0), SHAPE)


def test_real_tomograms_are_read_as_mrcfile_reads_them(data_folder: Path) -> None:
    for path in sorted((data_folder / "tomograms").glob("*.mrc")):
        tomogram = open_tomogram(path)
        with mrcfile.mmap(path, permissive=True) as other:
            assert tomogram.shape == other.data.shape
            assert tomogram.voxel_size == pytest.approx(float(other.voxel_size.x), rel=1e-6)
            for z in (0, tomogram.shape[0] // 2, tomogram.shape[0] - 1):
                block = tomogram.read((z, 0, 0), (z + 1, *tomogram.shape[1:]))
                np.testing.assert_array_equal(block[0], other.data[z])
