"""Puts metrics, page and API together for a running sidecar."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry

from portkin.blocking.never_block import add_never_block
from portkin.blocking.service import BlockingService
from portkin.logs import Log
from portkin.net.addresses import Address, Nets
from portkin.net.ports import Port
from portkin.web.actions import Actions
from portkin.web.app import Monitoring, Page, make_app
from portkin.web.config import PageConfig, token_of
from portkin.web.guard import Guard
from portkin.web.live import Live
from portkin.web.reader import Parts, Reader
from portkin.web.server import PageServer
from portkin.web.shapes import Connection
from portkin.zeek.messages import PROTOCOL, HelloResponse

BEAT = 1.0
"""Seconds between two signs of life of the loop that answers Zeek."""
STUCK = 30.0
"""Seconds without one after which the process is stuck: a thread waits for locks up to ten."""


class Pulse:
    """Says which parts of the process still turn."""

    def __init__(self, blocking: BlockingService, clock: Callable[[], float] = time.monotonic) -> None:
        self._blocking = blocking
        self._clock = clock
        self._loop = clock()

    async def run(self) -> None:
        """Beat in the loop that answers Zeek, until cancelled."""
        while True:
            self._loop = self._clock()
            await asyncio.sleep(BEAT)

    def stuck(self) -> list[str]:
        """What does not turn any more; asked by the page's thread."""
        now = self._clock()
        turned = {"the loop that answers Zeek": self._loop, "the thread that blocks": self._blocking.worked}
        return [f"{name} hangs since {now - at:.0f} s" for name, at in turned.items() if at and now - at > STUCK]


class BlockingOrders:
    """Orders from the page, handed to the loop that answers Zeek and so to the blocking thread."""

    def __init__(
        self,
        blocking: BlockingService,
        never_block: Path,
        look: Callable[[], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._blocking = blocking
        self._never_block = never_block
        self._look = look
        self._loop = loop

    async def unblock(self, src: Address, port: Port) -> str:
        """End a block; what went wrong, empty for nothing."""

        async def ask() -> str:
            return self._blocking.unblock(src, port)

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(ask(), self._loop))

    async def never_block(self, src: Address) -> bool:
        """Add to the file, and have it read."""
        added = await asyncio.to_thread(add_never_block, self._never_block, src, time.time())
        self._loop.call_soon_threadsafe(self._look)
        return added


def readiness(
    connection: Callable[[], Connection], greeting: Callable[[], HelloResponse | None], blocking: BlockingService
) -> Callable[[], list[str]]:
    """A function that says why the sidecar cannot do its work yet, or any more; nothing where it can."""

    def reasons() -> list[str]:
        found, way, answer = [], connection(), greeting()
        if not way.open:
            found.append(f"not connected to Zeek{f': {way.reason}' if way.reason else ''}")
        elif answer is None:
            found.append("Zeek does not answer the sidecar's hello")
        elif answer.protocol != PROTOCOL:
            found.append(f"Zeek speaks version {answer.protocol} of the event protocol, the sidecar {PROTOCOL}")
        enforcer = blocking.enforcer
        if enforcer.mode != "shadow" and not enforcer.ready:
            found.append(f"the backend {enforcer.mode} does not hold the blocks")
        return found

    return reasons


def serve_page(
    config: PageConfig,
    *,
    host: str,
    port: int,
    registry: CollectorRegistry,
    parts: Parts,
    pulse: Pulse,
    orders: BlockingOrders,
    log: Log,
) -> PageServer:
    """Listen, and answer until it is closed. Raises ConfigError."""
    monitoring = Monitoring(registry, stuck=pulse.stuck, not_ready=parts.not_ready).routes()
    if not config.enabled:
        return PageServer(make_app(monitoring, log), host, port)
    reader = Reader(parts)
    live = Live(reader.sections)
    page = Page(live, reader, Actions(orders, token_of(config), log), viewers=config.viewers, log=log)
    app = make_app([*monitoring, *page.routes()], log)
    guard = Guard(app, clients=Nets(map(str, config.clients)), hosts=[host, *config.hosts])
    return PageServer(guard, host, port, ending=live.end)
