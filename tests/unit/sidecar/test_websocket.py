"""The WebSocket transport against a real loopback peer: subscribing, reconnecting, junk, pressure, TLS."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import socket
import ssl
import subprocess
from contextlib import asynccontextmanager, suppress

import pytest

from portkin import __version__
from portkin.errors import TransportError
from portkin.zeek.event_codec import Count, Event, Junk, unparse
from portkin.zeek.messages import TO_SIDECAR, HelloResponse, TableChanged
from portkin.zeek.peer_addresses import tls_context
from portkin.zeek.transport.backoff import STEADY
from portkin.zeek.transport.json_v1 import encode
from portkin.zeek.transport.websocket import WebSocketTransport, describe_failure
from support.zeek_peer import ZeekPeer, zeek_peer

HELLO = HelloResponse("h", Count(1), "zeek", "8.0.9")
NEWS = [TableChanged(f"table-{n}", Count(16)) for n in range(10)]


class RecordingListener:
    """A listener that keeps what is reported to it."""

    def __init__(self):
        self.items = asyncio.Queue()
        self.states = asyncio.Queue()
        self.drops = 0

    def connected(self, peer):
        self.states.put_nowait(("connected", peer))

    def received(self, item):
        self.items.put_nowait(item)

    def lost(self, reason):
        self.states.put_nowait(("lost", reason))

    def failed(self, reason, delay):
        self.states.put_nowait(("failed", reason, delay))

    def dropped(self, count):
        self.drops += count


@asynccontextmanager
async def running(transport):
    """The transport at work, told to a `RecordingListener`, ended at the end."""
    listener = RecordingListener()
    task = asyncio.create_task(transport.run(listener))
    try:
        yield listener
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def to(url, **more):
    """A transport that waits no longer than it must."""
    return WebSocketTransport(url, **{"delays": lambda: itertools.repeat(0.01), "size": 100, **more})


def test_it_subscribes_and_carries_both_ways():
    """It subscribes to the sidecar's topic by the name of portkin; events arrive, and what is sent arrives."""

    async def scenario():
        async with zeek_peer() as peer:
            transport = to(peer.url)
            async with running(transport) as listener:
                assert ("connected", "zeek-1 (Zeek 8.0.9)") == await listener.states.get()
                assert ([TO_SIDECAR], [f"portkin/{__version__}"]) == (peer.topics, peer.headers)
                await peer.say(HELLO)
                assert unparse(HELLO) == await listener.items.get()
                transport.send(unparse(NEWS[0]))
                assert NEWS[0] == await peer.hear()

    asyncio.run(scenario())


def test_it_waits_for_a_peer_that_is_not_there_yet():
    """Refused connections are reported with the delay until the next attempt; when the peer is there, it connects."""

    async def scenario():
        async with zeek_peer() as gone:
            port = gone.port
        async with running(to(f"ws://127.0.0.1:{port}/")) as listener:
            state, reason, delay = await listener.states.get()
            assert ("failed", True, 0.01) == (state, "nothing listens there" in reason, delay)
            async with zeek_peer(port):
                while (state := await listener.states.get())[0] != "connected":
                    pass

    asyncio.run(scenario())


def test_it_connects_again_when_the_peer_comes_back():
    """A peer that goes and comes back is found again, and events flow as before."""

    async def scenario():
        async with zeek_peer() as peer:
            transport = to(peer.url)
            port = peer.port
            running_ = running(transport)
            listener = await running_.__aenter__()
            await listener.states.get()
        assert "lost" == (await listener.states.get())[0]
        async with zeek_peer(port) as again:
            while (await listener.states.get())[0] != "connected":
                pass
            transport.send(unparse(NEWS[1]))
            assert NEWS[1] == await again.hear()
            await running_.__aexit__(None, None, None)

    asyncio.run(scenario())


