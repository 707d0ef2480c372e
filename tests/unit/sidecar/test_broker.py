"""The Broker transport against a real Broker endpoint, where Zeek's Python bindings are."""

from __future__ import annotations

import asyncio
import itertools
import socket
import sys
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
import zeekpy

from portkin.errors import TransportError
from portkin.zeek.event import Event, Junk
from portkin.zeek.event_codec import parse, unparse
from portkin.zeek.messages import TO_SIDECAR, TO_ZEEK
from portkin.zeek.transport.broker import BrokerTransport, find_bindings, from_broker, to_broker
from support.listening import HELLO, NEWS, running


@pytest.fixture(scope="module")
def broker():
    """Zeek's bindings."""
    try:
        return find_bindings()
    except TransportError as error:
        pytest.skip(str(error))


class Peer:
    """A listening Broker endpoint, as a Zeek has one."""

    def __init__(self, broker, port=0):
        self._broker = broker
        self._endpoint = broker.Endpoint()
        self._subscriber = self._endpoint.make_safe_subscriber(TO_ZEEK, 1000)
        self.port = self._endpoint.listen("127.0.0.1", port)
        assert self.port

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._subscriber.reset()
        self._endpoint.shutdown()

    def publish(self, data):
        self._endpoint.publish(TO_SIDECAR, data)

    async def hear(self):
        """The next message that the transport sent."""
        while (found := await asyncio.to_thread(self._subscriber.get, 0.5)) is None:
            pass
        return parse(from_broker(self._broker, found[1]))


def to(broker, port, **more):
    return BrokerTransport(
        f"127.0.0.1:{port}",
        **{"broker": broker, "delays": lambda: itertools.repeat(0.05), "size": 100, **more},
    )


async def say_until_received(peer, listener, data):
    """Publish until it arrives: subscriptions travel after the peering is up."""
    while True:
        peer.publish(data)
        with suppress(TimeoutError):
            return await asyncio.wait_for(listener.items.get(), 0.2)


def test_events_travel_both_ways(broker):
    """What a peer publishes arrives as an event, and what is sent arrives at the peer."""

    async def scenario():
        with Peer(broker) as peer:
            transport = to(broker, peer.port)
            async with running(transport) as listener:
                await listener.until("connected")
                assert unparse(HELLO) == await say_until_received(peer, listener, to_broker(broker, unparse(HELLO)))
                transport.send(unparse(NEWS[0]))
                assert NEWS[0] == await peer.hear()

    asyncio.run(scenario())


