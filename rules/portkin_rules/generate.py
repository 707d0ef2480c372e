"""The rules of a set, from a table and a plan.

A *block* rule per protected port tests the port's bit on the source. The bit is set from outside (``hostbit``), or by
the rules themselves (``autopilot``), which then find scanners on their own:

- *new port* rules, one per group of TCP ports and one per UDP port, match a port that is new for its source;
  `portkin_rules.scanners` has the rules that count such contacts. ``detection_filter`` cannot do this: it holds back a
  rule's alert, but the rule's bits are set at its first match (Suricata 7.0.10 and 8.0.6, DetectRunPostMatch before
  PacketAlertFinalize);
- *prediction* rules, one per port, block a scanner's probed port and its nearest ports.

The order of rules within a packet matters. Suricata orders them by their use of flowbits: first rules that only set one
(new host, new UDP port), then rules that test and set (new TCP port, count), then those without (block, prediction). It
orders the last two by host bits, which both write, then by priority. So a block rule sees the bits as they were before
its packet, and a source that becomes a scanner is blocked from that packet on.

Cost per packet decides how a rule finds its port:

- Rules of one port search the header for the port's two bytes. Suricata searches for those of all rules at once, so
  a packet meets the rules of its own port alone, whatever other rules make of its groups of ports. In TCP headers the
  bytes are looked for at their place. UDP rules name their port besides.
- Above `WIDE` ports the place is left out: with Hyperscan, patterns that are bound to a place take long to compile.
- *New port* rules of TCP test some bits of the port, for which there is no such search. They name a range of ports (see
  `portkin.net.port_groups`), match SYNs only, and are skipped for known scanners (see `portkin_rules.scanners`).

A bit is unset before it is set, because ``xbits:set`` does not extend a bit that is already set (host-bit.c).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from suricataparser.rule import Rule

from portkin.blocking.backends.host_bits import bit_of
from portkin.bundles.table import Table
from portkin.net.port_groups import PortGroups
from portkin.net.ports import PROTOS, Port, service_name
from portkin_rules.packets import FIRST_PACKET, Options, isnotset, isset, mark, put, renew, to_server, writes
from portkin_rules.plan import Plan
from portkin_rules.port_lists import port_lists
from portkin_rules.rule import metadata_date, new_rule
from portkin_rules.scanners import NEW, PEER, SCANNER, UNKNOWN, scanner_rules
from portkin_rules.sids import Sids

ServiceNames = Callable[[Port], str | None]

WIDE = 4096
"""Above this number of ports, UDP rules name any destination port, since Suricata's grouping by port takes time and
memory with the square of the ports; and rules look for the port's bytes anywhere in the header before they test it."""


@dataclass(frozen=True)
class _Match:
    """How the rules of a set match packets to their ports."""

    wide: bool
    groups: PortGroups | None
    """Of TCP ports; None if there are none."""

    def header(self, port: Port) -> str:
        """The part of a rule between its action and its options."""
        return to_server(port.proto, str(port.number) if port.proto == "udp" and not self.wide else "any")

    def first_packet(self, port: Port) -> Options:
        """The first packet of a connection to the port, whose number is the header's second pair of bytes (RFC 9293,
        3.1; RFC 768)."""
        options: Options = [*FIRST_PACKET[port.proto], (f"{port.proto}.hdr", None)]
        options.append(("content", f'"|{port.number >> 8:02x} {port.number & 255:02x}|"'))
        if self.wide:
            options.append(("byte_test", f"2,=,{port.number},2"))
        elif port.proto == "tcp":
            options += [("offset", "2"), ("depth", "2")]
        return options


def blocked_by_probe(table: Table, ports: Iterable[Port], k: int) -> dict[Port, tuple[Port, ...]]:
    """Return what a scanner's probe of each port blocks: the port itself, then those of its ``k`` nearest that are
    among ``ports``, nearest first. In order of protocol and number."""
    protected = set(ports)
    return {
        port: (port, *(near for near in table.nearest(port, k).ports if near in protected))
        for port in sorted(protected, key=lambda port: (port.proto, port.number))
    }


