"""The detector in the rules of `portkin rules build`, in Python. A test compares it with Suricata, block by block.

A bit set at t for n seconds exists while now is at most t + n. Suricata 7 compares whole seconds, that is
floor(now) with floor(t) + n; Suricata 8 compares microseconds (HostBitIsset in src/host-bit.c, 7.0.10 and 8.0.6).
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
from portkin_training.ingest.contacts import ANSWERED, CONTACT, REFUSED, Contacts, addresses_of
from portkin_training.twin.judged_contacts import Detected


@dataclass(frozen=True)
class RulesConfig:
    """The options of ``portkin rules build``, with the same names and defaults; intervals in seconds."""

    scan_count: int = 10
    scan_seconds: int = 300
    memory: int = 3600
    seconds: int = 20_000
    whole_seconds: bool = True
    """Whether bits end by whole seconds, as those of Suricata 7 do."""


PATIENCE, UNITS, SIXTEENS = 1, 15, 3
"""Constants of the rules, with the same names: seconds to wait for an answer, bits that count a burst."""


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
    """The server's answer on a connection: a SYN-ACK, or any datagram."""

    ts: int
    """Microseconds since 1970."""
    flow: Hashable


class Refusal(NamedTuple):
    """The server's RST to a SYN."""

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
    """Bits that expire; times in ticks of a second or a microsecond."""

    def __init__(self, *, whole_seconds: bool) -> None:
        self._ends: dict[Hashable, int] = {}
        self._tick = 1_000_000 if whole_seconds else 1

    def now(self, ts: int) -> int:
        return ts // self._tick

    def has(self, bit: Hashable, now: int) -> bool:
        return self._ends.get(bit, -1) >= now

    def put(self, bit: Hashable, now: int, seconds: int) -> None:
        self._ends[bit] = now + seconds * 1_000_000 // self._tick

    def drop(self, bit: Hashable) -> None:
        self._ends.pop(bit, None)


class _Flow:
    """The bits of a connection that was a new contact."""

    def __init__(self, client: Hashable, place: int | None) -> None:
        self.client, self.place, self.asked = client, place, True


