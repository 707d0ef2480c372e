"""What the rules do, in Python: a test holds this against Suricata, pair by pair.

Suricata keeps the time of a bit in whole seconds: one set at t for n seconds is there while floor(now) is at most
floor(t) + n (HostBitIsset in src/host-bit.c).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from portkin.ports import Port
from portkin_rules.generate import port_groups
from portkin_rules.plan import Plan


class Opening(NamedTuple):
    """A packet that opens a connection: a SYN, also a repeated one; a datagram to which no answer has come yet."""

    ts: int
    """Microseconds since 1970."""
    src: Hashable
    dst: Hashable
    port: Port


class Seen(NamedTuple):
    """What the rules make of an opening."""

    blocked: bool
    """Whether a gate takes it."""
    scanner: bool
    """Whether its source is a scanner, by this packet at the latest."""
    condemned: bool
    """Whether its source becomes a scanner by this packet."""


class _Bits:
    """Bits with an end, in whole seconds."""

    def __init__(self) -> None:
        self._ends: dict[Hashable, int] = {}

    def has(self, bit: Hashable, now: int) -> bool:
        return self._ends.get(bit, -1) >= now

    def put(self, bit: Hashable, end: int) -> None:
        self._ends[bit] = end

    def drop(self, bit: Hashable) -> None:
        self._ends.pop(bit, None)


def watch(
    openings: Iterable[Opening], plan: Plan, kin: Mapping[Port, Sequence[Port]]
) -> Iterator[tuple[Opening, Seen]]:
    """What the rules of ``plan`` make of each opening, in order; ``kin`` is what `generate.nearest_protected` gives.

    Bits from outside are not known here: hostbit mode blocks nothing.
    """
    detector, groups = plan.detector, port_groups(kin, plan)
    bits = _Bits()
    steps: dict[Hashable, int] = {}
    for opening in openings:
        now, src, port = opening.ts // 1_000_000, opening.src, opening.port
        blocked = bits.has(("block", src, port), now)
        scanner, condemned = bits.has(("scanner", src), now), False
        if plan.decides and not scanner:
            contacts = [("host", frozenset((src, opening.dst)))]
            if port.proto == "tcp" and groups:
                contacts.append(("port", src, groups.group(port.number)))
            elif port in kin:
                contacts.append(("port", src, port))
            new = [contact for contact in contacts if not bits.has(contact, now)]
            for contact in new:
                bits.put(contact, now + detector.memory)
            if new and not bits.has(("window", src), now):
                bits.put(("window", src), now + detector.seconds)
                steps[src] = 1
            elif new:
                steps[src] += 1
                condemned = steps[src] == detector.count
                if condemned:
                    bits.drop(("window", src))
        if scanner or condemned:
            if condemned or port in kin:
                bits.put(("scanner", src), now + detector.memory)
            for near in kin.get(port, ()):
                bits.put(("block", src, near), now + plan.seconds)
        yield opening, Seen(blocked, scanner or condemned, condemned)