@asynccontextmanager
async def relay(target, port=0):
    """A port that is joined to another for as long as this lasts: a way that can be cut."""
    pipes = set()

    async def pump(reader, writer):
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def join(reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", target)
        pipes.update({writer, back})
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(join, "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for pipe in pipes:
            pipe.transport.abort()


def test_it_peers_again_after_a_loss(broker):
    """Before there is a way, attempts fail and are reported; when it is cut and joined again, events travel again."""

    async def scenario():
        with Peer(broker) as peer:
            async with relay(peer.port) as port:
                pass
            transport = to(broker, port)
            async with running(transport) as listener:
                await listener.until("failed")
                async with relay(peer.port, port):
                    await listener.until("connected")
                await listener.until("lost")
                await listener.until("failed")
                async with relay(peer.port, port):
                    await listener.until("connected")
                    assert unparse(HELLO) == await say_until_received(peer, listener, to_broker(broker, unparse(HELLO)))
                    transport.send(unparse(NEWS[1]))
                    assert NEWS[1] == await peer.hear()

    asyncio.run(scenario())


def test_what_is_sent_while_away_is_kept_up_to_the_size(broker):
    """Of ten events sent before there is a peer the newest three are kept, and seven are reported lost."""

    async def scenario():
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        transport = to(broker, port, size=3)
        async with running(transport) as listener:
            await listener.until("failed")
            for message in NEWS:
                transport.send(unparse(message))
            assert 7 == listener.drops
            with Peer(broker, port) as peer:
                assert NEWS[7:] == [await peer.hear() for _ in range(3)]

    asyncio.run(scenario())


def test_junk_is_reported_and_the_next_event_taken(broker):
    """Data that is no event, and values that Python cannot hold, are junk; the connection goes on."""
    data = broker.Data

    async def scenario():
        with Peer(broker) as peer:
            async with running(to(broker, peer.port)) as listener:
                await listener.until("connected")
                await say_until_received(peer, listener, to_broker(broker, unparse(HELLO)))
                while not listener.items.empty():
                    listener.items.get_nowait()
                for junk in (5, "text", [1, 1, 1], [broker.Count(1), broker.Count(1), ["name"]]):
                    peer.publish(data(junk))
                peer.publish(to_broker(broker, unparse(NEWS[2])))
                items = [await asyncio.wait_for(listener.items.get(), 20) for _ in range(5)]
                assert ["not-an-event"] * 4 == [item.reason for item in items[:4] if isinstance(item, Junk)]
                assert unparse(NEWS[2]) == items[4]

    asyncio.run(scenario())


def test_every_type_survives_broker(broker):
    """Values of every type that events use come back from Broker as they went in."""
    event = Event(
        "e",
        [
            "text",
            True,
            zeekpy.count(2**63),
            -5,
            0.5,
            zeekpy.port(53, "udp"),
            zeekpy.port(80, "tcp"),
            ip_address("192.0.2.1"),
            ip_address("2001:db8::1"),
            datetime(2026, 11, 21, 12, tzinfo=UTC),
            timedelta(minutes=5),
            [zeekpy.count(1), zeekpy.count(2)],
            [],
        ],
    )
    back = from_broker(broker, broker.Data(to_broker(broker, event)))
    assert event == back
    assert [type(arg) for arg in event.args] == [type(arg) for arg in back.args]


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1", "127.0.0.1:", ":9999", "127.0.0.1:x", "127.0.0.1:70000", "a..b:1", "[x:1", "a:\u00b2"]
)
def test_an_address_that_is_none_is_refused(address):
    """An address without host or port is an error that shows one."""
    with pytest.raises(TransportError, match=r"write host:port, as 127\.0\.0\.1:27760"):
        BrokerTransport(address, broker=sys, delays=lambda: iter(()), size=1)


def test_without_zeek_the_bindings_are_missed_in_one_line(monkeypatch):
    """Where there is no zeek-config, the error says what is missing and what to do."""
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("portkin.zeek.programs.ZEEK_BIN", "/nonexistent")
    with pytest.raises(TransportError, match=r"there is no zeek-config; put the bin folder .* or use the websocket"):
        find_bindings()


def fake_zeek_config(folder, python_dir, monkeypatch):
    program = folder / "zeek-config"
    program.write_text(f"#!/bin/sh\necho {python_dir}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_a_zeek_without_bindings_is_named(tmp_path, monkeypatch):
    """Where Zeek was built without them, the error names the folder that should have held them."""
    fake_zeek_config(tmp_path, tmp_path, monkeypatch)
    with pytest.raises(TransportError, match=f"{tmp_path} has none"):
        find_bindings()


def test_bindings_for_another_python_are_named(tmp_path, monkeypatch):
    """Bindings that do not load are an error with the reason, and no half-loaded module stays behind."""
    fake_zeek_config(tmp_path, tmp_path, monkeypatch)
    (tmp_path / "broker").mkdir()
    (tmp_path / "broker" / "__init__.py").write_text("from . import _broker\n")
    monkeypatch.delitem(sys.modules, "broker._broker", raising=False)
    before = sys.modules.get("broker")
    with pytest.raises(TransportError, match="do not load with this Python"):
        find_bindings()
    assert before is sys.modules.get("broker")
