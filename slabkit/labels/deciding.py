"""What each row of a result says: by its decision, class or score, or by being listed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import exp, log
from slabkit.errors import InputError
from slabkit.tables import DECISIONS, PROBABILITY, probability_column, require_values

if TYPE_CHECKING:
    import pandas as pd


ScoreFamily: TypeAlias = Literal["blob", "template", "template-3d"]
"""Scores for which odds are known."""

# The logarithm of the odds that a pick is a particle: a constant, and what the odds of its class's
# quality and its score count.
_ODDS = {
    "blob": (-4.32, 0.83, 2.08),
    "template": (-11.25, 0.58, 6.31),
    "template-3d": (-13.3, 0.74, 9.2),
}
_FAINT = 0.02  # no quality alone says more
_SURE = 0.1  # no class says more: a particle that stands out in a poor class stays
# Where all picks count: without quality by score, and by how sure the depth is (more or less than
# usual); with it the latter too, and odds below the unlikely ones fall faster.
_ODDS_ALONE = {
    "blob": (-8.45, 3.48, 6.0),
    "template": (-12.4, 6.31, 0.0),
    "template-3d": (-15.75, 10.4, 0.0),
}
_OF_DEPTH, _USUAL_DEPTH, _FLAT = 4.0, 0.93, 0.43
_UNLIKELY, _STEEPER = -2.2, 1.3

_CLASS_PROBABILITY = "rlnMaxValueProbDistribution"


def decide_rows(
    results: pd.DataFrame, classes: str | None, threshold: float | None
) -> tuple[npt.NDArray[Any], dict[str, str]]:
    """Say accepted, rejected or undecided of each row; what is listed only is accepted.

    Gives the species of the accepted classes too.
    """
    species: dict[str, str] = {}
    decisions = np.full(len(results), "accepted", dtype=object)
    by_value = classes is not None or threshold is not None
    if "slabkitDecision" in results.columns:
        undecided = bool((results["slabkitDecision"] == "undecided").all())
        if by_value and not undecided:  # a pick list fresh from the picker has nothing to lose
            raise InputError(
                "the result has decisions already; leave --classes and --threshold out, or the "
                "column."
            )
        require_values(results, "slabkitDecision", DECISIONS, "result")
        if not by_value:
            return np.asarray(results["slabkitDecision"], dtype=object), {}
    if classes is not None:
        if "slabkitClass" not in results.columns:
            raise InputError("--classes is given, but the result has no classes.")
        present = results["slabkitClass"]
        species = species_of_classes(classes, set(present) - {""})
        decisions[~present.isin(list(species)).to_numpy()] = "rejected"
        decisions[(present == "").to_numpy()] = "undecided"
    if threshold is not None:
        if not np.isfinite(threshold):
            raise InputError(f"the threshold must be a finite number, not {threshold}.")
        if "slabkitScore" not in results.columns:
            raise InputError("--threshold is given, but the result has no scores.")
        score = results["slabkitScore"].to_numpy(dtype=float)
        decisions[score < threshold] = "rejected"
        decisions[np.isnan(score) & (decisions == "accepted")] = "undecided"
    return decisions, {name: what for name, what in species.items() if what}


def decide_by_quality(
    results: pd.DataFrame,
    quality: Mapping[str, float],
    least: float,
    scores: Mapping[str, float] | None = None,
    kind: ScoreFamily = "blob",
) -> pd.DataFrame:
    """Decide by the quality of classes, without a person looking at them.

    Parameters
    ----------
    results : DataFrame
        With ``slabkitClass``, and ``slabkitPickId`` where there are scores.
    quality : mapping of str to float
        Quality of each class, as `slabkit classify` measures it.
    least : float
        Images in classes of this quality and more are accepted, the others rejected; images that
        are in no class (0, or none) get no decision. With scores it is the probability of being a
        particle, which follows from quality and score (benchmarks/class_quality.py).
    scores : mapping of str to float, optional
        Of each pick by its id, as its picker gives them.
    kind : {"blob", "template", "template-3d"}, optional
        Of the scores.

    Returns
    -------
    DataFrame
        The results with ``slabkitDecision``.

    Raises
    ------
    InputError
        The results have no classes, or one of which the quality is not known.
    """
    if "slabkitClass" not in results.columns:
        raise InputError("--auto is given, but the result has no classes.")
    if not 0 <= least <= 1:
        raise InputError(f"--quality must be from 0 to 1, not {least:g}.")
    own = results["slabkitClass"].astype(str)
    unknown = sorted(set(own) - set(quality) - {"", "0"})
    if unknown:
        raise InputError(
            f"--auto: class {unknown[0]} of the result is not in the table of classes; they are "
            "not of one classification."
        )
    good = own.map(lambda name: quality.get(name, np.nan)).to_numpy(dtype=float)
    if scores is not None:
        score = results["slabkitPickId"].map(scores).to_numpy(dtype=float)
        good = particle_probability(good, score, kind)
    decisions = np.where(good >= least, "accepted", "rejected").astype(object)
    decisions[np.isnan(good)] = "undecided"
    return results.assign(slabkitDecision=decisions)


def particle_probability(
    quality: npt.NDArray[np.float64],
    score: npt.NDArray[np.float64] | None = None,
    kind: ScoreFamily = "blob",
) -> npt.NDArray[np.float64]:
    """Give the probability that picks are particles, by class quality and, if there are, scores.

    Scores are as their pickers give them.
    """
    if score is None:
        return np.clip(quality, _FAINT, 1 - _FAINT)
    return np.asarray(1 / (1 + exp(-_log_odds(quality, score, kind))), dtype=np.float64)


def score_family(kinds: Iterable[str]) -> ScoreFamily | None:
    """Give the family that all kinds of scores of a list are of, None if of several."""
    every = set(kinds)
    if every and all(kind.startswith("blob-") for kind in every):
        return "blob"
    if every == {"template"}:
        return "template"
    return "template-3d" if every == {"template-3d"} else None


def candidate_probability(
    quality: npt.NDArray[np.float64],
    score: npt.NDArray[np.float64] | None = None,
    kind: ScoreFamily = "blob",
    z_confidence: npt.NDArray[np.float64] | None = None,
) -> npt.NDArray[np.float64]:
    """Give the probability that each of a list is a particle, also where quality is NaN: unknown.

    `particle_probability` is for what `label --auto` decides. Of the blobs that it does not accept,
    fewer are particles than a line of log odds says; and particles stand out in z, too
    (``z_confidence``, NaN where there is none).
    """
    if score is None:
        return particle_probability(quality, None)
    start, of_score, of_depth = _ODDS_ALONE[kind]
    alone = start + of_score * log(np.maximum(score, 1))
    odds = _log_odds(quality, score, kind)
    if kind == "blob":
        sure = np.full(len(score), np.nan) if z_confidence is None else z_confidence
        sure = np.where(np.isnan(sure), _USUAL_DEPTH, np.maximum(sure, _FLAT)) - _USUAL_DEPTH
        alone = alone + of_depth * sure
        odds = odds + _OF_DEPTH * sure
        odds = odds - _STEEPER * np.maximum(_UNLIKELY - odds, 0)
    odds = np.where(np.isnan(quality), alone, odds)
    return np.asarray(1 / (1 + exp(-odds)), dtype=np.float64)


def _log_odds(
    quality: npt.NDArray[np.float64],
    score: npt.NDArray[np.float64],
    kind: ScoreFamily,
) -> npt.NDArray[np.float64]:
    share = np.clip(quality, _SURE, 1 - _SURE)
    start, of_quality, of_score = _ODDS[kind]
    odds = start + of_quality * log(share / (1 - share)) + of_score * log(np.maximum(score, 1))
    return np.asarray(odds, dtype=np.float64)


def probabilities(results: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Give the probability of what each row says, NaN where it says none.

    Of predictions it is that of the row's species, or of the most probable one; of classes that of
    the row's class.
    """
    none = f"{PROBABILITY}none"  # of being nothing that is looked for
    predicted = [c for c in results.columns if c.startswith(PROBABILITY) and c != none]
    if not predicted:
        if _CLASS_PROBABILITY not in results.columns:
            raise InputError(
                f"--min-probability is given, but the result has neither {_CLASS_PROBABILITY} nor "
                f"{PROBABILITY}SPECIES."
            )
        return np.asarray(results[_CLASS_PROBABILITY], dtype=np.float64)
    values = np.asarray(results[predicted], dtype=np.float64)
    highest: npt.NDArray[np.float64] = np.where(np.isnan(values), -np.inf, values).max(axis=1)
    highest[np.isinf(highest)] = np.nan
    if "slabkitSpecies" not in results.columns:
        return highest
    place = {column: at for at, column in enumerate(predicted)}
    own = results["slabkitSpecies"].map(lambda name: place.get(probability_column(name)))
    unknown = results["slabkitSpecies"][own.isna() & (results["slabkitSpecies"] != "")]
    if len(unknown):
        raise InputError(
            f"--min-probability: the result has no probability of {unknown.iloc[0]!r} "
            f"({PROBABILITY}{unknown.iloc[0]})."
        )
    rows = np.flatnonzero(own.notna())
    highest[rows] = values[rows, own.iloc[rows].to_numpy(dtype=np.intp)]
    return highest