def build_rules(
    plan: Plan,
    table: Table,
    ports: Sequence[Port],
    *,
    sids: Sids,
    today: date,
    names: ServiceNames = service_name,
) -> Iterator[Rule]:
    """Yield the rules that carry out the plan for these ports, from a table that is cut already (`Plan.cut`).

    ``names`` returns the service names for messages.
    """
    metadata = {
        "created_at": metadata_date(today),
        "portkin_table": table.id,
        "portkin_k": plan.k,
        "portkin_mode": plan.mode,
    }
    blocked = blocked_by_probe(table, ports, plan.k)
    match = _Match(len(blocked) > WIDE, PortGroups.of_tcp(blocked, plan.detector.count))
    for port in blocked:
        yield _block(plan, port, match, sids, metadata, names)
    if not plan.finds_scanners:
        return
    for port, near in blocked.items():
        yield _prediction(plan, port, match, near, sids, metadata, names)
    yield from _new_ports(plan, blocked, match, sids, metadata, names)
    for proto in PROTOS:
        numbers = [port.number for port in blocked if port.proto == proto]
        if numbers:
            # A new host counts at any TCP port, but only at protected UDP ports: others need not answer (RTP).
            hosts_at = ["any"] if proto == "tcp" else port_lists(numbers)
            yield from scanner_rules(plan, proto, hosts_at, sids=sids, metadata=metadata)


def _label(port: Port, names: ServiceNames) -> str:
    name = names(port)
    return f"{name} ({port})" if name else str(port)


def _range(span: tuple[int, int]) -> str:
    """A range of ports as Suricata writes it."""
    return f"{span[0]}:{span[1]}"


def _block(
    plan: Plan, port: Port, match: _Match, sids: Sids, metadata: Mapping[str, object], names: ServiceNames
) -> Rule:
    options: Options = [
        *match.first_packet(port),
        isset(bit_of(port, plan.prefix)),
        writes(),
        ("target", "dest_ip"),
        ("classtype", "network-scan"),
    ]
    return new_rule(
        plan.action,
        match.header(port),
        options,
        msg=f"PORTKIN blocked port {_label(port, names)}",
        sid=sids.block(port),
        metadata={**metadata, "portkin_port": port},
    )


def _prediction(
    plan: Plan,
    port: Port,
    match: _Match,
    blocked: Iterable[Port],
    sids: Sids,
    metadata: Mapping[str, object],
    names: ServiceNames,
) -> Rule:
    options: Options = [
        *match.first_packet(port),
        ("priority", "255"),
        isset(SCANNER),
        *(option for near in blocked for option in renew(bit_of(near, plan.prefix), plan.seconds)),
        *renew(SCANNER, plan.detector.memory),
    ]
    return new_rule(
        "alert",
        match.header(port),
        options,
        msg=f"PORTKIN scanner probes {_label(port, names)}",
        sid=sids.prediction(port),
        metadata={**metadata, "portkin_port": port},
        noalert=True,
    )


def _new_ports(
    plan: Plan, ports: Iterable[Port], match: _Match, sids: Sids, metadata: Mapping[str, object], names: ServiceNames
) -> Iterator[Rule]:
    """A rule per group of TCP ports, and per UDP port."""

    def rule(header: str, first: Options, seen: str, what: str, sid: int, more: Mapping[str, object]) -> Rule:
        options = [
            *first,
            isnotset(SCANNER),
            isnotset(seen),
            isnotset(PEER, "ip_pair"),
            put(seen, plan.detector.memory),
            mark(NEW),
        ]
        msg = f"PORTKIN new port for a source {what}"
        return new_rule("alert", header, options, msg=msg, sid=sid, metadata={**metadata, **more}, noalert=True)

    if match.groups:
        mask = (1 << match.groups.bits) - 1
        for number in range(len(match.groups.firsts)):
            span = _range(match.groups.span(number))
            for last in range(mask + 1):
                # The port's lower byte is the header's fourth.
                first: Options = [
                    *FIRST_PACKET["tcp"],
                    ("flowbits", f"isset,{UNKNOWN}"),
                    ("tcp.hdr", None),
                    ("byte_test", f"1,=,{last},3,bitmask {mask:#04x}"),
                ]
                what = f"{span.replace(':', '-')}/tcp, {last} modulo {mask + 1}"
                seen = f"pkseen{number}x{last}"
                yield rule(to_server("tcp", span), first, seen, what, sids.new_port_group(number, last), {})
    for port in ports:
        if port.proto == "udp":
            yield rule(
                match.header(port),
                match.first_packet(port),
                bit_of(port, "pkseen"),
                _label(port, names),
                sids.new_port(port),
                {"portkin_port": port},
            )
