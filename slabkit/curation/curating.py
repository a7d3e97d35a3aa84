"""Labels into the pick list: which picks stay, which go and why, and the funnel of the losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt

from slabkit.curation.duplicates import same_particle
from slabkit.curation.votes import (
    POLICIES,
    Policy,
    check_rounds,
    check_weights,
    confidence_rule,
    confidences,
    decided,
    deciding,
    of_several_species,
    outcome,
    pool_labels,
    predicted,
    tally,
    vote_weights,
    with_recorded,
    without_overruling,
)
from slabkit.errors import InputError, warn
from slabkit.tables import (
    LEDGER,
    PICKS,
    ROTATION,
    ledger_entries,
    ledger_of,
    require_unique,
    validate_table,
    with_entries,
)

if TYPE_CHECKING:
    import pandas as pd

Keep = Literal["accepted", "rejected", "undecided", "all"]

KEEPS: tuple[str, ...] = get_args(Keep)

_POSITION = ("slabkitX", "slabkitY", "slabkitZ")
_CENTRE = ("slabkitCentreX", "slabkitCentreY", "slabkitCentreZ")
# What decided about a pick: the first that holds
_HOW = (
    " (confidence too low)",
    " by confidence",
    " (votes balance)",
    " (predicted, but another pick is of the same particle)",
    " by prediction",
    " by label",
    " by a label of an earlier round",
)


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
        ledger, ``slabkitLedger``, has every label and what came of it. The dropped ones say why in
        ``slabkitReason``.
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
    label_tables: Sequence[pd.DataFrame] = (),
    *,
    policy: Policy = "latest",
    keep: Keep = "accepted",
    species: str = "",
    recentre: bool = False,
    weights: Mapping[str, float] | None = None,
    recorded: bool = False,
    confidence: str | Sequence[str] | Mapping[str, float] | None = None,
    min_confidence: float | None = None,
) -> Curation:
    """Apply labels to picks.

    Every row of a label table that says accepted or rejected is one vote on its pick; rows of one
    table that are the same are one vote. A pick on which nobody voted keeps the decision it has: no
    decision is not a rejection. Every label, undecided ones included, goes into the ledger of its
    pick, once; none is ever taken out.
    Predictions of a model (`slabkit.predict_species`) are votes only on picks that no person
    decided, now or earlier, whatever the policy. Of picks of one species that are closer than
    half a diameter (the median of that species; 0.75 of it where blobs measured it) one is
    accepted by prediction, the likeliest, and none beside one that a person accepted.

    Parameters
    ----------
    picks : DataFrame
        Columns of `slabkit.tables.PICKS`.
    label_tables : sequence of DataFrame, optional
        Columns of `slabkit.tables.LABELS`, oldest first.
    policy : {"latest", "all", "any", "majority", "weighted"}, optional
        How votes on one pick combine: the last one counts; accepted only if all votes say so; if
        any does; if more do than do not; if those that do weigh more. With equal numbers or
        weights the pick is undecided.
    keep : {"accepted", "rejected", "undecided", "all"}, optional
        Which picks stay.
    species : str, optional
        Species of the kept picks that are not rejected; default: that of the deciding label where
        it has one, else the pick's own.
    recentre : bool, optional
        Move the kept picks that are not rejected to where the latest agreeing label says that the
        particle is; their ids stay. That place is absolute, so doing it twice changes nothing.
    weights : mapping of str to float, optional
        Weights of votes by round, author or source, for the policy ``weighted``; what is not named
        weighs 1, and a vote that is named twice (its round, its author) weighs the product.
    recorded : bool, optional
        Labels that the ledger has from earlier rounds vote too, before those given.
    confidence : str, sequence of str, or mapping of str to float, optional
        Rounds that a particle passes, first to last, as ``class2d,abinitio``; see
        `slabkit.curation.confidence_rule`. Their labels, those in the ledger too, give
        ``slabkitConfidence``; above 0 is accepted, 0 is rejected. Votes of other rounds (a person's
        last look) win over that decision and leave the confidence.
    min_confidence : float, optional
        Reject what has a lower confidence, unless a vote of a round outside the rule decides.

    Raises
    ------
    InputError
        No label is of a pick in the list, a choice is unknown, a weight or a round is given that
        no label has, no pick has a confidence to compare with the least one, or the picks are to be
        recentred and no label says where they are.

    Warns
    -----
    SlabkitWarning
        Some labels are of unknown picks or are there twice, labels contradict each other or name
        several species, accepted picks lack a confidence that is asked for, or nothing is kept.
    """
    rule = None if confidence is None else confidence_rule(confidence)
    _check_options(policy, keep, weights, min_confidence)
    picks = validate_table(picks, PICKS, "picks")
    require_unique(picks, "slabkitPickId", "picks")
    decided_before = (picks["slabkitDecision"] != "undecided").any()
    labelled_before = any("label:" in ledger for ledger in ledger_of(picks))
    if len(picks) and not (label_tables or decided_before or labelled_before):
        raise InputError("no label table is given, and the picks have no decision yet.")
    labels, unknown = pool_labels(picks, label_tables)
    everything = with_recorded(picks, labels) if recorded or rule else labels
    check_weights(everything, weights)
    votes = without_overruling(decided(everything if recorded else labels), labels, picks)
    before = picks["slabkitDecision"].to_numpy(dtype=object)
    voted = _voted(votes, len(picks))
    decision = np.where(voted, outcome(votes, len(picks), policy, weights), before)
    groups = [votes]  # votes that may contradict each other
    by_rule, skipped = np.zeros(len(picks), dtype=bool), 0
    sure = picks["slabkitConfidence"].to_numpy(copy=True)
    if rule is not None:
        check_rounds(rule, everything)
        known = decided(everything)
        found, skipped = confidences(known, len(picks), rule, policy, weights)
        sure = np.where(np.isnan(found), sure, found)
        of_rule = votes["slabkitRound"].isin(list(rule))
        groups = [votes[~of_rule], *(votes[votes["slabkitRound"] == name] for name in rule)]
        by_rule = ~np.isnan(found) & ~_voted(groups[0], len(picks))
        others = outcome(groups[0], len(picks), policy, weights)
        decision = np.where(_voted(groups[0], len(picks)), others, decision)
        decision[by_rule] = np.where(found[by_rule] > 0, "accepted", "rejected")
    low = np.zeros(len(picks), dtype=bool)
    if min_confidence is not None:
        _check_confidences(sure)
        by_others = _voted(groups[0], len(picks))
        low = (sure < min_confidence) & ~by_others & (decision != "rejected")
        decision[low] = "rejected"
        unsure = int((np.isnan(sure) & ~by_others & (decision == "accepted")).sum())
        if unsure:
            warn(f"{unsure} accepted picks have no confidence; --min-confidence leaves them.")
    accepted, rejected = tally(votes, len(picks))
    contradictory = int(np.logical_or.reduce([_both(group, len(picks)) for group in groups]).sum())
    guess = voted & ~_voted(votes[~predicted(votes)], len(picks))
    weight = vote_weights(votes, weights) if policy in ("majority", "weighted") else None
    several = of_several_species(votes, decision)
    same = same_particle(picks, deciding(votes, decision, weight), decision, guess)
    doubled = same != np.arange(len(picks))
    decision[doubled] = "rejected"
    curated = picks.assign(slabkitDecision=decision, slabkitConfidence=sure)
    curated = _carry(curated, deciding(votes, decision, weight))
    curated["slabkitVotesAccepted"], curated["slabkitVotesRejected"] = accepted, rejected
    stays = np.ones(len(picks), dtype=bool) if keep == "all" else decision == keep
    if species:
        named = stays & (decision != "rejected")
        curated["slabkitSpecies"] = curated["slabkitSpecies"].where(~named, species)
    tied = voted & ~by_rule & (decision == "undecided")
    holds = [low, by_rule, tied, doubled, guess, voted, _labelled_before(picks)]
    how = np.select(holds, _HOW, " (no label)")
    moves = _recentre(curated, votes, decision, stays) if recentre else np.empty(0)
    ids = picks["slabkitPickId"].to_numpy(dtype=object)[same]
    note = np.where(low, "confidence too low", np.where(doubled, "same particle as " + ids, ""))
    curated = _record(curated, picks, labels, policy, weights, rule, note)
    reason = decision.astype(object) + how.astype(object)
    if "slabkitReason" in curated.columns:
        curated = curated.drop(columns="slabkitReason")
    kept = curated[stays].reset_index(drop=True)
    dropped = curated[~stays].assign(slabkitReason=reason[~stays]).reset_index(drop=True)
    funnel = _funnel(reason, stays, sure if rule or min_confidence is not None else None)
    _warn(len(picks), len(kept), contradictory, unknown, policy, skipped, several)
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


def _check_options(
    policy: str, keep: str, weights: Mapping[str, float] | None, min_confidence: float | None
) -> None:
    if policy not in POLICIES:
        raise InputError(f"policy must be one of {', '.join(POLICIES)}, not {policy!r}.")
    if keep not in KEEPS:
        raise InputError(f"keep must be one of {', '.join(KEEPS)}, not {keep!r}.")
    if weights and policy != "weighted":
        raise InputError(f"weights are for the policy weighted, and it is {policy}.")
    if min_confidence is not None and not 0 <= min_confidence <= 1:
        raise InputError(f"the least confidence must be from 0 to 1, not {min_confidence:g}.")


def _check_confidences(confidence: npt.NDArray[np.float64]) -> None:
    if len(confidence) and np.isnan(confidence).all():
        raise InputError(
            "--min-confidence is given, but no pick has a confidence; name the rounds that make "
            "it, as --confidence class2d,abinitio, or leave it out."
        )


def _labelled_before(picks: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Tell the picks that have a label of their own, not of a merged one, in their ledger."""
    return np.array(
        [
            "label:" in ledger
            and any(one.startswith("label:") and ":of=" not in one for one in ledger.split(","))
            for ledger in ledger_of(picks)
        ],
        dtype=bool,
    )


