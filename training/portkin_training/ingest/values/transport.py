"""Ports, protocols and TCP flags out of text and numbers."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from portkin_training.core.protocols import TCP, UDP
from portkin_training.ingest.captures.packets import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG
from portkin_training.ingest.values.text_numbers import NONE, whole_numbers

_PROTOCOL = re.compile(r"(?:ipproto_)?(tcp|udp)[46]?|0*(\d+)(?:\.0*)?")
_NUMBERS = {"tcp": TCP, "udp": UDP}
_WORDS = {"fin": FIN, "syn": SYN, "rst": RST, "psh": PSH, "ack": ACK, "urg": URG, "ece": ECE, "cwr": CWR}
_LETTERS = {"f": FIN, "s": SYN, "r": RST, "p": PSH, "a": ACK, "u": URG, "e": ECE, "c": CWR, "w": CWR}


def by_value(column: pa.Array, of: Callable[[str], int], null: int, dtype: Any = np.int64) -> NDArray[Any]:
    """``of`` each text of a column, (n,) of ``dtype``, computed once for each different text; ``null`` for null."""
    coded = pc.cast(column, pa.string()).dictionary_encode()
    known = np.array([*map(of, coded.dictionary.to_pylist()), null], dtype)
    found: NDArray[Any] = known[pc.fill_null(coded.indices, len(coded.dictionary)).to_numpy()]
    return found


def protos(column: pa.Array) -> NDArray[np.uint8]:
    """Protocol numbers, (n,) uint8: from names (``tcp``, ``UDP``, ``tcp6``, ``IPPROTO_TCP``) or numbers (``6``,
    ``006``, ``6.0``); 0 for what is neither TCP nor UDP."""
    return by_value(column, _protocol, 0, np.uint8)


def _protocol(text: str) -> int:
    found = _PROTOCOL.fullmatch(text.strip().strip('"').lower())
    if not found:
        return 0
    name, number = found.groups()
    value = _NUMBERS[name] if name else int(number[:9])
    return value if value in (TCP, UDP) else 0


def ports(
    column: pa.Array, proto: NDArray[np.uint8] | None = None, *, optional: bool = False
) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Ports, (n,) uint16, and a mask of the rows that have none, whose values are undefined.

    Names of services are looked up in the system's list, with the protocol of their row (TCP without ``proto``).
    ``optional``: empty ones are 0.
    """
    text = pc.cast(column, pa.string())
    numbers = whole_numbers(text)
    if optional:
        numbers[_bools(pc.equal(pc.utf8_trim_whitespace(pc.fill_null(text, "")), ""))] = 0
    rest = np.flatnonzero(numbers == NONE)
    if len(rest):
        named = text.take(pa.array(rest))
        as_tcp, as_udp = (by_value(named, partial(_service, proto=of), NONE) for of in ("tcp", "udp"))
        numbers[rest] = as_tcp if proto is None else np.where(proto[rest] == UDP, as_udp, as_tcp)
    bad = (numbers < 0) | (numbers > 65535)
    return numbers.astype(np.uint16), bad


def _service(name: str, proto: str) -> int:
    name = name.strip().strip('"')
    if not name[:1].isalpha():
        return NONE
    try:
        return socket.getservbyname(name, proto)
    except (OSError, UnicodeError, ValueError):
        return NONE


def tcp_flags(column: pa.Array) -> NDArray[np.uint8]:
    """TCP flags, (n,) uint8, of words (``SYN ACK``), letters (``SA``, ``.A..S.``) or ``0x12``; 0 for none."""
    return by_value(column, _flags, 0, np.uint8)


def _flags(text: str) -> int:
    text = text.strip().lower()
    if text.startswith("0x"):
        try:
            return int(text, 16) & 0xFF
        except ValueError:
            return 0
    words = re.split(r"[^a-z]+", text)
    if any(word in _WORDS for word in words):
        return sum(_WORDS.get(word, 0) for word in {*words})
    return sum(_LETTERS.get(letter, 0) for letter in {*text})


def _bools(column: pa.Array) -> NDArray[np.bool_]:
    values: NDArray[np.bool_] = pc.fill_null(column, False).to_numpy(zero_copy_only=False)
    return values
