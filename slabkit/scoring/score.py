"""Picks against truth: which picks are which particles, and precision, recall and F-beta of that.

Two rules. ``strict``: one pick, one particle, as many pairs as can be had (the default). ``czii``:
the rule of the CZII challenge of 2024, in which one pick may count for two particles, so that
scores compare with those published. Both call a pick right within half a particle radius of the
truth, the limit included.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from slabkit.errors import InputError, SlabkitWarning, warn
from slabkit.scoring.matching import (
    CZII_RADII,
    CZII_WEIGHTS,
    canonical_species,
    known_species_radii,
    match_picks,
    pairs_in_reach,
    with_known_species,
)
from slabkit.tables import PICKS, rows_named, validate_table

if TYPE_CHECKING:
    import pandas as pd

Mode = Literal["strict", "czii"]

_XYZ = ["slabkitX", "slabkitY", "slabkitZ"]
_CURVE = ("truth", "picks", "true_positives", "precision", "recall", "f_beta")


@dataclass(frozen=True)
class Score:
    """What `score_picks` found.

    Parameters
    ----------
    table : DataFrame
        One row a species: ``species``, ``radius`` (Å), ``truth``, ``picks``, ``true_positives``,
        ``false_positives``, ``false_negatives``, ``precision``, ``recall``, ``f_beta``,
        ``weight``. Where picks without a species took part, picks, false positives, precision and
        F-beta cannot be had by species and are NaN.
    total : dict of str to float
        The same counts and ratios pooled over all species, without regard to weights.
    weighted_f_beta : float
        Weighted mean of F-beta over the species: those in the truth (``strict``) or all that are
        known (``czii``). NaN where F-beta cannot be had by species.
    mode : {"strict", "czii"}
    beta : float
    ignored : dict of str to int
        Number of picks in each tomogram of which there is no truth; they take no part.
    by_tomogram : DataFrame
        One row a tomogram and species, where there is any: ``tomogram``, ``species`` (empty for
        picks without one), ``truth``, ``picks``, ``true_positives``.
    """

    table: pd.DataFrame
    total: dict[str, float]
    weighted_f_beta: float
    mode: Mode
    beta: float
    ignored: dict[str, int]
    by_tomogram: pd.DataFrame

    def __repr__(self) -> str:
        return (
            f"<Score ({self.mode}): recall {self.total['recall']:.3f}, precision "
            f"{self.total['precision']:.3f}, weighted F{self.beta:g} {self.weighted_f_beta:.3f}>"
        )


def score_picks(
    picks: pd.DataFrame,
    truth: pd.DataFrame,
    *,
    radii: Mapping[str, float] | None = None,
    weights: Mapping[str, float] | None = None,
    beta: float = 4.0,
    mode: Mode = "strict",
    truth_tomograms: Iterable[str] | None = None,
) -> Score:
    """Compare picks with the truth.

    In mode ``strict`` picks and particles are paired one to one: as many pairs as possible, and of
    those pairings the one with the smallest sum of distances. A pick with a species pairs only with
    that species; one without is a candidate for any. In mode ``czii`` the challenge's rule holds
    to the letter: true positives are the particles with at least one pick in reach, false
    positives the picks less the true positives (so a pick that covers two particles counts -1).

    Parameters
    ----------
    picks, truth : DataFrame
        Tables of `slabkit.tables.PICKS`; positions in Å, 0 at the centre of the first voxel.
    radii : mapping of str to float, optional
        Particle radius in Å by species, on top of `CZII_RADII`.
    weights : mapping of str to float, optional
        On top of `CZII_WEIGHTS`.
    beta : float, optional
        Recall counts this many times as much as precision.
    mode : {"strict", "czii"}, optional
    truth_tomograms : iterable of str, optional
        Tomograms of which the truth is known, should some have no particle at all; their picks are
        false positives in mode ``strict``. Picks in other tomograms are ignored and counted.

    Raises
    ------
    InputError
        A species of unknown radius, a particle that is twice in the truth, picks without
        species in mode ``czii``, or a number that is not positive.

    References
    ----------
    .. [1] CZII - CryoET Object Identification, Kaggle 2024, evaluation metric.
    """
    if mode not in ("strict", "czii"):
        raise InputError(f"mode must be 'strict' or 'czii', not {mode!r}.")
    if not (math.isfinite(beta) and beta > 0):
        raise InputError(f"beta must be a positive number, not {beta!r}.")
    known_radii = known_species_radii(radii)
    truth = with_known_species(truth, known_radii, "truth")
    _refuse_duplicates(truth)
    covered = set(truth["slabkitTomogram"])
    if mode == "strict" and truth_tomograms is not None:
        covered |= set(truth_tomograms)
    picks = validate_table(picks, PICKS, "picks")
    outside = ~picks["slabkitTomogram"].isin(covered)
    ignored = picks.loc[outside, "slabkitTomogram"].value_counts().sort_index()
    picks = with_known_species(picks[~outside], known_radii, "picks")
    if len(ignored):
        warn(
            f"{int(ignored.sum())} picks are in tomograms without truth "
            f"({', '.join(ignored.index[:3])}{', ...' if len(ignored) > 3 else ''}); ignored."
        )
    present = {*picks["slabkitSpecies"], *truth["slabkitSpecies"]} - {""}
    strange = {canonical_species(name) for name in radii or {}} - present - set(CZII_RADII)
    if strange:
        raise InputError(
            f"a radius is given for {', '.join(sorted(strange))}, which neither picks nor truth "
            f"have; they have {', '.join(sorted(present)) or 'no species'}."
        )
    bare = truth[~truth["slabkitTomogram"].isin(set(picks["slabkitTomogram"]))]
    if len(bare) and len(picks):
        without = bare["slabkitTomogram"].unique().tolist()
        names = ", ".join(without[:3]) + (", ..." if len(without) > 3 else "")
        warn(
            f"there is no pick in {names}; {len(bare)} particles there count as missed (leave them "
            "out of the truth if nobody looked there)."
        )
    weights = {**CZII_WEIGHTS, **(weights or {})}
    if mode == "czii":
        nameless = (picks["slabkitSpecies"] == "").to_numpy()
        if nameless.any():
            raise InputError(
                f"picks: {int(nameless.sum())} picks have no species, and mode czii scores by "
                "species; set it (slabkit curate --species NAME) or use --mode strict."
            )
        particles = np.unique(pairs_in_reach(picks, truth, known_radii)[1])
    else:
        particles = match_picks(picks, truth, radii=known_radii)["particle"].to_numpy()
    true = truth.iloc[particles]
    radii_shown = {n: r for n, r in known_radii.items() if mode == "czii" or n in present}
    table = _by_species(picks, truth, true, radii_shown, weights, beta, mode)
    return Score(
        table,
        _counts_and_ratios(len(picks), len(truth), len(true), beta, mode),
        _weighted(table, mode),
        mode,
        float(beta),
        {str(name): int(count) for name, count in ignored.items()},
        _by_tomogram(truth, picks, true),
    )


def _refuse_duplicates(truth: pd.DataFrame) -> None:
    same = truth.duplicated(["slabkitTomogram", *_XYZ], keep=False).to_numpy()
    if same.any():
        first = truth[same].iloc[0]
        alike = same & (truth[["slabkitTomogram", *_XYZ]] == first[["slabkitTomogram", *_XYZ]]).all(
            axis=1
        )
        raise InputError(
            f"truth: {rows_named(alike.to_numpy())} are at one position in tomogram "
            f"{first['slabkitTomogram']}; a particle must be in the truth once."
        )


def _by_tomogram(truth: pd.DataFrame, picks: pd.DataFrame, true: pd.DataFrame) -> pd.DataFrame:
    """Count particles, picks and true positives by tomogram and species."""
    import pandas as pd

    keys = ["slabkitTomogram", "slabkitSpecies"]
    named = {"truth": truth, "picks": picks, "true_positives": true}
    counts = pd.DataFrame({name: table.groupby(keys).size() for name, table in named.items()})
    counts = counts.fillna(0).astype("int64").sort_index().reset_index()
    return counts.rename(columns={"slabkitTomogram": "tomogram", "slabkitSpecies": "species"})


def _by_species(
    picks: pd.DataFrame,
    truth: pd.DataFrame,
    true: pd.DataFrame,
    radii: Mapping[str, float],
    weights: Mapping[str, float],
    beta: float,
    mode: Mode,
) -> pd.DataFrame:
    """Score each species that has a radius here; what nameless picks leave open is NaN."""
    import pandas as pd

    counts = [table["slabkitSpecies"].value_counts() for table in (picks, truth, true)]
    nameless = (picks["slabkitSpecies"] == "").any()
    unknown = ("picks", "false_positives", "precision", "f_beta") if nameless else ()
    rows = []
    for name, radius in radii.items():
        given, there, found = (int(count.get(name, 0)) for count in counts)
        ratios = _counts_and_ratios(given, there, found, beta, mode)
        row = {"species": name, "radius": radius, **ratios}
        rows.append({**row, **dict.fromkeys(unknown, math.nan), "weight": weights.get(name, 1.0)})
    columns = ["species", "radius", *_counts_and_ratios(0, 0, 0, beta, mode), "weight"]
    return pd.DataFrame(rows, columns=columns)


def _counts_and_ratios(
    picks: int, truth: int, found: int, beta: float, mode: Mode
) -> dict[str, float]:
    undefined = 0.0 if mode == "czii" else math.nan
    precision = found / picks if picks else undefined
    recall = found / truth if truth else undefined
    if precision > 0 and recall > 0:
        f_beta = (1 + beta**2) * (precision * recall) / (beta**2 * precision + recall)
    else:
        f_beta = 0.0 if picks or truth else undefined
    return {
        "truth": truth,
        "picks": picks,
        "true_positives": found,
        "false_positives": picks - found,
        "false_negatives": truth - found,
        "precision": precision,
        "recall": recall,
        "f_beta": f_beta,
    }


def _weighted(table: pd.DataFrame, mode: Mode) -> float:
    if mode == "strict":
        table = table[table["truth"] > 0]
    weight = table["weight"].to_numpy(dtype=float)
    if not weight.sum() > 0:
        return math.nan
    return float((weight * table["f_beta"].to_numpy(dtype=float)).sum() / weight.sum())


def score_curve(
    picks: pd.DataFrame,
    truth: pd.DataFrame,
    *,
    radii: Mapping[str, float] | None = None,
    beta: float = 4.0,
    mode: Mode = "strict",
    truth_tomograms: Iterable[str] | None = None,
    points: int = 50,
) -> pd.DataFrame:
    """Score picks above each of a series of thresholds.

    The thresholds are scores that picks have, evenly spread over the picks; the first keeps all.
    Pairs of picks and particles are found anew for each.

    Parameters
    ----------
    picks, truth, radii, beta, mode, truth_tomograms
        As for `score_picks`.
    points : int, optional
        Number of thresholds, at most.

    Returns
    -------
    DataFrame
        One row a threshold and species (``all``, pooled, last): ``threshold``, ``species``,
        ``truth``, ``picks``, ``true_positives``, ``precision``, ``recall``, ``f_beta``.

    Raises
    ------
    InputError
        As `score_picks`; or picks without scores, or with scores of different kinds.
    """
    import pandas as pd

    if points < 1:
        raise InputError(f"the number of points must be 1 or more, not {points}.")
    picks = validate_table(picks, PICKS, "picks")
    score = picks["slabkitScore"].to_numpy(dtype=float)
    kinds = sorted(set(picks["slabkitScoreKind"]))
    if len(kinds) > 1:
        listed = ", ".join(kind or "unnamed" for kind in kinds)
        raise InputError(
            f"picks: scores are of different kinds ({listed}) and have no common threshold; "
            "score the lists one at a time."
        )
    missing = int(np.isnan(score).sum())
    if missing:
        raise InputError(
            f"picks: {missing} of {len(picks)} have no score, so thresholds cannot be set."
        )
    ranks = np.unique(np.linspace(0, len(picks) - 1, points).astype(np.int64))
    thresholds = np.unique(np.sort(score)[ranks]) if len(picks) else np.array([0.0])
    known = None if truth_tomograms is None else [*truth_tomograms]
    parts = []
    with warnings.catch_warnings():
        # Warnings are of the whole list, once.
        for number, threshold in enumerate(thresholds):
            if number:
                warnings.simplefilter("ignore", SlabkitWarning)
            above = picks[score >= threshold]
            result = score_picks(
                above,
                truth,
                radii=_of_present(radii, above, truth) if number else radii,
                beta=beta,
                mode=mode,
                truth_tomograms=known,
            )
            table = result.table[["species", *_CURVE]]
            total = {"species": "all", **{name: result.total[name] for name in _CURVE}}
            rows = pd.concat([table, pd.DataFrame([total])], ignore_index=True)
            rows.insert(0, "threshold", threshold)
            parts.append(rows)
    return pd.concat(parts, ignore_index=True)


def _of_present(
    radii: Mapping[str, float] | None, picks: pd.DataFrame, truth: pd.DataFrame
) -> dict[str, float]:
    """Give the radii of species that are there; the others were checked with the whole list."""
    names = {*picks["slabkitSpecies"], *truth["slabkitSpecies"]}
    there = names | {canonical_species(name) for name in names}
    return {
        name: radius
        for name, radius in (radii or {}).items()
        if name in there or canonical_species(name) in there
    }
