"""Picks against truth: precision, recall and F-beta, one to one or by the challenge's rule."""

from slabkit.scoring.intervals import ScoreIntervals, score_intervals
from slabkit.scoring.matching import (
    CZII_RADII,
    CZII_WEIGHTS,
    MATCH_FRACTION,
    canonical_species,
    known_species_radii,
    match_picks,
)
from slabkit.scoring.score import Score, score_curve, score_picks

__all__ = [
    "CZII_RADII",
    "CZII_WEIGHTS",
    "MATCH_FRACTION",
    "Score",
    "ScoreIntervals",
    "canonical_species",
    "known_species_radii",
    "match_picks",
    "score_curve",
    "score_intervals",
    "score_picks",
]
