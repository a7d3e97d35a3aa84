"""Simulated tomograms with known particles, and the truth about them."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from slabkit.errors import InputError, SlabkitError
from slabkit.execution.frame import Frame, Work, parameters

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.simulation import PlacedMap

Preset = Literal["small", "czii"]


@dataclass(frozen=True)
class MapFile:
    """A density map (protein bright) of which copies are placed in each tomogram."""

    species: str
    path: Path
    copies: int


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit simulate``; see also `slabkit.simulate_tomogram`."""

    out: str
    preset: Preset = "small"
    count: int = 1
    seed: int = 0
    maps: tuple[MapFile, ...] = ()
    noise: float = 1.0


def run(options: Options, frame: Frame) -> None:
    """Simulate the tomograms and write them and their truth."""
    names = [one.species for one in options.maps]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"--map names {name} twice; give one map a species.")
    folder, count = Path(options.out), options.count
    with frame.work(
        "simulate",
        folder / "truth.star",
        inputs=[one.path for one in options.maps],
        parameters={
            **parameters(options, "out"),
            "maps": [[one.species, one.copies] for one in options.maps],
        },
    ) as work:
        if work.finished:
            return
        from slabkit.arrays.parallel import attempt_in_order

        maps = {one.species: _load_map(one) for one in options.maps}
        files = [folder / f"sim_{number:03d}.mrc" for number in range(1, count + 1)]
        work.check_free(files, [folder / "truth.csv"])
        folder.mkdir(parents=True, exist_ok=True)
        done: list[tuple[pd.DataFrame, pd.DataFrame]] = []
        results = attempt_in_order(
            lambda file: _one_tomogram(file, options, maps), files, min(frame.workers, count)
        )
        for file, result in work.track(results, total=count, what="simulate"):
            if isinstance(result, SlabkitError):
                work.fail(file.stem, result)
                continue
            done.append(result)
            work.outputs.append(file)
        work.raise_if_all_failed(count)
        _write_truth(work, folder, done)


def _load_map(given: MapFile) -> PlacedMap:
    from slabkit.simulation import PlacedMap
    from slabkit.steps.shared.maps import read_map

    density, voxel_size = read_map(given.path)
    try:
        return PlacedMap(density, voxel_size, given.copies)
    except InputError as error:
        raise InputError(f"{given.path}: {error}") from error


def _one_tomogram(
    file: Path, options: Options, maps: dict[str, PlacedMap]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write one tomogram; give its truth and its row of the tomograms table."""
    import numpy as np

    from slabkit.formats.tables.paths import path_for_table
    from slabkit.formats.volumes.mrc import write_mrc
    from slabkit.simulation import simulate_tomogram
    from slabkit.tables import TOMOGRAMS, make_table

    tomogram, truth = simulate_tomogram(
        file.stem, preset=options.preset, seed=options.seed, noise=options.noise, maps=maps
    )
    label = f"slabkit simulate: {options.preset}, seed {options.seed}"
    write_mrc(file, np.asarray(tomogram.data), tomogram.voxel_size, label=label)
    size_z, size_y, size_x = tomogram.shape
    row = make_table(
        TOMOGRAMS,
        {
            "slabkitTomogram": [tomogram.name],
            "slabkitTomogramFile": [path_for_table(file)],
            "slabkitTomogramSizeX": [size_x],
            "slabkitTomogramSizeY": [size_y],
            "slabkitTomogramSizeZ": [size_z],
            "slabkitVoxelSize": [tomogram.voxel_size],
            "slabkitTomogramContrast": [tomogram.contrast],
        },
    )
    return truth, row


def _write_truth(work: Work, folder: Path, done: list[tuple[pd.DataFrame, pd.DataFrame]]) -> None:
    import pandas as pd

    from slabkit.formats.tables.atomic import write_text
    from slabkit.formats.tables.native import PickList, write_picks

    picks = pd.concat([truth for truth, _ in done], ignore_index=True)
    tomograms = pd.concat([row for _, row in done], ignore_index=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("tomogram", "species", "x", "y", "z"))
    for row in picks.itertuples():
        position = (f"{value:.3f}" for value in (row.slabkitX, row.slabkitY, row.slabkitZ))
        writer.writerow((row.slabkitTomogram, row.slabkitSpecies, *position))
    write_text(folder / "truth.csv", text.getvalue())
    work.outputs.append(folder / "truth.csv")
    write_picks(folder / "truth.star", PickList(picks, tomograms))
    counts = picks["slabkitSpecies"].value_counts(sort=False)
    species = {str(name): int(number) for name, number in counts.items()}
    work.table(
        f"{len(tomograms)} tomograms, {len(picks)} particles",
        ("species", "particles"),
        species.items(),
    )
    work.summary.update(tomograms=len(tomograms), particles=len(picks), species=species)
