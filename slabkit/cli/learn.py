"""``slabkit learn --minislabs minislabs/minislabs.star --labels labels.star -o model``: species."""

from __future__ import annotations

from slabkit.cli.options import common, picking
from slabkit.cli.options.declare import option
from slabkit.cli.options.values import named_maps
from slabkit.cli.running import command
from slabkit.steps.learn import Options, run

learn = command(
    run,
    Options,
    """Writes model.json, arrays.npz and report.html: what to expect of predictions, by species,
    measured on tomograms whose labels were held back. Minislabs are compared with labelled ones at
    all in-plane rotations; where the volumes are at hand, in three dimensions. Labels of other
    models are not learned from.
    """,
    minislabs=option("minislabs.star, labelled and not.", "TABLE"),
    labels=option("Label tables, oldest first, or a curated pick list. May be repeated.", "TABLE"),
    out=common.OUT_FOLDER,
    picks=option(
        "The pick list, which knows the volumes; default: that which the minislabs were made from.",
        "PICKS",
    ),
    tomograms=option("Take the volumes from here instead. May be repeated.", "TOMOGRAM"),
    maps=option(
        "Density map, protein bright, and its species: how well it explains each pick counts too. "
        "The model keeps it. May be repeated.",
        "NAME=MAP.mrc",
        flags="--map",
        parse=named_maps,
        kind=list[str],
    ),
    tilt_range=picking.TILT_RANGE,
    images_only=option("Look at the minislabs' images and not at volumes."),
    network=option(
        "Also train small convolutional networks, by PyTorch (extra gpu): minutes more, of use "
        "where there are no maps. predict needs no PyTorch."
    ),
    device=common.DEVICE,
    beta=option("Recall counts this many times as much as precision."),
    seed=option("Draws examples, where labels are many.", min=0),
    **common.FRAME_WITH_JOBS,
)
