"""What the log of a review means: its events to labels and to picks that were added or moved.

An event is one thing that one person did. The log is only ever appended to: taking back is an
event too. What follows from a log is a pure function of its events.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from slabkit.errors import FormatError
from slabkit.tables.ledger import LEDGER, TIME, label_entries, ledger_entries, with_entries
from slabkit.tables.schemas import DECISIONS, LABELS, PICKS, TOMOGRAMS
from slabkit.tables.validation import empty_table, make_table, validate_table

if TYPE_CHECKING:
    import pandas as pd

SOURCES = {"hand": "review", "class": "review-class", "threshold": "review-threshold"}
"""How a person decided, to the source of the label."""

KINDS = ("decide", "undo", "redo", "add", "move", "lease")


@dataclass(frozen=True)
class Event:
    """One event of a log.

    What ``body`` holds, by the kind: ``decide``: picks (ids), decision, species, by (a key of
    `SOURCES`), class; ``undo`` and ``redo``: of (the key of an event); ``add`` and ``move``: pick
    (its row in a pick list, by column), tomogram (its row), and for ``move`` from (x, y, z in Å);
    ``lease``: picks, until.
    """

    key: str  # given by whoever sends it; sent twice, it counts once
    time: str  # 2026-11-27T13:45:00.123Z
    reviewer: str
    round_name: str
    kind: str
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What one reviewer says of one pick in one round."""

    pick: str
    decision: str
    species: str
    by: str
    class_name: str
    event: Event


def check_event(event: Event, where: str = "log") -> None:
    """Refuse an event that is not as `Event` says: `FormatError`."""
    body = event.body
    fits = event.kind in KINDS
    if event.kind in ("decide", "lease"):
        picks = body.get("picks")
        fits = isinstance(picks, list) and all(isinstance(one, str) for one in picks)
    if event.kind == "decide":
        texts = [body.get(name, "") for name in ("species", "class")]
        fits = fits and all(isinstance(one, str) for one in texts)
        fits = fits and body.get("decision") in DECISIONS and body.get("by", "hand") in SOURCES
    elif event.kind in ("undo", "redo"):
        fits = isinstance(body.get("of"), str)
    elif event.kind in ("add", "move"):
        pick, tomogram = body.get("pick"), body.get("tomogram")
        fits = isinstance(pick, dict) and isinstance(tomogram, dict)
        fits = fits and {"slabkitPickId", "slabkitTomogram"} <= set(pick or {})
        if event.kind == "move":
            place = body.get("from")
            fits = fits and isinstance(place, list) and len(place) == 3
    if not fits:
        raise FormatError(
            f"{where}: event {event.key} ({event.kind}) is damaged or of a newer slabkit."
        )


def in_force(events: Iterable[Event]) -> list[Event]:
    """Give the events that were not taken back, in the order in which they took effect.

    A person takes back and does again their own events only.
    """
    order: dict[str, tuple[int, Event]] = {}
    known: dict[str, Event] = {}
    for number, event in enumerate(events):
        if event.kind in ("undo", "redo"):
            of = str(event.body.get("of"))
            target = known.get(of)
            if target is None or target.reviewer != event.reviewer:
                continue
            if event.kind == "undo":
                order.pop(of, None)
            else:
                order.setdefault(of, (number, target))
        elif event.key not in known:
            known[event.key] = event
            order[event.key] = (number, event)
    return [event for _, event in sorted(order.values(), key=lambda pair: pair[0])]


def verdicts(events: Iterable[Event]) -> list[Verdict]:
    """Give what each reviewer says of each pick in each round, oldest first.

    The last decision counts, but for what was decided by hand: a decision on a class or by a
    threshold leaves that as it is.
    """
    standing: dict[tuple[str, str, str], Verdict] = {}
    for event in in_force(events):
        if event.kind != "decide":
            continue
        apply_decision(standing, event)
    return list(standing.values())


