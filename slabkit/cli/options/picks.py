"""What the commands that read picks of any format have to be told where the files do not say it."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from slabkit.cli.options import common
from slabkit.formats.picks.context import PickReading

FORMATS = (
    "native csv ndjson copick relion5 relion4 relion5-picker relion3 dynamo stopgap em eman imod "
    "imod-model artiax artiax-tsv tomotwin cryolo-coords cryolo pytom warp warp-px deepfinder "
    "polnet slabpick"
)

Binning = Annotated[
    float | None,
    typer.Option(
        metavar="N", help="RELION, EMAN2, Warp: tomogram voxel size / tilt-series pixel size."
    ),
]
Centre = Annotated[
    str,
    typer.Option(
        metavar="size/2|size/2-1",
        help="RELION 5: zero of its positions, in unbinned pixels.",
    ),
]
TomogramName = Annotated[
    str | None, typer.Option(metavar="NAME", help="Tomogram of picks that do not name theirs.")
]
Unit = Annotated[
    str | None,
    typer.Option(metavar="angstrom|px", help="Unit of x, y, z in CSV and PolNet; default Å."),
]
IndexBase = Annotated[
    int | None,
    typer.Option(
        metavar="0|1",
        help="Dynamo, STOPGAP, EM: coordinate of the first voxel; default 1, as MATLAB has it.",
        show_default=False,
    ),
]
TomogramIndex = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Dynamo, DeepFinder, STOPGAP, EM: which number is which tomogram: a .doc, tomolist or "
        "CSV with lines 'number path', or a .vll list of volumes.",
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="FORMAT",
        help=f"Format of the picks to read, where their content does not say: {FORMATS}.",
    ),
]


def pick_reading(
    from_: str | None,
    binning: float | None,
    centre: str,
    tomogram: str | None,
    unit: str | None,
    index_base: int | None,
    tomogram_index: str | None,
) -> PickReading:
    """Give what the options above say, the choices checked."""
    return PickReading(
        from_,
        binning,
        common.choice(centre, "--centre", Literal["size/2", "size/2-1"]),
        tomogram,
        common.choice(unit, "--unit", Literal["angstrom", "px"]),
        index_base,
        tomogram_index,
    )
