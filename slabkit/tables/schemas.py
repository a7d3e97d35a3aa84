"""The columns of each table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["string", "integer", "real"]

SPECIES = (
    "ribosome",
    "virus-like-particle",
    "thyroglobulin",
    "beta-galactosidase",
    "apo-ferritin",
    "beta-amylase",
)
"""The species of the CZII challenge; a pick may have another name or none."""

DECISIONS = ("accepted", "rejected", "undecided")

MODEL_SOURCE = "model:"
"""What the source of labels begins with that a model predicted; its id follows."""

ROTATION = "slabkitRotation"
"""Extra column of picks and labels with nine numbers, comma-separated: the matrix, row by row, that
turns the reference (x, y, z) into the tomogram."""

PROBABILITY = "slabkitProbability_"
"""What columns of labels begin with that say how likely a pick is of a species, or ``none``."""


def probability_column(species: str) -> str:
    """Name the column of a species' probabilities; blanks, at which STAR labels end, are coded."""
    return PROBABILITY + species.replace(" ", "+20")


@dataclass(frozen=True)
class Column:
    """One column of a schema."""

    name: str  # name in memory and, after an underscore, on disk
    kind: Kind  # type of every value. Real values of required columns are finite.
    # Value where the column is missing; None makes the column required. An empty string means
    # "none" and is written so.
    default: str | int | float | None = None

    @property
    def required(self) -> bool:
        """Whether a table without this column is refused."""
        return self.default is None


