"""Results of other programs and of people on minislabs, turned into labels of picks."""

from slabkit.labels.deciding import (
    candidate_probability,
    decide_by_quality,
    parse_classes,
    particle_probability,
    score_family,
)
from slabkit.labels.joining import Join, join_results
from slabkit.labels.labelling import LabelReport, label_minislabs

__all__ = [
    "Join",
    "LabelReport",
    "candidate_probability",
    "decide_by_quality",
    "join_results",
    "label_minislabs",
    "parse_classes",
    "particle_probability",
    "score_family",
]
