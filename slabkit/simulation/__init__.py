"""Simulated tomograms with known particles, for tests, demonstrations and benchmarks."""

from slabkit.simulation.maps import PlacedMap
from slabkit.simulation.species import CZII_COUNTS
from slabkit.simulation.tomograms import PRESETS, TILTS, simulate_tomogram

__all__ = ["CZII_COUNTS", "PRESETS", "TILTS", "PlacedMap", "simulate_tomogram"]
