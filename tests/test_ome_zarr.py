"""OME-Zarr 0.4 and 0.5: metadata at both levels, missing chunks, each chunk decoded once."""

from __future__ import annotations

import json
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from volume_files import random_volume, write_ome_zarr

from slabkit.errors import (
    FormatError,
    InputError,
    MissingDependencyError,
    SlabkitError,
    SlabkitWarning,
)
from slabkit.formats.volumes import decoded_cache as spooled
from slabkit.formats.volumes import ome_zarr
from slabkit.formats.volumes.opening import open_tomogram

zarr = pytest.importorskip("zarr")
ZARR_3 = int(zarr.__version__.split(".")[0]) >= 3
FORMATS = [2, 3] if ZARR_3 else [2]
SHAPE = (7, 10, 13)


def axes(names: str, unit: str | None = "angstrom") -> list[dict[str, str]]:
    listed = []
    for name in names:
        axis = {"name": name, "type": {"t": "time", "c": "channel"}.get(name, "space")}
        if unit is not None and name in "xyz":
            axis["unit"] = unit
        listed.append(axis)
    return listed


def scale(*values: float) -> list[dict[str, Any]]:
    return [{"type": "scale", "scale": list(values)}]


@pytest.mark.parametrize("zarr_format", FORMATS)
@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "f4", ">i2", "f2"])
def test_both_versions(tmp_path: Path, zarr_format: int, dtype: str) -> None:
    data = random_volume(SHAPE, dtype)
    path = write_ome_zarr(
        tmp_path / "TS_1_10.00Apx.zarr", data, 10.012, zarr_format=zarr_format, chunks=(3, 4, 5)
    )
    tomogram = open_tomogram(path)
    assert tomogram.name == "TS_1_10.00Apx"
    assert tomogram.shape == SHAPE
    assert tomogram.voxel_size == 10.012
    np.testing.assert_array_equal(tomogram.read((2, 3, 4), (5, 9, 12)), data[2:5, 3:9, 4:12])
    np.testing.assert_array_equal(tomogram.read((0, 0, 0), SHAPE), data)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(*[st.integers(2, 9)] * 3),
    chunks=st.tuples(*[st.integers(1, 9)] * 3),
    draw=st.data(),
)
def test_boxes_are_what_numpy_cuts(
    tmp_path_factory: pytest.TempPathFactory,
    shape: tuple[int, int, int],
    chunks: tuple[int, int, int],
    draw: st.DataObject,
) -> None:
    data = random_volume(shape, "i2")
    chunks = tuple(min(a, b) for a, b in zip(chunks, shape, strict=True))  # type: ignore[assignment]
    path = write_ome_zarr(tmp_path_factory.mktemp("zarr") / "a.zarr", data, chunks=chunks)
    tomogram = open_tomogram(path, axis_order="zyx")
    for _ in range(3):
        start = tuple(draw.draw(st.integers(0, n)) for n in shape)
        stop = tuple(draw.draw(st.integers(a, n)) for a, n in zip(start, shape, strict=True))
        cut = data[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
        np.testing.assert_array_equal(tomogram.read(start, stop), cut)


@pytest.mark.parametrize(
    ("unit", "size"), [("angstrom", 7.3), ("nanometer", 0.73), ("micrometer", 0.00073)]
)
def test_units(tmp_path: Path, unit: str, size: float) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", random_volume(SHAPE), size, axes=axes("zyx", unit))
    assert open_tomogram(path).voxel_size == pytest.approx(7.3, rel=1e-9)


@pytest.mark.parametrize(("unit", "what"), [(None, "no unit"), ("parsec", "the unit 'parsec'")])
def test_missing_unit_stops_unless_told(tmp_path: Path, unit: str | None, what: str) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", random_volume(SHAPE), 7.3, axes=axes("zyx", unit))
    with pytest.raises(InputError, match=rf"not set \(its axis z has {what}, its scale is 7.3"):
        open_tomogram(path)
    assert open_tomogram(path, voxel_size=7.3).voxel_size == 7.3


def test_scale_at_both_levels(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", random_volume(SHAPE), 2.0, outer=scale(5, 5, 5))
    assert open_tomogram(path).voxel_size == 10.0
    datasets = [{"path": "0"}]
    path = write_ome_zarr(
        tmp_path / "b.zarr", random_volume(SHAPE), datasets=datasets, outer=scale(7.3, 7.3, 7.3)
    )
    assert open_tomogram(path).voxel_size == 7.3
    path = write_ome_zarr(tmp_path / "c.zarr", random_volume(SHAPE), datasets=datasets)
    with pytest.raises(InputError, match=r"not set \(its metadata have no scale\)"):
        open_tomogram(path)
    path = write_ome_zarr(tmp_path / "d.zarr", random_volume(SHAPE), outer=scale(1, 1))
    with pytest.raises(FormatError, match=r"scale \[1, 1\] does not fit its 3 axes"):
        open_tomogram(path)


def test_anisotropic_scale_stops(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", random_volume(SHAPE), (20, 10, 10))
    with pytest.raises(InputError, match=r"not cubic \(10 × 10 × 20 Å along x, y, z\)"):
        open_tomogram(path)


def test_axes_in_another_order(tmp_path: Path) -> None:
    data = random_volume(SHAPE)
    stored = np.transpose(data, (2, 0, 1))
    path = write_ome_zarr(
        tmp_path / "a.zarr", stored, axes=axes("xzy", "nanometer"), chunks=(4, 3, 5)
    )
    with pytest.warns(SlabkitWarning, match="stored in the order xzy"):
        tomogram = open_tomogram(path, voxel_size=100.0)
    np.testing.assert_array_equal(tomogram.read((2, 3, 4), (5, 9, 12)), data[2:5, 3:9, 4:12])
    tomogram = open_tomogram(path, axis_order="xzy", voxel_size=100)
    np.testing.assert_array_equal(tomogram.read((0, 0, 0), SHAPE), data)
    with pytest.raises(InputError, match="each of z, y and x once"):
        open_tomogram(write_ome_zarr(tmp_path / "b.zarr", data, axes=axes("cyx")))


@pytest.mark.parametrize("zarr_format", FORMATS)
def test_channels_and_times(tmp_path: Path, zarr_format: int) -> None:
    data = random_volume(SHAPE)
    path = write_ome_zarr(
        tmp_path / "a.zarr",
        data[np.newaxis, np.newaxis],
        (1, 1, 7.3, 7.3, 7.3),
        axes=axes("tczyx"),
        chunks=(1, 1, 4, 5, 6),
        zarr_format=zarr_format,
    )
    tomogram = open_tomogram(path)
    assert tomogram.shape == SHAPE
    assert tomogram.voxel_size == 7.3
    np.testing.assert_array_equal(tomogram.read((0, 0, 0), SHAPE), data)
    two = write_ome_zarr(tmp_path / "b.zarr", np.stack([data, data]), axes=axes("czyx"))
    with pytest.raises(InputError, match="axis c has the size 2"):
        open_tomogram(two)


def pyramid(path: Path, data: np.ndarray) -> Path:
    datasets = [
        {"path": "full", "coordinateTransformations": scale(7.3, 7.3, 7.3)},
        {
            "path": "half",
            "coordinateTransformations": [
                *scale(14.6, 14.6, 14.6),
                {"type": "translation", "translation": [3.65, 3.65, 3.65]},
            ],
        },
    ]
    write_ome_zarr(path, data, datasets=datasets)
    options = {"zarr_format": 2} if ZARR_3 else {}
    small = zarr.open_array(
        str(path / "half"), mode="w", shape=(3, 5, 6), chunks=(3, 5, 6), dtype="f4", **options
    )
    small[...] = data[:6:2, ::2, :12:2]
    return path


def test_levels_are_found_by_metadata(tmp_path: Path) -> None:
    data = random_volume(SHAPE)
    path = pyramid(tmp_path / "a.zarr", data)
    full = open_tomogram(path)
    assert (full.shape, full.voxel_size) == (SHAPE, 7.3)
    assert any("level full of 2" in note for note in full.notes)
    for level in (1, "1", "half"):
        with pytest.warns(SlabkitWarning, match="translation in its metadata is ignored"):
            half = open_tomogram(path, level=level)
        assert (half.shape, half.voxel_size) == ((3, 5, 6), 14.6)
        np.testing.assert_array_equal(half.read((0, 0, 0), (3, 5, 6)), data[:6:2, ::2, :12:2])
    for level in (2, -1, "quarter"):
        with pytest.raises(InputError, match=rf"no level {level!r}; its levels are full, half"):
            open_tomogram(path, level=level)


@pytest.mark.parametrize("zarr_format", FORMATS)
def test_missing_chunks(tmp_path: Path, zarr_format: int) -> None:
    data = random_volume(SHAPE) + 500
    path = write_ome_zarr(tmp_path / "a.zarr", data, 7.3, chunks=(3, 4, 5), zarr_format=zarr_format)
    name = "c/1/1/1" if zarr_format == 3 else "1.1.1"
    (path / "0" / name).unlink()
    with pytest.raises(InputError, match=r"1 of 27 chunks of level 0 .*--allow-missing-chunks"):
        open_tomogram(path)
    with pytest.warns(SlabkitWarning, match="1 of 27 chunks of level 0 are missing and read as"):
        tomogram = open_tomogram(path, allow_missing_chunks=True)
    expected = data.copy()
    expected[3:6, 4:8, 5:10] = 0
    np.testing.assert_array_equal(tomogram.read((0, 0, 0), SHAPE), expected)


@pytest.mark.skipif(not ZARR_3, reason="sharding came with Zarr 3")
def test_shards(tmp_path: Path) -> None:
    data = random_volume((8, 12, 14))
    path = write_ome_zarr(
        tmp_path / "a.zarr", data, 7.3, chunks=(2, 4, 7), shards=(4, 12, 7), zarr_format=3
    )
    np.testing.assert_array_equal(open_tomogram(path).read((0, 0, 0), data.shape), data)
    (path / "0" / "c" / "0" / "0" / "1").unlink()
    with pytest.raises(InputError, match="1 of 4 chunks"):
        open_tomogram(path)


def test_nested_chunk_keys_of_version_2(tmp_path: Path) -> None:
    data = random_volume(SHAPE)
    path = write_ome_zarr(tmp_path / "a.zarr", data, 7.3, chunks=(3, 4, 5))
    level = path / "0"
    layout = json.loads((level / ".zarray").read_text())
    (level / ".zarray").write_text(json.dumps({**layout, "dimension_separator": "/"}))
    for chunk in [entry for entry in level.iterdir() if not entry.name.startswith(".")]:
        z, y, x = chunk.name.split(".")
        target = level / f"_{z}" / y / x
        target.parent.mkdir(parents=True, exist_ok=True)
        chunk.rename(target)
    for folder in [entry for entry in level.iterdir() if entry.name.startswith("_")]:
        folder.rename(level / folder.name[1:])
    np.testing.assert_array_equal(open_tomogram(path).read((0, 0, 0), SHAPE), data)
    (level / "2" / "2" / "2").unlink()
    with pytest.raises(InputError, match="1 of 27 chunks"):
        open_tomogram(path)


def compressors(zarr_format: int) -> dict[str, Any]:
    if zarr_format == 3:
        from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

        return {"blosc": BloscCodec(typesize=4), "zstd": ZstdCodec(), "gzip": GzipCodec()}
    from numcodecs import Blosc, GZip, Zstd

    return {"blosc": Blosc(), "zstd": Zstd(), "gzip": GZip()}


@pytest.mark.parametrize("zarr_format", FORMATS)
@pytest.mark.parametrize("codec", ["blosc", "zstd", "gzip", None])
def test_usual_codecs_are_decoded_as_zarr_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zarr_format: int, codec: str | None
) -> None:
    data = random_volume((12, 20, 30))
    path = write_ome_zarr(
        tmp_path / "a.zarr",
        data,
        chunks=(5, 9, 16),
        zarr_format=zarr_format,
        compressors=compressors(zarr_format)[codec] if codec else None,
    )
    tomogram = open_tomogram(path)
    tile: Any = tomogram.data
    np.testing.assert_array_equal(tile.tile((2, 2, 1)), data[10:, 18:, 16:])
    np.testing.assert_array_equal(tile.tile((0, 1, 1)), data[:5, 9:18, 16:])
    chunk = path / "0" / ("c/1/0/0" if zarr_format == 3 else "1.0.0")
    encoded = chunk.read_bytes()
    damaged = [b"", encoded[:15], encoded[:-9]]
    for content in damaged + (
        [b"%b\x10%b" % (encoded[:4], encoded[5:])] if codec == "blosc" else []
    ):
        chunk.write_bytes(content)
        with pytest.raises(FormatError, match=r"the chunk at \(5, 0, 0\) of 0 cannot be read"):
            tile.tile((1, 0, 0))
    chunk.write_bytes(encoded)
    if codec != "gzip":
        monkeypatch.setattr(ome_zarr._ZarrArray, "_opened", None)  # is not needed
    np.testing.assert_array_equal(tomogram.read((0, 0, 0), data.shape), data)


def test_damaged_chunk(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", random_volume(SHAPE), chunks=(3, 10, 13))
    chunk = path / "0" / "1.0.0"
    chunk.write_bytes(b"junk")
    tomogram = open_tomogram(path)
    tomogram.read((0, 0, 0), (3, 10, 13))
    with pytest.raises(FormatError, match=r"the chunk at \(3, 0, 0\) of 0 cannot be read"):
        tomogram.read((2, 0, 0), (4, 10, 13))


def test_each_chunk_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = random_volume((12, 20, 30))
    path = write_ome_zarr(tmp_path / "a.zarr", data, chunks=(4, 10, 15))
    decoded: list[Any] = []
    real = ome_zarr._ZarrArray.__call__

    def counted(self: Any, key: Any, into: Any = None) -> Any:
        decoded.append(tuple(part.start for part in key))
        return real(self, key, into)

    monkeypatch.setattr(ome_zarr._ZarrArray, "__call__", counted)
    spool = tmp_path / "spool"
    spool.mkdir()
    monkeypatch.setattr(spooled.tempfile, "tempdir", str(spool))
    tomogram = open_tomogram(path)
    assert not decoded
    np.testing.assert_array_equal(tomogram.read((0, 0, 0), (2, 5, 5)), data[:2, :5, :5])
    assert decoded == [(0, 0, 0)]
    with ThreadPoolExecutor(4) as pool:
        planes = list(pool.map(lambda z: tomogram.read((z, 0, 0), (z + 1, 20, 30)), range(12)))
    np.testing.assert_array_equal(np.concatenate(planes), data)
    generator = np.random.default_rng(3)
    for _ in range(50):
        start = [int(generator.integers(0, n - 3)) for n in data.shape]
        box = tomogram.read((start[0], start[1], start[2]), tuple(s + 3 for s in start))  # type: ignore[arg-type]
        np.testing.assert_array_equal(box, data[tuple(slice(s, s + 3) for s in start)])
    assert len(decoded) == len(set(decoded)) == 12
    assert not list(spool.iterdir())
    copy = pickle.loads(pickle.dumps(tomogram))
    np.testing.assert_array_equal(copy.read((0, 0, 0), data.shape), data)


# Stores that are not what they should be


def test_not_ome_zarr(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", random_volume(SHAPE))
    with pytest.raises(FormatError, match=r"no multiscales.*one level of .*a\.zarr: give that"):
        open_tomogram(path / "0")
    empty = tmp_path / "b.zarr"
    empty.mkdir()
    with pytest.raises(FormatError, match="is no OME-Zarr volume: it has no multiscales"):
        open_tomogram(empty)
    (empty / ".zattrs").write_text("{not json")
    with pytest.raises(FormatError, match=r"\.zattrs is not valid JSON"):
        open_tomogram(empty)
    (empty / ".zattrs").write_text(json.dumps({"multiscales": [{"axes": axes("zyx")}]}))
    with pytest.raises(FormatError, match="list no data sets"):
        open_tomogram(empty)
    image = {"axes": axes("zyx"), "datasets": [{"path": "s0"}]}
    (empty / ".zattrs").write_text(json.dumps({"multiscales": [image]}))
    with pytest.raises(FormatError, match=r"name the level s0, but there is no array"):
        open_tomogram(empty)
    (empty / ".zattrs").write_text(json.dumps({"multiscales": [{"datasets": [{"path": "0"}]}]}))
    with pytest.raises(FormatError, match="name no axes"):
        open_tomogram(empty)


def test_axes_that_do_not_fit(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", random_volume(SHAPE), axes=axes("czyx"))
    with pytest.raises(FormatError, match="metadata name 4 axes, level 0 has 3"):
        open_tomogram(path)


def test_without_the_zarr_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", random_volume(SHAPE))
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'slabkit-cryoet\[zarr\]'"):
        open_tomogram(path)


@pytest.mark.skipif(not ZARR_3, reason="writes a Zarr 3 store")
def test_old_zarr_package_and_new_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", random_volume(SHAPE), zarr_format=3)
    monkeypatch.setattr(zarr, "__version__", "2.18.3")
    with pytest.raises(MissingDependencyError, match=r"Zarr format 3 .* zarr 2.18.3 does not read"):
        open_tomogram(path)


WRONG = {"null": None, "text": "x", "number": 3, "truth": True, "object": {}, "list": [None]}


def replaced(content: Any, keys: tuple[Any, ...], value: Any) -> Any:
    """Give JSON with another value at a place in it."""
    if not keys:
        return value
    copy = content.copy()
    copy[keys[0]] = replaced(content[keys[0]], keys[1:], value)
    return copy


def places(content: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Give the place of every value in JSON."""
    inside = content.items() if isinstance(content, dict) else enumerate(content)
    found = []
    for key, value in inside:
        found.append((*above, key))
        if isinstance(value, (dict, list)):
            found += places(value, (*above, key))
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("zarr_format", FORMATS)
def test_values_of_the_wrong_kind_get_a_sentence(
    tmp_path: Path, zarr_format: int, kind: str
) -> None:
    path = write_ome_zarr(
        tmp_path / "a.zarr", random_volume(SHAPE), zarr_format=zarr_format, outer=scale(1, 1, 1)
    )
    names = [".zattrs", "0/.zarray"] if zarr_format == 2 else ["zarr.json", "0/zarr.json"]
    said = {}
    for name in names:
        text = (path / name).read_text()
        content = json.loads(text)
        for place in places(content):
            (path / name).write_text(json.dumps(replaced(content, place, WRONG[kind])))
            try:
                open_tomogram(path)
            except SlabkitError as error:
                said[place] = str(error)
        (path / name).write_text(text)
    top = () if zarr_format == 2 else ("attributes", "ome")
    for *keys, last, belongs in [
        ("multiscales", "a list"),
        ("multiscales", 0, "datasets", "a list"),
        ("multiscales", 0, "datasets", 0, "coordinateTransformations", "a list"),
        ("multiscales", 0, "datasets", 0, "coordinateTransformations", 0, "scale", "a list"),
        ("multiscales", 0, "axes", 1, "name", "text"),
    ]:
        shown = json.dumps(WRONG[kind])
        place = (*top, *keys, last)
        if (belongs == "a list" and kind != "list") or kind in ("object", "truth"):
            assert f"{names[0]}: {last} is {shown}, where {belongs} belongs." in said[place]
        else:
            assert place in said
    number = (*top, "multiscales", 0, "coordinateTransformations", 0, "scale", 2)
    if kind != "number":
        assert "scale is" in said[number]
        assert "where a number belongs" in said[number]
    assert all("\n" not in text for text in said.values())
