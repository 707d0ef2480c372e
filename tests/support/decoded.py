"""What is read of a capture that a test writes, as rows."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.captures.pcap import read_capture
from portkin_training.ingest.reading import Reading
from support.captures import SYN, ipv4, ipv6, tcp, udp

PROBE = ipv4("198.51.100.9", "192.0.2.1", 6, tcp(40000, 443, SYN, seq=7))
PROBE6 = ipv6("2001:db8::9", "2001:db8::1", 17, udp(5353, 53))
EXPECTED = ("198.51.100.9", "192.0.2.1", 40000, 443, 6, SYN, 7)
EXPECTED6 = ("2001:db8::9", "2001:db8::1", 5353, 53, 17, 0, 0)


def address(halves) -> str:
    value = ipaddress.IPv6Address(b"".join(int(half).to_bytes(8, "big", signed=True) for half in halves))
    return str(value.ipv4_mapped or value)


def rows(packets: Packets) -> list[tuple]:
    """(src, dst, sport, dport, proto, flags, seq) of each packet."""
    return [
        (
            address(packets.src[at]),
            address(packets.dst[at]),
            *(int(getattr(packets, name)[at]) for name in ("sport", "dport", "proto", "flags", "seq")),
        )
        for at in range(len(packets))
    ]


def read(path: Path, data: bytes, **options) -> tuple[Packets, Reading]:
    path.write_bytes(data)
    reading = Reading(str(path))
    return Packets.concat(read_capture(path, reading, **options)), reading
