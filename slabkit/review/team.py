"""Several people at one list: batches that are leased, blind second votes, agreement, pace."""

from __future__ import annotations

import itertools
import zlib
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.curation.agreement import cohen_kappa
from slabkit.tables.events import Event, in_force

LEASE = 15 * 60.0
"""Seconds after the last decision until a batch is given to somebody else."""
_PACE = 600.0  # seconds over which the pace is measured
_CODES = {"accepted": 1, "rejected": 2, "undecided": 3}

Codes = npt.NDArray[np.int8]
Rows = npt.NDArray[np.int64]


@dataclass
class _Person:
    codes: Codes  # of each row: 0 nothing, 1 accepted, 2 rejected, 3 undecided
    hand: npt.NDArray[np.bool_]  # decided by hand
    # Of the latest decisions by hand: seconds, and on how many picks
    times: deque[tuple[float, int]] = field(default_factory=deque)
    lease: Rows = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    until: float = 0.0


class Team:
    """What everybody has said so far, and who looks at what next.

    ``ids`` are those of the picks by row, ``overlap`` is the share of them that two people see.
    """

    def __init__(
        self, ids: Sequence[str], round_name: str, overlap: float = 0.0, batch: int = 240
    ) -> None:
        self._ids = ids
        self._round = round_name
        self._overlap = overlap
        self._batch = batch
        self._people: dict[str, _Person] = {}
        self._row_of: dict[str, int] | None = None
        self._second: npt.NDArray[np.bool_] | None = None

    def row_of(self) -> dict[str, int]:
        """Give the row of each pick id."""
        if self._row_of is None:
            self._row_of = {name: row for row, name in enumerate(self._ids)}
        return self._row_of

    def person(self, name: str) -> _Person:
        """Give what is known of one reviewer."""
        if name not in self._people:
            count = len(self._ids)
            self._people[name] = _Person(np.zeros(count, np.int8), np.zeros(count, bool))
        return self._people[name]

    def replay(self, events: Iterable[Event]) -> None:
        """Begin from the log; leases that have not ended go on."""
        for one in self._people.values():
            one.codes[:] = 0
            one.hand[:] = False
            one.times.clear()
        for event in in_force(events):
            if event.kind == "decide":
                self.decide(event)
            elif event.kind == "lease":
                self._lease(event)

    def rows(self, picks: Iterable[str]) -> Rows:
        """Give the rows of picks, less those that are not under review (added ones)."""
        known = self.row_of()
        return np.array([known[name] for name in picks if name in known], dtype=np.int64)

    def decide(self, event: Event, rows: Rows | None = None) -> None:
        """Take in a decision; ``rows`` are those of its picks, where they are known."""
        if event.round_name != self._round:
            return
        person, body = self.person(event.reviewer), event.body
        rows = self.rows(body["picks"]) if rows is None else rows[rows < len(self._ids)]
        by_hand = body.get("by", "hand") == "hand"
        rows = rows if by_hand else rows[~person.hand[rows]]
        person.codes[rows] = _CODES[body["decision"]]
        person.hand[rows] = by_hand
        if by_hand:
            now = _seconds(event.time)
            person.times.append((now, len(rows)))
            while person.times and person.times[0][0] < now - _PACE:
                person.times.popleft()
            if len(person.lease):
                person.until = max(person.until, now + LEASE)

    def _lease(self, event: Event) -> None:
        person = self.person(event.reviewer)
        person.lease = self.rows(event.body["picks"])
        person.until = _seconds(event.time) + LEASE

    def lease(self, event: Event) -> None:
        """Take in that a batch was given to somebody."""
        self._lease(event)

    def open_lease(self, name: str, now: float) -> Rows:
        """Give what is left of a reviewer's batch; nothing once it has ended."""
        person = self.person(name)
        if person.until < now:
            return np.zeros(0, dtype=np.int64)
        return np.asarray(person.lease[person.codes[person.lease] == 0])

    def next_batch(self, name: str, order: Rows, now: float, disputed: bool = False) -> Rows:
        """Choose what a reviewer sees next, first in ``order`` first.

        First votes on what nobody else has or had, and second votes where two are wanted; or, of
        ``disputed`` picks, a third person's.
        """
        mine = self.person(name).codes
        taken = np.zeros(len(self._ids), dtype=np.int8)
        for who, person in self._people.items():
            if who != name and person.until >= now:
                taken[person.lease[person.codes[person.lease] == 0]] += 1
        if disputed:
            wanted = self.disputed() & (mine == 0) & (taken == 0)
            return np.asarray(order[wanted[order]][: self._batch])
        votes = np.zeros(len(self._ids), dtype=np.int16)
        for other in self._people.values():
            votes += other.codes > 0
        # Two may have at once what two are to see.
        first = (mine == 0) & (votes == 0) & ((taken == 0) | ((taken == 1) & self.second_wanted()))
        second = (mine == 0) & (votes == 1) & self.second_wanted() & (taken == 0)
        chosen = np.zeros(len(self._ids), dtype=bool)
        chosen[order[second[order]][: round(self._overlap * self._batch)]] = True
        for wanted in (first, second):
            more = order[(wanted & ~chosen)[order]]
            chosen[more[: self._batch - int(chosen.sum())]] = True
        return np.asarray(order[chosen[order]])

    def second_wanted(self) -> npt.NDArray[np.bool_]:
        """Tell which picks two people are to see; it follows from their ids."""
        if not self._overlap:
            return np.zeros(len(self._ids), dtype=bool)
        if self._second is None:
            below = self._overlap * 2**32
            self._second = np.array([zlib.crc32(one.encode()) < below for one in self._ids])
        return self._second

    def disputed(self) -> npt.NDArray[np.bool_]:
        """Tell the picks on which as many say accepted as rejected."""
        yes = np.zeros(len(self._ids), dtype=np.int16)
        no = np.zeros(len(self._ids), dtype=np.int16)
        for person in self._people.values():
            yes += person.codes == 1
            no += person.codes == 2
        return np.asarray((yes > 0) & (yes == no))

    def others(self, name: str) -> list[tuple[str, Rows, Codes]]:
        """Give what others say of what a reviewer has decided too, and of nothing else."""
        mine = self.person(name).codes > 0
        found = []
        for who, person in self._people.items():
            if who != name:
                rows = np.flatnonzero(mine & (person.codes > 0))
                found.append((who, rows, person.codes[rows]))
        return found

    def said_of(self, row: int, name: str) -> list[tuple[str, int]]:
        """Give everybody's verdict on a pick; nobody's before the reviewer's own."""
        if self.person(name).codes[row] == 0:
            return []
        return [(who, int(one.codes[row])) for who, one in self._people.items() if one.codes[row]]

    def report(self, now: float) -> dict[str, Any]:
        """Say how far everybody is, how fast, and how well they agree."""
        people = []
        seen = np.zeros(len(self._ids), dtype=np.int16)
        for name, person in sorted(self._people.items()):
            counts = np.bincount(person.codes, minlength=4)
            seen += person.codes > 0
            recent = [one for one in person.times if one[0] > now - _PACE]
            span = now - recent[0][0] if recent else 0.0
            people.append(
                {
                    "name": name,
                    "decided": int(counts[1:].sum()),
                    "accepted": int(counts[1]),
                    "rejected": int(counts[2]),
                    "undecided": int(counts[3]),
                    "per_minute": round(60 * sum(n for _, n in recent) / max(span, 60.0), 1),
                    "left": len(self.open_lease(name, now)),
                }
            )
        pairs = []
        for (one, first), (two, second) in itertools.combinations(sorted(self._people.items()), 2):
            both = np.flatnonzero(np.isin(first.codes, (1, 2)) & np.isin(second.codes, (1, 2)))
            if len(both):
                a, b = first.codes[both], second.codes[both]
                kappa = cohen_kappa(a, b)
                pairs.append(
                    {
                        "first": one,
                        "second": two,
                        "picks": len(both),
                        "agree": round(float((a == b).mean()), 4),
                        "kappa": None if kappa != kappa else round(kappa, 4),
                    }
                )
        return {
            "people": people,
            "pairs": pairs,
            "picks": len(self._ids),
            "seen": int((seen > 0).sum()),
            "twice": int((seen > 1).sum()),
            "disputed": int(self.disputed().sum()),
            "overlap": self._overlap,
        }


def _seconds(time: str) -> float:
    try:
        return datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return 0.0


def time_now() -> str:
    """Give the time as the log has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
