"""Contexts: what distinguishes two hosts of one address where networks overlap, a VLAN or a virtual network.

A context is an int64: the outer VLAN plus one in bits 0 to 12, the inner one plus one in bits 13 to 25, the network
identifier (VNI) plus one in bits 26 to 50; 0 is none. A *source* is a host in its context, as in
zeek-scripts/sources.zeek: the 128-bit address, and the context from bit 128 on.

A dataset of probes holds hosts, 128 bits each: one of a context is an address in fd00::/8 (RFC 4193), which keeps hosts
apart in all that counts and groups. For IPv4 that is reversible: context and address stand in it.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portkin.net.addresses import text_of
from portkin_training.core.hashing import SEED, mixed
from portkin_training.core.unaligned import kernel

_FIELDS = (("vlan", 0, 13), ("inner_vlan", 13, 13), ("vni", 26, 25))
"""Name, first bit and bits of each part, the names as Zeek's connection keys have them."""

_ADDRESS = (1 << 128) - 1
_LOCAL = (0xFD << 56) - (1 << 64)
"""fd00::/8 in the high half of an address, signed."""


def packed(**parts: int) -> int:
    """The context of numbers by name: ``vlan``, ``inner_vlan``, ``vni``. Raises KeyError for another name.

    >>> text_of_context(packed(vlan=10, inner_vlan=20))
    'vlan=10,inner_vlan=20'
    """
    fields = {name: first for name, first, _ in _FIELDS}
    return sum((number + 1) << fields[name] for name, number in parts.items())


def text_of_context(context: int) -> str:
    """The context as Zeek writes it, ``vlan=10,inner_vlan=20``; empty where there is none."""
    numbers = ((name, (context >> first) & ((1 << bits) - 1)) for name, first, bits in _FIELDS)
    return ",".join(f"{name}={number - 1}" for name, number in numbers if number)


def context_of_text(text: str) -> int:
    """The context that `text_of_context` wrote; parts of other names are left out."""
    parts = {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", text)}
    return packed(**{name: parts[name] for name, _, _ in _FIELDS if name in parts})


def source_of(address: int, context: int) -> int:
    """The source: a 128-bit address in a context."""
    return address | context << 128


def describe(source: int) -> str:
    """A source as text, as Zeek's portkin.log has it.

    >>> from portkin.net.addresses import number_of
    >>> describe(source_of(number_of("192.0.2.1"), packed(vlan=10)))
    '192.0.2.1 (vlan=10)'
    """
    context = text_of_context(source >> 128)
    address = text_of(source & _ADDRESS)
    return f"{address} ({context})" if context else address


@kernel
def _located(ends: NDArray[np.int64], contexts: NDArray[np.int64], out: NDArray[np.int64]) -> None:
    for row in range(len(ends)):
        high, low = ends[row, 0], ends[row, 1]
        context = contexts[row]
        if context == 0:
            out[row, 0], out[row, 1] = high, low
        elif high == 0 and low >> 32 == 0xFFFF:
            out[row, 0], out[row, 1] = _LOCAL | context, low
        else:
            one = mixed(mixed(mixed(SEED, high), low), context)
            # above the 51 bits of a context, so that neither is taken for the other
            out[row, 0] = _LOCAL | (np.int64(one) & 0x007F_FFFF_FFFF_FFFF) | (1 << 55)
            out[row, 1] = np.int64(mixed(one, 1))


def located(ends: NDArray[np.int64], contexts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Hosts (n, 2) int64 as a dataset holds them: addresses (n, 2) as they are, or in fd00::/8 where the context (n,)
    is not 0."""
    if not contexts.any():
        return ends
    out: NDArray[Any] = np.empty_like(ends)
    _located(np.ascontiguousarray(ends), contexts, out)
    return out
