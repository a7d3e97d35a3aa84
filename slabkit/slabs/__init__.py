"""Tomogram to slabs."""
