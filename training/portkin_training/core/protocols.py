"""IANA protocol numbers, and the names that ports are written with."""

from __future__ import annotations

from portkin.net.ports import Port, Proto

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58

PROTO_NUMBERS: dict[Proto, int] = {"tcp": TCP, "udp": UDP}
"""The protocols that have ports, as the probes dataset holds them."""
PROTO_NAMES: dict[int, Proto] = {number: name for name, number in PROTO_NUMBERS.items()}


def port_of(number: int, proto: int) -> Port:
    """The port of a port number and an IANA protocol number, 6 or 17; KeyError for any other."""
    return Port(number, PROTO_NAMES[proto])
