"""Volumes: names, lists, voxel sizes, non-finite voxels, files that are none."""

from __future__ import annotations

import os
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from volume_files import random_volume, write_mrc_file

from slabkit.errors import FormatError, InputError, SlabkitWarning
from slabkit.formats.tomograms.listing import list_tomograms
from slabkit.formats.tomograms.names import tomogram_name
from slabkit.formats.volumes.opening import open_tomogram

SHAPE = (5, 7, 9)


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def touch(*names: str) -> None:
    for name in names:
        write_mrc_file(Path(name), random_volume(SHAPE))


def tomogram_paths(arguments: list[str | Path]) -> list[tuple[str, Path | None]]:
    return [(tomogram.name, tomogram.path) for tomogram in list_tomograms(arguments)]


# Names


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("TS_1.mrc", "TS_1"),
        ("a/b.c/TS_1.rec", "TS_1"),
        ("TS_1_10.00Apx.mrc", "TS_1_10.00Apx"),
        ("TS_1_10.00Apx", "TS_1_10.00Apx"),
        ("cmr_01.mrc", "cmr_01"),
        ("mrc.mrc", "mrc"),
        ("rec.map.st", "rec.map"),
        ("00255.mrc", "00255"),
        ("1e5.mrc", "1e5"),
        ("nan.rec", "nan"),
        ("a.mrc.gz", "a"),
        ("a.REC.BZ2", "a"),
        ("a.gz", "a"),
        ("a.ome.tif", "a"),
        ("a.ome.tiff", "a"),
        ("a.tiff", "a"),
        ("a.ome.zarr", "a"),
        ("x/a.zarr/", "a"),
        ("a.mrcs", "a"),
        ('tomo\'s "best" one.mrc', 'tomo\'s "best" one'),
        ("größe_Å.mrc", "größe_Å"),
        ("a.mrc.mrc", "a.mrc"),
    ],
)
def test_names(path: str, name: str) -> None:
    assert tomogram_name(path) == name


@pytest.mark.parametrize("path", ["a#1.mrc", "a\nb.mrc", "a\rb.mrc", "a\tb.mrc", "a\x00b.mrc"])
def test_names_that_tables_cannot_hold(path: str) -> None:
    with pytest.raises(InputError, match="'#', a line break or another unprintable"):
        tomogram_name(path)


def test_no_name() -> None:
    with pytest.raises(InputError, match="no name before its suffix"):
        tomogram_name("folder/.mrc")


@settings(max_examples=100, deadline=None)
@given(
    st.text(st.characters(codec="utf-8", exclude_characters="/#"), min_size=1).filter(
        lambda text: text.isprintable() and text not in (".", "..")
    ),
    st.sampled_from([".mrc", ".rec.gz", ".map.bz2", ".ome.tif", ".zarr", ".st"]),
)
def test_only_the_suffix_is_taken_off(name: str, suffix: str) -> None:
    assert tomogram_name(f"folder/{name}{suffix}") == unicodedata.normalize("NFC", name)


# Lists


def test_files_folders_and_patterns() -> None:
    touch("b/TS_2.mrc", "b/TS_1.mrc", "b/TS_10.rec.gz", "b/deep/TS_3.mrc", "c/TS_4.mrc", "TS_5.st")
    Path("b/notes.txt").write_text("x")
    Path("b/.hidden.mrc").write_text("x")
    found = tomogram_paths(["TS_5.st", "b", "c/*.mrc"])
    assert found == [
        ("TS_5", Path("TS_5.st")),
        ("TS_1", Path("b/TS_1.mrc")),
        ("TS_10", Path("b/TS_10.rec.gz")),
        ("TS_2", Path("b/TS_2.mrc")),
        ("TS_4", Path("c/TS_4.mrc")),
    ]
    assert [name for name, _ in tomogram_paths(["b/**/*.mrc"])] == ["TS_1", "TS_2", "TS_3"]
    assert tomogram_paths([Path("c")]) == [("TS_4", Path("c/TS_4.mrc"))]


