"""Labels into the pick list: which picks stay, which go and why, and the funnel of the losses."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError, SlabkitWarning
from slabkit.tables import LABELS, PICKS, require_unique, validate_table

if TYPE_CHECKING:
    import pandas as pd

Policy = Literal["latest", "all", "any", "majority"]
Keep = Literal["accepted", "rejected", "undecided", "all"]

POLICIES = ("latest", "all", "any", "majority")
KEEPS = ("accepted", "rejected", "undecided", "all")

_POSITION = ("slabkitX", "slabkitY", "slabkitZ")
_CENTRE = ("slabkitCentreX", "slabkitCentreY", "slabkitCentreZ")


@dataclass(frozen=True)
class Curation:
    """What `curate_picks` made of a pick list.

    Parameters
    ----------
    kept, dropped : DataFrame
        Together the picks of the input, each in the input's order. Columns of
        `slabkit.tables.PICKS` and, of the label that decided, ``slabkitClass``,
        ``slabkitLabelScore``, ``slabkitLabelScoreKind``, ``slabkitLabelSource``,
        ``slabkitLabelRound``; and how many votes there were, ``slabkitVotesAccepted`` and
        ``slabkitVotesRejected``; where picks were recentred, how far in Å, ``slabkitMoved``. The
        dropped ones say why in ``slabkitReason``.
    funnel : DataFrame
        Columns ``step`` and ``picks``: how many came in, were decided, went and stayed.
    contradictory : int
        Picks of which the labels say both; the policy decided.
    unknown_labels : int
        Label rows of picks that are not in the list; ignored.
    recentred : int
        Kept picks that were moved to where a label says the particle is.
    mean_move, largest_move : float
        How far, in Å; 0 where none was.
    """

    kept: pd.DataFrame
    dropped: pd.DataFrame
    funnel: pd.DataFrame
    contradictory: int
    unknown_labels: int
    recentred: int = 0
    mean_move: float = 0.0
    largest_move: float = 0.0

    def __repr__(self) -> str:
        return f"<Curation: {len(self.kept)} picks kept, {len(self.dropped)} dropped>"


def curate_picks(
    picks: pd.DataFrame,
    label_tables: Sequence[pd.DataFrame],
    *,
    policy: Policy = "latest",
    keep: Keep = "accepted",
    species: str = "",
    recentre: bool = False,
) -> Curation:
    """Apply labels to picks.

    Every row of a label table that says accepted or rejected is one vote on its pick. A pick on
    which nobody voted keeps the decision it has: no decision is not a rejection.

    Parameters
    ----------
    picks : DataFrame
        Columns of `slabkit.tables.PICKS`.
    label_tables : sequence of DataFrame
        Columns of `slabkit.tables.LABELS`, oldest first.
    policy : {"latest", "all", "any", "majority"}, optional
        How votes on one pick combine: the last one counts; accepted only if all votes say so; if
        any does; if more do than do not (with equal numbers the pick is undecided).
    keep : {"accepted", "rejected", "undecided", "all"}, optional
        Which picks stay.
    species : str, optional
        Species of the kept picks that are not rejected; default: that of the deciding label where
        it has one, else the pick's own.
    recentre : bool, optional
        Move the kept picks that are not rejected to where the latest agreeing label says that the
        particle is; their ids stay. That place is absolute, so doing it twice changes nothing.

    Returns
    -------
    Curation

    Raises
    ------
    InputError
        No label is of a pick in the list, a choice is unknown, or the picks are to be recentred
        and no label says where they are.

    Warns
    -----
    SlabkitWarning
        Some labels are of unknown picks, labels contradict each other, or nothing is kept.
    """
    if policy not in POLICIES:
        raise InputError(f"policy must be one of {', '.join(POLICIES)}, not {policy!r}.")
    if keep not in KEEPS:
        raise InputError(f"keep must be one of {', '.join(KEEPS)}, not {keep!r}.")
    picks = validate_table(picks, PICKS, "picks")
    require_unique(picks, "slabkitPickId", "picks")
    votes, unknown = _votes(picks, label_tables)
    accepted, rejected = (
        np.bincount(
            votes["pick"].to_numpy()[(votes["slabkitDecision"] == word).to_numpy()],
            minlength=len(picks),
        )
        for word in ("accepted", "rejected")
    )
    outcome = _outcome(votes, accepted, rejected, policy)
    voted = accepted + rejected > 0
    before = picks["slabkitDecision"].to_numpy(dtype=object)
    decision = np.where(voted, outcome, before)
    contradictory = int(((accepted > 0) & (rejected > 0)).sum())
    tied = voted & (decision == "undecided")
    curated = picks.assign(slabkitDecision=decision)
    curated = _carry(curated, votes, decision)
    curated["slabkitVotesAccepted"], curated["slabkitVotesRejected"] = accepted, rejected
    stays = np.ones(len(picks), dtype=bool) if keep == "all" else decision == keep
    if species:
        named = stays & (decision != "rejected")
        curated["slabkitSpecies"] = curated["slabkitSpecies"].where(~named, species)
    how = np.where(tied, " (votes balance)", np.where(voted, " by label", " (no label)"))
    moves = _recentre(curated, votes, decision, stays) if recentre else np.empty(0)
    reason = decision.astype(object) + how.astype(object)
    if "slabkitReason" in curated.columns:
        curated = curated.drop(columns="slabkitReason")
    kept = curated[stays].reset_index(drop=True)
    dropped = curated[~stays].assign(slabkitReason=reason[~stays]).reset_index(drop=True)
    funnel = _funnel(reason, stays)
    _warn(len(picks), len(kept), contradictory, unknown, policy)
    return Curation(
        validate_table(kept, PICKS),
        validate_table(dropped, PICKS),
        funnel,
        contradictory,
        unknown,
        recentred=len(moves),
        mean_move=float(moves.mean()) if len(moves) else 0.0,
        largest_move=float(moves.max(initial=0.0)),
    )


def _votes(picks: pd.DataFrame, label_tables: Sequence[pd.DataFrame]) -> tuple[pd.DataFrame, int]:
    """Pool the decided rows of all tables, oldest first, with the row of their pick."""
    import pandas as pd

    if not label_tables:
        raise InputError("no label table is given.")
    checked = [validate_table(table, LABELS, "labels") for table in label_tables]
    votes = pd.concat([table[LABELS.names] for table in checked], ignore_index=True)
    ids = pd.Index(picks["slabkitPickId"])
    votes["pick"] = ids.get_indexer(pd.Index(votes["slabkitPickId"])).astype(np.int64)
    unknown = votes["pick"] < 0
    if len(votes) and len(picks) and unknown.all():
        raise InputError(
            f"none of the {len(votes)} labels is of a pick in the list: they are of "
            f"{votes['slabkitPickId'].iloc[0]!r} and such, the picks are "
            f"{picks['slabkitPickId'].iloc[0]!r} and such; is it the pick list that the minislabs "
            "were made from?"
        )
    decided = votes["slabkitDecision"] != "undecided"
    return votes[decided & ~unknown].reset_index(drop=True), int(unknown.sum())


def _outcome(
    votes: pd.DataFrame,
    accepted: npt.NDArray[np.int64],
    rejected: npt.NDArray[np.int64],
    policy: Policy,
) -> npt.NDArray[np.object_]:
    if policy == "latest":
        outcome = np.full(len(accepted), "undecided", dtype=object)
        last = votes.drop_duplicates("pick", keep="last")
        outcome[last["pick"].to_numpy()] = last["slabkitDecision"].to_numpy(dtype=object)
        return outcome
    if policy == "all":
        yes, no = (accepted > 0) & (rejected == 0), rejected > 0
    elif policy == "any":
        yes, no = accepted > 0, (accepted == 0) & (rejected > 0)
    else:
        yes, no = accepted > rejected, rejected > accepted
    decided = np.where(yes, "accepted", np.where(no, "rejected", "undecided"))
    return decided.astype(object)


def _carry(
    curated: pd.DataFrame, votes: pd.DataFrame, decision: npt.NDArray[np.object_]
) -> pd.DataFrame:
    """Take class, score, source, round and species from the latest label that agrees."""
    agrees = votes["slabkitDecision"].to_numpy() == decision[votes["pick"].to_numpy()]
    winner = votes[agrees].drop_duplicates("pick", keep="last")
    rows = winner["pick"].to_numpy()
    for target, source, default in (
        ("slabkitClass", "slabkitClass", ""),
        ("slabkitLabelScore", "slabkitScore", np.nan),
        ("slabkitLabelScoreKind", "slabkitScoreKind", ""),
        ("slabkitLabelSource", "slabkitSource", ""),
        ("slabkitLabelRound", "slabkitRound", ""),
    ):
        numeric = isinstance(default, float)
        if target in curated.columns:
            values = curated[target].to_numpy(dtype=object)
            values = np.where(values == "none", "", values)  # as it comes from a file
            values = values.astype(np.float64) if numeric else values.astype(object)
        else:
            values = np.full(len(curated), default, dtype=np.float64 if numeric else object)
        values[rows] = winner[source].to_numpy()
        curated[target] = values
    named = (winner["slabkitSpecies"] != "").to_numpy()
    species = curated["slabkitSpecies"].to_numpy(dtype=object)
    species[rows[named]] = winner["slabkitSpecies"].to_numpy(dtype=object)[named]
    curated["slabkitSpecies"] = species
    return curated


def _recentre(
    curated: pd.DataFrame,
    votes: pd.DataFrame,
    decision: npt.NDArray[np.object_],
    stays: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float64]:
    """Move the picks in place; gives how far each went."""
    pick = votes["pick"].to_numpy()
    agrees = votes["slabkitDecision"].to_numpy() == decision[pick]
    placed = votes[list(_CENTRE)].notna().all(axis=1).to_numpy()
    if not placed.any():
        raise InputError(
            "no label says where its particle is: shifts come from 2D classification in RELION or "
            "CryoSPARC, of minislabs that this version of slabkit made; leave out --recentre."
        )
    chosen = votes[agrees & placed & stays[pick] & (decision[pick] != "rejected")]
    chosen = chosen.drop_duplicates("pick", keep="last")
    rows = chosen["pick"].to_numpy()
    moved = np.full(len(curated), np.nan)
    before = curated[list(_POSITION)].to_numpy()[rows]
    after = chosen[list(_CENTRE)].to_numpy()
    moved[rows] = np.linalg.norm(after - before, axis=1)
    for axis, name in enumerate(_POSITION):
        curated.iloc[rows, curated.columns.get_loc(name)] = after[:, axis]
    curated["slabkitMoved"] = moved
    return np.asarray(moved[rows], dtype=np.float64)


def _funnel(reason: npt.NDArray[np.object_], stays: npt.NDArray[np.bool_]) -> pd.DataFrame:
    import pandas as pd

    steps = [("in the list", len(reason))]
    for what, which in (("dropped", ~stays), ("kept", stays)):
        reasons, counts = np.unique(reason[which].astype(str), return_counts=True)
        steps += [(f"{what}: {r}", int(c)) for r, c in zip(reasons, counts, strict=True)]
        steps.append((what, int(which.sum())))
    return pd.DataFrame(steps, columns=["step", "picks"])


def _warn(picks: int, kept: int, contradictory: int, unknown: int, policy: str) -> None:
    texts = []
    if unknown:
        texts.append(f"{unknown} labels are of picks that are not in the list; ignored.")
    if contradictory:
        texts.append(
            f"{contradictory} picks have labels that contradict each other; the policy "
            f"{policy!r} decided."
        )
    if picks and not kept:
        texts.append(f"none of the {picks} picks is kept.")
    for text in texts:
        warnings.warn(text, SlabkitWarning, stacklevel=3)
