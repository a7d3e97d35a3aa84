"""Candidates to matches: scores against the pooled noise, thresholds, one match a place.

Correlation knows shapes, not how much there is of them: faint things and pieces of membrane can
look like a view of a particle. So the score of a match, its correlation in standard deviations, is
lowered where its contrast (rim against surround, in standard deviations too) is less: to their
geometric mean. And it is lowered where a line runs past, as that of a blob is
(`slabkit.arrays.ridges`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from slabkit.arrays.suppression import keep_best
from slabkit.picking.limits import Limits, check_max_ridge, lowered_by_lines
from slabkit.picking.template_candidates import (
    Floats,
    Indices,
    Noise,
    TemplateCandidates,
    spread,
)
from slabkit.picking.template_images import Templates

# What lowers scores lowers those of noise too; so these two let about as much of it pass.
_DEFAULT_THRESHOLD, _DEFAULT_OF_CORRELATION = 2.5, 3.0
DEFAULT_MAX_RIDGE = 1.0

_LEAST_CONTRAST = 1e-3  # in standard deviations, for lines to be compared with
_REACH = 0.5  # picks nearer than this share of the larger diameter are one


def default_threshold(correlation_only: bool) -> float:
    """Give the lowest score by default, in standard deviations: lower where tests lower scores."""
    return _DEFAULT_OF_CORRELATION if correlation_only else _DEFAULT_THRESHOLD


@dataclass(frozen=True)
class TemplateLimits(Limits):
    """What is kept of the matches found; see `find_templates`.

    Raises
    ------
    InputError
        If a limit makes no sense.
    """

    max_ridge: float = DEFAULT_MAX_RIDGE
    correlation_only: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_max_ridge(self.max_ridge)


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


def select_matches(
    one: TemplateCandidates,
    noise: Noise,
    limits: TemplateLimits,
    sets: list[Templates],
    pixel_size: float,
) -> TemplateMatches:
    """Give the candidates of one image that pass the limits, best first.

    Parameters
    ----------
    one : TemplateCandidates
    noise : Noise
        From `pooled_noise`.
    limits : TemplateLimits
    sets : list of Templates
    pixel_size : float
        In Å.

    Returns
    -------
    TemplateMatches
    """
    lowest = limits.lowest
    middle, deviation = noise.middle[one.set_number], noise.deviation[one.set_number]
    score = (spread(one.correlation) - middle) / deviation
    rows = np.flatnonzero(score >= lowest)
    if not limits.correlation_only:
        rim = one.rim[rows]
        contrast = (one.contrast[rows] - noise.contrast_middle[rim]) / noise.contrast_deviation[rim]
        score[rows] *= np.sqrt(np.clip(contrast / score[rows], 0, 1))
        rows = rows[score[rows] >= lowest]
    diameter = np.array([each.diameter for each in sets])[one.set_number]
    if limits.min_distance is None:
        reach = _REACH * diameter[rows]
    else:
        reach = np.full(len(rows), limits.min_distance)
    places = np.column_stack([one.x_px[rows], one.y_px[rows]]) * pixel_size
    before = score[rows]
    contrast = np.maximum(
        one.contrast[rows], _LEAST_CONTRAST * noise.contrast_deviation[one.rim[rows]]
    )
    beside_lines = None
    if len(rows) and not limits.correlation_only and limits.max_ridge < math.inf:
        ridges = one.ridges(rows)

        def beside_lines(some: Indices) -> Floats:
            return lowered_by_lines(before[some], ridges(some), contrast[some], limits.max_ridge)

    kept, best = keep_best(places, reach, before, beside_lines, lowest)
    rows = rows[kept]
    score[rows] = best
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
