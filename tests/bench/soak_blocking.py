"""New scanners without end, through a real Zeek and a real sidecar into the kernel: is a block lost, or overdue? Root.

    python tests/bench/soak_blocking.py [--minutes 20] [--rate 500]

Each source sends one SYN to a net without hosts, and is blocked for `INTERVAL` seconds from its own port and from three
more. Every ten seconds the kernel's sets are read and compared with what was sent: *lost* is a source that has none of
its blocks `PATIENCE` seconds after its SYN came in, *overdue* a block that is there as long after its end. Not for CI.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.programs import program
from portkin.blocking.backends.nftables import Nftables, Place
from support.namespaces import Network, guarded_site
from support.sidecar_process import SidecarProcess
from support.tables import small_table
from support.zeek_process import SCRIPTS, ZeekProcess

INTERVAL, PATIENCE, EVERY = 30.0, 5.0, 10.0
FIRST = 0xC6120000
"""198.18.0.0/15, for benchmarks (RFC 2544): 131,072 sources, each to one host again once its blocks are over."""
SOURCES = 1 << 17


def send(rate: int, seconds: float) -> None:
    """On the attacker: so many SYNs a second, each of another source."""
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    began, sent = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        for _ in range(int((time.monotonic() - began) * rate) - sent):
            source, target = (FIRST + sent % SOURCES).to_bytes(4, "big"), bytes([203, 0, 113, 1 + sent % SOURCES % 200])
            ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, sent & 0xFFFF, 0, 64, 6, 0, source, target)
            tcp = struct.pack("!HHIIBBHHH", 40_000, 22, sent, 0, 0x50, 2, 1024, 0, 0)
            raw.sendto(ip + tcp, (socket.inet_ntoa(target), 0))
            sent += 1
        time.sleep(0.002)


def watch(seconds: float) -> None:
    """On the sensor: what comes in and what the kernel holds; a line of JSON for each reading."""
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    packets.bind(("outside", 0x0800))
    packets.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)  # SO_RCVBUFFORCE
    packets.settimeout(0.2)
    kernel = Nftables(Place())
    came: dict[int, float] = {}
    seen = lost = overdue = 0
    blocked: set[int] = set()
    reported: set[int] = set()  # counted as lost
    end, reading = time.monotonic() + seconds, time.monotonic() + EVERY
    print("ready", flush=True)
    while time.monotonic() < end:
        try:
            data = packets.recv(64)
            if data[9] == 6 and data[12:14] in (b"\xc6\x12", b"\xc6\x13"):
                source = int.from_bytes(data[12:16], "big")
                came[source] = time.monotonic()
                blocked.discard(source)
                seen += 1
        except TimeoutError:
            pass
        now = time.monotonic()
        if now < reading:
            continue
        reading = now + EVERY
        # A reading takes seconds on a busy machine: a block that ended in them was not overdue when it was read.
        held = kernel.held()
        for key in held:
            source = key.src & 0xFFFFFFFF
            blocked.add(source)
            overdue += now - came.get(source, now) > INTERVAL + PATIENCE
        now = time.monotonic()
        gone = [source for source, at in came.items() if now - at > INTERVAL + PATIENCE]
        due = [source for source, at in came.items() if PATIENCE < now - at < INTERVAL - PATIENCE]
        lost += sum(source not in blocked and source not in reported for source in due)
        reported.update(source for source in due if source not in blocked)
        for source in gone:
            del came[source]
            blocked.discard(source)
            reported.discard(source)
        print(json.dumps({"sources": seen, "held": len(held), "lost": lost, "overdue": overdue}), flush=True)


def resident(pid: int) -> float:
    """Megabytes of memory of a process."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1e3 if found else float("nan")


def soak(zeek: str, minutes: float, rate: int) -> None:
    """Print a row for each reading."""
    with tempfile.TemporaryDirectory() as name, Network() as net:
        folder, seconds = Path(name), 60 * minutes
        guarded_site(net)
        small_table(folder / "table")
        local = folder / "local.zeek"
        local.write_text(
            f"@load {SCRIPTS}/websocket.zeek\n@load {SCRIPTS}/block.zeek\n"
            f"redef Portkin::darknets += {{ 203.0.113.0/24 }};\nredef Portkin::block_interval = {INTERVAL}sec;\n"
        )
        limits = {"block_unproven": True, "max_per_second": 100_000, "max_blocks": 500_000}
        enforce = {"backend": "nftables", "database": str(folder / "blocks.sqlite"), "limits": limits}
        running = ZeekProcess(zeek, folder / "zeek", "-i", "af_packet::outside", local)
        sidecar = SidecarProcess(folder / "sidecar", {"table": {"path": str(folder / "table")}, "enforce": enforce})
        running.prefix = sidecar.prefix = net.inside("sensor")
        with running, sidecar:
            sidecar.wait_for("Zeek answered", timeout=60)
            sidecar.wait_for("blocking")
            watching = [*net.inside("sensor"), sys.executable, __file__, "--watch", str(seconds + INTERVAL + 15)]
            watcher = subprocess.Popen(watching, stdout=subprocess.PIPE, text=True)
            assert watcher.stdout is not None
            watcher.stdout.readline()
            sending = [*net.inside("attacker"), sys.executable, __file__, "--send", str(rate), str(seconds)]
            sender = subprocess.Popen(sending)
            print("| s | sources | blocks held | lost | overdue | sidecar MB | Zeek MB | database MB |")
            print("|---|---|---|---|---|---|---|---|", flush=True)
            began = time.monotonic()
            for line in watcher.stdout:
                row = json.loads(line)
                memory = [resident(process.process.pid) for process in (sidecar, running)]
                size = sum(file.stat().st_size for file in folder.glob("blocks.sqlite*")) / 1e6
                figures = [f"{figure:,.0f}" for figure in (*memory, size)]
                numbers = [f"{row[what]:,}" for what in ("sources", "held", "lost", "overdue")]
                print("|", " | ".join([f"{time.monotonic() - began:.0f}", *numbers, *figures]), "|", flush=True)
            sender.wait()
            page = net.run("sensor", "curl", "-s", "http://127.0.0.1:9477/metrics").splitlines()
            wanted = re.compile(r"portkin_(blocks_total|block_errors_total|block_vetoes_total|messages_dropped)")
            print("\n".join(line for line in page if wanted.match(line) and not line.endswith(" 0.0")))
            print("\n".join(line for line in sidecar.text.splitlines() if re.search(r"warning|error", line)))


def main() -> None:
    """Soak; or one of the two parts that run on other machines of the network."""
    if sys.argv[1:2] == ["--send"]:
        send(int(sys.argv[2]), float(sys.argv[3]))
    elif sys.argv[1:2] == ["--watch"]:
        watch(float(sys.argv[2]))
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--minutes", type=float, default=20.0)
        parser.add_argument("--rate", type=int, default=500)
        options = parser.parse_args()
        zeek = program("zeek")
        if zeek is None:
            sys.exit("no zeek on PATH or in /opt/zeek/bin")
        soak(zeek, options.minutes, options.rate)


if __name__ == "__main__":
    main()
