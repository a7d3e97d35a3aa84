"""Minislabs: the projection of a box about each pick of a tomogram."""

from slabkit.minislabs.filling import FilledGallery, fill_galleries
from slabkit.minislabs.normalisation import normalise_minislabs, outside_circle
from slabkit.minislabs.projection import (
    Minislabs,
    check_tilts,
    project_minislabs,
    stack_minislabs,
)

__all__ = [
    "FilledGallery",
    "Minislabs",
    "check_tilts",
    "fill_galleries",
    "normalise_minislabs",
    "outside_circle",
    "project_minislabs",
    "stack_minislabs",
]
