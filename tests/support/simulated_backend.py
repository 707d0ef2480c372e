"""A simulated backend that fails on demand, and what tests of the enforcer share."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from ipaddress import ip_address

from portkin.blocking.backends.backend import Batch, Dropped, HeldBlock
from portkin.blocking.block import BlockKey, key_of
from portkin.blocking.intervals import Intervals
from portkin.errors import BackendError
from portkin.net.ports import Port
from support.enforcing import Bench, Clock

SRC, OTHER = "203.0.113.5", "203.0.113.6"
EVERY_TICK = Intervals(check=0.0, count=0.0)
NO_COUNT = Intervals(check=0.0, count=1e9)


class Kernel:
    """A simulated nftables, with a clock, that fails on demand."""

    mode = "nftables"

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ends: dict[BlockKey, float] = {}
        self.packets: dict[BlockKey, int] = {}
        self.broken = 0
        self.no_means: set[Port] = set()
        self.there = True
        self.batches: list[Batch] = []

    def setup(self, room: int = 0) -> None:
        self._fail()
        self.there = True

    def join(self) -> bool:
        self._fail()
        return self.there

    def apply(self, batch: Batch) -> dict[BlockKey, str]:
        self._fail()
        if not self.there:
            raise BackendError("no such table")
        self.batches.append(batch)
        for key, seconds, *_ in (*batch.add, *batch.extend):
            self.ends[key] = self.clock.monotonic + seconds
        for key in batch.remove:
            self.ends.pop(key, None)
        refused = [key for key in self.ends if key.port in self.no_means]
        for key in refused:
            del self.ends[key]
        return dict.fromkeys(refused, "no rule")

    def held(self, expected: Iterable[BlockKey] = ()) -> Mapping[BlockKey, HeldBlock]:
        self._fail()
        return self.counted(self.ends)

    def counted(self, keys) -> Mapping[BlockKey, HeldBlock]:
        left = {key: self.ends[key] - self.clock.monotonic for key in keys if key in self.ends}
        return {key: HeldBlock(seconds, self.packets.get(key, 0), 0) for key, seconds in left.items() if seconds > 0}

    def dropped(self) -> Dropped:
        return Dropped(sum(self.packets.values()), 0)

    def lost_blocks(self) -> bool:
        return not self.there

    def ipv6_fault(self) -> str:
        return ""

    def close(self) -> None:
        pass

    def _fail(self) -> None:
        if self.broken:
            self.broken -= 1
            raise BackendError("failing on demand")


class Deaf(Kernel):
    """The same, but it cannot say what it holds, as Suricata."""

    def held(self, expected: Iterable[BlockKey] = ()) -> None:
        return None


@contextmanager
def unwritable(path):
    """Meanwhile nothing can be written into the database: somebody else is writing, without end."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


def again(bench: Bench, backend=None, limits=None, clock=None, intervals=EVERY_TICK) -> Bench:
    """The sidecar started again over the same database."""
    bench.enforcer.close()
    made = Bench(bench.path.parent, backend, limits, clock=clock or bench.clock, intervals=intervals)
    made.started = made.enforcer.start()
    return made


def key(src, port):
    return key_of(ip_address(src), Port.parse(port))


def outcomes(bench):
    """Port and outcome of every row of the database."""
    return sqlite3.connect(bench.path).execute("SELECT port, outcome FROM blocks ORDER BY id").fetchall()
