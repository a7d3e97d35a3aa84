"""Mutated files over every reader: a `SlabkitError` or an answer, and soon; nothing else.

The short form runs with the other tests, the long one in ``make soak``.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import shutil
import struct
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from cryosparc_files import LAYOUT, minislabs, picks_on_slabs, slab_rows
from pick_files import TWO_TOMOGRAMS, pick_list
from soak_time import soak_share
from test_damaged_tables import base_files
from test_picks2d import FILES as PICKS2D_FILES
from volume_files import mrc_bytes, random_volume, write_ome_zarr

from slabkit import open_tomogram, read_particle_images
from slabkit.errors import SlabkitError, SlabkitWarning
from slabkit.execution.locks import output_lock
from slabkit.execution.records import load_record
from slabkit.formats.describe import describe_file
from slabkit.formats.picks.reading import read_picks
from slabkit.formats.picks.writing import write_picks
from slabkit.formats.picks2d import read_picks2d_any
from slabkit.formats.programs.cryosparc.dataset import dataset_bytes
from slabkit.formats.registry import formats_of
from slabkit.formats.results import read_results
from slabkit.formats.tables.paths import with_paths_from_here
from slabkit.formats.tomograms.copick_project import open_project
from slabkit.formats.tomograms.listing import list_tomograms
from slabkit.formats.tomograms.table import read_tomograms
from slabkit.formats.volumes.mrc import write_mrc

ROUNDS, LONGEST = 12, 20.0  # files a reader; seconds for one
NUMBERS = ("nan", "-inf", "1e400", "1e30", "-1", "0", "1" * 40, "1" * 5000, "1_000", "٣", "0x1")
TEXTS = ("", "none", "#", '"', "'", "\\", "../x", "/dev/null", "\0", "\ud800", "data_", "loop_")
JSON = (None, True, 10**30, -1, 1e308, "", "x", "\ud800", [], {}, [None], {"a": None}, [[[]]])
JSON_TEXTS = ("NaN", "1e999", "9" * 4000, "[" * 100_000, '{"a":' * 3000, '"\\ud800"')

Reader = Callable[[Path], object]


def read_all(path: Path) -> None:
    tomogram = open_tomogram(path, axis_order="zyx", voxel_size=10)
    tomogram.read((0, 0, 0), tuple(min(side, 20) for side in tomogram.shape))  # type: ignore[arg-type]


def lock(path: Path) -> None:
    os.replace(path, path.with_name(".out.star.lock"))
    with output_lock(path.with_name("out.star")):
        pass


def record(path: Path) -> None:
    load_record(path.with_name(path.stem))
    with_paths_from_here(slab_rows(), path.with_name(path.stem))


def readers(folder: Path) -> dict[str, tuple[bytes | Path, Reader]]:
    """Give whole files (or a folder, of which one file is mutated) and what reads each, by name."""
    found: dict[str, tuple[bytes | Path, Reader]] = {}
    (folder / "base").mkdir()
    for name, (path, reader) in base_files(folder / "base").items():
        found[f"{name}{path.suffix}"] = path.read_bytes(), reader
    picks = pick_list([("TS_1", "ribosome", 100, 120, 90), ("TS_1", "ribosome", 300, 40, 60)])
    index = {"1": "TS_1", "2": "00255"}
    for entry in formats_of("picks"):
        if entry.write is None:
            continue
        path = folder / f"picks{(entry.suffixes or ('.txt',))[0]}"
        write_picks(path, picks, format=entry.name, binning=2)
        told = {"tomogram": "TS_1", "tomogram_index": index, "binning": 2, "voxel_size": 7.3}

        def read(path: Path, name: str = entry.name, told: dict[str, Any] = told) -> None:
            for format, tomograms in ((name, TWO_TOMOGRAMS), (None, None)):
                again = read_picks(path, format=format, tomograms=tomograms, **told)
                for suffix in (".csv", ".star", ".ndjson"):
                    write_picks(path.with_name(f"again{suffix}"), again)
                assert np.isfinite(again.picks["slabkitX"]).all()

        found[f"{entry.name}{path.suffix}"] = path.read_bytes(), read
    slabs = slab_rows()
    for name, (_, text) in PICKS2D_FILES.items():
        found[f"2d {name}"] = text.encode(), lambda path: read_2d(path, slabs)
    picks_on_slabs(folder, np.random.default_rng(0))
    for path in folder.glob("*.cs"):
        found["picks.cs"] = path.read_bytes(), lambda path: read_2d(path, slabs)
    labels = {"uid": np.arange(3, dtype=np.uint64), "alignments2D/class": np.arange(3)}
    found["labels.cs"] = dataset_bytes(labels), label
    images(folder / "images")
    found["particles.star"] = (
        folder / "images",
        lambda path: read_particle_images(path / "particles.star").read(np.arange(2)),
    )
    volumes(found, folder)
    config = {
        "config_type": "filesystem",
        "name": "t",
        "pickable_objects": [{"name": "ribosome", "label": 1}],
        "overlay_root": "local:///nowhere",
        "static_root": "/nowhere",
    }
    found["project copick.json"] = (
        json.dumps(config).encode(),
        lambda path: open_project(path).picks(),
    )
    entry_ = {"name": "a", "size": 1, "hash": "x"}
    run = {"step": "slab", "parameters": {}, "inputs": [entry_], "outputs": ["a"], "result": entry_}
    found["a.star.json"] = json.dumps({**run, "working_directory": "."}).encode(), record
    found["lock"] = json.dumps({"host": "a", "pid": 1}).encode(), lock
    return found


def readers_of_reports(reports: Path) -> dict[str, tuple[bytes, Reader]]:
    """Give the same of files that people met."""
    found: dict[str, tuple[bytes, Reader]] = {}
    for path in sorted(reports.glob("[0-9]*")):
        data = path.read_bytes()
        found[path.name] = data, lambda path: read_picks(path, binning=2, voxel_size=10)
    found["tomograms.star"] = (reports / "19_tomograms.star").read_bytes(), read_tomograms_of
    return found


def read_tomograms_of(path: Path) -> None:
    read_tomograms([path])
    list_tomograms([path])


def read_2d(path: Path, slabs: Any) -> None:
    read_picks2d_any([path], slabs, y_axis="down")


def label(path: Path) -> None:
    read_results([path], minislabs(7), LAYOUT)


def images(folder: Path) -> None:
    folder.mkdir()
    write_mrc(folder / "s.mrcs", random_volume((3, 8, 8)), 5.0, label="", stack=True)
    (folder / "particles.star").write_text(
        "data_optics\n\nloop_\n_rlnOpticsGroup\n_rlnImagePixelSize\n1 5.0\n\n"
        "data_particles\n\nloop_\n_rlnImageName\n_rlnOpticsGroup\n1@s.mrcs 1\n000003@s.mrcs 1\n"
    )


def volumes(found: dict[str, tuple[bytes | Path, Reader]], folder: Path) -> None:
    data = random_volume((5, 7, 9), "i2")
    found["v.mrc"] = mrc_bytes(data), read_all
    found["v.mrc.gz"] = gzip.compress(mrc_bytes(data)), read_all
    for name, told in (
        ("imagej", {"imagej": True, "metadata": {"spacing": 1, "unit": "nm"}}),
        ("deflate", {"compression": "zlib", "photometric": "minisblack"}),
        ("big", {"bigtiff": True, "ome": True}),
    ):
        tifffile.imwrite(folder / "v.tif", data, **told)
        found[f"{name}.tif"] = (folder / "v.tif").read_bytes(), read_all
    for version in (2, 3):
        store = folder / f"v{version}.zarr"
        write_ome_zarr(store, data, zarr_format=version, chunks=(5, 4, 9))
        found[f"v{version}.zarr"] = store, read_all


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Give bytes with one to three faults."""
    for _ in range(chance.choice((1, 1, 2, 3))):
        data = _one_fault(data, chance)
    return data


