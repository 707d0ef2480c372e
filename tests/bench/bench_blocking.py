"""How fast blocks are made: single, in batches, after a restart, and from a packet to the kernel. Root.

Run as: python tests/bench/bench_blocking.py [--blocks 50000] [--probes 300] [--parts core,memory,live]
Every figure comes from this run; nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from portkin.enforce.backend import Batch, Timed
from portkin.enforce.blocks import Pair
from portkin.enforce.limits import Limits
from portkin.enforce.nftables import Nftables, Place
from portkin.messages import BlockRequest, Count
from portkin.nets import MAPPED
from portkin.ports import Port
from support.enforcing import Bench
from support.namespaces import Network, guarded_site
from support.netns import private_network
from support.sidecar_process import SidecarProcess
from support.tables import small_table
from support.zeek_process import SCRIPTS, ZeekProcess

OPEN = Limits(max_ports=65_536, max_per_second=10_000_000, max_blocks=1_000_000)


def requests(first: int, count: int) -> list[BlockRequest]:
    """Requests of different pairs."""
    hour = timedelta(hours=1)
    return [
        BlockRequest(
            f"r{n}", ip_address(0x0A000000 + n // 8), Port(1 + n % 8, "tcp"), hour, "0" * 12, Port(1, "tcp"), Count(0),
            "evidence=TRW answered=1 probe=1",
        )
        for n in range(first, first + count)
    ]  # fmt: skip


def show(name: str, seconds: list[float]) -> None:
    """Median and 99th percentile in milliseconds."""
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    print(f"{name:58} median {1e3 * statistics.median(ordered):8.3f} ms   p99 {1e3 * p99:8.3f} ms   n {len(ordered)}")


def resident() -> float:
    """Resident memory of this process, MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def enforcer(folder: Path) -> Bench:
    """An enforcer with real clocks and the kernel."""
    made = Bench(folder, Nftables(Place()), OPEN, wall=time.time, steady=time.monotonic)
    made.enforcer.start()
    return made


def show_once(name: str, action, more: str = "") -> None:
    """What it takes once: by the clock, and of one core; they part where others use the machine too."""
    used, began = time.process_time(), time.perf_counter()
    action()
    taken, used = time.perf_counter() - began, time.process_time() - used
    print(f"{name:58} {taken:8.3f} s   CPU {used:6.3f} s   {more}".rstrip())


def timed(action) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def core(blocks: int) -> None:
    """Books and kernel, without Zeek."""
    with tempfile.TemporaryDirectory() as name, private_network():
        folder = Path(name)
        backend = Nftables(Place())
        backend.setup()
        one = [Timed(Pair(MAPPED | n, Port(1, "tcp")), 3600.0) for n in range(1, 301)]
        show("nftables alone: one element", [timed(lambda e=e: backend.apply(Batch(add=[e]))) for e in one])
        show("nftables alone: one extended", [timed(lambda e=e: backend.apply(Batch(extend=[e]))) for e in one])
        many = [Timed(Pair(MAPPED | n, Port(2, "tcp")), 3600.0) for n in range(10_000)]
        show_once("nftables alone: 10,000 elements in one batch", lambda: backend.apply(Batch(add=many)))
        backend.teardown()
        bench = enforcer(folder)
        show("one block, books and kernel, none there before", singles(bench, 0))
        batch = requests(1_000, 10_000)
        show_once("10,000 blocks, books and kernel, in one batch", lambda: bench.enforcer.handle(batch))
        for first in range(20_000, 20_000 + max(0, blocks - 10_300), 10_000):
            bench.enforcer.handle(requests(first, min(10_000, 20_000 + blocks - 10_300 - first)))
        held = len(backend.held())
        show(f"one block, {held} there before", singles(bench, 2_000_000))
        again = requests(2_000_000, 300)
        time.sleep(0.2)
        longer = [
            BlockRequest(r.reqid, r.src, r.p, timedelta(hours=3), r.table_id, r.probed, r.rank, r.why) for r in again
        ]
        show("one block extended", [timed(lambda r=r: bench.enforcer.handle([r])) for r in longer])
        show_once("reading what the kernel holds", backend.held, f"{len(backend.held())} elements")
        bench.enforcer.close()
        show_once("restart, the kernel still holds all", lambda: restarted(folder), f"{held} blocks")
        backend.teardown()
        show_once("restart, the kernel lost all", lambda: restarted(folder), f"{held + 300} blocks")


