"""Picks against truth: precision, recall and F-beta, one to one or by the challenge's rule."""

from slabkit.scoring.curves import score_curve
from slabkit.scoring.intervals import ScoreIntervals, score_intervals
from slabkit.scoring.matching import MATCH_FRACTION, match_picks
from slabkit.scoring.score import Score, score_picks
from slabkit.scoring.species import (
    CZII_RADII,
    CZII_WEIGHTS,
    canonical_species,
    known_species_radii,
)

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
