"""Pick lists pooled, and one pick kept of those that are the same particle."""

from slabkit.merging.merge import PRESETS, MergeCounts, merge_picks, merge_tomograms

__all__ = ["PRESETS", "MergeCounts", "merge_picks", "merge_tomograms"]
