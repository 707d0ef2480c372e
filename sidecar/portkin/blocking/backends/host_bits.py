"""Names of Suricata's bits per port: what the rules test and the sidecar sets must be the same."""

from __future__ import annotations

from portkin.net.ports import Port

OUTSIDE = "pk"
"""The prefix of bits that are set from outside, over Suricata's unix socket."""


def bit_of(port: Port, prefix: str = OUTSIDE) -> str:
    """The bit that blocks a port for the source that carries it: ``pk443`` for 443/tcp, ``pk53u`` for 53/udp."""
    return f"{prefix}{port.number}{'u' if port.proto == 'udp' else ''}"
