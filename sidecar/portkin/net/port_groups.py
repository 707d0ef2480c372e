"""Ranges of ports: Suricata finds the rules for new ports by them, and counts a source's distinct ports by them.

The rules are built with them, and the replay of the rules' detector counts with them: both must be the same.

Suricata keeps at most 25 groups of ports (``detect.profile: medium``, the default) and puts all other ports into one
more, whose rules are tried on a SYN one after the other. Rules that each name a single port nearly all end up there. So
they name one of 24 ranges that hold equally many of the ports, and look for the port in the header.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from portkin.net.ports import PORTS, Port

RANGES = 24
"""One less than the groups that Suricata keeps, for what other rules name."""


@dataclass(frozen=True)
class PortGroups:
    """Ranges of TCP ports, and groups within them: ports of a range whose last ``bits`` bits agree."""

    firsts: tuple[int, ...]
    """The first port of each range, in order; the first range begins with 0."""
    bits: int

    @classmethod
    def of(cls, numbers: Iterable[int], count: int) -> PortGroups:
        """Ranges with equally many of these ports, and in each at least ``count`` groups and one.

        A scan of ports in a row thus touches ``count`` groups, whatever the range.

        >>> groups = PortGroups.of([22, 80, 443, 8080], count=3)
        >>> groups.firsts, groups.span(1), groups.group(443)
        ((0, 80, 443, 8080), (80, 442), (2, 3))
        """
        ordered = sorted(set(numbers))
        ranges = min(RANGES, len(ordered))
        cuts = [ordered[at * len(ordered) // ranges] for at in range(1, ranges)]
        return cls((0, *cuts), count.bit_length())

    @classmethod
    def of_tcp(cls, ports: Iterable[Port], count: int) -> PortGroups | None:
        """The ranges and groups of the TCP ports among these; None if there are none."""
        numbers = [port.number for port in ports if port.proto == "tcp"]
        return cls.of(numbers, count) if numbers else None

    def number(self, port: int) -> int:
        """Of the range that holds the port, from 0."""
        return bisect_right(self.firsts, port) - 1

    def span(self, number: int) -> tuple[int, int]:
        """The first and the last port of a range."""
        last = self.firsts[number + 1] if number + 1 < len(self.firsts) else PORTS
        return self.firsts[number], last - 1

    def group(self, port: int) -> tuple[int, int]:
        """Of the port: its range, and the last bits of its number."""
        return self.number(port), port & (1 << self.bits) - 1
