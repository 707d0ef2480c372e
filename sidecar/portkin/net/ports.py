"""Ports as Zeek writes them: ``80/tcp``."""

from __future__ import annotations

import socket
from typing import Literal, NamedTuple, get_args

from portkin.errors import PortError

Proto = Literal["tcp", "udp"]
PROTOS: tuple[Proto, ...] = get_args(Proto)
PORTS = 65536
"""How many port numbers a protocol has."""
CODES = 2 * PORTS
"""How many codes there are: a port and its protocol as one number, every TCP port, then every UDP port."""

_WRITTEN = "write a port as 80, 80/tcp or 53/udp"


class Port(NamedTuple):
    """A transport port; prints as Zeek writes it."""

    number: int
    proto: Proto

    def __str__(self) -> str:
        return f"{self.number}/{self.proto}"

    @classmethod
    def parse(cls, text: str, *, proto: Proto = "tcp") -> Port:
        """Read ``"80"`` or ``"53/udp"``; ``proto`` is used where the text names none.

        Raises PortError, which quotes the text, for anything else.

        >>> str(Port.parse("443")), str(Port.parse("53/UDP"))
        ('443/tcp', '53/udp')
        """
        number, slash, named = text.strip().partition("/")
        chosen = named.lower() if slash else proto
        if chosen not in PROTOS:
            raise PortError(f"{text[:80]!r} names no protocol tcp or udp; {_WRITTEN}")
        if not (number.isascii() and number.isdigit() and len(number) <= 5) or int(number) >= PORTS:
            raise PortError(f"{text[:80]!r} is not a port from 0 to 65535; {_WRITTEN}")
        return cls(int(number), chosen)


def code_of(port: Port) -> int:
    """The code of one port: TCP port p is p, UDP port p is 65536 + p.

    >>> code_of(Port(22, "tcp")), code_of(Port(53, "udp"))
    (22, 65589)
    """
    return port.number + PORTS * PROTOS.index(port.proto)


def port_of(code: int) -> Port:
    """The port of a code.

    >>> str(port_of(65589))
    '53/udp'
    """
    return Port(code % PORTS, PROTOS[code // PORTS])


def service_name(port: Port) -> str | None:
    """The port's service in the system's services file, as ``"https"``; None where it has none."""
    try:
        return socket.getservbyport(port.number, port.proto)
    except OSError:
        return None
