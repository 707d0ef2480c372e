"""The HTTP application: metrics, health, the API, and the files of the page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from prometheus_client import CollectorRegistry, disable_created_metrics, make_asgi_app
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from portkin.errors import PortError, PortkinError
from portkin.logs import Log
from portkin.net.ports import Port
from portkin.web.actions import Actions, address_of
from portkin.web.assets import Assets, charts_there
from portkin.web.live import Live, encoded
from portkin.web.reader import Reader
from portkin.web.server import PATIENCE

MOST = 1000
"""Rows in one answer."""
_BODY = 4096
"""Bytes of a request's body."""
SECTIONS = ("status", "scanners", "blocks", "figures", "rates", "alarms")
ENDPOINTS = {
    **{f"/api/v1/{name}": "GET" for name in SECTIONS},
    "/api/v1/kin?port=80/tcp&k=10": "GET",
    "/api/v1/blocks?state=all&src=ADDRESS&port=80/tcp&limit=100": "GET",
    "/api/v1/rates/series?port=80/tcp&bins=168": "GET",
    "/api/v1/events": "GET",
    "/api/v1/blocks/remove": "POST",
    "/api/v1/never-block": "POST",
}


class _Asgi:
    """An ASGI application as Starlette's routes take it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class SlowReader(Exception):
    """A client does not take what is sent to it."""


class Events(StreamingResponse):
    """A stream whose reader is dropped where it takes longer than ``patience`` seconds to read."""

    patience = PATIENCE

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def in_time(message: Any) -> None:
            try:
                async with asyncio.timeout(self.patience):
                    await send(message)
            except TimeoutError:
                # Not an OSError, which TimeoutError is: that means that the client is gone.
                raise SlowReader from None

        try:
            await super().__call__(scope, receive, in_time)
        finally:
            await self._events.aclose()  # at once, and not when it is collected


class Monitoring:
    """What programs ask of the process: metrics, whether it lives, whether it can do its work."""

    def __init__(
        self, registry: CollectorRegistry, *, stuck: Callable[[], list[str]], not_ready: Callable[[], list[str]]
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a gauge beside each counter
        self._registry = registry
        self._stuck = stuck
        self._not_ready = not_ready

    def routes(self) -> list[BaseRoute]:
        """/metrics, /healthz, /readyz."""

        async def healthz(request: Request) -> Response:
            return _verdict("ok", "stuck", self._stuck())

        async def readyz(request: Request) -> Response:
            return _verdict("ready", "not ready", self._not_ready())

        return [
            Route("/metrics", _Asgi(make_asgi_app(self._registry)), methods=["GET"]),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
        ]


class Page:
    """The page and its API."""

    def __init__(self, live: Live, reader: Reader, actions: Actions, *, viewers: int, log: Log) -> None:
        self._live = live
        self._reader = reader
        self._actions = actions
        self._most = viewers
        self._log = log
        self._assets = Assets()
        self.viewers = 0

    def routes(self) -> list[BaseRoute]:
        """Everything that people see, and the API under /api/v1."""
        get = [
            Route("/", self._index),
            Route("/static/{path:path}", self._static),
            Route("/api/v1", self._endpoints),
            Route("/api/v1/kin", self._kin),
            Route("/api/v1/blocks", self._blocks),
            Route("/api/v1/rates/series", self._series),
            Route("/api/v1/events", self._events),
        ]
        sections = [Route(f"/api/v1/{name}", self._section(name)) for name in SECTIONS if name != "blocks"]
        post = [
            Route("/api/v1/blocks/remove", self._action(self._actions.unblock), methods=["POST"]),
            Route("/api/v1/never-block", self._action(self._actions.never_block), methods=["POST"]),
        ]
        return [*get, *sections, *post]

    async def _index(self, request: Request) -> Response:
        return self._assets.response("index.html", request.headers)

    async def _static(self, request: Request) -> Response:
        return self._assets.response(request.path_params["path"], request.headers)

    async def _endpoints(self, request: Request) -> Response:
        return _json({"version": 1, "endpoints": ENDPOINTS, "charts": charts_there()})

    def _section(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        async def section(request: Request) -> Response:
            return Response((await self._live.sections())[name].body, media_type="application/json")

        return section

    async def _kin(self, request: Request) -> Response:
        port, k = _port(request), _number(request, "k", 10, most=32)
        return _json(await self._live.call(lambda: self._reader.kin(port, k)))

    async def _series(self, request: Request) -> Response:
        port, bins = _port(request), _number(request, "bins", 168, most=MOST)
        return _json(await self._live.call(lambda: self._reader.series(port, bins)))

    async def _blocks(self, request: Request) -> Response:
        query = request.query_params
        if not query:
            return await self._section("blocks")(request)
        state = query.get("state", "active")
        if state not in ("active", "all"):
            raise HTTPException(400, f"state is {state[:40]!r}; write active or all")
        src = str(address_of(query["src"])) if query.get("src") else None
        port = _port(request) if query.get("port") else None
        limit = _number(request, "limit", 100, most=MOST)
        return _json(
            await self._live.call(
                lambda: self._reader.blocks(active=state == "active", src=src, port=port, limit=limit)
            )
        )

    async def _events(self, request: Request) -> Response:
        if self.viewers >= self._most:
            text = f"{self._most} pages are open already; close one, or raise page.viewers in the settings"
            raise HTTPException(503, text, {"Retry-After": "30"})
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        return Events(self._counted())

    async def _counted(self) -> AsyncGenerator[bytes, None]:
        if self.viewers >= self._most:  # several may have asked at once
            return
        self.viewers += 1
        try:
            async for event in self._live.events():
                yield event
        finally:
            self.viewers -= 1

    def _action(self, act: Callable[[bytes], Awaitable[Any]]) -> Callable[[Request], Awaitable[Any]]:
        async def acting(request: Request) -> Response:
            self._actions.authorise(request.headers, request.client.host if request.client else "")
            body = b""
            async for chunk in request.stream():
                body += chunk
                if len(body) > _BODY:
                    raise HTTPException(413, f"a body of more than {_BODY} bytes")
            return _json(await act(body))

        return acting


def make_app(routes: list[BaseRoute], log: Log) -> ASGIApp:
    """The application of these routes; every error is JSON, and what is no fault of the client is logged."""

    async def refused(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            detail = "nothing is here; / is the page, /api/v1 the API" if error.status_code == 404 else error.detail
            return JSONResponse({"error": detail}, error.status_code, error.headers)
        return JSONResponse({"error": str(error)}, 400 if isinstance(error, PortError) else 503)

    app = Starlette(routes=routes, exception_handlers={HTTPException: refused, PortkinError: refused})
    app.router.redirect_slashes = False
    return _Logging(app, log)


class _Logging:
    """Logs what an application raises: a reader that was dropped, or a defect."""

    def __init__(self, app: ASGIApp, log: Log) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except SlowReader:
            self._log.warning("a page that reads too slowly was dropped", client=(scope.get("client") or ("?",))[0])
        except Exception:
            self._log.exception("a request to the page failed; this is a defect of portkin", path=scope.get("path"))
            raise


def _port(request: Request) -> Port:
    return Port.parse(request.query_params.get("port", ""))


def _number(request: Request, name: str, usual: int, *, most: int) -> int:
    text = request.query_params.get(name, str(usual))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise HTTPException(400, f"{name} is {text[:40]!r}; write a number from 1 to {most}")
    return int(text)


def _json(value: Any) -> Response:
    return Response(encoded(value), media_type="application/json")


def _verdict(good: str, bad: str, reasons: list[str]) -> Response:
    return JSONResponse({"status": bad if reasons else good, "reasons": reasons}, 503 if reasons else 200)