class _Counting:
    """What the rules know of the contacts of all sources (see `portkin_rules.scanners`)."""

    def __init__(self, config: RulesConfig, bits: _Bits) -> None:
        self._config, self._bits = config, bits
        self._places = range(config.scan_count - 1)
        self._flows: dict[Hashable, _Flow] = {}

    def contact(self, src: Hashable, flow: Hashable, now: int) -> bool:
        """A new contact. Returns whether it makes its source a scanner."""
        bits = self._bits
        first_half = self._places[: (len(self._places) + 1) // 2]
        failed = all(bits.has(("open", src, place), now) for place in self._places) and not any(
            bits.has(("young", src, place), now) for place in first_half
        )
        if failed or (bits.has(("sixteen", src, SIXTEENS - 1), now) and bits.has(("unit", src, UNITS - 1), now)):
            for place in self._places:
                bits.drop(("open", src, place))
            return True
        taken = self._first_free("open", src, len(self._places), now)
        if taken is not None:
            bits.put(("open", src, taken), now, self._config.scan_seconds)
            bits.put(("young", src, taken), now, PATIENCE)
        elif (unit := self._first_free("unit", src, UNITS, now)) is not None:
            bits.put(("unit", src, unit), now, PATIENCE)
        elif (sixteen := self._first_free("sixteen", src, SIXTEENS, now)) is not None:
            self._drop_all("unit", src, UNITS)
            bits.put(("sixteen", src, sixteen), now, PATIENCE)
        if flow is not None:
            self._flows[flow] = _Flow(src, taken)
        return False

    def answer(self, flow: Hashable, now: int) -> None:
        """The answer frees the contact's place, forgives one that failed, and ends a burst."""
        known = self._flows.get(flow)
        if known is None:
            return
        bits, src, place = self._bits, known.client, known.place
        if place is not None and bits.has(("open", src, place), now):
            known.place = None
            bits.drop(("open", src, place))
            bits.drop(("young", src, place))
            forgiven = next((other for other in self._places if self._failed(src, other, now)), None)
            if forgiven is not None:
                bits.drop(("open", src, forgiven))
        if known.asked:
            known.asked = False
            self._drop_all("unit", src, UNITS)
            self._drop_all("sixteen", src, SIXTEENS)

    def refusal(self, flow: Hashable) -> None:
        """The refused contact has failed."""
        known = self._flows.get(flow)
        if known is not None and known.place is not None:
            self._bits.drop(("young", known.client, known.place))
            known.place = None

    def _failed(self, src: Hashable, place: int, now: int) -> bool:
        return self._bits.has(("open", src, place), now) and not self._bits.has(("young", src, place), now)

    def _first_free(self, kind: str, src: Hashable, count: int, now: int) -> int | None:
        return next((number for number in range(count) if not self._bits.has((kind, src, number), now)), None)

    def _drop_all(self, kind: str, src: Hashable, count: int) -> None:
        for number in range(count):
            self._bits.drop((kind, src, number))


def watch(
    packets: Iterable[Opening | Answer | Refusal],
    blocked_by_probe: Mapping[Port, Sequence[Port]],
    config: RulesConfig = RulesConfig(),
) -> Iterator[tuple[Opening, Verdict]]:
    """Yield what the rules make of each opening, in order.

    ``blocked_by_probe`` gives for each protected port what a scanner's probe of it blocks: in the rules the port itself
    and those of its nearest that reach the plan's cut-off (`Plan.cut` of `portkin_rules.plan`). Bits that are set from
    outside are unknown here, and all networks are at home and outside, so nobody is a peer.
    """
    groups = PortGroups.of_tcp(blocked_by_probe, config.scan_count)
    protos = {port.proto for port in blocked_by_probe}
    bits = _Bits(whole_seconds=config.whole_seconds)
    counting = _Counting(config, bits)
    for packet in packets:
        now = bits.now(packet.ts)
        if isinstance(packet, Answer):
            counting.answer(packet.flow, now)
            continue
        if isinstance(packet, Refusal):
            counting.refusal(packet.flow)
            continue
        src, port = packet.src, packet.port
        blocked = bits.has(("block", src, port), now)
        scanner, new_scanner = bits.has(("scanner", src), now), False
        if not scanner and port.proto in protos:
            contacts: list[tuple[Hashable, ...]] = []
            if groups is not None and port.proto == "tcp":
                contacts += [("host", frozenset((src, packet.dst))), ("port", src, groups.group(port.number))]
            elif port in blocked_by_probe:
                contacts += [("host", frozenset((src, packet.dst))), ("port", src, port)]
            new = [contact for contact in contacts if not bits.has(contact, now)]
            for contact in new:
                bits.put(contact, now, config.memory)
            new_scanner = bool(new) and counting.contact(src, packet.flow, now)
        if scanner or new_scanner:
            if new_scanner or port in blocked_by_probe:
                bits.put(("scanner", src), now, config.memory)
            for near in blocked_by_probe.get(port, ()):
                bits.put(("block", src, near), now, config.seconds)
        yield packet, Verdict(blocked, scanner or new_scanner, new_scanner)


def ports_of_table(table: Table) -> list[Port]:
    """All ports of a table."""
    return [Port(int(number), proto) for proto in PROTOS if proto in table.rows for number in table.rows[proto].ports]


def detect_by_rules(contacts: Contacts, ports: Iterable[Port], config: RulesConfig = RulesConfig()) -> Detected:
    """Return the contacts with the verdict of rules that protect these ports.

    The rules act on a scanner's probe of such a port, from the contact on that makes the source a scanner. Where a
    capture lacks the server's packets, a client's first ACK is an answer here (see `contacts`), but not for Suricata.
    """
    protected: dict[Port, tuple[Port, ...]] = dict.fromkeys(ports, ())
    openings = np.flatnonzero(contacts.kind == CONTACT)
    found = [
        (verdict.scanner, verdict.scanner and opening.port in protected)
        for opening, verdict in watch(_packets(contacts), protected, config)
    ]
    probe, acted = np.zeros(len(contacts), bool), np.zeros(len(contacts), bool)
    probe[openings], acted[openings] = np.array(found, bool).reshape(-1, 2).T
    return Detected(contacts, probe, acted, np.empty((0, 3), np.int64))


def _packets(contacts: Contacts) -> Iterator[Opening | Answer | Refusal]:
    """The openings, answers and refusals among the contacts; an ICMP unreachable is none in the rules."""
    columns = (contacts.kind, contacts.ts, contacts.sport, contacts.dport, contacts.proto)
    for kind, ts, sport, dport, proto, src, dst in zip(
        *(column.tolist() for column in columns),
        addresses_of(contacts.src),
        addresses_of(contacts.dst),
        strict=True,
    ):
        flow = (src, sport, dst, dport, proto)
        if kind == ANSWERED:
            yield Answer(ts, flow)
        elif kind == REFUSED:
            if proto == TCP:
                yield Refusal(ts, flow)
        else:
            yield Opening(ts, src, dst, Port(dport, "tcp" if proto == TCP else "udp"), flow)
