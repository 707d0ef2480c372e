"""The limit: the best that any table of K ports could have reached, known only afterwards."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numba
import numpy as np
from numpy.typing import NDArray

from portkin_training.core.history import History
from portkin_training.core.port_codes import CODES

Ints = NDArray[np.int64]

LONGEST = 2_000_000
"""Probes for which the oracle is still computed."""
RECENT = 64
"""Ports of a source, the latest first, that an event is credited to; more would cost much, and change little but where
sources sweep hundreds of ports in no order."""


@numba.njit(cache=True)
def _credit(ts, group, code, order, previous, window, recent, out_event, out_pair):  # pragma: no cover - compiled
    """For every first visit of a (group, code) but the group's first: the ports probed within the window before it.

    `previous` is the row's predecessor among rows of the same (group, code), -1 where none. Returns (events, pairs).
    """
    events, found = 0, 0
    seen = np.empty(recent, np.int64)
    start = 0
    for i in range(len(order)):
        row = order[i]
        if i == 0 or group[row] != group[order[i - 1]]:
            start = i
            continue
        if previous[row] >= 0:
            continue
        known = 0
        for back in range(i - 1, max(start, i - 16 * recent) - 1, -1):
            other = order[back]
            if ts[row] - ts[other] >= window or known == recent:
                break
            p = code[other]
            fresh = p // (CODES // 2) == code[row] // (CODES // 2)
            for j in range(known):
                if seen[j] == p:
                    fresh = False
                    break
            if fresh:
                seen[known] = p
                known += 1
                if found < len(out_event):
                    out_event[found] = events
                    out_pair[found] = p * CODES + code[row]
                found += 1
        events += 1
    return events, found


def credits(history: History, window: float) -> tuple[int, Ints, Ints]:
    """How many new ports were reached by sources seen before; and for each of them, from which ports a table could
    have predicted it: events int64 (m,), pairs p * CODES + q int64 (m,)."""
    order = np.argsort(history.group, kind="stable")
    both = history.group * CODES + history.code
    _, first = np.unique(both, return_index=True)
    previous = np.zeros(len(history), np.int64)
    previous[first] = -1
    arguments = (history.ts, history.group, history.code, order, previous, round(window * 1e6), RECENT)
    empty = np.empty(0, np.int64)
    _, size = _credit(*arguments, empty, empty)
    event, pair = np.empty(size, np.int64), np.empty(size, np.int64)
    events, _ = _credit(*arguments, event, pair)
    return events, event, pair


class Hindsight:
    """The tables that would have been best for a history, known afterwards, by greedy cover: always the entry that
    reaches most events not yet reached for its cost.

    `window` in seconds. An event is a new port that was reached by a source seen before.
    """

    def __init__(self, history: History, window: float) -> None:
        self.events, event, ordered = credits(history, window)
        # As one number each, sorted in place: there may be 64 for each probe. A pair has 34 bits, an event 21 at most.
        bits = self.events.bit_length()
        ordered <<= bits
        ordered |= event
        del event
        ordered.sort()
        self._event = (ordered & ((1 << bits) - 1)).astype(np.int32)
        ordered >>= bits
        first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(ordered)])
        self._key, self._start = ordered[first], np.append(first, len(ordered))
        self._sources = np.bincount(history.visits()[1], minlength=CODES).astype(float)

    def recall(self, k: int) -> float:
        """New-port recall of the table of `k` ports that would have found most; nan where no new port is reached.

        Greedy reaches at least half of the best (the rows are a partition matroid), in practice nearly all of it.
        """
        return sum(gain for gain, _ in self._greedy(k, np.ones(CODES))) / self.events if self.events else float("nan")

    def ranking(self, k: int = RECENT) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """The table that would have found most at any number of blocks: an entry costs the sources that probed its
        port.

        int32 (CODES, k), -1 where there is none, and, in the order of the rows, events reached per source, float64: cut
        by these it is the oracle at as many blocks.
        """
        matrix, gains = np.full((CODES, k), -1, np.int32), np.zeros((CODES, k))
        used = np.zeros(CODES, np.int64)
        for gain, key in self._greedy(k, self._sources):
            row = key // CODES
            matrix[row, used[row]], gains[row, used[row]] = key % CODES, gain / self._sources[row]
            used[row] += 1
        return matrix, gains

    def _greedy(self, k: int, cost: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
        """(events newly reached, p * CODES + q) of the entry that reaches most for the cost of its row (CODES,), again
        and again, while its row has room for it; of equals the lower one."""
        row = self._key // CODES
        price = cost[row]
        expected = -np.diff(self._start) / price
        first = np.argsort(expected, kind="stable")
        gains, taken = _cover(self._event, self._start, row, price, expected, first, k, self.events)
        return zip(gains.tolist(), self._key[taken].tolist(), strict=True)


@numba.njit(cache=True)
def _cover(event, start, row, price, expected, first, k, events):  # pragma: no cover - compiled
    """Entry `at` has the events event[start[at]:start[at + 1]], in `row`, at a `price`; `expected`, what it reaches
    alone, negated, for its price, and `first` the entries in that order. Returns (gains, entries)."""
    again = [(0.0, 0) for _ in range(0)]  # entries that reach less than was expected of them
    reached = np.zeros(events, np.bool_)
    used = np.zeros(CODES, np.int64)
    gains, taken = np.empty(len(price), np.int64), np.empty(len(price), np.int64)
    found, fresh = 0, 0
    while fresh < len(first) or len(again) > 0:
        if fresh < len(first) and (len(again) == 0 or (expected[first[fresh]], first[fresh]) < again[0]):
            at = first[fresh]
            worth = expected[at]
            fresh += 1
        else:
            worth, at = heapq.heappop(again)
        if used[row[at]] == k:
            continue
        gain = 0
        for i in range(start[at], start[at + 1]):
            gain += not reached[event[i]]
        if gain == 0:
            continue
        if -gain / price[at] > worth:
            heapq.heappush(again, (-gain / price[at], at))
            continue
        for i in range(start[at], start[at + 1]):
            reached[event[i]] = True
        used[row[at]] += 1
        gains[found], taken[found] = gain, at
        found += 1
    return gains[:found], taken[:found]