@pytest.mark.parametrize(("lasted", "again"), [(STEADY, True), (0.9 * STEADY, False)])
def test_the_delays_begin_again_after_a_connection_that_lasted(lasted, again):
    """Attempts wait longer and longer while the peer is away, or accepts and hangs up; after a success less again."""
    waited, now = [], [0.0]

    async def scenario():
        async with zeek_peer() as gone:
            port = gone.port

        async def sleep(seconds):
            waited.append(seconds)
            await asyncio.sleep(0.005)

        transport = to(
            f"ws://127.0.0.1:{port}/", delays=lambda: iter(range(1, 10**9)), sleep=sleep, clock=lambda: now[0]
        )
        async with running(transport) as listener:
            for _ in range(3):
                await listener.states.get()
            async with zeek_peer(port):
                while (await listener.states.get())[0] != "connected":
                    pass
                before = len(waited)
                now[0] += lasted
            while (await listener.states.get())[0] != "failed":
                pass
        return before

    before = asyncio.run(scenario())
    assert [*range(1, before + 1), 1 if again else before + 1] == waited[: before + 1]


def test_junk_frames_do_not_end_the_connection():
    """Text that is no JSON, bytes that are no text, binary frames: each is junk, and the rest is received."""

    async def scenario():
        async with zeek_peer() as peer, running(to(peer.url)) as listener:
            await listener.states.get()
            await peer.client.send("{nonsense")
            await peer.client.send(b"\xff\xfe", text=True)
            await peer.client.send(b"\x00\x01")
            await peer.client.send('{"type":"error","code":"x","context":"y"}')
            await peer.say(HELLO)
            items = [await listener.items.get() for _ in range(5)]
            assert ["not-json", "not-json", "not-json", "refused"] == [junk.reason for junk in items[:4]]
            assert unparse(HELLO) == items[4]
            assert 1 == peer.connections

    asyncio.run(scenario())


def test_what_is_sent_while_away_is_kept_up_to_the_size_of_the_outbox():
    """Of ten events sent before there is a peer, an outbox of three keeps the newest three; seven are reported lost."""

    async def scenario():
        async with zeek_peer() as gone:
            port = gone.port
        transport = to(f"ws://127.0.0.1:{port}/", size=3)
        async with running(transport) as listener:
            await listener.states.get()
            for message in NEWS:
                transport.send(unparse(message))
            assert 7 == listener.drops
            async with zeek_peer(port) as peer:
                assert NEWS[7:] == [await peer.hear() for _ in range(3)]

    asyncio.run(scenario())


def test_a_peer_that_does_not_read_is_still_heard():
    """While the peer takes nothing, events from it arrive, and what does not fit is dropped, oldest first."""

    async def scenario():
        big = TableChanged("x" * 100_000, Count(1))
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


def test_a_ping_is_answered_while_nothing_else_happens():
    """Zeek ends a client that does not answer its pings; ours are answered."""

    async def scenario():
        async with zeek_peer() as peer, running(to(peer.url)) as listener:
            await listener.states.get()
            pong = await peer.client.ping()
            await asyncio.wait_for(pong, 10)

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


def test_a_message_in_fragments_is_whole():
    """A message that the peer sends in pieces, with a ping between them, arrives as one."""

    async def scenario():
        async with zeek_peer() as peer, running(to(peer.url)) as listener:
            await listener.states.get()
            text = encode(TO_SIDECAR, unparse(HELLO))

            async def pieces():
                for n in range(0, len(text), 100):
                    yield text[n : n + 100]
                    await peer.client.ping()

            await peer.client.send(pieces())
            assert unparse(HELLO) == await listener.items.get()

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


def test_requests_that_come_together_are_answered_in_one_write():
    """The answers given while one read is handled leave together: the peer reads them at once."""

    async def scenario():
        async with zeek_peer() as peer:
            transport = to(peer.url)
            async with running(transport) as listener:
                await listener.states.get()
                chunks = []
                received = peer.client.data_received
                peer.client.data_received = lambda data: (chunks.append(data), received(data))
                listener.received = lambda item: transport.send(unparse(NEWS[0]))
                # One write of the peer, so one read here.
                frames = peer.client.protocol
                for _ in range(20):
                    frames.send_text(encode(TO_SIDECAR, unparse(HELLO)).encode())
                peer.client.transport.write(b"".join(frames.data_to_send()))
                assert [NEWS[0]] * 20 == [await peer.hear() for _ in range(20)]
                return len(chunks)

    assert 1 == asyncio.run(scenario())


