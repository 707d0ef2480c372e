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
def flow_keys(packets, directed_tcp, keys, higher):
    """Fill in, for each packet, the hash of its flow and whether its source is the higher of the two endpoints.

    ``packets`` are the columns of `Packets`; an ICMP error has the flow that it quotes. The two directions between the
    same endpoints are one flow, but for TCP where that is directed.
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
        if swap and directed_tcp and upper == TCP:
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
        living += (slots[at, KEY] != 0) & (slots[at, DEADLINE] > now)
    return living


@kernel
def _nth_deadline(slots, now, rank):
    """Of the flows that are not over at ``now``, in the order of their deadlines: (deadline of number ``rank`` from 0
    on, how many before it have the same one)."""
    low, width = np.int64(now) + 1, np.int64(1)
    for at in range(len(slots)):
        if slots[at, KEY] != 0:
            width = max(width, slots[at, DEADLINE] - now)
    counts = np.empty(1 << 12, np.int64)
    while True:  # narrow the range down to one deadline
        step = (width + len(counts) - 1) // len(counts)
        counts[:] = 0
        for at in range(len(slots)):
            place = slots[at, DEADLINE] - low
            if slots[at, KEY] != 0 and place >= 0 and place < width:
                counts[place // step] += 1
        place = 0
        while rank >= counts[place]:
            rank -= counts[place]
            place += 1
        low, width = low + place * step, step
        if step == 1:
            return low, rank


@kernel
def _spread(slots, before, after, least, ties):
    """Have the flows in the first ``before`` slots lie in the first ``after``, without another array.

    Those whose deadline is below ``least`` are dropped, and the first ``ties`` of those that have this one. Returns how
    many are left. Slots from ``before`` on are empty.

    A flow moves to a slot before its own or, of the low bits of its key the same ones, into a part of the table that is
    new. From an empty slot on, one after the other, none gets in the way of those that have not moved.
    """
    base, width, mask = np.int64(slots.ctypes.data), slots.shape[1], after - 1
    first = 0
    while slots[first, KEY] != 0:
        first += 1
    wrapped = slots[:first].copy()  # of a group that goes on from the last slot
    slots[:first] = 0
    kept = 0
    for at in range(first, before + first):
        source, place = (slots, at) if at < before else (wrapped, at - before)
        key, deadline = source[place, KEY], source[place, DEADLINE]
        if key == 0:
            continue
        tie = deadline == least and ties > 0
        if deadline < least or tie:
            source[place, KEY] = 0
            ties -= tie
            continue
        kept += 1
        if at < before and key & mask == at:
            continue
        source[place, KEY] = 0
        to = find(base, width, mask, key)
        slots[to, KEY] = key
        for column in range(1, width):
            slots[to, column] = source[place, column]
    return kept


class FlowTable:
    """The array, and what happens when it fills up.

    Attributes:
        slots: (power of two, width) int64.
        used: (1,) int64, slots that hold a key; filling an empty slot adds one.
        forgotten: flows dropped before their time because the memory was full.
    """

    def __init__(self, width: int, *, memory: int = MEMORY) -> None:
        """A table of ``width`` columns that takes up at most ``memory`` bytes, those of the slots it has had so far."""
        largest = max(1 << (memory // (8 * width)).bit_length() - 1, 16)
        self._room: NDArray[np.int64] = np.zeros((largest, width), np.int64)
        self.slots = self._room[: min(SMALLEST, largest)]
        self.used = np.zeros(1, np.int64)
        self.forgotten = 0

    @property
    def limit(self) -> int:
        """How many slots may be used before `make_room` is due."""
        return len(self.slots) * 5 // 8

    def make_room(self, now: int) -> None:
        """Drop the flows that are over at ``now`` (us), grow; at the largest size, drop those next to end."""
        before, living = len(self.slots), int(_count_living(self.slots, now))
        size, least, ties = before, now + 1, 0
        while living > size // 4 and size < len(self._room):
            size *= 2
        if living > size // 2:
            most = size // 4  # so that the next time is far
            self.forgotten += living - most
            least, ties = _nth_deadline(self.slots, now, living - most)
        self.slots = self._room[:size]
        self.used[0] = _spread(self.slots, before, size, least, ties)
