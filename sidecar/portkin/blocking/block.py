"""What is blocked: one source, kept from one destination port on every host, until some time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from portkin.net.addresses import Address, ip_of, number_of_address, text_of
from portkin.net.ports import Port

Mode = Literal["nftables", "suricata", "shadow", "holdout"]
"""Which backend holds a block; ``holdout``: none, on purpose, to see whether the source comes."""
Outcome = Literal["expired", "removed", "vetoed", "error", "replaced"]
"""How a block ended; ``replaced``: by another block of the same key, or because the backend changed."""
NOTE = "note"
"""Begins the free text of a reason."""
MAX_REASON = 500
"""Characters of a request's reason that are kept."""


class BlockKey(NamedTuple):
    """A source (128-bit; IPv4 as IPv4-mapped IPv6) and a destination port."""

    src: int
    port: Port

    @property
    def address(self) -> Address:
        """The source as an address."""
        return ip_of(self.src)

    def __str__(self) -> str:
        return f"{text_of(self.src)} {self.port}"


def key_of(address: Address, port: Port) -> BlockKey:
    """The key of an address and a port."""
    return BlockKey(number_of_address(address), port)


@dataclass(slots=True)
class Block:
    """An active block. ``since`` and ``until`` are seconds since 1970."""

    key: BlockKey
    mode: Mode
    rank: int
    """0 for a port that was probed; else its place among the nearest ports of the probed one."""
    since: float
    until: float
    row: int = 0
    """Its id in the block database; 0 before it is there."""
    hit: bool = False
    """Whether the source tried this port while the block was active."""
    packets: int = 0
    """Packets that it dropped, as last read."""
    bytes: int = 0
    """Bytes of these."""
    reported: bool = True
    """Whether it was reported to the hook; not yet where it was added just now."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known against a source, parsed from the reason of a request.

    The reason is ``key=value`` words: ``evidence=TRW answered=0 refused=2 repeated=0 darknet=0 probe=1``. Unknown
    words are ignored, invalid counts are 0, of a word given twice the first counts. What follows ``note=`` is free text
    to the end, and never read.
    """

    kind: str = ""
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
    """Whether this is the first request of a probe; those for its predicted ports follow."""

    @classmethod
    def parse(cls, text: str) -> Evidence:
        """Never raises. Cached, since the requests of one scan repeat their reason.

        >>> Evidence.parse("evidence=TRW answered=1 refused=2 note=answered=9")
        Evidence(kind='TRW', answered=1, refused=2, repeated=0, darknet=0, probe=False)
        """
        return cls._parse(text[:MAX_REASON])

    @classmethod
    @lru_cache(maxsize=4096)
    def _parse(cls, text: str) -> Evidence:
        words: dict[str, str] = {}
        for word in text.split():
            name, _, value = word.partition("=")
            if name == NOTE:
                break
            words.setdefault(name, value)

        def count(name: str) -> int:
            digits = words.get(name, "")
            return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else 0

        return cls(
            words.get("evidence", ""),
            count("answered"),
            count("refused"),
            count("repeated"),
            count("darknet"),
            words.get("probe") == "1",
        )
