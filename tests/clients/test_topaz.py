"""To the real Topaz and back: training on labelled galleries, its own detector on slabs."""

from __future__ import annotations

import csv
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slabkit.formats.picks.reading import read_picks
from slabkit.formats.tables.native import read_labels, read_minislabs, write_minislabs
from slabkit.formats.volumes.mrc import write_mrc

ROOT = Path(__file__).resolve().parent.parent.parent
PYTHON = Path(os.environ.get("SLABKIT_TOPAZ_PYTHON", ROOT / ".venv-clients/topaz/bin/python"))

# Not square, of two voxel sizes, with names that Topaz does not keep.
TOMOGRAMS = {"TS_1_10.00Apx": ((24, 180, 240), 10.0), "00255": ((30, 330, 270), 7.3)}
DIAMETER = 220.0


def run_topaz(folder: Path, *arguments: str) -> None:
    """Run the exported script with a program ``topaz`` on the path."""
    program = folder / "bin" / "topaz"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec "{PYTHON}" "{ROOT}/tests/clients/run_topaz.py" "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    # Threads of their own for so little work wait for each other.
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "TOPAZ_DEVICE": "-1"}
    done = subprocess.run(
        ["bash", "topaz/topaz.sh", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def tomograms(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[str, ...]]]:
    """Dark balls in noise in some cells of a grid, and each cell's place (Å) and whether it has."""
    if not PYTHON.exists():
        pytest.skip(f"no topaz at {PYTHON}; make test-clients installs it")
    folder = tmp_path_factory.mktemp("tomograms")
    random = np.random.default_rng(5)
    cells = []
    for name, (shape, size) in TOMOGRAMS.items():
        volume = random.normal(0, 1, shape).astype(np.float32)
        axes = np.ogrid[tuple(slice(length) for length in shape)]
        for number in range(12):
            cell = np.array([0.5, (number // 4 + 0.5) / 3, (number % 4 + 0.5) / 4])
            place = cell * shape + random.uniform(-4, 4, 3)
            full = random.random() < 0.5
            if full:
                away = sum((axis - at) ** 2 for axis, at in zip(axes, place, strict=True))
                volume -= np.where(away < (DIAMETER / size / 2) ** 2, 1, 0).astype(np.float32)
            z, y, x = (place * size).tolist()
            cells.append((f"{name}-{number}", name, repr(x), repr(y), repr(z), str(int(full))))
        write_mrc(folder / f"{name}.mrc", volume, size, label="test")
    return folder, cells


def test_galleries_to_a_trained_model_and_its_scores_back(
    slabkit: Any, tomograms: tuple[Path, list[tuple[str, ...]]], tmp_path: Path
) -> None:
    folder, cells = tomograms
    rows = "".join(",".join(cell[:5]) + "\n" for cell in cells)
    (tmp_path / "p.csv").write_text("pick_id,tomogram,x,y,z\n" + rows)
    slabkit(
        *("minislab", "p.csv", "-o", "minislabs", "--box", 300, "--depth", 240),
        *("--tiles", "2x5", "--pixel-size", 10, "--tomograms", folder),
    )
    # Three galleries, the last with 4 tiles of 10; with dots in their names, rows shuffled.
    for path in sorted((tmp_path / "minislabs").glob("*.mrc")):
        path.rename(path.with_name(re.sub("minislabs_[0-9a-f]{6}_", "set.", path.name)))
    table, geometry = read_minislabs(tmp_path / "minislabs" / "minislabs.star")
    table["rlnMicrographName"] = table["rlnMicrographName"].str.replace(
        "minislabs_[0-9a-f]{6}_", "set.", regex=True
    )
    table = table.sample(frac=1, random_state=1).reset_index(drop=True)
    write_minislabs(tmp_path / "minislabs" / "minislabs.star", table, geometry)
    # A person has been through the first two.
    full = {cell[0]: cell[5] == "1" for cell in cells}
    seen = table[table["rlnMicrographName"].str.contains(r"set\.00[01]")]["slabkitPickId"]
    marks = "".join(f"{pick},{'yes' if full[pick] else 'no'}\n" for pick in seen)
    (tmp_path / "seen.csv").write_text("pick_id,decision\n" + marks)
    minislabs = ("--minislabs", "minislabs/minislabs.star")
    slabkit("label", "seen.csv", *minislabs, "-o", "seen.star")
    slabkit("export", "topaz", minislabs[1], "--labels", "seen.star", "-o", "topaz")
    run_topaz(
        tmp_path,
        *("--num-epochs", "1", "--epoch-size", "100", "--minibatch-size", "16"),
        *("--model", "resnet8", "--units", "32", "--num-threads", "1"),
    )
    # What it said of each tile, from its table by hand.
    with (tmp_path / "topaz" / "extracted.txt").open() as file:
        hits = list(csv.DictReader(file, delimiter="\t"))
    assert {hit["image_name"] for hit in hits} == {"set_000", "set_001", "set_002"}
    scores: dict[str, float] = {}
    tile = int(geometry["slabkitTileSize"].iloc[0])
    for pick, name, row, column in table[
        ["slabkitPickId", "rlnMicrographName", "slabkitTileRow", "slabkitTileColumn"]
    ].itertuples(index=False):
        y, x = row * tile + tile // 2, column * tile + tile // 2
        own = [
            float(hit["score"])
            for hit in hits
            if hit["image_name"] == Path(name).stem.replace(".", "_")
            and np.hypot(int(hit["x_coord"]) - x, int(hit["y_coord"]) - y) <= 0.3 * tile
        ]
        if own:
            scores[pick] = max(own)
    for threshold in (0.0, float(np.median(list(scores.values()))) + 1e-6):
        slabkit(
            *("label", "topaz/extracted.txt", *minislabs, "--threshold", threshold),
            *("--y-axis", "down", "-o", f"at_{threshold}.star"),
        )
        labels = read_labels(tmp_path / f"at_{threshold}.star")
        found = dict(zip(labels["slabkitPickId"], labels["slabkitDecision"], strict=True))
        for decision, expected in (
            ("accepted", {pick for pick, score in scores.items() if score >= threshold}),
            ("rejected", {pick for pick, score in scores.items() if score < threshold}),
        ):
            assert {pick for pick, said in found.items() if said == decision} == expected
    # Every tile has a score, and it has learned a little, so it was given the tiles' places.
    assert set(scores) == set(full)
    good, bad = ([s for p, s in scores.items() if full[p] is said] for said in (True, False))
    assert np.mean(good) - np.mean(bad) > 1


def test_the_pretrained_detector_on_slabs(
    slabkit: Any, tomograms: tuple[Path, list[tuple[str, ...]]], tmp_path: Path
) -> None:
    folder, cells = tomograms
    slabkit("slab", folder, "-o", "slabs")
    slabkit("export", "topaz", "slabs/slabs.star", "-o", "topaz", "--radius", DIAMETER / 2)
    run_topaz(tmp_path)
    picks = sorted((tmp_path / "topaz").glob("picks_*.txt"))
    assert len(picks) == 2
    slabkit(
        *("map", *picks, "--slabs", "slabs/slabs.star", "--diameter", DIAMETER),
        *("-o", "picks.star"),
    )
    found = read_picks(tmp_path / "picks.star").picks
    assert set(found["slabkitTomogram"]) == set(TOMOGRAMS)
    for name, (_, size) in TOMOGRAMS.items():
        truth = np.array([cell[2:5] for cell in cells if cell[1] == name and cell[5] == "1"], float)
        own = found[found["slabkitTomogram"] == name].nlargest(len(truth), "slabkitScore")
        places = own[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy()
        off = np.abs(places[:, None] - truth) / size
        nearest = np.hypot(off[..., 0], off[..., 1]).argmin(axis=0)
        # Its best are the particles, each once, within two of the pixels of 20 Å that it sees.
        assert sorted(nearest) == list(range(len(truth)))
        close = off[nearest, np.arange(len(truth))] * size
        assert (np.hypot(close[:, 0], close[:, 1]) < 40).all(), close
        assert (close[:, 2] < 2 * size).all(), close
