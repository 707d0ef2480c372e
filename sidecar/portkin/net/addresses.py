"""Addresses as 128-bit numbers, their text, and sets of networks over them."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, collapse_addresses, ip_address, ip_network
from socket import AF_INET, AF_INET6, inet_ntoa, inet_pton

from portkin.errors import ConfigError

Address = IPv4Address | IPv6Address
MAPPED = 0xFFFF << 32
"""The prefix of IPv4-mapped IPv6 addresses (RFC 4291, 2.5.5.2)."""


def number_of(text: str) -> int:
    """The 128-bit form of an address written as text; IPv4 as IPv4-mapped IPv6. Raises ValueError for no address.

    The zone of ``fe80::1%eth0`` is left out.

    >>> hex(number_of("192.0.2.7"))
    '0xffffc0000207'
    """
    try:
        # The C library first: a start may read 100,000 of them.
        if ":" in text:
            return int.from_bytes(inet_pton(AF_INET6, text), "big")
        return int.from_bytes(inet_pton(AF_INET, text), "big") | MAPPED
    except (OSError, ValueError):
        return number_of_address(ip_address(text))


def number_of_address(address: Address) -> int:
    """The 128-bit form of an address; the zone of ``fe80::1%eth0``, which may be any text, is left out."""
    return int(address) | MAPPED if address.version == 4 else int(address)


def text_of(number: int) -> str:
    """The text of a 128-bit address; of IPv4, by far the most frequent, by the C library.

    >>> text_of(number_of("2001:DB8:0::1")), text_of(number_of("192.0.2.7"))
    ('2001:db8::1', '192.0.2.7')
    """
    if number >> 32 == 0xFFFF:
        return inet_ntoa((number & 0xFFFFFFFF).to_bytes(4, "big"))
    return str(IPv6Address(number))


def ip_of(number: int) -> Address:
    """The address of a 128-bit number."""
    return IPv4Address(number & 0xFFFFFFFF) if number >> 32 == 0xFFFF else IPv6Address(number)


def unmapped(address: Address) -> Address:
    """The address, an IPv4-mapped one (RFC 4291, 2.5.5.2) as IPv4: how block keys and the database write it."""
    return getattr(address, "ipv4_mapped", None) or address


class Nets:
    """An immutable set of networks; ``number in nets`` takes a 128-bit address.

    Two are equal if they hold the same addresses, however these are written and ordered.

    >>> number_of("192.0.2.7") in Nets(["192.0.2.0/24", "2001:db8::/32"])
    True
    """

    __slots__ = ("_by_mask", "_text")

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """Raises ConfigError, which quotes the text, where one is not a network."""
        found = []
        self._text = tuple(networks)
        for text in self._text:
            try:
                net = ip_network(text, strict=False)
            except ValueError as error:
                raise ConfigError(
                    f"{text!r} is not a network ({error}); write it as 192.0.2.0/24 or 2001:db8::/32"
                ) from None
            bits, first = (net.prefixlen, int(net.network_address))
            if net.version == 4:
                bits, first = bits + 96, first | MAPPED
            found.append(IPv6Network((first, bits)))
        by_mask: dict[int, set[int]] = {}
        for net in collapse_addresses(found):
            by_mask.setdefault(int(net.netmask), set()).add(int(net.network_address))
        self._by_mask = tuple((mask, frozenset(firsts)) for mask, firsts in sorted(by_mask.items()))

    def __contains__(self, address: int) -> bool:
        for mask, firsts in self._by_mask:  # noqa: SIM110  (asked for every packet; any() takes longer)
            if address & mask in firsts:
                return True
        return False

    def __bool__(self) -> bool:
        return bool(self._by_mask)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Nets) and self._by_mask == other._by_mask

    def __hash__(self) -> int:
        return hash(self._by_mask)

    def __repr__(self) -> str:
        return f"Nets({list(self._text)!r})"
