"""copick: picks, segmentations, writing."""
