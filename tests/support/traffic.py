"""Packets of connections and datagrams, at times that a test chooses."""

from __future__ import annotations

import struct
from itertools import count

from support.captures import ACK, BEGIN, FIN, PSH, RST, SYN, ipv4, ipv6, port_unreachable, udp

_SECOND = 1_000_000


class Traffic:
    """The packets of one pattern; times in seconds from its begin."""

    def __init__(self, number: int) -> None:
        self.outside = f"198.18.{number}.1"
        self.packets: list[tuple[int, bytes]] = []
        self._sports = count(20_000)

    def tcp(
        self,
        when: float,
        dst: str,
        port: int,
        how: str = "open",
        *,
        rtt: float = 0.002,
        src: str | None = None,
        sport: int | None = None,
        repeats: tuple[float, ...] = (),
    ) -> None:
        """A connection. ``how`` is what the server does: open, refused, silent. SYNs ``repeats`` seconds after the
        first follow it; an open server answers the last."""
        src, sport = src or self.outside, sport or next(self._sports)
        for later in (0.0, *repeats):
            self._segment(when + later, src, dst, sport, port, SYN, 1000, 0)
        when += max((0.0, *repeats)) + rtt
        if how == "refused":
            self._segment(when, dst, src, port, sport, RST | ACK, 0, 1001)
        elif how == "open":
            self._segment(when, dst, src, port, sport, SYN | ACK, 5000, 1001)
            self._segment(when + rtt, src, dst, sport, port, ACK, 1001, 5001)
            self._segment(when + 1.1 * rtt, src, dst, sport, port, PSH | ACK, 1001, 5001, b"hello")
            self._segment(when + 2 * rtt, dst, src, port, sport, FIN | PSH | ACK, 5001, 1006, b"welcome")
            self._segment(when + 3 * rtt, src, dst, sport, port, FIN | ACK, 1006, 5009)
            self._segment(when + 4 * rtt, dst, src, port, sport, ACK, 5009, 1007)

    def udp(
        self,
        when: float,
        dst: str,
        port: int,
        how: str = "open",
        *,
        rtt: float = 0.002,
        src: str | None = None,
        sport: int | None = None,
        repeats: tuple[float, ...] = (),
    ) -> None:
        """A datagram, and what the other side does: open (answers), refused (ICMP), silent."""
        src, sport = src or self.outside, sport or next(self._sports)
        question = _ip(src, dst, 17, udp(sport, port, b"12345678"))
        for later in (0.0, *repeats):
            self._add(when + later, question)
        if how == "open":
            self._add(when + rtt, _ip(dst, src, 17, udp(port, sport, b"87654321")))
        elif how == "refused":
            self._add(when + rtt, ipv4(dst, src, 1, port_unreachable(question)))

    def _segment(
        self, when: float, src: str, dst: str, sport: int, dport: int, flags: int, seq: int, ack: int, data: bytes = b""
    ) -> None:
        head = struct.pack(">HHIIBBHHH", sport, dport, seq, ack, 0x50, flags, 64_000, 0, 0)
        self._add(when, _ip(src, dst, 6, head + data))

    def _add(self, when: float, packet: bytes) -> None:
        self.packets.append((BEGIN + round(when * _SECOND), packet))


def _ip(src: str, dst: str, proto: int, payload: bytes) -> bytes:
    return (ipv6 if ":" in src else ipv4)(src, dst, proto, payload)


def host(number: int) -> str:
    """An inside host, from 1 to 250."""
    return f"192.0.2.{1 + number % 250}"
