"""Picks for a second look: the rejected, the undecided, the disputed, a sample of the accepted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError, warn
from slabkit.tables import LEDGER, PICKS, recorded_labels, require_unique, validate_table

if TYPE_CHECKING:
    import pandas as pd

CHOICES = ("rejected", "undecided", "accepted", "contradictory")


def rescue_picks(
    picks: pd.DataFrame,
    which: str | Sequence[str] | Mapping[str, float | None] = "rejected",
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Choose picks of which new minislabs are to be looked at.

    Parameters
    ----------
    picks : DataFrame
        Columns of `slabkit.tables.PICKS`; for ``contradictory`` with the ledger of `curate_picks`.
    which : str, sequence of str, or mapping of str to float, optional
        Of ``rejected``, ``undecided``, ``accepted`` and ``contradictory`` (recorded labels say
        both), any number; each as it is or with how many at random: ``accepted=200``,
        ``accepted=5%``. In a mapping a number below 1 is a share, None is all.
    seed : int, optional
        Of the random choice, which depends on it and on the ids alone, not on the order of the
        list.

    Returns
    -------
    DataFrame
        The chosen picks as they are, in the order given, each once, with ``slabkitRescue``: what
        it was chosen as.

    Raises
    ------
    InputError
        A choice is unknown or given twice, or a number is not positive.

    Warns
    -----
    SlabkitWarning
        There are fewer than asked for, or nothing is chosen.
    """
    wanted = _parse(which)
    picks = validate_table(picks, PICKS, "picks")
    require_unique(picks, "slabkitPickId", "picks")
    ids = picks["slabkitPickId"].to_numpy(dtype=object)
    reason = np.full(len(picks), "", dtype=object)
    for name, amount in wanted.items():
        rows = np.flatnonzero(_chosen_by(picks, name))
        if amount is not None:
            number = int(np.floor(amount * len(rows) + 0.5)) if amount < 1 else int(amount)
            if number > len(rows):
                warn(
                    f"{number} {name} picks are asked for and there are {len(rows)}; all are taken."
                )
            rows = rows[np.argsort(_random_keys(ids[rows], seed), kind="stable")][:number]
        rows = rows[reason[rows] == ""]
        reason[rows] = name
    chosen = picks.assign(slabkitRescue=reason)[reason != ""].reset_index(drop=True)
    if len(picks) and not len(chosen):
        warn(f"none of the {len(picks)} picks is {' or '.join(wanted)}; nothing is chosen.")
    return chosen


def _parse(which: str | Sequence[str] | Mapping[str, float | None]) -> dict[str, float | None]:
    if isinstance(which, Mapping):
        pairs = [(str(name), amount) for name, amount in which.items()]
    else:
        texts = which.split(",") if isinstance(which, str) else [*which]
        pairs = []
        for text in (part.strip() for item in texts for part in item.split(",")):
            name, equals, amount = text.partition("=")
            pairs.append((name, _amount(text, amount) if equals else None))
    wanted: dict[str, float | None] = {}
    for name, number in pairs:
        if name not in CHOICES:
            raise InputError(f"which must be of {', '.join(CHOICES)}, not {name!r}.")
        if name in wanted:
            raise InputError(f"which names {name} twice.")
        whole = number is None or number < 1 or number == int(number)
        if number is not None and not (number > 0 and np.isfinite(number) and whole):
            raise InputError(
                f"of {name} a whole number or a share below 1 is taken, not {number:g}."
            )
        wanted[name] = number
    return wanted


def _amount(text: str, amount: str) -> float | None:
    percent = amount.endswith("%")
    try:
        number = float(amount.removesuffix("%")) / (100 if percent else 1)
    except ValueError:
        raise InputError(f"which takes NAME, NAME=NUMBER or NAME=PERCENT%, not {text!r}.") from None
    if percent and not 0 < number <= 1:
        raise InputError(f"{text!r}: a percentage is above 0 and at most 100.")
    if not percent and number != number // 1:
        raise InputError(f"{text!r}: picks are counted in whole numbers; a share ends in %.")
    return None if percent and number == 1 else number


def _chosen_by(picks: pd.DataFrame, name: str) -> npt.NDArray[np.bool_]:
    if name != "contradictory":
        return np.asarray(picks["slabkitDecision"] == name)
    if LEDGER not in picks.columns:
        raise InputError(
            "the picks have no recorded labels, so none can contradict; curate them with --keep "
            "all first."
        )
    labels = recorded_labels(picks)
    ids_of = [
        set(labels.loc[labels["slabkitDecision"] == word, "slabkitPickId"])
        for word in ("accepted", "rejected")
    ]
    return np.asarray(picks["slabkitPickId"].isin(ids_of[0] & ids_of[1]))


def _random_keys(ids: npt.NDArray[np.object_], seed: int) -> list[bytes]:
    """Hash each id with the seed, so that a pick's key does not depend on the others."""
    return [hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest() for name in ids]
