"""What the commands that read picks of any format have to be told where the files do not say it."""

from __future__ import annotations

from slabkit.cli.help import LISTS
from slabkit.cli.options.completion import FORMATS
from slabkit.cli.options.declare import option

BINNING = option(
    "RELION, EMAN2, Warp: tomogram voxel size / tilt-series pixel size.", "N", rich_help_panel=LISTS
)
CENTRE = option("RELION 5: zero of its positions, in unbinned pixels.", rich_help_panel=LISTS)
TOMOGRAM_NAME = option("Tomogram of picks that do not name theirs.", "NAME", rich_help_panel=LISTS)
UNIT = option("Unit of x, y, z in CSV and PolNet; default Å.", rich_help_panel=LISTS)
INDEX_BASE = option(
    "Dynamo, STOPGAP, EM: coordinate of the first voxel; default 1, as MATLAB has it.",
    "0|1",
    rich_help_panel=LISTS,
)
TOMOGRAM_INDEX = option(
    "Dynamo, DeepFinder, STOPGAP, EM: which number is which tomogram: a .doc, tomolist or CSV with "
    "lines 'number path', or a .vll list of volumes.",
    "FILE",
    rich_help_panel=LISTS,
)
CSV_COLUMNS = option(
    "CSV without a header line: its columns, as tomogram,x,y,z; - leaves one out.",
    "NAME,NAME...",
    flags="--columns",
    rich_help_panel=LISTS,
)
FROM = option(
    f"Format of the picks to read, where their content does not say: {FORMATS}.",
    "FORMAT",
    flags="--from",
    rich_help_panel=LISTS,
)

READING = {
    "format": FROM,
    "binning": BINNING,
    "centre": CENTRE,
    "tomogram": TOMOGRAM_NAME,
    "unit": UNIT,
    "index_base": INDEX_BASE,
    "tomogram_index": TOMOGRAM_INDEX,
    "csv_columns": CSV_COLUMNS,
}
