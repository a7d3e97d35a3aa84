"""Scores over thresholds: what would be found if only picks of that score and more were kept."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from slabkit.errors import InputError, SlabkitWarning
from slabkit.scoring.score import Mode, score_picks
from slabkit.scoring.species import canonical_species
from slabkit.tables import PICKS, validate_table

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("truth", "picks", "true_positives", "precision", "recall", "f_beta")


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
        # What is wrong with the whole list is said of the whole list.
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
            table = result.table[["species", *_COLUMNS]]
            total = {"species": "all", **{name: result.total[name] for name in _COLUMNS}}
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