def species_of_classes(text: str, present: Collection[str]) -> dict[str, str]:
    """Read ``1,3-5`` or ``ribosome=1-2,5,apo-ferritin=4``: each chosen class and its species."""
    groups: dict[str, list[str]] = {}
    species = ""
    for part in text.split(","):
        name, equals, classes = part.partition("=")
        if equals and part.strip() not in present:
            species, part = name.strip(), classes
            if not species:
                raise InputError(f"--classes {text}: a species is missing before '='.")
        groups.setdefault(species, []).append(part)
    if "" in groups and len(groups) > 1:
        raise InputError(
            f"--classes {text}: {','.join(groups[''])} comes before the first species; write "
            "SPECIES=CLASSES for all of them."
        )
    found: dict[str, str] = {}
    for species, parts in groups.items():
        for name in parse_classes(",".join(parts), present):
            if found.setdefault(name, species) != species:
                raise InputError(
                    f"--classes {text}: class {name} is {found[name]} and {species}; a class can "
                    "be of one species only."
                )
    return found


def parse_classes(text: str, present: Collection[str]) -> set[str]:
    """Read a list of classes, as ``1,3-5``, and check it against those that are there.

    ``all`` means every class. Of a range some classes may be empty, but its ends must be within
    those that are there.
    """
    numbers = {int(name): name for name in present if re.fullmatch(r"\d+", name)}
    chosen: set[str] = set()
    for part in (part.strip() for part in text.split(",")):
        ends = re.fullmatch(r"(\d+)\s*-\s*(\d+)", part)
        if ends:
            low, high = int(ends[1]), int(ends[2])
            if low > high:
                raise InputError(f"--classes: {part!r} runs backwards.")
            within = numbers and min(numbers) <= low and high <= max(numbers)
            found = {name for number, name in numbers.items() if low <= number <= high}
            fits = bool(within and found)
        elif part == "all" and part not in present:
            found, fits = set(present), True
        else:
            plain = numbers.get(int(part)) if re.fullmatch(r"\d+", part) else part
            found = {plain} & set(present) if plain else set()
            fits = bool(found)
        if not fits:
            raise InputError(
                f"--classes {text}: there is no class {part or '(empty)'} in the result; it has "
                f"{_listed_classes(present)} (RELION counts classes from 1, CryoSPARC from 0)."
            )
        chosen |= {str(name) for name in found}
    return chosen


def _listed_classes(present: Collection[str]) -> str:
    numbers = sorted(int(name) for name in present if re.fullmatch(r"\d+", name))
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        elif not runs or number != runs[-1][-1]:
            runs.append([number])
    texts = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    texts += sorted(name for name in present if name and not re.fullmatch(r"\d+", name))
    return "classes " + ", ".join(texts) if texts else "no classes"
