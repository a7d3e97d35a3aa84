"""``slabkit pick segmentation TS_1_seg.mrc -o picks.star --diameter 1=300``: masks to picks."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from slabkit.cli.options import common
from slabkit.cli.running import execute
from slabkit.errors import InputError
from slabkit.steps.pick_segmentation import Options, run
from slabkit.steps.shared.names import species_option


def segmentation(
    masks: Annotated[
        list[str],
        typer.Argument(
            metavar="MASK...",
            help="Volumes of labels or probabilities (MRC, TIFF, OME-Zarr), folders, globs; or "
            "copick:CONFIG.json, whose labels have names and sizes.",
            show_default=False,
        ),
    ],
    out: common.OutTable,
    diameter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="Å|LABEL=Å",
            help="Largest dimension of the particles, one for all or by label or name, as "
            "1=300,2=120; labels without one are left out. Of a copick project: twice the "
            "objects' radii.",
            show_default=False,
        ),
    ] = None,
    species: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|LABEL=NAME",
            help="Name of all picks, or by label, as 1=ribosome,2=apo-ferritin.",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="labels|probability",
            help="What the values are, where they do not tell.",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option(metavar="P", help="Lowest probability of a particle's voxels.")
    ] = 0.5,
    min_size: Annotated[
        float,
        typer.Option(
            metavar="F",
            help="Drop objects shorter than this share of the diameter.",
            show_default="two thirds",
        ),
    ] = 2 / 3,
    split: Annotated[
        bool, typer.Option("--split/--no-split", help="Split objects of touching particles.")
    ] = True,
    suffix: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="End of the masks' names that is no part of the tomogram's, _seg for instance.",
        ),
    ] = "",
    tomograms: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Tomograms of the masks: volumes, folders, slab tables or pick lists; a mask is "
            "named as its tomogram, perhaps with an ending.",
            show_default=False,
        ),
    ] = None,
    object_: Annotated[
        str,
        typer.Option(
            "--object",
            metavar="NAME",
            help="copick: which segmentations, NAME or USER_SESSION_NAME.",
            show_default=False,
        ),
    ] = "",
    voxel_size: common.VoxelSizeOption = None,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Turn segmentations into 3D picks: one at the centre of each object of a particle's size.

    Objects of touching particles are split. The pick list is as map writes it. Lengths are in Å.
    """
    options = Options(
        tuple(masks),
        out,
        diameter=_diameter(diameter or []),
        species=_species(species or []),
        kind=common.choice(kind, "--kind", Literal["labels", "probability"]),
        threshold=threshold,
        min_size=min_size,
        split=split,
        suffix=suffix,
        tomograms=tuple(tomograms) if tomograms else None,
        object=object_,
        voxel_size=voxel_size,
    )
    execute(run, options, overwrite=overwrite, quiet=quiet, json_=json_)


def _species(given: list[str]) -> dict[int, str] | str:
    items = [item for text in given for item in text.split(",") if item]
    if len(items) == 1 and "=" not in items[0]:
        return species_option(items[0])
    names: dict[int, str] = {}
    for item in items:
        label, equals, name = item.partition("=")
        if not (equals and name and label.isdigit()):
            raise InputError(f"--species takes NAME or LABEL=NAME, not {item!r}.")
        if int(label) in names:
            raise InputError(f"--species names the label {label} twice.")
        names[int(label)] = species_option(name)
    return names or ""


def _diameter(given: list[str]) -> float | dict[str, float] | None:
    if len(given) == 1 and "=" not in given[0]:
        try:
            return float(given[0])
        except ValueError:
            raise InputError(f"--diameter takes Å or LABEL=Å, not {given[0]!r}.") from None
    return common.parse_pairs(given, "--diameter") or None
