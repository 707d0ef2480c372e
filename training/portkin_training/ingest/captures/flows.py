"""Memory of live flows: an open-addressing hash table in a numpy array, bounded, for compiled kernels.

A flow is known by a 64-bit hash of protocol, addresses, ports and context, the same for both directions. Two of n live
flows share one with probability n**2 / 2**65: 3e-8 for a million.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from portkin_training.core.hashing import SEED, mixed
from portkin_training.core.protocols import TCP, UDP
from portkin_training.core.unaligned import i64, inlined, kernel, prefetch

KEY, DEADLINE = 0, 1
"""Columns of a slot that every table has: the hash (0: empty) and the first instant, in us, at which the
flow is forgotten. Columns from 2 on belong to the user of the table."""

SMALLEST = 1 << 14
"""Slots a table begins with."""
MEMORY = 1 << 27
"""Bytes at which a table stops growing: four million flows of two columns live at a time."""

_AHEAD = 16


@kernel
def flow_keys(packets, directed_tcp, directed_udp, keys, higher):
    """Fill in, for each packet, the hash of its flow and whether its source is the higher of the two endpoints.

    ``packets`` are the columns of `Packets`; an ICMP error has the flow that it quotes. Where the protocol is
    directed, the two directions between the same endpoints are different flows.
    """
    _, src, dst, sport, dport, proto, flags, _, context = packets
    for row in range(len(keys)):
        a_hi, a_lo, a_port = src[row, 0], src[row, 1], np.int64(sport[row])
        b_hi, b_lo, b_port = dst[row, 0], dst[row, 1], np.int64(dport[row])
        swap = a_hi > b_hi or (a_hi == b_hi and (a_lo > b_lo or (a_lo == b_lo and a_port > b_port)))
        if swap:
            a_hi, a_lo, a_port, b_hi, b_lo, b_port = b_hi, b_lo, b_port, a_hi, a_lo, a_port
        upper = np.int64(proto[row])
        if upper != TCP and upper != UDP:
            upper = np.int64(flags[row])
        hashed = mixed(SEED, a_hi)
        hashed = mixed(hashed, a_lo)
        hashed = mixed(hashed, b_hi)
        hashed = mixed(hashed, b_lo)
        hashed = mixed(hashed, (a_port << 32) | (b_port << 16) | upper)
        if context[row]:
            hashed = mixed(hashed, context[row])
        if swap and (directed_tcp if upper == TCP else directed_udp):
            hashed = mixed(hashed, 1)
        key = np.int64(mixed(hashed, 0))
        keys[row] = key if key != 0 else 1
        higher[row] = swap


@inlined
def look_ahead(slots, width, mask, keys, row):
    """Have the slot of a packet some rows on fetched, so that it is there when its turn comes."""
    if row + _AHEAD < len(keys):
        prefetch(slots + (keys[row + _AHEAD] & mask) * width * 8)


@inlined
def find(slots, width, mask, key):
    """The slot of the key: where it is, or the empty one where it belongs; a table always has empty ones.

    ``slots`` is the table's address, ``width`` its columns, ``mask`` one less than its slots.
    """
    at = key & mask
    while True:
        there = i64(slots + at * width * 8)
        if there == key or there == 0:
            return at
        at = (at + 1) & mask


@kernel
def _count_living(slots, now):
    """How many slots hold a flow that is not over at ``now``."""
    living = 0
    for at in range(len(slots)):
        if slots[at, KEY] != 0 and slots[at, DEADLINE] > now:
            living += 1
    return living


@kernel
def _insert_living(slots, rows, now):
    """Put the rows into the empty table, but those that are empty or over at ``now``.

    Rows in the order of another table go to few places that move on side by side: the low bits of a key are its slot.
    """
    base, mask, width = np.int64(slots.ctypes.data), len(slots) - 1, slots.shape[1]
    for row in range(len(rows)):
        if rows[row, KEY] != 0 and rows[row, DEADLINE] > now:
            at = find(base, width, mask, rows[row, KEY])
            for column in range(slots.shape[1]):
                slots[at, column] = rows[row, column]


class FlowTable:
    """The array, and what happens when it fills up.

    Attributes:
        slots: (power of two, width) int64.
        used: (1,) int64, slots that hold a key; filling an empty slot adds one.
        forgotten: flows dropped before their time because the memory was full.
    """

    def __init__(self, width: int, *, memory: int = MEMORY) -> None:
        """A table of ``width`` columns that takes up at most ``memory`` bytes (and three times that while it grows)."""
        self._largest = max(1 << (memory // (8 * width)).bit_length() - 1, 16)
        self.slots: NDArray[np.int64] = np.zeros((min(SMALLEST, self._largest), width), np.int64)
        self.used = np.zeros(1, np.int64)
        self.forgotten = 0

    @property
    def limit(self) -> int:
        """How many slots may be used before `make_room` is due."""
        return len(self.slots) * 5 // 8

    def make_room(self, now: int) -> None:
        """Drop the flows that are over at ``now`` (us), grow; at the largest size, drop those next to end."""
        rows, living = self.slots, int(_count_living(self.slots, now))
        size = len(rows)
        while living > size // 4 and size < self._largest:
            size *= 2
        if living > size // 2:
            most = size // 4  # so that the next time is far
            self.forgotten += living - most
            rows = rows[(rows[:, KEY] != 0) & (rows[:, DEADLINE] > now)]
            rows = rows[np.argpartition(rows[:, DEADLINE], living - most)[living - most :]]
            living = most
        self.slots = np.zeros((size, rows.shape[1]), np.int64)
        _insert_living(self.slots, rows, now)
        self.used[0] = living
