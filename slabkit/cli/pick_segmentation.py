"""``slabkit pick segmentation TS_1_seg.mrc -o picks.star --diameter 1=300``: masks to picks."""

from __future__ import annotations

from slabkit.cli.options import common
from slabkit.cli.options.declare import argument, option
from slabkit.cli.options.values import parse_pairs
from slabkit.cli.running import command
from slabkit.errors import InputError
from slabkit.steps.pick_segmentation import Options, run
from slabkit.steps.shared.names import species_name


def _species(given: list[str], option: str) -> dict[int, str] | str:
    items = [item for text in given for item in text.split(",") if item]
    if len(items) == 1 and "=" not in items[0]:
        return species_name(items[0], option)
    names: dict[int, str] = {}
    for item in items:
        label, equals, name = item.partition("=")
        if not (equals and name and label.isdigit()):
            raise InputError(f"{option} takes NAME or LABEL=NAME, not {item!r}.")
        if int(label) in names:
            raise InputError(f"{option} names the label {label} twice.")
        names[int(label)] = species_name(name, option)
    return names or ""


def _diameter(given: list[str], option: str) -> float | dict[str, float] | None:
    if len(given) == 1 and "=" not in given[0]:
        try:
            return float(given[0])
        except ValueError:
            raise InputError(f"{option} takes Å or LABEL=Å, not {given[0]!r}.") from None
    return parse_pairs(given, option) or None


segmentation = command(
    run,
    Options,
    """Objects of touching particles are split. The pick list is as map writes it. Lengths are in Å.
    """,
    masks=argument(
        "Volumes of labels or probabilities (MRC, EM, TIFF, OME-Zarr), folders, globs; or "
        "copick:CONFIG.json, whose labels have names and sizes.",
        "MASK...",
    ),
    out=common.OUT_TABLE,
    diameter=option(
        "Largest dimension of the particles, one for all or by label or name, as 1=300,2=120; "
        "labels without one are left out. Of a copick project: twice the objects' radii.",
        "Å|LABEL=Å",
        parse=_diameter,
        kind=list[str],
    ),
    species=option(
        "Name of all picks, or by label, as 1=ribosome,2=apo-ferritin.",
        "NAME|LABEL=NAME",
        parse=_species,
        kind=list[str],
    ),
    kind=option("What the values are, where they do not tell."),
    threshold=option("Lowest probability of a particle's voxels.", "P"),
    min_size=option(
        "Drop objects shorter than this share of the diameter.", "F", show_default="two thirds"
    ),
    split=option("Split objects of touching particles."),
    suffix=option(
        "End of the masks' names that is no part of the tomogram's, _seg for instance.", "TEXT"
    ),
    tomograms=option(
        "Tomograms of the masks: volumes, folders, slab tables or pick lists; a mask is named as "
        "its tomogram, perhaps with an ending.",
        "FILE",
    ),
    object=option("copick: which segmentations, NAME or USER_SESSION_NAME.", "NAME"),
    voxel_size=common.VOXEL_SIZE,
    **common.FRAME,
)
