"""Sets of networks over 128-bit addresses."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from portkin.errors import ConfigError

MAPPED = 0xFFFF << 32
"""The prefix of IPv4-mapped IPv6 addresses (RFC 4291, 2.5.5.2)."""


def address_of(text: str) -> int:
    """The 128-bit form of an address as text; IPv4 as IPv4-mapped IPv6."""
    address = ipaddress.ip_address(text)
    return int(address) | MAPPED if address.version == 4 else int(address)


def text_of(address: int) -> str:
    """The text of a 128-bit address."""
    if address >> 32 == 0xFFFF:
        return str(ipaddress.IPv4Address(address & 0xFFFFFFFF))
    return str(ipaddress.IPv6Address(address))


class Nets:
    """An immutable set of networks; ``address in nets`` asks for a 128-bit address."""

    __slots__ = ("_by_mask", "_text")

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """Raises ConfigError, naming the text, for what is no network."""
        by_mask: dict[int, set[int]] = {}
        self._text = tuple(networks)
        for text in self._text:
            try:
                net = ipaddress.ip_network(text, strict=False)
            except ValueError as error:
                raise ConfigError(
                    f"{text!r} is no network ({error}); write it as 192.0.2.0/24 or 2001:db8::/32"
                ) from None
            bits, first = (net.prefixlen, int(net.network_address))
            if net.version == 4:
                bits, first = bits + 96, first | MAPPED
            mask = ((1 << bits) - 1) << (128 - bits)
            by_mask.setdefault(mask, set()).add(first)
        self._by_mask = tuple(by_mask.items())

    def __contains__(self, address: int) -> bool:
        # Most sets are empty, and asked for every packet.
        return bool(self._by_mask) and any(address & mask in firsts for mask, firsts in self._by_mask)

    def __bool__(self) -> bool:
        return bool(self._by_mask)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Nets) and self._by_mask == other._by_mask

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return f"Nets({list(self._text)!r})"
