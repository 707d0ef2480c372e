#!/usr/bin/env python3
"""Writes vlans.pcap: one address in two VLANs (802.1Q), which is two hosts.

In VLAN 10, 198.51.100.10 probes eight closed ports of 192.0.2.10. In VLAN 20, between those probes, a client of the
same address opens eight connections to 192.0.2.20, all answered; at the end it fails once, on port 9999.
"""

import struct
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from support.captures import ACK, RST, SYN, ipv4, pcap, tcp  # noqa: E402

ETHERNET = 1
BEGIN = 1_700_000_000_000_000
SOURCE = "198.51.100.10"


def tagged(vlan: int, packet: bytes) -> bytes:
    """An Ethernet frame with an 802.1Q tag around an IPv4 packet."""
    return bytes.fromhex("020000000002020000000001") + struct.pack(">HHH", 0x8100, vlan, 0x0800) + packet


def refused(vlan: int, dst: str, sport: int, dport: int) -> list[bytes]:
    """A SYN and the RST that answers it."""
    return [
        tagged(vlan, ipv4(SOURCE, dst, 6, tcp(sport, dport))),
        tagged(vlan, ipv4(dst, SOURCE, 6, tcp(dport, sport, RST | ACK))),
    ]


def answered(vlan: int, dst: str, sport: int, dport: int) -> list[bytes]:
    """A handshake."""
    return [
        tagged(vlan, ipv4(SOURCE, dst, 6, tcp(sport, dport))),
        tagged(vlan, ipv4(dst, SOURCE, 6, tcp(dport, sport, SYN | ACK))),
        tagged(vlan, ipv4(SOURCE, dst, 6, tcp(sport, dport, ACK, seq=1001))),
    ]


frames: list[bytes] = []
for n, port in enumerate((22, 23, 80, 443, 3389, 5900, 8080, 8443)):
    frames += refused(10, "192.0.2.10", 40000 + n, port)
    frames += answered(20, "192.0.2.20", 50000 + n, 1000 + n)
frames += refused(20, "192.0.2.20", 50100, 9999)

(HERE / "vlans.pcap").write_bytes(pcap(((BEGIN + n * 10_000, frame) for n, frame in enumerate(frames)), link=ETHERNET))
