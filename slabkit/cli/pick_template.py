"""``slabkit pick template slabs/slabs.star -o picks2d.star --map ribosome=6qzp.mrc``: by shape."""

from __future__ import annotations

from slabkit.cli.options import common, picking
from slabkit.cli.options.declare import option
from slabkit.cli.options.values import named_maps, positive
from slabkit.cli.running import command
from slabkit.steps.pick_template import Options, run
from slabkit.steps.shared.names import species_name

template = command(
    run,
    Options,
    """Scores are in standard deviations, one noise scale a tomogram; lines through a pick and low
    contrast of the pick lower them. Each pick keeps its angle (rlnAnglePsi, RELION's sign) and the
    number of its template (rlnClassNumber, from 1: the image of the stack, or the view, counted on
    over several maps). Lengths are in Å.
    """,
    slabs=picking.SLABS,
    out=common.OUT_TABLE,
    maps=option(
        "Density map, protein bright, seen from all sides; NAME is the species. Can be given "
        "several times: each place then goes to the map that fits best.",
        "[NAME=]MAP.mrc",
        flags="--map",
        parse=named_maps,
        kind=list[str],
    ),
    decoys=option(
        "Density map of what is not to be reported: each place goes to the map that fits best, "
        "and those of decoys are left out. Can be given several times.",
        "[NAME=]MAP.mrc",
        flags="--decoy",
        parse=named_maps,
        kind=list[str],
    ),
    refine=option(
        "Compare what is found with --map once more, in the tomogram, at all orientations: scores, "
        "species, angles and places are then those of the best fit in three dimensions."
    ),
    templates=option("Class averages of slabkit classify, RELION or CryoSPARC.", "STACK.mrcs"),
    diameter=option(
        "Diameter of the particles, and of the mask; default: measured on the templates. One of "
        "0.4 to 2.5 times a map's own is brought to 1 to 1.4 times that.",
        "Å",
        parse=positive,
    ),
    threshold=picking.TEMPLATE_THRESHOLD,
    use=option("Which images of --templates, from 1.", "1,3-5"),
    template_pixel_size=option(
        "Pixel size of --templates, where the file's is wrong.", "Å", parse=positive
    ),
    template_contrast=option(
        "How protein looks in --templates; class averages are light on dark.", "bright|dark"
    ),
    lowpass=option(
        "Finest detail to compare; default: 40 Å, or what the slabs' pixels allow.",
        "Å",
        parse=positive,
    ),
    angular_step=option("Between in-plane angles; 360: one only.", "DEGREES"),
    view_step=option("Between the views of --map.", "DEGREES"),
    tilt_range=picking.TILT_RANGE,
    target_precision=picking.TARGET_PRECISION,
    labelled=picking.LABELLED,
    max_per_slab=picking.MAX_PER_SLAB,
    min_distance=picking.MIN_DISTANCE,
    max_ridge=picking.MAX_RIDGE,
    correlation_only=option(
        "Score by the correlation alone: neither lines nor a faint place lower it."
    ),
    mask=picking.MASK,
    species=option("Name to give to the picks of templates that have none.", parse=species_name),
    contrast=picking.SLAB_CONTRAST,
    png=picking.PNG,
    device=common.DEVICE,
    device_memory=common.DEVICE_MEMORY,
    **common.FRAME_WITH_JOBS,
)
