"""``slabkit classify minislabs/minislabs.star -o classes``: minislabs to 2D classes."""

from __future__ import annotations

from slabkit.cli.options import common, picking
from slabkit.cli.options.declare import argument, option
from slabkit.cli.options.values import named_maps, positive
from slabkit.cli.running import command
from slabkit.steps.classify import Options, run

classify = command(
    run,
    Options,
    """Writes classes.png (numbered averages, the best first, with size, resolution and quality),
    classes.mrcs, classes.star, and classified.star: the table with each image's class, angle, shift
    and probability, as RELION names them. Choose classes with slabkit label.

    Quality, 0 to 1, is an estimate of the share of particles in a class, by the contrast of its
    average with what is around it, by lines that run past, and by how far its members agree.
    Lengths are in Å.
    """,
    tables=argument(
        "minislabs.star, one or several of the same box and depth, or any particle STAR of RELION; "
        "patterns; @FILE: one a line; - for standard input.",
        "MINISLABS...",
    ),
    out=common.OUT_FOLDER,
    classes=option(
        "How many classes; default: one for 16 images, 5 to 100.", "K", min=1, show_default=False
    ),
    maps=option(
        "Name the classes by this density map, as slabkit name does; once for each species.",
        "NAME=MAP.mrc",
        flags="--map",
        parse=named_maps,
        kind=list[str],
    ),
    tilt_range=picking.TILT_RANGE,
    diameter=option("Of the circular mask; default: 0.68 of the box.", "Å"),
    resolution=option("Finest detail compared; default: a twelfth of the box.", "Å"),
    iterations=option("The first half compares coarsely, the second finely.", "N", min=1),
    angular_step=option("Step of in-plane rotations.", "DEGREES"),
    shift_range=option(
        "How far particles may lie from the centre; default: 0.075 of the box.", "Å"
    ),
    shift_step=option("Step of shifts; default: a fortieth of the box, at least a pixel.", "Å"),
    seed=option("Another seed, another start.", min=0),
    repeats=option(
        "Classify N times, from N seeds, and lower the quality of classes that do not come again.",
        "N",
        min=1,
    ),
    sample=option(
        "Learn the classes on N images, chosen by --seed, and assign the others to them: for "
        "hundreds of thousands.",
        "N",
        min=1,
    ),
    quality=option(
        "Classes of this quality and more are marked, as label --auto accepts them.", "Q"
    ),
    contrast=option(
        "How protein looks in the images; default: bright in stacks, in galleries as their table "
        "says."
    ),
    pixel_size=option("Where the table's optics do not say it.", "Å", parse=positive),
    device=common.DEVICE,
    device_memory=common.DEVICE_MEMORY,
    **common.FRAME_WITH_JOBS,
)
