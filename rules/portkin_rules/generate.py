"""The rules of a set, from a table and a plan.

A *block* rule per protected port tests the port's bit on the source. The bit is set from outside (``hostbit``), or by
the rules themselves (``autopilot``), which then find scanners on their own:

- *new port* rules, one per group of TCP ports and one per UDP port, and the *new host* rule match a contact that is new
  for its source, and set the flowbit ``pknew``;
- *count* rules consume ``pknew`` and advance the source's counter by one. At the last count the source is a scanner
  (see `Detector`). ``detection_filter`` cannot do this: it holds back a rule's alert, but the rule's bits are set at
  its first match (Suricata 7.0.10 and 8.0.6, DetectRunPostMatch before PacketAlertFinalize);
- *answer* rules match the first answer to a contact that was counted, and take the counter back by one. So what counts
  is contacts without an answer;
- the *busy* rule marks the flow of a scanner; *prediction* rules, one per port, block a scanner's probed port and its
  nearest ports.

The order of rules within a packet matters. Suricata orders them by their use of flowbits: first rules that only set one
(block, new port, new host, busy), then rules that test and set (count, answer), then rules that only test (prediction).
So a block rule sees the bits as they were before its packet, and a source that becomes a scanner is blocked from that
packet on.

Cost per packet decides how a rule finds its port:

- TCP rules match packets with SYN only. Suricata skips such rules for other packets, provided that they have no
  content to search for. So they have none: they name a range of ports (see `portkin.net.port_groups`) and test the
  header. A rule that tests a flowbit is skipped where a flow has none, so the many prediction rules cost next to
  nothing.
- UDP has no SYN. Its rules also search for the port's two bytes in the header. That adds nothing to the destination
  port, but Suricata searches for the content of all rules at once, and would otherwise try rule after rule for every
  datagram.
- A SYN meets all rules of its range, so above `WIDE` ports TCP rules search as those of UDP do.

A bit is unset before it is set, because ``xbits:set`` does not extend a bit that is already set (host-bit.c).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from suricataparser.rule import Rule

from portkin.blocking.backends.host_bits import bit_of
from portkin.bundles.table import Table
from portkin.net.port_groups import PortGroups
from portkin.net.ports import PROTOS, Port, Proto, service_name
from portkin_rules.plan import Plan
from portkin_rules.rule import metadata_date, new_rule
from portkin_rules.sids import Sids

Options = list[tuple[str, str | None]]
ServiceNames = Callable[[Port], str | None]

FIRST_PACKET: Mapping[Proto, Options] = {
    "tcp": [("flow", "to_server"), ("flags", "S,12")],
    "udp": [("flow", "to_server,not_established")],
}
"""The first packet of a connection: a SYN whatever its ECN bits, a datagram before any answer."""

ANSWER: Mapping[Proto, Options] = {
    "tcp": [("flow", "to_client"), ("flags", "SA,12")],
    "udp": [("flow", "to_client")],
}
"""An answer to it: a SYN-ACK whatever its ECN bits, any datagram of the server."""

WIDE = 4096
"""Above this number of ports, rules name any destination port and find theirs in the header only. Suricata's grouping
by port takes time and memory with the square of the ports: for 65,535 of them twice the time and four times the
memory."""

SCANNER, WINDOW, HOST = "pkscanner", "pkwindow", "pkhost"
NEW, COUNTED, BLOCKED, BUSY = "pknew", "pkcounted", "pkblocked", "pkbusy"


@dataclass(frozen=True)
class _Match:
    """How the rules of a set match packets to their ports."""

    wide: bool
    groups: PortGroups | None
    """Of TCP ports; None if there are none."""

    def header(self, port: Port) -> str:
        """The part of a rule between its action and its options."""
        if self.wide:
            return _to_server(port.proto)
        if self.groups is not None and port.proto == "tcp":
            return _to_server("tcp", _range(self.groups.span(self.groups.number(port.number))))
        return _to_server(port.proto, str(port.number))

    def first_packet(self, port: Port) -> Options:
        """The first packet of a connection to the port, whose number is the header's second pair of bytes (RFC 9293,
        3.1; RFC 768)."""
        options: Options = [*FIRST_PACKET[port.proto], (f"{port.proto}.hdr", None)]
        if self.wide or port.proto == "udp":
            options.append(("content", f'"|{port.number >> 8:02x} {port.number & 255:02x}|"'))
        if self.wide or port.proto == "tcp":
            options.append(("byte_test", f"2,=,{port.number},2"))
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
    """Yield the rules that carry out the plan for these ports; ``names`` returns the service names for messages."""
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
        if any(port.proto == proto for port in blocked):
            yield from _counting(plan, proto, sids, metadata)


def _label(port: Port, names: ServiceNames) -> str:
    name = names(port)
    return f"{name} ({port})" if name else str(port)


def _to_server(proto: Proto, ports: str = "any") -> str:
    return f"{proto} $EXTERNAL_NET any -> $HOME_NET {ports}"


def _to_client(proto: Proto) -> str:
    return f"{proto} $HOME_NET any -> $EXTERNAL_NET any"


def _range(span: tuple[int, int]) -> str:
    """A range of ports as Suricata writes it."""
    return f"{span[0]}:{span[1]}"


def _isset(bit: str, track: str = "ip_src") -> tuple[str, str]:
    return ("xbits", f"isset,{bit},track {track}")


def _isnotset(bit: str, track: str = "ip_src") -> tuple[str, str]:
    return ("xbits", f"isnotset,{bit},track {track}")


def _unset(bit: str, track: str = "ip_src") -> tuple[str, str]:
    return ("xbits", f"unset,{bit},track {track}")


def _set(bit: str, seconds: int, track: str = "ip_src") -> tuple[str, str]:
    return ("xbits", f"set,{bit},track {track},expire {seconds}")


def _renew(bit: str, seconds: int, track: str = "ip_src") -> Options:
    return [_unset(bit, track), _set(bit, seconds, track)]


def _block(
    plan: Plan, port: Port, match: _Match, sids: Sids, metadata: Mapping[str, object], names: ServiceNames
) -> Rule:
    options: Options = [
        *match.first_packet(port),
        _isset(bit_of(port, plan.prefix)),
        ("flowbits", f"set,{BLOCKED}"),
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
        ("flowbits", f"isset,{BUSY}"),
        _isset(SCANNER),
        *(option for near in blocked for option in _renew(bit_of(near, plan.prefix), plan.seconds)),
        *_renew(SCANNER, plan.detector.memory),
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
            _isnotset(SCANNER),
            _isnotset(seen),
            _set(seen, plan.detector.memory),
            ("flowbits", f"set,{NEW}"),
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
                    ("tcp.hdr", None),
                    ("byte_test", f"1,=,{last},3,bitmask {mask:#04x}"),
                ]
                what = f"{span.replace(':', '-')}/tcp, {last} modulo {mask + 1}"
                seen = f"pkseen{number}x{last}"
                yield rule(_to_server("tcp", span), first, seen, what, sids.new_port_group(number, last), {})
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


def _counting(plan: Plan, proto: Proto, sids: Sids, metadata: Mapping[str, object]) -> Iterator[Rule]:
    """The rules that find new hosts and scanners, count contacts, and take back those that are answered."""
    for number, (msg, options, alerts) in enumerate(_counts(plan)):
        yield new_rule(
            "alert",
            _to_server(proto),
            [*FIRST_PACKET[proto], *options],
            msg=msg,
            sid=sids.count(number, proto),
            metadata=metadata,
            noalert=not alerts,
        )
    for number, (msg, options) in enumerate(_answers(plan)):
        yield new_rule(
            "alert",
            _to_client(proto),
            [*ANSWER[proto], *options],
            msg=msg,
            sid=sids.answer(number, proto),
            metadata=metadata,
            noalert=True,
        )


def _counters(plan: Plan) -> list[str]:
    """The bits that hold a source's count: one for each value below that of a scanner."""
    return [f"pkstep{number}" for number in range(1, plan.detector.count)]


