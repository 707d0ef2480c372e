"""The captures that the rules are measured with: read over and over, or made here."""

from __future__ import annotations

import os
import struct
import sys
import time
from pathlib import Path

import dpkt
import numpy as np

from bench.programs import program
from portkin_training.ingest.captures.pcap import read_capture
from support.namespaces import Network
from support.suricata import openings, unpacked

_HEAD = struct.Struct("<IHHiIII")


def frames(capture: Path, folder: Path) -> tuple[int, list[tuple[float, bytes]]]:
    """The link type of a capture, and its packets with their stamps."""
    plain = unpacked(capture, folder)
    with plain.open("rb") as opened:
        reader = dpkt.pcapng.Reader(opened) if plain.suffix == ".pcapng" else dpkt.pcap.Reader(opened)
        return reader.datalink(), [(float(ts), bytes(frame)) for ts, frame in reader]


def lengthened(capture: Path, folder: Path, packets: int) -> tuple[Path, int]:
    """The capture over and over, one second between the copies, until it has so many packets, and how many it has."""
    link, found = frames(capture, folder)
    times = max(1, -(-packets // len(found)))
    length = found[-1][0] - found[0][0] + 1
    long = folder / f"{capture.stem}-{times}.pcap"
    with long.open("wb") as opened:
        opened.write(_HEAD.pack(0xA1B2C3D4, 2, 4, 0, 0, 65535, link))
        for copy in range(times):
            for ts, frame in found:
                opened.write(_record(ts + copy * length, frame))
    return long, len(found) * times


def beginning(capture: Path, folder: Path, packets: int) -> Path:
    """The first packets of a capture."""
    link, found = frames(capture, folder)
    short = folder / f"{capture.stem}-begin.pcap"
    head = _HEAD.pack(0xA1B2C3D4, 2, 4, 0, 0, 65535, link)
    short.write_bytes(head + b"".join(_record(ts, frame) for ts, frame in found[:packets]))
    return short


def _record(ts: float, frame: bytes) -> bytes:
    return struct.pack("<IIII", int(ts), int(ts % 1 * 1e6), len(frame), len(frame)) + frame


def share_of_syns(capture: Path) -> float:
    """Of the packets: the share that opens a TCP connection."""
    packets = sum(len(some.ts) for some in read_capture(capture))
    return sum(opening.port.proto == "tcp" for opening in openings(capture)) / packets


def web(folder: Path) -> Path | None:
    """A hundred downloads of 4 to 300 kB from a web server, as packets of at most 1,514 bytes; None without root."""
    if os.geteuid() or not all(program(name) for name in ("tcpdump", "curl", "ip")):
        return None
    site = folder / "site"
    site.mkdir()
    sizes = {"script": 4_000, "page": 40_000, "image": 300_000}
    for name, size in sizes.items():
        (site / name).write_bytes(np.random.default_rng(1).bytes(size))
    capture = folder / "web.pcap"
    with Network() as network:
        network.machine("web")
        network.run("web", "ip", "link", "set", "lo", "mtu", "1500", "gso_max_segs", "1")
        tcpdump = network.start("web", "tcpdump", "-n", "-i", "lo", "-w", str(capture), "tcp port 80")
        network.start("web", sys.executable, "-m", "http.server", "80", "-d", str(site))
        fetch = ["curl", "-s", "--retry", "20", "--retry-connrefused", "--retry-delay", "1", "-o", "/dev/null"]
        network.run("web", *fetch, "http://127.0.0.1/page")
        for _ in range(20):
            for name in ("page", "script", "script", "script", "image"):
                network.run("web", *fetch, f"http://127.0.0.1/{name}")
        time.sleep(1)
        network.end(tcpdump)
    return capture
