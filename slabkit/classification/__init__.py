"""2D classification of minislabs by maximum likelihood, built in."""

from __future__ import annotations

from slabkit.classification.classify import (
    Classification,
    ClassificationSettings,
    classify_images,
)
from slabkit.classification.images import ArraySource, ImageSource

__all__ = [
    "ArraySource",
    "Classification",
    "ClassificationSettings",
    "ImageSource",
    "classify_images",
]
