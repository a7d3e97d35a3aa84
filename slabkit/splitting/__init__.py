"""Data-set splits: tomograms shared out so that each subset has all species alike."""

from slabkit.splitting.split import PRESETS, Split, split_tomograms
from slabkit.splitting.subsets import parse_subsets

__all__ = ["PRESETS", "Split", "parse_subsets", "split_tomograms"]
