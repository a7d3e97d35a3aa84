"""``slabkit pick blob slabs/slabs.star -o picks2d.star --diameter 100:350``: slabs to 2D picks."""

from __future__ import annotations

from slabkit.cli.options import common, picking
from slabkit.cli.options.declare import option
from slabkit.cli.options.values import parse_range
from slabkit.cli.running import command
from slabkit.steps.pick_blob import Options, run
from slabkit.steps.shared.names import species_name

blob = command(
    run,
    Options,
    """Pictures of --png go to a folder beside the table, <table>_png. Lengths are in Å.
    """,
    slabs=picking.SLABS,
    out=common.OUT_TABLE,
    diameter=option(
        "Longest extent of the particles (Å), or of the smallest and the largest. Sizes from about "
        "a third of it (but 100 Å, or 0.9 of a smaller one) to 1.2 of it are searched.",
        "D|MIN:MAX",
        parse=parse_range,
    ),
    threshold=picking.BLOB_THRESHOLD,
    max_per_slab=picking.MAX_PER_SLAB,
    species=option("Name to give to all picks.", parse=species_name),
    target_precision=picking.TARGET_PRECISION,
    labelled=picking.LABELLED,
    min_distance=picking.MIN_DISTANCE,
    max_elongation=option("Drop ridges, such as membranes, longer than this in width.", "RATIO"),
    max_ridge=picking.MAX_RIDGE,
    method=option(
        "rims: solid and hollow particles, scored by their rims; laplacian: the plain Laplacian "
        "of Gaussian."
    ),
    mask=picking.MASK,
    contrast=picking.SLAB_CONTRAST,
    png=picking.PNG,
    **common.FRAME_WITH_JOBS,
)
