"""What a page sends, checked and made into events of the log; and events as a page knows them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from slabkit.review.listing import Listing
from slabkit.review.places import Places, Refused
from slabkit.review.team import Team, time_now
from slabkit.review.volumes import Volumes
from slabkit.tables import DECISIONS, new_pick_ids
from slabkit.tables.events import SOURCES, Event

_KEY = re.compile(r"[A-Za-z0-9-]{8,64}")


class Intake:
    """Makes events of what a page sends, and back."""

    def __init__(
        self,
        listing: Listing,
        places: Places,
        volumes: Volumes,
        team: Team,
        species: list[str],
        round_name: str,
    ) -> None:
        self._listing = listing
        self._places = places
        self._volumes = volumes
        self._team = team
        self._species = species
        self._round = round_name

    def event(self, sent: Any, who: str) -> tuple[Event, Any]:
        """Make an event; gives the rows of a decision too. Raises `Refused`."""
        if not isinstance(sent, dict):
            raise Refused("an event is an object.")
        key, kind = str(sent.get("key", "")), sent.get("kind")
        if not _KEY.fullmatch(key):
            raise Refused("an event has a key of 8 to 64 letters and digits.")
        body: dict[str, Any] = {}
        rows = np.zeros(0, dtype=np.int64)
        if kind == "decide":
            rows = self._places.rows(sent.get("rows"))
            by, decision = sent.get("by", "hand"), sent.get("decision")
            species, class_name = sent.get("species", ""), sent.get("class", "")
            if by not in list(SOURCES) or decision not in DECISIONS:
                raise Refused("there is no such decision.")
            if species not in ("", *self._species) or (class_name not in self._listing.classes):
                raise Refused("there is no such species or class.")
            body = {"picks": self._places.ids(rows), "decision": decision, "by": by}
            body |= {"species": species} if species else {}
            body |= {"class": class_name} if by == "class" else {}
        elif kind in ("undo", "redo"):
            of = str(sent.get("of", ""))
            if not _KEY.fullmatch(of):
                raise Refused("undo and redo are of an event.")
            body = {"of": of}
        elif kind == "add":
            body = self._addition(sent)
        elif kind == "move":
            body = self._move(sent)
        else:
            raise Refused("there is no such kind of event.")
        return Event(key, time_now(), who, self._round, kind, body), rows

    def _addition(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        number = sent.get("tomogram")
        if not isinstance(number, int) or not 0 <= number < len(self._listing.tomograms):
            raise Refused("there is no such tomogram.")
        name = self._listing.tomograms[number]
        place = _place_of(sent)
        self._volumes.check_inside(name, place)
        species = sent.get("species", "")
        if species not in ("", *self._species):
            raise Refused("there is no such species.")
        taken = [*self._listing.ids.tolist(), *self._places.added]
        x, y, z = place
        (new,) = new_pick_ids([name], [x], [y], [z], salt="review", taken=taken)
        diameter = sent.get("diameter")
        if not isinstance(diameter, (int, float)) or not 0 < diameter < 1e5:
            diameter = self._listing.box / 2
        pick = {
            "slabkitPickId": new,
            "slabkitTomogram": name,
            **{f"slabkit{axis}": value for axis, value in zip("XYZ", place, strict=True)},
            "slabkitSpecies": species,
            "slabkitSource": "review",
            "slabkitDiameter": float(diameter),
        }
        return {"pick": pick, "tomogram": self._listing.tomogram_row(name)}

    def _move(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        (row,) = self._places.rows([sent.get("row")]).tolist()
        place = _place_of(sent)
        name, before = self._places.place(row)
        self._volumes.check_inside(name, place)
        pick = self._places.pick(row) | {
            f"slabkit{axis}": value for axis, value in zip("XYZ", place, strict=True)
        }
        tomogram = self._listing.tomogram_row(name)
        return {"pick": pick, "tomogram": tomogram, "from": list(before)}

    def sent(self, event: Event) -> dict[str, Any]:
        """Give an event as the page knows it: rows for ids."""
        sent: dict[str, Any] = {"key": event.key, "kind": event.kind, "time": event.time}
        body = event.body
        if event.kind == "decide":
            known, count = self._team.row_of(), len(self._listing)
            added = {name: count + number for number, name in enumerate(self._places.added)}
            found = (known.get(name, added.get(name)) for name in body["picks"])
            rows = [row for row in found if row is not None]
            other = event.round_name != self._round
            sent |= {"rows": rows, "decision": body["decision"], "by": body.get("by", "hand")}
            sent |= {"species": body.get("species", ""), "class": body.get("class", "")}
            sent |= {"round": event.round_name} if other else {}
        elif event.kind in ("undo", "redo"):
            sent["of"] = body["of"]
        elif event.kind in ("add", "move"):
            pick = body["pick"]
            name = str(pick["slabkitPickId"])
            if name in self._places.added:
                sent["row"] = len(self._listing) + self._places.added.index(name)
            else:
                sent["row"] = self._team.row_of().get(name, -1)
            sent |= {axis.lower(): pick[f"slabkit{axis}"] for axis in "XYZ"}
            sent |= {"tomogram": self._listing.tomograms.index(str(pick["slabkitTomogram"]))}
            sent |= {"species": pick.get("slabkitSpecies", ""), "from": body.get("from")}
            sent |= {"diameter": pick.get("slabkitDiameter"), "reviewer": event.reviewer}
        return sent


def _place_of(sent: Mapping[str, Any]) -> tuple[float, float, float]:
    values = [sent.get(axis) for axis in "xyz"]
    numbers = [round(float(one), 3) for one in values if isinstance(one, (int, float))]
    if len(numbers) < 3 or not all(abs(one) < 1e9 for one in numbers):
        raise Refused("x, y and z are numbers.")
    return numbers[0], numbers[1], numbers[2]