def _voted(votes: pd.DataFrame, count: int) -> npt.NDArray[np.bool_]:
    return np.bincount(votes["pick"].to_numpy(), minlength=count) > 0


def _both(votes: pd.DataFrame, count: int) -> npt.NDArray[np.bool_]:
    accepted, rejected = tally(votes, count)
    return (accepted > 0) & (rejected > 0)


def _carry(curated: pd.DataFrame, winner: pd.DataFrame) -> pd.DataFrame:
    """Take class, score, source, round, species and pose from the votes that decided."""
    import pandas as pd

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
            if numeric:  # empty, where a list that it was merged from had no such column
                values = np.where(values == "", np.nan, values).astype(np.float64)
        else:
            values = np.full(len(curated), default, dtype=np.float64 if numeric else object)
        values[rows] = winner[source].to_numpy()
        curated[target] = values
    named = (winner["slabkitSpecies"] != "").to_numpy()
    species = curated["slabkitSpecies"].to_numpy(dtype=object)
    species[rows[named]] = winner["slabkitSpecies"].to_numpy(dtype=object)[named]
    curated["slabkitSpecies"] = species
    if ROTATION in winner.columns:
        turned = winner[ROTATION].fillna("").replace("none", "").to_numpy(dtype=object)
        known = turned != ""
        own = curated.get(ROTATION, pd.Series("", curated.index)).replace("none", "")
        before = own.to_numpy(dtype=object)
        after = before.copy()
        after[rows[known]] = turned[known]
        other = int(((after != before) & (before != "")).sum())
        if other:
            warn(f"{other} picks had another orientation; that of the latest label counts.")
        curated[ROTATION] = after
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
            "no label says where its particle is: shifts come from 2D classification in RELION, of "
            "minislabs that this version of slabkit made (those of CryoSPARC's alignments are not "
            "read, their axes are not settled); leave out --recentre."
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