def test_a_file_whose_name_is_a_pattern() -> None:
    touch("TS_[1].mrc", "TS_1.mrc")
    assert tomogram_paths(["TS_[1].mrc"]) == [("TS_[1]", Path("TS_[1].mrc"))]


def test_zarr_folders_are_tomograms() -> None:
    for name in ("data/a.zarr", "data/b.ome.zarr", "data/plain"):
        Path(name).mkdir(parents=True)
    touch("data/c.mrc")
    assert [name for name, _ in tomogram_paths(["data"])] == ["a", "b", "c"]
    assert tomogram_paths(["data/a.zarr"]) == [("a", Path("data/a.zarr"))]
    Path("other/v3").mkdir(parents=True)
    Path("other/v3/zarr.json").write_text("{}")
    assert tomogram_paths(["other/v3"]) == [("v3", Path("other/v3"))]


@pytest.mark.parametrize("argument", ["nothing.mrc", "folder/nothing*.mrc", "[x"])
def test_nothing_there(argument: str) -> None:
    Path("folder").mkdir()
    with pytest.raises(InputError, match=r"no such file, folder|holds no tomogram"):
        tomogram_paths([argument])


def test_folder_without_tomograms() -> None:
    touch("folder/a.mrcs")
    with pytest.raises(InputError, match=r"folder: holds no tomogram .*left out: a.mrcs \(image"):
        tomogram_paths(["folder"])


HALVES = ["TS_1_EVN.mrc", "TS_1_ODD.mrc", "TS_1_EVN_Vol.mrc", "TS_1_odd.rec", "TS_1_half1.mrc"]
MASKS = ["TS_1_mask.mrc", "TS_1-labels.mrc", "seg.mrc"]


@pytest.mark.parametrize("argument", ["d", "d/*", "d/*.*"])
def test_halves_and_masks_are_left_out_and_listed(argument: str) -> None:
    touch("d/TS_1.mrc", "d/TS_1_Vol.mrc", *(f"d/{name}" for name in HALVES + MASKS))
    with pytest.warns(SlabkitWarning, match="left out ") as caught:
        found = tomogram_paths([argument])
    assert [name for name, _ in found] == ["TS_1", "TS_1_Vol"]
    (warning,) = caught
    assert all(f"{name} (half map)" in str(warning.message) for name in HALVES)
    assert all(f"{name} (mask or labels)" in str(warning.message) for name in MASKS)


def test_names_that_only_look_like_halves() -> None:
    touch("d/prod.mrc", "d/seven.mrc", "d/unmask.mrc", "d/TS_half10.mrc")
    assert len(tomogram_paths(["d"])) == 4


def test_integer_labels_are_left_out() -> None:
    generator = np.random.default_rng(0)
    shape = (12, 16, 18)
    write_mrc_file(Path("d/labels_in_disguise.mrc"), generator.integers(0, 7, shape).astype("i1"))
    write_mrc_file(Path("d/u16.mrc"), generator.integers(0, 2, shape).astype("u2"))
    write_mrc_file(Path("d/density.mrc"), generator.integers(-90, 90, shape).astype("i1"))
    write_mrc_file(Path("d/signed.mrc"), generator.integers(-3, 3, shape).astype("i1"))
    write_mrc_file(Path("d/real.mrc"), generator.integers(0, 7, shape).astype("f4"))
    write_mrc_file(Path("d/blank.mrc"), np.zeros(shape, "i1"))
    with pytest.warns(SlabkitWarning, match=r"left out labels_in_disguise.*u16") as caught:
        found = tomogram_paths(["d"])
    assert [name for name, _ in found] == ["blank", "density", "real", "signed"]
    assert len(caught) == 1
    assert tomogram_paths(["d/u16.mrc"]) == [("u16", Path("d/u16.mrc"))]


