"""``slabkit simulate -o simulated --count 4``: tomograms with known particles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slabkit.cli.options import common
from slabkit.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.simulation import PlacedMap


def simulate(
    out: common.OutFolder,
    preset: Annotated[
        str,
        typer.Option(
            metavar="small|czii", help="256 × 256 × 96 or 630 × 630 × 184 voxels of 10 Å."
        ),
    ] = "small",
    count: Annotated[int, typer.Option(min=1, metavar="N", help="How many tomograms.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other tomograms.")] = 0,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="NAME=FILE:COUNT",
            help="Place COUNT copies of a density map (protein bright) in each tomogram, instead "
            "of the built-in species NAME or as a further one. May be repeated.",
        ),
    ] = None,
    noise: Annotated[
        float, typer.Option(min=0, help="1: as a good denoised tomogram; 0: none.")
    ] = 1.0,
    overwrite: common.Overwrite = False,
    jobs: common.Jobs = 0,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Simulate tomograms of known particles, protein dark, with truth.star and truth.csv.

    Ribosomes, virus-like particles, thyroglobulin, beta-galactosidase, apo-ferritin and
    beta-amylase among vesicles, unscored complexes and small proteins, in ice; tilts from -45 to
    45 degrees in steps of 3. The truth has each particle's centre of mass in Å. A tomogram of the
    preset czii takes about 1 GB of memory a worker.
    """
    from slabkit.simulation import PRESETS

    if preset not in PRESETS:
        raise InputError(f"--preset must be one of {', '.join(PRESETS)}, not {preset!r}.")
    wanted = [_parse_map(text) for text in map_ or []]
    names = [name for name, _, _ in wanted]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"--map names {name} twice; give one map a species.")
    folder = Path(out)
    with common.Step(
        "simulate",
        str(folder / "truth.star"),
        inputs=[path for _, path, _ in wanted],
        parameters={
            "preset": preset,
            "count": count,
            "seed": seed,
            "maps": [[name, copies] for name, _, copies in wanted],
            "noise": noise,
        },
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
    ) as work:
        if not work.finished:
            maps = {name: _load_map(name, path, copies) for name, path, copies in wanted}
            settings = {"preset": preset, "seed": seed, "noise": noise, "maps": maps}
            _run(work, folder, count, settings, common.worker_count(jobs))


def _run(work: common.Step, folder: Path, count: int, settings: dict[str, Any], jobs: int) -> None:
    from slabkit.execution.local import run_items

    files = [folder / f"sim_{number:03d}.mrc" for number in range(1, count + 1)]
    work.check_free([*files, folder / "truth.csv"])
    folder.mkdir(parents=True, exist_ok=True)
    done: list[tuple[pd.DataFrame, pd.DataFrame]] = []
    outcomes = run_items(lambda file: _one_tomogram(file, settings), files, min(jobs, count))
    for outcome in work.track(outcomes, total=count, what="simulate"):
        if outcome.value is None:
            work.fail(outcome.item.stem, outcome.error or InputError("not simulated."))
            continue
        done.append(outcome.value)
        work.outputs.append(outcome.item)
    failed = common.all_failed(work.failures, count)
    if failed:
        raise failed
    _write_truth(work, folder, done)


def _one_tomogram(file: Path, settings: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write one tomogram; give its truth and its row of the tomograms table."""
    import numpy as np

    from slabkit.formats.tables.native import path_for_table
    from slabkit.formats.volumes.mrc import write_mrc
    from slabkit.simulation import simulate_tomogram
    from slabkit.tables import TOMOGRAMS, make_table

    tomogram, truth = simulate_tomogram(file.stem, **settings)
    label = f"slabkit simulate: {settings['preset']}, seed {settings['seed']}"
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


def _write_truth(
    work: common.Step, folder: Path, done: list[tuple[pd.DataFrame, pd.DataFrame]]
) -> None:
    import csv
    import io

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
    species = picks["slabkitSpecies"].value_counts(sort=False)
    work.table(
        f"{len(tomograms)} tomograms, {len(picks)} particles",
        ("species", "particles"),
        [(name, int(number)) for name, number in species.items()],
    )
    work.summary.update(
        tomograms=len(tomograms),
        particles=len(picks),
        species={str(name): int(number) for name, number in species.items()},
    )


def _parse_map(text: str) -> tuple[str, Path, int]:
    name, _, rest = text.partition("=")
    file, _, number = rest.rpartition(":")
    if not name or not file or not number.isdecimal():
        raise InputError(
            "--map takes NAME=FILE:COUNT with a whole number of copies, "
            f"ribosome=6qzp.mrc:80 for instance, not {text!r}."
        )
    return name, Path(file), int(number)


def _load_map(name: str, path: Path, copies: int) -> PlacedMap:
    from slabkit.formats.volumes.opening import open_tomogram
    from slabkit.simulation import PlacedMap

    volume = open_tomogram(path, name=name, contrast="bright")
    density = volume.data[0 : volume.shape[0], 0 : volume.shape[1], 0 : volume.shape[2]]
    try:
        return PlacedMap(density, volume.voxel_size, copies)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
