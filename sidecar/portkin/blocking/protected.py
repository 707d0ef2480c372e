"""What is never blocked, whatever the request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from portkin.blocking.block import BlockKey
from portkin.blocking.limits import Limits
from portkin.net.addresses import Nets

Protection = Literal["never-net", "never-port", "own-address", "gateway", "special-address"]
"""Why a key is never blocked; a label of a metric."""

SPECIAL = Nets(
    (
        "0.0.0.0/8",  # this network (RFC 791)
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local (RFC 3927)
        "224.0.0.0/4",  # multicast
        "255.255.255.255/32",  # limited broadcast
        "::/127",  # unspecified and loopback
        "fe80::/10",  # link-local: routers send from there
        "ff00::/8",  # multicast
    )
)
"""Addresses that are no single remote host's: packets from them are forged, or needed."""


@dataclass(frozen=True)
class ProtectedAddresses:
    """Addresses that must stay reachable, as 128-bit numbers."""

    own: frozenset[int] = frozenset()
    """This machine's and Zeek's."""
    gateways: frozenset[int] = frozenset()
    """Of the default routes."""


def protection(key: BlockKey, limits: Limits, addresses: ProtectedAddresses) -> Protection | None:
    """Why this key is never blocked; None where it may be."""
    if key.src in SPECIAL:
        return "special-address"
    if key.src in addresses.own:
        return "own-address"
    if key.src in addresses.gateways:
        return "gateway"
    if key.src in limits.nets:
        return "never-net"
    if key.port in limits.ports:
        return "never-port"
    return None
