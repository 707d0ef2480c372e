"""Zeek's WebSocket (``Cluster::listen_websocket``): the file that owns that socket, and nothing else."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidURI, WebSocketException
from websockets.uri import parse_uri

from portkin import __version__
from portkin.errors import TransportError
from portkin.messages import TO_SIDECAR, TO_ZEEK, Event, Junk
from portkin.transport import Listener
from portkin.transport.json_v1 import acknowledged, decode, encode, subscription
from portkin.transport.outbox import Outbox

OPEN_TIMEOUT = 10.0
"""Seconds for the TCP, TLS and WebSocket handshakes, and as many for Zeek to acknowledge the subscription."""
PING = 20.0
"""Seconds between our pings, and until an unanswered one means that the peer is gone."""
CLOSE_TIMEOUT = 2.0
"""Seconds that a peer has to answer our close."""
LARGEST = 16 * 2**20
"""Bytes of the largest frame taken; a report on every port of an interval is a few MiB."""


class WebSocketTransport:
    """The WebSocket of one Zeek.

    ``delays`` gives a fresh series of seconds to wait between attempts, begun anew after each success;
    ``sleep`` waits. ``size`` events at most wait to be sent.
    """

    def __init__(
        self,
        url: str,
        *,
        delays: Callable[[], Iterator[float]],
        size: int,
        tls: ssl.SSLContext | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        try:
            uri = parse_uri(url)
            uri.host.encode("idna")
            secure: bool | None = uri.secure
        except (InvalidURI, UnicodeError):
            secure = None
        if secure is None or secure != (tls is not None):
            raise TransportError(f"{url!r} is no address of a WebSocket; write ws://127.0.0.1:27759/v1/messages/json")
        self._url = url
        self._tls = tls
        self._delays = delays
        self._sleep = sleep
        self._outbox: Outbox[str] = Outbox(size)
        self._listener: Listener | None = None

    def send(self, event: Event) -> None:
        """Take an event to send; the oldest waiting one is dropped where too many wait."""
        dropped = self._outbox.put(encode(TO_ZEEK, event))
        if dropped and self._listener is not None:
            self._listener.dropped(dropped)

    async def run(self, listener: Listener) -> None:
        """Connect, read and write, and begin again whenever that ends; when cancelled, close cleanly."""
        self._listener = listener
        delays = self._delays()
        while True:
            try:
                connection, peer = await self._open()
            except (OSError, TimeoutError, WebSocketException, TransportError) as error:
                delay = next(delays)
                listener.failed(_words(error), delay)
                await self._sleep(delay)
                continue
            delays = self._delays()
            listener.connected(peer)
            listener.lost(await self._serve(connection, listener))
            await self._sleep(next(delays))

    async def _open(self) -> tuple[ClientConnection, str]:
        """Connect and subscribe; returns when Zeek has acknowledged, so nothing is sent into the void."""
        connection = await connect(
            self._url,
            ssl=self._tls,
            proxy=None,
            # Local and small: compressing would cost latency and save nothing.
            compression=None,
            additional_headers={"X-Application-Name": f"portkin/{__version__}"},
            open_timeout=OPEN_TIMEOUT,
            ping_interval=PING,
            ping_timeout=PING,
            close_timeout=CLOSE_TIMEOUT,
            max_size=LARGEST,
        )
        try:
            await connection.send(subscription([TO_SIDECAR]))
            async with asyncio.timeout(OPEN_TIMEOUT):
                ack = acknowledged(await connection.recv(decode=False))
        except TimeoutError:
            await _close(connection)
            raise TransportError(f"{self._url} acknowledged no subscription within {OPEN_TIMEOUT:.0f} s") from None
        except BaseException:
            await _close(connection)
            raise
        if isinstance(ack, Junk):
            await _close(connection)
            raise TransportError(f"{self._url} is not Zeek's WebSocket: {ack.detail}")
        endpoint, version = ack
        return connection, f"{endpoint} (Zeek {version})"

    async def _serve(self, connection: ClientConnection, listener: Listener) -> str:
        """Read and write until the connection ends; gives the reason. Cancelling closes it."""
        writer = asyncio.create_task(self._write(connection, listener))
        try:
            while True:
                # Undecoded: a peer that sends broken UTF-8 gets it counted as junk, and stays connected.
                listener.received(decode(await connection.recv(decode=False)))
        except ConnectionClosed as closed:
            return _words(closed)
        finally:
            writer.cancel()
            with suppress(asyncio.CancelledError):
                await writer
            await _close(connection)

    async def _write(self, connection: ClientConnection, listener: Listener) -> None:
        """Write what waits in the outbox; where the peer reads slowly, only this waits."""
        while True:
            frame = await self._outbox.take()
            try:
                await connection.send(frame)
            except ConnectionClosed:
                listener.dropped(1)
                return


async def _close(connection: ClientConnection) -> None:
    """Close, still reading: a peer whose own messages nobody takes would never get to our close frame."""

    async def drain() -> None:
        with suppress(ConnectionClosed):
            while True:
                await connection.recv(decode=False)

    draining = asyncio.create_task(drain())
    try:
        await connection.close()
    finally:
        draining.cancel()
        with suppress(asyncio.CancelledError):
            await draining


def tls_context(ca: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    """How to verify a ``wss`` peer (``ca``: a PEM file; the system's where None), and who to be for it.

    Raises TransportError, naming the file, where one cannot be used.
    """
    named = ca
    try:
        context = ssl.create_default_context(cafile=ca)
        named = certificate
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except OSError as error:
        raise TransportError(
            f"{named}: cannot be used for TLS ({error.strerror or error}); name a PEM file in zeek.tls"
        ) from None
    return context


def _words(error: Exception) -> str:
    """An error in one line, never an empty one."""
    return str(error).strip() or type(error).__name__
