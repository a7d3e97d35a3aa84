"""Minislabs: the projection of a box about each pick of a tomogram."""

from slabkit.minislabs.filling import FilledGallery, fill_galleries
from slabkit.minislabs.normalisation import normalise_minislabs
from slabkit.minislabs.projection import Minislabs, project_minislabs, stack_minislabs

__all__ = [
    "FilledGallery",
    "Minislabs",
    "fill_galleries",
    "normalise_minislabs",
    "project_minislabs",
    "stack_minislabs",
]
