"""Species for picks from how well density maps fit there; no labels are needed.

A coefficient means something only beside what chance and what a true particle give. So each is put
on a scale from 0, the median of places taken at random in the same tomograms, to 1, the mean of the
three best picks of that map. These best ones count for no less than what lies 6.7 deviations above
the random places, so that a map of which there is no particle names little.

The probabilities of the species and of "none of them" follow from these by one multinomial logistic
model for all maps. Its two numbers were fitted on TS_911 to TS_914 of the test data and four
simulated tomograms (benchmarks/names.py).

A picker wants a score instead: the place on that scale times 6.7. Where the best picks stand out no
more than that, it is in deviations of the random places.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import exp
from slabkit.arrays.neighbours import group_neighbours
from slabkit.errors import InputError
from slabkit.learning.map_evidence import MapFits, RotatedMap, fit_maps, spread
from slabkit.tables import (
    LABELS,
    MODEL_SOURCE,
    PROBABILITY,
    ROTATION,
    empty_table,
    make_table,
    probability_column,
    rotation_text,
)
from slabkit.tomogram import Tomogram

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

DEFAULT_MIN_PROBABILITY = 0.1
"""Near the best for F-beta with beta 4, which asks for recall."""

RANDOM_PLACES = 100  # in each tomogram
_BEST = 3  # picks of a map that are taken for true ones
_SURE = 4.0 / 0.6  # deviations of random places above their median where 1 is at least
HIGHEST = 1.1  # of the scale; beyond, all is as sure
_INTERCEPT, _SLOPE = -14.3, 21.3
_PART, _NEARLY = 0.5, 0.3  # of the scale: a part at picks of the whole, and the whole below it
_APART = 0.5  # diameters of the larger that two particles are apart at least


@dataclass(frozen=True, eq=False)
class MapNames:
    """What `name_by_maps` says of picks."""

    probability: Floats  # (picks, maps + 1): of each map's species, and of none
    best: npt.NDArray[np.int64]  # (picks,): the likeliest map
    # (picks,): named: probable enough, of no decoy, and no better pick of any map is too close
    named: npt.NDArray[np.bool_]
    duplicate: npt.NDArray[np.bool_]  # (picks,): probable, but a better pick is too close


@dataclass(frozen=True, eq=False)
class MapScores:
    """What `score_by_maps` says of places: arrays of one row a place, NaN outside of the volume."""

    best: npt.NDArray[np.int64]  # the map that fits best, from 0, those of decoys last
    score: Floats  # 0: as random places, 6.7: as the best three (if these are that good)
    place: Floats  # (places, 3): where it fits best, x, y, z in Å
    rotation: Floats  # (places, 3, 3): from the map's (x, y, z) to the tomogram's


def random_places(shape: tuple[int, int, int], voxel_size: float, count: int) -> Floats:
    """Give places in a volume (z, y, x), in Å x, y, z: the same ones each time, (count, 3)."""
    random = np.random.Generator(np.random.SFC64(0))
    return np.asarray(random.random((count, 3)) * (np.array(shape[::-1]) - 1) * voxel_size)


def name_by_maps(
    fits: MapFits,
    at_random: MapFits,
    places: Floats,
    tomograms: Sequence[str],
    diameters: Sequence[float],
    decoys: int = 0,
    min_probability: float = DEFAULT_MIN_PROBABILITY,
) -> MapNames:
    """Name picks by the maps that fit best.

    Parameters
    ----------
    fits, at_random : MapFits
        At the picks, and at random places of the same tomograms.
    places : ndarray of float64, shape (picks, 3)
        Of the picks, x, y, z in Å.
    tomograms : sequence of str, length picks
        Only picks of one tomogram can be too close to each other.
    diameters : sequence of float, length maps
        In Å.
    decoys : int, optional
        So many of the last maps only compete: what is likeliest one of them gets no name. They do
        where their coefficient too is higher than that of the likeliest species: a map of a part
        of a particle fits the particle's picks better than chance, and less well than the whole.
    min_probability : float, optional
        Lowest probability of a species with which a pick is named.
    """
    check_min_probability(min_probability)
    relative, outside = _compared(fits, at_random, diameters, decoys)
    likelihood = exp(_INTERCEPT + _SLOPE * np.clip(relative, -1, HIGHEST))
    weights = np.column_stack([likelihood, np.ones(len(relative))])
    probability = weights / weights.sum(axis=1, keepdims=True)
    every = np.arange(len(relative))
    best = relative.argmax(axis=1) if len(relative) else np.zeros(0, dtype=np.int64)
    score = probability[every, best]
    probable = np.flatnonzero((score >= min_probability) & ~outside)
    _, number = np.unique(np.asarray(tomograms, dtype=str), return_inverse=True)
    apart = _APART * np.asarray(diameters, dtype=np.float64)[best]
    there = places + np.nan_to_num(fits.shift[every, best])
    # Of equally probable ones the better fit comes first.
    rank = score + 1e-3 * np.clip(relative[every, best], -1, 10)
    stands_for = group_neighbours(
        there[probable], apart[probable], priority=rank[probable], labels=number[probable]
    )
    free = np.zeros(len(relative), dtype=bool)
    free[probable[stands_for == np.arange(len(probable))]] = True
    duplicate = np.zeros(len(relative), dtype=bool)
    duplicate[probable] = ~free[probable]
    named = free & (best < len(diameters) - decoys)
    return MapNames(probability, best, named, duplicate)


def _compared(
    fits: MapFits, at_random: MapFits, diameters: Sequence[float], decoys: int
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Give `relative_fits`, -1 where another map has the pick, and which are outside (-1 too)."""
    relative = relative_fits(fits.coefficient, at_random.coefficient)
    outside = np.asarray(~np.isfinite(relative).all(axis=1))
    relative[outside] = -1.0
    if decoys and len(relative):
        species = relative[:, :-decoys].argmax(axis=1)[:, None]
        own = np.take_along_axis(fits.coefficient, species, axis=1)
        relative[:, -decoys:][fits.coefficient[:, -decoys:] <= own] = -1.0
    _leave_parts_out(relative, fits.coefficient, diameters, decoys)
    return relative, outside


