"""How long blocks take to be made, one by one and in batches, beside a process of nft for each; and a restart. Root.

Everything happens in a network namespace of its own.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.figures import MILLI, Figure, Missing, Size, Work, compare, missing, once, script, spread, timed
from bench.programs import program
from portkin.blocking.backends.backend import Batch, TimedKey
from portkin.blocking.backends.nftables import Nftables
from portkin.blocking.backends.place import Place
from portkin.blocking.block import BlockKey
from portkin.blocking.limits import Limits
from portkin.net.addresses import MAPPED, text_of
from portkin.net.ports import Port
from portkin.zeek.block_messages import BlockRequest
from portkin.zeek.event import Count
from support.enforcing import Bench
from support.netns import private_network
from support.sidecar_process import SidecarProcess
from support.tables import small_table

OPEN = Limits(max_ports=65_536, max_per_second=10_000_000, max_blocks=1_000_000)
BLOCKS = {"smoke": 1_000, "small": 20_000, "full": 50_000}
"""Blocks that are there when others come."""
BATCH = {"smoke": 300, "small": 10_000, "full": 10_000}
ONES = {"smoke": 10, "small": 100, "full": 300}
"""Blocks made one by one."""
HOUR = 3600.0


def requests(first: int, count: int, hours: int = 1) -> list[BlockRequest]:
    """Requests of different keys."""
    duration = timedelta(hours=hours)
    return [
        BlockRequest(
            f"r{n}", ip_address(0x0A000000 + n // 8), Port(1 + n % 8, "tcp"), duration, "0" * 12, Port(1, "tcp"),
            Count(0), "evidence=TRW answered=1 probe=1",
        )
        for n in range(first, first + count)
    ]  # fmt: skip


def enforcer(folder: Path) -> Bench:
    """An enforcer with real clocks and the kernel."""
    made = Bench(folder, Nftables(Place()), OPEN, wall_clock=time.time, monotonic=time.monotonic)
    made.enforcer.start()
    return made


def restarted(folder: Path) -> None:
    """Start with the database as it is, and stop."""
    enforcer(folder).enforcer.close()


def singles(bench: Bench, asked: list[BlockRequest]) -> list[float]:
    """Seconds by the clock of each request alone."""
    return [timed(lambda r=request: bench.enforcer.handle([r])).wall for request in asked]


def kernel_alone(size: Size) -> Iterator[Figure]:
    """Elements of a set, one by one and in a batch; the peer has a table of its own, and a process for each element."""
    nft = program("nft")
    ours, theirs = Nftables(Place()), Nftables(Place("peer"))
    ours.setup()
    theirs.setup()
    fresh, port = itertools.count(), Port(1, "tcp")

    def elements(count: int) -> list[TimedKey]:
        return [TimedKey(BlockKey(MAPPED | n, port), HOUR) for n in itertools.islice(fresh, count)]

    def by_process() -> None:
        for element in elements(few):
            text = f"{{ {text_of(element.key.src)} . {port.number} timeout {HOUR:.0f}s }}"
            subprocess.run([str(nft), "add", "element", "inet", "peer", "tcp4", text], check=True)

    def one_by_one() -> None:
        for element in elements(few):
            ours.apply(Batch(add=[element]))

    few, many, who = ONES[size], BATCH[size], "a process of nft each"
    peer = Work(who, by_process, few) if nft else Missing(who, "no nft on PATH")
    alone = Work("portkin", one_by_one, few)
    yield from compare(size, "kernel alone, an element by itself", alone, [peer], MILLI)
    batch = Work("portkin", lambda: ours.apply(Batch(add=elements(many))), many)
    yield from compare(size, f"kernel alone, an element in a batch of {many:,}", batch, [peer], MILLI)
    held = [*ours.held().values(), *theirs.held().values()]
    assert next(fresh) == len(held)
    assert all(0 <= HOUR - one.seconds < 600 for one in held)
    ours.teardown()
    theirs.teardown()


def database_and_kernel(size: Size, folder: Path) -> Iterator[Figure]:
    """What the sidecar does for a request, from empty to full, and when it starts again."""
    bench, blocks, many, ones = enforcer(folder), BLOCKS[size], BATCH[size], ONES[size]
    yield spread("a block, database and kernel, none there before", singles(bench, requests(0, ones)))
    batch = requests(1_000, many)
    yield once(f"{many:,} blocks, database and kernel, in one batch", lambda: bench.enforcer.handle(batch))
    for first in range(20_000, 20_000 + blocks - many, 10_000):
        bench.enforcer.handle(requests(first, min(10_000, 20_000 + blocks - many - first)))
    backend = Nftables(Place())
    held = len(backend.held())
    yield spread(f"a block, database and kernel, {held:,} there before", singles(bench, requests(2_000_000, ones)))
    time.sleep(0.2)
    yield spread("a block extended", singles(bench, requests(2_000_000, ones, hours=3)))
    yield once(f"reading what the kernel holds, {len(backend.held()):,} blocks", backend.held)
    bench.enforcer.close()
    yield once(f"restart with {held + ones:,} blocks, the kernel still holds all", lambda: restarted(folder))
    backend.teardown()
    yield once(f"restart with {held + ones:,} blocks, the kernel lost all", lambda: restarted(folder))


def memory(size: Size, folder: Path) -> Iterator[Figure]:
    """The whole sidecar, started with twice as many blocks in the database, beside one without any."""
    blocks = 2 * BLOCKS[size]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    small_table(folder / "table")
    settings = {
        "zeek": {"url": "ws://127.0.0.1:1/"},
        "table": {"path": str(folder / "table")},
        "metrics": {"port": 0},
        "enforce": {"backend": "nftables", "database": str(folder / "blocks.sqlite"), "count": 2.0},
    }
    with SidecarProcess(folder / "empty", settings) as sidecar:
        sidecar.wait_for("blocking")
        empty = sidecar.rss()
    bench = enforcer(folder)
    for first in range(0, blocks, 10_000):
        bench.enforcer.handle(requests(first, min(10_000, blocks - first)))
    bench.enforcer.close()
    settings["enforce"]["limits"] = {"max_blocks": 1_000_000}
    with SidecarProcess(folder / "full", settings) as sidecar:
        sidecar.wait_for("blocking", timeout=120)
        time.sleep(0 if size == "smoke" else 8)  # some readings of all counters
        peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{sidecar.process.pid}/status").read_text())
        note = f"peak {int(peak[1]) / 1e3:.0f} MB"
        yield Figure(
            f"the sidecar with {blocks:,} blocks, resident", sidecar.rss(), "MB", "less", "without", empty, note=note
        )


def measure(size: Size) -> Iterator[Figure]:
    """The kernel, then with the database, then the process."""
    if os.geteuid():
        yield missing("blocks", "needs root (network namespaces, nftables)")
        return
    for part in (database_and_kernel, memory):
        with tempfile.TemporaryDirectory() as name, private_network():
            if part is database_and_kernel:
                yield from kernel_alone(size)
            yield from part(size, Path(name))


if __name__ == "__main__":
    script(measure, __doc__)
