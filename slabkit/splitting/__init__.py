"""Data-set splits: tomograms shared out so that each subset has all species alike."""

from slabkit.splitting.split import PRESETS, Split, parse_subsets, split_tomograms

__all__ = ["PRESETS", "Split", "parse_subsets", "split_tomograms"]
