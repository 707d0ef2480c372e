"""Peers of the WebSocket that are silent, slow, broken or none of Zeek's."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import ssl
from contextlib import suppress

import pytest

from portkin.errors import TransportError
from portkin.zeek.event import Count
from portkin.zeek.event_codec import unparse
from portkin.zeek.messages import TableChanged
from portkin.zeek.transport.websocket import describe_failure
from support.listening import HELLO, NEWS, running, to
from support.zeek_peer import ZeekPeer, zeek_peer


def test_a_peer_that_does_not_read_is_still_heard():
    """While the peer takes nothing, events from it arrive, and what does not fit is dropped, oldest first."""

    async def scenario():
        big = TableChanged("x" * 100_000, Count(1), False)
        async with zeek_peer() as peer:
            transport = to(peer.url, size=5)
            async with running(transport) as listener:
                await listener.states.get()
                peer.reading.clear()
                transport.send(unparse(NEWS[0]))
                # Fills the socket buffers, then the outbox.
                for _ in range(200):
                    transport.send(unparse(big))
                    await asyncio.sleep(0)
                assert listener.drops > 0
                await peer.say(HELLO)
                assert unparse(HELLO) == await listener.items.get()
                transport.send(unparse(NEWS[1]))
                peer.reading.set()
                while NEWS[1] != await peer.hear():
                    pass
                assert 1 == peer.connections

    asyncio.run(scenario())


async def silent(reader, writer):
    """A peer that completes the handshakes and then says nothing more, not even a pong."""
    request = await reader.readuntil(b"\r\n\r\n")
    key = next(line.split(b": ")[1] for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    writer.write(head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    ack = ZeekPeer().ack.encode()
    writer.write(bytes([0x81, len(ack)]) + ack)
    with suppress(OSError):
        await reader.read()
    writer.close()


def test_a_peer_that_shows_no_life_is_left():
    """A peer that answers no ping is given up, and another attempt is made."""

    async def scenario():
        async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with running(to(f"ws://127.0.0.1:{port}/", ping=0.05)) as listener:
                states = [await listener.states.get() for _ in range(3)]
            assert ["connected", "lost", "connected"] == [state[0] for state in states]
            assert "no answer to our ping" in states[1][1]

    asyncio.run(scenario())


def test_a_peer_that_never_answers_the_close_is_left_in_time(monkeypatch):
    """Ending does not wait for ever for a peer that has stopped answering."""
    monkeypatch.setattr("portkin.zeek.transport.link.CLOSE_TIMEOUT", 0.05)

    async def scenario():
        async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with asyncio.timeout(20), running(to(f"ws://127.0.0.1:{port}/")) as listener:
                await listener.states.get()

    asyncio.run(scenario())


def test_a_peer_that_breaks_the_protocol_is_left():
    """Bytes that are no WebSocket frame end the connection, with the reason, and it is made again."""

    async def scenario():
        async with zeek_peer() as peer, running(to(peer.url)) as listener:
            await listener.states.get()
            peer.client.transport.write(b"\xff" * 20)
            state, reason = await listener.states.get()
            assert ("lost", True) == (state, "1002" in reason)
            assert "connected" == (await listener.states.get())[0]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("ack", "reason"),
    [
        ('{"type":"error","code":"invalid_uri","context":"Invalid URI - use /v1/messages/json"}', "Invalid URI"),
        ("hello", "not Zeek's WebSocket"),
        ("{}", "not Zeek's WebSocket"),
    ],
)
def test_a_peer_that_is_not_zeek_is_named_and_tried_again(ack, reason):
    """Without an acknowledgement the failure says what came instead; when the peer is mended, it connects."""

    async def scenario():
        other = ZeekPeer()
        good, other.ack = other.ack, ack
        async with zeek_peer(peer=other) as peer, running(to(peer.url)) as listener:
            state, told, _ = await listener.states.get()
            assert ("failed", True) == (state, reason in told)
            other.ack = good
            while (await listener.states.get())[0] != "connected":
                pass

    asyncio.run(scenario())


def test_a_web_server_that_knows_no_websocket_is_a_failure():
    """A plain HTTP answer is reported as a failure; nothing is raised."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def scenario():
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with running(to(f"ws://127.0.0.1:{port}/")) as listener:
                return await listener.states.get()

    state, told, _ = asyncio.run(scenario())
    assert ("failed", True) == (state, "404" in told)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://127.0.0.1/",
        "127.0.0.1:27759",
        "ws://",
        "ws://a..b/",
        "ws://[bad",
        "ws://a:99999/",
        "wss://127.0.0.1/",
    ],
)
def test_an_address_that_can_never_work_is_refused_at_once(url):
    """A URL that is none, or wss without TLS settings, is an error at the start and not a vain wait."""
    with pytest.raises(TransportError, match="write ws://"):
        to(url)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "nothing listens there; is Zeek running"),
        # What asyncio makes of localhost, with an address of each family.
        (
            OSError(
                "Multiple exceptions: [Errno 111] Connect call failed ('::1', 1, 0, 0), "
                "[Errno 111] Connect call failed ('127.0.0.1', 1)"
            ),
            "nothing listens there; is Zeek running",
        ),
        (
            OSError("Multiple exceptions: [Errno 111] Connect call failed, [Errno 101] Network is unreachable"),
            "it cannot be reached (Multiple",
        ),
        (socket.gaierror(-2, "Name or service not known"), "no host of that name is known; zeek.url names it"),
        (TimeoutError(), "no answer in time; is a firewall between this machine and Zeek? (TimeoutError)"),
        (ssl.SSLError("certificate verify failed"), "TLS failed; zeek.tls.ca must name who signed"),
        (OSError(113, "No route to host"), "it cannot be reached ([Errno 113] No route to host)"),
    ],
)
def test_a_failure_is_reported_with_its_likely_cause(error, words):
    """Never a bare number: what is probably wrong, and what the system said."""
    assert describe_failure(error).startswith(words)
