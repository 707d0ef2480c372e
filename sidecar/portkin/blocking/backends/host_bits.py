"""Names of Suricata's host bits per port, the same for the rules that test them and the sidecar that sets them."""

from __future__ import annotations

from portkin.net.ports import Port

OUTSIDE = "pk"
"""The prefix of bits that are set over Suricata's unix socket."""


def bit_of(port: Port, prefix: str = OUTSIDE) -> str:
    """The bit that blocks a port for the source that carries it: ``pk443`` for 443/tcp, ``pk53u`` for 53/udp."""
    return f"{prefix}{port.number}{'u' if port.proto == 'udp' else ''}"


def port_of_bit(bit: str) -> Port:
    """The port of a bit without its prefix, as ``443`` and ``53u``."""
    return Port(int(bit.removesuffix("u")), "udp" if bit.endswith("u") else "tcp")
