"""The server: what the page asks for, answered by steps and stages."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from binascii import crc32
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import resources
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from slabkit.errors import SlabkitError
from slabkit.review.intake import Intake
from slabkit.review.listing import Listing
from slabkit.review.loop import Progress
from slabkit.review.ordering import suggested_order
from slabkit.review.packing import pack
from slabkit.review.places import Places, Refused
from slabkit.review.team import Team, time_now
from slabkit.review.volumes import Volumes
from slabkit.review.writer import Writer
from slabkit.tables import DECISIONS, parse_ledger
from slabkit.tables.events import Event, event_labels, in_force

_MOST_TILES = 2048
_PAUSE, _SHARE = 10.0, 5.0  # seconds, and times what it took, until the order is made anew
_PLACE = ("slabkitX", "slabkitY", "slabkitZ")
_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


class Review:
    """One review: the listing, the log, the people. Its methods answer requests."""

    def __init__(
        self,
        listing: Listing,
        writer: Writer,
        *,
        head: dict[str, Any],  # species, colours, order, team, round
        reviewers: list[str],
        overlap: float,
        batch: int,
        beta: float,
        order_of: Callable[..., Any] = suggested_order,
    ) -> None:
        self.listing = listing
        round_name: str = head["round"]
        self.writer = writer
        self.volumes = Volumes(listing)
        self.team = Team(listing.ids.tolist(), round_name, overlap, batch)
        if writer.events:
            self.team.replay(writer.events)
        self._round = round_name
        self._reviewers = reviewers
        self._beta = beta
        self._order_of = order_of
        self._ordering: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._ordered_at = -1  # events in the log when the order was made
        self.order: tuple[Any, Any, dict[str, Any]] | None = None
        self._shown = head
        self.progress = Progress()
        self._stale = False  # something was taken back since the team was counted
        self.places = Places(listing, writer)
        self.intake = Intake(
            listing, self.places, self.volumes, self.team, head["species"], round_name
        )

    # ------------------------------------------------------------------ what the page begins with

    def listed(self, request: Request) -> Response:
        """Give the columns of the listing."""
        header = self.listing.about() | self._shown | {"reviewer": request.scope["reviewer"]}
        return _binary(pack(header, self.listing.columns))

    def mine(self, request: Request) -> Response:
        """Give what this reviewer did, oldest first."""
        who = request.scope["reviewer"]
        events = [one for one in self.writer.events if one.reviewer == who]
        return JSONResponse([self.intake.sent(one) for one in events if one.kind != "lease"])

    def others(self, request: Request) -> Response:
        """Give what others say of what this reviewer decided."""
        found = self._counted().others(request.scope["reviewer"])
        header = {"names": [name for name, _, _ in found]}
        arrays = {}
        for number, (_, rows, codes) in enumerate(found):
            arrays[f"rows{number}"] = rows.astype(np.uint32)
            arrays[f"codes{number}"] = codes.astype(np.uint8)
        return _binary(pack(header, arrays))

    def order_now(self, request: Request) -> Response:
        """Give the order of `suggest` and probabilities, as far as they are made."""
        if self.order is None:
            return JSONResponse({"made": self._ordered_at >= 0}, status_code=202)
        order, probability, about = self.order
        if request.query_params.get("since") == str(about["version"]):
            return JSONResponse({}, status_code=202)
        return _binary(pack(about, {"order": order, "probability": probability}))

    def update_order(self) -> None:
        """Begin to make the order anew, in the background, unless that is under way."""
        if self._ordering is None or self._ordering.done():
            self._ordering = asyncio.get_running_loop().create_task(self._make_order())

    async def _make_order(self) -> None:
        await asyncio.sleep(self._not_before - time.monotonic())
        count = len(self.writer.events)
        if count == self._ordered_at:
            return

        def make() -> Any:
            events = [one for one in self.writer.events[:count] if one.round_name == self._round]
            return self._order_of(self.listing, event_labels(events), self._beta)

        began = time.monotonic()
        with contextlib.suppress(SlabkitError):
            made = await run_in_threadpool(make)
            if made is not None:
                self.progress.add(made[2]["labelled"], made[2]["expected_f_beta"])
                made[2].update(advice=self.progress.advice(), version=count)
                self.order = made
        self._ordered_at = count
        now = time.monotonic()
        self._not_before = now + max(_PAUSE, _SHARE * (now - began))

    def _counted(self) -> Team:
        """Give the team with everything that is in the log."""
        if self._stale:
            self._stale = False
            self.team.replay(self.writer.events)
        return self.team

    # ------------------------------------------------------------------------------------ pictures

    async def tiles(self, request: Request) -> Response:
        """Give tiles, one byte a pixel, in the order asked for."""
        body = await request.body()
        if len(body) % 4 or not 4 <= len(body) <= 4 * _MOST_TILES:
            raise Refused(f"tiles are asked for by 1 to {_MOST_TILES} rows.")
        rows = np.frombuffer(body, dtype="<u4").astype(np.int64)
        if (rows >= len(self.listing)).any():
            raise Refused("there is no such row.")
        images = await run_in_threadpool(self.listing.tiles, rows)
        return _binary(images.tobytes())

    def averages(self, request: Request) -> Response:
        """Give the averages of all classes; of a class without one, its first members' mean."""
        listing, arrays = self.listing, {}
        code = listing.columns["class"]
        for number, name in enumerate(listing.classes):
            image = listing.average(name)
            if image is None:
                members = np.flatnonzero(code == number)[:64]
                if not len(members):
                    continue
                image = listing.tiles(members).mean(axis=0).astype(np.uint8)
            arrays[str(number)] = image
        sides = {name: image.shape[0] for name, image in arrays.items()}
        return _binary(pack({"sides": sides}, arrays))

    def cube(self, request: Request) -> Response:
        """Give a cube of voxels about a pick."""
        name, place = self.places.place(_row(request, self.places.count))
        about, data = self.volumes.cube(name, place)
        return _binary(pack(about, {"cube": data}))

    def slab(self, request: Request) -> Response:
        """Give the slab about a pick."""
        name, place = self.places.place(_row(request, self.places.count))
        about, data = self.volumes.slab(name, place)
        return _binary(pack(about, {"slab": data}))

    def section(self, request: Request) -> Response:
        """Give a section of a whole tomogram."""
        name = self._tomogram(request)
        query = request.query_params
        z, thickness = _real(query.get("z", "0")), _real(query.get("thickness", "0"))
        about, data = self.volumes.section(name, z, max(0.0, thickness))
        return _binary(pack(about, {"section": data}))

    # ---------------------------------------------------------------------------------- one pick

    def pick(self, request: Request) -> Response:
        """Tell what is known of a pick: place, score, history, neighbours, what others say."""
        row = _row(request, self.places.count)
        who = request.scope["reviewer"]
        listing = self.listing
        if row >= len(listing):
            known = self.places.pick(row)
            return JSONResponse({"id": self.places.added[row - len(listing)], "pick": known})
        code = int(listing.columns["class"][row])
        known = listing.pick_row(row)
        ledger = str(known.pop("slabkitLedger", ""))
        history = parse_ledger(ledger) if ledger and ledger != "none" else []
        if not self._counted().person(who).codes[row]:
            known, history = _blinded(known, history, who, self._shown["team"])
        if known:
            known |= dict(zip(_PLACE, self.places.place(row)[1], strict=True))
        name = listing.ids[row]
        own = [one for one in self.writer.events if one.reviewer == who]
        done = [
            {"step": one.kind, "time": one.time, "author": one.reviewer, **_summary(one)}
            for one in in_force(own)
            if _speaks_of(one, name)
        ]
        codes = ("", *DECISIONS)
        said = [
            {"author": one, "decision": codes[verdict]}
            for one, verdict in self._counted().said_of(row, who)
            if one != who
        ]
        answer = {
            "id": name,
            "tomogram": listing.tomograms[int(listing.columns["tomogram"][row])],
            "class": listing.classes[code],
            "pick": known,
            "history": [*history, *done],
            "said": said,
            "neighbours": self._neighbours(row),
        }
        return JSONResponse(answer)

    def _neighbours(self, row: int) -> list[dict[str, Any]]:
        if self.listing.picks is None:
            return []
        name, place = self.places.place(row)
        rows, places, _ = self.places.of_tomogram(name)
        near = np.abs(places - np.array(place)).max(axis=1) <= 2 * self.listing.box
        return [
            {"row": int(one), "x": float(xyz[0]), "y": float(xyz[1]), "z": float(xyz[2])}
            for one, xyz in zip(rows[near], places[near], strict=True)
            if one != row
        ]

    def places_of(self, request: Request) -> Response:
        """Give the picks of a tomogram: rows, x, y, z and diameters in Å."""
        rows, places, diameters = self.places.of_tomogram(self._tomogram(request))
        arrays = {
            "rows": rows.astype(np.uint32),
            "places": places.astype(np.float32),
            "diameters": diameters.astype(np.float32),
        }
        told = [one for one in self.writer.events if one.kind not in ("decide", "lease")]
        added = [self.intake.sent(one) for one in in_force(told) if one.kind == "add"]
        return _binary(pack({"added": added}, arrays))

    def _tomogram(self, request: Request) -> str:
        text = request.query_params.get("tomogram", "")
        if not text.isdecimal() or len(text) > 12 or int(text) >= len(self.listing.tomograms):
            raise Refused("there is no such tomogram.")
        return self.listing.tomograms[int(text)]

    def refine(self, request: Request) -> Response:
        """Find the depth of a particle that was clicked."""
        query = request.query_params
        name = self._tomogram(request)
        x, y, z, diameter = (_real(query.get(key, "nan")) for key in ("x", "y", "z", "diameter"))
        return JSONResponse({"z": self.volumes.depth_of(name, x, y, z, max(diameter, 1.0))})

    # ---------------------------------------------------------------------------------- the log

    async def events(self, request: Request) -> Response:
        """Write what the reviewer did; answered once it is in the log for good."""
        sent = _parsed(await request.body())
        if not isinstance(sent, list) or len(sent) > 10_000:
            raise Refused("events come as a list.")
        who = request.scope["reviewer"]
        pairs = [self.intake.event(one, who) for one in sent]
        new = [pair for pair in pairs if not self.writer.has(pair[0].key)]
        await self.writer.append([event for event, _ in new])
        for event, rows in new:
            if event.kind == "decide":
                self.team.decide(event, rows)
            self._stale |= event.kind in ("undo", "redo")
            self.places.note(event)
        if len(self.writer.events) - self._ordered_at >= 50:
            self.update_order()
        return JSONResponse({"saved": [event.key for event, _ in pairs]})

    # ------------------------------------------------------------------------------------ a team

    async def batch(self, request: Request) -> Response:
        """Lease the next batch to a reviewer, or give the one that is not finished."""
        who = request.scope["reviewer"]
        asked = _parsed(await request.body())
        disputed = isinstance(asked, dict) and asked.get("disputed") is True
        now = time.time()
        rows = np.zeros(0, dtype=np.int64) if disputed else self._counted().open_lease(who, now)
        if not len(rows):
            if self.order is None and self._ordering is not None:  # a short list's comes at once
                await asyncio.wait([self._ordering], timeout=5)
            if self.order is not None and self._shown["order"] == "suggest":
                order = self.order[0].astype(np.int64)
            else:
                order = self._plain_order()
            rows = self.team.next_batch(who, order, now, disputed)
            if self._shown["order"] == "suggest":  # so that its end does not tell second votes
                rows = rows[np.argsort([crc32(one.encode()) for one in self.places.ids(rows)])]
            if len(rows):
                body = {"picks": self.places.ids(rows), "disputed": disputed}
                key = f"lease-{time.time_ns()}-{len(self.writer.events)}"
                event = Event(key, time_now(), who, self._round, "lease", body)
                self.team.lease(event)
                await self.writer.append([event])
        self.update_order()
        return _binary(pack({"disputed": disputed}, {"rows": rows.astype(np.uint32)}))

    def _plain_order(self) -> Any:
        columns, order = self.listing.columns, self._shown["order"]
        if order == "score" and np.isfinite(columns["score"]).any():
            return np.argsort(-np.nan_to_num(columns["score"], nan=-np.inf), kind="stable")
        if order == "probability" and self.order is not None:
            return np.argsort(-self.order[1], kind="stable")
        if order == "class":  # best first, as the page has them
            quality = [self.listing.class_quality.get(one, -1.0) for one in self.listing.classes]
            rank = np.argsort(np.argsort(-np.array(quality[1:]), kind="stable"), kind="stable")
            return np.argsort(np.append(len(rank), rank)[columns["class"]], kind="stable")
        return np.arange(len(self.listing))

    def report(self, request: Request) -> Response:
        """Say how the team is doing."""
        about = self.order[2] if self.order is not None else {}
        told = self._counted().report(time.time())
        return JSONResponse({**told, **about, "reviewers": self._reviewers})


