"""Slab images to 2D picks."""
