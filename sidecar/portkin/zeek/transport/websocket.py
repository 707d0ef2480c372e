"""Zeek's WebSocket (``Cluster::listen_websocket``): subscribing, and reconnecting whenever it ends."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from errno import ECONNREFUSED
from typing import Any

from websockets.exceptions import InvalidHandshake, WebSocketException

from portkin.errors import TransportError
from portkin.zeek.event import Event, Junk
from portkin.zeek.messages import TO_SIDECAR, TO_ZEEK
from portkin.zeek.peer_addresses import no_address, uri_of
from portkin.zeek.transport import Listener
from portkin.zeek.transport.backoff import Delays
from portkin.zeek.transport.json_v1 import acknowledged, decode, encode, subscription
from portkin.zeek.transport.link import PING, Link, open_link
from portkin.zeek.transport.outbox import Outbox

ACK_TIMEOUT = 10.0
"""Seconds that Zeek has to acknowledge the subscription."""


class WebSocketTransport:
    """The WebSocket of one Zeek.

    ``delays`` returns a fresh series of seconds to wait between attempts, for `Delays`; ``sleep`` waits. ``size``
    events at most wait to be sent. ``ping`` is how often (s) the peer must show life.
    """

    def __init__(
        self,
        url: str,
        *,
        delays: Callable[[], Iterator[float]],
        size: int,
        tls: ssl.SSLContext | None = None,
        ping: float = PING,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._uri = uri_of(url)
        if self._uri.secure != (tls is not None):
            raise no_address(url)
        self._url = url
        self._tls = tls
        self._delays = Delays(delays, clock)
        self._ping = ping
        self._sleep = sleep
        self._outbox: Outbox[bytes] = Outbox(size)
        self._link: Link | None = None
        self._listener: Listener | None = None

    def send(self, event: Event) -> None:
        """Take an event to send; the oldest waiting one is dropped where too many wait."""
        dropped = self._outbox.put(encode(TO_ZEEK, event).encode())
        if dropped and self._listener is not None:
            self._listener.dropped(dropped)
        if self._link is not None:
            self._link.flush_soon()

    async def run(self, listener: Listener) -> None:
        """Connect, read and write, and reconnect whenever that ends; when cancelled, close cleanly."""
        self._listener = listener
        while True:
            try:
                link, peer = await self._open(listener)
            except (OSError, TimeoutError, WebSocketException, TransportError) as error:
                delay = self._delays.failed()
                listener.failed(describe_failure(error), delay)
                await self._sleep(delay)
                continue
            self._delays.connected()
            self._link, link.outbox = link, self._outbox
            listener.connected(peer)
            link.flush_soon()
            try:
                reason = await asyncio.shield(link.closed)
            except asyncio.CancelledError:
                await link.close()
                raise
            finally:
                self._link = None
            listener.lost(reason)
            await self._sleep(self._delays.lost())

    async def _open(self, listener: Listener) -> tuple[Link, str]:
        """Connect and subscribe; returns when Zeek has acknowledged: what is sent earlier is lost."""
        first: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def on_message(message: bytes) -> None:
            if first.done():
                listener.received(decode(message))
            else:
                first.set_result(message)

        link = await open_link(self._uri, self._tls, on_message, ping=self._ping)
        try:
            link.say(subscription([TO_SIDECAR]).encode())
            either: set[asyncio.Future[Any]] = {first, link.closed}
            await asyncio.wait(either, timeout=ACK_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
            if link.closed.done() and not first.done():
                raise TransportError(f"{self._url} closed the connection: {link.closed.result()}")
            if not first.done():
                raise TransportError(
                    f"{self._url} acknowledged no subscription within {ACK_TIMEOUT:.0f} s; that Zeek has no cluster "
                    "backend (load portkin/websocket in it), or is a ZeroMQ cluster without a logger (set loggers = 1 "
                    "in zeek.conf, or add a [logger] to node.cfg); its reporter.log names the cause"
                )
            ack = acknowledged(first.result())
            if isinstance(ack, Junk):
                raise TransportError(f"{self._url} is not Zeek's WebSocket: {ack.detail}")
        except BaseException:
            await link.close()
            raise
        endpoint, version = ack
        return link, f"{endpoint} (Zeek {version})"


def describe_failure(error: Exception) -> str:
    """An error in one line, never an empty one, with its likely cause where that is known."""
    said = str(error).strip() or type(error).__name__
    if isinstance(error, TransportError):
        return said
    if is_refused(error):
        return "nothing listens there; is Zeek running, with portkin/websocket loaded?"
    for kinds, cause in _CAUSES:
        if isinstance(error, kinds):
            return f"{cause} ({said})"
    return said


def is_refused(error: Exception) -> bool:
    """Whether nothing listens at any address of the host: asyncio joins the errors of several into one text."""
    refusals = str(error).removeprefix("Multiple exceptions: ").split("[Errno ")[1:]
    return isinstance(error, ConnectionRefusedError) or (
        isinstance(error, OSError)
        and bool(refusals)
        and all(refusal.startswith(f"{ECONNREFUSED}]") for refusal in refusals)
    )


_CAUSES: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (socket.gaierror, "no host of that name is known; zeek.url names it"),
    (ssl.SSLError, "TLS failed; zeek.tls.ca must name who signed Zeek's certificate, and Zeek may want one of ours"),
    (TimeoutError, "no answer in time; is a firewall between this machine and Zeek?"),
    (InvalidHandshake, "what listens there is no WebSocket of Zeek's; see zeek.url, and wss:// where Zeek uses TLS"),
    (OSError, "it cannot be reached"),
)
"""Likely causes, the first that fits."""
