"""Ports, protocols and TCP flags out of text and numbers."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from functools import partial, reduce
from operator import or_
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from portkin_training.core.protocols import TCP, UDP
from portkin_training.ingest.captures.packets import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG
from portkin_training.ingest.values.text_numbers import NONE, whole_numbers

_PROTOCOL = re.compile(
    r"(?:ipproto_|ipv?[46]?[-/_:]|proto(?:col)?[-=: ]?)?"
    r"(?:(?P<name>tcp|udp)(?:v?[46]){0,2}(?:[-/]ip)?(?: ?[(/] ?0*(?:6|17)\)?)?|0*(?P<number>\d+)(?:[.,]0*)?"
    r"(?: ?[(/] ?(?:tcp|udp)\)?)?|0x(?P<hex>[0-9a-f]{1,2})|(?P<letter>[tu]))"
)
_NUMBERS = {"tcp": TCP, "udp": UDP, "t": TCP, "u": UDP}
_OTHER_NAMES = """
    ah arp ax.25 carp dccp egp eigrp encap esp etherip fc ggp gre hip hopopt icmp icmp6 icmpv6 idp idpr-cmtp igmp igp ip
    ipcomp ipencap ipip ipnip ipv4 ipv6 ipv6-frag ipv6-icmp ipv6-nonxt ipv6-opts ipv6-route isis iso-tp4 l2tp llc lldp
    man manet mobility-header mpls mpls-in-ip ospf ospfigp pfsync pim pup rarp rdp rspf rsvp rtcp rtp sctp shim6 skip st
    stp tlsp udplite unknown_transport vmtp vrrp wesp xns-idp xtp
"""
_OTHERS = frozenset(_OTHER_NAMES.split())
"""Protocols that are neither TCP nor UDP, as programs call them."""
NO_PROTOCOL = 256
_WORDS = {"fin": FIN, "syn": SYN, "rst": RST, "psh": PSH, "ack": ACK, "urg": URG, "ece": ECE, "cwr": CWR}
_PORT = re.compile(
    r"(?P<before>\d{1,9})(?:\.0*)?/(?:tcp|udp)|(?:tcp|udp)[/:](?P<inside>\d{1,9})|[a-z][\w-]* ?\((?P<behind>\d{1,9})\)"
    r"|0x(?P<hex>[0-9a-f]{1,8})"
)
_MISSING = frozenset(
    ["", "-", "--", "*", "?", "n/a", "na", "nan", "nil", "none", "null", "any", "unknown", "undefined"]
)
_LETTERS = {"f": FIN, "s": SYN, "r": RST, "p": PSH, "a": ACK, "u": URG, "e": ECE, "c": CWR, "w": CWR}


def by_value(column: pa.Array, of: Callable[[str], int], null: int, dtype: Any = np.int64) -> NDArray[Any]:
    """``of`` each text of a column, (n,) of ``dtype``, computed once for each different text; ``null`` for null."""
    coded = pc.cast(column, pa.string()).dictionary_encode()
    known = np.array([*map(of, coded.dictionary.to_pylist()), null], dtype)
    found: NDArray[Any] = known[pc.fill_null(coded.indices, len(coded.dictionary)).to_numpy()]
    return found


def protos(column: pa.Array) -> NDArray[np.uint8]:
    """Protocol numbers, (n,) uint8: from names (``tcp``, ``UDP``, ``tcp6``, ``IPPROTO_TCP``) or numbers (``6``,
    ``006``, ``6.0``, ``0x06``); 0 for what is neither TCP nor UDP."""
    return by_value(column, lambda text: _protocol(text) % NO_PROTOCOL, 0, np.uint8)


def no_protocols(column: pa.Array) -> NDArray[np.bool_]:
    """(n,) whether a text is no protocol at all, neither TCP and UDP nor another one."""
    return by_value(column, lambda text: _protocol(text) == NO_PROTOCOL, 1, np.bool_)


def _protocol(text: str) -> int:
    """The number of TCP and UDP, 0 for another protocol, `NO_PROTOCOL` for what is none."""
    plain = text.strip().strip("\"'").strip().lower()
    found = _PROTOCOL.fullmatch(plain)
    if not found:
        return 0 if plain in _OTHERS else NO_PROTOCOL
    if name := found["name"] or found["letter"]:
        return _NUMBERS[name]
    value = int(found["hex"], 16) if found["hex"] else int(found["number"][:9])
    return value if value in (TCP, UDP) else 0 if value < NO_PROTOCOL else NO_PROTOCOL


def ports(
    column: pa.Array, proto: NDArray[np.uint8] | None = None, *, optional: bool = False
) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Ports, (n,) uint16, and a mask of the rows that have none, whose values are undefined.

    ``22/tcp`` and ``0x16`` are 22. Names of services are looked up in the system's list, with the protocol of their
    row (TCP without ``proto``). ``optional``: empty ones, and words that say there is none, are 0.
    """
    text = pc.cast(column, pa.string())
    numbers = whole_numbers(text)
    rest = np.flatnonzero(numbers == NONE)
    if optional and len(rest):
        none = by_value(text.take(pa.array(rest)), is_missing, 1, np.bool_)
        numbers[rest[none]] = 0
        rest = rest[~none]
    if len(rest):
        named = text.take(pa.array(rest))
        as_tcp, as_udp = (by_value(named, partial(_service, proto=of), NONE) for of in ("tcp", "udp"))
        numbers[rest] = as_tcp if proto is None else np.where(proto[rest] == UDP, as_udp, as_tcp)
    bad = (numbers < 0) | (numbers > 65535)
    return numbers.astype(np.uint16), bad


def _service(name: str, proto: str) -> int:
    name = name.strip().strip("\"'").lower()
    if found := _PORT.fullmatch(name):
        digits = found["before"] or found["inside"] or found["behind"]
        return int(found["hex"], 16) if found["hex"] else int(digits)
    if not name[:1].isalpha() or is_missing(name):
        return NONE
    try:
        return socket.getservbyname(name, proto)
    except (OSError, UnicodeError, ValueError):
        return NONE


def is_missing(text: str) -> bool:
    """Whether a text says that there is no value."""
    return text.strip().strip("\"'").lower() in _MISSING


def tcp_flags(column: pa.Array) -> NDArray[np.uint8]:
    """TCP flags, (n,) uint8, of words (``SYN ACK``), letters (``SA``, ``.A..S.``) or numbers (``0x12``, ``18``); 0 for
    none."""
    return by_value(column, _flags, 0, np.uint8)


def _flags(text: str) -> int:
    text = text.strip().lower()
    if text.startswith("0x") or text.isdecimal():
        try:
            return int(text[:9], 0 if text.startswith("0x") else 10) & 0xFF
        except ValueError:
            return 0
    words = re.split(r"[^a-z]+", text)
    if any(word in _WORDS for word in words):
        return reduce(or_, (_WORDS.get(word, 0) for word in words))
    return reduce(or_, (_LETTERS.get(letter, 0) for letter in text), 0)