@dataclass(frozen=True)
class Schema:
    """The columns of one table."""

    name: str  # what messages call the table
    columns: tuple[Column, ...]  # in the order they are written
    block: str  # of a STAR file
    written_by: str  # the hint of messages for another file

    def __getitem__(self, name: str) -> Column:
        """Look a column up by name.

        Raises `KeyError`: if there is none of that name.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def names(self) -> list[str]:
        """The column names, in order."""
        return [column.name for column in self.columns]

    @property
    def string_names(self) -> list[str]:
        """The names of the string columns."""
        return [column.name for column in self.columns if column.kind == "string"]


_NAN = float("nan")

SLABS = Schema(
    "slabs",
    (
        Column("rlnMicrographName", "string"),
        Column("rlnOpticsGroup", "integer", 1),
        Column("rlnTomoName", "string"),
        Column("slabkitTomogramFile", "string", ""),
        Column("slabkitZStart", "integer"),
        Column("slabkitZCount", "integer"),
        Column("slabkitVoxelSize", "real"),
        Column("slabkitThickness", "real", _NAN),
        Column("slabkitContrast", "string"),
        Column("slabkitTomogramContrast", "string"),
        Column("slabkitTomogramSizeX", "integer"),
        Column("slabkitTomogramSizeY", "integer"),
        Column("slabkitTomogramSizeZ", "integer"),
        Column("slabkitTomogramReading", "string", ""),
    ),
    block="micrographs",
    written_by="`slabkit slab` writes one",
)

PICKS2D = Schema(
    "picks2d",
    (
        Column("rlnMicrographName", "string"),
        Column("rlnCoordinateX", "real"),
        Column("rlnCoordinateY", "real"),
        Column("rlnAutopickFigureOfMerit", "real", _NAN),
        Column("rlnAnglePsi", "real", 0.0),
        Column("rlnClassNumber", "integer", 0),
        Column("slabkitDiameter", "real", _NAN),
        Column("slabkitScoreKind", "string", ""),
        Column("slabkitSpecies", "string", ""),
    ),
    block="particles",
    written_by="`slabkit pick` writes one",
)

TOMOGRAMS = Schema(
    "tomograms",
    (
        Column("slabkitTomogram", "string"),
        Column("slabkitTomogramFile", "string", ""),
        Column("slabkitTomogramSizeX", "integer", 0),
        Column("slabkitTomogramSizeY", "integer", 0),
        Column("slabkitTomogramSizeZ", "integer", 0),
        Column("slabkitVoxelSize", "real", _NAN),
        Column("slabkitTomogramContrast", "string", "dark"),
        Column("slabkitTomogramReading", "string", ""),
    ),
    block="tomograms",
    written_by="`slabkit map` and `slabkit convert` write one",
)

PICKS = Schema(
    "picks",
    (
        Column("slabkitPickId", "string"),
        Column("slabkitTomogram", "string"),
        Column("slabkitX", "real"),
        Column("slabkitY", "real"),
        Column("slabkitZ", "real"),
        Column("slabkitScore", "real", _NAN),
        Column("slabkitScoreKind", "string", ""),
        Column("slabkitSpecies", "string", ""),
        Column("slabkitDiameter", "real", _NAN),
        Column("slabkitDecision", "string", "undecided"),
        Column("slabkitConfidence", "real", _NAN),
        Column("slabkitZConfidence", "real", _NAN),
        Column("slabkitFlags", "string", ""),
        Column("slabkitSource", "string", ""),
        Column("slabkitSlabCount", "integer", 0),
    ),
    block="picks",
    written_by="`slabkit map` and `slabkit convert` write one",
)

MINISLABS = Schema(
    "minislabs",
    (
        Column("rlnMicrographName", "string"),
        Column("rlnCoordinateX", "real"),
        Column("rlnCoordinateY", "real"),
        Column("rlnImageName", "string", ""),
        Column("rlnOpticsGroup", "integer", 1),
        Column("rlnParticleName", "string"),
        Column("slabkitPickId", "string"),
        Column("slabkitTomogram", "string"),
        Column("slabkitTileRow", "integer"),
        Column("slabkitTileColumn", "integer"),
        Column("slabkitTilt", "real", 0.0),
        Column("slabkitInsideFraction", "real", 1.0),
        Column("slabkitGallerySet", "string", ""),
        # The place in the tomogram, in Å, that is at the image's centre.
        Column("slabkitCentreX", "real", _NAN),
        Column("slabkitCentreY", "real", _NAN),
        Column("slabkitCentreZ", "real", _NAN),
    ),
    block="particles",
    written_by="`slabkit minislab` writes one",
)

LABELS = Schema(
    "labels",
    (
        Column("slabkitPickId", "string"),
        Column("slabkitDecision", "string"),
        Column("slabkitClass", "string", ""),
        Column("slabkitScore", "real", _NAN),
        Column("slabkitSource", "string", ""),
        Column("slabkitRound", "string", ""),
        Column("slabkitAuthor", "string", ""),
        Column("slabkitSpecies", "string", ""),
        Column("slabkitScoreKind", "string", ""),
        # The image that was looked at, r3c4@GALLERY: row 3, column 4, counted from 0.
        Column("slabkitTile", "string", ""),
        # Where the result says that the particle lies in the tomogram, in Å.
        Column("slabkitCentreX", "real", _NAN),
        Column("slabkitCentreY", "real", _NAN),
        Column("slabkitCentreZ", "real", _NAN),
    ),
    block="labels",
    written_by="`slabkit label` writes one, and the pick list of `slabkit curate` holds them",
)

CONFLICTS = Schema(
    "conflicts",
    (
        Column("slabkitConflict", "string"),
        Column("slabkitPickId", "string"),
        Column("slabkitTomogram", "string"),
        Column("slabkitX", "real"),
        Column("slabkitY", "real"),
        Column("slabkitZ", "real"),
        Column("slabkitScore", "real", _NAN),
        Column("slabkitScoreKind", "string", ""),
        Column("slabkitSpecies", "string"),
        Column("slabkitDecision", "string", "undecided"),
        Column("slabkitDistance", "real", _NAN),
    ),
    block="conflicts",
    written_by="`slabkit conflicts` writes one",
)
"""One row a claim of a position; see `slabkit.curation.find_conflicts`."""

CONTRADICTIONS = Schema(
    "contradictions",
    (
        Column("slabkitPickId", "string"),
        Column("slabkitVotesAccepted", "integer"),
        Column("slabkitVotesRejected", "integer"),
        Column("slabkitVerdicts", "string"),
        Column("slabkitTile", "string", ""),
    ),
    block="contradictions",
    written_by="`slabkit agree` writes one",
)
"""One row a pick; see `slabkit.curation.Agreement`."""

SPLIT = Schema(
    "split",
    (
        Column("slabkitTomogram", "string"),
        Column("slabkitSubset", "string"),
        Column("slabkitBin", "integer", 0),
        Column("slabkitPicks", "integer", 0),
        Column("slabkitKSStatistic", "real", _NAN),
    ),
    block="split",
    written_by="`slabkit split` writes one",
)
"""One row a tomogram; see `slabkit.splitting.Split`."""
