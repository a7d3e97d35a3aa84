"""``slabkit review``: what was asked for, checked; then the server, or the page that needs none."""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import socket
import webbrowser
from binascii import crc32
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from slabkit.errors import InputError, MissingDependencyError
from slabkit.execution.frame import Frame, parameters

if TYPE_CHECKING:
    from slabkit.review.listing import Listing

Order = Literal["suggest", "score", "class", "probability", "list"]


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit review``."""

    minislabs: str
    picks: str | None = None
    classified: str | None = None
    model: str | None = None
    species: tuple[str, ...] = ()
    order: Order | None = None  # None: by what there is
    reviewer: tuple[str, ...] = ()
    out: str = "reviews.sqlite"
    round_name: str = "review"
    overlap: float = 0.0
    batch: int = 240
    beta: float = 4.0
    host: str = "127.0.0.1"
    port: int = 0
    browser: bool = False
    page: str | None = None


def run(options: Options, frame: Frame) -> None:
    """Serve the review until it is stopped, or write the page that needs no server."""
    from slabkit.review.listing import join_picks, read_listing

    _check(options)
    if options.page is not None:
        from slabkit.review.offline import write_page

        given = [options.minislabs, options.picks, options.classified]
        with frame.work(
            "review",
            options.page,
            inputs=[name for name in given if name is not None],
            parameters=parameters(options, "minislabs", "picks", "classified", "page"),
        ) as work:
            if not work.finished:
                listing = read_listing(options.minislabs, options.classified)
                if options.picks is not None:
                    join_picks(listing, options.picks)
                head = {
                    **_head(options, listing),
                    "volumes": False,
                    "reviewer": options.reviewer[0] if options.reviewer else "",
                }
                write_page(options.page, listing, listing.about() | head, options.beta)
                size = os.path.getsize(options.page)
                work.summary.update(minislabs=len(listing), megabytes=round(size / 1e6, 1))
        return
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise MissingDependencyError(
            "slabkit review needs starlette and uvicorn: pip install 'slabkit-cryoet[review]'."
        ) from None
    listing = read_listing(options.minislabs, options.classified)
    _serve(options, listing, frame)


def _check(options: Options) -> None:
    if "-" in (options.minislabs, options.picks, options.classified, options.out):
        raise InputError("review reads files, and its log is one; - is none.")
    if not 0 <= options.overlap <= 1:
        raise InputError(f"--overlap must be from 0 to 1, not {options.overlap:g}.")
    if options.overlap and len(options.reviewer) < 2:
        raise InputError("--overlap is for a team; name two reviewers or more with --reviewer.")
    twice = {name for name in options.reviewer if options.reviewer.count(name) > 1}
    if twice:
        raise InputError(f"--reviewer {twice.pop()}: is given twice.")
    for name in options.reviewer:
        if not name.strip() or not name.isprintable() or len(name) > 80:
            raise InputError(f"--reviewer {name!r}: is not a name.")
    if len(options.species) > 9:
        raise InputError("--species takes nine species at most, one for each of the keys 1 to 9.")
    needed = {"score": "scores (--picks)", "class": "classes (--classified)"}
    needed |= dict.fromkeys(("suggest", "probability"), "scores, classes or a model (--model)")
    given = {"score": [options.picks], "class": [options.classified]}.get(
        options.order or "", [options.picks, options.classified, options.model]
    )
    if options.order in needed and not any(given):
        raise InputError(f"--order {options.order}: needs {needed[options.order]}.")
    if options.model is not None:
        from slabkit.steps.shared.learning import load_model

        if options.page is not None:
            raise InputError("--model needs the server; leave --page or --model out.")
        load_model(options.model)
    from slabkit.review.security import is_loopback

    if options.page is None and not is_loopback(options.host) and not options.reviewer:
        raise InputError(
            f"--host {options.host}: others can reach the page then; name the reviewers with "
            "--reviewer, each gets a link of their own."
        )
    if options.page is not None and not options.page.endswith((".html", ".htm")):
        raise InputError(f"{options.page}: --page writes a page; name it .html.")


def _species(options: Options, listing: Listing) -> list[str]:
    if options.species:
        return list(options.species)
    found = set(listing.class_species.values())
    if listing.picks is not None:
        found |= set(listing.picks.picks["slabkitSpecies"].unique())
    return sorted(found - {""})[:9]


def _head(options: Options, listing: Listing) -> dict[str, Any]:
    """Give what the page shows of the options."""
    from slabkit.pictures.colours import css, species_colours

    species = _species(options, listing)
    return {
        "species": species,
        "colours": {name: css(rgb) for name, rgb in species_colours([*species, ""]).items()},
        "order": _order(options, listing),
        "team": options.page is None and len(options.reviewer) > 1,
        "round": options.round_name,
    }


def _order(options: Options, listing: Listing) -> str:
    import numpy as np

    scored = bool(np.isfinite(listing.columns["score"]).any())
    if options.order is not None:
        return options.order
    return "suggest" if scored or len(listing.classes) > 1 or options.model else "list"


def _serve(options: Options, listing: Listing, frame: Frame) -> None:
    import asyncio
    import warnings

    import uvicorn

    from slabkit.execution.files import identities, refuse_inputs
    from slabkit.execution.locks import output_lock
    from slabkit.review.listing import join_picks
    from slabkit.review.loop import ModelLoop
    from slabkit.review.ordering import suggested_order
    from slabkit.review.security import Guard, reviewer_tokens
    from slabkit.review.server import Review, make_app
    from slabkit.review.writer import Writer

    log = Path(options.out)
    order_of: Any = suggested_order
    if options.model is not None:
        folder = log.with_name(f"{log.name}.model")
        order_of = ModelLoop(options.minislabs, options.picks, options.model, folder)
    given = [options.minislabs, options.picks, options.classified]
    refuse_inputs([log], identities(name for name in given if name is not None))
    with output_lock(log), _listening(options.host, options.port, log) as server_socket:
        writer = Writer(log, {"gallery set": listing.set_id})
        try:
            reviewers = list(options.reviewer)
            if reviewers:
                tokens = reviewer_tokens(log.with_name(f".{log.name}.links"), reviewers)
            else:
                reviewers = [_user()]
                tokens = {reviewers[0]: secrets.token_urlsafe(32)}
            port = server_socket.getsockname()[1]
            links = _links(options.host, port, tokens)
            _say(frame, listing, links, log, writer)
            if options.browser and len(links) == 1:
                webbrowser.open(next(iter(links.values())))
            # Browsers that come now wait until a long list is read.
            if options.picks is not None:
                join_picks(listing, options.picks)
            review = Review(
                listing,
                writer,
                head=_head(options, listing),
                reviewers=reviewers,
                overlap=options.overlap,
                batch=options.batch,
                beta=options.beta,
                order_of=order_of,
            )
            guarded: Any = Guard(make_app(review), tokens, options.host, port)
            config = uvicorn.Config(
                guarded, log_level="error", lifespan="on", server_header=False, access_log=False
            )
            warnings.simplefilter("ignore", DeprecationWarning)
            with contextlib.suppress(KeyboardInterrupt):  # the way to end it
                asyncio.run(uvicorn.Server(config).serve(sockets=[server_socket]))
            frame.reporter.note(f"review: stopped; {len(writer.events)} events are in {log}.")
        finally:
            writer.close()


def _listening(host: str, port: int, log: Path) -> socket.socket:
    if not port:  # the log's own, if it is free: browsers keep keys and looks by it
        with contextlib.suppress(InputError):
            return _listening(host, 20_000 + crc32(os.fsencode(log.resolve())) % 10_000, log)
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(256)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"--host {host} --port {port}: cannot be listened on ({reason})."
        ) from None
    return made


def _links(host: str, port: int, tokens: dict[str, str]) -> dict[str, str]:
    shown = host
    if host in ("0.0.0.0", "::", ""):
        shown = _own_name()
    elif ":" in host:
        shown = f"[{host}]"
    return {name: f"http://{shown}:{port}/?token={token}" for name, token in tokens.items()}


def _own_name() -> str:
    """Name this machine as others may reach it: its full name, or else its address."""
    name = socket.getfqdn()
    if "." in name and not name.startswith("localhost"):
        return name
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent; it only chooses the address
        return str(probe.getsockname()[0])
    return socket.gethostname()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "reviewer"


def _say(frame: Frame, listing: Listing, links: dict[str, str], log: Path, writer: Any) -> None:
    say = frame.reporter.note
    had = f", {len(writer.events)} events so far" if writer.events else ""
    say(f"review: {len(listing)} minislabs; decisions go to {log}{had}. Ctrl-C ends it.")
    for name, link in links.items():
        say(f"  {name}: {link}")
