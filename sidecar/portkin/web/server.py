"""The HTTP server of metrics, page and API: uvicorn, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from portkin.errors import ConfigError

PATIENCE = 15.0
"""Seconds that a client has to send its request, and to take what was sent to it."""
_BACKLOG_BYTES = 256 * 1024
"""Of what was sent, kept in the kernel for one client; by itself it grows to megabytes."""
_CONNECTIONS = 200
_GOODBYE = 1
"""Seconds that open requests have when the server ends."""


class PatientProtocol(H11Protocol):
    """HTTP that does not wait forever for a request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(PATIENCE, self._hang_up)

    def _hang_up(self) -> None:
        if self.cycle is None:
            self.transport.abort()


class PageServer:
    """Serves an ASGI application until it is closed."""

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        *,
        ending: Callable[[], None] = lambda: None,
        patience: float = PATIENCE,
    ) -> None:
        """Listens; port 0 takes a free one. Raises ConfigError where the address cannot be used.

        ``ending`` is called in the server's loop when it is to end.
        """
        try:
            self._socket = _listen(host, port, patience)
        except OSError as error:
            raise ConfigError(
                f"metrics: cannot listen on {host}:{port} ({error.strerror}); "
                "set metrics.host and metrics.port to a free address, or metrics.enabled to false"
            ) from None
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http=PatientProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # the application logs what goes wrong
            access_log=False,
            server_header=False,
            proxy_headers=False,  # a proxy on this machine counts as this machine
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=_GOODBYE,
        )
        self._server = uvicorn.Server(config)
        self._ending = ending
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="page server", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.should_exit = True
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._ending)
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._server.serve(sockets=[self._socket])


def _listen(host: str, port: int, patience: float) -> socket.socket:
    """A listening socket, whose options those that it accepts inherit: a client that takes nothing is left."""
    family, kind, proto, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    made = socket.socket(family, kind, proto)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BACKLOG_BYTES)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(patience * 1000))
        made.bind(address)
        made.listen(128)
    except BaseException:
        made.close()
        raise
    return made
