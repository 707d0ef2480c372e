"""The rules of a set, out of a table and a plan.

A *gate* per protected port looks for the port's bit on the source. Bits are set from outside (``hostbit``), or by the
rules themselves (``autopilot``), which then know scanners without anybody's help:

- *fresh*, per group of TCP ports and per UDP port, and *host* notice a contact that is new for its source, and put the
  token ``pknew`` on its flow;
- *steps* take the token and walk on by one, up to the last step, at which the source is a scanner (see `Detector`).
  ``detection_filter`` cannot do this: it holds back the alert of a rule, but the bits of the rule are set at its
  first match (Suricata 7.0.10 and 8.0.6, DetectRunPostMatch before PacketAlertFinalize);
- *busy* marks the flow of a source that is a scanner; *kin*, per port, blocks the probed port of a scanner and its
  nearest ones.

The order of rules within a packet matters, and Suricata orders them by what they do with flowbits: first those that
only set one (gate, fresh, host, busy), then those that test and set (steps), then those that only test (kin). So a gate
always sees the bits as they were before its packet, and a source that becomes a scanner is blocked from that packet on.

What a packet costs decides how a rule finds its port:

- TCP rules hold for SYNs alone, and Suricata does not even look at such rules for other packets, as long as they hold
  no content to search for. So they hold none: they name a range of ports (see `portkin.net.port_groups`) and test the
  header. A rule that tests a flowbit is passed over where a flow has none; so the many kin rules cost next to nothing.
- UDP has no SYN. Its rules look for the port's two bytes in the header as well. That says nothing that the destination
  port does not say; but it is what Suricata searches for in all rules at once, where it would else try them one after
  the other, for every datagram.
- A SYN meets all rules of its range, so from `WIDE` ports on TCP rules search like those of UDP.

A bit is unset before it is set, because ``xbits:set`` leaves the time of a bit that is there as it is (host-bit.c).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from suricataparser.rule import Rule

from portkin.blocking.backends.host_bits import bit_of
from portkin.bundles.table import Table
from portkin.net.port_groups import PortGroups, tcp_groups
from portkin.net.ports import PROTOS, Port, Proto, service_name
from portkin_rules.plan import Plan
from portkin_rules.rule import day, make
from portkin_rules.sids import Sids

Options = list[tuple[str, str | None]]

# The first packet of a connection: a SYN whatever its ECN bits, a datagram before any answer.
FIRST: Mapping[Proto, Options] = {
    "tcp": [("flow", "to_server"), ("flags", "S,12")],
    "udp": [("flow", "to_server,not_established")],
}


WIDE = 4096
"""With more ports than this, rules name any destination port and tell theirs by the header alone. Suricata's grouping
by port takes time and memory with the square of the ports: 65,535 of them twice the time and four times the memory."""


@dataclass(frozen=True)
class _Where:
    """How rules find their ports."""

    wide: bool
    groups: PortGroups | None
    """Of TCP ports; None where there are none."""

    def header(self, port: Port) -> str:
        """What stands before the options."""
        if self.wide:
            return _header(port.proto)
        return _header(port.proto, self.span(self.groups.number(port.number)) if port.proto == "tcp" else port.number)

    def span(self, number: int) -> str:
        """A range of TCP ports as Suricata writes it."""
        return "{}:{}".format(*self.groups.span(number))

    def first(self, port: Port) -> Options:
        """The first packet of a connection to the port, whose number is the header's second pair of bytes (RFC 9293,
        3.1; RFC 768)."""
        options: Options = [*FIRST[port.proto], (f"{port.proto}.hdr", None)]
        if self.wide or port.proto == "udp":
            options.append(("content", f'"|{port.number >> 8:02x} {port.number & 255:02x}|"'))
        if self.wide or port.proto == "tcp":
            options.append(("byte_test", f"2,=,{port.number},2"))
        return options


SCANNER, WINDOW, HOST = "pkscanner", "pkwindow", "pkhost"
TOKEN, BLOCKED, BUSY = "pknew", "pkblocked", "pkbusy"


def nearest_protected(table: Table, ports: Iterable[Port], k: int) -> dict[Port, tuple[Port, ...]]:
    """For each port what a scanner's probe of it blocks: the port itself and those of its ``k`` nearest that are
    among ``ports``."""
    protected = set(ports)
    return {
        port: (port, *(near for near in table.nearest(port, k).ports if near in protected))
        for port in sorted(protected, key=lambda port: (port.proto, port.number))
    }


def build(
    plan: Plan,
    table: Table,
    ports: Sequence[Port],
    *,
    sids: Sids,
    today: date,
    names: Callable[[Port], str | None] = service_name,
) -> Iterator[Rule]:
    """The rules that carry out the plan for these ports; ``names`` gives the services their names in messages."""
    books = {"created_at": day(today), "portkin_table": table.id, "portkin_k": plan.k, "portkin_mode": plan.mode}
    kin = nearest_protected(table, ports, plan.k)
    where = _Where(len(kin) > WIDE, tcp_groups(kin, plan.detector.count))
    for port in kin:
        yield _gate(plan, port, where, sids, books, names)
    if not plan.decides:
        return
    for port, blocked in kin.items():
        yield _kin(plan, port, where, blocked, sids, books, names)
    yield from _fresh(plan, kin, where, sids, books, names)
    for proto in PROTOS:
        if any(port.proto == proto for port in kin):
            for number, (msg, options, alerts) in enumerate(_steps(plan, proto)):
                yield make(
                    "alert",
                    _header(proto),
                    [*FIRST[proto], *options],
                    msg=msg,
                    sid=sids.step(number, proto),
                    metadata=books,
                    noalert=not alerts,
                )


def _label(port: Port, names: Callable[[Port], str | None]) -> str:
    name = names(port)
    return f"{name} ({port})" if name else str(port)


def _header(proto: Proto, port: int | str = "any") -> str:
    return f"{proto} $EXTERNAL_NET any -> $HOME_NET {port}"


def _put(bit: str, seconds: int, track: str = "ip_src") -> Options:
    return [("xbits", f"unset,{bit},track {track}"), ("xbits", f"set,{bit},track {track},expire {seconds}")]


def _has(bit: str) -> tuple[str, str]:
    return ("xbits", f"isset,{bit},track ip_src")


def _lacks(bit: str, track: str = "ip_src") -> tuple[str, str]:
    return ("xbits", f"isnotset,{bit},track {track}")


def _gate(plan, port, where, sids, books, names) -> Rule:
    options = [
        *where.first(port),
        _has(bit_of(port, plan.prefix)),
        ("flowbits", f"set,{BLOCKED}"),
        ("target", "dest_ip"),
        ("classtype", "network-scan"),
    ]
    return make(
        plan.action,
        where.header(port),
        options,
        msg=f"PORTKIN blocked port {_label(port, names)}",
        sid=sids.gate(port),
        metadata={**books, "portkin_port": port},
    )


def _kin(plan, port, where, blocked, sids, books, names) -> Rule:
    puts = [option for near in blocked for option in _put(bit_of(near, plan.prefix), plan.seconds)]
    options = [
        *where.first(port),
        ("flowbits", f"isset,{BUSY}"),
        _has(SCANNER),
        *puts,
        *_put(SCANNER, plan.detector.memory),
    ]
    return make(
        "alert",
        where.header(port),
        options,
        msg=f"PORTKIN scanner probes {_label(port, names)}",
        sid=sids.kin(port),
        metadata={**books, "portkin_port": port},
        noalert=True,
    )


def _fresh(plan, ports, where, sids, books, names) -> Iterator[Rule]:
    """A rule per group of TCP ports, and per UDP port."""

    def rule(header: str, first: Options, seen: str, what: str, sid: int, more: Mapping[str, object]) -> Rule:
        put = ("xbits", f"set,{seen},track ip_src,expire {plan.detector.memory}")
        options = [*first, _lacks(SCANNER), _lacks(seen), put, ("flowbits", f"set,{TOKEN}")]
        msg = f"PORTKIN new port for a source {what}"
        return make("alert", header, options, msg=msg, sid=sid, metadata={**books, **more}, noalert=True)

    if where.groups:
        mask = (1 << where.groups.bits) - 1
        for number in range(len(where.groups.firsts)):
            for last in range(mask + 1):
                # The port's lower byte is the header's fourth.
                first = [*FIRST["tcp"], ("tcp.hdr", None), ("byte_test", f"1,=,{last},3,bitmask {mask:#04x}")]
                span = where.span(number)
                what = f"{span.replace(':', '-')}/tcp, {last} modulo {mask + 1}"
                yield rule(_header("tcp", span), first, f"pkseen{number}x{last}", what, sids.group(number, last), {})
    for port in ports:
        if port.proto == "udp":
            books_of = {"portkin_port": port}
            yield rule(
                where.header(port),
                where.first(port),
                bit_of(port, "pkseen"),
                _label(port, names),
                sids.fresh(port),
                books_of,
            )


def _steps(plan: Plan, proto: Proto) -> Iterator[tuple[str, Options, bool]]:
    """Message, options and whether it alerts, of the rules that notice new hosts, count new contacts, know scanners."""
    count, seconds, memory = plan.detector.count, plan.detector.seconds, plan.detector.memory
    steps = [f"pkstep{number}" for number in range(1, count)]
    take = [("flowbits", f"isset,{TOKEN}"), ("flowbits", f"unset,{TOKEN}")]
    yield (
        "PORTKIN new host for a source",
        [
            _lacks(SCANNER),
            _lacks(HOST, "ip_pair"),
            ("xbits", f"set,{HOST},track ip_pair,expire {memory}"),
            ("flowbits", f"set,{TOKEN}"),
        ],
        False,
    )
    clear = [("xbits", f"unset,{step},track ip_src") for step in steps]
    yield (
        "PORTKIN new contact 1",
        [*take, _lacks(WINDOW), *clear, *_put(WINDOW, seconds), *_put(steps[0], seconds)],
        False,
    )
    for number, (here, there) in enumerate(pairwise(steps), start=2):
        walk = [("xbits", f"unset,{here},track ip_src"), *_put(there, seconds)]
        yield f"PORTKIN new contact {number}", [*take, _has(WINDOW), _has(here), *walk], False
    end = [("xbits", f"unset,{WINDOW},track ip_src"), *clear, *_put(SCANNER, memory)]
    yield (
        f"PORTKIN scanner after {count} new contacts within {seconds} s",
        [
            *take,
            _has(WINDOW),
            _has(steps[-1]),
            *end,
            ("flowbits", f"set,{BUSY}"),
            ("target", "dest_ip"),
            ("classtype", "attempted-recon"),
        ],
        True,
    )
    yield "PORTKIN packet of a scanner", [_has(SCANNER), ("flowbits", f"set,{BUSY}")], False
