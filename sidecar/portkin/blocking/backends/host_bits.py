"""Suricata's host bits: their names per port, the same for the rules that test them and the sidecar that sets them, and
which releases keep those of IPv6."""

from __future__ import annotations

import re

from portkin.net.ports import Port

OUTSIDE = "pk"
"""The prefix of bits that are set over Suricata's unix socket."""
_FIXED = {7: (7, 0, 14), 8: (8, 0, 3)}
"""The first version of each series that distinguishes IPv6 addresses."""


def bit_of(port: Port, prefix: str = OUTSIDE) -> str:
    """The bit that blocks a port for the source that carries it: ``pk443`` for 443/tcp, ``pk53u`` for 53/udp."""
    return f"{prefix}{port.number}{'u' if port.proto == 'udp' else ''}"


def port_of_bit(bit: str) -> Port:
    """The port of a bit without its prefix, as ``443`` and ``53u``."""
    return Port(int(bit.removesuffix("u")), "udp" if bit.endswith("u") else "tcp")


def stores_ipv6_wrongly(version: str) -> bool:
    """Whether this release, as ``7.0.10 RELEASE``, keeps all IPv6 host bits under one address; False where unknown."""
    found = re.match(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})", version)
    release = tuple(map(int, found.groups())) if found else (99,)
    return release < _FIXED.get(release[0], (_FIXED[7] if release[0] < 7 else (0,)))
