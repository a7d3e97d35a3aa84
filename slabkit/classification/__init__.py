"""2D classification of minislabs by maximum likelihood, built in."""

from __future__ import annotations

from slabkit.classification.classify import (
    Classification,
    ClassificationSettings,
    classify_images,
)
from slabkit.classification.images import ArraySource, ImageSource
from slabkit.classification.naming import ClassNames, name_averages
from slabkit.classification.repeats import with_repeats

__all__ = [
    "ArraySource",
    "ClassNames",
    "Classification",
    "ClassificationSettings",
    "ImageSource",
    "classify_images",
    "name_averages",
    "with_repeats",
]
