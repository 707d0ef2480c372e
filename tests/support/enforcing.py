"""An enforcer whose clocks and random numbers a test controls."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

from prometheus_client import CollectorRegistry

from portkin.blocking.backends.backend import Backend
from portkin.blocking.backends.shadow import Shadow
from portkin.blocking.enforcer import Enforcer
from portkin.blocking.intervals import Intervals
from portkin.blocking.limits import Limits
from portkin.blocking.metrics import BlockingMetrics
from portkin.blocking.protected import ProtectedAddresses
from portkin.net.ports import Port
from portkin.zeek.block_messages import BlockRequest, BlockRequests, BlockResponse, BlockResponses, UnblockRequest
from portkin.zeek.event import Count

PROVEN = "evidence=TRW answered=1 probe=1"
_ids = itertools.count()


class Clock:
    """Wall-clock and monotonic time of a test; begins at 1,000,000 s after 1970."""

    def __init__(self) -> None:
        self.wall = 1_000_000.0
        self.monotonic = 50.0

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


class Lines:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict]] = []

    def __getattr__(self, level):
        return lambda event, **pairs: self.lines.append((level, event, pairs))

    def events(self, level: str) -> list[str]:
        return [event for found, event, _ in self.lines if found == level]


class Bench:
    """An enforcer with everything around it."""

    def __init__(self, folder: Path, backend: Backend | None = None, limits: Limits | None = None, **more) -> None:
        self.path = folder / "blocks.sqlite"
        self.clock = more.pop("clock", None) or Clock()
        self.log = Lines()
        self.registry = CollectorRegistry()
        self.metrics = BlockingMetrics(self.registry)
        self.addresses = more.pop("addresses", ProtectedAddresses())
        self.read_addresses = lambda: self.addresses
        self.enforcer = Enforcer(
            self.path,
            backend or Shadow(),
            limits=limits or Limits(),
            addresses=lambda: self.read_addresses(),
            metrics=self.metrics,
            log=self.log,
            **{
                "intervals": Intervals(check=0.0, count=0.0),
                "wall_clock": lambda: self.clock.wall,
                "monotonic": lambda: self.clock.monotonic,
                **more,
            },
        )

    def ask(self, *requests) -> list[tuple[str, str]]:
        """(outcome, detail) of each request's response; what was said of others comes first."""
        return [(said.outcome, said.detail) for said in self.enforcer.handle(requests)]

    def metric(self, name: str, **labels) -> float | None:
        return self.registry.get_sample_value(name, labels)


def nets(*texts: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Networks, for the limits."""
    return tuple(map(ip_network, texts))


def block(src: str, port: str, seconds: float = 60.0, *, rank: int = 0, probed: str = "", why: str = PROVEN):
    """A request to block."""
    p = Port.parse(port)
    return BlockRequest(
        f"r{next(_ids)}",
        ip_address(src),
        p,
        timedelta(seconds=seconds),
        "0123456789ab",
        Port.parse(probed) if probed else p,
        Count(rank),
        why,
    )


def unblock(src: str, port: str):
    """A request to unblock."""
    return UnblockRequest(f"r{next(_ids)}", ip_address(src), Port.parse(port))


def together(first: BlockRequest, *more: BlockRequest) -> BlockRequests:
    """Requests of one decision as Zeek sends them."""
    rows = ((each.reqid, each.p, each.duration, each.rank, each.evidence) for each in (first, *more))
    return BlockRequests(first.src, first.table_id, first.probed, *zip(*rows, strict=True))


def each_of(messages: Iterable[BlockResponses]) -> list[BlockResponse]:
    """All responses in these messages."""
    return [response for message in messages for response in message.each()]


@asynccontextmanager
async def at_work(part, publish) -> AsyncIterator[None]:
    """A part of the service with its thread, until the context is left; ``publish`` is given what it says."""
    work = asyncio.create_task(part.run(publish))
    try:
        yield
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


def started(folder, backend=None, limits=None, **more) -> Bench:
    """A bench whose enforcer has started."""
    made = Bench(folder, backend, limits, **more)
    made.enforcer.start()
    return made


def damage(bench) -> None:
    """Overwrite the database while it is in use, so that the next reading of it fails."""
    with closing(sqlite3.connect(bench.path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    bench.path.write_bytes(b"\xee" * bench.path.stat().st_size)
