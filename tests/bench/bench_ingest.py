"""How fast captures become columns and probes, beside dpkt, scapy and cat on the same packets in the same run.

    python tests/bench/bench_ingest.py [PACKETS] [--folder DIR]

The capture is made here: 60-byte packets on Ethernet, TCP SYNs from random sources to a /8, 100,000 a second.
Decoding runs on one core (the process is pinned to it) from a file in the page cache; the whole of ingest has
the threads it has in use. Every figure is the best of three.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dpkt
import numpy as np
from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether
from scapy.utils import RawPcapReader

from portkin_training.ingest.contacts import contacts_from_packets
from portkin_training.ingest.pcap import read_capture
from portkin_training.ingest.rules import probes_from_packets
from portkin_training.ingest.run import ingest

PACKET = 60
RATE = 100_000
HEADER = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000")


def make_capture(path: Path, packets: int) -> None:
    """Write the capture, in pieces."""
    rng = np.random.default_rng(1)
    with path.open("wb") as out:
        out.write(HEADER)
        for first in range(0, packets, 1 << 20):
            n = min(1 << 20, packets - first)
            records = np.zeros((n, 16 + PACKET), np.uint8)
            us = (np.arange(first, first + n) * (1_000_000 // RATE)).astype(np.int64)
            head = np.empty((n, 4), "<u4")
            head[:, 0], head[:, 1], head[:, 2:] = 1_700_000_000 + us // 1_000_000, us % 1_000_000, PACKET
            records[:, :16] = head.view(np.uint8)
            records[:, 28:30] = 8, 0  # EtherType IPv4
            records[:, 30:42] = np.frombuffer(bytes.fromhex("4500002c0000400040060000"), np.uint8)
            records[:, 42:46] = rng.integers(0, 256, (n, 4), np.uint8)  # source
            records[:, 46] = 10
            records[:, 47:58] = rng.integers(0, 256, (n, 11), np.uint8)  # destination, ports, sequence number
            records[:, 62:64] = 0x60, 2  # SYN
            out.write(records)


@dataclass(frozen=True)
class Speed:
    """Packets a second by the clock, and processor nanoseconds a packet, which other work slows down less."""

    rate: float
    cpu: float


def best(work: Callable[[], int], repeat: int = 3) -> Speed:
    """The best of some runs."""
    rates, cpus = [], []
    for _ in range(repeat):
        begun, used = time.perf_counter(), time.process_time()
        packets = work()
        rates.append(packets / (time.perf_counter() - begun))
        cpus.append((time.process_time() - used) / packets * 1e9)
    return Speed(max(rates), min(cpus))


def by_dpkt(path: Path, packets: int) -> int:
    """Decode with dpkt to the same fields."""
    read = 0
    with path.open("rb") as opened:
        for ts, frame in dpkt.pcap.Reader(opened):
            ip = dpkt.ethernet.Ethernet(frame).data
            _ = ts, ip.src, ip.dst, ip.p, ip.data.sport, ip.data.dport, ip.data.flags, ip.data.seq
            read += 1
            if read == packets:
                break
    return read


def by_scapy(path: Path, packets: int) -> int:
    """Decode with scapy to the same fields."""
    read = 0
    for frame, _ in RawPcapReader(str(path)):
        ip = Ether(frame).payload
        _ = ip.src, ip.dst, ip.proto, ip[TCP].sport, ip[TCP].dport, ip[TCP].flags, ip[TCP].seq
        read += 1
        if read == packets:
            break
    return read


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("packets", type=int, nargs="?", default=4_000_000)
    parser.add_argument("--folder", type=Path, help="where the capture is made (default: a temporary folder)")
    options = parser.parse_args()
    cores = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path, packets = Path(folder) / "probes.pcap", options.packets
        make_capture(path, packets)
        os.sched_setaffinity(0, {min(cores)})
        one_core: dict[str, Callable[[], int]] = {
            "decode to columns": lambda: sum(map(len, read_capture(path))),
            "decode + contacts": lambda: sum(map(len, contacts_from_packets(read_capture(path)))),
            "decode + probe rules": lambda: sum(map(len, probes_from_packets(read_capture(path)))),
            "cat > /dev/null": lambda: cat(path, packets),
            "dpkt": lambda: by_dpkt(path, min(packets, 100_000)),
            "scapy": lambda: by_scapy(path, min(packets, 5_000)),
        }
        for work in [*one_core.values()][:3]:
            work()  # compile, fill the page cache
        rates = {name: best(work) for name, work in one_core.items()}
        os.sched_setaffinity(0, cores)
        rates["whole ingest, Parquet written"] = best(
            lambda: sum(ingest([path], Path(folder) / "probes", force=True).probes.values())
        )
        os.sched_setaffinity(0, {min(cores)})
        rates["whole ingest on one core"] = best(
            lambda: sum(ingest([path], Path(folder) / "probes", force=True).probes.values())
        )
        size = sum(file.stat().st_size for file in (Path(folder) / "probes").rglob("*.parquet"))
    print(f"{packets:,} packets of {PACKET} bytes, {len(cores)} cores, load {os.getloadavg()[0]:.1f}")
    for name, speed in rates.items():
        processor = "" if name.startswith("cat") else f"{speed.cpu:12,.0f} ns of processor a packet"
        print(f"{name:32} {speed.rate / 1e6:10.3f} M/s {processor}")
    decode = rates["decode to columns"]
    for name in ("dpkt", "scapy"):
        ratio, work = decode.rate / rates[name].rate, rates[name].cpu / decode.cpu
        print(f"decode is {ratio:,.0f} times {name} by the clock, {work:,.0f} times by processor time")
    print(f"decode takes {rates['cat > /dev/null'].rate / decode.rate:.1f} times as long as cat")
    print(f"{size / packets:.1f} bytes of Parquet a probe, {16 + PACKET} of pcap")


def cat(path: Path, packets: int) -> int:
    """Only read the file."""
    subprocess.run(["cat", path], stdout=subprocess.DEVNULL, check=True)
    return packets


if __name__ == "__main__":
    main()
