"""Addresses out of text, integers and host names."""

from __future__ import annotations

import hashlib
import re
import socket

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from portkin_training.ingest.captures.packets import IPV4_MAPPED
from portkin_training.ingest.values.text_numbers import NONE, ipv4_numbers

_WRAPPED = re.compile(r'^[\s"\[]*([^\s"\]%/]+)(?:%[^\]/\s]+)?\]?(?:/(?:32|128))?[\s"]*$')
"""An address with what programs put around it: blanks, quotes, brackets, a zone, the length of a host's prefix."""


def name_address(name: str) -> bytes:
    """The 16 bytes of the address that stands for a host name: 0xfd, then 120 bits of the name's sha256.

    fd00::/8 is for local use (RFC 4193), so it meets no address of the internet; equal names give equal
    addresses in every run and on every machine.
    """
    return b"\xfd" + hashlib.sha256(name.encode()).digest()[:15]


def addresses(column: pa.Array, *, names: bool = False) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Addresses, (n, 2) int64, and a mask of the rows that have none, whose values are undefined.

    From text (dotted, IPv6, or an IPv4 address as a number) or integers (IPv4). Brackets, zones and padding zeros
    are taken off. ``names``: other text that holds a letter is a host name and becomes `name_address`.
    """
    found = np.zeros((len(column), 2), np.int64)
    if pa.types.is_floating(column.type):
        column = pc.cast(pc.if_else(pc.is_finite(column), column, None), pa.int64(), safe=False)
    if pa.types.is_integer(column.type):
        numbers = pc.fill_null(pc.cast(column, pa.int64(), safe=False), NONE).to_numpy()
        found[:, 1] = IPV4_MAPPED | numbers
        return found, (numbers < 0) | (numbers >= 1 << 32)
    text = pc.cast(column, pa.string())
    numbers = ipv4_numbers(text)
    found[:, 1] = IPV4_MAPPED | numbers
    bad = numbers == NONE
    if bad.any():
        rest = np.flatnonzero(bad)
        found[rest], bad[rest] = _others(text.take(pa.array(rest)), names)
    return found, bad


def _others(text: pa.Array, names: bool) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    coded = text.dictionary_encode()
    known = np.zeros((len(coded.dictionary) + 1, 2), np.int64)
    bad = np.zeros(len(coded.dictionary) + 1, np.bool_)
    bad[-1] = True  # null
    for at, value in enumerate(coded.dictionary.to_pylist()):
        packed = _packed(value, names)
        if packed is None:
            bad[at] = True
        elif len(packed) == 4:
            known[at, 1] = IPV4_MAPPED | int.from_bytes(packed, "big")
        else:
            known[at] = np.frombuffer(packed, ">i8")
    rows = pc.fill_null(coded.indices, len(coded.dictionary)).to_numpy()
    return known[rows], bad[rows]


def _packed(text: str, names: bool) -> bytes | None:
    inner = _WRAPPED.match(text)
    bare = inner.group(1) if inner else text.strip()
    try:
        if ":" in bare:
            return socket.inet_pton(socket.AF_INET6, bare)
        octets = [int(octet) for octet in bare.split(".")]
        if len(octets) == 4 and bare.replace(".", "").isdecimal() and bare.isascii():
            return bytes(octets)
    except (OSError, ValueError):
        pass
    return name_address(text.strip()) if names and any(map(str.isalpha, text)) else None