def apply_decision(standing: dict[tuple[str, str, str], Verdict], event: Event) -> None:
    """Put a decision into what stands, which is by reviewer, round and pick, oldest first."""
    body = event.body
    by, decision = body.get("by", "hand"), body["decision"]
    species, class_name = body.get("species", ""), body.get("class", "")
    for pick in body["picks"]:
        key = (event.reviewer, event.round_name, pick)
        old = standing.get(key)
        if old is not None:
            if old.by == "hand" and by != "hand":
                continue
            del standing[key]
        standing[key] = Verdict(pick, decision, species, by, class_name, event)


def event_labels(events: Iterable[Event]) -> pd.DataFrame:
    """Make the label table of a log (oldest first): a row for what each reviewer says of each pick.

    It has ``slabkitTime`` (UTC) too.
    """
    events = list(events)
    added = {str(one.body["pick"]["slabkitPickId"]) for one in events if one.kind == "add"}
    found = [one for one in verdicts(events) if one.pick not in added]
    if not found:
        return empty_table(LABELS).assign(**{TIME: ""})
    return make_table(
        LABELS,
        {
            "slabkitPickId": [one.pick for one in found],
            "slabkitDecision": [one.decision for one in found],
            "slabkitClass": [one.class_name for one in found],
            "slabkitSource": [SOURCES[one.by] for one in found],
            "slabkitRound": [one.event.round_name for one in found],
            "slabkitAuthor": [one.event.reviewer for one in found],
            "slabkitSpecies": [one.species for one in found],
            TIME: [one.event.time for one in found],
        },
    )


def event_additions(events: Sequence[Event]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make the picks that people added or moved.

    Parameters
    ----------
    events : sequence of Event
        Oldest first.

    Returns
    -------
    picks : DataFrame
        Columns of `slabkit.tables.PICKS`. Added ones have the source ``review`` and the decision of
        the last verdict on them, accepted where there is none; moved ones are where they are now.
        Ledgers tell who did it, when, and whence.
    tomograms : DataFrame
        Columns of `slabkit.tables.TOMOGRAMS`.
    """
    import pandas as pd

    rows: dict[str, dict[str, Any]] = {}
    tomograms: dict[str, dict[str, Any]] = {}
    new = set()
    for event in in_force(events):
        if event.kind not in ("add", "move"):
            continue
        row, tomogram = event.body["pick"], event.body["tomogram"]
        name = str(row["slabkitPickId"])
        tomograms.setdefault(str(tomogram["slabkitTomogram"]), tomogram)
        who = {"author": [event.reviewer], "time": [event.time], "round": [event.round_name]}
        if event.kind == "add":
            entry = ledger_entries("add", {"by": ["review"], **who})
            rows[name] = {**row, "slabkitDecision": "accepted", LEDGER: entry[0]}
            new.add(name)
        else:
            whence = zip("xyz", event.body["from"], strict=True)
            old = {axis: [float(value)] for axis, value in whence}
            entry = ledger_entries("move", {"by": ["review"], **who, **old})
            ledger = rows.get(name, row).get(LEDGER, "")
            place = {f"slabkit{axis}": row[f"slabkit{axis}"] for axis in "XYZ"}
            rows[name] = {**rows.get(name, row), **place, LEDGER: with_entries(ledger, entry)}
    if not rows:
        return empty_table(PICKS).assign(**{LEDGER: ""}), empty_table(TOMOGRAMS)
    labels = event_labels([one for one in events if one.kind != "add"])
    labels = labels[labels["slabkitPickId"].isin(new)]
    for name, decision, species, said in zip(
        labels["slabkitPickId"],
        labels["slabkitDecision"],
        labels["slabkitSpecies"],
        label_entries(labels),
        strict=True,
    ):
        row = rows[name]
        row.update(slabkitDecision=decision, slabkitSpecies=species or row["slabkitSpecies"])
        row[LEDGER] = with_entries(row[LEDGER], [said])
    defaults = {column.name: column.default for column in PICKS.columns if not column.required}
    names = dict.fromkeys(name for row in rows.values() for name in row if name != LEDGER)
    columns = [*names, LEDGER]  # those that only some rows have are empty in the others
    full = [
        {name: row.get(name, defaults.get(name, "")) for name in columns} for row in rows.values()
    ]
    return (
        validate_table(pd.DataFrame(full), PICKS),
        validate_table(pd.DataFrame(list(tomograms.values())), TOMOGRAMS),
    )