def test_ending_closes_the_connection_properly():
    """A transport that is ended says so with a close frame, even while events pour in."""

    async def scenario():
        async with zeek_peer() as peer:
            async with running(to(peer.url)) as listener:
                await listener.states.get()
                client = peer.client
                for _ in range(100):
                    await peer.say(HELLO)
            await client.wait_closed()
            return client.close_code

    assert 1000 == asyncio.run(scenario())


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
    """A plain HTTP answer is told as a failure; nothing is raised."""

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


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A key and a certificate for 127.0.0.1 that trusts itself, by openssl."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    try:
        subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("no openssl to make a certificate with")
    return str(cert), str(key)


def server_tls(certificate, *, ask):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    if ask:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate[0])
    return context


def first_state(certificate, mine, *, ask=False):
    """What is told first when connecting by wss to a peer with that certificate."""

    async def scenario():
        async with zeek_peer(tls=server_tls(certificate, ask=ask)) as peer:
            transport = to(f"wss://127.0.0.1:{peer.port}/", tls=mine)
            async with running(transport) as listener:
                return await asyncio.wait_for(listener.states.get(), 20)

    return asyncio.run(scenario())


def test_a_trusted_certificate_is_accepted(certificate):
    """With the authority that signed it, a wss peer is connected to."""
    assert "connected" == first_state(certificate, tls_context(certificate[0], None, None))[0]


def test_an_unknown_certificate_is_refused(certificate):
    """Without its authority, a wss peer is not trusted."""
    state, told, _ = first_state(certificate, tls_context(None, None, None))
    assert ("failed", True) == (state, "CERTIFICATE_VERIFY_FAILED" in told)


def test_our_own_certificate_is_shown_when_asked(certificate):
    """A Zeek that verifies its peers accepts a sidecar with a certificate."""
    assert "connected" == first_state(certificate, tls_context(certificate[0], *certificate), ask=True)[0]


def test_a_certificate_that_cannot_be_used_is_named(tmp_path):
    """A file that is no PEM, or is not there, is an error that names it."""
    (tmp_path / "no.pem").write_text("no certificate")
    for name in ("no.pem", "gone.pem"):
        with pytest.raises(TransportError, match=name):
            tls_context(str(tmp_path / name), None, None)


def test_a_key_that_cannot_be_used_is_named(certificate, tmp_path):
    """A key that is not there is named itself, not the certificate; one of something else together with it."""
    (tmp_path / "no.pem").write_text("no key")
    cert, _ = certificate
    with pytest.raises(TransportError) as gone:
        tls_context(None, cert, str(tmp_path / "gone.pem"))
    assert str(gone.value).startswith(f"{tmp_path / 'gone.pem'}: cannot be used for TLS (No such file or directory)")
    with pytest.raises(TransportError) as other:
        tls_context(None, cert, str(tmp_path / "no.pem"))
    assert str(other.value).startswith(f"{cert} with the key {tmp_path / 'no.pem'}: cannot be used for TLS (")


def test_an_event_is_an_event_on_both_sides():
    """The listener is given events and junk, never text."""

    async def scenario():
        async with zeek_peer() as peer, running(to(peer.url)) as listener:
            await listener.states.get()
            await peer.say(HELLO)
            return await listener.items.get()

    item = asyncio.run(scenario())
    assert isinstance(item, Event) and not isinstance(item, Junk)


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
def test_a_failure_is_told_with_its_likely_cause(error, words):
    """Never a bare number: what is probably wrong, and what the system said."""
    assert describe_failure(error).startswith(words)
