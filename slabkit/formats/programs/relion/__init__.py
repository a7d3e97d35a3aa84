"""RELION: particles of tomograms, 2D picks, results, export."""