def _leave_parts_out(
    relative: Floats, coefficient: Floats, diameters: Sequence[float], decoys: int
) -> None:
    """Take from maps of parts, on their own scale nearly as good, the picks of the whole.

    A larger map is the whole of a smaller one that fits its best picks too. There the higher
    coefficient tells: of a part alone, the part's.
    """
    best = np.argsort(-relative, axis=0, kind="stable")[:_BEST]
    species = len(diameters) - decoys
    for part, whole in itertools.permutations(range(species), 2):
        alike = diameters[whole] > diameters[part] and len(best)
        if alike and relative[best[:, whole], part].mean() > _PART:
            near = relative[:, whole] > relative[:, part] - _NEARLY
            better = coefficient[:, whole] > coefficient[:, part]
            relative[near & better, part] = -1.0


def check_min_probability(value: float) -> None:
    """Refuse what is no probability to name from."""
    if not 0 < value <= 1:
        raise InputError(f"--min-probability is above 0 and at most 1, not {value:g}.")


def name_picks(
    tomograms: Iterable[tuple[Tomogram, Sequence[RotatedMap]]],
    picks: pd.DataFrame,
    *,
    decoys: int = 0,
    min_probability: float = DEFAULT_MIN_PROBABILITY,
    jobs: int = 1,
) -> tuple[pd.DataFrame, int]:
    """Name the picks of tomograms by the density maps that fit there.

    Parameters
    ----------
    tomograms : iterable of (Tomogram, sequence of RotatedMap)
        Each with the maps turned for its voxel size (`slabkit.rotate_map`), the same in all.
        Picks of other tomograms get no label.
    picks : DataFrame
        `slabkit.tables.PICKS`.
    decoys : int, optional
        So many of the last maps only compete, and give no name.
    min_probability : float, optional
        Lowest probability of a species with which a pick is named.
    jobs : int, optional
        Threads; the result is the same for any number.

    Returns
    -------
    labels : DataFrame
        `slabkit.tables.LABELS`, a row a pick in the order of ``picks``: accepted, with species and
        the place that fits best (``slabkitCentreX`` and so on), or rejected.
        ``slabkitRotation`` is the map's orientation there, of those that were compared.
        ``slabkitScore`` is the probability of the decision, ``slabkitProbability_NAME`` that of
        each species, ``slabkitProbability_none`` that of none (decoys among these).
    duplicates : int
        Picks that would have a name if another were not at the same place.

    Raises
    ------
    InputError
        A map is for another voxel size, the maps differ, there are NaN or infinite voxels, or the
        probability is none.
    """
    check_min_probability(min_probability)
    owner = picks["slabkitTomogram"].to_numpy(dtype=object)
    everywhere = picks[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy(dtype=np.float64)
    rows, fits, at_random = [], [], []
    maps: Sequence[RotatedMap] = ()
    for tomogram, turned in tomograms:
        if maps and [one.name for one in turned] != [one.name for one in maps]:
            raise InputError("all tomograms are compared with the same maps.")
        maps = turned
        own = np.flatnonzero(owner == tomogram.name)
        rows.append(own)
        side = max(one.side_vox * one.bin_vox for one in maps)
        tomogram = tomogram.in_memory(len(own) * side**2)
        random = random_places(tomogram.shape, tomogram.voxel_size, RANDOM_PLACES)
        at_random.append(fit_maps(tomogram, random, maps, jobs))
        fits.append(fit_maps(tomogram, everywhere[own], maps, jobs, at_random[-1]))
    if not rows:
        return empty_table(LABELS), 0
    chosen = np.concatenate(rows)
    order = np.argsort(chosen, kind="stable")
    chosen = chosen[order]
    fit = MapFits.joined(fits)[order]
    found = name_by_maps(
        fit,
        MapFits.joined(at_random),
        everywhere[chosen],
        owner[chosen].tolist(),
        [one.diameter for one in maps],
        decoys,
        min_probability,
    )
    names = [one.name for one in maps[: len(maps) - decoys]]
    every = np.arange(len(chosen))
    centre = everywhere[chosen] + fit.shift[every, found.best]
    centre[~found.named] = np.nan
    pose = map(rotation_text, fit.rotation[every, found.best].round(6))
    known = found.probability[:, : len(names)]
    none = found.probability[:, len(names) :].sum(axis=1)
    best = np.where(found.named, found.best, 0)
    score = np.where(found.named, found.probability[every, best], none)
    table = make_table(
        LABELS,
        {
            "slabkitPickId": picks["slabkitPickId"].to_numpy()[chosen],
            "slabkitDecision": np.where(found.named, "accepted", "rejected"),
            "slabkitScore": score.round(4),
            "slabkitScoreKind": "probability",
            "slabkitSource": f"{MODEL_SOURCE}maps",
            "slabkitSpecies": np.where(found.named, np.array(names, dtype=object)[best], ""),
            **{f"slabkitCentre{axis}": centre[:, k].round(2) for k, axis in enumerate("XYZ")},
            ROTATION: np.where(found.named, np.array(list(pose), dtype=object), ""),
            **{probability_column(name): known[:, k].round(4) for k, name in enumerate(names)},
            f"{PROBABILITY}none": none.round(4),
        },
    )
    return table, int(found.duplicate.sum())


def score_by_maps(
    tomogram: Tomogram,
    places: npt.ArrayLike,
    maps: Sequence[RotatedMap],
    *,
    decoys: int = 0,
    jobs: int = 1,
) -> MapScores:
    """Say which density map fits best at each of a tomogram's places, how well, and how it lies.

    Parameters
    ----------
    tomogram : Tomogram
    places : array-like of float, shape (places, 3)
        x, y, z in Å: all that a picker found, as the best of them set the scale.
    maps : sequence of RotatedMap
        Turned for the tomogram's voxel size (`slabkit.rotate_map`).
    decoys : int, optional
        So many of the last maps are of what else is there. They are ``best`` only where their
        coefficient too is higher than that of the best other map.
    jobs : int, optional
        Threads; the result is the same for any number.

    Returns
    -------
    MapScores
        ``best`` (the number of the map), ``score``, ``place`` (Å) and ``rotation`` of each place.
        A score of 0 is that of random places; 6.7 is that of the map's three best places, or 6.7
        robust standard deviations of the random ones above these, whichever is more.

    Raises
    ------
    InputError
        A map is for another voxel size, or there are NaN or infinite voxels.
    """
    given = np.asarray(places, dtype=np.float64).reshape(-1, 3)
    random = random_places(tomogram.shape, tomogram.voxel_size, RANDOM_PLACES)
    at_random = fit_maps(tomogram, random, maps, jobs)
    fits = fit_maps(tomogram, given, maps, jobs, at_random)
    every = np.arange(len(given))
    if not len(given):
        return MapScores(every, np.zeros(0), given, np.zeros((0, 3, 3)))
    relative, outside = _compared(fits, at_random, [one.diameter for one in maps], decoys)
    best = relative.argmax(axis=1)
    score = np.where(outside, np.nan, _SURE * relative[every, best])
    return MapScores(best, score, given + fits.shift[every, best], fits.rotation[every, best])


def relative_fits(coefficient: Floats, at_random: Floats) -> Floats:
    """Bring each map's coefficients to the scale from random places (0) to its best picks (1)."""
    values = spread(coefficient)
    known = spread(at_random[np.isfinite(at_random).all(axis=1)])
    low, middle = np.percentile(known, [16, 50], axis=0)
    deviation = np.maximum(middle - low, 1e-3)
    inside = np.asarray(np.isfinite(values).all(axis=1))
    first = np.where(inside[:, None], values, -1.0).argmax(axis=1)
    top = middle + _SURE * deviation
    for number in range(values.shape[1]):
        own = np.sort(values[inside & (first == number), number])[-_BEST:]
        if len(own):
            top[number] = max(top[number], own.mean())
    return np.asarray((values - middle) / (top - middle))
