"""What the page costs the sidecar with many scanners, blocks and viewers, and whether Zeek's questions feel it.

A real sidecar with a block database, a loopback peer in the place of Zeek that asks and blocks, viewers on sockets that
follow the events. The phases without and with viewers alternate.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.bench_query import p99, processor_seconds
from bench.figures import Figure, Size, missing, script
from portkin.blocking.limits import Limits
from portkin.net.ports import Port
from portkin.zeek.block_messages import BlockRequest
from portkin.zeek.messages import (
    Count,
    NearestRequest,
    NearestResponse,
)
from support.enforcing import PROVEN, Bench
from support.watched import FLAGS, Watched, watched

VIEWERS = 10
VIEWER = """
import selectors, socket, sys
host, port, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
waiting, heard, got = selectors.DefaultSelector(), set(), 0
waiting.register(sys.stdin, selectors.EVENT_READ)
for _ in range(number):
    made = socket.create_connection((host, port))
    made.sendall(b"GET /api/v1/events HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    waiting.register(made, selectors.EVENT_READ)
while True:
    for key, _ in waiting.select():
        if key.fileobj is sys.stdin:
            sys.exit(print(got))
        got += len(key.fileobj.recv(65536))
        if key.fd not in heard:
            heard.add(key.fd)
            if len(heard) == number:
                print("all", flush=True)
"""


@dataclass(frozen=True)
class Load:
    """Blocks in the database, sources that scan, questions of each phase, phases of each kind."""

    blocks: int
    scanners: int
    questions: int
    phases: int


LOADS = {
    "smoke": Load(2_000, 20, 50, 1),
    "small": Load(100_000, 1_000, 1_000, 2),
    "full": Load(100_000, 1_000, 4_000, 4),
}
PAINT = "first-contentful-paint"
PACE = 0.004
"""Seconds between two questions: one waits in no queue of its own kind."""


def request(n: int, *, rank: int = 0) -> BlockRequest:
    """A request of a new key: source by source, eight ports each."""
    port = Port(1 + n % 8, "tcp")
    return BlockRequest(
        f"b{n}",
        ip_address(0x0A000000 + n // 8),
        port,
        timedelta(hours=5),
        "0" * 12,
        Port(1, "tcp"),
        Count(rank),
        PROVEN,
    )


def fill(folder: Path, blocks: int) -> None:
    """A block database as a sidecar leaves it."""
    limits = Limits(max_per_second=1_000_000, max_blocks=1_000_000)
    bench = Bench(folder, limits=limits, wall_clock=time.time, monotonic=time.monotonic)
    bench.enforcer.start()
    for first in range(0, blocks, 10_000):
        bench.enforcer.handle([request(n) for n in range(first, min(blocks, first + 10_000))])
    bench.enforcer.close()


@asynccontextmanager
async def viewers(site: Watched, received: list[int]) -> AsyncIterator[None]:
    """Pages that follow the events, in a process of their own, until they are left; adds the bytes that they got."""
    parts = urlsplit(site.url)
    command = [sys.executable, "-c", VIEWER, str(parts.hostname), str(parts.port), str(VIEWERS)]
    child = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert b"all\n" == await asyncio.wait_for(child.stdout.readline(), 60)
    yield
    told, _ = await child.communicate(b"")
    received[0] += int(told)


@dataclass
class Phase:
    """Round trips in seconds, and the sidecar's processor seconds a second."""

    trips: list[float]
    cpu: float


async def ask(site: Watched, questions: int, first: int) -> Phase:
    """Questions at a steady pace, and beside every fourth a block, as while somebody scans."""
    trips: list[float] = []
    began, cpu = time.perf_counter(), processor_seconds(site.sidecar.process.pid)
    for n in range(questions):
        if n % 4 == 0:
            await site.peer.say(request(first + n))
        sent = time.perf_counter()
        await site.peer.say(NearestRequest(f"q{n}", Port(80, "tcp"), Count(16), -1.0))
        while (await site.peer.hear(NearestResponse)).reqid != f"q{n}":
            pass
        trips.append(time.perf_counter() - sent)
        await asyncio.sleep(PACE)
    wall = time.perf_counter() - began
    return Phase(trips, (processor_seconds(site.sidecar.process.pid) - cpu) / wall)


async def painted(site: Watched) -> float | None:
    """Milliseconds to the first paint with content, in Chromium; the median of three. None without Chromium."""
    program = shutil.which("chromium")
    if program is None:
        return None
    try:
        from playwright.async_api import async_playwright
    except ModuleNotFoundError:
        return None
    found = []
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        for _ in range(3):
            page = await chromium.new_page()
            await page.goto(site.url)
            await page.wait_for_selector("#scanners-rows tr")
            # On a busy machine the rows are there before anything was painted.
            while (paint := await page.evaluate(f"performance.getEntriesByName('{PAINT}')[0]?.startTime")) is None:
                await asyncio.sleep(0.05)
            found.append(paint)
            await page.close()
        await chromium.close()
    return statistics.median(found)


async def run(load: Load, folder: Path) -> tuple[list[Phase], list[Phase], int, float | None]:
    """Phases without and with viewers in turns, bytes that the viewers got, and the first paint."""
    limits = {"max_blocks": 1_000_000, "max_per_second": 1_000_000}
    async with watched(folder, enforce={"limits": limits}) as site:
        await asyncio.to_thread(site.sidecar.wait_for, "blocking", timeout=300)
        await site.greet()
        for n in range(load.scanners):
            await site.peer.say(request(8_000_000 + 8 * n))
        await site.until("/api/v1/scanners", lambda value: value["active"] >= load.scanners)
        without, with_, received, first = [], [], [0], 9_000_000
        for _ in range(load.phases):
            without.append(await ask(site, load.questions, first))
            async with viewers(site, received):
                with_.append(await ask(site, load.questions, first + load.questions))
            first += 2 * load.questions
        return without, with_, received[0], await painted(site)


def measure(size: Size) -> Iterator[Figure]:
    """Questions, processor time, first paint."""
    load = LOADS[size]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder, load.blocks)
        without, with_, received, paint = asyncio.run(run(load, folder))
    what = f"{load.scanners:,} scanners, {load.blocks:,} blocks, {VIEWERS} viewers"
    plain, watched_ = ([trip for phase in phases for trip in phase.trips] for phases in (without, with_))
    for name, of in (("median", statistics.median), ("99th percentile", p99)):
        ours, theirs = 1e3 * of(watched_), 1e3 * of(plain)
        yield Figure(
            f"a question of Zeek's while it is watched, {name}", ours, "ms", "less", "nobody watches", theirs,
            theirs / ours, n=len(watched_), note=what,
        )  # fmt: skip
    busy, idle = (1e3 * statistics.median(phase.cpu for phase in phases) for phases in (with_, without))
    yield Figure(
        "the sidecar's processor time a second, watched", busy, "ms", "less", "nobody watches", idle,
        note=f"{busy - idle:.0f} ms more; the viewers got {received / 1e6:.1f} MB",
    )  # fmt: skip
    if paint is None:
        yield missing("first paint of the page", "no chromium, or no playwright")
    else:
        yield Figure("first paint of the page in Chromium", paint, "ms", "less", n=3, note=what)


if __name__ == "__main__":
    script(measure, __doc__)
