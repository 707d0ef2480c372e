"""Captures written by hand, byte by byte, so that a test knows what is in them."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
RAW = 101
BEGIN = 1_700_000_000_000_000
"""2023-11-14 22:13:20 UTC, in us."""


def ipv4(src: str, dst: str, proto: int, payload: bytes, *, fragment: int = 0) -> bytes:
    """An IPv4 packet with a right header checksum; ``fragment`` is the field of flags and offset."""
    head = struct.pack(
        ">BBHHHBBH4s4s",
        0x45,
        0,
        20 + len(payload),
        0,
        fragment,
        64,
        proto,
        0,
        socket.inet_aton(src),
        socket.inet_aton(dst),
    )
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + struct.pack(">H", ~(total + (total >> 16)) & 0xFFFF) + head[12:] + payload


def ipv6(src: str, dst: str, proto: int, payload: bytes) -> bytes:
    """An IPv6 packet."""
    ends = (socket.inet_pton(socket.AF_INET6, end) for end in (src, dst))
    return struct.pack(">IHBB16s16s", 6 << 28, len(payload), proto, 64, *ends) + payload


def tcp(sport: int, dport: int, flags: int = SYN, *, seq: int = 1000, data: bytes = b"") -> bytes:
    """A TCP segment without options; its checksum is 0."""
    return struct.pack(">HHIIBBHHH", sport, dport, seq, 0, 0x50, flags, 1024, 0, 0) + data


def udp(sport: int, dport: int, data: bytes = b"?") -> bytes:
    """A UDP datagram without checksum."""
    return struct.pack(">HHHH", sport, dport, 8 + len(data), 0) + data


def port_unreachable(quoted: bytes) -> bytes:
    """The ICMP error (RFC 792) that quotes an IPv4 packet."""
    return struct.pack(">BBHI", 3, 3, 0, 0) + quoted[:28]


def pcap(
    packets: Iterable[tuple[int, bytes]],
    *,
    link: int = RAW,
    order: str = "<",
    nano: bool = False,
    snap: int = 65535,
) -> bytes:
    """A pcap file of (stamp in us, packet); each packet is cut after ``snap`` bytes."""
    out = [struct.pack(f"{order}IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, snap, link)]
    for us, packet in packets:
        kept = packet[:snap]
        fraction = us % 1_000_000 * (1000 if nano else 1)
        out += [struct.pack(f"{order}IIII", us // 1_000_000, fraction, len(kept), len(packet)), kept]
    return b"".join(out)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """A pcapng block."""
    body += b"\0" * (-len(body) % 4)
    size = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + size + body + size


def section(order: str = "<") -> bytes:
    """A pcapng section header."""
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link: int = RAW, *, options: bytes = b"", snap: int = 0, order: str = "<") -> bytes:
    """A pcapng interface description."""
    return block(1, struct.pack(f"{order}HHI", link, 0, snap) + options, order)


def option(code: int, value: bytes, order: str = "<") -> bytes:
    """A pcapng option."""
    return struct.pack(f"{order}HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def enhanced(ticks: int, packet: bytes, *, which: int = 0, order: str = "<") -> bytes:
    """A pcapng enhanced packet block; ``ticks`` in units of the interface."""
    head = struct.pack(f"{order}IIIII", which, ticks >> 32, ticks & 0xFFFF_FFFF, len(packet), len(packet))
    return block(6, head + packet, order)


def simple(packet: bytes, order: str = "<") -> bytes:
    """A pcapng simple packet block."""
    return block(3, struct.pack(f"{order}I", len(packet)) + packet, order)
