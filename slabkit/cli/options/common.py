"""Options that many commands share."""

from __future__ import annotations

from slabkit.cli.help import RUNNING, VOLUMES
from slabkit.cli.options.declare import argument, option
from slabkit.cli.options.values import folder, parse_layout

OUT_TABLE = option("Table to write; - for standard output.", "TABLE", flags="--out -o")
OUT_FOLDER = option("Folder to write to.", "DIR", flags="--out -o", parse=folder)
TILES_OR_SLABS = argument("The minislabs' table, or a slab table.", "TABLE")
OVERWRITE = option("Replace results that exist.", rich_help_panel=RUNNING)
UPDATE = option(
    "Skip what is the same; replace what this command made with other inputs or parameters.",
    rich_help_panel=RUNNING,
)
JOBS = option("Workers; 0: one a processor.", min=0, rich_help_panel=RUNNING)
DEVICE = option(
    "cuda: a graphics card, by PyTorch (extra gpu).", "cpu|cuda", rich_help_panel=RUNNING
)
DEVICE_MEMORY = option(
    "Of a graphics card: about how much of its memory to use; default: 4.",
    "GB",
    rich_help_panel=RUNNING,
)
QUIET = option("Say nothing but warnings and errors.", rich_help_panel=RUNNING)
JSON = option(
    "One JSON object on standard output, for scripts.", flags="--json", rich_help_panel=RUNNING
)
CONTRAST = option(
    "How protein looks in the tomogram; default: as recorded, else dark.", rich_help_panel=VOLUMES
)
VOXEL_SIZE = option("Voxel size, where the file's is wrong.", "Å", rich_help_panel=VOLUMES)
TOMO_TYPE = option(
    "copick:CONFIG.json: which tomograms (wbp, denoised...); --voxel-size says the spacing.",
    "NAME",
    rich_help_panel=VOLUMES,
)
TILES = option("Tiles in a gallery.", "ROWSxCOLUMNS", parse=parse_layout, default="16x15")
PNG = option("Also a picture of each gallery.")
AXIS_ORDER = option(
    "What the file's axes are, slowest first, whatever it says; yzx for an IMOD volume that "
    "was not rotated.",
    "zyx",
    rich_help_panel=VOLUMES,
)
FLIP_Z = option("Read the planes from the last to the first.", rich_help_panel=VOLUMES)
UINT8 = option(
    "Bytes in MRC files are unsigned; default: as IMOD's flags say.",
    flags="--uint8/--int8",
    rich_help_panel=VOLUMES,
)
LEVEL = option("Resolution level of an OME-Zarr.", kind=int, min=0, rich_help_panel=VOLUMES)
ALLOW_MISSING_CHUNKS = option(
    "Read missing chunks of an OME-Zarr as empty.",
    flags="--allow-missing-chunks",
    rich_help_panel=VOLUMES,
)
FILL_NONFINITE = option(
    "Replace NaN and infinite voxels by the median instead of stopping.", rich_help_panel=VOLUMES
)
HALF = option(
    "Of half maps (RELION's tomograms.star, or files so named): one, or their sum.",
    rich_help_panel=VOLUMES,
)

FRAME = {"overwrite": OVERWRITE, "update": UPDATE, "quiet": QUIET, "json_": JSON}
FRAME_WITH_JOBS = {**FRAME, "jobs": JOBS}
