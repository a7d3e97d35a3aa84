"""slabkit: pick particles in cryo-electron tomograms with 2D tools, exactly.

The functions below are the steps of the pipeline; each takes and gives arrays, `Tomogram` objects
and tables (`pandas.DataFrame`, columns as in ``docs/conventions.md``). Nothing is imported before
it is used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # without the module typing, which takes as long as all else here
if TYPE_CHECKING:
    from typing import Any

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
    "learn_species",
    "map_evidence",
    "map_picks",
    "map_templates",
    "map_views",
    "measure_agreement",
    "merge_picks",
    "name_averages",
    "name_picks",
    "open_tomogram",
    "pick_blobs",
    "pick_history",
    "pick_segmentation",
    "pick_statistics",
    "pick_templates",
    "plan_slabs",
    "predict_species",
    "project_minislabs",
    "project_slabs",
    "read_labels",
    "read_minislabs",
    "read_particle_images",
    "read_picks",
    "read_picks2d",
    "read_results",
    "read_reviews",
    "read_slabs",
    "read_tilt_range",
    "recorded_labels",
    "rescue_picks",
    "rotate_map",
    "score_by_maps",
    "score_curve",
    "score_intervals",
    "score_picks",
    "settle_conflicts",
    "simulate_tomogram",
    "split_tomograms",
    "stack_minislabs",
    "suggest_labels",
    "threshold_for_precision",
    "with_repeats",
    "write_labels",
    "write_minislabs",
    "write_picks",
    "write_picks2d",
    "write_slabs",
]

# Public names by the module that they are in.
_NAMES = {
    "classification": "Classification ClassificationSettings classify_images name_averages "
    "with_repeats",
    "curation": "curate_picks find_conflicts measure_agreement pick_history pick_statistics "
    "rescue_picks settle_conflicts suggest_labels",
    "errors": "SlabkitError SlabkitWarning",
    "execution.labelling_speed": "labelling_pace",
    "formats.particle_images": "read_particle_images",
    "formats.picks.reading": "read_picks",
    "formats.picks.writing": "write_picks",
    "formats.results": "read_results",
    "formats.review_log": "read_reviews",
    "formats.tables.native": "PickList read_labels read_minislabs read_picks2d read_slabs "
    "write_labels write_minislabs write_picks2d write_slabs",
    "formats.tomograms.tilts": "read_tilt_range",
    "formats.volumes.opening": "open_tomogram",
    "labels": "label_minislabs",
    "learning": "learn_species predict_species",
    "learning.map_evidence": "map_evidence",
    "learning.map_naming": "name_picks score_by_maps",
    "learning.rotated_maps": "rotate_map",
    "mapping": "map_picks",
    "merging": "merge_picks",
    "minislabs": "project_minislabs stack_minislabs",
    "minislabs.galleries": "GalleryLayout",
    "picking.blob": "find_blobs pick_blobs",
    "picking.segmentation": "pick_segmentation",
    "picking.template": "find_templates image_templates map_templates pick_templates",
    "picking.template_views": "map_views",
    "picking.thresholds": "fit_threshold threshold_for_precision",
    "scoring": "score_curve score_intervals score_picks",
    "simulation": "simulate_tomogram",
    "slabs.faces": "find_faces",
    "slabs.projection": "plan_slabs project_slabs",
    "splitting": "split_tomograms",
    "tables": "recorded_labels",
    "tomogram": "Tomogram",
}
_HOMES = {name: f"slabkit.{home}" for home, names in _NAMES.items() for name in names.split()}


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
    from slabkit.classification import (
        Classification,
        ClassificationSettings,
        classify_images,
        name_averages,
        with_repeats,
    )
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
    from slabkit.formats.picks.reading import read_picks
    from slabkit.formats.picks.writing import write_picks
    from slabkit.formats.results import read_results
    from slabkit.formats.review_log import read_reviews
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
    from slabkit.formats.tomograms.tilts import read_tilt_range
    from slabkit.formats.volumes.opening import open_tomogram
    from slabkit.labels import label_minislabs
    from slabkit.learning import learn_species, predict_species
    from slabkit.learning.map_evidence import map_evidence
    from slabkit.learning.map_naming import name_picks, score_by_maps
    from slabkit.learning.rotated_maps import rotate_map
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
    from slabkit.picking.template_views import map_views
    from slabkit.picking.thresholds import fit_threshold, threshold_for_precision
    from slabkit.scoring import score_curve, score_intervals, score_picks
    from slabkit.simulation import simulate_tomogram
    from slabkit.slabs.faces import find_faces
    from slabkit.slabs.projection import plan_slabs, project_slabs
    from slabkit.splitting import split_tomograms
    from slabkit.tables import recorded_labels
    from slabkit.tomogram import Tomogram
