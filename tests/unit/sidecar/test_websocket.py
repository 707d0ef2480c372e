"""The WebSocket transport against a real loopback peer: subscribing, reconnecting, junk, pressure, TLS."""

from __future__ import annotations

import asyncio

import pytest

from portkin import __version__
from portkin.zeek.event import Event, Junk
from portkin.zeek.event_codec import unparse
from portkin.zeek.messages import TO_SIDECAR
from portkin.zeek.transport.backoff import STEADY
from portkin.zeek.transport.json_v1 import encode
from support.listening import HELLO, NEWS, running, to
from support.zeek_peer import zeek_peer


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


def test_a_ping_is_answered_while_nothing_else_happens():
    """Zeek ends a client that does not answer its pings; ours are answered."""

    async def scenario():
        async with zeek_peer() as peer, running(to(peer.url)) as listener:
            await listener.states.get()
            pong = await peer.client.ping()
            await asyncio.wait_for(pong, 10)

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


def test_an_event_is_an_event_on_both_sides():
    """The listener is given events and junk, never text."""

    async def scenario():
        async with zeek_peer() as peer, running(to(peer.url)) as listener:
            await listener.states.get()
            await peer.say(HELLO)
            return await listener.items.get()

    item = asyncio.run(scenario())
    assert isinstance(item, Event) and not isinstance(item, Junk)
