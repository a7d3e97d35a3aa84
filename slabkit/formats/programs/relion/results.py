"""RELION's particle STAR files as results: which minislabs were kept, their classes and shifts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError, warn
from slabkit.formats.file_format import FileFormat
from slabkit.formats.programs.shared.relion_star import SHIFTS, SHIFTS_PX, shifts
from slabkit.formats.programs.shared.result_values import (
    pooled_results,
    require_key,
    typed_results,
)
from slabkit.formats.programs.shared.values import optional_numbers
from slabkit.formats.source import Source
from slabkit.tables import PROBABILITY, ROTATION, names_listed

if TYPE_CHECKING:
    import pandas as pd

_CLASS_PROBABILITY = "rlnMaxValueProbDistribution"
_SCORE_COLUMNS = ("slabkitScore", "rlnAutopickFigureOfMerit", _CLASS_PROBABILITY)
_KEPT_FROM_STAR = (
    "slabkitPickId",
    "rlnParticleName",
    "rlnImageName",
    "rlnMicrographName",
    "slabkitTileRow",
    "slabkitTileColumn",
    "rlnCoordinateX",
    "rlnCoordinateY",
    "slabkitDecision",
    "slabkitSpecies",
    "slabkitTilt",
    "slabkitGallerySet",
    "slabkitScoreKind",
)
_KEPT_FROM_LABELS = ("slabkitSource", ROTATION)
_MAY_BE_NONE = (
    "slabkitPickId",
    "rlnParticleName",
    "slabkitSpecies",
    "slabkitGallerySet",
    "slabkitScoreKind",
    *_KEPT_FROM_LABELS,
)


def read_relion_results(source: Source) -> pd.DataFrame:
    """Read a particle STAR: a selection, the result of a classification, slabkit's own."""
    import pandas as pd

    where, blocks = source.where, source.blocks
    name = next((name for name in ("particles", "images", "labels", "") if name in blocks), None)
    if name is None:
        raise InputError(
            f"{where}: has no block data_particles (it has {names_listed(blocks)}), so it is not a "
            "RELION particle STAR."
        )
    block = blocks[name]
    found = {c: block[c].tolist() for c in _KEPT_FROM_STAR if c in block.columns}
    places = {}
    if name == "labels":  # whose predictions stay predictions, with their poses
        found |= {c: block[c].tolist() for c in _KEPT_FROM_LABELS if c in block.columns}
        centres = [c for c in block.columns if c.startswith("slabkitCentre")]
        places = {c: optional_numbers(block[c].tolist(), c, where) for c in centres}
    if "rlnClassNumber" in block.columns:
        found["slabkitClass"] = block["rlnClassNumber"].tolist()
    score = next((column for column in _SCORE_COLUMNS if column in block.columns), None)
    if score is not None:
        found["slabkitScore"] = block[score].tolist()
        if score != "slabkitScore":
            found["slabkitScoreKind"] = [score] * len(block)
    probable = [c for c in block.columns if c == _CLASS_PROBABILITY or c.startswith(PROBABILITY)]
    for column in _MAY_BE_NONE:
        if column in found:
            found[column] = ["" if value == "none" else value for value in found[column]]
    require_key(found, where, [str(column) for column in block.columns])
    numbers = {c: optional_numbers(block[c].tolist(), c, where) for c in probable}
    values = typed_results(found, where) | numbers | places | _shifts(block, where)
    return pd.DataFrame(values, index=range(len(block)))


def _shifts(block: pd.DataFrame, where: str) -> dict[str, Any]:
    """Give where the particle's centre lies from its image's, in Å; RELION's origin is opposite."""
    if not set(SHIFTS[:2]) <= set(block.columns):
        in_px = [label for label in SHIFTS_PX[:2] if label in block.columns]
        if shifts(block, in_px, where).any():
            warn(
                f"{where}: has shifts in pixels ({', '.join(in_px)}), as RELION 3.0 wrote; they "
                "are left out."
            )
        return {}
    names = ("slabkitShiftX", "slabkitShiftY")
    return dict(zip(names, 0.0 - shifts(block, SHIFTS[:2], where).T, strict=True))


RESULTS = FileFormat(
    name="relion",
    title="RELION's particle STAR, and slabkit's classified.star",
    sniff=lambda source: source.is_star,
    read_results=pooled_results(read_relion_results),
)
