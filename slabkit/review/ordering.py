"""In which order picks are shown: what to look at next, from classes, scores and labels so far."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError, SlabkitWarning
from slabkit.review.listing import Listing

if TYPE_CHECKING:
    import pandas as pd

FIRST = 960
"""Picks that `suggest` puts in order; the others follow, the least sure first."""

_FEW = 3  # picks that are alike

Floats = npt.NDArray[np.float32]


def suggested_order(
    listing: Listing, labels: pd.DataFrame, beta: float
) -> tuple[npt.NDArray[np.uint32], Floats, dict[str, Any]] | None:
    """Order the rows as `slabkit suggest` does; gives probabilities, and what is expected now.

    None where there are neither classes nor scores to go by.
    """
    import pandas as pd

    from slabkit.curation import suggest_labels
    from slabkit.curation.suggesting import inferred_probability
    from slabkit.labels import candidate_probability

    columns: dict[str, Any] = {"slabkitPickId": listing.ids}
    names = np.array(listing.tomograms, dtype=object)
    columns["slabkitTomogram"] = names[listing.columns["tomogram"]]
    if len(listing.classes) > 1:
        columns["slabkitClass"] = np.array(listing.classes, dtype=object)[listing.columns["class"]]
    if np.isfinite(listing.columns["score"]).any():
        columns["slabkitScore"] = listing.columns["score"].astype(np.float64)
    quality = np.array([listing.class_quality.get(one, np.nan) for one in listing.classes])
    quality = quality[listing.columns["class"]]
    if listing.score_family is not None or np.isfinite(quality).any():
        score = columns["slabkitScore"] if listing.score_family else None
        columns["slabkitProbability"] = candidate_probability(
            quality, score, listing.score_family or "blob", listing.z_confidence
        )
    candidates = pd.DataFrame(columns)
    try:
        probability, group = inferred_probability(candidates, labels)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SlabkitWarning)
            result = suggest_labels(candidates, labels, count=FIRST, beta=beta)
    except InputError:
        return None
    first = pd.Index(listing.ids).get_indexer(pd.Index(result.order["slabkitPickId"]))
    left = np.ones(len(listing), dtype=bool)
    left[first] = False
    # Of all picks, as if none were decided: nobody is to see in it what others say.
    few = np.bincount(group)[group] < _FEW
    if few.any() and labels["slabkitAuthor"].nunique() > 1:  # it would tell what was said of them
        own = labels["slabkitPickId"].isin(listing.ids[few])
        probability[few] = inferred_probability(candidates, labels[~own])[0][few]
    rest = least_sure_first(probability, result.expected_f_beta / (1 + beta**2), left)
    rest = rest[left[rest]]
    about = {
        "expected_f_beta": round(result.expected_f_beta, 4),
        "labelled": result.labelled,
        "beta": beta,
        "gain": float(result.order["slabkitGain"].sum()) if len(result.order) else 0.0,
    }
    return np.concatenate([first, rest]).astype(np.uint32), probability.astype(np.float32), about


def least_sure_first(
    probability: npt.NDArray[np.float64], threshold: float, open_: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Order rows by how close they are to where one accepts; those that are decided come last."""
    distance = np.where(open_, np.abs(probability - threshold), np.inf)
    return np.asarray(np.argsort(distance, kind="stable"), dtype=np.int64)
