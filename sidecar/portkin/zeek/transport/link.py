"""One WebSocket connection: `websockets`' protocol without I/O, on an asyncio transport.

A request is read, answered and written in one turn of the event loop, and the answers to requests that came
together leave in one write; a connection object with its tasks and queues takes several turns and one write
each. https://websockets.readthedocs.io/en/stable/howto/sansio.html
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
from collections.abc import Callable
from typing import cast

from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.uri import WebSocketURI

from portkin import __version__
from portkin.zeek.transport.outbox import Outbox

OPEN_TIMEOUT = 10.0
"""Seconds for the TCP, TLS and WebSocket handshakes."""
PING = 20.0
"""Seconds between our pings, and until an unanswered one means that the peer is gone."""
CLOSE_TIMEOUT = 2.0
"""Seconds that a peer has to answer our close."""
LARGEST = 16 * 2**20
"""Bytes of the largest message taken; a report on every port of an interval is a few MiB."""
TOGETHER = 64
"""Messages in one write at most: what is written cannot be dropped any more."""

_CONTENT = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


class Link(asyncio.Protocol):
    """A client's end of a WebSocket. Reads always, whatever the peer does; `open_link` makes one.

    ``on_message`` gets every message, undecoded: broken UTF-8 is for it to judge and ends nothing. ``outbox`` is what
    is written whenever the peer has room; None for nothing. ``opened`` is done after the handshake, ``closed``
    has the reason when the connection is over.
    """

    def __init__(self, uri: WebSocketURI, on_message: Callable[[bytes], None], ping: float) -> None:
        loop = asyncio.get_running_loop()
        self._protocol = ClientProtocol(uri, max_size=LARGEST)
        self._on_message = on_message
        self._ping_every = ping
        self._pinged: bytes | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._parts: list[bytes] = []
        self._paused = False
        self._flush_comes = False
        self.outbox: Outbox[bytes] | None = None
        self.opened: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[str] = loop.create_future()

    def say(self, message: bytes) -> None:
        """Send a message past the outbox."""
        self._protocol.send_text(message)
        self._write()

    def flush_soon(self) -> None:
        """There is something in the outbox; it is written with whatever else comes in this turn of the loop."""
        if not self._flush_comes:
            self._flush_comes = True
            asyncio.get_running_loop().call_soon(self._flush)

    async def close(self) -> None:
        """Say goodbye, and leave when the peer has answered or its time is up."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
            self._write()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await asyncio.shield(self.closed)
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        """Leave at once."""
        self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        request = self._protocol.connect()
        request.headers["X-Application-Name"] = f"portkin/{__version__}"
        self._protocol.send_request(request)
        self._write()

    def data_received(self, data: bytes) -> None:
        self._flush_comes = True  # below, once for all that is answered now
        self._protocol.receive_data(data)
        self._take()
        self._flush()

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._take()
        self._write()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._deadline):
            if timer is not None:
                timer.cancel()
        self._protocol.receive_eof()
        if not self.opened.done():
            why = self._protocol.handshake_exc or exc or ConnectionError("closed in the middle of the handshake")
            self.opened.set_exception(why)
            self.closed.set_result(str(why))
        elif self._protocol.state is State.CLOSED:
            self.closed.set_result(str(exc or self._protocol.close_exc))
        else:
            self.closed.set_result(str(exc))

    # What happens then.

    def _take(self) -> None:
        """Take what the protocol has made of the bytes read."""
        for event in self._protocol.events_received():
            if not isinstance(event, Frame):
                continue  # the response to our handshake, which the protocol has judged
            if event.opcode in _CONTENT:
                self._parts.append(bytes(event.data))
                if event.fin:
                    message = b"".join(self._parts)
                    self._parts.clear()
                    self._on_message(message)
            elif event.opcode is Opcode.PONG and event.data == self._pinged:
                self._pinged = None
        if not self.opened.done():
            if self._protocol.handshake_exc is not None:
                self.opened.set_exception(self._protocol.handshake_exc)
                self.abort()
            elif self._protocol.state is State.OPEN:
                self.opened.set_result(None)
                self._timer = asyncio.get_running_loop().call_later(self._ping_every, self._ping)
        elif self._protocol.close_expected() and self._deadline is None:
            self._deadline = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self.abort)

    def _flush(self) -> None:
        """Write what waits, for as long as the peer takes it, and whatever the protocol has to say."""
        self._flush_comes = False
        while self.outbox and not self._paused and self._protocol.state is State.OPEN:
            for message in self.outbox.take(TOGETHER):
                self._protocol.send_text(message)
            self._write()
        self._write()

    def _write(self) -> None:
        chunks = self._protocol.data_to_send()
        if self._transport.is_closing():
            return
        if data := b"".join(chunks):
            self._transport.write(data)
        if chunks and chunks[-1] == b"":  # the protocol's word for the end
            if self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                self._transport.close()

    def _ping(self) -> None:
        if self._protocol.state is not State.OPEN:
            return
        if self._pinged is not None:
            self._protocol.fail(CloseCode.INTERNAL_ERROR, "no answer to our ping")
            self._write()
            self.abort()
            return
        self._pinged = secrets.token_bytes(4)
        self._protocol.send_ping(self._pinged)
        self._write()
        self._timer = asyncio.get_running_loop().call_later(self._ping_every, self._ping)


async def open_link(
    uri: WebSocketURI,
    tls: ssl.SSLContext | None,
    on_message: Callable[[bytes], None],
    *,
    ping: float = PING,
    connected: socket.socket | None = None,
) -> Link:
    """Connect to the address, or go on with a socket that is ``connected`` to it.

    Raises OSError, TimeoutError or websockets' InvalidHandshake.
    """
    loop = asyncio.get_running_loop()

    def made() -> Link:
        return Link(uri, on_message, ping)

    async with asyncio.timeout(OPEN_TIMEOUT):
        if connected is None:
            _, link = await loop.create_connection(made, uri.host, uri.port, ssl=tls)
        else:
            name = uri.host if tls else None
            _, link = await loop.create_connection(made, sock=connected, ssl=tls, server_hostname=name)
        try:
            await link.opened
        except BaseException:
            link.abort()
            raise
    return link
