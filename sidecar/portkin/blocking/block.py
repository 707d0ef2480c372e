"""What is blocked: one source, kept from one destination port on every host, until some time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from socket import AF_INET, AF_INET6, inet_ntoa, inet_pton
from typing import Literal, NamedTuple

from portkin.net.addresses import MAPPED
from portkin.net.ports import Port

Mode = Literal["nftables", "suricata", "shadow", "holdout"]
"""Who holds a block: a backend, or nobody on purpose, to see what comes (``holdout``)."""
Outcome = Literal["expired", "removed", "vetoed", "error", "replaced"]
"""How a block ended; ``replaced``: the backend is another one now."""


class Pair(NamedTuple):
    """A source (128-bit; IPv4 as IPv4-mapped IPv6) and a destination port."""

    src: int
    port: Port

    def __str__(self) -> str:
        return f"{text_of(self.src)} {self.port}"


def pair_of(address: IPv4Address | IPv6Address, port: Port) -> Pair:
    """The pair of an address and a port.

    The address is taken as its number: the zone of ``fe80::1%eth0``, which may be any text, is left behind.
    """
    number = int(address)
    return Pair(number | MAPPED if address.version == 4 else number, port)


def text_of(src: int) -> str:
    """The text of a source; IPv4, of which there are many, by the C library."""
    return inet_ntoa((src & 0xFFFFFFFF).to_bytes(4, "big")) if src >> 32 == 0xFFFF else str(IPv6Address(src))


def number_of(text: str) -> int:
    """The source that such a text names; OSError where it is none."""
    if ":" in text:
        return int.from_bytes(inet_pton(AF_INET6, text), "big")
    return int.from_bytes(inet_pton(AF_INET, text), "big") | MAPPED


def address_of(pair: Pair) -> IPv4Address | IPv6Address:
    """The source of a pair as an address."""
    return IPv4Address(pair.src & 0xFFFFFFFF) if pair.src >> 32 == 0xFFFF else IPv6Address(pair.src)


@dataclass(slots=True)
class Block:
    """A block that holds. ``since`` and ``until`` are seconds since 1970."""

    pair: Pair
    mode: Mode
    rank: int
    """0 for a port that was probed; else its place among those nearest to the probed one."""
    since: float
    until: float
    row: int = 0
    """Where the books have it; 0 before they do."""
    hit: bool = False
    """Whether the source came back for this port while the block held."""


@dataclass(frozen=True, slots=True)
class Why:
    """What is known against a source: the text that comes with a request, taken apart.

    The text is ``key=value`` words: ``evidence=TRW answered=0 refused=2 repeated=0 darknet=0 probe=1``. Words
    that are not understood are passed over, counts that are none are 0.
    """

    evidence: str = ""
    """``DARKNET``, ``TRW``, ``FAILED``; ``NETCONTROL`` and ``OPERATOR`` for orders that need none."""
    answered: int = 0
    """Contacts of the source that were established."""
    refused: int = 0
    """Contacts that a host refused."""
    repeated: int = 0
    """Contacts for which the source sent more than one SYN, as a kernel does, and a forger need not."""
    darknet: int = 0
    """Distinct addresses of nets without hosts that the source sent to."""
    probe: bool = False
    """Whether this is the first request of a probe: the others of it follow."""

    @classmethod
    @lru_cache(maxsize=4096)
    def parse(cls, text: str) -> Why:
        """Never raises. The requests of one scan say the same again and again."""
        words = dict(word.partition("=")[::2] for word in text[:MOST_WHY].split())

        def count(key: str) -> int:
            digits = words.get(key, "")
            return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else 0

        return cls(
            words.get("evidence", ""),
            *(count(key) for key in ("answered", "refused", "repeated", "darknet")),
            probe=words.get("probe") == "1",
        )


MOST_WHY = 500
"""Characters of a request's reason that are kept."""
