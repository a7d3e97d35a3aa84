"""2D picks of CryoSPARC on slabs: Topaz, Inspect Picks, blob and template pickers, extraction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from slabkit.formats.file_format import FileFormat, Slabs, checked, pooled
from slabkit.formats.programs.cryosparc.dataset import NUMPY_MAGIC, STREAM_MAGIC
from slabkit.formats.programs.cryosparc.describing import describe
from slabkit.formats.programs.cryosparc.group import is_group
from slabkit.formats.programs.cryosparc.joining import read_particles, referenced_files
from slabkit.formats.programs.cryosparc.particles import Particles
from slabkit.formats.programs.cryosparc.results import read_cryosparc
from slabkit.formats.source import Source

if TYPE_CHECKING:
    import pandas as pd


def _sniff(source: Source) -> bool:
    return source.data.startswith((NUMPY_MAGIC, STREAM_MAGIC)) or is_group(source.where)


def _read(sources: Sequence[Source], slabs: Slabs) -> pd.DataFrame:
    return pooled([_one(part, slabs) for part in read_particles(sources)])


def _one(part: Particles, slabs: Slabs) -> pd.DataFrame:
    import pandas as pd

    part.require(["location/micrograph_path"], "it is not known where the particles are")
    paths = [path.lstrip(">") for path in part.texts("location/micrograph_path")]
    known = slabs.names.match(paths, part.where)
    names = [known[path] for path in paths]
    sizes = [slabs.values(f"slabkitTomogramSize{axis}", names) for axis in "YX"]
    x, y = part.places([(int(h), int(w)) for h, w in zip(*sizes, strict=True)], "slabs")
    found = {"rlnMicrographName": names, "rlnCoordinateX": x, "rlnCoordinateY": y}
    table = pd.DataFrame(found, index=range(len(part)))
    score, classes = part.scores(), part.classes()
    if score is not None:
        table["rlnAutopickFigureOfMerit"], table["slabkitScoreKind"] = score
    if classes is not None:
        table["rlnClassNumber"] = [int(number) for number in classes]
    return checked(table, part.where)


DATASET = FileFormat(
    name="cryosparc",
    title="CryoSPARC picks or particles (.cs, or .csg of an output)",
    unit="fraction of the slab",
    origin="centre of the first pixel",
    sniff=_sniff,
    read_picks2d=_read,
    read_results=read_cryosparc,
    describe=describe,
    y_settled=False,
    files=referenced_files,
)
