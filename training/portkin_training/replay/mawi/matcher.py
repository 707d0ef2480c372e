"""MAWILab labels matched against packets."""

from __future__ import annotations

from collections.abc import Iterable

import numba
import numpy as np

from portkin_training.core.hashing import SEED, mixed
from portkin_training.replay.events import BENIGN, SCAN, UNCOUNTED
from portkin_training.replay.mawi.labels import Label

SRC, SPORT, DST, DPORT = 1, 2, 4, 8


class Matcher:
    """Says of each packet whether a label covers it. A packet that a scan's label covers is a scan's; one that only
    other labels cover, or those of levels not asked for, is neither that nor benign."""

    def __init__(
        self, labels: Iterable[Label], levels: frozenset[str] = frozenset(("anomalous", "suspicious"))
    ) -> None:
        rows = [label for label in labels if label.level != "benign"]
        rows.sort(key=_pattern)
        self._patterns = np.array([_pattern(label) for label in rows], np.int64)
        self._keys = np.array([_key(label) for label in rows], np.int64).reshape(-1, 6)
        self._spans = np.array([(label.first, label.last) for label in rows], np.int64).reshape(-1, 2)
        self._scan = np.array([label.scan and label.level in levels for label in rows], bool)
        size = 1 << max(4, int(4 * max(1, len(rows))).bit_length())
        self._heads = np.full(size, -1, np.int64)
        self._next = np.full(len(rows), -1, np.int64)
        for at, (pattern, key) in enumerate(zip(self._patterns, self._keys, strict=True)):
            slot = int(_hash(pattern, key)) & (size - 1)
            self._next[at] = self._heads[slot]
            self._heads[slot] = at
        self._kinds = np.unique(self._patterns)

    def truth(
        self, ts: np.ndarray, src: np.ndarray, dst: np.ndarray, sport: np.ndarray, dport: np.ndarray
    ) -> np.ndarray:
        """BENIGN, SCAN or UNCOUNTED for each packet, uint8 (n,)."""
        out = np.empty(len(ts), np.uint8)
        _match(
            ts, src, dst, sport, dport,
            self._kinds, self._patterns, self._keys, self._spans, self._scan, self._heads, self._next, out,
        )  # fmt: skip
        return out


def _pattern(label: Label) -> int:
    named = ((label.src, SRC), (label.sport, SPORT), (label.dst, DST), (label.dport, DPORT))
    return sum(bit for value, bit in named if value is not None)


def _key(label: Label) -> tuple[int, ...]:
    return (*_halves(label.src or 0), *_halves(label.dst or 0), label.sport or 0, label.dport or 0)


def _halves(address: int) -> tuple[int, int]:
    high, low = address >> 64, address & (1 << 64) - 1
    return high - (high >> 63 << 64), low - (low >> 63 << 64)


@numba.njit(cache=True, nogil=True)
def _hash(pattern, key):  # pragma: no cover - compiled
    hashed = mixed(SEED, pattern)
    for word in key:
        hashed = mixed(hashed, word)
    return np.int64(hashed >> np.uint64(8))


@numba.njit(cache=True, nogil=True)
def _match(
    ts, src, dst, sport, dport, kinds, patterns, keys, spans, scan, heads, following, out
):  # pragma: no cover - compiled
    key = np.empty(6, np.int64)
    mask = len(heads) - 1
    for i in range(len(ts)):
        truth = BENIGN
        for pattern in kinds:
            key[0] = src[i, 0] if pattern & SRC else 0
            key[1] = src[i, 1] if pattern & SRC else 0
            key[2] = dst[i, 0] if pattern & DST else 0
            key[3] = dst[i, 1] if pattern & DST else 0
            key[4] = sport[i] if pattern & SPORT else 0
            key[5] = dport[i] if pattern & DPORT else 0
            at = heads[_hash(pattern, key) & mask]
            while at >= 0:
                same = patterns[at] == pattern and spans[at, 0] <= ts[i] <= spans[at, 1]
                for word in range(6):
                    same = same and keys[at, word] == key[word]
                if same:
                    if scan[at]:
                        truth = SCAN
                        break
                    truth = UNCOUNTED
                at = following[at]
            if truth == SCAN:
                break
        out[i] = truth
