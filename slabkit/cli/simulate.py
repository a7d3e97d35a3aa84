"""``slabkit simulate -o simulated --count 4``: tomograms with known particles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slabkit.cli.options import common
from slabkit.cli.running import execute
from slabkit.errors import InputError
from slabkit.steps.shared.names import species_option
from slabkit.steps.simulate import MapFile, Options, Preset, run


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
    options = Options(
        out,
        preset=common.choice(preset, "--preset", Preset),
        count=count,
        seed=seed,
        maps=tuple(_parse_map(text) for text in map_ or []),
        noise=noise,
    )
    execute(run, options, overwrite=overwrite, jobs=jobs, quiet=quiet, json_=json_)


def _parse_map(text: str) -> MapFile:
    name, _, rest = text.partition("=")
    file, _, number = rest.rpartition(":")
    if not name or not file or not number.isdecimal():
        raise InputError(
            "--map takes NAME=FILE:COUNT with a whole number of copies, "
            f"ribosome=6qzp.mrc:80 for instance, not {text!r}."
        )
    return MapFile(species_option(name), Path(file), int(number))