def singles(bench: Bench, first: int) -> list[float]:
    return [timed(lambda r=r: bench.enforcer.handle([r])) for r in requests(first, 300)]


def restarted(folder: Path) -> None:
    bench = enforcer(folder)
    bench.enforcer.close()


def memory(blocks: int) -> None:
    """The whole sidecar, started with so many blocks in the books."""
    with tempfile.TemporaryDirectory() as name, private_network():
        folder = Path(name)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        small_table(folder / "table")
        settings = {
            "zeek": {"url": "ws://127.0.0.1:1/"},
            "table": {"path": str(folder / "table")},
            "metrics": {"port": 0},
            "enforce": {"backend": "nftables", "books": str(folder / "books.sqlite"), "count": 2.0},
        }
        with SidecarProcess(folder / "empty", settings) as sidecar:
            sidecar.wait_for("blocking")
            print(f"{'sidecar without blocks':58} {sidecar.rss():8.1f} MB")
        bench = enforcer(folder)
        for first in range(0, blocks, 10_000):
            bench.enforcer.handle(requests(first, min(10_000, blocks - first)))
        bench.enforcer.close()
        settings["enforce"]["limits"] = {"max_blocks": 1_000_000}
        with SidecarProcess(folder / "full", settings) as sidecar:
            sidecar.wait_for("blocking", timeout=120)
            time.sleep(8)  # some readings of all counters
            print(f"{'sidecar with blocks':58} {sidecar.rss():8.1f} MB   {blocks} blocks")
            peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{sidecar.process.pid}/status").read_text())
            print(f"{'its peak':58} {int(peak[1]) / 1e3:8.1f} MB")


def live(probes: int, timeout_ms: float | None) -> None:
    """From the packet of a probe to the element in the kernel, with a real Zeek on the interface."""
    zeek = shutil.which("zeek") or shutil.which("zeek", path="/opt/zeek/bin")
    if zeek is None:
        print("no zeek: nothing to measure live")
        return
    with tempfile.TemporaryDirectory() as name, Network() as net:
        folder = Path(name)
        guarded_site(net)
        small_table(folder / "table")
        local = folder / "local.zeek"
        faster = "" if timeout_ms is None else f"redef AF_Packet::block_timeout = {timeout_ms}msec;\n"
        local.write_text(
            f"@load {SCRIPTS}/websocket.zeek\n@load {SCRIPTS}/block.zeek\n{faster}"
            "redef Portkin::darknets += { 203.0.113.0/24 };\nredef Portkin::log_extensions = T;\n"
        )
        settings = {
            "table": {"path": str(folder / "table")},
            "enforce": {
                "backend": "nftables",
                "books": str(folder / "books.sqlite"),
                "limits": {"block_unproven": True, "max_per_second": 100_000},
            },
        }
        running = ZeekProcess(zeek, folder / "zeek", "-i", "af_packet::outside", local)
        sidecar = SidecarProcess(folder / "sidecar", settings)
        running.prefix = sidecar.prefix = net.inside("sensor")
        with running, sidecar:
            sidecar.wait_for("Zeek answered", timeout=60)
            sidecar.wait_for("blocking")
            watching = [*net.inside("sensor"), sys.executable, __file__, "--watch", str(probes)]
            watcher = subprocess.Popen(watching, stdout=subprocess.PIPE, text=True)
            assert watcher.stdout.readline() == "ready\n"
            net.run("attacker", sys.executable, __file__, "--send", str(probes), timeout=300)
            out, _ = watcher.communicate(timeout=60)
            times = json.loads(out)
            shown = "its default" if timeout_ms is None else f"{timeout_ms:g} ms"
            print(f"Zeek's af_packet with a block timeout of {shown}; probes of new sources, every 20 ms")
            show("  packet to element of the probed port", times["probed"])
            show("  packet to elements of its three nearest too", times["all"])
            page = net.run("sensor", "curl", "-s", "http://127.0.0.1:9477/metrics").splitlines()
            sums = {key: float(value) for key, value in (line.rsplit(" ", 1) for line in page if line[0] != "#")}
            for part, text in (
                ("", "in the sidecar, request read to done"),
                ("_books", "the books"),
                ("_backend", "nftables"),
            ):
                key = f"portkin_block{part}_seconds"
                print(f"  of that {text:49} mean   {1e3 * sums[key + '_sum'] / max(1, sums[key + '_count']):8.3f} ms")
            answers = [line.split("\t") for line in (folder / "zeek" / "portkin_block.log").read_text().splitlines()]
            show("  of that Zeek to sidecar and back", [float(row[-1]) for row in answers if row[4:5] == ["added"]])