def _funnel(
    reason: npt.NDArray[np.object_],
    stays: npt.NDArray[np.bool_],
    confidence: npt.NDArray[np.float64] | None,
) -> pd.DataFrame:
    import pandas as pd

    steps = [("in the list", len(reason))]
    for what, which in (("dropped", ~stays), ("kept", stays)):
        reasons, counts = np.unique(reason[which].astype(str), return_counts=True)
        steps += [(f"{what}: {r}", int(c)) for r, c in zip(reasons, counts, strict=True)]
        steps.append((what, int(which.sum())))
    if confidence is not None:
        known = confidence[stays & ~np.isnan(confidence)]
        values, counts = np.unique(known, return_counts=True)
        steps += [
            (f"kept with confidence {value:g}", int(count))
            for value, count in zip(values[::-1], counts[::-1], strict=True)
        ]
    return pd.DataFrame(steps, columns=["step", "picks"])


def _warn(
    picks: int,
    kept: int,
    contradictory: int,
    unknown: int,
    policy: str,
    skipped: int,
    several: int,
) -> None:
    if unknown:
        warn(f"{unknown} labels are of picks that are not in the list; ignored.")
    if contradictory:
        warn(
            f"{contradictory} picks have labels that contradict each other; the policy "
            f"{policy!r} decided."
        )
    if several:
        most = "most votes say" if policy in ("majority", "weighted") else "the latest label says"
        warn(f"{several} picks are accepted as more than one species; what {most} counts.")
    if skipped:
        warn(
            f"{skipped} picks have a label of a later round of the confidence and none of the "
            "first; they get no confidence."
        )
    if picks and not kept:
        warn(f"none of the {picks} picks is kept.")


