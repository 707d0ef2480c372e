"""Memory of live flows: an open-addressing hash table in a numpy array, bounded, for compiled kernels.

A flow is known by a 64-bit hash of protocol, addresses and ports, the same for both directions. Two of n live
flows share one with probability n**2 / 2**65: 3e-8 for a million.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from portkin_training.ingest.layers import kernel

KEY, DEADLINE = 0, 1
"""Columns of a slot that every table has: the hash (0: empty) and the first instant, in us, at which the flow is
forgotten. Columns from 2 on belong to the user of the table."""

SMALLEST = 1 << 14
LARGEST = 1 << 22
"""Slots of a table: where it starts and where it stops growing."""

_MULTIPLIER = np.uint64(0x9E37_79B9_7F4A_7C15)
_SHIFT = np.uint64(29)


@kernel
def mixed(hashed, word):
    """The hash with one more 64-bit word in it."""
    hashed = (hashed ^ np.uint64(word)) * _MULTIPLIER
    return hashed ^ (hashed >> _SHIFT)


@kernel
def flow_key(row, src, dst, sport, dport, proto):
    """(hash of the row's flow, whether its source is the higher of the two endpoints)."""
    a_hi, a_lo, a_port = src[row, 0], src[row, 1], np.int64(sport[row])
    b_hi, b_lo, b_port = dst[row, 0], dst[row, 1], np.int64(dport[row])
    higher = a_hi > b_hi or (a_hi == b_hi and (a_lo > b_lo or (a_lo == b_lo and a_port > b_port)))
    if higher:
        a_hi, a_lo, a_port, b_hi, b_lo, b_port = b_hi, b_lo, b_port, a_hi, a_lo, a_port
    hashed = mixed(_MULTIPLIER, a_hi)
    hashed = mixed(hashed, a_lo)
    hashed = mixed(hashed, b_hi)
    hashed = mixed(hashed, b_lo)
    hashed = mixed(hashed, (a_port << 32) | (b_port << 16) | proto)
    hashed = mixed(hashed, 0)
    key = np.int64(hashed)
    return (key if key != 0 else np.int64(1)), higher


@kernel
def find(slots, key):
    """The slot of the key: where it is, or the empty one where it belongs. The table always has empty ones."""
    mask = len(slots) - 1
    at = key & mask
    while slots[at, KEY] != key and slots[at, KEY] != 0:
        at = (at + 1) & mask
    return at


@kernel
def _insert(slots, rows):
    for row in range(len(rows)):
        at = find(slots, rows[row, KEY])
        for column in range(slots.shape[1]):
            slots[at, column] = rows[row, column]


class FlowTable:
    """The array, and what happens when it fills up.

    Attributes:
        slots: (power of two, width) int64.
        used: (1,) int64, slots that hold a key; whoever fills an empty slot adds one.
        forgotten: flows dropped before their time because `LARGEST` was reached.
    """

    def __init__(self, width: int, *, largest: int = LARGEST) -> None:
        self._largest = max(largest, 2)
        self.slots: NDArray[np.int64] = np.zeros((min(SMALLEST, self._largest), width), np.int64)
        self.used = np.zeros(1, np.int64)
        self.forgotten = 0

    @property
    def limit(self) -> int:
        """How many slots may be used before `make_room` is due."""
        return len(self.slots) * 5 // 8

    def make_room(self, now: int) -> None:
        """Drop the flows whose time is over at ``now`` (us); grow; at the largest size, drop the next to end."""
        kept = self.slots[(self.slots[:, KEY] != 0) & (self.slots[:, DEADLINE] > now)]
        size = len(self.slots)
        while len(kept) > size // 4 and size < self._largest:
            size *= 2
        most = size // 2
        if len(kept) > most:
            self.forgotten += len(kept) - most
            latest = np.argpartition(kept[:, DEADLINE], len(kept) - most)[len(kept) - most :]
            kept = kept[latest]
        self.slots = np.zeros((size, self.slots.shape[1]), np.int64)
        _insert(self.slots, kept)
        self.used[0] = len(kept)
