"""Transports under test: what they report is kept, and there is something to send."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager, suppress

from portkin.zeek.event import Count
from portkin.zeek.messages import HelloResponse, TableChanged
from portkin.zeek.transport.websocket import WebSocketTransport

HELLO = HelloResponse("h", Count(1), "zeek", "8.0.9")
NEWS = [TableChanged(f"table-{n}", Count(16), False) for n in range(10)]


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

    async def until(self, state):
        """Wait for this state."""
        while (await asyncio.wait_for(self.states.get(), 20))[0] != state:
            pass


@asynccontextmanager
async def running(transport):
    """The transport at work, which reports to a `RecordingListener`; ended at the end."""
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
