"""Candidates to matches: scores against the pooled noise, thresholds, one match a place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from slabkit.arrays.neighbours import group_neighbours
from slabkit.errors import InputError
from slabkit.picking.template_images import Templates
from slabkit.picking.template_search import (
    Floats,
    Indices,
    TemplateCandidates,
    middle_and_deviation,
    spread,
)

DEFAULT_THRESHOLD = 3.0

_REACH = 0.5  # picks nearer than this share of the larger diameter are one


@dataclass(frozen=True)
class TemplateLimits:
    """What is kept of the matches found; see `find_templates`.

    Raises
    ------
    InputError
        If a limit makes no sense.
    """

    threshold: float
    max_count: int | None
    min_distance: float | None

    def __post_init__(self) -> None:
        if not math.isfinite(self.threshold):
            raise InputError(f"--threshold must be a number, not {self.threshold!r}.")
        if self.max_count is not None and self.max_count < 1:
            raise InputError(f"--max-per-slab must be at least 1, not {self.max_count}.")
        if self.min_distance is not None and not (0 <= self.min_distance < math.inf):
            raise InputError(f"--min-distance must be 0 Å or more, not {self.min_distance:g}.")


@dataclass(frozen=True)
class TemplateMatches:
    """Matches in one image, best first; one element each in every array.

    Parameters
    ----------
    x_px, y_px : ndarray of float64
        Centres in pixels, 0 = centre of the first pixel.
    score : ndarray of float64
        In robust standard deviations; see the module.
    correlation : ndarray of float64
        Locally normalised coefficient, -1 to 1.
    psi : ndarray of float64
        RELION's in-plane angle in degrees, from -180 (not included) to 180.
    template : ndarray of int64
        Number of the template, from 1; those of a second set count on from the first, and so on.
    set_number : ndarray of int64
        Which of the sets of templates, from 0.
    diameter : ndarray of float64
        Of that set, Å.
    """

    x_px: Floats
    y_px: Floats
    score: Floats
    correlation: Floats
    psi: Floats
    template: Indices
    set_number: Indices
    diameter: Floats

    def __len__(self) -> int:
        return len(self.x_px)


def pooled_noise(found: list[TemplateCandidates], sets: int) -> list[tuple[float, float]]:
    """Give median and deviation of each set's transformed coefficients, over all images.

    Parameters
    ----------
    found : list of TemplateCandidates
    sets : int
        How many sets of templates there are.

    Returns
    -------
    list of (float, float)
    """
    pools: list[list[Any]] = [
        [one.samples[number] for one in found if one.samples] for number in range(sets)
    ]
    return [middle_and_deviation(np.concatenate(pool) if pool else []) for pool in pools]


def select_matches(
    one: TemplateCandidates,
    noise: list[tuple[float, float]],
    limits: TemplateLimits,
    sets: list[Templates],
    pixel_size: float,
) -> TemplateMatches:
    """Give the candidates of one image that pass the limits, best first.

    Parameters
    ----------
    one : TemplateCandidates
    noise : list of (float, float)
        From `pooled_noise`.
    limits : TemplateLimits
    sets : list of Templates
    pixel_size : float
        In Å.

    Returns
    -------
    TemplateMatches
    """
    middle, deviation = (np.array(part)[one.set_number] for part in zip(*noise, strict=True))
    score = (spread(one.correlation) - middle) / deviation
    diameter = np.array([each.diameter for each in sets])[one.set_number]
    rows = np.flatnonzero((score >= limits.threshold) & (score > 0))
    if limits.min_distance is None:
        reach = _REACH * diameter[rows]
    else:
        reach = np.full(len(rows), limits.min_distance)
    places = np.column_stack([one.x_px[rows], one.y_px[rows]]) * pixel_size
    stands_for = group_neighbours(places, reach, priority=score[rows])
    rows = rows[stands_for == np.arange(len(rows))]
    order = np.lexsort([one.y_px[rows], one.x_px[rows], -score[rows]])
    rows = rows[order][: limits.max_count]
    psi = one.psi[rows]
    last = np.cumsum([0, *(int(each.numbers.max()) for each in sets[:-1])])
    names = np.concatenate([each.numbers + n for each, n in zip(sets, last, strict=True)])
    return TemplateMatches(
        one.x_px[rows],
        one.y_px[rows],
        score[rows],
        one.correlation[rows],
        np.where(psi > 180, psi - 360, psi),
        names[one.template[rows]],
        one.set_number[rows],
        diameter[rows],
    )
