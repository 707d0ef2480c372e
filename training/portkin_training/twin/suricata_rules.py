"""The detector in the rules of `portkin rules build`, in Python: a test holds it against Suricata, pair by pair.

Suricata keeps the time of a bit in whole seconds: one set at t for n seconds is there while floor(now) is at most
floor(t) + n (HostBitIsset in src/host-bit.c).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from portkin.bundles.table import Table
from portkin.net.port_groups import tcp_groups
from portkin.net.ports import PROTOS, Port
from portkin_training.core.protocols import port_of
from portkin_training.ingest.contacts import CONTACT, Contacts, addresses_of
from portkin_training.twin.detection import Detected


@dataclass(frozen=True)
class RulesConfig:
    """The options of ``portkin rules build``, by the same names and defaults; intervals in seconds."""

    scan_count: int = 10
    scan_seconds: int = 300
    memory: int = 3600
    seconds: int = 20_000


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
    openings: Iterable[Opening], kin: Mapping[Port, Sequence[Port]], config: RulesConfig = RulesConfig()
) -> Iterator[tuple[Opening, Seen]]:
    """What the rules make of each opening, in order.

    ``kin`` says for each protected port what a scanner's probe of it blocks, in the rules itself and its nearest.
    Bits that are set from outside are not known here.
    """
    groups = tcp_groups(kin, config.scan_count)
    protos = {port.proto for port in kin}
    bits = _Bits()
    steps: dict[Hashable, int] = {}
    for opening in openings:
        now, src, port = opening.ts // 1_000_000, opening.src, opening.port
        blocked = bits.has(("block", src, port), now)
        scanner, condemned = bits.has(("scanner", src), now), False
        if not scanner and port.proto in protos:
            contacts: list[tuple[Hashable, ...]] = [("host", frozenset((src, opening.dst)))]
            if port.proto == "tcp":
                contacts.append(("port", src, groups.group(port.number)))
            elif port in kin:
                contacts.append(("port", src, port))
            new = [contact for contact in contacts if not bits.has(contact, now)]
            for contact in new:
                bits.put(contact, now + config.memory)
            if new and not bits.has(("window", src), now):
                bits.put(("window", src), now + config.scan_seconds)
                steps[src] = 1
            elif new:
                steps[src] += 1
                condemned = steps[src] == config.scan_count
                if condemned:
                    bits.drop(("window", src))
        if scanner or condemned:
            if condemned or port in kin:
                bits.put(("scanner", src), now + config.memory)
            for near in kin.get(port, ()):
                bits.put(("block", src, near), now + config.seconds)
        yield opening, Seen(blocked, scanner or condemned, condemned)


def detect_by_rules(contacts: Contacts, table: Table, config: RulesConfig = RulesConfig()) -> Detected:
    """Contacts with the verdict of rules that protect every port of the table. They act on a scanner's probe of such a
    port, from the contact on by which it is known as one."""
    kin = {
        Port(int(number), proto): () for proto in PROTOS if proto in table.rows for number in table.rows[proto].ports
    }
    rows = np.flatnonzero(contacts.kind == CONTACT)
    columns = (contacts.ts[rows], contacts.dport[rows], contacts.proto[rows])
    openings = (
        Opening(ts, src, dst, port_of(dport, proto))
        for ts, dport, proto, src, dst in zip(
            *(column.tolist() for column in columns),
            addresses_of(contacts.src[rows]),
            addresses_of(contacts.dst[rows]),
            strict=True,
        )
    )
    found = [(seen.scanner, seen.scanner and opening.port in kin) for opening, seen in watch(openings, kin, config)]
    probe, acted = np.zeros(len(contacts), bool), np.zeros(len(contacts), bool)
    probe[rows], acted[rows] = np.array(found, bool).reshape(-1, 2).T
    return Detected(contacts, probe, acted, np.empty((0, 3), np.int64))
