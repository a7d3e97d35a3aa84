"""Labels into the pick list: votes, confidence, agreement, second looks, conflicts, history."""

from slabkit.curation.agreement import Agreement, cohen_kappa, fleiss_kappa, measure_agreement
from slabkit.curation.conflicts import conflict_positions, find_conflicts, settle_conflicts
from slabkit.curation.curating import KEEPS, Curation, Keep, curate_picks
from slabkit.curation.history import find_pick, pick_history
from slabkit.curation.rescue import rescue_picks
from slabkit.curation.statistics import PickStatistics, pick_statistics
from slabkit.curation.suggesting import Suggestion, suggest_labels
from slabkit.curation.votes import POLICIES, Policy, confidence_rule

__all__ = [
    "KEEPS",
    "POLICIES",
    "Agreement",
    "Curation",
    "Keep",
    "PickStatistics",
    "Policy",
    "Suggestion",
    "cohen_kappa",
    "confidence_rule",
    "conflict_positions",
    "curate_picks",
    "find_conflicts",
    "find_pick",
    "fleiss_kappa",
    "measure_agreement",
    "pick_history",
    "pick_statistics",
    "rescue_picks",
    "settle_conflicts",
    "suggest_labels",
]