def _one_fault(data: bytes, chance: random.Random) -> bytes:
    at = chance.randint(0, len(data))
    is_text = b"\0" not in data[:200] and data[:1] != b"\x1f"
    way = chance.randrange(9 if is_text else 6)
    if way == 0:
        return data[:at]
    if way == 1:
        return data[:at] + chance.randbytes(chance.randint(1, 6)) + data[at:]
    if way == 2:
        return data[:at] + data[at + chance.randint(1, 30) :]
    if way == 3:
        return data[:at] + data[at : at + 40] * chance.randint(2, 4) + data[at:]
    if way in (4, 5) and not is_text:  # a number of a header
        at = chance.randrange(0, min(len(data), 1100), 2)
        form, values = chance.choice(
            (
                ("<i", (0, -1, 1, 2**31 - 1, -(2**31), 40_000, 65_537)),
                ("<q", (0, -1, 2**63 - 1, 2**40)),
                ("<f", (np.nan, np.inf, -1, 0, 1e38)),
                ("<H", (0, 65_535, 1, 12)),
            )
        )
        packed = struct.pack(form, chance.choice(values))
        return data[:at] + packed + data[at + len(packed) :]
    text = data.decode("utf-8", "surrogateescape")
    if way == 4 and text.lstrip().startswith(("{", "[")):
        try:
            changed = _json_fault(json.loads(text), chance)
            return json.dumps(changed).encode("utf-8", "surrogatepass")
        except (ValueError, RecursionError):
            pass
    words = list(re.finditer(r"[^\s,;\"'{}\[\]:<>=]+", text))
    if not words or way == 5:
        lines = text.split("\n")
        place = chance.randrange(len(lines))
        lines[place : place + 1] = chance.choice(([], [lines[place]] * 2, ["", lines[place], ""]))
        return "\n".join(lines).encode("utf-8", "surrogateescape")
    word = chance.choice(words)
    new = chance.choice((*NUMBERS, *TEXTS, *JSON_TEXTS))
    changed = text[: word.start()] + new + text[word.end() :]
    return changed.encode("utf-8", "surrogatepass" if "\ud800" in new else "surrogateescape")


