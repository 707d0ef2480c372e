"""Networks that are never blocked, as pass rules.

A pass rule matches only packets that a block rule could drop: SYNs, and first datagrams to protected UDP ports. Every
other packet of these networks is inspected as before. Suricata's pass ends the actions on a packet, not its bits; so
these sources may be counted, but none of their packets is dropped.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from suricataparser.rule import Rule

from portkin.errors import RulesError
from portkin.net.ports import PROTOS, Port
from portkin_rules.packets import FIRST_PACKET
from portkin_rules.port_lists import listed, ranges
from portkin_rules.rule import new_rule, reason
from portkin_rules.sids import Sids

_PER_RULE = 100
"""Networks or ports per rule: keeps a rule within the length that Suricata reads."""


def read_networks(path: Path) -> list[str]:
    """Return the networks of a file, one a line; ``#`` begins a comment.

    Raises RulesError for a file that cannot be read, and for a line that is not a network, with its number.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()  # with a byte order mark or without
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError(f"{path}: cannot be read ({reason(error)}); name a file with one network per line") from None
    networks = []
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            networks.append(_network(text))
        except ValueError as error:
            raise RulesError(f"{path}:{number}: {text!r} is not a network ({error})") from None
    return networks


def _network(text: str) -> str:
    """The network as Suricata reads it; what is IPv4 in IPv6 notation (RFC 4291, 2.5.5.2) is IPv4 in a packet.

    Raises ValueError, with what to write instead.
    """
    address = text.partition("/")[0]
    if "%" in text:
        raise ValueError(f"a rule knows no zones; write {text.partition('%')[0]!r}")
    try:
        net = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError(f"{error}; write 192.0.2.0/24 or 2001:db8::/32") from None
    if ipaddress.ip_address(address) != net.network_address:
        raise ValueError(f"it has bits behind its prefix; write {net} for the network, {address} for the address")
    mapped = net.network_address.ipv4_mapped if net.version == 6 and net.prefixlen >= 96 else None
    return str(net if mapped is None else ipaddress.ip_network((mapped, net.prefixlen - 96)))


def pass_rules(
    networks: Sequence[str], ports: Sequence[Port], *, sids: Sids, metadata: Mapping[str, object]
) -> Iterator[Rule]:
    """Yield rules that exempt the packets of these networks from the block rules of these ports."""
    number = 0
    for proto in PROTOS:
        numbers = [port.number for port in ports if port.proto == proto]
        if not numbers:
            continue
        # Other rules have little use for a bare SYN, but inspect datagrams.
        targets: list[Sequence[str]] = [["any"]] if proto == "tcp" else _chunks(ranges(numbers))
        for some_networks in _chunks(networks):
            for target in targets:
                yield new_rule(
                    "pass",
                    f"{proto} {listed(some_networks)} any -> $HOME_NET {listed(target)}",
                    FIRST_PACKET[proto],
                    msg="PORTKIN never blocked",
                    sid=sids.pass_list(number),
                    metadata=metadata,
                    noalert=True,  # suricata-update's drop.conf leaves only such rules as they are
                )
                number += 1


def _chunks(items: Sequence[str]) -> list[Sequence[str]]:
    return [items[start : start + _PER_RULE] for start in range(0, len(items), _PER_RULE)]