def test_a_half_that_was_named_is_used() -> None:
    touch("TS_1_EVN.mrc")
    with pytest.warns(SlabkitWarning, match="looks like a half map; it is used because"):
        assert tomogram_paths(["TS_1_EVN.mrc"]) == [("TS_1_EVN", Path("TS_1_EVN.mrc"))]


def test_equal_names_stop() -> None:
    touch("a/TS_1.mrc", "b/TS_1.rec", "c/ts_1.mrc")
    with pytest.raises(InputError, match=r"a/TS_1.mrc and b/TS_1.rec have the same name 'TS_1'"):
        tomogram_paths(["a", "b"])
    with pytest.raises(InputError, match=r"a/TS_1.mrc and c/ts_1.mrc .* differ only in case"):
        tomogram_paths(["a", "c"])
    with pytest.raises(InputError, match="is given twice"):
        tomogram_paths(["a", "a/TS_1.mrc"])
    name = "größe.mrc"
    touch(f"d/{unicodedata.normalize('NFC', name)}", f"e/{unicodedata.normalize('NFD', name)}")
    with pytest.raises(InputError, match=r"differ only in case|same name"):
        tomogram_paths(["d", "e"])


def test_links_keep_their_own_names() -> None:
    touch("data/TS_1.mrc")
    Path("alias.mrc").symlink_to("data/TS_1.mrc")
    assert tomogram_paths(["alias.mrc", "data"]) == [
        ("alias", Path("alias.mrc")),
        ("TS_1", Path("data/TS_1.mrc")),
    ]


def test_a_copick_project_must_be_there() -> None:
    with pytest.raises(InputError, match=r"config\.json: cannot be read"):
        tomogram_paths(["copick:config.json"])


TABLE = """
data_tomograms

loop_
_slabkitTomogram #1
_slabkitTomogramFile #2
_slabkitVoxelSize #3
_slabkitTomogramContrast #4
00255 data/00255.mrc 7.3 bright
"my tomo" data/other.mrc nan dark
"""


def test_table_of_tomograms() -> None:
    Path("project").mkdir()
    touch("project/data/00255.mrc", "project/data/other.mrc")
    table = Path("project/tomograms.star")
    table.write_text(TABLE)
    found = list_tomograms([table])
    assert [(t.name, t.voxel_size, t.contrast) for t in found] == [
        ("00255", 7.3, "bright"),
        ("my tomo", None, "dark"),
    ]
    assert all(t.path.exists() for t in found)
    assert tomogram_paths([str(table)])[0][0] == "00255"
    touch("00255.rec")
    with pytest.raises(InputError, match="same name"):
        tomogram_paths([table, "00255.rec"])
    table.write_text("data_picks\nloop_\n_slabkitPickId\n")
    with pytest.raises(InputError, match="no block data_tomograms"):
        tomogram_paths([table])
    table.write_text(TABLE.replace("data/other.mrc", "none"))
    with pytest.raises(InputError, match="no file for the tomogram my tomo"):
        tomogram_paths([table])


# Files that are no volumes


