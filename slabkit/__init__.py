"""slabkit: pick particles in cryo-electron tomograms with 2D tools, exactly.

The functions below are the steps of the pipeline; each takes and gives arrays, `Tomogram` objects
and tables (`pandas.DataFrame`, columns as in ``docs/conventions.md``). Nothing is imported before
it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "Classification",
    "ClassificationSettings",
    "GalleryLayout",
    "PickList",
    "SlabkitError",
    "SlabkitWarning",
    "Tomogram",
    "classify_images",
    "curate_picks",
    "find_blobs",
    "find_conflicts",
    "find_faces",
    "find_templates",
    "fit_threshold",
    "image_templates",
    "label_minislabs",
    "labelling_pace",
    "map_picks",
    "map_templates",
    "measure_agreement",
    "merge_picks",
    "open_tomogram",
    "pick_blobs",
    "pick_history",
    "pick_segmentation",
    "pick_statistics",
    "pick_templates",
    "plan_slabs",
    "project_minislabs",
    "project_slabs",
    "read_labels",
    "read_minislabs",
    "read_particle_images",
    "read_picks",
    "read_picks2d",
    "read_results",
    "read_slabs",
    "recorded_labels",
    "rescue_picks",
    "score_curve",
    "score_intervals",
    "score_picks",
    "settle_conflicts",
    "simulate_tomogram",
    "split_tomograms",
    "stack_minislabs",
    "suggest_labels",
    "threshold_for_precision",
    "write_labels",
    "write_minislabs",
    "write_picks",
    "write_picks2d",
    "write_slabs",
]

_HOMES = {
    "Classification": "slabkit.classification",
    "ClassificationSettings": "slabkit.classification",
    "GalleryLayout": "slabkit.minislabs.galleries",
    "PickList": "slabkit.formats.tables.native",
    "SlabkitError": "slabkit.errors",
    "SlabkitWarning": "slabkit.errors",
    "Tomogram": "slabkit.tomogram",
    "classify_images": "slabkit.classification",
    "curate_picks": "slabkit.curation",
    "find_blobs": "slabkit.picking.blob",
    "find_conflicts": "slabkit.curation",
    "find_faces": "slabkit.slabs.faces",
    "find_templates": "slabkit.picking.template",
    "image_templates": "slabkit.picking.template",
    "fit_threshold": "slabkit.picking.thresholds",
    "label_minislabs": "slabkit.labels",
    "labelling_pace": "slabkit.execution.labelling_speed",
    "map_picks": "slabkit.mapping",
    "map_templates": "slabkit.picking.template",
    "measure_agreement": "slabkit.curation",
    "merge_picks": "slabkit.merging",
    "open_tomogram": "slabkit.formats.volumes.opening",
    "pick_blobs": "slabkit.picking.blob",
    "pick_history": "slabkit.curation",
    "pick_statistics": "slabkit.curation",
    "pick_templates": "slabkit.picking.template",
    "pick_segmentation": "slabkit.picking.segmentation",
    "plan_slabs": "slabkit.slabs.projection",
    "project_minislabs": "slabkit.minislabs",
    "project_slabs": "slabkit.slabs.projection",
    "read_labels": "slabkit.formats.tables.native",
    "read_minislabs": "slabkit.formats.tables.native",
    "read_particle_images": "slabkit.formats.particle_images",
    "read_picks": "slabkit.formats.picks.reading",
    "read_picks2d": "slabkit.formats.tables.native",
    "read_results": "slabkit.formats.results",
    "read_slabs": "slabkit.formats.tables.native",
    "recorded_labels": "slabkit.tables",
    "rescue_picks": "slabkit.curation",
    "score_curve": "slabkit.scoring",
    "score_intervals": "slabkit.scoring",
    "score_picks": "slabkit.scoring",
    "settle_conflicts": "slabkit.curation",
    "simulate_tomogram": "slabkit.simulation",
    "split_tomograms": "slabkit.splitting",
    "stack_minislabs": "slabkit.minislabs",
    "suggest_labels": "slabkit.curation",
    "threshold_for_precision": "slabkit.picking.thresholds",
    "write_labels": "slabkit.formats.tables.native",
    "write_minislabs": "slabkit.formats.tables.native",
    "write_picks": "slabkit.formats.picks.reading",
    "write_picks2d": "slabkit.formats.tables.native",
    "write_slabs": "slabkit.formats.tables.native",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'slabkit' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


if TYPE_CHECKING:
    from slabkit.classification import Classification, ClassificationSettings, classify_images
    from slabkit.curation import (
        curate_picks,
        find_conflicts,
        measure_agreement,
        pick_history,
        pick_statistics,
        rescue_picks,
        settle_conflicts,
        suggest_labels,
    )
    from slabkit.errors import SlabkitError, SlabkitWarning
    from slabkit.execution.labelling_speed import labelling_pace
    from slabkit.formats.particle_images import read_particle_images
    from slabkit.formats.picks.reading import read_picks, write_picks
    from slabkit.formats.results import read_results
    from slabkit.formats.tables.native import (
        PickList,
        read_labels,
        read_minislabs,
        read_picks2d,
        read_slabs,
        write_labels,
        write_minislabs,
        write_picks2d,
        write_slabs,
    )
    from slabkit.formats.volumes.opening import open_tomogram
    from slabkit.labels import label_minislabs
    from slabkit.mapping import map_picks
    from slabkit.merging import merge_picks
    from slabkit.minislabs import project_minislabs, stack_minislabs
    from slabkit.minislabs.galleries import GalleryLayout
    from slabkit.picking.blob import find_blobs, pick_blobs
    from slabkit.picking.segmentation import pick_segmentation
    from slabkit.picking.template import (
        find_templates,
        image_templates,
        map_templates,
        pick_templates,
    )
    from slabkit.picking.thresholds import fit_threshold, threshold_for_precision
    from slabkit.scoring import score_curve, score_intervals, score_picks
    from slabkit.simulation import simulate_tomogram
    from slabkit.slabs.faces import find_faces
    from slabkit.slabs.projection import plan_slabs, project_slabs
    from slabkit.splitting import split_tomograms
    from slabkit.tables import recorded_labels
    from slabkit.tomogram import Tomogram
