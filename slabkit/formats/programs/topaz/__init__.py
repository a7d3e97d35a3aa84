"""Topaz: names, 2D picks, export."""
