"""Where picks are: those of the list, those that were moved, those that were added."""

from __future__ import annotations

from typing import Any

import numpy as np

from slabkit.review.listing import Listing
from slabkit.review.writer import Writer
from slabkit.tables.events import Event, in_force


class Refused(Exception):
    """The page asked for what cannot be done; the message is shown."""


class Places:
    """The places of picks; added picks are rows after those of the listing."""

    def __init__(self, listing: Listing, writer: Writer) -> None:
        self._listing = listing
        self._writer = writer
        self._known: tuple[int, dict[str, list[float]], dict[str, dict[str, Any]]] = (-1, {}, {})
        self.added: list[str] = []  # ids, also of those that were taken back
        for event in writer.events:
            self.note(event)

    def note(self, event: Event) -> None:
        """Take in an event."""
        if event.kind == "add":
            name = str(event.body["pick"]["slabkitPickId"])
            if name not in self.added:  # sent twice, it is one
                self.added.append(name)

    @property
    def count(self) -> int:
        """Rows in all."""
        return len(self._listing) + len(self.added)

    def pick(self, row: int) -> dict[str, Any]:
        """Give the row of a pick list that a pick has or would have; empty where not known."""
        if row < len(self._listing):
            return self._listing.pick_row(row)
        return dict(self._in_force()[1].get(self.added[row - len(self._listing)], {}))

    def _in_force(self) -> tuple[dict[str, list[float]], dict[str, dict[str, Any]]]:
        """Give the places of moved picks and the rows of added ones, less what was taken back."""
        count, moved, added = self._known
        if count != len(self._writer.events):
            count, moved, added = len(self._writer.events), {}, {}
            told = [one for one in self._writer.events if one.kind not in ("decide", "lease")]
            for one in in_force(told):
                if one.kind in ("add", "move"):
                    pick = one.body["pick"]
                    name = str(pick["slabkitPickId"])
                    moved[name] = [float(pick[f"slabkit{axis}"]) for axis in "XYZ"]
                    if one.kind == "add":
                        added[name] = pick
            self._known = (count, moved, added)
        return moved, added

    def rows(self, given: Any) -> Any:
        """Check rows that a page sent."""
        try:
            rows = np.array(given, dtype=np.int64)
        except (TypeError, ValueError, OverflowError):
            rows = np.array([-1])
        if rows.ndim != 1 or not len(rows) or (rows < 0).any() or (rows >= self.count).any():
            raise Refused("there is no such row.")
        return rows

    def ids(self, rows: Any) -> list[str]:
        """Give the ids of rows."""
        count, known = len(self._listing), self._listing.ids
        if (rows < count).all():
            return [str(one) for one in known[rows]]
        return [str(known[r]) if r < count else self.added[r - count] for r in rows]

    def of_tomogram(self, name: str) -> tuple[Any, Any, Any]:
        """Give rows, places (x, y, z in Å) and diameters of a tomogram's picks."""
        listing = self._listing
        if listing.picks is None or listing.pick_rows is None:
            raise Refused("the pick list was not given (--picks).")
        code = listing.tomograms.index(name)
        rows = np.flatnonzero(listing.columns["tomogram"] == code)
        table = listing.picks.picks
        own = listing.pick_rows[rows]
        places = table[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy(dtype=np.float64)[own]
        diameters = table["slabkitDiameter"].to_numpy(dtype=np.float64)[own]
        diameters = np.where(np.isfinite(diameters), diameters, listing.box / 2)
        moved, added = self._in_force()
        ids = [str(one) for one in listing.ids[rows]]
        for number, one in enumerate(ids):
            if one in moved:
                places[number] = moved[one]
        for number, one in enumerate(self.added):
            row = added.get(one)
            if row and row["slabkitTomogram"] == name:
                rows = np.append(rows, len(listing) + number)
                places = np.vstack([places, moved[one]])
                diameters = np.append(diameters, row.get("slabkitDiameter", listing.box / 2))
        return rows, places, diameters

    def place(self, row: int) -> tuple[str, tuple[float, float, float]]:
        """Give the tomogram and the place of a pick, wherever it was moved."""
        known = self.pick(row)
        if not known:
            raise Refused("the pick list was not given (--picks).")
        x, y, z = self._in_force()[0].get(
            str(known["slabkitPickId"]), [float(known[f"slabkit{axis}"]) for axis in "XYZ"]
        )
        return str(known["slabkitTomogram"]), (x, y, z)
