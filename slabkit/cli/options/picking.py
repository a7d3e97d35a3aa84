"""Options that the pickers and `map` share."""

from __future__ import annotations

from slabkit.cli.options.declare import argument, option
from slabkit.cli.options.values import named_maps, parse_range, parse_threshold, tilts

SLABS = argument("Slab table, slabs.star; - for standard input.")
SLAB_TABLE = option("The slab table, slabs.star.", "SLABS", flags="--slabs")
MASK = option(
    "Keep only what is inside masks (above 0): volumes named as the tomograms, or images "
    "named as the slabs, perhaps with an ending such as _mask; files, folders or patterns, "
    "any number of times.",
    "FILE",
)
SIZES = option(
    "Longest extent of the particles (Å), or of the smallest and the largest; not needed with "
    "--map.",
    "D|MIN:MAX",
    parse=parse_range,
)
MAPS_TO_NAME = option(
    "Name the picks by this density map, as slabkit name does, and pick blobs of the maps' sizes; "
    "once for each species (without NAME: as the file is named).",
    "[NAME=]MAP.mrc",
    flags="--map",
    parse=named_maps,
    kind=list[str],
)
TILT_RANGE = option(
    "Tilts of the tilt series, about y, for the missing wedge of the maps; FILE: read them from a "
    ".tlt, .rawtlt or .mdoc, or a STAR file of RELION 5 (tilt series, or tomograms).",
    "MIN:MAX|none|FILE",
    parse=tilts,
    default="-45:45",
)

_THRESHOLD = (
    "Lowest score, in noise standard deviations; auto: where half of the picks stand out of the "
    "background by a fit to the scores, with the numbers expected. Default: "
)
TEMPLATE_THRESHOLD = option(
    f"{_THRESHOLD}2.5; with --correlation-only 3, with --refine 4.",
    "SD|auto",
    parse=parse_threshold,
)
BLOB_THRESHOLD = option(
    f"{_THRESHOLD}2; with --max-ridge inf or --method laplacian 3.",
    "SD|auto",
    parse=parse_threshold,
)
TARGET_PRECISION = option(
    "Instead of --threshold: the lowest one with this share of true picks, by the labels of "
    "--labelled or else by the fit of --threshold auto.",
    "P",
)
LABELLED = option(
    "For --target-precision: a pick list with decisions, made with the same picker (slabkit "
    "curate --keep all).",
    "PICKS",
)
MAX_PER_SLAB = option("Keep the N best of each slab.", "N")
MIN_DISTANCE = option(
    "Of two picks closer than this keep the better; default: half the larger diameter of the two.",
    "Å",
)
MAX_RIDGE = option(
    "Drop picks on a line (membrane, filament) that goes on at two sides and is so high as a "
    "share of the pick's own contrast; fainter lines lower the score. inf: off, for "
    "particles that sit in membranes.",
    "SHARE",
)
SLAB_CONTRAST = option("How protein looks in the slabs; default: as their table says.")
PNG = option("Also a picture of every slab with its picks.")
