"""From columns as files hold them (text, integers, stamps) to the columns of probes; n rows each.

Every function returns its values and a mask of the rows that have none; what those rows hold is undefined.
"""

from __future__ import annotations

import hashlib
import socket
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from portkin_training.core.protocols import TCP, UDP
from portkin_training.ingest.captures.packets import IPV4_MAPPED

MICROSECONDS = {"s": 1_000_000, "ms": 1000, "us": 1, "ns": 0.001}
"""Unit of numeric stamps -> microseconds in it."""

_YEAR_10000 = 253_402_300_800 * 1_000_000

Values = tuple[NDArray[Any], NDArray[np.bool_]]


def name_address(name: str) -> bytes:
    """The 16 bytes of the address that stands for a host name: 0xfd, then 120 bits of the name's sha256.

    fd00::/8 is for local use (RFC 4193), so it meets no address of the internet; equal names give equal
    addresses in every run and on every machine.
    """
    return b"\xfd" + hashlib.sha256(name.encode()).digest()[:15]


def _address(text: str, names: bool) -> bytes | None:
    if text.isascii() and text.isdigit():
        number = int(text)
        return number.to_bytes(4, "big") if number < 1 << 32 else None
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except (OSError, ValueError):
        return name_address(text) if names and any(map(str.isalpha, text)) else None


def addresses(column: pa.Array, *, names: bool = False) -> Values:
    """Addresses, (n, 2) int64: from text (dotted, IPv6, or an IPv4 address as an integer) or integers (IPv4).

    ``names``: other text that holds a letter is a host name and becomes `name_address`.
    """
    if pa.types.is_floating(column.type):
        whole = pc.if_else(pc.is_finite(column), column, None)
        column = pc.cast(whole, pa.int64(), safe=False)
    text = pc.cast(column, pa.string()).dictionary_encode()
    known = np.zeros((len(text.dictionary) + 1, 2), np.int64)
    bad = np.zeros(len(text.dictionary) + 1, np.bool_)
    bad[-1] = True  # null
    for at, value in enumerate(text.dictionary.to_pylist()):
        packed = _address(value.strip(), names)
        if packed is None:
            bad[at] = True
        elif len(packed) == 4:
            known[at, 1] = IPV4_MAPPED | int.from_bytes(packed, "big")
        else:
            known[at] = np.frombuffer(packed, ">i8")
    rows = pc.fill_null(text.indices, len(text.dictionary)).to_numpy()
    return known[rows], bad[rows]


def ports(column: pa.Array, *, optional: bool = False) -> Values:
    """Ports, (n,) uint16; ``optional``: empty ones are 0."""
    text = pc.utf8_trim_whitespace(pc.fill_null(pc.cast(column, pa.string()), ""))
    empty = _bools(pc.equal(text, ""))
    good = _bools(pc.match_substring_regex(text, r"^\d{1,5}(\.0)?$"))
    whole = pc.if_else(pa.array(good), pc.replace_substring_regex(text, r"\.0$", ""), "0")
    numbers = pc.cast(whole, pa.int32()).to_numpy()
    bad = ~good | (numbers > 65535)
    if optional:
        bad &= ~empty
    return numbers.astype(np.uint16), bad


def protos(column: pa.Array) -> NDArray[np.uint8]:
    """Protocol numbers, (n,) uint8, from names or numbers; 0 for what is neither TCP nor UDP."""
    text = pc.utf8_lower(pc.utf8_trim_whitespace(pc.fill_null(pc.cast(column, pa.string()), "")))
    tcp, udp = (_bools(pc.is_in(text, pa.array(names))) for names in (["tcp", str(TCP)], ["udp", str(UDP)]))
    return np.where(tcp, TCP, np.where(udp, UDP, 0)).astype(np.uint8)


def stamps(column: pa.Array, *, unit: str = "s") -> Values:
    """Stamps, (n,) int64 microseconds UTC: from timestamps, numbers in ``unit`` since 1970, or text of either.

    Text is ISO 8601 (a blank for the T will do); without a zone it is UTC.
    """
    if pa.types.is_timestamp(column.type):
        return _microseconds(pc.cast(column, pa.timestamp("us", column.type.tz), safe=False))
    if pa.types.is_date(column.type):
        return _microseconds(pc.cast(column, pa.timestamp("us")))
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return _scaled(column, unit)
    return _from_text(pc.utf8_trim_whitespace(column), unit)


def _from_text(column: pa.Array, unit: str) -> Values:
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.float64()):
        try:
            converted = pc.cast(column, kind)
        except pa.ArrowInvalid:
            continue
        return _scaled(converted, unit) if kind == pa.float64() else _microseconds(converted)
    half = len(column) // 2
    if not half:
        return np.zeros(1, np.int64), np.ones(1, np.bool_)
    # A bad row, or forms that differ: either half by itself
    parts = (_from_text(part, unit) for part in (column[:half], column[half:]))
    values, bad = zip(*parts, strict=True)
    return np.concatenate(values), np.concatenate(bad)


def _scaled(column: pa.Array, unit: str) -> Values:
    if pa.types.is_integer(column.type) and unit != "ns":
        numbers = pc.fill_null(column, -1).to_numpy().astype(np.float64 if unit == "s" else np.int64)
    else:
        numbers = pc.fill_null(pc.cast(column, pa.float64(), safe=False), -1.0).to_numpy()
    with np.errstate(invalid="ignore", over="ignore"):
        us = np.asarray(numbers * MICROSECONDS[unit])
        bad = ~((us >= 0) & (us < _YEAR_10000))
        return np.where(bad, 0, np.rint(us)).astype(np.int64), bad


def _microseconds(column: pa.Array) -> Values:
    us = pc.fill_null(pc.cast(column, pa.int64()), -1).to_numpy()
    bad = (us < 0) | (us >= _YEAR_10000)
    return np.where(bad, 0, us), bad


def _bools(column: pa.Array) -> NDArray[np.bool_]:
    values: NDArray[np.bool_] = pc.fill_null(column, False).to_numpy(zero_copy_only=False)
    return values
