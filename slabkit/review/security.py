"""Who may talk to the server: hosts, origins, tokens, sizes."""

from __future__ import annotations

import hmac
import ipaddress
import json
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LARGEST_BODY = 16 * 2**20
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)


def reviewer_tokens(path: Path, reviewers: Iterable[str]) -> dict[str, str]:
    """Give each named reviewer a token that stays, kept beside the log for its owner only."""
    known: dict[str, str] = {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        known = {str(name): str(token) for name, token in found.items() if len(str(token)) >= 32}
    except (OSError, ValueError, AttributeError):
        pass
    tokens = {name: known.get(name) or secrets.token_urlsafe(32) for name in reviewers}
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        json.dump({**known, **tokens}, file, indent=1, ensure_ascii=False)
    return tokens


class Guard:
    """Lets through what has a token of ours and comes from a page of ours."""

    def __init__(self, app: App, tokens: dict[str, str], host: str, port: int) -> None:
        self._app = app
        self._reviewers = {token: name for name, token in tokens.items()}
        self._host = host
        self._names = {"localhost", host.lower()}
        if not is_loopback(host):
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        self.cookie = f"slabkit-review-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_HEADERS]
                if cookie:
                    message["headers"].append((b"set-cookie", cookie.encode()))
            await send(message)

        cookie = ""
        refused = self._refusal(scope, headers)
        if refused is not None:
            await _answer(guarded, *refused)
            return
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        reviewer = self._reviewer(given) or self._reviewer(self._cookie(headers))
        if given and reviewer is not None and scope["path"] == "/":
            cookie = f"{self.cookie}={given}; Path=/; HttpOnly; SameSite=Strict"
        open_ = scope["path"].startswith("/static/")
        if reviewer is None and not open_:
            text = "This page needs the link with its token, as slabkit review printed it."
            await _answer(guarded, 403, text)
            return
        page_of = unquote(headers.get("x-reviewer", "")) or reviewer
        if page_of != reviewer:  # two people, one browser: cookies are of the browser
            text = f"This browser is {reviewer}'s now; {page_of} has to open their own link again."
            await _answer(guarded, 403, text)
            return
        scope["reviewer"] = reviewer
        await self._app(scope, _limited(receive), guarded)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not self._may_be_called(host):
            return 403, f"This server is not called {host}."
        origin = headers.get("origin")
        foreign = origin is not None and origin.partition("://")[2] != host
        if foreign or (scope["method"] not in ("GET", "HEAD") and origin is None):
            return 403, "Requests must come from the page itself."
        site = headers.get("sec-fetch-site", "same-origin")
        if site not in ("same-origin", "none") and scope["path"] != "/":
            return 403, "Requests must come from the page itself."
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            return 413, "The request is too large."
        return None

    def _may_be_called(self, host: str) -> bool:
        """Tell whether a name is ours, so that no foreign name can be pointed at this server."""
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        name = name.strip("[]").lower()
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not is_loopback(self._host)

    def _cookie(self, headers: dict[str, str]) -> str:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return ""
        return found.value if found else ""

    def _reviewer(self, token: str) -> str | None:
        found = None
        for known, name in self._reviewers.items():
            if hmac.compare_digest(known.encode(), token.encode()):
                found = name
        return found


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _limited(receive: Receive) -> Receive:
    left = LARGEST_BODY

    async def limited() -> MutableMapping[str, Any]:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            return {"type": "http.disconnect"}
        return message

    return limited


async def _answer(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
