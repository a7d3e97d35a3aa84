"""2D picks on slabs to 3D picks: depths from the tomogram, hits of overlapping slabs merged."""

from slabkit.mapping.joining import match_micrographs, tomogram_table
from slabkit.mapping.picks import MapCounts, map_picks

__all__ = ["MapCounts", "map_picks", "match_micrographs", "tomogram_table"]