def _record(
    curated: pd.DataFrame,
    before: pd.DataFrame,
    labels: pd.DataFrame,
    policy: str,
    weights: Mapping[str, float] | None,
    rule: Mapping[str, float] | None,
    note: npt.NDArray[np.object_],
) -> pd.DataFrame:
    """Add the labels and what came of them to the ledgers, which become the last column.

    ``curated`` and ``before`` have the same rows; ``note`` says why, where no label does.
    A pick that has no label here and did not change keeps its ledger as it is.
    """
    ledgers = ledger_of(before)
    fresh: dict[int, list[str]] = {}
    new = labels[~labels["known"]]
    for pick, entry in zip(new["pick"].tolist(), new["entry"], strict=True):
        fresh.setdefault(pick, []).append(entry)
    moved = (curated[list(_POSITION)].to_numpy() != before[list(_POSITION)].to_numpy()).any(axis=1)
    changed = moved.copy()
    for name in ("slabkitDecision", "slabkitSpecies", "slabkitConfidence"):
        new_value, old_value = curated[name].to_numpy(), before[name].to_numpy()
        both_nan = (new_value != new_value) & (old_value != old_value)
        changed |= ~((new_value == old_value) | both_nan).astype(bool)
    labelled = np.bincount(labels["pick"].to_numpy(), minlength=len(curated)) > 0
    rows = np.flatnonzero(changed | labelled)
    verdicts = _verdicts(curated.iloc[rows], before.iloc[rows], policy, weights, rule, note[rows])
    places = ledger_entries("", {name[-1].lower(): before[name].to_numpy() for name in _POSITION})
    for row, verdict in zip(rows.tolist(), verdicts, strict=True):
        ledger = with_entries(ledgers[row], fresh.get(row, []))
        if ledger != ledgers[row] or changed[row]:
            parts = [ledger, verdict]
            if moved[row]:
                parts.append("move:by=label" + places[row])
            ledger = ",".join(part for part in parts if part)
        ledgers[row] = ledger
    curated = curated.drop(columns=LEDGER, errors="ignore")
    return curated.assign(**{LEDGER: np.array(ledgers, dtype=object)})


def _verdicts(
    curated: pd.DataFrame,
    before: pd.DataFrame,
    policy: str,
    weights: Mapping[str, float] | None,
    rule: Mapping[str, float] | None,
    note: npt.NDArray[np.object_],
) -> list[str]:
    count = len(curated)
    weighing = " ".join(f"{name}={value:g}" for name, value in (weights or {}).items())
    ruling = " ".join(f"{name}={value:g}" for name, value in (rule or {}).items())
    new, old = (table["slabkitDecision"].to_numpy(dtype=object) for table in (curated, before))
    species = curated["slabkitSpecies"].to_numpy(dtype=object)
    other = species != before["slabkitSpecies"].to_numpy(dtype=object)
    fields = {
        "policy": [policy] * count,
        "weights": [weighing] * count,
        "rule": [ruling] * count,
        "decision": new,
        "was": np.where(new != old, old, ""),
        "confidence": curated["slabkitConfidence"].to_numpy(),
        "note": note,
        "species": np.where(other, species, ""),
    }
    return ledger_entries("curate", fields)
