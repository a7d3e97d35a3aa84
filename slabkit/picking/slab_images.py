"""What every picker on slabs does: check images and table, keep the best candidates, make rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from slabkit.arrays.checks import checked_image
from slabkit.arrays.suppression import suppress_neighbours
from slabkit.errors import InputError, warn
from slabkit.tables import PICKS2D, make_table
from slabkit.units import Contrast, positive_length

if TYPE_CHECKING:
    import pandas as pd

Floats: TypeAlias = npt.NDArray[np.float64]
Indices: TypeAlias = npt.NDArray[np.int64]

_REMEDY = "; make the slab again with --fill-nonfinite median"
LOWEST_SCORE = float(np.finfo(np.float64).tiny)
"""Picks have positive scores, whatever the threshold."""


@dataclass(frozen=True)
class SlabSet:
    """The slabs of one tomogram."""

    names: list[str]  # micrograph names, in the order of the table
    pixel_size: float  # in Å
    contrast: Contrast  # how protein looks in the slabs

    @classmethod
    def from_table(cls, slabs: pd.DataFrame, contrast: Contrast | None) -> SlabSet:
        """Read a slab table of one tomogram; a given contrast overrides that of the table."""
        for column in ("rlnTomoName", "slabkitVoxelSize", "slabkitContrast"):
            if slabs[column].nunique() > 1:
                some = ", ".join(map(str, slabs[column].unique()[:3]))
                raise InputError(
                    f"the slabs differ in {column} ({some}); pick them tomogram by tomogram."
                )
        return cls(
            [str(name) for name in slabs["rlnMicrographName"]],
            positive_length(float(slabs["slabkitVoxelSize"].iloc[0]), "the voxel size"),
            slabs["slabkitContrast"].iloc[0] if contrast is None else contrast,
        )

    def checked_images(self, images: Iterable[npt.NDArray[Any]]) -> Iterator[npt.NDArray[Any]]:
        """Check one image for each slab."""
        iterator = iter(images)
        for number, name in enumerate(self.names):
            try:
                image = next(iterator)
            except StopIteration:
                raise InputError(
                    f"the slab table has {len(self.names)} slabs, but there are only {number} "
                    "images."
                ) from None
            yield checked_image(image, name, _REMEDY)
        if next(iterator, None) is not None:
            raise InputError(
                f"there are more images than the {len(self.names)} slabs of the table."
            )

    def warn_of_constant(self, constant: Sequence[bool]) -> None:
        """Warn once where slabs are constant; three calls below the user's."""
        found = [name for name, flag in zip(self.names, constant, strict=True) if flag]
        if found:
            warn(
                f"{len(found)} of {len(self.names)} slabs are constant and have no picks, the "
                f"first {found[0]}."
            )

    def picks_table(self, picks: Sequence[Found], **columns: Any) -> pd.DataFrame:
        """Make the table (`slabkit.tables.PICKS2D`) of what was found in each slab."""
        names = [name for name, own in zip(self.names, picks, strict=True) for _ in own.x_px]
        return make_table(
            PICKS2D,
            {
                "rlnMicrographName": names,
                "rlnCoordinateX": np.concatenate([own.x_px for own in picks]),
                "rlnCoordinateY": np.concatenate([own.y_px for own in picks]),
                "rlnAutopickFigureOfMerit": np.concatenate([own.score for own in picks]),
                "slabkitDiameter": np.concatenate([own.diameter for own in picks]),
                **columns,
            },
        )


class Found(Protocol):
    """What was found in one image; one element each in every array."""

    @property
    def x_px(self) -> Floats:
        """Pixels, 0 = centre of the first."""

    @property
    def y_px(self) -> Floats:
        """Pixels, 0 = centre of the first."""

    @property
    def score(self) -> Floats:
        """In robust standard deviations."""

    @property
    def diameter(self) -> Floats:
        """In Å."""


@dataclass(frozen=True)
class Limits:
    """Limits that every picker has; those that make no sense are refused."""

    threshold: float  # lowest score, in standard deviations
    max_count: int | None  # keep so many of the best of an image
    min_distance: float | None  # between picks, Å; None: by their diameters

    def __post_init__(self) -> None:
        if not math.isfinite(self.threshold):
            raise InputError(f"--threshold must be a number, not {self.threshold!r}.")
        if self.max_count is not None and self.max_count < 1:
            raise InputError(f"--max-per-slab must be at least 1, not {self.max_count}.")
        if self.min_distance is not None and not (0 <= self.min_distance < math.inf):
            raise InputError(f"--min-distance must be 0 Å or more, not {self.min_distance:g}.")

    @property
    def lowest(self) -> float:
        """The lowest score that is kept."""
        return max(self.threshold, LOWEST_SCORE)

    def best(
        self,
        y_px: Floats,
        x_px: Floats,
        reach: Floats,
        pixel_size: float,
        score: Floats,
        lowered: Callable[[Indices], Floats] | None,
    ) -> tuple[Indices, Floats]:
        """Keep the best of candidates that are closer than the larger of their reaches (Å).

        ``lowered`` gives the final scores, not above ``score``, of candidates by index. Gives the
        indices, best first, and their final scores.
        """
        if self.min_distance is not None:
            reach = np.full(len(score), self.min_distance)
        places = np.column_stack([x_px, y_px]) * pixel_size
        kept, best = suppress_neighbours(places, reach, score, lowered, self.lowest)
        order = np.lexsort([y_px[kept], x_px[kept], -best])[: self.max_count]
        return kept[order], best[order]


def check_max_ridge(max_ridge: float) -> None:
    """Check the height of a line, as a share of a pick's contrast, at which the pick is dropped."""
    if not max_ridge > 0:
        raise InputError(
            f"--max-ridge must be above 0 (inf: lines do not matter), not {max_ridge:g}."
        )


def lowered_by_lines(score: Floats, height: Floats, contrast: Floats, max_ridge: float) -> Floats:
    """Lower scores by the square of the height of lines that run past, as a share of the most."""
    share = height / contrast / max_ridge
    return np.asarray(score * np.maximum(1 - share**2, 0.0), dtype=np.float64)
