"""Pick lists pooled, and one pick kept of those that are the same particle."""

from slabkit.merging.merge import (
    BETWEEN,
    POSITIONS,
    PRESETS,
    MergeCounts,
    merge_picks,
    merge_tomograms,
)

__all__ = ["BETWEEN", "POSITIONS", "PRESETS", "MergeCounts", "merge_picks", "merge_tomograms"]
