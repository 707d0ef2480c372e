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
"""Rows after which a slot that was asked for is there."""
_LINE = 64
"""Bytes of a cache line."""
_DIGIT = 13
_BINS = 1 << _DIGIT
"""Bins in which deadlines are counted: two rounds find one among those of 67 s, and the counters stay in the cache."""
_BLOCK = 1 << 11
"""Slots that are cleared and filled again at a time, within the cache."""


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
    """Have the slot of a packet some rows on fetched, so that it is there when its turn comes, and the cache line
    behind it, where `find` goes on in every third case of a table that is half full."""
    if row + _AHEAD < len(keys):
        home = slots + (keys[row + _AHEAD] & mask) * width * 8
        prefetch(home)
        prefetch(home + _LINE)


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
    counts = np.empty(_BINS + 1, np.int64)
    low, shift, before = np.int64(now) + 1, _DIGIT, rank
    while True:  # narrow the range from ``low`` on, `_BINS` of 2**shift us each, down to one deadline
        counts[:] = 0
        for at in range(len(slots)):
            place = (slots[at, DEADLINE] - low) >> shift
            within = (slots[at, KEY] != 0) & (place >= 0) & (place < _BINS)
            counts[place if within else _BINS] += 1
        place, left = 0, before
        while place < _BINS and left >= counts[place]:
            left -= counts[place]
            place += 1
        if place == _BINS:  # it is beyond
            shift += _DIGIT
            continue
        low, before = low + (place << shift), left
        if shift == 0:
            return low, before
        shift -= _DIGIT


@kernel
def _keep(slots, begin, end, least, ties, kept):
    """Empty those of the slots [begin, end) whose deadline is below ``least``, and the first ``ties`` of those with
    this one. Returns how many flows are left, whose slots are put in ``kept``, and how many ties.

    There is no branch: which flows go is as good as random, and to guess wrong costs more than all of this.
    """
    count = 0
    for at in range(begin, end):
        key, deadline = slots[at, KEY], slots[at, DEADLINE]
        tie = (key != 0) & (deadline == least) & (ties > 0)
        ties -= tie
        keep = (key != 0) & (deadline >= least) & (not tie)
        slots[at, KEY] = key if keep else 0
        kept[count] = at
        count += keep
    return count, ties


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
    kept = np.empty(_BLOCK, np.int64)
    living = 0
    for source, start, stop in ((slots, first, before), (wrapped, 0, first)):
        for begin in range(start, stop, _BLOCK):
            count, ties = _keep(source, begin, min(begin + _BLOCK, stop), least, ties, kept)
            living += count
            for place in range(count):
                at = kept[place]
                key = source[at, KEY]
                source[at, KEY] = 0
                to = find(base, width, mask, key)
                for column in range(1, width):
                    slots[to, column] = source[at, column]
                slots[to, KEY] = key
    return living


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
        before = len(self.slots)
        living = int(_count_living(self.slots, now))
        size, least, ties = before, now + 1, 0
        while living > size // 4 and size < len(self._room):
            size *= 2
        if living > size // 2:
            most = size // 4  # so that the next time is far
            self.forgotten += living - most
            least, ties = _nth_deadline(self.slots, now, living - most)
        self.slots = self._room[:size]
        self.used[0] = _spread(self.slots, before, size, least, ties)
