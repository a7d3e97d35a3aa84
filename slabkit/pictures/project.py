"""What the page of a project shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.arrays.tiling import GalleryLayout
from slabkit.tomogram import Tomogram

if TYPE_CHECKING:
    import pandas as pd


FATES = {
    "dropped": "picked, then dropped",
    "named otherwise": "picked as another species",
    "never picked": "never picked",
}
"""Why a true particle has no accepted pick."""


@dataclass(frozen=True)
class ClassSet:
    """The 2D classes of one classification."""

    source: str  # of which file
    averages: npt.NDArray[Any]  # shape (classes, y, x); class n is number n + 1
    images: Sequence[int]  # how many each has
    resolution: Sequence[float]  # Å
    quality: Sequence[float]
    names: Sequence[str]  # by density maps; "" for none
    members: Mapping[int, Sequence[str]]  # class number to ids of picks


@dataclass(frozen=True)
class GallerySet:
    """The galleries of one set of minislabs."""

    source: str
    table: pd.DataFrame  # columns of `slabkit.tables.MINISLABS`
    layout: GalleryLayout


@dataclass(frozen=True)
class Truth:
    """The picks against the truth."""

    command: str  # that gives the same score; empty if none does
    table: pd.DataFrame  # columns of `slabkit.tables.PICKS`
    # Of each species, and of all: title of the picks to table and totals of `slabkit.score_picks`
    scores: Mapping[str, tuple[pd.DataFrame, Mapping[str, float]]]
    curve: pd.DataFrame | None  # of `slabkit.score_curve`
    found: npt.NDArray[np.object_]  # shape (picks,): species of the particle that each is, or ""
    # Shape (particles,): "found", or why not: `FATES`
    fate: npt.NDArray[np.object_]
    radii: Mapping[str, float]  # Å, by species
    note: str = ""


@dataclass(frozen=True)
class Project:
    """Everything that the page shows; what there is none of is empty or None."""

    title: str
    slabs: pd.DataFrame | None
    hits: int | None  # 2D picks that were mapped
    picks: pd.DataFrame | None  # every pick once, with the decision that holds; ``labelled``
    merged: int | None  # picks that `slabkit merge` took for the same particle as another
    curated: bool  # whether there is a curated list, which says what is accepted
    tomograms: Sequence[str]
    tomogram: Tomogram | None  # of which the depths are shown
    read_slab: Callable[[Any], npt.NDArray[Any]]  # row of `slabs` to its image ``(y, x)``
    read_gallery: Callable[[str], npt.NDArray[Any]]  # path of a gallery to its image
    galleries: Sequence[GallerySet]
    classes: Sequence[ClassSet]
    # Of `slabkit.pick_statistics`
    counts: pd.DataFrame | None
    measured: pd.DataFrame | None
    labelling: pd.DataFrame | None
    truth: Truth | None
    missing: Sequence[tuple[str, str]]  # what is not there, and the command that makes it
    notes: Sequence[str]  # what else a reader has to know
    commands: Sequence[str]
    files: Sequence[tuple[str, str]]  # each file, and what it was taken for
