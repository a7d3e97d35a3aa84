"""``slabkit simulate -o simulated --count 4``: tomograms with known particles."""

from __future__ import annotations

from pathlib import Path

from slabkit.cli.options import common
from slabkit.cli.options.declare import option
from slabkit.cli.running import command
from slabkit.errors import InputError
from slabkit.steps.shared.names import species_name
from slabkit.steps.simulate import MapFile, Options, run


def _parse_maps(given: list[str], option: str) -> tuple[MapFile, ...]:
    maps = []
    for text in given:
        name, _, rest = text.partition("=")
        file, _, number = rest.rpartition(":")
        if not name or not file or not number.isdecimal():
            raise InputError(
                f"{option} takes NAME=FILE:COUNT with a whole number of copies, "
                f"ribosome=6qzp.mrc:80 for instance, not {text!r}."
            )
        maps.append(MapFile(species_name(name, option), Path(file), int(number)))
    return tuple(maps)


simulate = command(
    run,
    Options,
    """Ribosomes, virus-like particles, thyroglobulin, beta-galactosidase, apo-ferritin and
    beta-amylase among vesicles, unscored complexes and small proteins, in ice; tilts from -45 to
    45 degrees in steps of 3. The truth has each particle's centre of mass in Å. A tomogram of the
    preset czii takes about 1 GB of memory a worker.
    """,
    out=common.OUT_FOLDER,
    preset=option("256 × 256 × 96 or 630 × 630 × 184 voxels of 10 Å."),
    count=option("How many tomograms.", "N", min=1),
    seed=option("Another seed, other tomograms.", min=0),
    maps=option(
        "Place COUNT copies of a density map (protein bright) in each tomogram, instead of the "
        "built-in species NAME or as a further one. May be repeated.",
        "NAME=FILE:COUNT",
        flags="--map",
        parse=_parse_maps,
        kind=list[str],
    ),
    noise=option("1: as a good denoised tomogram; 0: none.", min=0),
    **common.FRAME_WITH_JOBS,
)
