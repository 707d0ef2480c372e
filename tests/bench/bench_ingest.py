"""How fast captures become columns and probes, beside dpkt, scapy, tshark, Suricata, and cat on the same packets.

The capture is made here: 60-byte packets on Ethernet, TCP SYNs from random sources to a /8, 100,000 a second. It is in
the page cache, and everybody has one core; the whole of ingest is also measured with all of them. The slower ones read
its first packets only. What dpkt, scapy and tshark decode must be what we do.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from ipaddress import IPv4Address
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import dpkt
import numpy as np
from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether
from scapy.utils import RawPcapReader

from bench.figures import Figure, Missing, Size, Unit, Work, compare, script
from bench.programs import program, quietly
from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.captures.pcap import read_capture
from portkin_training.ingest.contacts import contacts_from_packets
from portkin_training.ingest.run import ingest
from support.first_packets import probes_from_packets
from support.suricata import write_config

PACKET = 60
RATE = 100_000
HEADER = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000")
PACKETS = {"smoke": 5_000, "small": 1_000_000, "full": 9_000_000}
"""All of the full size: more flows than are remembered, so that room for new ones is made more than once."""
SPEED = Unit("packets/s", "more")
TSHARK_FIELDS = ("frame.time_epoch", "ip.src", "ip.dst", "ip.proto", "tcp.srcport", "tcp.dstport", "tcp.flags",
                 "tcp.seq_raw")  # fmt: skip
Row = tuple[int, int, int, int, int, int, int, int]
"""ts (us), src, dst, proto, sport, dport, flags, seq."""


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


def cut(path: Path, packets: int) -> Path:
    """The first packets of the capture, in a file beside it."""
    short = path.with_name(f"first-{packets}.pcap")
    with path.open("rb") as whole:
        short.write_bytes(whole.read(len(HEADER) + packets * (16 + PACKET)))
    return short


def our_rows(packets: Packets) -> list[Row]:
    """What we decoded, as others say it."""
    v4 = [(column[:, 1] & 0xFFFF_FFFF).tolist() for column in (packets.src, packets.dst)]
    others = (packets.proto, packets.sport, packets.dport, packets.flags, packets.seq)
    return list(zip(packets.ts.tolist(), *v4, *(column.tolist() for column in others), strict=True))


def by_dpkt(path: Path) -> Iterator[Row]:
    """What dpkt decodes."""
    with path.open("rb") as opened:
        for ts, frame in dpkt.pcap.Reader(opened):
            ip = dpkt.ethernet.Ethernet(frame).data
            tcp = ip.data
            src, dst = int.from_bytes(ip.src, "big"), int.from_bytes(ip.dst, "big")
            yield round(ts * 1_000_000), src, dst, ip.p, tcp.sport, tcp.dport, tcp.flags, tcp.seq


def by_scapy(path: Path) -> Iterator[Row]:
    """What scapy decodes."""
    for frame, about in RawPcapReader(str(path)):
        ip = Ether(frame).payload
        tcp = ip[TCP]
        ts = about.sec * 1_000_000 + about.usec
        src, dst = int(IPv4Address(ip.src)), int(IPv4Address(ip.dst))
        yield ts, src, dst, ip.proto, tcp.sport, tcp.dport, int(tcp.flags), tcp.seq


def tshark_command(path: Path) -> list[str]:
    """It prints the same fields; it looks up no names and follows no connections."""
    fields = [word for field in TSHARK_FIELDS for word in ("-e", field)]
    calm = ["-o", "tcp.analyze_sequence_numbers:FALSE", "-o", "tcp.desegment_tcp_streams:FALSE"]
    return [str(program("tshark")), "-n", *calm, "-r", str(path), "-T", "fields", *fields]


def by_tshark(path: Path) -> Iterator[Row]:
    """What tshark prints."""
    ran = subprocess.run(tshark_command(path), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    for line in ran.stdout.splitlines():
        ts, src, dst, *others = line.split("\t")
        proto, sport, dport, flags, seq = (int(text, 0) for text in others)
        yield round(float(ts) * 1e6), int(IPv4Address(src)), int(IPv4Address(dst)), proto, sport, dport, flags, seq


def decoders(path: Path, packets: int) -> list[Work | Missing]:
    """Those who decode, each on as many of the first packets as do not take long."""
    peers: list[Work | Missing] = []
    expected = our_rows(next(read_capture(path))[:1000])
    for name, rows, few in (("dpkt", by_dpkt, min(packets, 100_000)), ("scapy", by_scapy, min(packets // 10, 5_000))):
        short = cut(path, few)
        assert expected[:few] == list(islice(rows(short), len(expected))), name
        peers.append(Work(name, lambda by=rows, at=short: [None for _ in by(at)], few))
    if program("tshark") is None:
        return [*peers, Missing("tshark", "no tshark on PATH")]
    assert expected == list(by_tshark(cut(path, len(expected))))
    few = min(packets, 200_000)
    short, one = cut(path, few), cut(path, 1)
    print_fields, start = (lambda: quietly(*tshark_command(short))), (lambda: quietly(*tshark_command(one)))
    return [*peers, Work("tshark -T fields", print_fields, few, start, "its start is taken off")]


def suricata(path: Path, packets: int) -> Work | Missing:
    """Suricata decodes and keeps flows; it has no rules."""
    found = program("suricata")
    if found is None:
        return Missing("suricata -r", "no suricata on PATH")
    config, rules = write_config(path.parent / "suricata"), path.with_name("no.rules")
    rules.touch()
    few = min(packets, 500_000)
    command = [found, "-c", config, "-S", rules, "-l", config.parent, "-k", "none", "--runmode=single", "-r"]
    read, one = cut(path, few), cut(path, 1)
    return Work(
        "suricata -r", lambda: quietly(*command, read), few, lambda: quietly(*command, one),
        "Suricata keeps flows and streams, with no rules; its start is taken off",
    )  # fmt: skip


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """This process, and what it starts, has one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def measure(size: Size) -> Iterator[Figure]:
    """Decoding, then what is made of it, then all of it."""
    with tempfile.TemporaryDirectory() as name:
        folder, packets = Path(name), PACKETS[size]
        path = folder / "probes.pcap"
        make_capture(path, packets)
        cat = Work("cat > /dev/null", lambda: quietly("cat", path), packets)

        def ours(chunks) -> Work:
            return Work("portkin", lambda: sum(map(len, chunks(path))), packets)

        def whole() -> None:
            assert packets == sum(ingest([path], folder / "probes", force=True).probes.values())

        with one_core():
            yield from compare(size, "decode to columns", ours(read_capture), [cat, *decoders(path, packets)], SPEED)
            contacts = ours(lambda at: contacts_from_packets(read_capture(at)))
            yield from compare(size, "decode, and find contacts", contacts, [suricata(path, packets)], SPEED)
            yield from compare(
                size,
                "decode, and the rules of probes",
                ours(lambda at: probes_from_packets(read_capture(at))),
                [],
                SPEED,
            )
            yield from compare(
                size, "all of ingest, Parquet written, one core", Work("portkin", whole, packets), [cat], SPEED
            )
        yield from compare(
            size, "all of ingest, Parquet written, all cores", Work("portkin", whole, packets), [cat], SPEED
        )
        written = sum(file.stat().st_size for file in (folder / "probes").rglob("*.parquet")) / packets
        yield Figure("Parquet of a probe", written, "bytes", "less", "its pcap", 16.0 + PACKET, (16 + PACKET) / written)


if __name__ == "__main__":
    script(measure, __doc__)