def _binary(data: bytes) -> Response:
    return Response(data, media_type="application/octet-stream")


def _row(request: Request, count: int) -> int:
    text = request.path_params["row"]
    if not text.isdecimal() or len(text) > 12 or int(text) >= count:
        raise Refused("there is no such row.")
    return int(text)


def _real(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < 1e9:
        raise Refused("a number is expected.")
    return value


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("the request is not JSON.") from None


def _speaks_of(event: Event, name: str) -> bool:
    if event.kind in ("add", "move"):
        return bool(event.body["pick"]["slabkitPickId"] == name)
    return (
        event.kind == "decide" and len(event.body["picks"]) < 5000 and name in event.body["picks"]
    )


def _blinded(
    known: dict[str, Any], history: list[dict[str, Any]], who: str, team: bool
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Leave out what tells the verdict of others, from a pick's row and from its ledger."""
    theirs = any(one["step"] == "label" and one.get("author", who) != who for one in history)
    if not (team or theirs):
        return known, history
    hidden = {"slabkitDecision", "slabkitConfidence"}
    if any(one["step"] == "label" for one in history):
        hidden |= {"slabkitSpecies"} | {name for name in known if name.startswith("slabkitLabel")}
        hidden |= {name for name in known if name.startswith("slabkitVotes")}
    kept = [one for one in history if one["step"] not in ("label", "curate")]
    return {name: value for name, value in known.items() if name not in hidden}, kept


def _summary(event: Event) -> dict[str, Any]:
    body = event.body
    if event.kind == "move":
        return {"from": body["from"]}
    return {name: body[name] for name in ("decision", "species", "by", "class") if name in body}


async def _refused(request: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), status_code=400)


async def _cut_off(request: Request, error: Exception) -> Response:
    return PlainTextResponse("The request is too large, or broke off.", status_code=413)


def make_app(review: Review) -> Starlette:
    """Make the application; who may use it is not its business (`slabkit.review.security`)."""

    def plainly(answer: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            return await run_in_threadpool(answer, request)

        return handle

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        review.update_order()
        yield

    files = {
        one.name: one.read_bytes()
        for one in resources.files("slabkit.review").joinpath("static").iterdir()
        if one.name.rpartition(".")[2] in _TYPES
    }

    async def static(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in files:
            return PlainTextResponse("not found", status_code=404)
        kind = _TYPES[name.rpartition(".")[2]]
        return Response(files[name], media_type=kind, headers={"cache-control": "no-cache"})

    routes = [
        Route("/", static),
        Route("/static/{name}", static),
        Route("/api/list", plainly(review.listed)),
        Route("/api/mine", plainly(review.mine)),
        Route("/api/others", plainly(review.others)),
        Route("/api/order", plainly(review.order_now)),
        Route("/api/averages", plainly(review.averages)),
        Route("/api/pick/{row}", plainly(review.pick)),
        Route("/api/cube/{row}", plainly(review.cube)),
        Route("/api/slab/{row}", plainly(review.slab)),
        Route("/api/section", plainly(review.section)),
        Route("/api/places", plainly(review.places_of)),
        Route("/api/refine", plainly(review.refine)),
        Route("/api/team", plainly(review.report)),
        Route("/api/tiles", review.tiles, methods=["POST"]),
        Route("/api/events", review.events, methods=["POST"]),
        Route("/api/batch", review.batch, methods=["POST"]),
    ]
    handlers = {Refused: _refused, SlabkitError: _refused, ClientDisconnect: _cut_off}
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
