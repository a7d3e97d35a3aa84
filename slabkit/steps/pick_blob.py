"""Blobs on slabs: 2D picks by the rims of particles of a range of diameters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from slabkit.execution.frame import Frame, Work
from slabkit.steps.shared.slab_picking import Find, SlabPicking, pick_on_slabs
from slabkit.steps.shared.thresholds import choose_threshold

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Options(SlabPicking):
    """The options of ``slabkit pick blob``; see also `slabkit.pick_blobs`."""

    diameter: tuple[float, float]
    max_elongation: float = 4.0
    max_ridge: float = 0.7
    method: Literal["rims", "laplacian"] = "rims"


def run(options: Options, frame: Frame) -> None:
    """Find the blobs and write the table of 2D picks."""
    from slabkit.picking.blob import BlobLimits, default_threshold, pick_blobs
    from slabkit.picking.blob_search import diameter_ladder

    lowest = default_threshold(options.method, options.max_ridge)
    choice = choose_threshold(
        options.threshold,
        options.target_precision,
        options.labelled,
        f"blob-{options.method}",
        lowest,
    )
    diameter_ladder(options.diameter)
    BlobLimits(
        choice.to_find,
        options.max_per_slab,
        options.min_distance,
        options.max_elongation,
        options.max_ridge,
    )

    def find(images: Iterable[Any], slabs: pd.DataFrame, most: int | None) -> pd.DataFrame:
        return pick_blobs(
            images,
            slabs,
            diameter=options.diameter,
            threshold=choice.to_find,
            max_per_slab=most,
            min_distance=options.min_distance,
            max_elongation=options.max_elongation,
            max_ridge=options.max_ridge,
            method=options.method,
            species=options.species,
            contrast=options.contrast,
            jobs=frame.workers,
        )

    def prepare(work: Work) -> Find:
        return find

    pick_on_slabs("pick blob", options, choice, frame, prepare)
