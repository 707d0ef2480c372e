"""Who may ask what: pure checks of a request, and the ASGI middleware that makes them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from portkin.net.addresses import Nets, number_of

OPEN = ("/metrics", "/healthz", "/readyz")
"""Paths for monitoring, which may come from anywhere under any name, as the metrics always could."""
NAMES = ("localhost", "127.0.0.1", "::1")

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def host_in(header: str) -> str:
    """The host of a Host header, in lower case, without its port and brackets; empty for none.

    >>> host_in("[::1]:9477"), host_in("Sensor.example:80"), host_in("a b")
    ('::1', 'sensor.example', '')
    """
    try:
        parts = urlsplit(f"//{header}")
        parts.port  # noqa: B018  (a ValueError for what is no port)
    except ValueError:
        return ""
    plain = parts.netloc == header and not set(header) & set("@/?# ")
    return (parts.hostname or "").removesuffix(".") if plain else ""


def same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a request that changes something comes from our own page, or from no page at all.

    Browsers send Sec-Fetch-Site and, with POST, Origin; programs send neither.
    """
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    try:
        return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    except ValueError:  # as of http://[
        return False


def bearer(headers: Mapping[str, str]) -> str:
    """The token of an Authorization header; empty for none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


@dataclass
class Attempts:
    """Wrong tokens: after ``most`` of them in a minute no further one is looked at. ``clock`` returns seconds."""

    clock: Callable[[], float]
    most: int = 10
    wrong: int = 0
    until: float = 0.0

    def right(self, given: str, token: str) -> bool | None:
        """Whether the token is right; None where too many were wrong."""
        now = self.clock()
        if now >= self.until:
            self.wrong, self.until = 0, now + 60.0
        if self.wrong >= self.most:
            return None
        if secrets.compare_digest(given.encode(), token.encode()):
            return True
        self.wrong += 1
        return False


class Guard:
    """Refuses clients and names that may not, and puts the security headers on every response."""

    def __init__(self, app: ASGIApp, *, clients: Nets, hosts: Iterable[str]) -> None:
        self._app = app
        self._clients = clients
        self._hosts = {*NAMES, *(host.lower().strip("[]") for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        refusal = None if scope["path"] in OPEN else self.refusal(scope)
        app = self._app if refusal is None else JSONResponse({"error": refusal}, 403)
        await app(scope, receive, _with_headers(send))

    def refusal(self, scope: Mapping[str, Any]) -> str | None:
        """Why this request is refused; None where it is not."""
        try:
            known = number_of((scope.get("client") or ("", 0))[0]) in self._clients
        except ValueError:
            known = False
        if not known:
            return "not from this address; see page.clients in the settings, or use ssh -L 9477:127.0.0.1:9477"
        headers = Headers(raw=scope["headers"])
        if len(headers.getlist("host")) != 1 or host_in(headers["host"]) not in self._hosts:
            return "not under this name; open it as localhost, or add the name to page.hosts in the settings"
        return None


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sending
