"""From the packet of a probe to the elements in the kernel, with a real Zeek and a real sidecar. Root.

Probes of new sources come every 20 ms to a net without hosts, across network namespaces made for this. The kernel
itself says when an element is there.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.figures import Figure, Size, missing, script, spread
from bench.programs import program
from portkin.blocking.backends.nfnetlink import _LIST_ELEMENTS, _NEWSETELEM
from portkin.net.netlink import attributes, sequence
from support.namespaces import Network, guarded_site
from support.sidecar_process import SidecarProcess
from support.tables import small_table
from support.zeek_process import SCRIPTS, ZeekProcess

PROBES = {"smoke": 5, "small": 100, "full": 300}


def live(zeek: str, probes: int, timeout_ms: float | None) -> Iterator[Figure]:
    """With af_packet's block timeout as it is, or so long: at the latest then Zeek sees a packet."""
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
                "database": str(folder / "blocks.sqlite"),
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
            what = f"af_packet's block timeout {shown}"
            yield spread(f"packet to element of the probed port, {what}", times["probed"])
            yield spread(f"packet to elements of its three nearest too, {what}", times["all"])
            page = net.run("sensor", "curl", "-s", "http://127.0.0.1:9477/metrics").splitlines()
            sums = {key: float(value) for key, value in (line.rsplit(" ", 1) for line in page if line[0] != "#")}
            for part, text in (
                ("", "in the sidecar, request read to done"),
                ("_database", "database"),
                ("_backend", "nftables"),
            ):
                key = f"portkin_block{part}_seconds"
                done = int(sums[key + "_count"])
                mean = 1e3 * sums[key + "_sum"] / max(1, done)
                yield Figure(f"of that {text}, {what}", mean, "ms", "less", n=done, note="a mean")
            rows = (line.split("\t") for line in (folder / "zeek" / "portkin_block.log").read_text().splitlines())
            trips = [float(row[-1]) for row in rows if row[5:6] == ["added"]]
            yield spread(f"of that Zeek to sidecar and back, {what}", trips)


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
    """On the sensor: when each SYN comes in, and when the kernel reports each element."""
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
    """The keys of the elements in a notification."""
    view = memoryview(data)
    while len(view) >= 16:
        length, kind = struct.unpack_from("=IH", view)
        if kind == _NEWSETELEM:
            for _, element in sequence(attributes(view[20:length]).get(_LIST_ELEMENTS, memoryview(b""))):
                yield bytes(attributes(attributes(element)[1])[1])
        view = view[(length + 3) & ~3 :]


def measure(size: Size) -> Iterator[Figure]:
    """With Zeek's default, then with a short timeout."""
    zeek = program("zeek")
    if os.geteuid() or zeek is None:
        yield missing("packet to element", "needs root" if os.geteuid() else "no zeek on PATH or in /opt/zeek/bin")
        return
    for timeout_ms in (1.0,) if size == "smoke" else (None, 1.0):
        yield from live(zeek, PROBES[size], timeout_ms)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--send"]:
        send(int(sys.argv[2]))
    elif sys.argv[1:2] == ["--watch"]:
        watch(int(sys.argv[2]))
    else:
        script(measure, __doc__)
