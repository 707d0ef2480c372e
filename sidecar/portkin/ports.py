"""Ports as Zeek writes them: ``80/tcp``."""

from __future__ import annotations

import socket
from typing import Literal, NamedTuple, cast, get_args

from portkin.errors import PortError

Proto = Literal["tcp", "udp"]
PROTOS: tuple[Proto, ...] = get_args(Proto)
PORTS = 65536
"""How many port numbers a protocol has."""


class Port(NamedTuple):
    """A transport port; prints as Zeek writes it."""

    number: int
    proto: Proto

    def __str__(self) -> str:
        return f"{self.number}/{self.proto}"

    @classmethod
    def parse(cls, text: str, *, proto: Proto = "tcp") -> Port:
        """Read ``"80"`` or ``"53/udp"``; ``proto`` holds where the text names none.

        Raises PortError, naming the text, for anything else.
        """
        number, slash, named = text.strip().partition("/")
        chosen = named.lower() if slash else proto
        if chosen not in PROTOS:
            raise PortError(f"{text!r}: {chosen!r} is not tcp or udp; write a port as 80, 80/tcp or 53/udp")
        if not (number.isascii() and number.isdigit()) or int(number) >= PORTS:
            raise PortError(f"{text!r}: {number!r} is not a port number from 0 to 65535")
        return cls(int(number), cast(Proto, chosen))


def service_name(port: Port) -> str | None:
    """The service that the system's services file gives the port, as ``"https"``; None where it gives none."""
    try:
        return socket.getservbyport(port.number, port.proto)
    except OSError:
        return None
