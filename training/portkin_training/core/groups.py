"""Groups: who is blocked, numbered 0, 1, 2 ... A group is a source, or a source at one destination."""

from __future__ import annotations

from typing import Literal

import numba
import numpy as np

from portkin_training.core.hashing import SEED, mixed
from portkin_training.core.unaligned import inlined

By = Literal["source", "destination"]


@inlined
def _hash(a, b, c, d):
    """A 64-bit hash of four int64."""
    return mixed(mixed(mixed(mixed(SEED, a), b), c), d)


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
        at = np.int64(_hash(a, b, c, d) & np.uint64(mask))
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
            at = np.int64(_hash(slots[i, 1], slots[i, 2], c, d) & np.uint64(mask))
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
