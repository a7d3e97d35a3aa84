"""CryoSPARC: datasets, 2D picks, results, export."""
