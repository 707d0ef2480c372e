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
from portkin_training.ingest.values.transport import is_missing

_WRAPPED = re.compile(r"""^[\s"'\[]*([^\s"'\]%/]+)(?:%[^\]/\s]+)?\]?(?:(/32)|(/128))?[\s"']*$""")
"""An address with what programs put around it: blanks, quotes, brackets, a zone, the length of a host's prefix."""
_NAME = re.compile(r"(?=.*[^\W\d_])(?!0x)[\w-]+(?:\.[\w-]+)*\.?")
_WITH_PORT = re.compile(r"\[?[0-9A-Fa-f:.]+\]:\d+|[0-9.]+:\d+")
_NETWORK = re.compile(r"[0-9A-Fa-f:.]+/\d+")


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
    if inner and inner.group(2 if ":" in bare else 3):  # a network: 2001:db8::/32
        return None
    try:
        if ":" in bare:
            head, _, last = bare.rpartition(":")
            return socket.inet_pton(socket.AF_INET6, f"{head}:{_unpadded(last)}" if "." in last else bare)
        octets = bare.split(".")
        if bare.isascii() and bare.replace(".", "").isdecimal():
            if len(octets) == 4:
                return bytes(int(octet) for octet in octets)
            if len(octets) == 1 or (len(octets) == 2 and not octets[1].strip("0")):  # as a number, or one in a float
                return int(octets[0]).to_bytes(4, "big")
    except (OSError, ValueError, OverflowError):
        pass
    return name_address(text.strip()) if names and is_name(text) else None


def _unpadded(dotted: str) -> str:
    return ".".join(octet.lstrip("0") or "0" for octet in dotted.split("."))


def is_name(text: str) -> bool:
    """Whether a text can be the name of a host: words between dots, a letter among them."""
    return bool(_NAME.fullmatch(text.strip())) and not is_missing(text)


def no_address(text: str) -> str:
    """What to do about a text that is no address; "" where nothing more can be said."""
    if is_missing(text):
        return "it is missing; leave the row out, or name another column"
    if _WITH_PORT.fullmatch(text.strip()):
        return "it has a port; put that into a column of its own"
    if _NETWORK.fullmatch(text.strip()):
        return "it is a network; a probe has one host at each end"
    if is_name(text):
        return "--names takes host names as addresses"
    return "write it as 192.0.2.1 or 2001:db8::1"
