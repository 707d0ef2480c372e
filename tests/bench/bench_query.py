"""A query from a real Zeek to a real sidecar and back, beside a bare echo of frames of the same text on loopback.

The time is measured inside Zeek: from publishing the request to the event of its answer. First queries go one after
another, then many a second. The echo runs before and after, and is the median of both. Questions by source alternate
with those by port, about a table with a model of the usual size.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.bench_by_source import learnt_for
from bench.echo import round_trips
from bench.figures import Figure, Size, missing, script
from bench.programs import program
from portkin.bundles.table import default_table, write_table
from portkin.bundles.table_format import default_path
from portkin.errors import TransportError
from portkin.net.ports import Port
from portkin.zeek.event import Count
from portkin.zeek.event_codec import unparse
from portkin.zeek.messages import TO_SIDECAR, TO_ZEEK, NearestRequest, NearestResponse
from portkin.zeek.transport.broker import find_bindings
from portkin.zeek.transport.json_v1 import encode
from support.sidecar_process import SidecarProcess
from support.zeek_process import SCRIPTS, ZeekProcess, backend_loads, free_port

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Load:
    """Queries asked one after the other; then so many a second, for so many seconds."""

    queries: int
    rate: int
    seconds: int


LOADS = {"smoke": Load(200, 200, 1), "small": Load(5_000, 2_000, 10), "full": Load(10_000, 2_000, 15)}


@dataclass(frozen=True)
class Asked:
    """What Zeek measured in both phases, the sidecar's processor seconds in the second, and its memory in MB."""

    single: dict[str, float]
    many: dict[str, float]
    cpu: float
    rss: float


@contextmanager
def asking(zeek: str, transport: str, table: Path, **environment: int) -> Iterator[tuple[ZeekProcess, SidecarProcess]]:
    """A Zeek that asks a sidecar, which answers from this table."""
    port = free_port()
    address = {"url": f"ws://127.0.0.1:{port}/v1/messages/json", "broker": f"127.0.0.1:{port}"}
    settings = {
        "zeek": {"transport": transport, **address},
        "table": {"path": str(table)},
        "metrics": {"port": 0},
    }
    with (
        tempfile.TemporaryDirectory() as name,
        ZeekProcess(
            zeek,
            Path(name) / "zeek",
            *backend_loads(zeek, transport),
            SCRIPTS / "api.zeek",
            HERE / "query.zeek",
            **{f"{transport.upper()}_PORT": port, **environment},
        ) as running,
        SidecarProcess(Path(name) / "sidecar", settings) as sidecar,
    ):
        yield running, sidecar


def result(running: ZeekProcess, number: int, load: Load) -> dict[str, float]:
    """What it prints as its first result, second, and so on."""
    line = running.wait_for("result ", count=number, timeout=120 + 2 * load.seconds)
    return json.loads(line.removeprefix("result "))


def ask(zeek: str, transport: str, load: Load) -> Asked:
    """Run both."""
    environment = {"QUERIES": load.queries, "RATE": load.rate, "SECONDS": load.seconds}
    with asking(zeek, transport, default_path(), **environment) as (running, sidecar):
        phases, used = [], []
        for number in (1, 2):
            phases.append(result(running, number, load))
            used.append(processor_seconds(sidecar.process.pid))
        # Before Zeek leaves, which ends the connection.
        return Asked(*phases, used[1] - used[0], sidecar.rss())


def by_source(zeek: str, load: Load) -> Iterator[Figure]:
    """Questions by source, in turn with those by port."""
    environment = {"QUERIES": load.queries, "RATE": 0, "SECONDS": 0, "BY_SOURCE": 1}
    with tempfile.TemporaryDirectory() as name:
        table, path = default_table(), Path(name) / "table"
        about = {**table.manifest.about, "by_source": {"cutoff": {"min_chance": 0.01}}}
        write_table(path, table.rows, method=table.method, about=about, by_source=learnt_for(table))
        with asking(zeek, "websocket", path, **environment) as (running, _):
            by_port, ours = result(running, 1, load), result(running, 2, load)
    for which, key in (("median", "median_ms"), ("99th percentile", "p99_ms")):
        yield Figure(
            f"query by source, {which}", ours[key], "ms", "less", "query by port", by_port[key],
            by_port[key] / ours[key], n=int(ours["answered"]), note="in turn; a history of eight ports",
        )  # fmt: skip


def processor_seconds(pid: int) -> float:
    """Seconds of processor time that the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def frames() -> tuple[str, str]:
    """A request and its answer as they go over the WebSocket."""
    port, table = Port(80, "tcp"), default_table()
    found = table.nearest(port, 16)
    answer = NearestResponse("1000", port, table.id, found.ports, found.chances, "")
    return encode(TO_SIDECAR, unparse(NearestRequest("1000", port, Count(16), 0.0))), encode(TO_ZEEK, unparse(answer))


def p99(seconds: list[float]) -> float:
    """Their 99th percentile."""
    return sorted(seconds)[len(seconds) * 99 // 100]


def measure(size: Size) -> Iterator[Figure]:
    """By WebSocket, and by Broker where Zeek's bindings are."""
    zeek = program("zeek")
    if zeek is None:
        yield missing("query from Zeek and back", "no zeek on PATH or in /opt/zeek/bin")
        return
    load = LOADS[size]
    asked, answer = frames()
    before = round_trips(asked, answer, load.queries)
    found = ask(zeek, "websocket", load)
    trips = before + round_trips(asked, answer, load.queries)
    single, many, what = found.single, found.many, "query from Zeek and back"
    for name, ours, theirs in (
        ("median", single["median_ms"], 1e3 * statistics.median(trips)),
        ("99th percentile", single["p99_ms"], 1e3 * p99(trips)),
    ):
        yield Figure(
            f"{what}, {name}", ours, "ms", "less", "websockets echo", theirs, theirs / ours, n=int(single["answered"]),
            note=f"{len(asked)} characters asked, {len(answer)} answered",
        )  # fmt: skip
    yield from sustained(what, many)
    yield Figure("the sidecar's processor time of a query", 1e6 * found.cpu / many["sent"], "µs", "less")
    yield Figure("the sidecar, resident", found.rss, "MB", "less")
    yield from by_source(zeek, load)
    if size == "smoke":
        return
    try:
        find_bindings()
    except TransportError as error:
        yield missing(f"{what} by Broker", str(error))
        return
    found = ask(zeek, "broker", load)
    by_broker, by_websocket = found.single["median_ms"], single["median_ms"]
    yield Figure(
        f"{what} by Broker, median", by_broker, "ms", "less", "by WebSocket", by_websocket, by_websocket / by_broker,
        n=int(found.single["answered"]),
    )  # fmt: skip
    yield from sustained(f"{what} by Broker", found.many)


def sustained(what: str, many: dict[str, float]) -> Iterator[Figure]:
    """The second phase."""
    rate = many["sent"] / many["seconds"]
    note = f"{many['sent']:.0f} sent, {many['lost']:.0f} lost, at most {many['most_open']:.0f} open at once"
    yield Figure(
        f"{what}, 99th percentile at {rate:.0f}/s", many["p99_ms"], "ms", "less", n=int(many["answered"]), note=note
    )


if __name__ == "__main__":
    script(measure, __doc__)
