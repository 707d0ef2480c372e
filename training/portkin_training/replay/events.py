"""Events: what the replay reads, one row per packet or probe, in time order.

A port of a protocol is one number, its *code*: TCP port p is p, UDP port p is 65536 + p. A *group* is who gets
blocked: a source (as in Evrard et al. 2019, section VI), or a source at one destination.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numba
import numpy as np

from portkin.net.ports import PORTS

TCP, UDP = 6, 17
CODES = 2 * PORTS
"""How many codes there are: every TCP port, then every UDP port."""

BENIGN, SCAN, UNCOUNTED = range(3)

By = Literal["source", "destination"]


@dataclass(frozen=True)
class Events:
    """Rows of equal length n, in the order of the recording.

    `truth` is what a row is, as far as that is known (in a darknet every row is SCAN). BENIGN rows serve the
    false-positive rate. An UNCOUNTED row is neither: traffic of another anomaly, or no packet at all but the moment
    at which a detector blocks for an earlier one. `act` marks the rows upon which something is blocked: what a
    detector noticed.
    """

    ts: np.ndarray  # int64 (n,), microseconds since 1970
    group: np.ndarray  # int64 (n,), who is blocked: 0, 1, 2 ...
    code: np.ndarray  # int32 (n,)
    act: np.ndarray  # bool (n,)
    truth: np.ndarray  # uint8 (n,), BENIGN, SCAN or UNCOUNTED
    opens: np.ndarray  # bool (n,), the first row of its connection
    unit: np.ndarray  # int32 (n,), what the bootstrap draws: a day, or a bucket of groups

    def __len__(self) -> int:
        return len(self.ts)

    def __getitem__(self, rows: slice) -> Events:
        return Events(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def codes_of(dport: np.ndarray, proto: np.ndarray) -> np.ndarray:
    """The codes, int32 (n,), of ports uint16 (n,) and IANA protocol numbers (n,)."""
    return dport.astype(np.int32) + PORTS * (np.asarray(proto) == UDP).astype(np.int32)


@numba.njit(cache=True, nogil=True)
def _mix(a, b, c, d):  # pragma: no cover - compiled
    """A 64-bit hash of four int64 (the multiplier and shifts of splitmix64)."""
    x = np.uint64(a) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(32)) ^ np.uint64(b)) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(29)) ^ np.uint64(c)) * np.uint64(0x94D049BB133111EB)
    x = (x ^ (x >> np.uint64(32)) ^ np.uint64(d)) * np.uint64(0xBF58476D1CE4E5B9)
    return x ^ (x >> np.uint64(31))


# A slot is one row of int64: the group (-1 where empty), then its key, 2 words for a source, 4 with a destination.
@numba.njit(cache=True, nogil=True)
def _intern(src, dst, slots, count, out, start):  # pragma: no cover - compiled
    """Number the rows from start on; stops where the slots are three quarters full. Returns (rows done, groups)."""
    mask = len(slots) - 1
    limit = 3 * len(slots) // 4
    both = slots.shape[1] == 5
    c = d = np.int64(0)
    for i in range(start, len(src)):
        a, b = src[i, 0], src[i, 1]
        if both:
            c, d = dst[i, 0], dst[i, 1]
        at = np.int64(_mix(a, b, c, d) & np.uint64(mask))
        while True:
            group = slots[at, 0]
            if group < 0:
                if count >= limit:
                    return i, count
                slots[at, 0], slots[at, 1], slots[at, 2] = count, a, b
                if both:
                    slots[at, 3], slots[at, 4] = c, d
                out[i] = count
                count += 1
                break
            if slots[at, 1] == a and slots[at, 2] == b and (not both or (slots[at, 3] == c and slots[at, 4] == d)):
                out[i] = group
                break
            at = (at + 1) & mask
    return len(src), count


@numba.njit(cache=True, nogil=True)
def _reslot(slots, wider):  # pragma: no cover - compiled
    mask = len(wider) - 1
    for i in range(len(slots)):
        if slots[i, 0] >= 0:
            c, d = (slots[i, 3], slots[i, 4]) if slots.shape[1] == 5 else (np.int64(0), np.int64(0))
            at = np.int64(_mix(slots[i, 1], slots[i, 2], c, d) & np.uint64(mask))
            while wider[at, 0] >= 0:
                at = (at + 1) & mask
            wider[at] = slots[i]


class Grouper:
    """Numbers sources (or sources at a destination) 0, 1, 2 ... in the order they appear, over many chunks."""

    def __init__(self, by: By = "source", capacity: int = 1 << 12) -> None:
        self.by = by
        self.count = 0
        self._slots = self._empty(capacity)

    def _empty(self, capacity: int) -> np.ndarray:
        slots = np.empty((capacity, 3 if self.by == "source" else 5), np.int64)
        slots[:, 0] = -1
        return slots

    def number(self, src: np.ndarray, dst: np.ndarray) -> np.ndarray:
        """The groups, int64 (n,), of addresses as int64 halves (n, 2) each."""
        out = np.empty(len(src), np.int64)
        done = 0
        while True:
            done, self.count = _intern(src, dst, self._slots, self.count, out, done)
            if done == len(src):
                return out
            wider = self._empty(2 * len(self._slots))
            _reslot(self._slots, wider)
            self._slots = wider


DAY_US = 86_400_000_000
BUCKETS = 512
"""Groups fall into this many buckets where the bootstrap draws sources: sums of independent sources stay
independent, and the counts stay small."""


def units_of(ts: np.ndarray, group: np.ndarray, over: Literal["days", "sources"]) -> np.ndarray:
    """The bootstrap unit of each row, int32 (n,): its day since 1970, or the bucket of its group."""
    if over == "days":
        return (ts // DAY_US).astype(np.int32)
    return (group % BUCKETS).astype(np.int32)
