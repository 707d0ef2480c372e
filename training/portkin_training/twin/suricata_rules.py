"""The detector in the rules of `portkin rules build`, in Python. A test compares it with Suricata, block by block.

Suricata keeps the expiry of a bit in whole seconds: one set at t for n seconds exists while floor(now) is at most
floor(t) + n (HostBitIsset in src/host-bit.c).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from portkin.bundles.table import Table
from portkin.net.port_groups import PortGroups
from portkin.net.ports import PROTOS, Port
from portkin_training.core.protocols import TCP
from portkin_training.ingest.contacts import ANSWERED, CONTACT, Contacts, addresses_of
from portkin_training.twin.detection import Detected


@dataclass(frozen=True)
class RulesConfig:
    """The options of ``portkin rules build``, with the same names and defaults; intervals in seconds."""

    scan_count: int = 10
    scan_seconds: int = 300
    memory: int = 3600
    seconds: int = 20_000


class Opening(NamedTuple):
    """The first packet of a connection: a SYN, also a repeated one; a datagram without an answer yet."""

    ts: int
    """Microseconds since 1970."""
    src: Hashable
    dst: Hashable
    port: Port
    flow: Hashable = None
    """The connection; None if it is never answered."""


class Answer(NamedTuple):
    """The server's answer on a connection: a SYN-ACK, or a datagram."""

    ts: int
    """Microseconds since 1970."""
    flow: Hashable


class Verdict(NamedTuple):
    """What the rules make of an opening."""

    blocked: bool
    """Whether a block rule matches."""
    scanner: bool
    """Whether its source is a scanner, at the latest by this packet."""
    new_scanner: bool
    """Whether its source becomes a scanner by this packet."""


class _Bits:
    """Bits that expire, in whole seconds."""

    def __init__(self) -> None:
        self._ends: dict[Hashable, int] = {}

    def has(self, bit: Hashable, now: int) -> bool:
        return self._ends.get(bit, -1) >= now

    def put(self, bit: Hashable, end: int) -> None:
        self._ends[bit] = end

    def drop(self, bit: Hashable) -> None:
        self._ends.pop(bit, None)


def watch(
    packets: Iterable[Opening | Answer],
    blocked_by_probe: Mapping[Port, Sequence[Port]],
    config: RulesConfig = RulesConfig(),
) -> Iterator[tuple[Opening, Verdict]]:
    """Yield what the rules make of each opening, in order.

    ``blocked_by_probe`` gives for each protected port what a scanner's probe of it blocks: in the rules the port itself
    and its nearest. Bits that are set from outside are unknown here.
    """
    groups = PortGroups.of_tcp(blocked_by_probe, config.scan_count)
    protos = {port.proto for port in blocked_by_probe}
    bits = _Bits()
    counts: dict[Hashable, int] = {}
    counted: dict[Hashable, Hashable] = {}
    """The source of each flow whose contact counts."""
    for packet in packets:
        now = packet.ts // 1_000_000
        if isinstance(packet, Answer):
            client = counted.pop(packet.flow, None)
            if client is not None and bits.has(("window", client), now):
                counts[client] -= 1
                if not counts[client]:
                    bits.drop(("window", client))
            continue
        src, port = packet.src, packet.port
        blocked = bits.has(("block", src, port), now)
        scanner, new_scanner = bits.has(("scanner", src), now), False
        if not scanner and port.proto in protos:
            contacts: list[tuple[Hashable, ...]] = [("host", frozenset((src, packet.dst)))]
            if groups is not None and port.proto == "tcp":
                contacts.append(("port", src, groups.group(port.number)))
            elif port in blocked_by_probe:
                contacts.append(("port", src, port))
            new = [contact for contact in contacts if not bits.has(contact, now)]
            for contact in new:
                bits.put(contact, now + config.memory)
            if new:
                if not bits.has(("window", src), now):
                    bits.put(("window", src), now + config.scan_seconds)
                    counts[src] = 0
                counts[src] += 1
                new_scanner = counts[src] == config.scan_count
                if new_scanner:
                    bits.drop(("window", src))
                elif packet.flow is not None:
                    counted[packet.flow] = src
        if scanner or new_scanner:
            if new_scanner or port in blocked_by_probe:
                bits.put(("scanner", src), now + config.memory)
            for near in blocked_by_probe.get(port, ()):
                bits.put(("block", src, near), now + config.seconds)
        yield packet, Verdict(blocked, scanner or new_scanner, new_scanner)


def detect_by_rules(contacts: Contacts, table: Table, config: RulesConfig = RulesConfig()) -> Detected:
    """Return the contacts with the verdict of rules that protect every port of the table.

    The rules act on a scanner's probe of such a port, from the contact on that makes the source a scanner. Where a
    capture lacks the server's packets, a client's first ACK is an answer here (see `contacts`), but not for Suricata.
    """
    protected = {
        Port(int(number), proto): () for proto in PROTOS if proto in table.rows for number in table.rows[proto].ports
    }
    rows = np.flatnonzero((contacts.kind == CONTACT) | (contacts.kind == ANSWERED))
    openings = rows[contacts.kind[rows] == CONTACT]
    found = [
        (verdict.scanner, verdict.scanner and opening.port in protected)
        for opening, verdict in watch(_packets(contacts, rows), protected, config)
    ]
    probe, acted = np.zeros(len(contacts), bool), np.zeros(len(contacts), bool)
    probe[openings], acted[openings] = np.array(found, bool).reshape(-1, 2).T
    return Detected(contacts, probe, acted, np.empty((0, 3), np.int64))


def _packets(contacts: Contacts, rows: np.ndarray) -> Iterator[Opening | Answer]:
    """The openings and answers in these rows of the contacts."""
    columns = (contacts.kind, contacts.ts, contacts.sport, contacts.dport, contacts.proto)
    for kind, ts, sport, dport, proto, src, dst in zip(
        *(column[rows].tolist() for column in columns),
        addresses_of(contacts.src[rows]),
        addresses_of(contacts.dst[rows]),
        strict=True,
    ):
        flow = (src, sport, dst, dport, proto)
        if kind == ANSWERED:
            yield Answer(ts, flow)
        else:
            yield Opening(ts, src, dst, Port(dport, "tcp" if proto == TCP else "udp"), flow)
