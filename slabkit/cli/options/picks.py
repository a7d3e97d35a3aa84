"""What the commands that read picks of any format have to be told where the files do not say it."""

from __future__ import annotations

from slabkit.cli.options.declare import option

FORMATS = (
    "native csv ndjson copick relion5 relion4 relion5-picker relion3 dynamo stopgap em eman imod "
    "imod-model artiax artiax-tsv tomotwin cryolo-coords cryolo pytom warp warp-px deepfinder "
    "polnet slabpick"
)

BINNING = option("RELION, EMAN2, Warp: tomogram voxel size / tilt-series pixel size.", "N")
CENTRE = option("RELION 5: zero of its positions, in unbinned pixels.")
TOMOGRAM_NAME = option("Tomogram of picks that do not name theirs.", "NAME")
UNIT = option("Unit of x, y, z in CSV and PolNet; default Å.")
INDEX_BASE = option(
    "Dynamo, STOPGAP, EM: coordinate of the first voxel; default 1, as MATLAB has it.", "0|1"
)
TOMOGRAM_INDEX = option(
    "Dynamo, DeepFinder, STOPGAP, EM: which number is which tomogram: a .doc, tomolist or CSV with "
    "lines 'number path', or a .vll list of volumes.",
    "FILE",
)
CSV_COLUMNS = option(
    "CSV without a header line: its columns, as tomogram,x,y,z; - leaves one out.",
    "NAME,NAME...",
    flags="--columns",
)
FROM = option(
    f"Format of the picks to read, where their content does not say: {FORMATS}.",
    "FORMAT",
    flags="--from",
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