def send(probes: int) -> None:
    """On the attacker: single SYNs to port 22 of a net without hosts, each of another source."""
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for n in range(probes):
        source, target = bytes([198, 51, 100, 0]), bytes([203, 0, 113, 1 + n % 200])
        source = (0xC6120000 + n).to_bytes(4, "big")  # 198.18.0.0/15, for benchmarks
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, n & 0xFFFF, 0, 64, 6, 0, source, target)
        tcp = struct.pack("!HHIIBBHHH", 40_000, 22, n, 0, 0x50, 2, 1024, 0, 0)
        raw.sendto(ip + tcp, (socket.inet_ntoa(target), 0))
        time.sleep(0.02)


def watch(probes: int) -> None:
    """On the sensor: when each SYN comes in, and when the kernel tells of each element."""
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    packets.bind(("outside", 0x0800))
    told = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    told.bind((0, 1 << 6))  # NFNLGRP_NFTABLES
    for opened in (packets, told):
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 23)
        opened.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS; netlink has none
        opened.setblocking(False)
    print("ready", flush=True)
    sent: dict[bytes, float] = {}
    came: dict[bytes, list[float]] = {}
    quiet = time.monotonic()
    import select

    while time.monotonic() - quiet < 5 and sum(len(times) >= 4 for times in came.values()) < probes:
        for opened in select.select([packets, told], [], [], 1.0)[0]:
            now = time.time()
            quiet = time.monotonic()
            if opened is packets:
                data, ancillary, *_ = packets.recvmsg(2048, 256)
                stamp = struct.unpack("qq", ancillary[0][2][:16])
                if data[9] == 6 and data[12:14] == bytes([198, 18]):
                    sent.setdefault(data[12:16], stamp[0] + stamp[1] / 1e9)
            else:
                for key in elements(told.recv(1 << 20)):
                    came.setdefault(key[:4], []).append(now)
    whole = [key for key in sent if len(came.get(key, ())) >= 4]
    print(json.dumps({
        "probed": [came[key][0] - sent[key] for key in whole],
        "all": [came[key][3] - sent[key] for key in whole],
    }))  # fmt: skip


def elements(data: bytes) -> Iterator[bytes]:
    """The keys of the elements that a notification tells of."""
    from portkin.enforce.netlink import attributes, sequence
    from portkin.enforce.nfnetlink import _LIST_ELEMENTS, _NEWSETELEM

    view = memoryview(data)
    while len(view) >= 16:
        length, kind = struct.unpack_from("=IH", view)
        if kind == _NEWSETELEM:
            for _, element in sequence(attributes(view[20:length]).get(_LIST_ELEMENTS, memoryview(b""))):
                yield bytes(attributes(attributes(element)[1])[1])
        view = view[(length + 3) & ~3 :]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=50_000)
    parser.add_argument("--probes", type=int, default=300)
    parser.add_argument("--parts", default="core,memory,live")
    parser.add_argument("--send", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--watch", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.send:
        return send(chosen.send)
    if chosen.watch:
        return watch(chosen.watch)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if "core" in chosen.parts:
        core(chosen.blocks)
    if "memory" in chosen.parts:
        memory(2 * chosen.blocks)
    if "live" in chosen.parts:
        for timeout_ms in (None, 1.0):
            live(chosen.probes, timeout_ms)


if __name__ == "__main__":
    main()