def test_reasons(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing.mrc: cannot be read \(No such file"):
        open_tomogram("nothing.mrc")
    Path("folder.mrc").mkdir()
    with pytest.raises(InputError, match="is a folder, where a file"):
        open_tomogram("folder.mrc")
    Path("link.mrc").symlink_to("gone.mrc")
    with pytest.raises(InputError, match=r"is a link to gone.mrc, which does not exist"):
        open_tomogram("link.mrc")
    os.mkfifo("pipe.mrc")
    with pytest.raises(InputError, match="is not a regular file"):
        open_tomogram("pipe.mrc")
    Path("empty.mrc").touch()
    with pytest.raises(InputError, match="is empty"):
        open_tomogram("empty.mrc")
    for magic, what in [
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x93NUMPY", "NumPy"),
        (b"PK\3\4", "ZIP"),
    ]:
        Path("other.mrc").write_bytes(magic + bytes(2000))
        with pytest.raises(InputError, match=f"is an? {what}.*, not a volume"):
            open_tomogram("other.mrc")
    assert tomogram_paths(["link.mrc"]) == [("link", Path("link.mrc"))]


@pytest.mark.skipif(os.geteuid() == 0 or sys.platform == "win32", reason="root reads everything")
def test_unreadable() -> None:
    touch("a.mrc")
    Path("a.mrc").chmod(0)
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied"):
        open_tomogram("a.mrc")


# Voxel size


def opened(stored: Any, **options: Any) -> Any:
    return open_tomogram(write_mrc_file(Path("a.mrc"), random_volume(SHAPE), stored), **options)


@pytest.mark.parametrize("sizes", [0, (0, 7.3, 7.3), (7.3, 7.3, 0), -1, np.nan, np.inf])
def test_unset(sizes: Any) -> None:
    with pytest.raises(InputError, match=r"voxel size is not set .*give it in Å with --voxel-size"):
        opened(sizes)
    tomogram = opened(sizes, voxel_size=10.012)
    assert tomogram.voxel_size == 10.012
    assert tomogram.notes == ("the voxel size 10.012 Å was given; the file has none",)


def test_no_sampling() -> None:
    path = write_mrc_file(Path("a.mrc"), random_volume(SHAPE), m=(0, 0, 0))
    with pytest.raises(InputError, match="not set"):
        open_tomogram(path)


def test_sampling_need_not_be_the_size() -> None:
    path = write_mrc_file(Path("a.mrc"), random_volume(SHAPE), m=(18, 14, 10), cell=(90, 70, 50))
    assert open_tomogram(path).voxel_size == 5.0


def test_one_looks_unset() -> None:
    with pytest.warns(SlabkitWarning, match=r"exactly 1 Å, which looks unset; give --voxel-size"):
        assert opened(1.0).voxel_size == 1.0
    assert opened(1.0, voxel_size=10).voxel_size == 10.0  # no warning: nothing is contradicted
    with pytest.raises(InputError, match="says 1 Å per voxel, the table or project says 10 Å"):
        opened(1.0, expected_voxel_size=10)
    assert opened(1.001).voxel_size == 1.001


@pytest.mark.parametrize("sizes", [(7.3, 7.3, 7.32), (7.3, 7.29, 7.3), (10, 10, 20)])
def test_anisotropic(sizes: Any) -> None:
    with pytest.raises(InputError, match=r"voxels are not cubic .*--voxel-size"):
        opened(sizes)
    with pytest.warns(SlabkitWarning, match=r"7.5 Å was given; the file says .* × .* Å, which"):
        assert opened(sizes, voxel_size=7.5).voxel_size == 7.5


def test_nearly_isotropic_is_averaged_and_noted() -> None:
    tomogram = opened((7.3, 7.3, 7.303))
    assert tomogram.voxel_size == pytest.approx(7.301, abs=1e-6)
    assert "mean of 7.3, 7.3 and 7.303 Å" in tomogram.notes[0]
    assert opened((7.3, 7.3, 7.3000002)).notes == ()


def test_overridden() -> None:
    with pytest.warns(SlabkitWarning, match="10 Å was given; the file says 7.3 Å, which is not"):
        tomogram = opened(7.3, voxel_size=10)
    assert tomogram.voxel_size == 10.0
    assert tomogram.notes == (
        "the voxel size 10 Å was given; the file says 7.3 Å, which is not used",
    )
    close = opened(10.0, voxel_size=10.005)
    assert close.voxel_size == 10.005
    assert close.notes == ("the voxel size 10.005 Å was given; the file says 10 Å",)
    for wrong in (0, -1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="--voxel-size must be a positive number"):
            opened(7.3, voxel_size=wrong)


def test_expected() -> None:
    assert opened(7.3, expected_voxel_size=7.3).notes == ()
    for header, expected in [(10.0, 10.012), (10.012, 10.0)]:
        with pytest.warns(SlabkitWarning, match="10.012 Å, the more precise, is used"):
            assert opened(header, expected_voxel_size=expected).voxel_size == 10.012
    with pytest.raises(InputError, match=r"7.28 Å per voxel, the table or project says 7.84 Å"):
        opened(7.28, expected_voxel_size=7.84)


@settings(max_examples=50, deadline=None)
@given(st.integers(50, 3000), st.tuples(*[st.integers(2, 700)] * 3))
def test_decimals_come_back(hundredths: int, counts: tuple[int, int, int]) -> None:
    voxel_size = hundredths / 100
    if voxel_size == 1.0:
        return
    cell = tuple(voxel_size * n for n in counts)
    path = write_mrc_file(Path("decimal.mrc"), random_volume((2, 2, 2)), m=counts, cell=cell)
    tomogram = open_tomogram(path)
    assert tomogram.voxel_size == voxel_size
    assert tomogram.notes == ()


# Non-finite voxels


def test_nonfinite_voxels_stop_or_are_filled() -> None:
    data = random_volume((6, 8, 10), "f4")
    data[3, 4, 5], data[0, 0, 0] = np.nan, -np.inf
    path = write_mrc_file(Path("a.mrc"), data)
    plain = open_tomogram(path)
    assert plain.fill_value is None
    with pytest.raises(InputError, match=r"2 voxels are NaN.*z=0, y=0, x=0"):
        plain.check_finite(plain.read((0, 0, 0), data.shape), (0, 0, 0))
    filled = open_tomogram(path, fill_nonfinite="median")
    median = float(np.median(data[np.isfinite(data)]))
    assert filled.fill_value == median
    assert any("replaced by the median" in note for note in filled.notes)
    with pytest.warns(SlabkitWarning, match="2 NaN or infinite voxels were replaced"):
        block = filled.check_finite(filled.read((0, 0, 0), data.shape), (0, 0, 0))
    assert block[3, 4, 5] == block[0, 0, 0] == np.float32(median)
    integers = write_mrc_file(Path("b.mrc"), random_volume(SHAPE, "i2"))
    assert open_tomogram(integers, fill_nonfinite="median").fill_value is None
    with pytest.raises(InputError, match="--fill-nonfinite takes median, not 'zero'"):
        open_tomogram(path, fill_nonfinite="zero")
    nothing = write_mrc_file(Path("c.mrc"), np.full(SHAPE, np.nan, "f4"))
    with pytest.raises(InputError, match="no finite voxel in a sample"):
        open_tomogram(nothing, fill_nonfinite="median")


def test_median_of_a_large_volume_is_sampled_and_repeatable() -> None:
    data = np.random.default_rng(2).normal(40, 3, (40, 300, 310)).astype("f4")
    data[::7] = np.nan
    path = write_mrc_file(Path("a.mrc"), data)
    values = {open_tomogram(path, fill_nonfinite="median").fill_value for _ in range(2)}
    assert len(values) == 1
    assert values.pop() == pytest.approx(40, abs=0.05)


# The rest


def test_name_contrast_and_path_are_kept() -> None:
    touch("a.mrc")
    tomogram = open_tomogram("a.mrc", name="TS_9", contrast="bright")
    assert (tomogram.name, tomogram.contrast, tomogram.path) == ("TS_9", "bright", "a.mrc")
    assert open_tomogram(Path("a.mrc")).name == "a"
    with pytest.raises(InputError, match="contrast must be"):
        open_tomogram("a.mrc", contrast="grey")  # type: ignore[arg-type]


def test_text_is_no_volume() -> None:
    Path("a.mrc").write_text("hello " * 500)
    with pytest.raises(FormatError, match="is not an MRC file"):
        open_tomogram("a.mrc")