def _json_fault(content: Any, chance: random.Random) -> Any:
    if isinstance(content, (dict, list)) and content and chance.random() < 0.85:
        copy = content.copy()
        keys = list(content) if isinstance(content, dict) else range(len(content))
        key = chance.choice(keys)
        copy[key] = _json_fault(content[key], chance)
        return copy
    return chance.choice(JSON)


def attempt(name: str, base: bytes | Path, reader: Reader, folder: Path, number: int) -> None:
    """Read one mutant; the seed is its name and number."""
    chance = random.Random(f"{name} {number} {os.environ.get('SOAK_SEED', '0')}")
    shutil.rmtree(folder, ignore_errors=True)
    path = folder / name.split(" ")[-1]
    if isinstance(base, Path):
        shutil.copytree(base, path)
        victim = chance.choice(sorted(file for file in path.rglob("*") if file.is_file()))
        victim.write_bytes(mutated(victim.read_bytes(), chance))
    else:
        folder.mkdir()
        path.write_bytes(mutated(base, chance))
    kept = folder.with_name("kept")
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(folder, kept)
    for read in (reader, describe_file):
        began = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SlabkitWarning)
            warnings.simplefilter("error", RuntimeWarning)
            try:
                if path.exists():
                    read(path)
            except SlabkitError:
                pass
            except Exception as error:
                raise AssertionError(f"{name} {number}: {error!r}; kept at {kept}") from error
        took = time.monotonic() - began
        assert took < LONGEST, f"{name} {number}: took {took:.0f} s; kept at {kept}"


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bytes | Path, Reader]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlabkitWarning)
        return readers(tmp_path_factory.mktemp("whole"))


def test_g11_mutated_files_of_every_kind(bases: Any, tmp_path: Path) -> None:
    for name, (base, reader) in bases.items():
        for number in range(ROUNDS):
            attempt(name, base, reader, tmp_path / "one", number)


def test_g11_mutated_files_of_reports(reports: Path, tmp_path: Path) -> None:
    test_g11_mutated_files_of_every_kind(readers_of_reports(reports), tmp_path)


@pytest.mark.soak
def test_soak_mutated_files_of_every_kind(bases: Any, reports: Path, tmp_path: Path) -> None:
    bases = bases | readers_of_reports(reports)
    for number, _ in enumerate(soak_share(0.3)):
        for name, (base, reader) in bases.items():
            attempt(name, base, reader, tmp_path / "one", number)
    print(f"\n  {(number + 1) * len(bases):6} mutated files over {len(bases)} readers")
