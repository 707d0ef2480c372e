"""Zeek's Broker, through the Python bindings that ship inside Zeek: the file that owns that endpoint.

The bindings belong to one Zeek build and are in no package index: the PyPI package called ``broker`` is an
unrelated program.
"""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from functools import lru_cache
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

import zeekpy

from portkin.errors import TransportError
from portkin.zeek.event import Event, Junk
from portkin.zeek.messages import TO_SIDECAR, TO_ZEEK
from portkin.zeek.peer_addresses import peer_of
from portkin.zeek.programs import zeek_program
from portkin.zeek.transport import Listener
from portkin.zeek.transport.backoff import Delays

QUEUE = 4096
"""Events that Broker keeps for us before it slows the peer down; all are taken at once."""


class BrokerTransport:
    """A Broker peering with one Zeek at ``address`` (``host:port``).

    ``broker`` is the module that `find_bindings` gave; ``delays``, ``size`` and ``sleep`` as for
    `portkin.zeek.transport.websocket.WebSocketTransport`.
    """

    def __init__(
        self,
        address: str,
        *,
        broker: ModuleType,
        delays: Callable[[], Iterator[float]],
        size: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._peer = peer_of(address)
        self._broker = broker
        self._delays = Delays(delays, clock)
        self._sleep = sleep
        self._waiting: deque[Any] = deque(maxlen=size)
        self._publish: Callable[[Any], None] | None = None
        self._listener: Listener | None = None

    def send(self, event: Event) -> None:
        """Publish the event, or keep it until there is a peer; then the oldest is dropped where too many wait."""
        data = to_broker(self._broker, event)
        if self._publish is not None:
            self._publish(data)
            return
        if len(self._waiting) == self._waiting.maxlen and self._listener is not None:
            self._listener.dropped(1)
        self._waiting.append(data)

    async def run(self, listener: Listener) -> None:
        """Peer, read and write, and begin again whenever that ends; when cancelled, shut the endpoint down."""
        self._listener = listener
        loop = asyncio.get_running_loop()
        broker = self._broker
        endpoint = broker.Endpoint()
        statuses = endpoint.make_status_subscriber(True)
        subscriber = endpoint.make_subscriber(TO_SIDECAR, QUEUE, subscriber_class=_raw_subscriber(broker))
        news: asyncio.Queue[Any] = asyncio.Queue()
        loop.add_reader(subscriber.fd(), _pass_on, subscriber.poll, listener.received)
        loop.add_reader(statuses.fd(), _pass_on, statuses.poll, news.put_nowait)
        try:
            await self._keep_peering(endpoint, news, listener)
        finally:
            self._publish = None
            loop.remove_reader(subscriber.fd())
            loop.remove_reader(statuses.fd())
            subscriber.reset()
            statuses.reset()
            endpoint.shutdown()

    async def _keep_peering(self, endpoint: Any, news: asyncio.Queue[Any], listener: Listener) -> None:
        broker = self._broker
        host, port = self._peer

        def publish(data: Any) -> None:
            endpoint.publish(TO_ZEEK, data)

        while True:
            # Without its own retries: the waiting is ours. Not `peer`, which holds the interpreter.
            endpoint.peer_nosync(host, port, 0.0)
            while (item := await news.get()).code() not in (broker.SC.PeerAdded, broker.EC.PeerUnavailable):
                pass
            if item.code() == broker.SC.PeerAdded:
                self._delays.connected()
                self._publish = publish
                listener.connected(f"{host}:{port}")
                while self._waiting:
                    publish(self._waiting.popleft())
                while (item := await news.get()).code() not in (broker.SC.PeerLost, broker.SC.PeerRemoved):
                    pass
                self._publish = None
                listener.lost(repr(item))
                await self._sleep(self._delays.lost())
            else:
                delay = self._delays.failed()
                listener.failed(repr(item), delay)
                await self._sleep(delay)


def _pass_on(poll: Callable[[], list[Any]], take: Callable[[Any], None]) -> None:
    for item in poll():
        take(item)


def _raw_subscriber(broker: ModuleType) -> type:
    class Raw(broker.Subscriber):  # type: ignore[misc, name-defined]
        """Converts message by message, so that one that Python cannot hold does not lose the others."""

        def poll(self) -> list[Event | Junk]:
            return [from_broker(broker, data) for _, data in self._subscriber.poll()]

    return Raw


def from_broker(broker: ModuleType, data: Any) -> Event | Junk:
    """The event in Broker's data; Junk for everything else. Never raises."""
    try:
        event = broker.zeek.SafeEvent(data)
        return Event(event.name(), [_from_broker(broker, arg) for arg in event.args()])
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        return Junk("not-an-event", f"{type(error).__name__}: {error}"[:120])


def _from_broker(broker: ModuleType, value: Any) -> Any:
    if isinstance(value, broker.Count):
        return zeekpy.count(value.value)
    if isinstance(value, broker.Port):
        return zeekpy.port(value.number(), value.get_type().name.lower())
    if isinstance(value, tuple):
        return [_from_broker(broker, item) for item in value]
    return value


def to_broker(broker: ModuleType, event: Event) -> Any:
    """The event as Broker publishes it."""
    return broker.zeek.Event(event.name, *(_to_broker(broker, arg) for arg in event.args))


def _to_broker(broker: ModuleType, value: Any) -> Any:
    """The value as `broker.Data`."""
    if isinstance(value, zeekpy.port | float):
        return _kept(broker, value)
    if isinstance(value, list):
        return broker.Data(broker.Vector([_to_broker(broker, item) for item in value]))
    return broker.Data(broker.Count(value) if isinstance(value, zeekpy.count) else value)


@lru_cache(maxsize=1 << 14, typed=True)
def _kept(broker: ModuleType, value: Any) -> Any:
    """A port or a number as `broker.Data`, which takes 10 us to make: the same ones stand in most answers."""
    if isinstance(value, zeekpy.port):
        return broker.Data(broker.Port(value.port, getattr(broker.Port, value.proto.upper())))
    return broker.Data(value)


def find_bindings() -> ModuleType:
    """Zeek's ``broker`` module, from where ``zeek-config --python_dir`` says; TransportError without it."""
    remedy = "put the bin folder of a Zeek built with them on PATH, or use the websocket transport"
    program = zeek_program("zeek-config")
    if program is None:
        raise TransportError(
            f"the broker transport needs the Python bindings inside Zeek, and there is no zeek-config; {remedy}"
        )
    asked = subprocess.run([program, "--python_dir"], capture_output=True, text=True, timeout=30)  # noqa: S603
    folder = asked.stdout.strip()
    spec = PathFinder.find_spec("broker", [folder]) if folder else None
    if spec is None or spec.loader is None:
        raise TransportError(
            f"the broker transport needs the Python bindings inside Zeek, and {folder or program} has none; {remedy}"
        )
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get("broker")
    sys.modules["broker"] = module  # its own submodules import it by this name
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        sys.modules.pop("broker")
        if before is not None:
            sys.modules["broker"] = before
        raise TransportError(
            f"Zeek's Python bindings in {folder} do not load with this Python ({error}); {remedy}"
        ) from None
    return module