def _counts(plan: Plan) -> Iterator[tuple[str, Options, bool]]:
    """Message, options and whether it alerts, of the rules for the first packets of connections."""
    count, seconds, memory = plan.detector.count, plan.detector.seconds, plan.detector.memory
    counters = _counters(plan)
    consume: Options = [("flowbits", f"isset,{NEW}"), ("flowbits", f"unset,{NEW}")]
    counted = ("flowbits", f"set,{COUNTED}")
    yield (
        "PORTKIN new host for a source",
        [
            _isnotset(SCANNER),
            _isnotset(HOST, "ip_pair"),
            _set(HOST, memory, "ip_pair"),
            ("flowbits", f"set,{NEW}"),
        ],
        False,
    )
    clear = [_unset(counter) for counter in counters]
    yield (
        "PORTKIN new contact 1",
        [*consume, _isnotset(WINDOW), *clear, *_renew(WINDOW, seconds), *_renew(counters[0], seconds), counted],
        False,
    )
    for number, (here, there) in enumerate(pairwise(counters), start=2):
        yield (
            f"PORTKIN new contact {number}",
            [*consume, _isset(WINDOW), _isset(here), _unset(here), *_renew(there, seconds), counted],
            False,
        )
    yield (
        f"PORTKIN scanner after {count} new contacts without an answer within {seconds} s",
        [
            *consume,
            _isset(WINDOW),
            _isset(counters[-1]),
            _unset(WINDOW),
            *clear,
            *_renew(SCANNER, memory),
            ("flowbits", f"set,{BUSY}"),
            ("target", "dest_ip"),
            ("classtype", "attempted-recon"),
        ],
        True,
    )
    yield "PORTKIN packet of a scanner", [_isset(SCANNER), ("flowbits", f"set,{BUSY}")], False


def _answers(plan: Plan) -> Iterator[tuple[str, Options]]:
    """Message and options of the rules for answers; the source that is counted is their destination."""
    counters = _counters(plan)
    consume: Options = [
        ("flowbits", f"isset,{COUNTED}"),
        ("flowbits", f"unset,{COUNTED}"),
        _isset(WINDOW, "ip_dst"),
    ]
    last: Options = [_unset(WINDOW, "ip_dst")]
    fewer: list[Options] = [_renew(counter, plan.detector.seconds, "ip_dst") for counter in counters[:-1]]
    for number, (here, then) in enumerate(zip(counters, [last, *fewer], strict=True), start=1):
        yield (
            f"PORTKIN answered contact, {number - 1} left",
            [*consume, _isset(here, "ip_dst"), _unset(here, "ip_dst"), *then],
        )
